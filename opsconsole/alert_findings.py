"""What a rule is made of, and the limits the rules compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from opsconsole.alert_happenings import Happening
from opsconsole.model import Record, Severity, Snapshot


class Thresholds(Record, frozen=True):
    """Limits of the alert rules. The names and units are those of the table [alerts] in `opsconsole.toml`."""

    cpu_percent: float = 80.0
    cpu_minutes: float = 5.0
    memory_percent: float = 85.0
    memory_minutes: float = 5.0
    disk_percent: float = 90.0  # space and inodes
    disk_minutes: float = 0.0
    disk_full_days: float = 3.0
    error_rate_percent: float = 5.0
    error_minutes: float = 5.0  # with fewer requests than `trusted_requests`; at once with more
    response_seconds: float = 2.0
    response_minutes: float = 5.0  # the same
    trusted_requests: int = 20
    unhealthy_minutes: float = 1.0  # unhealthy, stopped by somebody, or not answering its health address
    restarts: int = 3  # within ten minutes
    container_memory_percent: float = 90.0  # of its own limit
    container_memory_minutes: float = 5.0
    redis_memory_percent: float = 90.0  # of maxmemory
    database_seconds: float = 20.0  # without a good answer
    source_seconds: float = 60.0  # that a source of this console fails
    backup_max_age_hours: float = 26.0
    backup_proof_days: float = 31.0  # since a backup was restored for a test
    certificate_days: float = 21.0
    connections_percent: float = 80.0  # of those that MongoDB or Redis takes
    slow_operation_seconds: float = 10.0
    oplog_hours: float = 24.0


class Finding(Record, frozen=True):
    """Something that is true in one Snapshot, or (`known` False) that cannot be judged by it."""

    rule: str
    subject: str
    severity: Severity = Severity.WARNING
    message: str = ""  # one line with the number and the limit
    action: str = ""
    value: float | None = None
    limit: float | None = None
    hold_seconds: float = 0.0  # how long it must be true before it fires
    clear_seconds: float = 0.0  # how long it must be over before it is resolved
    since: datetime | None = None  # since when it is known to be true, if the data says so
    known: bool = True


Restarts = dict[str, tuple[tuple[datetime, int], ...]]
"""By container name: when which restart count was first seen, oldest first."""

Check = Callable[[Thresholds, Snapshot, datetime, Restarts], Iterable[Finding]]

Counting = Callable[[Sequence[Happening], Snapshot, datetime], Iterable[Finding]]


class Rule(NamedTuple):
    """A check, the names of the alerts it can raise, and the source whose freshness it stands on."""

    names: frozenset[str]
    source: str  # key of Snapshot.readings
    check: Check
    absence_counts: bool = False  # judge also when the source has nothing to look at
    counting: Counting | None = None  # in place of `check`: judges what happened to containers
    within_seconds: float = 0.0  # of `counting`: so far back
    off: frozenset[str] = frozenset()  # of `names`: those that the settings do not want


def rule(source: str, *names: str, absence_counts: bool = False) -> Callable[[Check], Rule]:
    """Make a Rule of a check function."""
    return lambda check: Rule(frozenset(names), source, check, absence_counts)


def unknown(rule_name: str, subject: str) -> Finding:
    """Nothing can be said about this subject now: what was known stays."""
    return Finding(rule=rule_name, subject=subject, known=False)


def size(count: float) -> str:
    """ "512 B", "3.4 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def one_line(text: str, longest: int = 160) -> str:
    """The first line that says something, cut to what an alert can show."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
