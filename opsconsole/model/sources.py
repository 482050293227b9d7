"""How fresh what each source says is, and what is wrong with it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from opsconsole.model.record import Record


class SourceError(Exception):
    """A source could not be read. `problem` is one line: what happened; `hint` is what to do about it.

    `absent` says that there is nothing to look at (no Redis in this stack), which is not a fault. A command that ends
    with it has `exit_code`.
    """

    exit_code = 2

    def __init__(self, problem: str, hint: str = "", *, absent: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.absent = absent


class SourceState(StrEnum):
    WAITING = "waiting"  # has not answered yet
    OK = "ok"
    FAILED = "failed"  # the last data stays, with its age
    ABSENT = "absent"  # nothing there to look at


SOURCE_WORDS = {
    "engine": "the engine",
    "describe": "the engine",
    "stack": "the stack's files",
    "usage": "container usage",
    "volumes": "the list of volumes",
    "sizes": "volume sizes",
    "host": "the host",
    "databases": "the databases",
    "probes": "the health endpoints",
    "access": "the access logs",
    "patterns": "the log patterns",
    "backups": "the backup directory",
    "counts": "the earlier counts of data",
    "schedule": "the schedule",
}
"""What an operator calls each source (the keys of `Snapshot.readings`)."""

BEHIND_THE_ENGINE = frozenset({"describe", "usage", "volumes", "sizes", "access", "patterns"})
"""Sources that fail with the engine: when it is away, naming it is enough."""


class Reading(Record, frozen=True):
    """How fresh one source's part of the Snapshot is, and what is wrong with it if something is."""

    source: str
    state: SourceState = SourceState.WAITING
    sampled_at: datetime | None = None  # last time it answered
    problem: str = ""
    hint: str = ""
    failing_since: datetime | None = None
    retry_at: datetime | None = None
