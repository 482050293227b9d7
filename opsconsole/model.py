"""The ground floor: what is known about a stack, as frozen plain data.

Everything above (sources, monitor, alerts, panes, the command line) speaks in these structs. None of
them holds a connection, and none is ever changed: a new Snapshot replaces the old one.

Units are fixed here once: sizes in bytes, rates in bytes per second, durations in seconds, shares in
percent (0-100; a container's CPU may pass 100 on several cores), times as timezone-aware UTC datetimes.
`None` means "not known", never zero.

Text that came from outside (names, labels, log lines, health output) is stored as it came; whoever
shows it passes it through `opsconsole.text` first. Secrets are the exception: they are masked before
they enter a struct.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 1
"""Version of `opsconsole status --json`: raised when a field is renamed, removed or changes its meaning."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every struct here: immutable, keyword-only, encodable as JSON."""


# --- sources ---------------------------------------------------------------------------------------


class SourceError(Exception):
    """A source could not be read. `problem` is one line: what happened; `hint` is what to do about it.

    `absent` says that there is nothing to look at (no Redis in this stack), which is not a fault. A command that ends
    with it has `exit_code`.
    """

    exit_code = 2

    def __init__(self, problem: str, hint: str = "", *, absent: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.absent = absent


class SourceState(StrEnum):
    WAITING = "waiting"  # has not answered yet
    OK = "ok"
    FAILED = "failed"  # the last data stays, with its age
    ABSENT = "absent"  # nothing there to look at


SOURCE_WORDS = {
    "engine": "the engine",
    "describe": "the engine",
    "stack": "the stack's files",
    "usage": "container usage",
    "volumes": "the list of volumes",
    "sizes": "volume sizes",
    "host": "the host",
    "databases": "the databases",
    "probes": "the health endpoints",
    "access": "the access logs",
    "patterns": "the log patterns",
    "backups": "the backup directory",
    "schedule": "the schedule",
}
"""What an operator calls each source (the keys of `Snapshot.readings`)."""

BEHIND_THE_ENGINE = frozenset({"describe", "usage", "volumes", "sizes", "access", "patterns"})
"""Sources that fail with the engine: when it is away, naming it is enough."""


class Reading(Record, frozen=True):
    """How fresh one source's part of the Snapshot is, and what is wrong with it if something is."""

    source: str
    state: SourceState = SourceState.WAITING
    sampled_at: datetime | None = None  # last time it answered
    problem: str = ""
    hint: str = ""
    failing_since: datetime | None = None
    retry_at: datetime | None = None


# --- engine and stack ------------------------------------------------------------------------------


class Engine(Record, frozen=True):
    """The container engine as it describes itself."""

    endpoint: str = ""  # e.g. unix:///var/run/docker.sock
    version: str = ""
    api_version: str = ""
    operating_system: str = ""
    storage_driver: str = ""
    cgroup_version: str = ""
    cpus: int | None = None
    memory_bytes: int | None = None
    containers_running: int | None = None
    containers_total: int | None = None
    images: int | None = None


class Project(Record, frozen=True):
    """A Compose project seen on the engine, for the choice in a directory without a stack."""

    name: str
    directory: str
    compose_files: tuple[str, ...] = ()
    running: int = 0
    total: int = 0


class Service(Record, frozen=True):
    """A service as the compose configuration wants it, whether or not a container exists."""

    name: str
    image: str = ""
    builds: bool = False  # has a `build:` section
    profiles: tuple[str, ...] = ()
    active: bool = True  # belongs to the profiles in use
    replicas: int = 1
    has_healthcheck: bool = False
    one_shot: bool = False  # restart "no" and waited for with service_completed_successfully
    depends_on: tuple[str, ...] = ()
    config_hash: str = ""
    image_id: str = ""  # what its image name points at on the engine now; "" when not known
    role: str = ""  # "mongodb", "redis" or ""
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()


class Endpoint(Record, frozen=True):
    """An HTTP address that says whether the stack is well."""

    name: str
    url: str
    service: str = ""
    origin: str = ""  # where it was found: "config", "healthcheck", "published port"
    expect_status: int | None = None  # the only good status; None: 200 to 399
    timeout_seconds: float = 5.0


class DatabaseTarget(Record, frozen=True):
    """A database server of the stack and how this host reaches it. `address` never holds a password."""

    kind: str  # "mongodb" or "redis"
    name: str  # service name, or "host" for one outside the stack
    service: str = ""  # "" when it does not run in a container of the stack
    database: str = ""  # the application's database, from the URI
    address: str = ""  # masked URI as this host reaches it
    origin: str = ""  # e.g. "service mongodb", "MONGODB_URI in .env.production.local"


class Stack(Record, frozen=True):
    """What was found out about the stack: files, project, services, databases, endpoints."""

    name: str
    directory: str
    compose_files: tuple[str, ...] = ()
    compose_command: str = ""  # "docker compose 2.40.3", "docker-compose 1.29.2" or ""
    profiles: tuple[str, ...] = ()  # in use
    env_file: str = ""
    config_file: str = ""  # opsconsole.toml, if there is one
    commit: str = ""  # short git commit, "+" behind it when the tree is dirty
    branch: str = ""
    services: tuple[Service, ...] = ()
    data_directories: tuple[str, ...] = ()  # bind-mounted directories that hold data, absolute
    outside_binds: tuple[str, ...] = ()  # bind mounts written as relative paths that lead out of the stack, absolute
    databases: tuple[DatabaseTarget, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    backup_directory: str = ""
    problems: tuple[str, ...] = ()  # one line each: broken compose file, missing env file ...


# --- containers ------------------------------------------------------------------------------------


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


# --- volumes ---------------------------------------------------------------------------------------


class VolumeKind(StrEnum):
    NAMED = "named"
    ANONYMOUS = "anonymous"
    BIND = "bind"
    TMPFS = "tmpfs"
    LAYER = "layer"  # a database path inside the container's own writable layer


class Safety(StrEnum):
    PERSISTENT = "persistent"
    AT_RISK = "at risk"
    ORPHANED = "orphaned"
    NOT_IN_BACKUP = "not in any backup"


class VolumeUse(Record, frozen=True):
    service: str
    container: str
    destination: str
    read_only: bool = False
    running: bool = True


class Volume(Record, frozen=True):
    """A place where data lies: a volume, a bind mount, or a database path that should be one."""

    key: str  # stable identity: "volume:<name>", "bind:<path>", "tmpfs:<container>:<path>", "layer:..."
    kind: VolumeKind
    name: str  # volume name or path as an operator would say it
    path: str = ""  # on the host
    driver: str = ""
    created_at: datetime | None = None
    size_bytes: int | None = None
    size_at: datetime | None = None  # when the size was measured
    used_by: tuple[VolumeUse, ...] = ()
    database: str = ""  # "mongodb" or "redis" if a database writes here
    safety: Safety = Safety.PERSISTENT
    reason: str = ""  # one sentence: why this safety


def volume_words(volume: Volume) -> str:
    """What an operator calls it: 64 hexadecimal digits and a container's name say less than the service does."""
    first = next(iter(volume.used_by), None)
    if volume.kind is VolumeKind.ANONYMOUS:
        return f"{first.service or first.container}'s volume {volume.name[:12]}" if first else volume.name[:12]
    if volume.kind in (VolumeKind.TMPFS, VolumeKind.LAYER) and first:
        return f"{first.service or first.container}:{first.destination}"
    return volume.name


# --- host ------------------------------------------------------------------------------------------


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


# --- databases -------------------------------------------------------------------------------------


class Collection(Record, frozen=True):
    name: str
    kind: str = "collection"  # collection, view, timeseries
    documents: int | None = None  # the server's own count, not a scan
    data_bytes: int | None = None
    storage_bytes: int | None = None
    index_bytes: int | None = None
    indexes: int | None = None


class MongoDatabase(Record, frozen=True):
    name: str
    data_bytes: int | None = None
    storage_bytes: int | None = None
    index_bytes: int | None = None
    collections: tuple[Collection, ...] = ()


class ReplicaMember(Record, frozen=True):
    name: str
    state: str
    health: bool = True
    lag_seconds: float | None = None


class RunningOperation(Record, frozen=True):
    """What MongoDB is at work on now. Its command is left out: it may hold anybody's data."""

    opid: str
    seconds: float  # since it began
    kind: str = ""  # query, update, getmore, command ...
    namespace: str = ""  # database.collection
    plan: str = ""  # "COLLSCAN", "IXSCAN { email: 1 }"
    client: str = ""  # address and port
    connection: int | None = None  # the server's number of it
    application: str = ""  # as the client names itself
    waits: bool = False  # for a lock
    began: datetime | None = None  # by the server's clock


class MongoStatus(Record, frozen=True, tag_field="kind", tag="mongodb"):
    target: DatabaseTarget
    reachable: bool = False
    refused: bool = False  # not reachable because it answers and does not let us in (password, ACL, protected mode)
    problem: str = ""
    hint: str = ""
    version: str = ""
    topology: str = ""  # "standalone", "replica set rs0", "sharded cluster"
    member_state: str = ""  # PRIMARY, SECONDARY ... of the node asked
    members: tuple[ReplicaMember, ...] = ()
    uptime_seconds: float | None = None
    connections: int | None = None
    connections_available: int | None = None
    operations: dict[str, float] = {}  # per second: insert, query, update, delete, getmore, command
    latency_seconds: float | None = None  # of our own ping
    memory_resident: int | None = None
    cache_used: int | None = None
    cache_total: int | None = None
    oplog_seconds: float | None = None  # since its oldest entry; None also for a standalone server
    oplog_used_percent: float | None = None  # of the size that it may have; below 100 nothing has left it yet
    slow: tuple[RunningOperation, ...] | None = None  # clients' operations of a second and more; None: may not be asked
    listed: bool = False  # the list of databases was read: an empty one means that there are none
    databases: tuple[MongoDatabase, ...] = ()
    sampled_at: datetime | None = None


class RedisKeyspace(Record, frozen=True):
    database: int
    keys: int
    expires: int = 0


class RedisStatus(Record, frozen=True, tag_field="kind", tag="redis"):
    target: DatabaseTarget
    reachable: bool = False
    refused: bool = False  # not reachable because it answers and does not let us in (password, ACL, protected mode)
    problem: str = ""
    hint: str = ""
    version: str = ""
    role: str = ""
    uptime_seconds: float | None = None
    memory_used: int | None = None
    memory_peak: int | None = None
    memory_limit: int | None = None  # None: no maxmemory
    eviction_policy: str = ""
    evicted_keys: int | None = None  # since the server started
    evictions_per_second: float | None = None  # since the look before
    clients: int | None = None
    clients_limit: int | None = None
    operations_per_second: float | None = None
    hit_rate_percent: float | None = None  # since the server started; None: no reads yet
    latency_seconds: float | None = None
    keyspaces: tuple[RedisKeyspace, ...] = ()
    rdb_enabled: bool | None = None
    rdb_last_save_at: datetime | None = None
    rdb_last_status: str = ""  # "ok" or "err"
    rdb_changes_since_save: int | None = None
    aof_enabled: bool | None = None
    aof_last_status: str = ""  # of writes and rewrites: "ok" or "err"
    loading: bool = False
    sampled_at: datetime | None = None


DatabaseStatus = MongoStatus | RedisStatus


# --- probes and access logs ------------------------------------------------------------------------


class Probe(Record, frozen=True):
    """One health endpoint, asked by us. Averages and percentiles are over the last five minutes."""

    endpoint: Endpoint
    ok: bool | None = None  # None: not asked yet
    status: int | None = None
    latency_seconds: float | None = None
    problem: str = ""
    asked_at: datetime | None = None
    requests: int = 0
    errors: int = 0
    average_seconds: float | None = None
    p50_seconds: float | None = None  # half of the answers were as fast as this
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    certificate_ends_at: datetime | None = None  # of an https endpoint, once it was read


class AccessRate(Record, frozen=True):
    """HTTP answers of one service, counted in its access-log lines of the last five minutes."""

    service: str
    requests: int = 0
    errors: int = 0  # status 5xx


class LogRate(Record, frozen=True):
    """Lines of one service in the last minute that match the pattern of an alert rule of the settings."""

    rule: str
    service: str
    lines: int = 0


# --- backups ---------------------------------------------------------------------------------------


class BackupState(StrEnum):
    GOOD = "good"  # every expected part is there and plausible; deeper levels come with `verify`
    INCOMPLETE = "incomplete"  # a part that this stack needs is missing or empty
    DAMAGED = "damaged"  # a part is there and cannot be what it says it is
    UNFINISHED = "unfinished"  # a partial directory: being written, or left by a killed run
    INCREMENTAL = "incremental"  # sound, and of use only together with the backup that it continues


class BackupClass(StrEnum):
    """Each class has its own retention rule, so that one never pushes out another."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    SAFETY = "safety"  # taken by an operation before it changes data


class Buckets(Record, frozen=True):
    """The day, the ISO week and the month that a backup stands for. Written down when it is taken, so that a
    change of the host's time zone moves no backup into another bucket."""

    day: str  # 2026-01-18
    week: str  # 2026-W03: ISO year and week, so 2024-12-30 lies in 2025-W01
    month: str  # 2026-01


class BackupPart(Record, frozen=True):
    kind: str  # "mongo", "redis", "files", "config", "manifest"
    path: str  # relative to the backup
    size_bytes: int
    note: str = ""  # e.g. "42 collections", "empty"
    ok: bool = True


class BackupCopy(Record, frozen=True):
    """Where else a backup lies."""

    place: str
    at: datetime
    verified: bool = False  # it was compared there


class OplogTime(Record, frozen=True, order=True):
    """A moment in the oplog of a MongoDB replica set: seconds since 1970, and the count within the second."""

    time: Annotated[int, Meta(ge=0, lt=1 << 32)]
    increment: Annotated[int, Meta(ge=0, lt=1 << 32)]


class OplogSpan(Record, frozen=True):
    """Where a backup of MongoDB stands in the oplog of its replica set.

    A full one was read between the two moments and is whole at `ends`; an incremental one holds what was written
    after `begins`, up to and including `ends`.
    """

    part: str  # of which service
    replica_set: str
    set_id: str  # hex; "" where it could not be read
    server: str  # "MongoDB 6.0.5"
    begins: OplogTime
    ends: OplogTime
    continues: str = ""  # the id of the backup at whose end it begins; "" for a full one


class Backup(Record, frozen=True):
    id: str  # directory or file name
    path: str
    layout: str  # "backup.sh", "mps", "mongodump", "archive", "opsconsole"
    taken_at: datetime
    size_bytes: int
    state: BackupState
    parts: tuple[BackupPart, ...] = ()
    missing: tuple[str, ...] = ()  # kinds of parts that this stack needs and that are not in it
    problem: str = ""  # one sentence; "" when good
    in_future: bool = False  # dated later than now + 5 min: shown, never counted as the newest
    note: str = ""  # what else to know: dated by its file time, only its beginning was read ...
    backup_class: BackupClass = BackupClass.SCHEDULED  # older layouts do not tell: a script took them
    # As its manifest says; older layouts have none of these.
    why: str = ""  # "before restore of 20260117_020000"
    critical: bool = False  # kept for ever
    asked: tuple[str, ...] = ()  # the kinds of parts that were asked for; () for all that the stack has
    buckets: Buckets | None = None
    oplog: tuple[OplogSpan, ...] = ()  # one for each MongoDB server that is a replica set
    # What became known of it since.
    pinned: bool = False
    checked_level: int | None = None  # the highest level on which it was found right, 0 to 3
    checked_at: datetime | None = None
    check_problem: str = ""  # what the last look found wrong
    copies: tuple[BackupCopy, ...] = ()
    kept: str = ""  # why retention keeps it
    goes: str = ""  # why it may go, when no rule keeps it

    @property
    def incremental(self) -> bool:
        return any(span.continues for span in self.oplog)


class HeldFile(Record, frozen=True):
    path: str  # relative to the backup
    size: int


class HeldCollection(Record, frozen=True):
    database: str
    name: str
    kind: str = "collection"  # collection, view, timeseries
    documents: int = 0
    size: int = 0  # bytes of BSON
    indexes: int = 0


class HeldKeys(Record, frozen=True):
    """The keys of one Redis database."""

    database: int
    keys: int
    expiring: int = 0


class HeldPart(Record, frozen=True):
    """What a manifest says of one part."""

    kind: str  # "mongo", "redis", "files", "config"
    name: str  # of the service, the directory or the volume
    files: tuple[HeldFile, ...] = ()
    consistency: str = ""  # "one point in time", "per collection", "per file"
    server: str = ""  # "MongoDB 6.0.5"
    source: str = ""  # the directory or volume that was saved
    seconds: float = 0.0
    collections: tuple[HeldCollection, ...] = ()
    keys: tuple[HeldKeys, ...] = ()
    members: int = 0  # files, directories and links
    content_size: int = 0  # bytes before packing
    changed: tuple[str, ...] = ()  # files that changed while they were read
    notes: tuple[str, ...] = ()


class BackupCheck(Record, frozen=True):
    """The last time that a backup was looked at on one level."""

    level: int
    at: datetime
    problem: str = ""  # "" when all was right


class BackupContents(Record, frozen=True):
    """What is known of one backup besides what the list shows: read from its manifest and the marks beside it."""

    parts: tuple[HeldPart, ...] = ()
    checks: tuple[BackupCheck, ...] = ()  # lowest level first
    pinned_why: str = ""
    host: str = ""
    release: str = ""
    made_by: str = ""  # the version of opsconsole
    seconds: float | None = None  # it took so long
    encrypted_to: tuple[str, ...] = ()  # public keys
    problem: str = ""  # why there is no manifest to tell from


# --- the schedule ----------------------------------------------------------------------------------


class ScheduledRun(Record, frozen=True):
    """The last attempt of one kind: "backup", "incremental", "verify", "prune"."""

    kind: str
    began: datetime
    outcome: str  # "done", "failed", "begun", "refused", "given up"
    problem: str = ""


class Schedule(Record, frozen=True):
    """What is done by itself, and whether it is."""

    installed: tuple[str, ...] = ()  # "systemd timer", "crontab"; () when nothing is
    ticked: datetime | None = None
    next_kind: str = ""
    next_at: datetime | None = None
    last: tuple[ScheduledRun, ...] = ()
    problems: tuple[str, ...] = ()  # one line each


# --- alerts ----------------------------------------------------------------------------------------


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


# --- the Snapshot ----------------------------------------------------------------------------------


class Snapshot(Record, frozen=True):
    """Everything the console knows at one moment. Panes, `status --json` and alerts all read this."""

    sampled_at: datetime
    schema: int = SCHEMA_VERSION
    demo: bool = False
    stack: Stack | None = None
    engine: Engine | None = None
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    host: HostSample | None = None
    databases: tuple[DatabaseStatus, ...] = ()
    probes: tuple[Probe, ...] = ()
    access: tuple[AccessRate, ...] = ()
    log_rates: tuple[LogRate, ...] = ()
    backups: tuple[Backup, ...] = ()
    schedule: Schedule | None = None
    alerts: tuple[Alert, ...] = ()
    readings: dict[str, Reading] = {}  # by source: stack, engine, usage, volumes, host, databases, probes, backups ...
    history: dict[str, tuple[float, ...]] = {}
    """Recent values by series, oldest first: "host.cpu", "host.memory", "host.disk_read", "host.disk_write",
    "host.network_received", "host.network_sent", "cpu.<container id>", "memory.<container id>",
    "probe.<endpoint name>" (seconds), "mongodb.<target name>" and "redis.<target name>" (operations per second)."""


def to_json(value: Any, *, indent: int = 2) -> str:
    """Encode a struct as JSON text, times as RFC 3339, ended by a newline."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a file name that is not UTF-8: a mark stands where it cannot be written
        import json

        encoded = json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")
    return msgspec.json.format(encoded, indent=indent).decode() + "\n"


# --- logs (a stream beside the Snapshot) -----------------------------------------------------------


class LogLevel(StrEnum):
    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"
    UNKNOWN = ""


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a container's output. `text` is raw; `at` is nanoseconds since 1970 by the engine's clock.

    `service` is "" and `skipped` > 0 for the mark that stands where lines were dropped.
    """

    at: int
    service: str
    container: str  # id
    text: str
    stderr: bool = False
    level: LogLevel = LogLevel.UNKNOWN
    skipped: int = 0
