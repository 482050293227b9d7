"""What is put into the store of metrics and what comes out of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from opsconsole.model import Record, SourceError

Labels = tuple[tuple[str, str], ...]
"""Name and value of each label, sorted by name: two orders of the same labels are one series."""

CONSOLE, COLLECTOR = 0, 1
"""Ranks of those who sample: a collector takes the lease from a console, never the other way round."""


class NotStored(SourceError):
    """Nothing of this was stored, and what was there before is as it was: the disk is full, or closed to us."""


class EventKind(StrEnum):
    """What happened. `subject` and `facts` of each kind:"""

    STARTED = "container-started"  # subject: service or container; facts: container, image
    DIED = "container-died"  # facts: container, exit_code
    OOM = "container-oom"  # the kernel killed one of its processes; facts: container
    HEALTH = "container-health"  # facts: container, health (healthy, unhealthy, starting)
    PROBE = "probe"  # an endpoint began to fail, or answers again; facts: ok ("yes", "no"), status, problem
    SLOW = "slow-operation"  # subject: server of MongoDB; facts: seconds (at least), kind, namespace, plan, application
    ALERT_PENDING = "alert-pending"  # subject: rule and subject of the alert; facts: rule, subject, severity, message
    ALERT_FIRING = "alert-firing"
    ALERT_RESOLVED = "alert-resolved"
    ALERT_ACKNOWLEDGED = "alert-acknowledged"  # facts: also who, note
    ALERT_SILENCED = "alert-silenced"  # facts: also who, until, note
    ALERT_TOLD = "alert-told"  # facts: also way, problem ("" when it arrived)
    OPERATION_BEGAN = "operation-began"  # subject: kind of operation; facts: operation (id), who
    OPERATION_ENDED = "operation-ended"  # facts: also result
    COLLECTOR_STARTED = "collector-started"  # subject: host
    COLLECTOR_STOPPED = "collector-stopped"
    NOTE = "note"  # what an operator wrote


class Series(Record, frozen=True):
    """A measure of one thing. Names and units are listed in `metrics.catalogue`."""

    name: str
    labels: Labels = ()

    def label(self, name: str) -> str:
        """ "" when it has none of this name."""
        return dict(self.labels).get(name, "")


class Value(Record, frozen=True):
    """One number of a sample. NaN and infinities are not stored."""

    name: str
    value: float
    labels: Labels = ()


class Point(Record, frozen=True):
    """What was measured in one step of a course."""

    low: float
    mean: float
    high: float
    count: int


class Course(Record, frozen=True):
    """A series over time in steps of equal length, oldest first. None: nothing was measured in this step."""

    series: Series
    begins: datetime
    step_seconds: int
    points: tuple[Point | None, ...]


class Latest(Record, frozen=True):
    series: Series
    at: datetime
    value: float


class Event(Record, frozen=True):
    """Something that happened. `key` names it, so that two who saw it store it once; "" for no such name."""

    at: datetime
    kind: EventKind
    subject: str = ""
    text: str = ""  # one line
    facts: dict[str, str] = {}
    key: str = ""


class Lease(Record, frozen=True):
    """Who samples now, so that two do not measure the same thing twice."""

    holder: str  # "web1 pid 4711"
    rank: int
    taken_at: datetime
    expires_at: datetime


class Stored(Record, frozen=True):
    """How much is kept, for `collect status`."""

    size_bytes: int = 0  # of the database, its log of changes with it
    series: int = 0
    events: int = 0
    samples: int = 0  # slots
    oldest: datetime | None = None
    newest: datetime | None = None
    oldest_minute: datetime | None = None
    oldest_hour: datetime | None = None
