"""Apply entries of an oplog to a server, as its own replica set would: up to and including a moment.

The server is a throw-away one that holds nothing but the full backup. Documents go through `applyOps`, many at a time
(30,000 a second, one at a time a tenth of that); what makes, drops or changes collections goes one by one, and by the
command that does it where applyOps is known to do it wrongly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import bson
import msgspec
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from opsconsole.backups.bson_documents import ARRAY, BOOLEAN, DOCUMENT, INT32, INT64, STRING, elements, find_element
from opsconsole.backups.mongo_catalog import Metadata, collection_infos
from opsconsole.backups.mongo_loading import build_indexes
from opsconsole.backups.mongo_raw import DECODED, ask
from opsconsole.backups.oplog_unique import UniqueIndexes
from opsconsole.backups.progress import Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.model import OplogTime
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.sources.network import Explained
from opsconsole.text import printable

_MOST_OPERATIONS = 1000
_MOST_BYTES = 12_000_000  # with what the command needs of its own it stays below the 16 MB of one entry
_PASSED_ON = (b"op", b"ns", b"o", b"o2", b"b")
"""What of an entry is applied again. With its `ui`, the UUID of the collection, the server would look for that one."""

_NO_SUCH_COLLECTION, _NO_SUCH_INDEX, _INDEX_THERE = 26, 27, 85

_Command = dict[str, Any]
_Entries = Iterable[tuple[OplogTime, bytes]]


class Replayed(msgspec.Struct, frozen=True):
    entries: int
    last: OplogTime  # up to which everything was read
    unfinished: int  # transactions that were not committed at the moment, so nothing is seen of them


def replay(
    client: RawClient, entries: _Entries, *, after: OplogTime, tolerant: OplogTime, second: int, watch: Watch
) -> Replayed:
    """Apply what was written after `after`, up to the end of a second (since 1970).

    Up to `tolerant` the base was still being read, so entries may be of collections that it does not have any more.
    Raises Corrupt, Explained, Cancelled or the driver's errors; the server is of no use then.
    """
    replaying = _Replaying(client, tolerant)
    if after < tolerant:
        replaying.begin_tolerance()
    last, count = after, 0
    for moment, entry in entries:
        if moment <= last:
            continue  # slices may overlap
        if moment.time > second:
            break
        replaying.take(moment, entry)
        last = moment
        count += 1
        watch.went_on("oplog", 1, len(entry))
    replaying.end_tolerance()
    return Replayed(count, last, len(replaying.transactions))


class _Replaying:
    def __init__(self, client: RawClient, tolerant: OplogTime) -> None:
        self._client = client
        self._tolerant = tolerant
        self._at = tolerant
        self._unique: UniqueIndexes | None = None  # while something is forgiven
        self._batch: list[RawBSONDocument] = []
        self._bytes = 0
        self.transactions: dict[bytes, list[bytes]] = {}

    def take(self, moment: OplogTime, entry: bytes) -> None:
        """One entry of the oplog."""
        if self._at <= self._tolerant < moment:
            self.end_tolerance()
        self._at = moment
        fields = _Fields(entry)
        if fields.command == "applyOps" or (fields.transaction and fields.command):
            self._take_transaction(fields)
        else:
            self._operation(fields)

    def begin_tolerance(self) -> None:
        """Until the end of what was written while the base was read."""
        self._unique = UniqueIndexes(self._client)
        self._unique.lay_aside()

    def end_tolerance(self) -> None:
        """From here on nothing is forgiven."""
        self.flush()
        if self._unique is not None:
            self._unique.build()
        self._unique = None

    def flush(self) -> None:
        """Apply the documents that wait."""
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        if self._at > self._tolerant:
            self._apply(batch)
            return
        try:
            self._apply(batch)
        except OperationFailure as error:
            if error.code != _NO_SUCH_COLLECTION:
                raise
            for one in batch:
                self._apply_if_there([one])

    def _take_transaction(self, fields: _Fields) -> None:
        """Its entries are kept until it is known that it was committed. An applyOps of its own is no transaction."""
        key = fields.transaction
        if not key or fields.has(b"multiOpType"):
            for operation in fields.operations():
                self._operation(_Fields(operation))
        elif fields.command == "abortTransaction":
            self.transactions.pop(key, None)
        elif fields.command == "commitTransaction":
            self._commit(self.transactions.pop(key, []))
        elif fields.command == "applyOps":
            if fields.continues and key not in self.transactions:
                raise Corrupt("lacks the beginning of a transaction")
            parts = [*self.transactions.pop(key, []), *fields.operations()]
            if fields.true(b"partialTxn") or fields.true(b"prepare"):
                self.transactions[key] = parts
            else:
                self._commit(parts)
        else:
            self._operation(fields)

    def _commit(self, operations: list[bytes]) -> None:
        for operation in operations:
            self._operation(_Fields(operation))

    def _operation(self, fields: _Fields) -> None:
        if fields.kind == "n" or not _is_own(fields.namespace):
            return
        if fields.kind == "c":
            self.flush()
            self._command(fields)
        elif fields.kind in ("i", "u", "d"):
            operation = fields.passed_on()
            if self._batch and (len(self._batch) == _MOST_OPERATIONS or self._bytes + len(operation) > _MOST_BYTES):
                self.flush()
            self._batch.append(RawBSONDocument(operation))
            self._bytes += len(operation)
        else:
            raise Corrupt(f"has an entry of a kind that is unknown here ({printable(fields.kind)[:20]})")

    # --- what is done to collections ---------------------------------------------------------------

    def _command(self, fields: _Fields) -> None:
        name = fields.command
        if name in ("startIndexBuild", "abortIndexBuild", "dbCheck"):
            return
        database = fields.namespace.partition(".")[0]
        if self._unique is not None and self._unique.takes(database, name, fields.decoded()):
            return
        if name in ("createIndexes", "commitIndexBuild"):
            self._build_indexes(database, fields.decoded())
        elif name == "renameCollection":
            # Through applyOps a collection that was in the way would live on under another name.
            told = fields.decoded()
            wanted = {"renameCollection": told["renameCollection"], "to": told["to"]}
            self._run("admin", {**wanted, "dropTarget": bool(told.get("dropTarget"))}, _NO_SUCH_COLLECTION)
        elif name in ("collMod", "emptycapped", "dropDatabase"):
            self._run(database, dict(fields.decoded()), _NO_SUCH_COLLECTION)
        elif name in ("dropIndexes", "deleteIndexes", "dropIndex", "deleteIndex"):
            told = fields.decoded()
            self._run(
                database, {"dropIndexes": told[name], "index": told["index"]}, _NO_SUCH_COLLECTION, _NO_SUCH_INDEX
            )
        elif name in ("create", "drop"):
            self._apply_if_there([RawBSONDocument(fields.passed_on())])
        elif name == "convertToCapped":
            self._run(database, dict(fields.decoded()), _NO_SUCH_COLLECTION)
        else:
            raise Corrupt(f"has a command that cannot be applied again ({printable(name)[:40]})")

    def _build_indexes(self, database: str, told: Mapping[str, Any]) -> None:
        command, collection = next(iter(told.items()))
        left_out = ("createIndexes", "commitIndexBuild", "indexBuildUUID", "indexes")
        specs = told["indexes"] if command == "commitIndexBuild" else [dict(told)]
        specs = [{key: value for key, value in spec.items() if key not in left_out} for spec in specs]
        infos = {str(one["name"]): one for one in collection_infos(self._client[database])}
        if self._at <= self._tolerant and collection not in infos:
            return  # building it would make the collection
        if self._unique is not None:
            specs = self._unique.without_unique(database, str(collection), specs)
        options: dict[str, Any] = infos.get(str(collection), {}).get("options", {})
        try:
            build_indexes(self._client[database], str(collection), specs, Metadata(options))
        except OperationFailure as error:
            if self._at > self._tolerant or error.code not in (_NO_SUCH_COLLECTION, _INDEX_THERE):
                raise

    def _run(self, database: str, command: _Command, *forgiven: int) -> None:
        try:
            ask(self._client[database], command)
        except OperationFailure as error:
            if self._at > self._tolerant or error.code not in forgiven:
                raise

    def _apply_if_there(self, operations: list[RawBSONDocument]) -> None:
        """While the base was read a collection may have gone that it does not have, so what was done to it is gone."""
        try:
            self._apply(operations)
        except OperationFailure as error:
            if self._at > self._tolerant or error.code != _NO_SUCH_COLLECTION:
                raise

    def _apply(self, operations: list[RawBSONDocument]) -> None:
        reply = ask(self._client.admin, {"applyOps": operations})
        # It may say that all is well although something was not applied.
        if not all(reply.get("results", ())) or reply.get("applied") != len(operations):
            raise Explained(
                f"MongoDB did not apply {reply.get('results', []).count(False)} of {len(operations)} entries of the "
                "oplog",
                "choose an earlier moment, or one after the next full backup",
            )


def _is_own(namespace: str) -> bool:
    """Whether an entry is of what a backup holds: not of what a server keeps for itself, nor of users and roles."""
    database, _, name = namespace.partition(".")
    if database in ("", "config", "local") or database.startswith("__mdb_internal"):
        return False
    return database != "admin" or not name.startswith("system.")


class _Fields:
    """An entry of the oplog, or an operation of a transaction, looked at without being unpacked."""

    def __init__(self, entry: bytes) -> None:
        self._entry = entry
        self._places = {name: (kind, begin, end) for kind, name, begin, end in elements(entry)}
        self.kind = self._text(b"op")
        self.namespace = self._text(b"ns")
        self.command = self._first_name() if self.kind == "c" else ""

    @property
    def transaction(self) -> bytes:
        """What its entries have in common; empty outside of one."""
        session, number = self._value(b"lsid", DOCUMENT), self._value(b"txnNumber", INT64)
        return session + number if session and number else b""

    @property
    def continues(self) -> bool:
        """Whether an earlier entry belongs to the same transaction."""
        kind, begin, _ = self._places.get(b"prevOpTime", (0, 0, 0))
        if kind != DOCUMENT:
            return False
        place = find_element(self._entry, b"ts", begin)
        return place is not None and any(self._entry[place[1] : place[2]])

    def has(self, name: bytes) -> bool:
        return name in self._places

    def true(self, name: bytes) -> bool:
        """Whether a field of the operation says yes: they stand beside its `applyOps`."""
        kind, begin, _ = self._places.get(b"o", (0, 0, 0))
        place = find_element(self._entry, name, begin) if kind == DOCUMENT else None
        return place is not None and place[0] in (BOOLEAN, INT32, INT64) and any(self._entry[place[1] : place[2]])

    def operations(self) -> Iterator[bytes]:
        """Those of an applyOps."""
        kind, begin, _ = self._places.get(b"o", (0, 0, 0))
        place = find_element(self._entry, b"applyOps", begin) if kind == DOCUMENT else None
        if place is None or place[0] != ARRAY:
            raise Corrupt("has a transaction without operations")
        for inner, _, start, end in elements(self._entry, place[1]):
            if inner != DOCUMENT:
                raise Corrupt("has a transaction without operations")
            yield self._entry[start:end]

    def passed_on(self) -> bytes:
        """The document for applyOps, its values byte for byte."""
        body = b"".join(
            bytes([kind]) + name + b"\0" + self._entry[begin:end]
            for name, (kind, begin, end) in self._places.items()
            if name in _PASSED_ON
        )
        return (len(body) + 5).to_bytes(4, "little") + body + b"\0"

    def decoded(self) -> dict[str, Any]:
        """What a command says: names and options, never documents."""
        return bson.decode(self._value(b"o", DOCUMENT), DECODED)

    def _first_name(self) -> str:
        kind, begin, _ = self._places.get(b"o", (0, 0, 0))
        if kind != DOCUMENT:
            return ""
        return next((name.decode("utf-8", "replace") for _, name, _, _ in elements(self._entry, begin)), "")

    def _text(self, name: bytes) -> str:
        value = self._value(name, STRING)
        return value[4:-1].decode("utf-8", "replace")

    def _value(self, name: bytes, wanted: int) -> bytes:
        kind, begin, end = self._places.get(name, (0, 0, 0))
        return self._entry[begin:end] if kind == wanted else b""
