"""The simulated databases at work: a report without an index, an index that nobody uses, a session that never ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsconsole.database_work import BigKey, Index, RedisClient, SlowGroup, View, Work
from opsconsole.demo.roles import MB
from opsconsole.demo.roles import NAME as STACK
from opsconsole.model import DatabaseTarget, RunningOperation

_EVERY = 97  # seconds between two reports


def slow_operations(at: float) -> tuple[RunningOperation, ...]:
    """The report that runs now; for as long as the last one began before."""
    seconds = at % _EVERY
    if seconds < 1:
        return ()
    return (
        RunningOperation(
            opid=str(811_000 + int(at // _EVERY) % 9000),
            seconds=round(seconds, 3),
            kind="aggregate",
            namespace=f"{STACK}.auditlogs",
            plan="COLLSCAN",
            client="172.20.0.9:41822",
            connection=118,
            application="reports",
            began=datetime.fromtimestamp(at - seconds, UTC),
        ),
    )


def at_work(target: DatabaseTarget, view: View, at: float) -> Work:
    now = datetime.fromtimestamp(at, UTC)
    if view is View.OPERATIONS:
        running = slow_operations(at)
        short = RunningOperation(
            opid="812907",
            seconds=0.003,
            kind="update",
            namespace=f"{STACK}.sessions",
            plan="IXSCAN { _id: 1 }",
            client="172.20.0.6:50114",
            connection=96,
            application="backend",
            began=now,
        )
        shape = '{aggregate: "auditlogs", pipeline: [{$match: {at: {$gt: ?}}}, {$group: {_id: ?, count: {$sum: ?}}}]}'
        commands = {
            **{one.opid: shape for one in running},
            short.opid: '{update: "sessions", updates: [{q: {_id: ?}}]}',
        }
        return Work(view=view, asked_at=now, operations=(*running, short), commands=commands)
    if view is View.SLOW:
        return _slow_mongo(now) if target.kind == "mongodb" else _slow_redis(now)
    if view is View.INDEXES:
        return Work(view=view, asked_at=now, indexes=_indexes(now), said=(_COUNTED,))
    if view is View.CLIENTS:
        return Work(view=view, asked_at=now, clients=_clients(at))
    if view is View.BIG_KEYS:
        said = "Looked at: 20,000 of 48,522 keys (the budget is 3 s or 20,000 keys). Sizes are MEMORY USAGE."
        return Work(view=view, asked_at=now, keys=_KEYS, said=(said,))
    return Work(view=view, asked_at=now, said=_MEMORY)


_COUNTED = "Uses are counted since the server's start or the making of an index, on this server alone."


def _slow_mongo(now: datetime) -> Work:
    said = (
        f"The profiler of {STACK} is off: from the log in the server's memory, what took 100 ms and more. "
        "For more: db.setProfilingLevel(1, {slowms: 50})."
    )
    found = (
        ("auditlogs", "aggregate", "COLLSCAN", 31, 1104.0, 61.2, 2, '{aggregate: "auditlogs", pipeline: [...]}'),
        ("bookings", "find", "IXSCAN { berth: 1 }", 214, 61.9, 1.1, 1, '{find: "bookings", filter: {berth: ?}}'),
        ("customers", "find", "COLLSCAN", 12, 9.8, 1.4, 44, '{find: "customers", filter: {name: {$regex: ?}}}'),
    )
    groups = tuple(
        SlowGroup(
            namespace=f"{STACK}.{name}", kind=kind, plan=plan, count=count, total_seconds=total,
            longest_seconds=longest, newest=now - timedelta(minutes=minutes), example=example,
        )
        for name, kind, plan, count, total, longest, minutes, example in found
    )  # fmt: skip
    return Work(view=View.SLOW, asked_at=now, slow=groups, said=(said,))


def _slow_redis(now: datetime) -> Work:
    found = (("KEYS", 6, 0.412, 0.083, "KEYS session:*"), ("HGETALL", 3, 0.061, 0.024, "HGETALL fares"))
    groups = tuple(
        SlowGroup(
            namespace="172.20.0.6:50120", kind=kind, count=count, total_seconds=total, longest_seconds=longest,
            newest=now - timedelta(minutes=7 * count), example=example,
        )
        for kind, count, total, longest, example in found
    )  # fmt: skip
    said = "9 entries of SLOWLOG: what took 10 ms and more (slowlog-log-slower-than)."
    return Work(view=View.SLOW, asked_at=now, slow=groups, said=(said,))


def _indexes(now: datetime) -> tuple[Index, ...]:
    since = now - timedelta(days=58)
    found = (
        ("bookings", "_id_", "_id: 1", 9.1, 1_204_881, "_id"),
        ("bookings", "berth_1", "berth: 1", 6.2, 88_120_447, ""),
        ("bookings", "reference_1", "reference: 1", 8.8, 0, "unique"),
        ("bookings", "legacyId_1", "legacyId: 1", 11.4, 0, ""),
        ("auditlogs", "_id_", "_id: 1", 140.0, 12, "_id"),
        ("auditlogs", "actor_1_at_-1", "actor: 1, at: -1", 310.0, 0, ""),
        ("sessions", "expires_1", "expires: 1", 0.4, 0, "TTL"),
        ("customers", "email_1", "email: 1", 2.2, 4_411_902, "unique"),
    )
    return tuple(
        Index(database=STACK, collection=name, name=index, keys=keys, size_bytes=int(size * MB), uses=uses, since=since,
              needed=needed)
        for name, index, keys, size, uses, needed in found
    )  # fmt: skip


def _clients(at: float) -> tuple[RedisClient, ...]:
    found = (
        ("41", "172.20.0.6:50120", "backend", 61_200, 0, "hgetall", 88),
        ("42", "172.20.0.7:38412", "worker", 61_180, 3, "brpoplpush", 41),
        ("57", "172.20.0.9:44100", "reports", 912, 640, "get", 22),
        ("12", "172.20.0.1:33018", "", 4_802_113, 4_801_900, "subscribe", 20),
    )
    return tuple(
        RedisClient(id=number, address=address, name=name, age_seconds=age + at % 60, idle_seconds=idle,
                    command=command, memory_bytes=memory * 1024, output_bytes=0)
        for number, address, name, age, idle, command, memory in found
    )  # fmt: skip


_KEYS = (
    BigKey(database=0, name="fares", kind="hash", size_bytes=31 * MB),
    BigKey(database=0, name="search:index:2024", kind="set", size_bytes=12 * MB),
    BigKey(database=1, name="bull:mail:completed", kind="zset", size_bytes=6 * MB),
    BigKey(database=0, name="session:8c1f20", kind="string", size_bytes=MB // 2),
)
_MEMORY = (
    "memory doctor: Sam, I detected a few issues in this Redis instance memory implants:",
    "memory doctor:  * Peak memory: in the past it used more than 150% of what it uses now.",
    "231.00M  used by Redis",
    "268.00M  peak",
    "1.09  fragmentation, taken / used: over 1.5 is much; of a small server it says nothing",
    "384.00M  maxmemory (0B: none)",
    "volatile-lru  what happens when it is full",
)
