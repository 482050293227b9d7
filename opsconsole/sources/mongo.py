"""One MongoDB server, asked again and again through one kept client.

Importing this module imports pymongo (about 0.1 s): `databases` does so on the thread that asks.

Every question costs the server next to nothing: counts come from the collection's metadata, never from a
scan. A command that the user may not run leaves its part unknown and is named in `problem`.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pymongo
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from opsconsole.database_work import View, Work
from opsconsole.model import Collection, MongoDatabase, MongoStatus
from opsconsole.sources import mongo_parse, mongo_work
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_faults import (
    NO_CREDENTIALS_HINT,
    cut_off,
    explain_failure,
    explain_unusable,
    forbidden,
)
from opsconsole.sources.mongo_operations import slow_operations
from opsconsole.sources.network import Explained, knock, place_of, user_of
from opsconsole.text import printable

LIST_SECONDS = 20.0
"""Budget of one list of databases and collections (about 1 ms per collection). What is left after it
keeps its name and has no sizes."""

OPLOG_SECONDS = 60.0
"""Between two questions how much of its size the oplog uses."""

_CLIENT_OPTIONS: dict[str, Any] = {
    "appname": "opsconsole",
    "serverSelectionTimeoutMS": 2000,
    "connectTimeoutMS": 2000,
    "socketTimeoutMS": 4000,
    "maxPoolSize": 2,  # a look and a list may run at once
    "minPoolSize": 0,
    # No second connection that streams topology changes: we ask often enough ourselves.
    "serverMonitoringMode": "poll",
    "heartbeatFrequencyMS": 10000,
    "tz_aware": True,
}

# Sections of serverStatus that are dear to build or long to send and that nobody here reads.
# (Not `metrics`: leaving it out takes `mem` with it, seen on 6.0.)
_UNREAD_SECTIONS = ("locks", "tcmalloc", "repl", "sharding", "transactions", "flowControl", "security")

_SYSTEM_DATABASES = frozenset({"config", "local"})

# Warnings about unknown options in a URI would be printed across the operator's screen.
_warnings_lock = threading.Lock()


def utc_now() -> datetime:
    return datetime.now(UTC)


class MongoServer:
    """One server behind one URI. `look` and `list_databases` may run at once, each on a thread of its own."""

    def __init__(self, connection: Connection, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.connection = connection
        self._clock = clock
        self._client: MongoClient[dict[str, Any]] | None = None
        self._client_lock = threading.Lock()
        self._counters: mongo_parse.Counters | None = None
        self._list_problem = ""
        self._oplog_percent: float | None = None
        self._oplog_due = 0.0
        self._answered = False
        uri = connection.uri.lower()
        self._single = "," not in place_of(connection.uri) and not uri.startswith("mongodb+srv")
        found = re.search(r"[?&]replicaset=([^&#]+)", connection.uri, re.IGNORECASE)
        self._wanted_set = found[1] if found else ""
        discover = bool(self._wanted_set) or "directconnection=false" in uri
        self._direct = self._single and ("directconnection=true" in uri or not discover)

    def look(self) -> MongoStatus:
        """How the server is, without its databases. Never raises: what is wrong stands in the status."""
        try:
            return self._look_again_if_cut_off()
        except Explained as failure:
            return self._unreachable(failure)
        except (PyMongoError, ValueError, OSError) as error:
            return self._unreachable(explain_failure(error, self.connection, self._known_client()))

    def list_databases(self) -> tuple[MongoDatabase, ...] | None:
        """Databases with sizes and collections, system ones left out; None when they cannot be listed now."""
        end = time.monotonic() + LIST_SECONDS
        self._list_problem = ""
        try:
            names = self._database_names(end)
            return tuple(found for name in names if (found := self._database(name, end)) is not None)
        except (PyMongoError, Explained, ValueError, OSError) as error:
            if forbidden(error):
                self._list_problem = "the list of databases"
            return None

    def recount(self, database: str, collection: str, end: float) -> mongo_parse.Recount:
        """Count a collection one by one until `end` (monotonic) at most, and see whether it shrinks by itself."""
        handle, shrinks = self._database_named(database), ""
        try:
            with _until(end):
                found = next(iter(handle.list_collections(filter={"name": collection})), {})
                indexes = list(handle[collection].list_indexes())
                shrinks = mongo_parse.shrinks_by_itself(found.get("options", {}), indexes)
                rows = list(handle[collection].aggregate([{"$group": {"_id": None, "documents": {"$sum": 1}}}]))
            return mongo_parse.Recount(int(rows[0]["documents"]) if rows else 0, shrinks)
        except (PyMongoError, Explained, ValueError, OSError):
            return mongo_parse.Recount(None, shrinks)

    def at_work(self, view: View, collections: Sequence[tuple[str, str]]) -> Work:
        """See `mongo_work`. Raises SourceError."""
        try:
            return mongo_work.look(self._command, view, collections)
        except (PyMongoError, ValueError, OSError) as error:
            raise explain_failure(error, self.connection, self._known_client()) from None

    def close(self) -> None:
        """Close the connections. May block for a moment when the server hangs."""
        with self._client_lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # --- the client ----------------------------------------------------------------------------

    def _open(self) -> MongoClient[dict[str, Any]]:
        with self._client_lock:
            if self._client is not None:
                return self._client
            # The set's name is compared by us: the driver would only time out on a wrong one.
            direct: dict[str, Any] = {"directConnection": True, "replicaSet": None} if self._direct else {}
            try:
                with _warnings_lock, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._client = MongoClient(self.connection.uri, **_CLIENT_OPTIONS, **direct)
            except (ConfigurationError, ValueError, TypeError) as error:
                raise explain_unusable(error, self.connection) from None
            return self._client

    def _known_client(self) -> MongoClient[dict[str, Any]] | None:
        with self._client_lock:
            return self._client

    def _database_named(self, name: str) -> Database[dict[str, Any]]:
        return self._open().get_database(name, read_preference=ReadPreference.PRIMARY_PREFERRED)

    def _command(self, database: str, document: dict[str, Any]) -> dict[str, Any]:
        handle = self._database_named(database)
        return handle.command(document, read_preference=ReadPreference.PRIMARY_PREFERRED)

    # --- a look --------------------------------------------------------------------------------

    def _look_again_if_cut_off(self) -> MongoStatus:
        """Kept connections die with the server's process: the second try opens new ones."""
        try:
            return self._look_once()
        except ServerSelectionTimeoutError:
            if not self._single or self._direct:
                raise
            # The set's members go by names that this host does not know: ask the one we can reach.
            self.close()
            self._direct = True
            return self._look_once()
        except Exception as error:
            if not cut_off(error):
                raise
            return self._look_once()

    def _look_once(self) -> MongoStatus:
        if not self._answered and self._single:
            self._open()  # an address that is none is found first
            knock(self.connection.uri)
        self._answered = False
        hello, latency = self._hello()
        self._answered = True
        denied: list[str] = []
        wanted = dict.fromkeys(_UNREAD_SECTIONS, 0) | ({"oplog": 1} if hello.get("setName") else {})
        server = self._permitted("serverStatus", denied, **wanted)
        replica = self._permitted("replSetGetStatus", denied) if hello.get("setName") else {}
        version = server.get("version") or self._permitted("buildInfo", denied).get("version", "")
        counters = mongo_parse.counters_from(server, time.monotonic())
        status = mongo_parse.status_from(
            self.connection.target,
            hello=hello,
            server=server,
            replica=replica,
            version=str(version),
            rates=counters.rates_since(self._counters),
            latency_seconds=latency,
            slow=slow_operations(self._command),
            oplog_used_percent=self._oplog_used() if hello.get("setName") else None,
            now=self._clock(),
        )
        self._counters = counters
        return self._with_problem(status, hello, denied)

    def _hello(self) -> tuple[dict[str, Any], float]:
        """What the node says about itself, and how long the answer took over an open connection."""
        name = "hello"
        try:
            self._command("admin", {name: 1})
        except OperationFailure as error:
            if error.code != 59:  # CommandNotFound: older than 4.4.2
                raise
            name = "isMaster"
        begun = time.monotonic()
        return self._command("admin", {name: 1}), time.monotonic() - begun

    def _permitted(self, command: str, denied: list[str], **options: Any) -> dict[str, Any]:
        """The answer, or {} when the user may not ask (the command is then added to `denied`)."""
        try:
            return self._command("admin", {command: 1, **options})
        except OperationFailure as error:
            if forbidden(error):
                denied.append(command)
            elif error.code not in (59, 76, 94):  # unknown here, not a replica set, not initiated
                raise
            return {}

    def _oplog_used(self) -> float | None:
        """How much of its size the oplog uses; asked once a minute."""
        if time.monotonic() >= self._oplog_due:
            command = {"aggregate": "oplog.rs", "pipeline": [{"$collStats": {"storageStats": {}}}], "cursor": {}}
            try:
                rows = self._command("local", command)["cursor"]["firstBatch"]
            except (OperationFailure, NotPrimaryError):
                rows = []
            self._oplog_percent = mongo_parse.oplog_used(rows[0].get("storageStats", {}) if rows else {})
            self._oplog_due = time.monotonic() + OPLOG_SECONDS
        return self._oplog_percent

    def _with_problem(self, status: MongoStatus, hello: dict[str, Any], denied: list[str]) -> MongoStatus:
        user = user_of(self.connection.uri)
        if denied and not user:
            return msgspec.structs.replace(
                status,
                reachable=False,
                refused=True,
                problem="MongoDB wants a password and none is configured",
                hint=NO_CREDENTIALS_HINT,
                sampled_at=None,
            )
        problem, hint = mongo_parse.set_problem(hello, status.members, self._wanted_set)
        missing = [*denied, *([self._list_problem] if self._list_problem else [])]
        if not problem and missing:
            problem = f"authenticated, but user {printable(user)} may not read {' and '.join(missing)}"
            hint = "grant it the roles clusterMonitor and readAnyDatabase (db.grantRolesToUser)"
        return msgspec.structs.replace(status, problem=problem, hint=hint)

    def _unreachable(self, failure: Explained) -> MongoStatus:
        self._counters = None
        return MongoStatus(
            target=self.connection.target, refused=failure.refused, problem=failure.problem, hint=failure.hint
        )

    # --- the list ------------------------------------------------------------------------------

    def _database_names(self, end: float) -> list[str]:
        """Names that this user may see; the application's own database when it may not list any."""
        try:
            with _until(end):
                found = self._command("admin", {"listDatabases": 1, "nameOnly": True})["databases"]
        except OperationFailure as error:
            if not forbidden(error):
                raise
            self._list_problem = "the list of databases"
            found = []
        names = [str(one["name"]) for one in found if one["name"] not in _SYSTEM_DATABASES]
        own = self.connection.target.database
        return sorted(names) or ([own] if own else [])

    def _database(self, name: str, end: float) -> MongoDatabase | None:
        """One database; None for `admin` when nobody keeps data of his own in it."""
        collections = self._collections(name, end)
        if name == "admin" and not collections:
            return None
        try:
            with _until(end):
                stats = self._command(name, {"dbStats": 1})
        except OperationFailure as error:
            if not forbidden(error):
                raise
            self._list_problem = self._list_problem or f"the sizes of {printable(name)}"
            stats = {}
        return MongoDatabase(
            name=name,
            data_bytes=_whole(stats.get("dataSize")),
            storage_bytes=_whole(stats.get("storageSize")),
            index_bytes=_whole(stats.get("indexSize")),
            collections=collections,
        )

    def _collections(self, name: str, end: float) -> tuple[Collection, ...]:
        database = self._database_named(name)
        try:
            with _until(end):
                found = list(database.list_collections(nameOnly=True, authorizedCollections=True))
        except OperationFailure as error:
            if not forbidden(error):
                raise
            self._list_problem = f"the collections of {printable(name)}"
            return ()
        own = [(str(one["name"]), str(one["type"])) for one in found if not one["name"].startswith("system.")]
        return tuple(self._collection(name, collection, kind, end) for collection, kind in sorted(own))

    def _collection(self, database: str, name: str, kind: str, end: float) -> Collection:
        if kind == "view" or time.monotonic() > end:
            return Collection(name=name, kind=kind)
        try:
            with _until(end):
                rows = list(self._database_named(database)[name].aggregate([{"$collStats": {"storageStats": {}}}]))
        except OperationFailure as error:
            if forbidden(error):
                self._list_problem = f"the sizes of {printable(database)}.{printable(name)}"
            return Collection(name=name, kind=kind)  # or it was dropped in between
        except PyMongoError as error:
            if not error.timeout:
                raise
            return Collection(name=name, kind=kind)
        return mongo_parse.collection_from(name, kind, rows[0].get("storageStats", {}) if rows else {})


@contextlib.contextmanager
def _until(end: float) -> Iterator[None]:
    """Let the driver's commands take until `end` (monotonic), at least a moment."""
    with pymongo.timeout(max(0.05, end - time.monotonic())):
        yield


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
