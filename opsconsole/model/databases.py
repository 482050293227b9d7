"""MongoDB and Redis: how they are, what is in them, what they are at work on."""

from __future__ import annotations

from datetime import datetime

from opsconsole.model.record import Record
from opsconsole.model.stack import DatabaseTarget

OF_THE_SERVER = ("admin", "config", "local")
"""Databases that MongoDB keeps for itself."""


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


class Sign(Record, frozen=True):
    """One sign that data is missing: there is less than at an earlier count. No proof."""

    at: datetime  # of what it is compared with, or of the operation that left less
    text: str
    collection: str = ""  # "database.collection"
    database: str = ""  # kind of the server: "mongodb", "redis"
    operation: str = ""  # after which the guard found less
    gone: bool = True  # all of it, not only much of it
    backup: str = ""  # id of the newest good backup that holds it, as far as that is known
