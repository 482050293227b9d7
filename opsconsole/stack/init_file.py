"""`opsconsole.toml` as `opsconsole init` writes it: what was found, every key explained, never a secret."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opsconsole import alert_settings
from opsconsole.alert_settings import EVENTS
from opsconsole.config import keys
from opsconsole.config.keys import Setting
from opsconsole.model import DatabaseTarget, Stack
from opsconsole.text import mask_text, printable

_WIDTH = 100

_HEAD = """\
# opsconsole.toml: settings of the console for the stack in this directory.
#
# Nothing here is needed: whatever is commented out is found by itself, or has the default that is shown.
# To decide something yourself, take the "#" away and change the value. Passwords do not belong in here:
# name the variable that holds the address (uri_env, url_env) instead.
"""


def render(stack: Stack) -> str:
    """The text of the file. It loads without an error, and loads to exactly the defaults."""
    found = _found(stack)
    lines = [_HEAD]
    tables = keys.section_types()
    settings = list(keys.settings())
    for table, section in tables.items():
        lines += ["", *_comment((section.__doc__ or "").strip().splitlines()[0])]
        if table == "probes":
            lines += list(_probes(stack, [one for one in settings if one.table == table]))
            continue
        lines.append(f"[{table}]")
        for setting in (one for one in settings if one.table == table):
            lines += _comment(setting.description)
            value, origin = found.get((table, setting.key), (setting.default, ""))
            note = f"  # {_one_line(origin)}" if origin else ""
            lines.append(f"#{setting.key} = {toml_value(value)}{note}")
        if table == "alerts":
            lines += ["", *_rules([one for one in settings if one.table == alert_settings.TABLE])]
    return "\n".join(lines) + "\n"


def write(path: Path | str, text: str, force: bool = False) -> None:
    """Write the file for its owner only, whole or not at all. FileExistsError when it is there and not `force`."""
    target = Path(path)
    descriptor, scratch = tempfile.mkstemp(dir=target.parent, prefix=".opsconsole-", suffix=".toml")
    try:
        # mkstemp makes it readable for its owner only (0600).
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if not force:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))  # the name is ours, or FileExistsError
        os.replace(scratch, target)
    finally:
        if os.path.exists(scratch):
            os.unlink(scratch)


def toml_value(value: Any) -> str:
    """A string, number, truth value or list of them in TOML. What is None has no value and is shown as an example."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    text = "" if value is None else str(value)
    escaped = "".join(_ESCAPED.get(character, character) for character in text)
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _found(stack: Stack) -> dict[tuple[str, str], tuple[Any, str]]:
    """(table, key) -> value and where it was found. Addresses are left out: they may hold passwords."""
    here = Path(stack.directory)
    found: dict[tuple[str, str], tuple[Any, str]] = {
        ("stack", "name"): (stack.name, "project name"),
        ("stack", "compose_files"): (tuple(_relative(file, here) for file in stack.compose_files), "compose files"),
        ("stack", "profiles"): (stack.profiles, "profiles in use" if stack.profiles else "no profile in use"),
        ("stack", "env_file"): (_relative(stack.env_file, here), "env file" if stack.env_file else "no env file"),
        ("data", "directories"): (
            tuple(_relative(path, here) for path in stack.data_directories),
            "bind mounts" if stack.data_directories else "no bind mount that holds data",
        ),
        ("backups", "directory"): (_relative(stack.backup_directory, here), "backup directory"),
    }
    for kind, key in (("mongodb", "uri_env"), ("redis", "url_env")):
        targets = [target for target in stack.databases if target.kind == kind]
        variable = next((name for name in map(_variable, targets) if name), "")
        said = "; ".join(_said(target) for target in targets) or f"no {kind} in this stack"
        found[kind, "enabled"] = (True, said)
        if variable:
            found[kind, key] = (variable, "variable of the env file")
    return found


def _probes(stack: Stack, settings: list[Setting]) -> Iterator[str]:
    """The addresses that are asked now, each as a table that can be uncommented."""
    yield from _comment("Without any [[probes]] these are found by themselves; with one, only those that are written.")
    for setting in settings:
        yield from _comment(f"{setting.key}: {setting.description}")
    example = ("backend", "http://127.0.0.1:8080/health", "an example")
    seen = [
        (one.name, mask_text(one.url), f"found: {one.origin} of {one.service or one.name}") for one in stack.endpoints
    ]
    for name, url, origin in seen or [example]:
        yield f"#[[probes]]  # {_one_line(origin)}"
        yield f"#name = {toml_value(name)}"
        yield f"#url = {toml_value(url)}"


def _rules(settings: list[Setting]) -> Iterator[str]:
    """The keys of a rule, and one of each kind to begin with."""
    yield from _comment("Rules of your own, as many as wanted; each is about a metric, an event or lines of a log.")
    for setting in settings:
        yield from _comment(f"{setting.key}: {setting.description}")
    yield from _comment(f"What metric can be: {', '.join(alert_settings.metrics())}.")
    yield from _comment(f"What event can be: {', '.join(f'{key} ({said})' for key, said in EVENTS.items())}.")
    for example in _EXAMPLES:
        yield f"#[[{alert_settings.TABLE}]]  # an example"
        yield from (f"#{key} = {toml_value(value)}" for key, value in example.items())


_EXAMPLES: tuple[dict[str, Any], ...] = (
    {"name": "backend-memory", "metric": "container_memory_percent", "of": "backend", "threshold": 75, "for": "10m"},
    {"name": "killed", "event": "die", "exit_codes": [137], "threshold": 3, "within": "1h", "severity": "critical"},
    {"name": "login-failures", "log": "login failed", "of": "backend", "threshold": 20, "for": "2m"},
)


def _variable(target: DatabaseTarget) -> str:
    """The env file's variable that a target was found in."""
    name, separator, _ = target.origin.partition(" in ")
    return name if separator and name.isidentifier() else ""


def _said(target: DatabaseTarget) -> str:
    return _one_line(f"{target.address or target.name} ({target.origin})")


def _relative(path: str, directory: Path) -> str:
    if not path:
        return ""
    found = os.path.relpath(path, directory)
    return path if found.startswith("..") else found


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(_one_line(text), _WIDTH)]


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
