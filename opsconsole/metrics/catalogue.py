"""The names of what is measured, with units: what alert rules of one's own, charts and OpenMetrics speak of.

A name says its unit at its end. "percent" is 0 to 100 (a container's CPU may pass 100 on several cores).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"  # only grows, but for a restart of what counts


class Measure(NamedTuple):
    name: str
    help: str  # one sentence without a line break
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE
    hourly: bool = False  # kept once an hour: it changes slowly, and there are many of it


_COLLECTION = ("server", "database", "collection")

_MEASURES = (
    Measure("host_cpu_percent", "CPU of the host in use, all cores together."),
    Measure("host_iowait_percent", "Time the CPUs waited for disks."),
    Measure("host_steal_percent", "Time the hypervisor gave to others."),
    Measure("host_load1", "Load average over one minute."),
    Measure("host_load5", "Load average over five minutes."),
    Measure("host_load15", "Load average over fifteen minutes."),
    Measure("host_memory_percent", "Memory in use without caches."),
    Measure("host_memory_used_bytes", "Memory in use without caches."),
    Measure("host_memory_available_bytes", "Memory that programs can still get."),
    Measure("host_swap_used_bytes", "Swap in use."),
    Measure("host_disk_percent", "Space of a disk in use.", ("mount",)),
    Measure("host_disk_used_bytes", "Space of a disk in use.", ("mount",)),
    Measure("host_disk_free_bytes", "Space of a disk that is free for an ordinary user.", ("mount",)),
    Measure("host_inodes_percent", "Inodes of a disk in use.", ("mount",)),
    Measure("host_disk_read_bytes_per_second", "Read from all disks."),
    Measure("host_disk_written_bytes_per_second", "Written to all disks."),
    Measure("host_network_received_bytes_per_second", "Received over all interfaces."),
    Measure("host_network_sent_bytes_per_second", "Sent over all interfaces."),
    Measure("container_up", "1 while the container runs.", ("container", "service")),
    Measure("container_healthy", "1 when its healthcheck passes, 0 when it fails.", ("container", "service")),
    Measure("container_cpu_percent", "CPU of a container, of one core.", ("container", "service")),
    Measure("container_memory_bytes", "Memory of a container without the page cache.", ("container", "service")),
    Measure("container_memory_percent", "Memory of a container, of its own limit.", ("container", "service")),
    Measure("container_restarts", "Restarts by the engine.", ("container", "service"), Kind.COUNTER),
    Measure("container_read_bytes_per_second", "Read from disks by a container.", ("container", "service")),
    Measure("container_written_bytes_per_second", "Written to disks by a container.", ("container", "service")),
    Measure("container_received_bytes_per_second", "Received by a container.", ("container", "service")),
    Measure("container_sent_bytes_per_second", "Sent by a container.", ("container", "service")),
    Measure("mongodb_up", "1 when the server answers and lets us in.", ("server",)),
    Measure("mongodb_connections", "Open connections.", ("server",)),
    Measure("mongodb_connections_percent", "Open connections, of those that the server takes.", ("server",)),
    Measure("mongodb_operations_per_second", "Operations of all kinds.", ("server",)),
    Measure("mongodb_resident_bytes", "Memory of the server.", ("server",)),
    Measure("mongodb_cache_percent", "Cache of the storage engine in use.", ("server",)),
    Measure("mongodb_oplog_seconds", "How far the oplog reaches back.", ("server",)),
    Measure("mongodb_lag_seconds", "How far the slowest member is behind.", ("server",)),
    Measure("mongodb_latency_seconds", "How long an answer to our ping takes.", ("server",)),
    Measure("mongodb_slow_operations", "Operations of clients that run for a second and more.", ("server",)),
    Measure("mongodb_longest_operation_seconds", "How long the longest of them runs; 0 without one.", ("server",)),
    Measure("mongodb_data_bytes", "Data of a database, uncompressed.", ("server", "database")),
    Measure("mongodb_storage_bytes", "Data of a database on the disk.", ("server", "database")),
    Measure("mongodb_index_bytes", "Indexes of a database on the disk.", ("server", "database")),
    Measure("mongodb_collection_bytes", "Documents of a collection, uncompressed.", _COLLECTION, hourly=True),
    Measure("mongodb_collection_documents", "Documents in a collection.", _COLLECTION, hourly=True),
    Measure("redis_up", "1 when the server answers and lets us in.", ("server",)),
    Measure("redis_memory_bytes", "Memory of the data.", ("server",)),
    Measure("redis_memory_percent", "Memory of the data, of maxmemory.", ("server",)),
    Measure("redis_clients", "Connected clients.", ("server",)),
    Measure("redis_evicted_keys", "Keys that were thrown away for want of memory.", ("server",), Kind.COUNTER),
    Measure("redis_hit_percent", "Reads that found their key, since the server started.", ("server",)),
    Measure("redis_operations_per_second", "Commands of all kinds.", ("server",)),
    Measure("redis_keys", "Keys in all databases.", ("server",)),
    Measure("redis_latency_seconds", "How long an answer to our ping takes.", ("server",)),
    Measure("endpoint_up", "1 when the health endpoint answers as it should.", ("endpoint",)),
    Measure("endpoint_status", "HTTP status of the last answer.", ("endpoint",)),
    Measure("endpoint_latency_seconds", "How long the last answer took.", ("endpoint",)),
    Measure("endpoint_error_percent", "Answers of the last five minutes that failed.", ("endpoint",)),
    Measure("access_error_percent", "Answers 5xx in the access log of the last five minutes.", ("service",)),
    Measure("backup_age_seconds", "Age of the newest good backup."),
    Measure("backup_size_bytes", "Size of the newest good backup."),
    Measure("alerts_firing", "Alerts that fire now.", ("severity",)),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _MEASURES}
"""Everything that is measured, by name, in an order that reads well."""
