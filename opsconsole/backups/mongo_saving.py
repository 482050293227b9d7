"""Save a MongoDB server, or part of it, as a mongodump archive.

On a replica set every collection is read as it was at one moment. A standalone server cannot do that: there each
collection is read as it is when its turn comes, and the result says so.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from bson.timestamp import Timestamp
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from opsconsole import __version__
from opsconsole.backups.bson_documents import DocumentDigest
from opsconsole.backups.conveyor import Conveyor
from opsconsole.backups.encryption import NOBODY, Recipients
from opsconsole.backups.manifest import HeldOplog
from opsconsole.backups.mongo_archive import ArchiveWriter, Entry
from opsconsole.backups.mongo_catalog import Catalog, Listed, Selection, catalog, is_of_users, metadata_of
from opsconsole.backups.mongo_estimates import long_memory, totals
from opsconsole.backups.mongo_oplog import (
    ReplicaSet,
    applied,
    before_open_transactions,
    committed,
    may_read_oplog,
    oplog_time,
    replica_set,
)
from opsconsole.backups.mongo_raw import answers, ask, raw_batches
from opsconsole.backups.packed_files import PackedFile, Packing
from opsconsole.backups.progress import IsCancelled, OnProgress, Watch
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import ANSWER_SECONDS, RawClient, bulk_client
from opsconsole.sources.mongo_faults import forbidden
from opsconsole.sources.network import Explained
from opsconsole.text import printable

TOOL_VERSION = f"opsconsole {__version__}"
EVERYTHING = Selection()

# NamespaceNotFound, QueryPlanKilled, SnapshotUnavailable: a collection was dropped or made while we read.
_CHANGED = (26, 175, 246)
_TOO_OLD = 239  # SnapshotTooOld
_TRIES = 3


class Consistency(StrEnum):
    ONE_POINT = "one point in time"
    PER_COLLECTION = "per collection"


class SavedCollection(msgspec.Struct, frozen=True):
    """What was saved of one collection, for the manifest. `digest` is of the documents in their order."""

    database: str
    name: str
    kind: str
    documents: int
    bytes: int
    digest: str
    indexes: int
    consistency: Consistency


class SavedDump(msgspec.Struct, frozen=True):
    size: int
    sha256: str
    packing: Packing
    consistency: Consistency  # of the whole: the weakest of its collections
    moment: datetime | None  # the one point in time, to the second; None where there is none
    collections: tuple[SavedCollection, ...]
    left_out: tuple[str, ...]  # users and roles that this user may not read
    server_version: str
    tool_version: str
    seconds: float = 0.0
    oplog: HeldOplog | None = None  # where an incremental backup can go on from; None where none can


class Given(msgspec.Struct, frozen=True):
    """A collection that is put into an archive as it is here, whatever the server has."""

    entry: Entry
    data: bytes  # documents end to end
    documents: int


class _Settled(msgspec.Struct, frozen=True):
    """The list of collections, and moments before anything of them is read."""

    found: Catalog
    moment: Timestamp | None = None  # at which everything is read
    begins: Timestamp | None = None  # of the oplog; None where it may not be read, or is of no use


class _Changed(Exception):
    """A collection was dropped or made under us: begin again."""


class _TooSlow(Exception):
    """The server keeps the past for a shorter time than reading it takes."""


def save_mongo(
    connection: Connection,
    path: Path,
    *,
    packing: Packing = Packing.GZIP,
    recipients: Recipients = NOBODY,
    selection: Selection = EVERYTHING,
    progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
    answer_seconds: float = ANSWER_SECONDS,
    users: Sequence[Given] | None = None,
) -> SavedDump:
    """Write an archive to `path`, which must not exist, and whose name ends with .age when it is encrypted to
    `recipients`; there is none after a failure.

    With `users` the collections of admin that hold users, roles and their version are these, not the server's.

    Raises Explained when the server fails or the disk does, Cancelled when `cancelled` says so.
    """
    begun = time.monotonic()
    saving = None
    try:
        with bulk_client(connection, answer_seconds=answer_seconds) as client:
            watch = Watch(progress, cancelled)
            saving = _Saving(client, path, packing, recipients, watch, users)
            dump = saving.run(selection, connection.target.database)
    except Explained as failure:
        if saving is None or not saving.reading:
            raise
        where = f"while {printable(saving.reading)} was saved"
        raise Explained(f"{failure.problem} ({where})", failure.hint, refused=failure.refused) from failure
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror or error}"
        raise Explained(reason, "make room or name another place; nothing was kept of this backup") from error
    return msgspec.structs.replace(dump, seconds=time.monotonic() - begun)


class _Saving:
    """One archive, begun again when collections are dropped or made while others are read."""

    def __init__(
        self,
        client: RawClient,
        path: Path,
        packing: Packing,
        recipients: Recipients,
        watch: Watch,
        users: Sequence[Given] | None,
    ) -> None:
        self._client = client
        self._path = path
        self._packing = packing
        self._recipients = recipients
        self._watch = watch
        self._users = users
        self._version = ""
        self._set: ReplicaSet | None = None
        self._by_name = False
        self.reading = ""  # the collection that is being read

    def run(self, selection: Selection, own: str) -> SavedDump:
        """Try at one point in time first, then collection by collection."""
        self._version = str(ask(self._client.admin, {"buildInfo": 1})["version"])
        self._set = replica_set(self._client)
        # A part of a server is nothing that the oplog of the whole could be applied to.
        follows = self._set is not None and selection.everything and may_read_oplog(self._client)
        for snapshot in (True, False) if self._set is not None else (False,):
            for _ in range(_TRIES):
                try:
                    return self._once(self._settled(selection, own, snapshot, follows))
                except _Changed:
                    continue
                except _TooSlow:
                    break
        raise Explained(
            "collections were dropped and made again and again while they were saved",
            "save when what rebuilds them does not run, or leave them out",
        )

    def _settled(self, selection: Selection, own: str, snapshot: bool, follows: bool) -> _Settled:
        if not snapshot:
            begins = before_open_transactions(self._client, committed(self._client)) if follows else None
            return _Settled(self._catalog(selection, own), None, begins)
        found = self._catalog(selection, own)
        for _ in range(_TRIES * 10):
            # The majority has this moment already, so reading at it never waits.
            moment = committed(self._client)
            again = self._catalog(selection, own)
            if again == found:
                begins = before_open_transactions(self._client, moment) if follows else None
                return _Settled(found, moment, begins)
            found = again
        raise _Changed

    def _catalog(self, selection: Selection, own: str) -> Catalog:
        found = catalog(self._client, selection, own)
        if self._users is None:
            return found
        others = tuple(one for one in found.listed if not is_of_users(one.entry))
        return Catalog(others)

    def _once(self, settled: _Settled) -> SavedDump:
        found, moment = settled.found, settled.moment
        self._watch.begin(*totals(self._client, found))
        self._by_name = not self._may_use_uuids(found)
        file = PackedFile(self._path, self._packing, self._recipients)
        try:
            version = {"server_version": self._version, "tool_version": TOOL_VERSION}
            given = self._users or ()
            writer = ArchiveWriter(file, [*(one.entry for one in given), *found.entries], **version)
            with (
                long_memory(self._client, self._watch.total_bytes if moment is not None else 0),
                self._client.start_session(causal_consistency=False) as session,
            ):
                collections = tuple(_put(one, writer) for one in given)
                collections += tuple(self._collection(one, writer, session, moment) for one in found.listed)
            self.reading = ""
            whole = all(one.consistency is Consistency.ONE_POINT for one in collections) and moment is not None
            span = self._span(settled, whole)
            sha256 = file.finish()
        except BaseException:
            file.abandon()
            raise
        return SavedDump(
            size=file.size,
            sha256=sha256,
            packing=self._packing,
            consistency=Consistency.ONE_POINT if whole else Consistency.PER_COLLECTION,
            moment=datetime.fromtimestamp(moment.time, UTC) if moment is not None else None,
            collections=collections,
            left_out=found.left_out,
            server_version=self._version,
            tool_version=TOOL_VERSION,
            oplog=span,
        )

    def _span(self, settled: _Settled, whole: bool) -> HeldOplog | None:
        """What was not read at the one moment was read by now, so only now is it a state that there was."""
        if self._set is None or settled.begins is None:
            return None
        ends = settled.moment if whole and settled.moment is not None else applied(self._client)
        return HeldOplog(
            replica_set=self._set.name,
            set_id=self._set.id,
            begins=oplog_time(settled.begins),
            ends=oplog_time(ends),
        )

    def _collection(
        self, one: Listed, writer: ArchiveWriter, session: ClientSession, moment: Timestamp | None
    ) -> SavedCollection:
        self.reading = one.entry.path
        # A capped collection cannot be read at a moment of the past (error 246 on 6.0).
        moment = None if one.capped else moment
        digest = DocumentDigest()
        writer.begin(one.entry)
        if one.uuid is not None:
            self._documents(one, writer, digest, session, moment)
        writer.end(one.entry)
        exact = moment is not None or one.uuid is None
        return SavedCollection(
            database=one.entry.database,
            name=one.entry.name,
            kind=one.entry.kind,
            documents=digest.documents,
            bytes=digest.bytes,
            digest=digest.digest,
            indexes=one.indexes,
            consistency=Consistency.ONE_POINT if exact else Consistency.PER_COLLECTION,
        )

    def _documents(
        self,
        one: Listed,
        writer: ArchiveWriter,
        digest: DocumentDigest,
        session: ClientSession,
        moment: Timestamp | None,
    ) -> None:
        """Read the documents of a collection here while a second thread digests them and a third packs and writes
        them."""
        find: dict[str, Any] = {"find": one.entry.stored_as if self._by_name else one.uuid}
        if moment is not None:
            find["readConcern"] = {"level": "snapshot", "atClusterTime": moment}
        with (
            Conveyor[tuple[bytes, int]](lambda piece: digest.add(*piece), name="digest") as digesting,
            Conveyor(writer.add, name="save") as saving,
        ):
            try:
                with contextlib.closing(raw_batches(self._client[one.entry.database], find, session)) as batches:
                    for data, count in batches:
                        saving.put(data)
                        digesting.put((data, count))
                        self._watch.went_on(one.entry.path, count, len(data))
            except OperationFailure as error:
                if error.code == _TOO_OLD:
                    raise _TooSlow from error
                if error.code in _CHANGED:
                    raise _Changed from error
                raise
        if self._by_name and not self._still_there(one):
            raise _Changed

    def _may_use_uuids(self, found: Catalog) -> bool:
        """A collection that was dropped or renamed and opened by name is empty, without an error; opened by its UUID
        it is found, or not. The role `backup` may do that, `read` may not."""
        for one in found.listed:
            if one.uuid is None:
                continue
            try:
                ask(self._client[one.entry.database], {"find": one.uuid, "limit": 1})
            except OperationFailure as error:
                if forbidden(error):
                    return False
                if error.code not in _CHANGED:
                    raise
                continue
            return True
        return True

    def _still_there(self, one: Listed) -> bool:
        infos = answers(
            self._client[one.entry.database], {"listCollections": 1, "filter": {"name": one.entry.stored_as}}
        )
        return [info.get("info", {}).get("uuid") for info in infos] == [one.uuid]


def _put(one: Given, writer: ArchiveWriter) -> SavedCollection:
    digest = DocumentDigest()
    digest.add(one.data, one.documents)
    writer.begin(one.entry)
    writer.add(one.data)
    writer.end(one.entry)
    return SavedCollection(
        database=one.entry.database,
        name=one.entry.name,
        kind=one.entry.kind,
        documents=digest.documents,
        bytes=digest.bytes,
        digest=digest.digest,
        indexes=len(metadata_of(one.entry).indexes),
        consistency=Consistency.ONE_POINT,
    )
