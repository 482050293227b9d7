"""The rules of the settings (`[[alerts.rule]]`) as rules like the console's own. Pure."""

from __future__ import annotations

import operator
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from opsconsole.alert_findings import Finding, Restarts, Rule, Thresholds, size, unknown
from opsconsole.alert_happenings import Happening, matching
from opsconsole.alert_settings import RuleSettings
from opsconsole.metrics.measuring import measure
from opsconsole.metrics.records import Value
from opsconsole.model import Severity, Snapshot

CLEAR_SECONDS = 60.0
"""As for the console's own: a number that swings around its limit is one alert."""

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_HAPPENED = {"die": "ended", "oom": "ran out of memory", "start": "started", "unhealthy": "became unhealthy"}


def rules_of(settings: Iterable[RuleSettings]) -> tuple[Rule, ...]:
    """In the order of the file."""
    measured = _Measured()
    return tuple(_rule(one, measured) for one in settings)


def _rule(own: RuleSettings, measured: _Measured) -> Rule:
    names = frozenset({own.name})
    if own.metric:
        return Rule(names, _source(own.metric), _compared(own, measured))
    if own.log:
        return Rule(names, "patterns", _logged(own))
    return Rule(names, "engine", _nothing, counting=_counted(own), within_seconds=own.within_seconds)


_SOURCES = {
    "host": "host",
    "mongodb": "databases",
    "redis": "databases",
    "endpoint": "probes",
    "access": "access",
    "backup": "backups",
}
_OF_THE_ENGINE = ("container_up", "container_healthy", "container_restarts")


def _source(metric: str) -> str:
    """The source that a metric comes from."""
    if metric.startswith("container_"):
        return "engine" if metric in _OF_THE_ENGINE else "usage"
    return _SOURCES[metric.partition("_")[0]]


def _nothing(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    return ()


def covers(own: RuleSettings, *names: str) -> bool:
    """Whether a rule is about something that goes by these names."""
    return not own.subjects or any(fnmatchcase(name, wanted) for name in names for wanted in own.subjects if name)


def _finding(own: RuleSettings, subject: str, message: str, value: float) -> Finding:
    return Finding(
        rule=own.name,
        subject=subject,
        severity=Severity(own.severity),
        message=message,
        action=own.action or _where_to_look(own, subject),
        value=value,
        limit=own.threshold,
        hold_seconds=own.hold_seconds,
        clear_seconds=0.0 if own.event else CLEAR_SECONDS,
    )


def _where_to_look(own: RuleSettings, subject: str) -> str:
    """What to do when the rule does not say it."""
    if own.log:
        return f"read these lines: opsconsole logs {subject} --grep {shlex.quote(own.log)}"
    if own.event:
        return f"read its log ({subject}), and see what else happened then: opsconsole alerts history"
    return "see its course: m in the console, 5 to 7 for an hour, a day, a week"


class _Measured:
    """The numbers of the last Snapshot by name: several rules ask for them."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._values: dict[str, list[Value]] = {}

    def of(self, snapshot: Snapshot, name: str) -> list[Value]:
        if snapshot is not self._snapshot:
            self._values = {}
            for value in measure(snapshot):
                self._values.setdefault(value.name, []).append(value)
            self._snapshot = snapshot
        return self._values.get(name, [])


def _compared(
    own: RuleSettings, measured: _Measured
) -> Callable[[Thresholds, Snapshot, datetime, Restarts], Iterable[Finding]]:
    words = own.metric.replace("_", " ")
    kind = own.metric.partition("_")[0]

    def check(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
        values = measured.of(snapshot, own.metric)
        shared = Counter(dict(value.labels).get("service", "") for value in values)
        for value in values:
            labels = dict(value.labels)
            if covers(own, *labels.values()) and _COMPARED[own.compares](value.value, own.threshold):
                subject = _subject(labels, shared) or ("backups" if kind == "backup" else "host")
                said = _said(value.value, own.metric)
                limit = f"limit: {own.compares} {_said(own.threshold, own.metric)}"
                about = f"{subject}: " if labels else ""
                yield _finding(own, subject, f"{about}{words} is {said} ({limit})", value.value)
        # Of a server that does not answer nothing is known, and that is an alert of its own.
        for down in measured.of(snapshot, f"{kind}_up") if kind in ("mongodb", "redis") else ():
            if not down.value and own.metric != f"{kind}_up":
                yield unknown(own.name, _subject(dict(down.labels), shared))

    return check


def _subject(labels: Mapping[str, str], shared: Mapping[str, int]) -> str:
    """What an alert calls it: a service, unless several containers share it; a mount, a server, an endpoint."""
    if "container" in labels:
        service = labels.get("service", "")
        return service if service and shared[service] == 1 else labels["container"]
    parts = ("mount", "endpoint", "service", "server", "database", "collection")
    return " ".join(labels[name] for name in parts if name in labels)


def _logged(own: RuleSettings) -> Callable[[Thresholds, Snapshot, datetime, Restarts], Iterable[Finding]]:
    def check(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
        for rate in snapshot.log_rates:
            if rate.rule == own.name and _COMPARED[own.compares](rate.lines, own.threshold):
                lines = "1 line" if rate.lines == 1 else f"{rate.lines:,} lines"
                message = (
                    f'{rate.service} wrote {lines} in a minute that match "{own.log}" '
                    f"(limit: {own.compares} {own.threshold:g})"
                )
                yield _finding(own, rate.service, message, float(rate.lines))

    return check


def _counted(own: RuleSettings) -> Callable[[Sequence[Happening], Snapshot, datetime], Iterable[Finding]]:
    codes = f" with exit code {' or '.join(map(str, own.exit_codes))}" if own.exit_codes else ""

    def count(events: Sequence[Happening], snapshot: Snapshot, now: datetime) -> Iterable[Finding]:
        since = now - timedelta(seconds=own.within_seconds)
        by_service: dict[str, list[Happening]] = {}
        for (service, container), found in matching(events, own.event, own.exit_codes, since).items():
            if covers(own, service, container):
                by_service.setdefault(service or container, []).extend(found)
        for subject, found in by_service.items():
            if _COMPARED[own.compares](len(found), own.threshold):
                times = "once" if len(found) == 1 else f"{len(found)} times"
                message = (
                    f"{subject} {_HAPPENED[own.event]}{codes} {times} within {own.within} "
                    f"(limit: {own.compares} {own.threshold:g})"
                )
                yield _finding(own, subject, message, float(len(found)))

    return count


def _said(value: float, metric: str) -> str:
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2g}"
    if metric.endswith("_percent"):
        return f"{shown} %"
    if metric.endswith("_bytes"):
        return size(value)
    if metric.endswith("_bytes_per_second"):
        return f"{size(value)}/s"
    return f"{shown} s" if metric.endswith("_seconds") else shown
