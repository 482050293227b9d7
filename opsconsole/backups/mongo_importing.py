"""Documents of a JSON file into a live collection, as mongoimport does it, and with more care.

The file is read to its end before the first document is written, so a fault in its last line changes nothing. What was
added is taken out again when the server refuses a later document; what was replaced cannot be, so that is said.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from opsconsole.backups.bson_documents import ARRAY, DOCUMENT, document_ends, find_element
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.findings import counted
from opsconsole.backups.mongo_archive import Entry
from opsconsole.backups.mongo_catalog import collection_infos
from opsconsole.backups.mongo_inserting import insert_documents
from opsconsole.backups.mongo_json import JsonDump, JsonSource
from opsconsole.backups.mongo_loading import SURE, drop, is_loaded
from opsconsole.backups.mongo_raw import RawDatabase, ask, raw_batches
from opsconsole.backups.progress import Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.model import Record, SourceError
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.text import printable

_UPDATES_AT_ONCE = 1000
_UPDATE_BYTES = 8 << 20


class Mode(StrEnum):
    NEW = "new"  # into a collection that has no documents
    ADD = "add"  # beside those that are there, none of which is touched
    UPSERT = "upsert"  # one with the same _id is replaced


class Imported(Record, frozen=True):
    """How many documents came in, and how many of them took the place of another."""

    added: int
    replaced: int = 0


def identity(path: Path) -> tuple[int, int, int]:
    """Another one where the file is another: its size, when it was written (ns), its inode. Raises OSError."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, found.st_ino


def import_json(
    client: RawClient,
    source: JsonSource,
    watch: Watch,
    mode: Mode = Mode.NEW,
    *,
    keys: Keys = NO_KEYS,
    ids: bytes = b"",
    goes_on: bool = False,
) -> Imported:
    """Read the file to its end, then write its documents; one without an _id gets a new one, that begins with `ids`.

    `goes_on`: an import of this file with these `ids` was cut off. What it had added is left as it is, and is no
    document that was there before.

    Raises SourceError for a file or a collection that does not fit, with nothing changed; Cancelled, WrongKey, OSError
    or the driver's errors, after which nothing that was added is left, as far as the server still lets us.
    """
    return _Import(client, source, watch, mode, keys, ids, goes_on).run()


class _Import:
    def __init__(
        self, client: RawClient, source: JsonSource, watch: Watch, mode: Mode, keys: Keys, ids: bytes, goes_on: bool
    ) -> None:
        self._database: RawDatabase = client[source.database]
        self._source = source
        self._watch = watch
        self._mode = mode
        self._keys = keys
        self._path = f"{printable(source.database)}.{printable(source.name)}"
        self._ids = JsonDump([source], ids=ids).ids
        self._goes_on = goes_on
        self._written = 0  # batches of which something may have been written

    def run(self) -> Imported:
        is_there = self._look()
        file = identity(self._source.path)
        documents = self._read()
        if identity(self._source.path) != file:
            raise SourceError(f"{self._name} changed while it was read", "Nothing was imported. Try again.")
        if self._mode is Mode.UPSERT:
            return self._upsert(documents)
        try:
            self._insert()
        except BaseException as error:
            try:
                self._take_out(file, is_there)
            except (PyMongoError, SourceError, Corrupt, OSError) as another:
                raise SourceError(
                    f"the import into {self._path} broke off ({_said(error)}), and what it had added could not be "
                    f"taken out again ({_said(another)})",
                    "Look into that collection before the import is tried again.",
                ) from error
            raise
        return Imported(added=documents)

    @property
    def _name(self) -> str:
        return printable(self._source.path.name)

    def _look(self) -> bool:
        """Whether the collection is there; raises SourceError when it cannot take the documents."""
        name = self._source.name
        if not is_loaded(Entry(self._source.database, name)) or name.startswith("system."):
            raise SourceError(f"nothing is imported into {self._path}, which the server keeps for itself")
        kinds = {str(info["name"]): str(info.get("type", "collection")) for info in collection_infos(self._database)}
        kind = kinds.get(name, "collection")
        if kind != "collection":
            what = {"view": "a view", "timeseries": "a time series"}.get(kind, printable(kind))
            raise SourceError(f"{self._path} is {what}, into which nothing is imported", "Name another collection.")
        empty = self._goes_on or name not in kinds or not self._found({"find": name, "limit": 1})
        if self._mode is Mode.NEW and not empty:
            raise SourceError(
                f"{self._path} has documents already",
                "Add to them, replace those with the same _id (upsert), or name another collection.",
            )
        return name in kinds

    def _read(self) -> int:
        """Every document of the file, before anything is written."""
        documents = ours = 0
        may_meet_others = self._mode is Mode.ADD or (self._mode is Mode.NEW and self._goes_on)
        try:
            for data, count in self._batches():
                documents += count
                self._watch.went_on(self._path, 0, 0)
                held = self._found({"find": self._source.name, **_with_ids(data)}) if may_meet_others else []
                written = set(_apart(data)) if self._goes_on else set()
                if others := [one for one in held if one not in written]:
                    raise SourceError(
                        f"{self._path} has {counted(len(others), 'document')} with the same _id as documents of "
                        f"{self._name}, or more",
                        "Nothing was imported. Replace them (upsert), or import into another collection.",
                    )
                ours += len(held)
        except Corrupt as fault:
            raise SourceError(fault.problem, "Nothing was imported.") from None
        if self._mode is Mode.NEW and self._goes_on and self._documents_there() > ours:
            raise SourceError(
                f"{self._path} has documents that are not of {self._name}",
                "Nothing more was imported. Add to them, or name another collection.",
            )
        return documents

    def _documents_there(self) -> int:
        """Counted one by one: what the server has noted is wrong after a crash, which may be what cut us off."""
        counting = {"aggregate": self._source.name, "pipeline": [{"$count": "n"}], "cursor": {}}
        found = ask(self._database, counting)["cursor"]["firstBatch"]
        return int(found[0]["n"]) if found else 0

    def _batches(self) -> Iterator[tuple[bytes, int]]:
        for batch in JsonDump([self._source], keys=self._keys, ids=self._ids).batches():
            if batch.data:
                yield batch.data, batch.documents

    def _insert(self) -> None:
        for data, count in self._batches():
            self._written += 1
            insert_documents(self._database, self._source.name, self._not_there(data) if self._goes_on else data)
            self._watch.went_on(self._path, count, len(data))

    def _take_out(self, file: tuple[int, int, int], is_there: bool) -> None:
        """Only what is as we wrote it: another one with the same _id is somebody else's."""
        if identity(self._source.path) != file:
            raise SourceError(f"{self._name} changed while it was read")
        for number, (data, _) in enumerate(self._batches(), 1):
            if number > self._written:
                break
            ours = set(_apart(data))
            found = self._found({"find": self._source.name, **_with_ids(data)})
            if mine := b"".join(one for one in found if one in ours):
                deletes = [{"q": _with_ids(mine)["filter"], "limit": 0}]
                ask(self._database, {"delete": self._source.name, "deletes": deletes, "writeConcern": SURE})
        if not is_there and not self._found({"find": self._source.name, "limit": 1}):
            drop(self._database, self._source.name)

    def _not_there(self, data: bytes) -> bytes:
        there = set(self._found({"find": self._source.name, **_with_ids(data)}))
        return b"".join(one for one in _apart(data) if one not in there)

    def _found(self, find: dict[str, object]) -> list[bytes]:
        with contextlib.closing(raw_batches(self._database, find)) as found:
            return [one for data, _ in found for one in _apart(data)]

    def _upsert(self, documents: int) -> Imported:
        added = replaced = 0
        try:
            for data, count in self._batches():
                for updates in _updates(data):
                    command = {"update": self._source.name, "updates": updates, "writeConcern": SURE}
                    reply = ask(self._database, command)
                    made = len(reply.get("upserted", ()))
                    added += made
                    replaced += int(reply.get("n", 0)) - made
                    if errors := reply.get("writeErrors"):
                        raise SourceError(f"MongoDB refused a document: {printable(str(errors[0]['errmsg']))[:200]}")
                self._watch.went_on(self._path, count, len(data))
        except (SourceError, PyMongoError) as error:
            raise SourceError(
                f"{_said(error)} ({added:,} of {documents:,} documents were added to {self._path} before, and "
                f"{replaced:,} replaced: they stay)",
                "Mend it and import again: what is there already is replaced by the same.",
            ) from error
        return Imported(added=added, replaced=replaced)


def _said(error: BaseException) -> str:
    said = getattr(error, "problem", "") or str(error) or type(error).__name__
    return printable(str(said))[:300]


def _apart(data: bytes) -> Iterator[bytes]:
    at = 0
    for end in document_ends(data):
        yield data[at:end]
        at = end


def _ids(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of the _id of each document."""
    for one in _apart(data):
        place = find_element(one, b"_id")
        if place is not None:
            yield place[0], one[place[1] : place[2]]


def _with_ids(data: bytes) -> dict[str, RawBSONDocument]:
    """A filter for the documents that have one of these _ids."""
    listed = b"".join(bytes((kind,)) + b"%d\0" % number + value for number, (kind, value) in enumerate(_ids(data)))
    among = _document(bytes((ARRAY,)) + b"$in\0" + _document(listed))
    return {"filter": RawBSONDocument(_document(bytes((DOCUMENT,)) + b"_id\0" + among))}


def _document(body: bytes) -> bytes:
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _updates(data: bytes) -> Iterator[list[dict[str, object]]]:
    """Each document put in the place of the one with its _id, whatever its fields are called."""
    held: list[dict[str, object]] = []
    size = 0
    for one, (kind, value) in zip(_apart(data), _ids(data), strict=True):
        if held and (len(held) == _UPDATES_AT_ONCE or size + len(one) > _UPDATE_BYTES):
            yield held
            held, size = [], 0
        equal = RawBSONDocument(_document(bytes((kind,)) + b"$eq\0" + value))
        replaced = [{"$replaceWith": {"$literal": RawBSONDocument(one)}}]
        held.append({"q": {"_id": equal}, "u": replaced, "upsert": True})
        size += len(one)
    if held:
        yield held
