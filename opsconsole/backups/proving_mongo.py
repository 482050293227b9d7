"""A dump of MongoDB restored for a trial: loaded, put in place as a restore does it, and compared.

Into a throw-away server; where there is neither an image nor a program for one, into databases of our own on the live
server, which are dropped again. No database of the stack is written to.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import Decimal128
from pymongo.errors import ConnectionFailure, OperationFailure

from opsconsole.backups.faults import Fault
from opsconsole.backups.mongo_catalog import Document, Selection, collection_infos, index_specs, metadata_of
from opsconsole.backups.mongo_dumps import open_dump
from opsconsole.backups.mongo_loading import SURE, Expected, Staged, is_loaded, load_mongo
from opsconsole.backups.mongo_names import PROOF
from opsconsole.backups.mongo_raw import ask
from opsconsole.backups.mongo_swapping import plan_swaps, put_in_place, remove_beside
from opsconsole.backups.progress import Watch
from opsconsole.backups.proof import LiveServer, ProvenPart, Trial
from opsconsole.backups.reading import Corrupt
from opsconsole.model import SourceError
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import RawClient, bulk_client
from opsconsole.sources.network import Explained
from opsconsole.sources.throwaway import NoThrowaway, Throwaway, Wanted, throwaway
from opsconsole.sources.throwaway_maker import is_gone, mine
from opsconsole.text import printable

ROOM = 2
"""Times the size of the documents that must be free on the disk: indexes come to them, and time series lie there twice
for a moment. WiredTiger packs documents to less than half."""

_RESERVE = 1 << 30
# ShutdownInProgress, PrimarySteppedDown, InterruptedAtShutdown, NotWritablePrimary, OutOfDiskSpace
_UNABLE = frozenset({91, 189, 11600, 11602, 10107, 14031})
_VIEW_MS, _TIMED_OUT = 60_000, 50
_NOT_COMPARED = frozenset({"autoIndexId", "uuid", "create", "idIndex"})
_NAMED_AT_MOST = 10
_OF_PROOF = re.compile(rf"{PROOF}(.+)_\d+")

Renaming = Callable[[Sequence[str]], Mapping[str, str]]


@dataclass(frozen=True)
class MongoDump:
    """What is tried. `shown` names it where a fault is told."""

    name: str
    path: Path
    shown: str
    size: int  # bytes of documents
    version: str = ""  # of the server that it is of
    expected: Expected | None = None
    indexes: Mapping[str, int] | None = None  # their number by "database.collection", from a manifest


def prove_mongo(dump: MongoDump, trial: Trial) -> ProvenPart:
    """Raises Cancelled, and SourceError when it cannot be tried here, which says nothing against the dump."""
    live = trial.server("mongodb", dump.name)
    wanted = Wanted(
        kind="mongodb",
        image=live.image if live else "",
        version=dump.version,
        disk=ROOM * dump.size + _RESERVE,
        operation=trial.operation,
    )
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(throwaway(wanted, trial.scratch, trial.waiting))
        except NoThrowaway as nothing:
            if live is None or not live.may_load or not live.connection.uri:
                raise SourceError(nothing.problem, nothing.hint) from None
            return _beside_the_live_data(dump, trial, live)
        trying = _Trying(dump, trial, server.connection, f"restored into {server.words}")
        return trying.run(lambda databases: {}, server)


def _beside_the_live_data(dump: MongoDump, trial: Trial, live: LiveServer) -> ProvenPart:
    names: dict[str, str] = {}

    def renaming(databases: Sequence[str]) -> Mapping[str, str]:
        names.update({name: f"{PROOF}{mine()}_{number}" for number, name in enumerate(databases)})
        return names

    with bulk_client(live.connection) as client:
        _sweep(client)
        _check_room(client, dump)
    way = "restored into databases of its own on the live server"
    trying = _Trying(dump, trial, live.connection, way)
    try:
        return trying.run(renaming, None)
    finally:
        _drop(live, tuple(names.values()))


def _drop(live: LiveServer, names: Sequence[str]) -> None:
    try:
        with bulk_client(live.connection, answer_seconds=None) as client:
            for name in names:
                ask(client[name], {"dropDatabase": 1, "writeConcern": SURE})
    except SourceError as error:
        raise SourceError(
            f"what was restored for a trial is still on the live server: {error.problem}",
            f"Drop the databases whose names begin with {PROOF}, or let the next trial do it.",
        ) from None


def _check_room(client: RawClient, dump: MongoDump) -> None:
    if not ask(client.admin, {"hello": 1}).get("isWritablePrimary"):
        raise SourceError("MongoDB is no primary: nothing can be loaded into it", "Name the primary in MONGODB_URI.")
    try:
        stats = ask(client.admin, {"dbStats": 1})
    except OperationFailure:
        return  # not allowed: it cannot be told
    if "fsTotalSize" not in stats:
        return  # before 3.6
    free = int(stats["fsTotalSize"]) - int(stats["fsUsedSize"])
    needed = ROOM * dump.size + _RESERVE
    if free < needed:
        raise SourceError(
            f"a trial on the live server would need {needed >> 20:,} MiB of its disk and {free >> 20:,} MiB are free",
            "Keep the image of MongoDB on an engine of this host, or verify the backup on another host.",
        )


def _sweep(client: RawClient) -> None:
    """Drop what a proof that was killed left."""
    for one in ask(client.admin, {"listDatabases": 1, "nameOnly": True})["databases"]:
        named = _OF_PROOF.fullmatch(str(one["name"]))
        if named and is_gone(named[1]):
            ask(client[str(one["name"])], {"dropDatabase": 1, "writeConcern": SURE})


# --- one trial -------------------------------------------------------------------------------------


class _Trying:
    def __init__(self, dump: MongoDump, trial: Trial, connection: Connection, way: str) -> None:
        self._dump = dump
        self._trial = trial
        self._connection = connection
        self._way = way

    def run(self, renaming: Renaming, server: Throwaway | None) -> ProvenPart:
        try:
            return self._restored(renaming, alone=server is not None)
        except Corrupt as fault:
            return self._faulty(fault.problem)
        except OSError as error:
            raise SourceError(f"{self._dump.shown} cannot be read: {error.strerror or error}") from None
        except Explained as error:
            if _is_of_the_server(error):
                ended = _ending(server)
                what = f"the throw-away server ended while it was loaded: {ended}" if ended else error.problem
                raise SourceError(what, "" if ended else error.hint) from None
            return self._faulty(f"cannot be restored: {error.problem}")

    def _restored(self, renaming: Renaming, *, alone: bool) -> ProvenPart:
        watch = Watch(lambda now: self._trial.told(now.collection, now.bytes), self._trial.cancelled)
        begun = time.monotonic()
        with (
            bulk_client(self._connection, answer_seconds=None) as client,
            open_dump(self._dump.path, self._trial.keys) as dump,
        ):
            renamed = renaming(sorted({entry.database for entry in dump.entries if is_loaded(entry)}))
            staged = load_mongo(
                client, dump, watch=watch, selection=Selection(), renamed=renamed, expected=self._dump.expected
            )
            for swap in plan_swaps(client, staged):
                self._trial.waiting()
                put_in_place(client, swap)
                remove_beside(client, swap)
            seconds = time.monotonic() - begun
            compared = _Compared(client, self._dump.indexes, alone=alone)
            for one in staged:
                self._trial.waiting()
                compared.look(one)
        views = sum(one.entry.kind == "view" for one in staged)
        counts = [(len(staged) - views, "collection"), (views, "view")]
        counts += [(sum(one.documents for one in staged), "document"), (compared.indexes, "index")]
        return ProvenPart(
            kind="mongo",
            name=self._dump.name,
            counts=tuple((number, what) for number, what in counts if number or what != "view"),
            seconds=seconds,
            way=self._way,
            faults=tuple(self._fault(problem) for problem in compared.problems[:_NAMED_AT_MOST]),
            notes=tuple(_notes(staged)),
        )

    def _faulty(self, problem: str) -> ProvenPart:
        return ProvenPart(kind="mongo", name=self._dump.name, way=self._way, faults=(self._fault(problem),))

    def _fault(self, problem: str) -> Fault:
        return Fault(path=self._dump.shown, problem=printable(problem))


def _notes(staged: Sequence[Staged]) -> Iterator[str]:
    for one in staged:
        if one.changed_indexes:
            names = printable(", ".join(one.changed_indexes))[:200]
            yield f"{printable(one.entry.path)}: options of old servers are left out of the indexes {names}"


def _is_of_the_server(error: Explained) -> bool:
    """Whether the server is to blame, and not what was loaded into it."""
    cause = error.__cause__
    return error.refused or isinstance(cause, ConnectionFailure | OSError) or getattr(cause, "code", 0) in _UNABLE


def _ending(server: Throwaway | None) -> str:
    """How a server ended whose connection was cut; the engine may learn of it a moment later than we."""
    end = time.monotonic() + 3.0
    while server is not None and time.monotonic() < end:
        if (ended := server.ended()) is not None:
            return str(ended)
        time.sleep(0.1)
    return ""


class _Compared:
    """What is in place now against what the dump says of it. Documents were read back when they were loaded."""

    def __init__(self, client: RawClient, indexes: Mapping[str, int] | None, *, alone: bool) -> None:
        self._client = client
        self._told = indexes
        self._alone = alone
        self._infos: dict[str, dict[str, Document]] = {}
        self.indexes = 0
        self.problems: list[str] = []

    def look(self, staged: Staged) -> None:
        path = staged.entry.path
        if staged.database not in self._infos:
            infos = collection_infos(self._client[staged.database])
            self._infos[staged.database] = {str(info["name"]): info for info in infos}
        info = self._infos[staged.database].get(staged.live)
        if info is None:
            self.problems.append(f"holds {path}, which was loaded and is not there")
            return
        metadata = metadata_of(staged.entry)
        if different := _different(metadata.options, info.get("options", {})):
            self.problems.append(f"holds {path}, whose option {different} came back differently")
        if staged.entry.kind == "view":
            self._view(staged)
            return
        self._indexes(staged, [str(spec.get("name")) for spec in metadata.indexes])
        # On a live server documents may expire meanwhile.
        if self._alone:
            found = int(ask(self._client[staged.database], {"count": staged.entry.stored_as})["n"])
            if found != staged.documents:
                self.problems.append(f"holds {staged.documents:,} documents of {path}, and {found:,} were restored")

    def _indexes(self, staged: Staged, listed: Sequence[str]) -> None:
        path = staged.entry.path
        there = {str(spec["name"]) for spec in index_specs(self._client[staged.database], staged.live)}
        self.indexes += len(there)
        told = (self._told or {}).get(path, len(listed))
        if told != len(listed):
            self.problems.append(f"lists {len(listed)} indexes of {path}, the manifest says {told}")
        if missing := sorted(set(listed) - there):
            self.problems.append(f"lists the index {missing[0]} of {path}, which is not there after a restore")
        if extra := sorted(there - set(listed) - {"_id_"}):
            self.problems.append(f"does not list the index {extra[0]} of {path}, which is there after a restore")

    def _view(self, staged: Staged) -> None:
        command = {"find": staged.live, "limit": 1, "maxTimeMS": _VIEW_MS}
        try:
            ask(self._client[staged.database], command)
        except OperationFailure as error:
            if error.code != _TIMED_OUT:
                said = str(error).partition(", full error:")[0][:200]
                self.problems.append(f"holds the view {staged.entry.path}, which cannot be read: {said}")


def _different(wanted: Document, found: Document) -> str:
    """The first option that is not as the dump has it; a newer server may say more than that."""
    for name, value in wanted.items():
        if name not in _NOT_COMPARED and (name not in found or _plain(value) != _plain(found[name])):
            return name
    return ""


def _plain(value: Any) -> Any:
    """Old tools wrote whole numbers as any kind of number."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    return "NaN" if value != value else value
