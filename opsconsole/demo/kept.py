"""What a collector would have kept of the simulated stack: the same curves, weeks back, with a hole in last night."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from opsconsole.demo.databases import DemoDatabases
from opsconsole.demo.decided import past_alerts
from opsconsole.demo.engine import cpu_of, memory_of
from opsconsole.demo.fleet import Fleet
from opsconsole.demo.host import DemoHost
from opsconsole.demo.noise import business
from opsconsole.demo.probes import DemoProbes
from opsconsole.demo.stack import ENDPOINTS, MONGODB, TARGETS
from opsconsole.metrics.records import Course, Event, EventKind, Point, Series

_HOLE = (9.4 * 3600, 7.8 * 3600)  # seconds before the demo began: the server was down for its updates
_SHORTEST = 10
_SAMPLES = 3  # of a curve for each step

Curve = Callable[[float], float]


class DemoKept:
    """See `MetricsReader`."""

    def __init__(self, fleet: Fleet, host: DemoHost, databases: DemoDatabases, probes: DemoProbes) -> None:
        self._fleet = fleet
        self._curves = dict(_curves(fleet, host, databases, probes))
        self._born = {member.base.name: member.born for member in fleet.members}

    def events(
        self, since: datetime, until: datetime, *, kinds: Collection[EventKind] = (), most: int = 1000
    ) -> tuple[Event, ...]:
        found = past_alerts(self._fleet.anchor)
        return tuple(one for one in found if since <= one.at <= until and (not kinds or one.kind in kinds))[-most:]

    def courses(
        self,
        names: Sequence[str],
        since: datetime,
        until: datetime,
        *,
        steps: int,
        among: Callable[[Series], bool] = lambda series: True,
    ) -> tuple[Course, ...]:
        begin, end = since.timestamp(), until.timestamp()
        width = max(_SHORTEST, -int(-(end - begin) // steps))
        first = int(begin // width * width)
        count = int(-((first - end) // width))
        return tuple(
            Course(
                series=series,
                begins=datetime.fromtimestamp(first, UTC),
                step_seconds=width,
                points=tuple(
                    self._point(curve, first + number * width, width, self._born.get(series.label("container"), 0.0))
                    for number in range(count)
                ),
            )
            for series, curve in self._curves.items()
            if series.name in names and among(series)
        )

    def _point(self, curve: Curve, at: float, width: int, born: float) -> Point | None:
        if at < born or _HOLE[1] < self._fleet.anchor - at < _HOLE[0]:
            return None
        values = [curve(at + width * part / _SAMPLES) for part in range(_SAMPLES)]
        return Point(low=min(values), mean=sum(values) / len(values), high=max(values), count=max(1, width // 10))


def _curves(fleet: Fleet, host: DemoHost, databases: DemoDatabases, probes: DemoProbes) -> list[tuple[Series, Curve]]:
    present = {member.service for member in fleet.members}
    found: list[tuple[Series, Curve]] = [
        (Series(name="host_cpu_percent"), host.cpu),
        (Series(name="host_memory_percent"), host.memory),
        (Series(name="host_disk_read_bytes_per_second"), host.disk_read),
        (Series(name="host_disk_written_bytes_per_second"), host.disk_write),
        (Series(name="host_network_received_bytes_per_second"), host.network_received),
        (Series(name="host_network_sent_bytes_per_second"), host.network_sent),
    ]
    found += [
        (Series(name="host_disk_percent", labels=(("mount", mount),)), curve) for mount, curve in host.disks_used()
    ]
    for target in TARGETS:
        if target.service in present:
            labels = (("server", target.name),)
            name = f"{target.kind}_operations_per_second"
            found.append((Series(name=name, labels=labels), lambda at, target=target: databases.rate(target, at)))  # type: ignore[misc]
            if target == MONGODB:
                found.append((Series(name="mongodb_connections", labels=labels), lambda at: 58 + 22 * business(at)))
    for endpoint in ENDPOINTS:
        if endpoint.service in present:
            labels = (("endpoint", endpoint.name),)
            found.append(
                (
                    Series(name="endpoint_latency_seconds", labels=labels),
                    lambda at, endpoint=endpoint: probes.latency(endpoint, at),  # type: ignore[misc]
                )
            )
            found.append(
                (
                    Series(name="endpoint_up", labels=labels),
                    lambda at, endpoint=endpoint: 1.0 if probes.answered(endpoint, at) else 0.0,  # type: ignore[misc]
                )
            )
    for member in fleet.members:
        if member.ended is None:
            both = (("container", member.base.name), ("service", member.service))
            found.append(
                (
                    Series(name="container_cpu_percent", labels=both),
                    lambda at, member=member: cpu_of(member, at, 0.55 + 0.6 * business(at)),  # type: ignore[misc]
                )
            )
            found.append(
                (
                    Series(name="container_memory_bytes", labels=both),
                    lambda at, member=member: float(memory_of(member, at)),  # type: ignore[misc]
                )
            )
    return found
