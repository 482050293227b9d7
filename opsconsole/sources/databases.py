"""The database servers of a stack, each asked on threads of its own.

A server that hangs delays only itself: after a deadline its last data is returned as it was, marked
unreachable, and whatever it answers later is taken at the next look.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from opsconsole.database_work import View, Work
from opsconsole.model import (
    Container,
    DatabaseStatus,
    DatabaseTarget,
    MongoDatabase,
    MongoStatus,
    RedisStatus,
    SourceError,
    Stack,
)
from opsconsole.sources.absence import why_not_running
from opsconsole.sources.connection import Connection
from opsconsole.sources.lane import Lane
from opsconsole.sources.mongo_parse import Recount
from opsconsole.sources.network import secrets_of
from opsconsole.text import mask_text, printable

if TYPE_CHECKING:
    from opsconsole.sources.mongo import MongoServer
    from opsconsole.sources.redis import RedisServer

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""How long one look waits for the slowest server: a little longer than a server's own budget of 4 s."""

LIST_PATIENCE_SECONDS = 1.0
"""How long a look waits for the list of collections; a longer one arrives with a later look."""

Connections = Callable[[Stack, Sequence[Container]], Sequence[Connection]]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Databases:
    """Implements `DatabaseSource`. `connections` says which servers there are and how to reach them."""

    def __init__(
        self,
        connections: Connections,
        *,
        clock: Callable[[], datetime] = utc_now,
        patience_seconds: float = PATIENCE_SECONDS,
        list_patience_seconds: float = LIST_PATIENCE_SECONDS,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._patience = patience_seconds
        self._list_patience = list_patience_seconds
        self._watched: dict[tuple[str, str], _Watched] = {}

    def look(self, stack: Stack, containers: Sequence[Container], *, collections: bool) -> tuple[DatabaseStatus, ...]:
        """Every database of the stack, in the order they were found. Waits for the slowest, with a deadline."""
        watched = [self._watch(connection) for connection in self._connections(stack, containers)]
        self._forget_all_but(watched)
        now = self._clock()
        absent = [one.no_way or why_not_running(one.target.service, containers, now) for one in watched]
        for one, (problem, _) in zip(watched, absent, strict=True):
            # A stopped container's address may already be another one's: it is not asked.
            if not problem:
                one.ask(collections=collections)
        deadline = time.monotonic() + self._patience
        return tuple(
            one.gone(problem, hint) if problem else one.status(deadline, self._list_patience)
            for one, (problem, hint) in zip(watched, absent, strict=True)
        )

    def recount(
        self, target: DatabaseTarget, collections: Sequence[tuple[str, str]], seconds: float
    ) -> dict[tuple[str, str], Recount]:
        """A second look at collections (database, name) of a MongoDB that was looked at; what took longer is left
        out."""
        watched = self._watched.get((target.kind, target.name))
        return watched.recount(collections, seconds) if watched is not None else {}

    def at_work(self, target: DatabaseTarget, view: View) -> Work:
        """One view of a server that was looked at, asked now. Blocks; raises SourceError."""
        watched = self._watched.get((target.kind, target.name))
        if watched is None:
            raise SourceError(f"{target.name} is not known any more")
        return watched.at_work(view)

    def close(self) -> None:
        """Let go of every connection without waiting for a server that hangs."""
        self._forget_all_but([])

    def _watch(self, connection: Connection) -> _Watched:
        """The server behind this connection; a new one when its address or password changed."""
        key = (connection.target.kind, connection.target.name)
        known = self._watched.get(key)
        if known is not None and known.reaches(connection):
            known.target = connection.target
            return known
        if known is not None:
            known.close()
        self._watched[key] = _Watched(connection, self._clock)
        return self._watched[key]

    def _forget_all_but(self, kept: Sequence[_Watched]) -> None:
        for key, one in tuple(self._watched.items()):
            if one not in kept:
                del self._watched[key]
                one.close()


class _Server(Protocol):
    """What MongoServer and RedisServer share."""

    def look(self) -> DatabaseStatus: ...

    def at_work(self, view: View, collections: Sequence[tuple[str, str]]) -> Work: ...

    def close(self) -> None: ...


class _Watched:
    """One server, its two lanes (how it is; what is in it) and the last that was known of it."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self.target: DatabaseTarget = connection.target
        # A way that was refused may have another beside it; the last one that worked comes first.
        self._ways = [connection.uri, *connection.others]
        self.no_way = (connection.problem or "no address is known", connection.hint) if not connection.uri else None
        self._clock = clock
        self._servers: dict[str, _Server] = {}
        self._servers_lock = threading.Lock()
        name = f"{self.target.kind}-{self.target.name}"
        self._looks: Lane[DatabaseStatus] = Lane(name)
        self._lists: Lane[tuple[MongoDatabase, ...] | None] = Lane(f"{name}-list")
        self._listed: tuple[MongoDatabase, ...] = ()
        self._good: DatabaseStatus | None = None

    def reaches(self, connection: Connection) -> bool:
        """Whether this is still the way to the server."""
        return sorted(self._ways) == sorted([connection.uri, *connection.others]) and not (
            self.no_way or connection.problem
        )

    def ask(self, *, collections: bool) -> None:
        """Start a look (and a list, when asked for and when there is anything to list)."""
        self._looks.ask(self._look)
        if collections and self.target.kind == "mongodb":
            self._lists.ask(self._list)

    def status(self, deadline: float, list_patience: float) -> DatabaseStatus:
        """What it answered, or what was last known with the reason why it is not more."""
        answered = self._looks.wait(deadline)
        if self._lists.answer is None:
            self._lists.wait(min(deadline, time.monotonic() + list_patience))
        latest = self._looks.answer
        if not answered or latest is None:
            seconds = self._looks.waiting_seconds
            return self.gone(f"no answer for {seconds:.0f} seconds", "it hangs or is overloaded: see its log")
        if not latest.reachable:
            return self.gone(latest.problem, latest.hint, latest)
        self._good = latest
        return self._with_list(latest)

    def gone(self, problem: str, hint: str, latest: DatabaseStatus | None = None) -> DatabaseStatus:
        """The last data, marked unreachable. `sampled_at` stays that of the last good answer."""
        known = self._good or latest or _unknown(self.target)
        refused = latest.refused if latest is not None else False
        status = msgspec.structs.replace(known, reachable=False, refused=refused, problem=problem, hint=hint)
        return self._with_list(status)

    def recount(self, collections: Sequence[tuple[str, str]], seconds: float) -> dict[tuple[str, str], Recount]:
        """Counted one by one; what was not counted in time is left out."""
        end = time.monotonic() + seconds
        found: dict[tuple[str, str], Recount] = {}

        def count() -> None:
            with contextlib.suppress(Exception):  # what cannot be asked is left out
                server: MongoServer = self._opened(self._ways[0])  # type: ignore[assignment]
                for database, collection in collections:
                    found[database, collection] = server.recount(database, collection, end)

        lane: Lane[None] = Lane(f"recount-{self.target.name}")
        lane.ask(count)
        lane.wait(end)
        return dict(found)

    def at_work(self, view: View) -> Work:
        if self.target.kind == "mongodb" and view is not View.OPERATIONS and self._lists.answer is None:
            raise SourceError("its collections are not listed yet, or may not be", "ask again in a moment: F5")
        listed = [(one.name, each.name) for one in self._listed for each in one.collections if each.kind != "view"]
        return self._opened(self._ways[0]).at_work(view, listed)

    def close(self) -> None:
        """Close the server's connections on a thread: a server that hangs must not hold up the end."""
        threading.Thread(target=self._close_server, name=f"close-{self.target.name}", daemon=True).start()

    def _close_server(self) -> None:
        with self._servers_lock:
            servers = tuple(self._servers.values())
            self._servers.clear()
        for server in servers:
            server.close()

    def _with_list(self, status: DatabaseStatus) -> DatabaseStatus:
        if self._lists.answer is not None:
            self._listed = self._lists.answer
        if isinstance(status, MongoStatus):
            return msgspec.structs.replace(
                status, target=self.target, databases=self._listed, listed=self._lists.answer is not None
            )
        return msgspec.structs.replace(status, target=self.target)

    # --- on the lanes' threads -----------------------------------------------------------------

    def _look(self) -> DatabaseStatus:
        try:
            return self._look_each_way()
        except Exception as error:  # a fault of ours must not end the lane
            log.exception("database %s", self.target.name)
            said = mask_text(printable(str(error)), tuple(s for way in self._ways for s in secrets_of(way)))
            problem = f"unexpected {type(error).__name__}: {said}"
            return msgspec.structs.replace(_unknown(self.target), problem=problem, hint="please report this")

    def _look_each_way(self) -> DatabaseStatus:
        """The first way that leads in; else what a server said that answered; else what the first way met."""
        failed: list[DatabaseStatus] = []
        for way in tuple(self._ways):
            status = self._opened(way).look()
            if status.reachable:
                self._ways.remove(way)
                self._ways.insert(0, way)
                return status
            failed.append(status)
        return next((status for status in failed if status.refused), failed[0])

    def _list(self) -> tuple[MongoDatabase, ...] | None:
        try:
            server: MongoServer = self._opened(self._ways[0])  # type: ignore[assignment]
            listed = server.list_databases()
        except Exception:
            log.exception("list of database %s", self.target.name)
            return self._lists.answer
        return listed if listed is not None else self._lists.answer

    def _opened(self, way: str) -> _Server:
        with self._servers_lock:
            if way not in self._servers:
                self._servers[way] = _server_for(Connection(target=self.target, uri=way), self._clock)
            return self._servers[way]


def _server_for(connection: Connection, clock: Callable[[], datetime]) -> MongoServer | RedisServer:
    """The client libraries are imported here, on the thread that asks: 0.1 s each that nobody waits for."""
    if connection.target.kind == "redis":
        from opsconsole.sources.redis import RedisServer

        return RedisServer(connection, clock=clock)
    from opsconsole.sources.mongo import MongoServer

    return MongoServer(connection, clock=clock)


def _unknown(target: DatabaseTarget) -> DatabaseStatus:
    return RedisStatus(target=target) if target.kind == "redis" else MongoStatus(target=target)
