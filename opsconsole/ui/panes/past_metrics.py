"""What the metrics were: the ranges, and the reading of one. Blocks: never on the event loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from opsconsole.metrics.records import Course, Event, EventKind, Series
from opsconsole.model import Record, SourceError

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

STEPS = 360
"""Steps of a course: more than a chart has columns on most screens, so that each of these is one of its own."""

MOST_CONTAINERS = 12
_TO_COMPARE = 20  # steps are enough to see which containers are the busiest
_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(minutes=1)


class Range(Record, frozen=True):
    """One of the ranges on the keys. Those that the logs have, too, are on the same keys."""

    key: str
    name: str
    span: timedelta
    tick: timedelta  # between two times under a chart, where there is room


RANGES = {
    5: Range(key="5", name="1 hour", span=timedelta(hours=1), tick=timedelta(minutes=15)),
    6: Range(key="6", name="24 hours", span=timedelta(hours=24), tick=timedelta(hours=6)),
    7: Range(key="7", name="7 days", span=timedelta(days=7), tick=timedelta(days=1)),
}

_NAMES = (
    "host_cpu_percent",
    "host_memory_percent",
    "host_disk_percent",
    "host_disk_read_bytes_per_second",
    "host_disk_written_bytes_per_second",
    "host_network_received_bytes_per_second",
    "host_network_sent_bytes_per_second",
    "mongodb_operations_per_second",
    "mongodb_connections",
    "redis_operations_per_second",
    "redis_memory_bytes",
    "endpoint_latency_seconds",
    "endpoint_up",
)
_OF_CONTAINERS = ("container_cpu_percent", "container_memory_bytes")


class Kept(Protocol):
    """What has kept metrics: the store's reader, or the demo."""

    def courses(
        self,
        names: Sequence[str],
        since: datetime,
        until: datetime,
        *,
        steps: int,
        among: Callable[[Series], bool] = ...,
    ) -> tuple[Course, ...]: ...

    def events(
        self, since: datetime, until: datetime, *, kinds: Collection[EventKind] = (), most: int = 1000
    ) -> tuple[Event, ...]: ...


def kept_metrics(app: ConsoleApp) -> Kept | None:
    """Where metrics are kept: beside the stack, or made up for the demo."""
    made_up: Kept | None = getattr(app.monitor and app.sources, "kept", None)
    if made_up is not None or app.operating.site is None:
        return made_up
    from opsconsole.metrics import MetricsReader, metrics_file

    return MetricsReader(metrics_file(app.operating.site.directory))


class Past(Record, frozen=True):
    """One range as it was read. `containers`: how many there are, of which the busiest are among the courses."""

    range: Range
    since: datetime
    until: datetime
    courses: dict[str, tuple[Course, ...]] = {}
    containers: int = 0
    problem: str = ""

    @property
    def stale_after(self) -> timedelta:
        """When it is worth to read it again: a chart of a week does not change within a minute."""
        return min(_LONGEST, max(_SHORTEST, self.range.span / STEPS))

    def of(self, name: str) -> tuple[Course, ...]:
        return self.courses.get(name, ())


def read_past(kept: Kept | None, wanted: Range, now: datetime) -> Past:
    """Never raises: what is wrong stands in it."""
    past = Past(range=wanted, since=now - wanted.span, until=now)
    if kept is None:
        return msgspec.structs.replace(past, problem="No metrics are kept of this stack.")
    try:
        found = kept.courses(_NAMES, past.since, now, steps=STEPS)
        busy = kept.courses(_OF_CONTAINERS[:1], past.since, now, steps=_TO_COMPARE)
        names = {course.series.label("container") for course in sorted(busy, key=_mean, reverse=True)[:MOST_CONTAINERS]}
        found += kept.courses(
            _OF_CONTAINERS, past.since, now, steps=STEPS, among=lambda series: series.label("container") in names
        )
    except SourceError as error:
        hint = f" {error.hint}" if error.hint else ""
        return msgspec.structs.replace(past, problem=f"{error.problem[:1].upper()}{error.problem[1:]}.{hint}")
    courses: dict[str, tuple[Course, ...]] = {}
    for course in found:
        courses[course.series.name] = (*courses.get(course.series.name, ()), course)
    problem = "" if found else "Nothing was measured in this time."
    return msgspec.structs.replace(past, courses=courses, containers=len(busy), problem=problem)


def _mean(course: Course) -> float:
    known = [point for point in course.points if point is not None]
    return sum(point.mean for point in known) / len(known) if known else 0.0
