"""The simulated databases: a one-node replica set, a Redis that keeps its data, and one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from opsconsole.database_work import View, Work
from opsconsole.demo.fleet import Fleet, Member
from opsconsole.demo.noise import business, key_of, wave
from opsconsole.demo.roles import GB, MB
from opsconsole.demo.roles import NAME as STACK
from opsconsole.demo.stack import MONGODB, REDIS
from opsconsole.demo.work import at_work, slow_operations
from opsconsole.model import (
    Collection,
    Container,
    DatabaseStatus,
    DatabaseTarget,
    MongoDatabase,
    MongoStatus,
    RedisKeyspace,
    RedisStatus,
    ReplicaMember,
    Stack,
)

# name, documents, bytes of one, indexes, new documents per hour
COLLECTIONS = (
    ("bookings", 412_806, 1_420, 7, 61),
    ("berths", 3_214, 980, 4, 0),
    ("vessels", 88_951, 730, 5, 4),
    ("customers", 61_377, 860, 5, 3),
    ("invoices", 396_112, 1_910, 6, 52),
    ("payments", 371_940, 640, 4, 49),
    ("attachments", 140_233, 310, 3, 11),
    ("auditlogs", 5_918_440, 420, 3, 940),
    ("notifications", 1_204_387, 380, 3, 205),
    ("sessions", 9_312, 512, 2, 0),
    ("tariffs", 486, 2_250, 2, 0),
)
_RATES = {"insert": 1.9, "query": 96.0, "update": 7.4, "delete": 0.3, "getmore": 4.1, "command": 58.0}


class DemoDatabases:
    """See `DatabaseSource`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._key = key_of(fleet.seed, "databases")

    def look(self, stack: Stack, containers: Sequence[Container], *, collections: bool) -> tuple[DatabaseStatus, ...]:
        at = self._fleet.now()
        return tuple(self._status(target, at) for target in stack.databases)

    def at_work(self, target: DatabaseTarget, view: View) -> Work:
        return at_work(target, view, self._fleet.now())

    def close(self) -> None:
        pass

    def rate(self, target: DatabaseTarget, at: float) -> float:
        """Operations per second."""
        if target == MONGODB:
            return sum(self._operations(at).values())
        mean = 410.0 if target == REDIS else 36.0
        key = key_of(self._fleet.seed, target.name)
        return round(mean * (0.35 + business(at)) * (1 + 0.3 * wave(key, at, 45)), 1)

    def _operations(self, at: float) -> dict[str, float]:
        busy = 0.35 + business(at)
        return {
            name: round(rate * busy * (1 + 0.35 * wave(self._key + step, at, 50)), 1)
            for step, (name, rate) in enumerate(_RATES.items())
        }

    def _status(self, target: DatabaseTarget, at: float) -> DatabaseStatus:
        status = self._mongo(at) if target == MONGODB else self._redis(target, at)
        member = next((member for member in self._fleet.members if member.service == target.service), None)
        if member is not None and not member.runs_at(at):
            return type(status)(
                target=target,
                problem=f"container {member.base.name} is not running",
                hint=f"start it in the Containers pane or with: docker compose start {target.service}",
                sampled_at=datetime.fromtimestamp(at, UTC),
            )
        return msgspec.structs.replace(status, uptime_seconds=self._uptime(member, at))

    def _uptime(self, member: Member | None, at: float) -> float | None:
        return None if member is None else at - member.started(at) - 2.0

    def _mongo(self, at: float) -> MongoStatus:
        return MongoStatus(
            target=MONGODB,
            reachable=True,
            version="6.0.19",
            topology="replica set rs0",
            member_state="PRIMARY",
            members=(ReplicaMember(name="mongodb:27017", state="PRIMARY", lag_seconds=0.0),),
            connections=int(64 + 9 * wave(self._key + 30, at, 90)),
            connections_available=51_136,
            operations=self._operations(at),
            latency_seconds=round(0.0011 + 0.0004 * wave(self._key + 31, at, 12), 5),
            memory_resident=int(2.5 * GB),
            cache_used=int(1.31 * GB * (1 + 0.04 * wave(self._key + 32, at, 600))),
            cache_total=int(1.5 * GB),
            oplog_seconds=52 * 3600 + at % 3600,
            oplog_used_percent=97.0,
            slow=slow_operations(at),
            listed=True,
            databases=(self._application(at), *_SYSTEM),
            sampled_at=datetime.fromtimestamp(at, UTC),
        )

    def _application(self, at: float) -> MongoDatabase:
        hours = (at - self._fleet.anchor) / 3600
        collections = tuple(
            _collection(name, count + int(grown * hours), size, indexes)
            for name, count, size, indexes, grown in COLLECTIONS
        )
        return MongoDatabase(
            name=STACK,
            data_bytes=sum(collection.data_bytes or 0 for collection in collections),
            storage_bytes=sum(collection.storage_bytes or 0 for collection in collections),
            index_bytes=sum(collection.index_bytes or 0 for collection in collections),
            collections=(*collections, Collection(name="open_bookings", kind="view")),
        )

    def _redis(self, target: DatabaseTarget, at: float) -> RedisStatus:
        keeps = target == REDIS
        key = key_of(self._fleet.seed, target.name)
        used = int((231 if keeps else 12) * MB * (1 + 0.03 * wave(key + 1, at, 300)))
        keys = int((48_210 if keeps else 37) * (1 + 0.02 * wave(key + 2, at, 400)))
        save_every = 300 if keeps else 3600
        return RedisStatus(
            target=target,
            reachable=True,
            version="7.2.5",
            role="master",
            memory_used=used,
            memory_peak=int((268 if keeps else 19) * MB),
            memory_limit=384 * MB if keeps else None,
            eviction_policy="volatile-lru" if keeps else "noeviction",
            evicted_keys=0,
            evictions_per_second=0.0,
            clients=int((41 if keeps else 9) + 3 * wave(key + 3, at, 60)),
            clients_limit=10_000,
            operations_per_second=self.rate(target, at),
            hit_rate_percent=round(94.2 + 1.1 * wave(key + 4, at, 900), 1) if keeps else None,
            latency_seconds=round(0.0004 + 0.0002 * wave(key + 5, at, 9), 5),
            keyspaces=(
                (RedisKeyspace(database=0, keys=keys, expires=keys * 7 // 9), RedisKeyspace(database=1, keys=312))
                if keeps
                else (RedisKeyspace(database=0, keys=keys),)
            ),
            rdb_enabled=True,
            rdb_last_save_at=datetime.fromtimestamp(at // save_every * save_every, UTC),
            rdb_last_status="ok",
            rdb_changes_since_save=int(at % save_every * 6.3),
            aof_enabled=keeps,
            aof_last_status="ok" if keeps else "",
            sampled_at=datetime.fromtimestamp(at, UTC),
        )


def _collection(name: str, documents: int, size: int, indexes: int) -> Collection:
    data = documents * size
    return Collection(
        name=name,
        documents=documents,
        data_bytes=data,
        storage_bytes=int(data * 0.37),
        index_bytes=documents * 21 * indexes,
        indexes=indexes,
    )


_SYSTEM = (
    MongoDatabase(
        name="admin",
        data_bytes=4_812,
        storage_bytes=81_920,
        index_bytes=106_496,
        collections=(
            Collection(name="system.users", documents=3, data_bytes=1_604, storage_bytes=20_480, indexes=2),
            Collection(name="system.version", documents=2, data_bytes=104, storage_bytes=20_480, indexes=1),
        ),
    ),
    MongoDatabase(name="config", data_bytes=18_440, storage_bytes=143_360, index_bytes=118_784),
    MongoDatabase(name="local", data_bytes=int(1.9 * GB), storage_bytes=int(0.7 * GB), index_bytes=36_864),
)
