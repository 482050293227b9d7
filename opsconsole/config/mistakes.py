"""What is wrong with a settings file, in the words of the file: the key, what was expected, the closest that exists."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, get_type_hints

import msgspec

from opsconsole import alert_settings
from opsconsole.config.keys import literals, section_types, struct_in, tables
from opsconsole.config.sections import Settings
from opsconsole.text import printable

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<where>\$[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<key>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<key>.*)`$")
_EXPECTED = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`$")
_RANGE = re.compile(r"^Expected `(?P<expected>[^`]+)` (?P<bound>.+)$", re.DOTALL)
_ENUM = re.compile(r"^Invalid enum value (?P<value>.+)$", re.DOTALL)

_KINDS = {
    "str": "a string",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
    "date": "a date",
    "datetime": "a date and time",
    "time": "a time",
}

_SCHEMES = {
    "probes": "http:// or https://",
    "notify": "http:// or https://",
    "mongodb": "mongodb:// or mongodb+srv://",
    "redis": "redis://, rediss:// or unix://",
}


def explain(message: str, raw: dict[str, Any]) -> tuple[str, str]:
    """One of msgspec's messages as a problem and a hint in the words of the file."""
    found = _PLACE.match(message)
    assert found is not None  # the pattern matches any text
    what, where = found["what"], (found["where"] or "$")[1:].lstrip(".")
    if not _UNKNOWN.match(what) and (wrong := alert_settings.wrong_type(where, _value_at(where, raw))):
        return wrong, ""
    if unknown := _UNKNOWN.match(what):
        return _explain_unknown(where, unknown["key"])
    if missing := _MISSING.match(what):
        return f"key '{_join(where, missing['key'])}' is missing", ""
    if expected := _EXPECTED.match(what):
        wanted = " or ".join(_KINDS.get(kind.strip(), kind.strip()) for kind in expected["expected"].split("|"))
        got = _KINDS.get(expected["got"], expected["got"])
        return f"key '{where}' expected {wanted.replace(' or nothing', '')}, got {got}", ""
    if enum := _ENUM.match(what):
        return f"key '{where}' cannot be {enum['value']}; possible: {_possible(where)}", ""
    if "matching regex" in what and where.startswith("schedule."):
        return (
            f'key \'{where}\' expected a time of day such as "02:00", got "{printable(str(_value_at(where, raw)))}"',
            "",
        )
    if "matching regex" in what:
        return f"key '{where}' expected an address that begins with {_SCHEMES[re.sub('[^a-z].*', '', where)]}", ""
    if bounded := _RANGE.match(what):
        kind = _KINDS.get(bounded["expected"], bounded["expected"])
        bound = bounded["bound"].replace(">=", "of at least").replace("<=", "of at most").replace(">", "above")
        return (
            f"key '{where}' expected {kind} {bound.removesuffix('.0')}, got {printable(str(_value_at(where, raw)))}",
            "",
        )
    return f"key '{where}': {printable(what)}", ""


def unusable(where: str, value: Any) -> str:
    """What the right type lets pass and nobody can use: a number without an end, text with a zero byte."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"key '{where}' expected a number, got {value}"
    if isinstance(value, str) and "\0" in value:
        return f"key '{where}' holds a zero byte, which no name and no path can have"
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        items = ((_join(where, printable(key)), item) for key, item in value.items())
    elif isinstance(value, list):
        items = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    return next((found for place, item in items if (found := unusable(place, item))), "")


def contradiction(settings: Settings) -> str:
    """Keys that are right by themselves and cannot stand together."""
    if len(settings.copy.chosen) > 1:
        return f"table [copy] takes one of rclone, rsync and command, got {' and '.join(settings.copy.chosen)}"
    if settings.copy.verify_command and not settings.copy.command:
        return "key 'copy.verify_command' belongs beside copy.command; rclone and rsync verify by themselves"
    from opsconsole.runbook_tasks import fault_of_names

    if fault := fault_of_names([one.name for one in settings.maintenance.task], settings.maintenance.skip):
        return fault
    return alert_settings.wrong(settings.alerts.rule, settings.alerts.off, settings.alerts.cooldown)


def _explain_unknown(where: str, key: str) -> tuple[str, str]:
    """A misspelt key or table: the closest that exists, or where a known key belongs."""
    import difflib  # 4 ms that only a mistake costs

    shown = printable(key)
    sections = tables()
    section = _section_at(where)
    known = list(section.__struct_encode_fields__) if section is not None else list(section_types())
    kind = "key" if section is not None else "table"
    problem = f"unknown {kind} '{_join(where, shown)}'"
    if close := difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return f"{problem}, did you mean '{_join(where, close[0])}'?", ""
    homes = [name for name, section in sections.items() if key in section.__struct_encode_fields__]
    if homes:
        return f"{problem}, it belongs into table [{homes[0]}]", ""
    return f"{problem}; known here: {', '.join(known)}", ""


def _section_at(where: str) -> type[msgspec.Struct] | None:
    """The struct of a table by its place: "probes[0]", "maintenance.task[1]"; None where there is none."""
    first, *rest = re.sub(r"\[\d+\]", "", where).split(".")
    section = section_types().get(first)
    for name in rest:
        if section is None or name not in section.__struct_fields__:
            return None
        section = struct_in(get_type_hints(section, include_extras=True)[name])
    return section


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _value_at(where: str, raw: dict[str, Any]) -> Any:
    value: Any = raw
    for step in re.findall(r"[^.\[\]]+", where):
        value = value[int(step)] if isinstance(value, list) else value.get(step, "?")
    return value


def _possible(where: str) -> str:
    table, _, key = where.rpartition(".")
    section = _section_at(table)
    hint = get_type_hints(section, include_extras=True).get(key) if section else None
    return ", ".join(f'"{value}"' for value in literals(hint))
