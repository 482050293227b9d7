"""A count of the data at one moment: volumes and directories with their identity, databases with their contents.

Never dear and never in the way: collections and keys are counted by the servers themselves, files for two seconds at
most, and what cannot be looked at says why.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from opsconsole.config import Config
from opsconsole.model import (
    DatabaseStatus,
    DatabaseTarget,
    MongoStatus,
    Record,
    RedisStatus,
    Stack,
    Volume,
    VolumeKind,
    volume_words,
)
from opsconsole.operations.facts import Look
from opsconsole.operations.reach import reach
from opsconsole.sources.connection import Connection
from opsconsole.sources.databases import Databases
from opsconsole.sources.lane import Lane
from opsconsole.sources.sizes import Counted, is_walkable, tree_count
from opsconsole.stack.address import THIS_HOST
from opsconsole.stack.discover import engine_host

SECONDS = 10.0
"""Of the census after an operation: a database that was looked at before has so long to come back."""

BEFORE_SECONDS = 2.0
FILES_SECONDS = 2.0
MOST_FILES = 50_000
"""Of each directory: about 0.3 s for files that the kernel has in its cache."""

RECOUNT_SECONDS = 3.0
_RECOUNTS = 20
_POLL_SECONDS = 0.2
_NOT_DATA = re.compile(
    r"^/(?:tmp|run|etc|var/(?:cache|log|run|tmp))(?:/|$)|/(?:\.?caches?|tmp|temp|logs?|node_modules|dist|build|\.next)(?:/|$)"
)
_STARTING = frozenset({"created", "running", "restarting"})


class PlaceSeen(Record, frozen=True):
    """A volume, or a directory of this host that is mounted."""

    words: str  # what an operator calls it
    kind: VolumeKind
    there: bool = True
    identity: str = ""  # another one when it was made anew; "" when that cannot be told
    database: str = ""
    uses: tuple[str, ...] = ()  # "service:/path" of the containers that write there
    holds: str = ""  # "nothing", "files"; "" when it cannot be read
    files: Counted | None = None  # of a place that holds the stack's own files


class DatabaseSeen(Record, frozen=True):
    """What a database server counts itself. `problem` says why nothing was counted."""

    kind: str
    name: str
    service: str = ""
    problem: str = ""
    partly: str = ""  # what this user may not see
    collections: dict[str, dict[str, int | None]] = {}  # database -> collection -> documents, None when not told
    shrinking: dict[str, str] = {}  # "database.collection" -> why it loses documents by itself
    keys: dict[str, int] = {}  # number of the database -> keys without a time to live
    expiring: int = 0  # keys that have one
    evicts: bool = False  # it drops keys when its memory is full


class Census(Record, frozen=True):
    """The data of a stack at one moment."""

    at: datetime
    seconds: float = 0.0  # that it took
    services: tuple[str, ...] = ()  # those that have a container
    places: dict[str, PlaceSeen] = {}  # by "volume:<name>" or "bind:<path>"
    databases: tuple[DatabaseSeen, ...] = ()
    problem: str = ""  # why there is nothing at all


def take(look: Look, config: Config, *, after: Census | None = None, seconds: float = BEFORE_SECONDS) -> Census:
    """Count. With `after`, the census before: its places are looked for, and what it could look at is waited for.

    Takes `seconds` and a little at most. Raises SourceError when the engine does not answer.
    """
    began = time.monotonic()
    behind = reach(look, config)
    places = _places(look, behind.stack, after)
    files: dict[str, Counted] = {}
    walk: Lane[None] = Lane("census-files")
    walked = _walked(look, behind.stack, places)
    walk.ask(lambda: _count_files(walked, files))
    databases = _Servers(look, behind.stack, behind.connections, after, began + seconds).counted()
    walk.wait(began + FILES_SECONDS + 0.5)
    hangs = Counted(problem="its disk does not answer in time")
    places = {
        key: msgspec.structs.replace(place, files=files.get(key, hangs)) if key in walked else place
        for key, place in places.items()
    }
    return Census(
        at=datetime.now(UTC),
        seconds=round(time.monotonic() - began, 2),
        services=tuple(dict.fromkeys(one.service for one in look.containers)),
        places=places,
        databases=databases,
    )


# --- volumes, directories, files -------------------------------------------------------------------


def _places(look: Look, stack: Stack, before: Census | None) -> dict[str, PlaceSeen]:
    rows = {row.key: row for row in look.volumes if row.kind in _KINDS and not _is_setting(row)}
    found = {key: _place(look, row) for key, row in rows.items()}
    for path in stack.data_directories:  # configured ones that no container mounts
        found.setdefault(f"bind:{path}", _directory(PlaceSeen(words=path, kind=VolumeKind.BIND), path))
    for key, old in (before.places if before else {}).items():
        if key not in found:
            found[key] = _unmounted(look, key, old)
    return found


_KINDS = (VolumeKind.NAMED, VolumeKind.ANONYMOUS, VolumeKind.BIND)


def _is_setting(row: Volume) -> bool:
    """A file that containers only read: a setting or a key, and no data of theirs."""
    return row.kind is VolumeKind.BIND and os.path.isfile(row.path) and all(use.read_only for use in row.used_by)


def _place(look: Look, row: Volume) -> PlaceSeen:
    seen = PlaceSeen(
        words=volume_words(row),
        kind=row.kind,
        database=row.database,
        uses=tuple(sorted({f"{use.service}:{use.destination}" for use in row.used_by if not use.read_only})),
    )
    return _directory(seen, row.path) if row.kind is VolumeKind.BIND else _volume(look, seen, row.name)


def _unmounted(look: Look, key: str, old: PlaceSeen) -> PlaceSeen:
    """A place of before that no container has any more."""
    seen = msgspec.structs.replace(old, uses=(), there=False, identity="", holds="", files=None)
    kind, _, name = key.partition(":")
    return _directory(seen, name) if kind == "bind" else _volume(look, seen, name)


def _volume(look: Look, seen: PlaceSeen, name: str) -> PlaceSeen:
    there = look.engine_volumes.get(name)
    if there is None:
        return msgspec.structs.replace(seen, there=False)
    # What a volume with options holds can be seen only while a container has it.
    holds = _holds(there.path) if there.driver == "local" and not there.options else ""
    return msgspec.structs.replace(seen, there=True, identity=there.identity, holds=holds)


def _directory(seen: PlaceSeen, path: str) -> PlaceSeen:
    if engine_host(os.environ) != THIS_HOST:
        return msgspec.structs.replace(seen, there=True)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return msgspec.structs.replace(seen, there=False)
    except OSError:
        return msgspec.structs.replace(seen, there=True)
    return msgspec.structs.replace(seen, there=True, identity=f"{found.st_dev}:{found.st_ino}", holds=_holds(path))


def _holds(path: str) -> str:
    try:
        with os.scandir(path) as entries:
            return "files" if any(True for _ in entries) else "nothing"
    except OSError:
        return ""


def _walked(look: Look, stack: Stack, places: Mapping[str, PlaceSeen]) -> dict[str, str]:
    """Where the stack's own files are counted: key -> path. Not what databases write: that they count themselves."""
    if engine_host(os.environ) != THIS_HOST:
        return {}
    found = {}
    for key, place in places.items():
        kind, _, name = key.partition(":")
        if place.database or not place.there:
            continue
        if kind == "bind" and name in stack.data_directories:
            found[key] = name
        volume = look.engine_volumes.get(name) if kind == "volume" else None
        destinations = [use.partition(":")[2] for use in place.uses]
        if volume is not None and is_walkable(volume.path) and is_data(destinations):
            found[key] = volume.path
    return found


def is_data(destinations: Iterable[str]) -> bool:
    """Whether data is kept there, by where containers mount it: a cache or what a build makes is no more data in a
    volume of its own than in a directory."""
    found = tuple(destinations)
    return not found or not all(_NOT_DATA.search(one) for one in found)


def _count_files(walked: Mapping[str, str], found: dict[str, Counted]) -> None:
    end = time.monotonic() + FILES_SECONDS
    for key, path in walked.items():
        found[key] = tree_count(path, MOST_FILES, end)


# --- databases -------------------------------------------------------------------------------------


class _Servers:
    """The databases, looked at until they answer or the time is over."""

    def __init__(
        self,
        look: Look,
        stack: Stack,
        connections: Sequence[Connection],
        before: Census | None,
        end: float,
    ) -> None:
        self.look = look
        self.stack = stack
        self.before = {(one.kind, one.name): one for one in before.databases} if before else {}
        self.end = end
        self.running = {one.service for one in look.containers if one.state in _STARTING}
        self.databases = Databases(
            lambda stack, containers: connections,
            patience_seconds=BEFORE_SECONDS,
            list_patience_seconds=BEFORE_SECONDS,
        )

    def counted(self) -> tuple[DatabaseSeen, ...]:
        try:
            statuses = self._statuses()
            return tuple(self._checked(one.target, _seen(one)) for one in statuses)
        finally:
            self.databases.close()

    def _statuses(self) -> tuple[DatabaseStatus, ...]:
        while True:
            statuses = self.databases.look(self.stack, self.look.containers, collections=True)
            waits = any(self._is_coming(one) for one in statuses)
            if not waits or time.monotonic() + _POLL_SECONDS > self.end:
                return statuses
            time.sleep(_POLL_SECONDS)

    def _is_coming(self, status: DatabaseStatus) -> bool:
        """Whether a database that was counted before may still answer, like one that was just restarted."""
        old = self.before.get((status.target.kind, status.target.name))
        if old is None or old.problem or status.refused:
            return False
        if status.target.service and status.target.service not in self.running:
            return False
        return bool(_seen(status).problem)

    def _checked(self, target: DatabaseTarget, seen: DatabaseSeen) -> DatabaseSeen:
        """Where the server's own count fell, the documents themselves: after a crash that count is a guess."""
        old = self.before.get((seen.kind, seen.name))
        if old is None or old.problem or seen.problem:
            return seen
        fell = [
            (database, name)
            for database, collections in seen.collections.items()
            for name, documents in collections.items()
            if documents is not None and documents < (old.collections.get(database, {}).get(name) or 0)
        ]
        if not fell:
            return seen
        again = self.databases.recount(target, fell[:_RECOUNTS], RECOUNT_SECONDS)
        collections = {database: dict(known) for database, known in seen.collections.items()}
        for (database, name), one in again.items():
            if one.documents is not None:
                collections[database][name] = one.documents
        shrinking = {f"{database}.{name}": one.shrinks for (database, name), one in again.items() if one.shrinks}
        return msgspec.structs.replace(seen, collections=collections, shrinking=shrinking)


def _seen(status: DatabaseStatus) -> DatabaseSeen:
    target = status.target
    seen = DatabaseSeen(kind=target.kind, name=target.name, service=target.service)
    if not status.reachable:
        # Not since when it does not run: the census is read later.
        stopped = f"service {target.service} is not running" if "is not running (" in status.problem else ""
        return msgspec.structs.replace(seen, problem=stopped or status.problem or "it does not answer")
    if isinstance(status, RedisStatus):
        return _keys(seen, status)
    if not status.listed:
        return msgspec.structs.replace(seen, problem=_why_not_listed(status))
    return msgspec.structs.replace(
        seen,
        partly=status.problem if "may not read" in status.problem else "",
        collections={
            database.name: {
                one.name: one.documents if one.kind == "collection" else None for one in database.collections
            }
            for database in status.databases
        },
    )


def _why_not_listed(status: MongoStatus) -> str:
    return status.problem or "the list of its collections did not come in time"


def _keys(seen: DatabaseSeen, status: RedisStatus) -> DatabaseSeen:
    if status.loading:
        return msgspec.structs.replace(seen, problem="it is still loading its data")
    return msgspec.structs.replace(
        seen,
        keys={str(one.database): one.keys - one.expires for one in status.keyspaces},
        expiring=sum(one.expires for one in status.keyspaces),
        evicts=status.eviction_policy.startswith("allkeys"),
    )
