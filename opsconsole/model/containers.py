"""Containers: as they are, with what they mount and what they use."""

from __future__ import annotations

from datetime import datetime

from opsconsole.model.record import Record


class Port(Record, frozen=True):
    container_port: int
    protocol: str = "tcp"
    host_address: str = ""  # "" when exposed but not published
    host_port: int | None = None


class Mount(Record, frozen=True):
    kind: str  # "volume", "bind" or "tmpfs"
    destination: str
    name: str = ""  # volume name
    source: str = ""  # path on the host
    read_only: bool = False
    anonymous: bool = False  # a volume that the engine named itself


class NetworkAddress(Record, frozen=True):
    network: str
    address: str = ""


class HealthCheck(Record, frozen=True):
    """One run of a container's healthcheck."""

    started_at: datetime | None
    exit_code: int
    output: str


class Usage(Record, frozen=True):
    """What a container used at one moment. Totals count from its start; rates need a second sample."""

    sampled_at: datetime
    cpu_percent: float | None = None
    memory_bytes: int | None = None  # without the reclaimable page cache, as `docker stats` shows it
    memory_limit: int | None = None  # None: no limit but the host's memory
    network_received: int | None = None
    network_sent: int | None = None
    network_received_rate: float | None = None
    network_sent_rate: float | None = None
    block_read: int | None = None
    block_written: int | None = None
    block_read_rate: float | None = None
    block_written_rate: float | None = None
    processes: int | None = None


class Container(Record, frozen=True):
    id: str
    name: str
    project: str = ""
    service: str = ""
    number: int = 1
    image: str = ""
    image_id: str = ""
    image_created: datetime | None = None
    state: str = "created"  # created, running, paused, restarting, removing, exited, dead
    health: str = ""  # "", starting, healthy, unhealthy
    health_log: tuple[HealthCheck, ...] = ()  # newest last
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""  # why the engine could not start it
    restarts: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[NetworkAddress, ...] = ()
    command: str = ""
    restart_policy: str = ""
    environment: tuple[tuple[str, str], ...] = ()  # secrets masked
    labels: tuple[tuple[str, str], ...] = ()
    config_hash: str = ""
    detailed: bool = False  # inspected, not only listed
    drift: str = ""  # one sentence, "" when it runs what the compose file says
    usage: Usage | None = None
