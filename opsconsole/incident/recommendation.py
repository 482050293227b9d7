"""What the matrix answers with: an issue, what speaks for it and against it, and the ways that can be gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from opsconsole.model import Record
from opsconsole.text import printable

MOST = 4  # names in one line; twice as many lines


class Issue(StrEnum):
    """The lines of the matrix, as the runbook calls them."""

    DATA = "data corruption or loss"
    INFRASTRUCTURE = "infrastructure failure"
    CONFIGURATION = "configuration error"
    CODE = "bad deploy"
    PERFORMANCE = "performance degradation"
    FAILURE = "a failure that no rollback mends"


ANSWERS = {
    Issue.DATA: "data rollback",
    Issue.INFRASTRUCTURE: "manual recovery, or emergency stop",
    Issue.CONFIGURATION: "configuration rollback",
    Issue.CODE: "code rollback",
    Issue.PERFORMANCE: "soft restart",
    Issue.FAILURE: "soft restart of what fails",
}

NO_RESTART = "by hand: a restart cannot help"
"""To a performance degradation that comes from beside the stack, or comes back with the data."""


class Way(Record, frozen=True):
    """One thing that can be done. `what` is the request whose plan is shown, "" for what is done by hand."""

    label: str
    command: str  # as it is typed
    what: str = ""
    services: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()  # of a restore: these only
    parts: tuple[str, ...] = ()  # of a restore: these only
    backup: str = ""  # of a restore: this one; "" for the newest good one
    to: str = ""  # of a rollback: this release; "" for the one before


class Recommendation(Record, frozen=True):
    """A line of the matrix that fits. `against` is what speaks against it, or what it costs."""

    issue: Issue
    answer: str
    evidence: tuple[str, ...]
    against: tuple[str, ...]
    ways: tuple[Way, ...]
    weight: int = 0  # how much speaks for it


def made(issue: Issue, said: Sequence[str], against: Sequence[str], ways: Sequence[Way], weight: int) -> Recommendation:
    return Recommendation(
        issue=issue,
        answer=ANSWERS[issue],
        evidence=bounded(said),
        against=bounded(against),
        ways=tuple(ways),
        weight=weight,
    )


def bounded(lines: Sequence[str]) -> tuple[str, ...]:
    own = list(dict.fromkeys(printable(line) for line in lines if line))
    most = 2 * MOST
    return (*own[:most], f"and {len(own) - most} more") if len(own) > most else tuple(own)


def aged(then: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - then).total_seconds())
    for unit, length, least in (("d", 86_400, 2), ("h", 3600, 2), ("min", 60, 1)):
        if seconds >= length * least:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def some(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(name for name in names if name))
    more = len(known) - MOST
    return ", ".join(known[:MOST]) + (f" and {more} more" if more > 0 else "")
