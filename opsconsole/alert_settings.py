"""Alert rules of your own, as `[[alerts.rule]]` of `opsconsole.toml` writes them, and what can be wrong with one.

    [[alerts.rule]]              a number of a Snapshot      [[alerts.rule]]              what happened to containers
    name = "backend-memory"                                  name = "worker-killed"
    metric = "container_memory_percent"                      event = "die"
    of = ["backend"]                                         exit_codes = [137]
    threshold = 75                                           threshold = 3
    for = "10m"                                              within = "1h"

A third kind counts log lines: `log = "login failed"`, `threshold` lines a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from opsconsole.text import printable

TABLE = "alerts.rule"

EVENTS: Mapping[str, str] = {
    "die": "a container ended; exit_codes says with which codes",
    "oom": "a container, or a process in it, was killed because memory ran out",
    "start": "a container started",
    "unhealthy": "its health check began to fail",
}

BUILT_IN = frozenset({
    "access-errors", "backup-age", "backup-failed", "certificate", "container-down", "container-memory",
    "container-oom", "container-unhealthy", "cpu", "crash-loop", "data-missing", "database-down",
    "database-problem", "database-refused", "disk", "disk-full-soon", "endpoint-down", "engine-unreachable",
    "error-rate", "inodes", "memory", "mongo-connections", "mongo-member", "mongo-no-primary", "mongo-oplog",
    "redis-aof", "redis-connections", "redis-memory", "redis-save", "response-time", "service-missing",
    "source-failing", "volume-risk",
})  # fmt: skip
"""Names of the console's own rules: `off` may name them, and no other rule may be called so."""

UNTOLD = "notify-failing"
"""What an alert about messages that do not arrive is called; nor may a rule be called so."""


def metrics() -> dict[str, str]:
    """What `metric` can be, and what it means."""
    from opsconsole.metrics.catalogue import MEASURES  # with SQLite, 10 ms: most settings have no rule

    return {name: measure.help for name, measure in MEASURES.items() if name != "alerts_firing"}


LONGEST = timedelta(days=7)
"""No rule looks further back than this."""

Comparison = Literal[">", ">=", "<", "<=", "==", "!="]


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"hold": "for"}):
    """One rule. Durations are written as "30s", "5m", "2h", "1d"."""

    name: Annotated[str, Meta(description="What the alert is called: small letters, digits and -.")]
    metric: Annotated[str, Meta(description="A number that is measured; or event, or log.")] = ""
    event: Annotated[str, Meta(description="Something that happened to a container.")] = ""
    log: Annotated[str, Meta(description="A regular expression; lines that match are counted by the minute.")] = ""
    of: Annotated[
        str | tuple[str, ...],
        Meta(description='Only these services, containers, disks or endpoints; "*" stands for anything.'),
    ] = ()
    comparison: Annotated[
        Comparison | None, Meta(description='How it is compared; left out: ">" a number, ">=" what is counted.')
    ] = None
    threshold: Annotated[float, Meta(description="The limit: a number, so many events, so many lines a minute.")]
    hold: Annotated[str, Meta(description="It must be true for so long before the alert fires.")] = "0s"
    within: Annotated[str, Meta(description="Events are counted over so long.")] = "10m"
    exit_codes: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=255)], ...], Meta(description='Of event = "die": only these.')
    ] = ()
    severity: Annotated[Literal["warning", "critical"], Meta(description="How bad it is.")] = "warning"
    cooldown: Annotated[
        str | None, Meta(description="Nobody is told of it again for so long; left out: cooldown of [alerts].")
    ] = None
    action: Annotated[str, Meta(description="What to do about it, in one line.")] = ""

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.of,) if isinstance(self.of, str) else self.of

    @property
    def compares(self) -> Comparison:
        return self.comparison or (">" if self.metric else ">=")

    @property
    def hold_seconds(self) -> float:
        return seconds(self.hold) or 0.0

    @property
    def within_seconds(self) -> float:
        return seconds(self.within) or 0.0


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\d+[smhd])+\Z")


def seconds(text: str) -> float | None:
    """ "30s", "5m", "1h30m" as seconds; None for anything else, and for more than a week."""
    compact = text.replace(" ", "")
    if not _DURATION.match(compact) or len(compact) > 20:
        return None
    found = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", compact))
    return float(found) if found <= LONGEST.total_seconds() else None


# --- what is wrong -----------------------------------------------------------------------------------

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_A_DURATION = 'a duration of at most a week such as "30s", "5m" or "2h"'


def wrong_type(where: str, value: Any) -> str:
    """In the words of this table, what a key expected that got a value of another type; "" for other keys."""
    if where == TABLE and isinstance(value, dict):
        return f"key '{where}' expected a list of tables: write [[{TABLE}]]"
    key = where.rpartition(".")[2]
    if where.startswith("alerts.") and key in ("for", "within", "cooldown"):
        return f"key '{where}' expected {_A_DURATION}, got {_got(value)}"
    return ""


def wrong(rules: Sequence[RuleSettings], off: Sequence[str], cooldown: str) -> str:
    """What the types let pass and no rule can be made of: key and expectation, "" for nothing."""
    if seconds(cooldown) is None:
        return f"key 'alerts.cooldown' expected {_A_DURATION}, got {_got(cooldown)}"
    for number, name in enumerate(off):
        if name not in BUILT_IN:
            return f"key 'alerts.off[{number}]' {_not_among(name, sorted(BUILT_IN))}"
    seen: dict[str, int] = {}
    for number, rule in enumerate(rules):
        where = f"{TABLE}[{number}]"
        if found := _wrong_name(rule.name, where, seen) or _wrong_kind(rule, where) or _wrong_time(rule, where):
            return found
        seen[rule.name] = number
    return ""


def _wrong_name(name: str, where: str, seen: Mapping[str, int]) -> str:
    if not _NAME.match(name):
        expected = "1 to 40 small letters, digits and -"
        return f"key '{where}.name' expected {expected}, got {_got(name)}"
    if name in BUILT_IN or name == UNTOLD:
        return f"key '{where}.name' expected a name of its own: {_got(name)} is a rule of the console, see [alerts]"
    if name in seen:
        return f"key '{where}.name' expected a name of its own: {_got(name)} is that of {TABLE}[{seen[name]}], too"
    return ""


def _wrong_kind(rule: RuleSettings, where: str) -> str:
    kinds = [kind for kind in ("metric", "event", "log") if getattr(rule, kind)]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "none of them"
        return f"key '{where}' expected one of metric, event and log, got {got} (rule {rule.name})"
    kind = kinds[0]
    if kind == "metric" and rule.metric not in (known := metrics()):
        return f"key '{where}.metric' {_not_among(rule.metric, list(known))}"
    if kind == "event" and rule.event not in EVENTS:
        return f"key '{where}.event' {_not_among(rule.event, list(EVENTS))}"
    if rule.exit_codes and rule.event != "die":
        return f"key '{where}.exit_codes' belongs beside event = \"die\""
    if kind == "event" and (rule.compares not in (">", ">=") or rule.threshold < (rule.compares == ">=")):
        return f'key \'{where}.threshold\' expected 1 event or more with ">=" or ">", got {rule.threshold:g}'
    if kind == "log" and (note := _pattern_note(rule.log)):
        return f"key '{where}.log' expected a regular expression, got {_got(rule.log)}: {note.partition(': looked')[0]}"
    return ""


def _pattern_note(text: str) -> str:
    """What is wrong with a regular expression for log lines, "" for nothing."""
    from opsconsole import log_filter  # with all that tells a line's level, 4 ms: most settings have no rule

    return log_filter.pattern(text, may_invert=False).note


def _wrong_time(rule: RuleSettings, where: str) -> str:
    for key, text in (("for", rule.hold), ("within", rule.within), ("cooldown", rule.cooldown or "0s")):
        if seconds(text) is None:
            return f"key '{where}.{key}' expected {_A_DURATION}, got {_got(text)}"
    if rule.event and rule.hold_seconds:
        return f"key '{where}.for' belongs beside metric or log; events are counted over 'within'"
    if rule.event and not rule.within_seconds:
        return f"key '{where}.within' expected a duration above 0, got {_got(rule.within)}"
    if not rule.event and rule.within != "10m":
        return f"key '{where}.within' belongs beside event; a metric and a log line are held over 'for'"
    return ""


def _not_among(name: str, known: Sequence[str]) -> str:
    import difflib  # 4 ms that only a mistake costs

    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f'cannot be {_got(name)}, did you mean "{close[0]}"?'
    return f"cannot be {_got(name)}; possible: {', '.join(known)}"


def _got(value: Any) -> str:
    shown = printable(str(value))
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    return f'"{shown}"' if isinstance(value, str) else shown
