"""What a look at the health of a stack is made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

from opsconsole.model import Reading, Record, Snapshot, SourceState

ALL_WELL, NEEDS_ATTENTION, COULD_NOT_LOOK = 0, 1, 2

AREAS = (
    "engine",
    "services",
    "endpoints",
    "certificates",
    "mongodb",
    "redis",
    "host",
    "disks",
    "backups",
    "persistence",
    "schedule",
    "alerts",
)
"""In the order in which they are shown."""


class Verdict(StrEnum):
    CRITICAL = "critical"
    ATTENTION = "attention"
    UNKNOWN = "not known"  # it could not be looked at: not well, and perhaps not bad either
    WELL = "well"
    NOTHING = "nothing there"  # and nothing wrong with that


RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


class HealthLine(Record, frozen=True):
    """One thing that was looked at. Texts may hold text from outside."""

    area: str
    subject: str  # "backend", "/var/lib/docker"
    verdict: Verdict
    looked_at: str  # what was looked at, and how
    number: str = ""  # what was found
    limit: str = ""  # what it is compared with
    action: str = ""  # what to do; "" when well
    silenced_until: datetime | None = None  # somebody knows of it: it does not count till then

    @property
    def counts(self) -> bool:
        """Whether somebody has to see to it."""
        return self.verdict not in (Verdict.WELL, Verdict.NOTHING) and self.silenced_until is None


class Health(Record, frozen=True):
    """Every line, by area."""

    stack: str
    sampled_at: datetime
    verdict: Verdict  # of the worst line
    exit_code: int
    lines: tuple[HealthLine, ...]


def exit_code(snapshot: Snapshot, lines: tuple[HealthLine, ...]) -> int:
    """0 all well or silenced, 1 something needs attention or is not known, 2 engine or stack could not be looked at."""
    engine = snapshot.readings.get("engine")
    if snapshot.stack is None or engine is None or engine.state is not SourceState.OK:
        return COULD_NOT_LOOK
    return NEEDS_ATTENTION if any(line.counts for line in lines) else ALL_WELL


def unseen(snapshot: Snapshot, source: str, area: str, looked_at: str) -> Iterator[HealthLine]:
    """The line of a source that has failed, or has not answered; none when what it told is of now.

    What it told before is old: the lines made from that say less than this one does.
    """
    reading = snapshot.readings.get(source, Reading(source=source))
    if reading.state is SourceState.FAILED:
        problem, action = reading.problem or "no answer", reading.hint or "run opsconsole doctor"
    elif reading.state is SourceState.WAITING:
        problem, action = "no answer yet", "wait longer: --timeout, or F5 in the console"
    else:
        return
    yield HealthLine(
        area=area, subject=area, verdict=Verdict.UNKNOWN, looked_at=looked_at, number=problem, action=action
    )


def is_fresh(snapshot: Snapshot, source: str) -> bool:
    reading = snapshot.readings.get(source)
    return reading is not None and reading.state in (SourceState.OK, SourceState.ABSENT)


def spoken(seconds: float) -> str:
    """`46 ms`, `12 s`, `3 min`, `26 h`, `9 days`."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 3 * 86400)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}" if seconds >= 10 * length else f"{seconds / length:.2g} {unit}"
    return f"{seconds / 86400:.0f} days"
