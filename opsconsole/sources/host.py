"""This host as the operator must know it: CPU, memory, disks, network, and who uses them."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from opsconsole.model import HostSample
from opsconsole.sources.disk_history import DiskHistory
from opsconsole.sources.host_disks import DiskSampler
from opsconsole.sources.host_processes import ProcessSampler

# The same bytes again, seen on their way to a container or to ourselves.
_INNER_NETWORKS = ("lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "ifb")

# Partitions lie on disks, and these lie on other devices: counting them too would count twice.
_INNER_DEVICES = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")

# The kernel counts in hundredths of a second: shares of less time are noise.
_CLOSEST_SECONDS = 0.2


class HostSampler:
    """Samples this host. Rates and CPU shares count from the sample before; the first one has none.

    `history` is where the filling of the disks is remembered; `names` says what a path is to the operator.
    For one thread at a time.
    """

    def __init__(self, history: DiskHistory | None = None, names: Mapping[str, str] | None = None) -> None:
        self._disks = DiskSampler(history, names)
        self._processes = ProcessSampler()
        self._cpu_before: tuple[Any, Sequence[Any]] | None = None
        self._cpu_at = 0.0
        self._shares: dict[str, float] = {}
        self._core_shares: tuple[float, ...] = ()
        self._traffic_before: dict[str, tuple[float, int]] = {}

    def sample(self, *, paths: Sequence[str] = (), processes: int = 0) -> HostSample:
        import psutil

        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        self._look_at_cpu()
        return HostSample(
            name=socket.gethostname(),
            boot_at=datetime.fromtimestamp(psutil.boot_time(), UTC),
            cpus=psutil.cpu_count(),
            cpu_percent=self._shares.get("busy"),
            cpu_per_core=self._core_shares,
            iowait_percent=self._shares.get("iowait"),
            steal_percent=self._shares.get("steal"),
            load=os.getloadavg(),
            memory_total=memory.total,
            memory_used=memory.total - memory.available,
            memory_available=memory.available,
            memory_percent=(memory.total - memory.available) / memory.total * 100 if memory.total else None,
            swap_total=swap.total,
            swap_used=swap.used,
            disks=self._disks.disks(paths),
            **self._traffic(),
            processes=self._processes.top(processes) if processes > 0 else (),
        )

    def _look_at_cpu(self) -> None:
        import psutil

        now = time.monotonic()
        if self._cpu_before is not None and now - self._cpu_at < _CLOSEST_SECONDS:
            return
        whole, cores = psutil.cpu_times(), psutil.cpu_times(percpu=True)
        if self._cpu_before is not None:
            whole_before, cores_before = self._cpu_before
            self._shares = cpu_shares(whole_before, whole)
            pairs = zip(cores_before, cores, strict=False)  # a core may come or go
            self._core_shares = tuple(cpu_shares(first, last).get("busy", 0.0) for first, last in pairs)
        self._cpu_before, self._cpu_at = (whole, cores), now

    def _traffic(self) -> dict[str, float | None]:
        import psutil

        rates: dict[str, float | None] = {}
        disks: Mapping[str, Any] = {}
        nics: Mapping[str, Any] = {}
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            # A machine without /proc/diskstats raises NotImplementedError.
            disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        with contextlib.suppress(OSError, RuntimeError):
            nics = psutil.net_io_counters(pernic=True, nowrap=False) or {}
        now = time.monotonic()
        whole = [counters for name, counters in disks.items() if is_whole_disk(name)]
        outer = [counters for name, counters in nics.items() if not name.startswith(_INNER_NETWORKS)]
        rates["disk_read_rate"] = self._rate("read", now, _total(whole, "read_bytes"))
        rates["disk_write_rate"] = self._rate("write", now, _total(whole, "write_bytes"))
        rates["network_received_rate"] = self._rate("received", now, _total(outer, "bytes_recv"))
        rates["network_sent_rate"] = self._rate("sent", now, _total(outer, "bytes_sent"))
        return rates

    def _rate(self, series: str, now: float, total: int | None) -> float | None:
        """Per second since the last look; None where a total shrank: a disk or interface is gone."""
        if total is None:
            self._traffic_before.pop(series, None)
            return None
        before = self._traffic_before.get(series)
        self._traffic_before[series] = (now, total)
        if before is None or total < before[1] or now <= before[0]:
            return None
        return (total - before[1]) / (now - before[0])


def cpu_shares(before: Any, after: Any) -> dict[str, float]:
    """Percent of the time between two `psutil.cpu_times` that went into work ("busy"), "iowait" and "steal"; empty
    when no time passed. Waiting for a disk is not work; stolen time is, on a machine that asked for it."""
    spent = {name: max(0.0, getattr(after, name) - getattr(before, name)) for name in after._fields}
    # Linux counts a guest's time as the user's too.
    total = sum(value for name, value in spent.items() if name not in ("guest", "guest_nice"))
    if total <= 0:
        return {}
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    shares = {"busy": (total - idle) / total * 100}
    for name in ("iowait", "steal"):
        if name in spent:
            shares[name] = spent[name] / total * 100
    return shares


def is_whole_disk(name: str) -> bool:
    """Whether a block device is a disk of its own and not a part of, or a layer over, another one."""
    return not name.startswith(_INNER_DEVICES) and os.path.exists(f"/sys/block/{name.replace('/', '!')}")


def _total(counters: Iterable[Any], name: str) -> int | None:
    values = [int(getattr(entry, name)) for entry in counters]
    return sum(values) if values else None
