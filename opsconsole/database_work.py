"""MongoDB and Redis at work: what an operator asks a server for while looking at it, and nobody asks otherwise.

Texts are from outside and may hold anybody's data: commands are masked and cut before they enter a struct.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from opsconsole.model import Record, RunningOperation


class View(StrEnum):
    """What of a server is looked at."""

    OPERATIONS = "operations"
    SLOW = "slow"
    INDEXES = "indexes"
    GROWTH = "growth"
    CLIENTS = "clients"
    BIG_KEYS = "big keys"
    MEMORY = "memory"


VIEWS = {
    "mongodb": (View.OPERATIONS, View.SLOW, View.INDEXES, View.GROWTH),
    "redis": (View.CLIENTS, View.SLOW, View.BIG_KEYS, View.MEMORY),
}


class SlowGroup(Record, frozen=True):
    """Slow operations of one shape: the same namespace, kind and plan; of Redis, the same command."""

    namespace: str
    kind: str
    plan: str = ""
    count: int = 1
    total_seconds: float = 0.0
    longest_seconds: float = 0.0
    newest: datetime | None = None
    example: str = ""  # masked and cut


class Index(Record, frozen=True):
    database: str
    collection: str
    name: str
    keys: str  # "email: 1, created: -1"
    size_bytes: int | None = None
    uses: int | None = None  # by queries, since `since`
    since: datetime | None = None  # the server's start, or when the index was made
    needed: str = ""  # why it is wanted although no query uses it: "_id", "unique", "TTL"
    building: bool = False

    @property
    def path(self) -> str:
        return f"{self.database}.{self.collection}"

    @property
    def unused(self) -> bool:
        return self.uses == 0 and not self.needed and not self.building


class Growth(Record, frozen=True):
    """How a collection grew since it was first sampled in the last week, or since a backup."""

    path: str  # "database.collection"
    size_bytes: int | None  # of its documents, now
    documents: int | None
    grown_bytes: int
    grown_documents: int | None
    seconds: float  # between then and now


class RedisClient(Record, frozen=True):
    id: str
    address: str
    name: str = ""
    kind: str = ""  # "replica", "master", "monitor", "pubsub", "blocked"; "" for any other
    age_seconds: float = 0.0
    idle_seconds: float = 0.0
    database: int = 0
    command: str = ""  # its last one, without arguments
    memory_bytes: int | None = None
    output_bytes: int | None = None  # that it has not fetched yet


class BigKey(Record, frozen=True):
    database: int
    name: str  # cut
    kind: str
    size_bytes: int


class Work(Record, frozen=True):
    """What was found in one view of one server; the other parts are empty."""

    view: View
    asked_at: datetime
    operations: tuple[RunningOperation, ...] = ()
    commands: dict[str, str] = {}  # of operations, by opid
    slow: tuple[SlowGroup, ...] = ()
    indexes: tuple[Index, ...] = ()
    growth: tuple[Growth, ...] = ()
    clients: tuple[RedisClient, ...] = ()
    keys: tuple[BigKey, ...] = ()
    said: tuple[str, ...] = ()  # one line each: where it is from, what was left out, what to do
