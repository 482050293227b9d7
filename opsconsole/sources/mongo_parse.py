"""What MongoDB's answers say, as our structs. Pure: documents in, structs out.

Every document may be empty: a command that the user may not run leaves its part unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from opsconsole.model import Collection, DatabaseTarget, MongoStatus, ReplicaMember, RunningOperation

Document = Mapping[str, Any]

OPERATIONS = ("insert", "query", "update", "delete", "getmore", "command")


class Counters(msgspec.Struct, frozen=True):
    """Operation totals of a server at one moment of a monotonic clock, in seconds."""

    at: float
    totals: dict[str, int]

    def rates_since(self, before: Counters | None) -> dict[str, float]:
        """Operations per second between two moments; {} when unknown: a first look, or the server restarted."""
        if before is None or self.at <= before.at or not self.totals:
            return {}
        grown = {name: total - before.totals.get(name, 0) for name, total in self.totals.items()}
        if any(count < 0 for count in grown.values()):
            return {}
        return {name: count / (self.at - before.at) for name, count in grown.items()}


class Recount(msgspec.Struct, frozen=True):
    """A second look at one collection whose own count fell."""

    documents: int | None = None  # counted one by one; None when there was no time for it
    shrinks: str = ""  # why it loses documents by itself: "a TTL index", "a limit of its size"; "" when it does not


def shrinks_by_itself(options: Document, indexes: Iterable[Document]) -> str:
    """Why the server removes documents of a collection on its own account, "" when it does not."""
    if "expireAfterSeconds" in options or any("expireAfterSeconds" in index for index in indexes):
        return "a TTL index"
    return "a limit of its size" if options.get("capped") else ""


def counters_from(server: Document, at: float) -> Counters:
    """The totals that `serverStatus` counts."""
    counted = server.get("opcounters", {})
    return Counters(at, {name: int(counted[name]) for name in OPERATIONS if name in counted})


def status_from(
    target: DatabaseTarget,
    *,
    hello: Document,
    server: Document,
    replica: Document,
    version: str,
    rates: dict[str, float],
    latency_seconds: float,
    slow: tuple[RunningOperation, ...] | None = None,
    oplog_used_percent: float | None = None,
    now: datetime,
) -> MongoStatus:
    """A status from the answers to hello, serverStatus and replSetGetStatus."""
    connections = server.get("connections", {})
    cache = server.get("wiredTiger", {}).get("cache", {})
    resident = _number(server.get("mem", {}), "resident")
    return MongoStatus(
        target=target,
        reachable=True,
        version=version,
        topology=topology_of(hello),
        member_state=member_state_of(hello, replica),
        members=members_from(hello, replica),
        uptime_seconds=_float(server, "uptime"),
        connections=_number(connections, "current"),
        connections_available=_number(connections, "available"),
        operations=rates,
        latency_seconds=latency_seconds,
        memory_resident=resident * 2**20 if resident is not None else None,  # the server says MiB
        cache_used=_number(cache, "bytes currently in the cache"),
        cache_total=_number(cache, "maximum bytes configured"),
        oplog_seconds=_oplog_seconds(server),
        oplog_used_percent=oplog_used_percent,
        slow=slow,
        sampled_at=now,
    )


def topology_of(hello: Document) -> str:
    """ "standalone", "replica set rs0", "replica set (not initiated)" or "sharded cluster"."""
    if hello.get("msg") == "isdbgrid":
        return "sharded cluster"
    if name := hello.get("setName"):
        return f"replica set {name}"
    if hello.get("isreplicaset"):
        return "replica set (not initiated)"
    return "standalone"


def member_state_of(hello: Document, replica: Document) -> str:
    """State of the node that was asked; "" for one that is in no replica set."""
    if not (hello.get("setName") or hello.get("isreplicaset")):
        return ""
    for member in replica.get("members", ()):
        if member.get("self"):
            return str(member.get("stateStr", ""))
    for key, state in (("isWritablePrimary", "PRIMARY"), ("ismaster", "PRIMARY"), ("secondary", "SECONDARY")):
        if hello.get(key):
            return state
    return "ARBITER" if hello.get("arbiterOnly") else "NOT READABLE"


def members_from(hello: Document, replica: Document) -> tuple[ReplicaMember, ...]:
    """Members with their lag behind the primary; from `hello` alone only names and the primary are known."""
    members = replica.get("members")
    if members is None:
        names = [*hello.get("hosts", ()), *hello.get("passives", ()), *hello.get("arbiters", ())]
        return tuple(ReplicaMember(name=str(name), state=_state_in_hello(hello, name)) for name in names)
    written = next((member.get("optimeDate") for member in members if member.get("stateStr") == "PRIMARY"), None)
    return tuple(
        ReplicaMember(
            name=str(member.get("name", "")),
            state=str(member.get("stateStr", "")),
            health=member.get("health", 1) == 1,
            lag_seconds=_lag(member, written),
        )
        for member in members
    )


def collection_from(name: str, kind: str, stats: Document) -> Collection:
    """A collection from its `storageStats`; a time series has no count of its own, only of buckets."""
    return Collection(
        name=name,
        kind=kind,
        documents=_number(stats, "count"),
        data_bytes=_number(stats, "size"),
        storage_bytes=_number(stats, "storageSize"),
        index_bytes=_number(stats, "totalIndexSize"),
        indexes=_number(stats, "nindexes"),
    )


def set_problem(hello: Document, members: tuple[ReplicaMember, ...], wanted_set: str) -> tuple[str, str]:
    """What is wrong with the replica set, and what to do; two empty texts when nothing is.

    `wanted_set` is the `replicaSet` of the URI: the application's driver refuses a server of another one.
    """
    if hello.get("isreplicaset"):
        return "the replica set was never initiated: nothing can be written", "run rs.initiate() on this server"
    name = hello.get("setName", "")
    if wanted_set and name != wanted_set and hello.get("msg") != "isdbgrid":
        has = f"is in replica set {name}" if name else "is in no replica set"
        return f"the address asks for replica set {wanted_set}, and this server {has}", "correct replicaSet= in it"
    if name and not any(member.state == "PRIMARY" for member in members):
        return f"replica set {name} has no primary: nothing can be written", "start its other members, see rs.status()"
    return "", ""


def running_from(rows: Iterable[Document]) -> tuple[RunningOperation, ...]:
    """Operations from $currentOp. What only waits for news (hello, a change stream, a tail) is at work on nothing."""
    return tuple(running(row) for row in rows if not waits_for_news(row))


def running(row: Document) -> RunningOperation:
    """One row of $currentOp."""
    connection = row.get("connectionId")
    return RunningOperation(
        opid=str(row.get("opid", "")),
        seconds=float(row.get("microsecs_running", 0)) / 1e6,
        kind=_kind(row),
        namespace=str(row.get("ns", "")),
        plan=str(row.get("planSummary", "")),
        client=str(row.get("client", row.get("client_s", ""))),
        connection=connection if isinstance(connection, int) else None,
        application=str(row.get("appName", "")),
        waits=bool(row.get("waitingForLock")),
        began=_began(row),
    )


_WAITING_COMMANDS = frozenset({"hello", "isMaster", "ismaster"})


def waits_for_news(row: Document) -> bool:
    """Whether a row of $currentOp is at work on nothing."""
    command, cursor = row.get("command") or {}, row.get("cursor") or {}
    return bool(_WAITING_COMMANDS & command.keys()) or bool(cursor.get("tailable") and cursor.get("awaitData"))


def _began(row: Document) -> datetime | None:
    """When it began, by the clock of the server."""
    try:
        now = datetime.fromisoformat(str(row.get("currentOpTime", "")))
    except ValueError:
        return None
    return now - timedelta(microseconds=int(row.get("microsecs_running", 0)))


def _kind(row: Document) -> str:
    """The command's own name where the server only says "command"."""
    kind = str(row.get("op", ""))
    command = row.get("command")
    first = next(iter(command), "") if kind == "command" and isinstance(command, Mapping) else ""
    return str(first) or kind


def _oplog_seconds(server: Document) -> float | None:
    """How far back the oplog reaches: a member that was away for longer has to be copied anew."""
    first = getattr(server.get("oplog", {}).get("earliestOptime"), "time", None)
    now = server.get("localTime")
    return max(0.0, now.timestamp() - first) if isinstance(now, datetime) and first else None


def oplog_used(stats: Document) -> float | None:
    """Percent of its size, from the `storageStats` of local.oplog.rs."""
    used, most = stats.get("size"), stats.get("maxSize")
    return min(100.0, 100 * used / most) if isinstance(used, int | float) and most else None


def _state_in_hello(hello: Document, name: str) -> str:
    if name == hello.get("primary"):
        return "PRIMARY"
    if name == hello.get("me"):
        return member_state_of(hello, {})
    return "ARBITER" if name in hello.get("arbiters", ()) else "unknown"


def _lag(member: Document, written: datetime | None) -> float | None:
    applied = member.get("optimeDate")
    if written is None or applied is None or member.get("stateStr") != "SECONDARY":
        return None
    return max(0.0, float((written - applied).total_seconds()))


def _number(document: Document, key: str) -> int | None:
    value = document.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _float(document: Document, key: str) -> float | None:
    value = document.get(key)
    return float(value) if isinstance(value, int | float) else None
