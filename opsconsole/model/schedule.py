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


class Schedule(Record, frozen=True):
    """What is done by itself, and whether it is."""

    installed: tuple[str, ...] = ()  # "systemd timer", "crontab"; () when nothing is
    ticked: datetime | None = None
    next_kind: str = ""
    next_at: datetime | None = None
    last: tuple[ScheduledRun, ...] = ()
    problems: tuple[str, ...] = ()  # one line each
