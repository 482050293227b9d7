"""The host: processors, memory, disks, processes."""

from __future__ import annotations

from datetime import datetime

from opsconsole.model.record import Record


class Disk(Record, frozen=True):
    mount: str
    device: str = ""
    filesystem: str = ""
    total_bytes: int = 0
    used_bytes: int = 0
    free_bytes: int = 0  # free for an ordinary user
    used_percent: float = 0.0
    inodes_total: int | None = None
    inodes_free: int | None = None
    full_in_days: float | None = None  # from its own history; None: not growing or too little history
    watched_days: float | None = None  # how far that history reaches back, a week at most; None: there is none
    holds: str = ""  # e.g. "stack", "engine", "backups"


class Process(Record, frozen=True):
    pid: int
    name: str
    user: str = ""
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    command: str = ""  # secrets masked


class HostSample(Record, frozen=True):
    name: str = ""
    boot_at: datetime | None = None
    cpus: int | None = None
    cpu_percent: float | None = None
    cpu_per_core: tuple[float, ...] = ()
    iowait_percent: float | None = None
    steal_percent: float | None = None
    load: tuple[float, float, float] | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    memory_available: int | None = None
    memory_percent: float | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    disks: tuple[Disk, ...] = ()
    disk_read_rate: float | None = None
    disk_write_rate: float | None = None
    network_received_rate: float | None = None
    network_sent_rate: float | None = None
    processes: tuple[Process, ...] = ()
