"""Alerts: what is wrong, since when, how bad."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from opsconsole.model.record import Record


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    PENDING = "pending"  # true, but not yet for as long as the rule asks
    FIRING = "firing"
    RESOLVED = "resolved"  # fired and is over; shown for a while


class Acknowledgement(Record, frozen=True):
    """Somebody has seen an alert and sees to it. It ends with the alert, and when the alert gets worse."""

    who: str
    at: datetime
    note: str = ""


class Silence(Record, frozen=True):
    """Nobody is told of these alerts for a while; they are shown as before, as silenced."""

    rule: str  # "*" for all
    subject: str  # "*" for all
    until: datetime
    who: str
    at: datetime
    note: str = ""


class Alert(Record, frozen=True):
    rule: str  # e.g. "cpu", "disk", "backup-age", "container-down", or a rule of the settings
    subject: str  # what it is about: "/", "backend", "host"
    severity: Severity
    state: AlertState
    since: datetime  # when the state began
    message: str  # one line with the number and the limit
    action: str = ""  # what to do
    value: float | None = None
    limit: float | None = None
    acknowledged: Acknowledgement | None = None
    silenced: Silence | None = None
    unseen_since: datetime | None = None  # it still fires, and since then no look has found it: it is about to be over
