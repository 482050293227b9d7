"""From counters to rates: what a container has used in all, read twice, is what it uses now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opsconsole.model import Usage
from opsconsole.sources.engine_parse import parse_time


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the container's start. `tick` is in seconds on any clock, the same one for every sample."""

    at: datetime
    tick: float
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_limit: int | None = None
    network_received: int | None = None
    network_sent: int | None = None
    block_read: int | None = None
    block_written: int | None = None
    processes: int | None = None


def usage_between(before: Counters | None, now: Counters) -> Usage:
    """What `now` says, with rates since `before`. No rate without a `before`, or where a total has shrunk: the
    container was started again in between."""
    elapsed = now.tick - before.tick if before else 0.0

    def rate(name: str) -> float | None:
        first, last = getattr(before, name, None), getattr(now, name)
        if first is None or last is None or elapsed <= 0 or last < first:
            return None
        return float(last - first) / elapsed

    cpu = rate("cpu_seconds")
    return Usage(
        sampled_at=now.at,
        cpu_percent=None if cpu is None else cpu * 100,
        memory_bytes=now.memory_bytes,
        memory_limit=now.memory_limit,
        network_received=now.network_received,
        network_sent=now.network_sent,
        network_received_rate=rate("network_received"),
        network_sent_rate=rate("network_sent"),
        block_read=now.block_read,
        block_written=now.block_written,
        block_read_rate=rate("block_read"),
        block_written_rate=rate("block_written"),
        processes=now.processes,
    )


def from_stats(raw: Mapping[str, Any], host_memory: int | None) -> tuple[Counters | None, Counters] | None:
    """`GET /containers/{id}/stats`: the engine's own earlier sample (CPU only) and this one. None when it does not run.

    The engine names the host's memory as the limit of a container without one.
    """
    read = parse_time(raw.get("read"))
    cpu = _part(raw, "cpu_stats", "cpu_usage").get("total_usage")
    memory = _part(raw, "memory_stats")
    if read is None or not (memory.get("usage") or cpu):
        return None
    limit = memory.get("limit")
    unlimited = not limit or limit >= 1 << 60 or (host_memory is not None and limit >= host_memory)
    networks = [entry for entry in _part(raw, "networks").values() if isinstance(entry, Mapping)]
    now = Counters(
        at=datetime.now(UTC),
        tick=read.timestamp(),
        cpu_seconds=None if cpu is None else cpu / 1e9,
        memory_bytes=_memory_in_use(memory),
        memory_limit=None if unlimited else limit,
        network_received=sum(entry.get("rx_bytes", 0) for entry in networks) if networks else None,
        network_sent=sum(entry.get("tx_bytes", 0) for entry in networks) if networks else None,
        block_read=_block_bytes(raw, "read"),
        block_written=_block_bytes(raw, "write"),
        processes=_part(raw, "pids_stats").get("current"),
    )
    earlier = parse_time(raw.get("preread"))
    cpu_before = _part(raw, "precpu_stats", "cpu_usage").get("total_usage")
    if earlier is None or not cpu_before:
        return None, now
    return Counters(at=earlier, tick=earlier.timestamp(), cpu_seconds=cpu_before / 1e9), now


def _memory_in_use(memory: Mapping[str, Any]) -> int | None:
    """Without the page cache that the kernel gives back at once, as `docker stats` counts (v1 and v2 names)."""
    usage = memory.get("usage")
    if usage is None:
        return None
    stats = _part(memory, "stats")
    inactive = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return int(usage - inactive) if inactive < usage else int(usage)


def _block_bytes(raw: Mapping[str, Any], operation: str) -> int:
    entries = _part(raw, "blkio_stats").get("io_service_bytes_recursive") or []
    return sum(int(entry.get("value") or 0) for entry in entries if str(entry.get("op")).lower() == operation)


def _part(raw: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        value = raw.get(name)
        raw = value if isinstance(value, Mapping) else {}
    return raw
