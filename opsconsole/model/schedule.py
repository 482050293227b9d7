"""What is done by itself, and when."""

from __future__ import annotations

from datetime import datetime

from opsconsole.model.record import Record


class ScheduledRun(Record, frozen=True):
    """The last attempt of one kind: "backup", "incremental", "verify", "prune"."""

    kind: str
    began: datetime
    outcome: str  # "done", "failed", "begun", "refused", "given up"
    problem: str = ""


class Proof(Record, frozen=True):
    """What the last `verify-persistence` found."""

    at: datetime
    percent: int  # of its points; 100: nothing is missing
    missing: tuple[str, ...] = ()  # what was not proven, one line each


class Schedule(Record, frozen=True):
    """What is done by itself, whether it is, and what was last proven of it."""

    installed: tuple[str, ...] = ()  # "systemd timer", "crontab"; () when nothing is
    ticked: datetime | None = None
    next_kind: str = ""
    next_at: datetime | None = None
    last: tuple[ScheduledRun, ...] = ()
    problems: tuple[str, ...] = ()  # one line each
    proof: Proof | None = None  # of persistence; None: it was never verified
