"""A Snapshot as numbers. Pure; what is not known, or known no longer, is left out: a gap is drawn as a gap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from opsconsole.metrics.records import Value
from opsconsole.model import (
    AlertState,
    BackupState,
    Container,
    HostSample,
    MongoStatus,
    Probe,
    RedisStatus,
    Severity,
    Snapshot,
    SourceState,
)

STALE = timedelta(seconds=90)
"""What a source said longer ago is not what is so now. The slowest of those that are measured is asked every 60 s."""

MOST_COLLECTIONS = 50
"""Of a server, the largest ones: a server may have thousands, and each is two series."""

_Found = Iterable[tuple[str, float | int | None]]


def measure(snapshot: Snapshot) -> tuple[Value, ...]:
    """The numbers of this moment, by the names of `metrics.catalogue`; none before a source has answered."""
    found = tuple(_all(snapshot))
    return (*found, *_alerts(snapshot)) if found else ()


def silent(snapshot: Snapshot) -> tuple[str, ...]:
    """Sources that should have said something and did not: their names as in `Snapshot.readings`."""
    wanted = ("engine", "usage", "host", "databases", "probes", "backups")
    return tuple(
        name
        for name in wanted
        if (reading := snapshot.readings.get(name)) is not None
        and reading.state in (SourceState.FAILED, SourceState.WAITING)
    )


def _all(snapshot: Snapshot) -> Iterator[Value]:
    now = snapshot.sampled_at
    if snapshot.host is not None and _fresh(snapshot, "host"):
        yield from _host(snapshot.host)
    if _fresh(snapshot, "engine"):
        for container in snapshot.containers:
            yield from _container(container, usage=_fresh(snapshot, "usage"))
    if _fresh(snapshot, "databases"):
        for status in snapshot.databases:
            yield from _mongodb(status) if isinstance(status, MongoStatus) else _redis(status)
    if _fresh(snapshot, "probes"):
        for probe in snapshot.probes:
            yield from _endpoint(probe)
    if _fresh(snapshot, "access"):
        for rate in snapshot.access:
            if rate.requests:
                found = [("access_error_percent", 100 * rate.errors / rate.requests)]
                yield from _values(found, service=rate.service)
    if _fresh(snapshot, "backups"):
        yield from _backup(snapshot, now)


def _alerts(snapshot: Snapshot) -> Iterator[Value]:
    for severity in Severity:
        firing = [one for one in snapshot.alerts if one.state is AlertState.FIRING and one.severity is severity]
        yield from _values([("alerts_firing", len(firing))], severity=severity.value)


def _fresh(snapshot: Snapshot, source: str) -> bool:
    reading = snapshot.readings.get(source)
    if reading is None or reading.state is not SourceState.OK or reading.sampled_at is None:
        return False
    return snapshot.sampled_at - reading.sampled_at < STALE


def _values(found: _Found, **labels: str) -> Iterator[Value]:
    marks = tuple(sorted(labels.items()))
    for name, value in found:
        if value is not None:
            yield Value(name=name, value=float(value), labels=marks)


def _share(part: float | None, whole: float | None) -> float | None:
    return 100 * part / whole if part is not None and whole else None


def _host(host: HostSample) -> Iterator[Value]:
    load = host.load or (None, None, None)
    yield from _values(
        [
            ("host_cpu_percent", host.cpu_percent),
            ("host_iowait_percent", host.iowait_percent),
            ("host_steal_percent", host.steal_percent),
            ("host_load1", load[0]),
            ("host_load5", load[1]),
            ("host_load15", load[2]),
            ("host_memory_percent", host.memory_percent),
            ("host_memory_used_bytes", host.memory_used),
            ("host_memory_available_bytes", host.memory_available),
            ("host_swap_used_bytes", host.swap_used),
            ("host_disk_read_bytes_per_second", host.disk_read_rate),
            ("host_disk_written_bytes_per_second", host.disk_write_rate),
            ("host_network_received_bytes_per_second", host.network_received_rate),
            ("host_network_sent_bytes_per_second", host.network_sent_rate),
        ]
    )
    for disk in host.disks:
        used = None if disk.inodes_free is None else (disk.inodes_total or 0) - disk.inodes_free
        yield from _values(
            [
                ("host_disk_percent", disk.used_percent),
                ("host_disk_used_bytes", disk.used_bytes),
                ("host_disk_free_bytes", disk.free_bytes),
                ("host_inodes_percent", _share(used, disk.inodes_total)),
            ],
            mount=disk.mount,
        )


def _container(container: Container, *, usage: bool) -> Iterator[Value]:
    health = {"healthy": 1, "unhealthy": 0}.get(container.health)
    found: list[tuple[str, float | int | None]] = [
        ("container_up", 1 if container.state == "running" else 0),
        ("container_healthy", health if container.state == "running" else None),
        ("container_restarts", container.restarts),
    ]
    if container.usage is not None and usage:
        used = container.usage
        found += [
            ("container_cpu_percent", used.cpu_percent),
            ("container_memory_bytes", used.memory_bytes),
            ("container_memory_percent", _share(used.memory_bytes, used.memory_limit)),
            ("container_read_bytes_per_second", used.block_read_rate),
            ("container_written_bytes_per_second", used.block_written_rate),
            ("container_received_bytes_per_second", used.network_received_rate),
            ("container_sent_bytes_per_second", used.network_sent_rate),
        ]
    # By name, not by id: a container that was made anew goes on where the one before ended.
    yield from _values(found, container=container.name, service=container.service)


def _mongodb(status: MongoStatus) -> Iterator[Value]:
    server = status.target.name
    if not status.reachable:
        yield from _values([("mongodb_up", 0)], server=server)
        return
    open_, left = status.connections, status.connections_available
    lags = [member.lag_seconds for member in status.members if member.lag_seconds is not None]
    yield from _values(
        [
            ("mongodb_up", 1),
            ("mongodb_connections", open_),
            ("mongodb_connections_percent", _share(open_, None if left is None else (open_ or 0) + left)),
            ("mongodb_operations_per_second", sum(status.operations.values()) if status.operations else None),
            ("mongodb_resident_bytes", status.memory_resident),
            ("mongodb_cache_percent", _share(status.cache_used, status.cache_total)),
            ("mongodb_oplog_seconds", status.oplog_seconds),
            ("mongodb_lag_seconds", max(lags, default=None)),
            ("mongodb_latency_seconds", status.latency_seconds),
            ("mongodb_slow_operations", None if status.slow is None else len(status.slow)),
            (
                "mongodb_longest_operation_seconds",
                None if status.slow is None else max((one.seconds for one in status.slow), default=0.0),
            ),
        ],
        server=server,
    )
    for database in status.databases:
        yield from _values(
            [
                ("mongodb_data_bytes", database.data_bytes),
                ("mongodb_storage_bytes", database.storage_bytes),
                ("mongodb_index_bytes", database.index_bytes),
            ],
            server=server,
            database=database.name,
        )
    yield from _collections(status)


def _collections(status: MongoStatus) -> Iterator[Value]:
    known = [(database.name, one) for database in status.databases for one in database.collections]
    known = [(name, one) for name, one in known if one.data_bytes is not None]
    for name, one in sorted(known, key=lambda pair: -(pair[1].data_bytes or 0))[:MOST_COLLECTIONS]:
        found = [("mongodb_collection_bytes", one.data_bytes), ("mongodb_collection_documents", one.documents)]
        yield from _values(found, server=status.target.name, database=name, collection=one.name)


def _redis(status: RedisStatus) -> Iterator[Value]:
    server = status.target.name
    if not status.reachable:
        yield from _values([("redis_up", 0)], server=server)
        return
    yield from _values(
        [
            ("redis_up", 1),
            ("redis_memory_bytes", status.memory_used),
            ("redis_memory_percent", _share(status.memory_used, status.memory_limit)),
            ("redis_clients", status.clients),
            ("redis_evicted_keys", status.evicted_keys),
            ("redis_hit_percent", status.hit_rate_percent),
            ("redis_operations_per_second", status.operations_per_second),
            ("redis_keys", sum(keyspace.keys for keyspace in status.keyspaces)),
            ("redis_latency_seconds", status.latency_seconds),
        ],
        server=server,
    )


def _endpoint(probe: Probe) -> Iterator[Value]:
    if probe.ok is None:
        return
    yield from _values(
        [
            ("endpoint_up", 1 if probe.ok else 0),
            ("endpoint_status", probe.status),
            ("endpoint_latency_seconds", probe.latency_seconds),
            ("endpoint_error_percent", _share(probe.errors, probe.requests)),
        ],
        endpoint=probe.endpoint.name,
    )


def _backup(snapshot: Snapshot, now: datetime) -> Iterator[Value]:
    good = [backup for backup in snapshot.backups if backup.state is BackupState.GOOD and not backup.in_future]
    newest = max(good, key=lambda backup: backup.taken_at, default=None)
    if newest is not None:
        age = max(0.0, (now - newest.taken_at).total_seconds())
        yield from _values([("backup_age_seconds", age), ("backup_size_bytes", newest.size_bytes)])
