"""Collections as JSON, as mongoexport writes and mongoimport reads it: out of a backup or a live server, and back.

An export reads any Dump, and an import is one: what restores a backup (loaded beside, compared, put in place, undone)
restores a JSON file, too. `mongo_importing` adds documents to a live collection.

Files are packed, and encrypted, as their names say: .gz, .zst, .age.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from opsconsole.backups.bson_documents import document_ends
from opsconsole.backups.encryption import NO_KEYS, NOBODY, SUFFIX, Keys, Recipients
from opsconsole.backups.json_files import JsonFile
from opsconsole.backups.json_reading import JsonParser, ObjectIds
from opsconsole.backups.json_writing import JsonWriter
from opsconsole.backups.mongo_archive import Batch, Entry
from opsconsole.backups.mongo_catalog import Selection, catalog
from opsconsole.backups.mongo_dumps import Dump
from opsconsole.backups.mongo_raw import raw_batches
from opsconsole.backups.packed_files import PackedFile, Packing, UnpackedFile
from opsconsole.backups.progress import Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.durable import sync_directory
from opsconsole.model import Record, SourceError
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.text import printable

_NEW = ".new-"


class Exported(Record, frozen=True):
    """What was written of one collection."""

    documents: int
    size: int  # bytes of JSON
    sha256: str  # of the file; of the JSON when it went into a stream
    inexact: int = 0  # documents that JSON cannot say exactly: they come back changed


class Form(Record, frozen=True):
    """How the JSON looks. Canonical comes back as it was, to the last type; relaxed is easier to read, and a whole
    number comes back as the smallest type that holds it."""

    canonical: bool = False
    array: bool = False  # one array in place of one document in a line


# --- exporting -------------------------------------------------------------------------------------


class LiveDump:
    """Collections, views and time series of a server, read as they are now."""

    def __init__(self, client: RawClient, paths: Sequence[str]) -> None:
        """`paths`: "database.collection". Raises SourceError for one that is not there."""
        listed = catalog(client, Selection(collections=frozenset(paths))).entries
        known = {entry.path: entry for entry in listed}
        for path in paths:
            if path not in known:
                raise SourceError(f"there is no collection {printable(path)}", "Name it as database.collection.")
        self._client = client
        self.entries = tuple(known[path] for path in paths)
        self.server_version = self.tool_version = ""

    def batches(self) -> Iterator[Batch]:
        for entry in self.entries:
            with contextlib.closing(raw_batches(self._client[entry.database], {"find": entry.name})) as found:
                for data, count in found:
                    yield Batch(entry, data, count)
            yield Batch(entry, b"", last=True)


class Target(Protocol):
    """Where the JSON of one collection goes."""

    def write(self, data: bytes) -> object: ...

    def finish(self) -> str:
        """All is written; SHA-256 in hex."""
        ...

    def abandon(self) -> None: ...


class Stream:
    """Standard output, or any other open file."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._out.write(data)
        self._hash.update(data)

    def finish(self) -> str:
        self._out.flush()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """What is out is out."""


class NewFile:
    """A file that is there whole or not at all, for its owner only. Raises SourceError when it is there already and is
    not to be replaced, and OSError."""

    def __init__(self, path: Path, *, replace: bool = False, recipients: Recipients = NOBODY) -> None:
        if (path.suffix == SUFFIX) != bool(recipients):
            raise SourceError(
                f"{printable(path.name)} would {'not ' if not recipients else ''}be encrypted, and its name says else",
                "An encrypted file ends with .age, and no other one does.",
            )
        self._path = path
        self._replace = replace
        self._refuse()
        self._new = path.with_name(f"{_NEW}{path.name}")
        self._new.unlink(missing_ok=True)  # left by one that was killed here
        plain = path.name.removesuffix(SUFFIX)
        packing = next((one for one in Packing if one.suffix and plain.endswith(one.suffix)), Packing.NONE)
        self._file = PackedFile(self._new, packing, recipients)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> str:
        digest = self._file.finish()
        if self._replace:
            self._new.replace(self._path)
        else:
            self._link()
        sync_directory(self._path.parent)
        return digest

    def abandon(self) -> None:
        self._file.abandon()

    def _link(self) -> None:
        """A second name is refused where a rename would cover what was made there meanwhile."""
        try:
            os.link(self._new, self._path)
        except FileExistsError:
            self._refuse()
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            self._refuse()  # a file system without second names
            self._new.rename(self._path)
            return
        self._new.unlink()

    def _refuse(self) -> None:
        if not self._replace and os.path.lexists(self._path):
            raise SourceError(f"{printable(str(self._path))} is there already", "Name another file, or say --replace.")


def export_json(
    dump: Dump, targets: Mapping[str, Callable[[], Target]], watch: Watch, form: Form | None = None
) -> dict[str, Exported]:
    """Write each "database.collection" to the target that is opened for it. All are written or, of files, none stays.

    Raises SourceError, Corrupt, Cancelled, OSError or the driver's errors.
    """
    known = {entry.path: entry for entry in dump.entries}
    live = isinstance(dump, LiveDump)
    for path in targets:
        entry = known.get(path)
        if entry is None:
            raise SourceError(f"the backup has no collection {printable(path)}", _listed(known))
        if entry.kind != "collection" and not live:
            what = "a view, which has no documents of its own" if entry.kind == "view" else "a time series, in buckets"
            raise SourceError(f"in a backup {printable(path)} is {what}", "Export it from the live database.")
    with contextlib.ExitStack() as stack:
        writing = {path: stack.enter_context(_Writing(target(), form or Form())) for path, target in targets.items()}
        for batch in dump.batches():
            one = writing.get(batch.entry.path)
            if one is not None:
                one.add(batch.data)
            watch.went_on(batch.entry.path, batch.documents if one else 0, len(batch.data))
        return {path: one.finish() for path, one in writing.items()}


def _listed(known: Mapping[str, Entry]) -> str:
    names = ", ".join(printable(path) for path in sorted(known)[:20])
    return f"It has: {names or 'none'}."


class _Writing:
    """The JSON of one collection."""

    def __init__(self, target: Target, form: Form) -> None:
        self._target = target
        self._writer = JsonWriter(canonical=form.canonical)
        self._array = form.array
        self._documents = self._size = 0
        self._done = False
        if form.array:
            self._put("[")

    def add(self, data: bytes) -> None:
        at, lines = 0, []
        for end in document_ends(data):
            lines.append(self._writer.text(data, at))
            at = end
        if not lines:
            return
        if self._array:
            self._put((",\n" if self._documents else "") + ",\n".join(lines))
        else:
            self._put("\n".join(lines) + "\n")
        self._documents += len(lines)

    def finish(self) -> Exported:
        if self._array:
            self._put("]\n")
        digest = self._target.finish()
        self._done = True
        return Exported(documents=self._documents, size=self._size, sha256=digest, inexact=self._writer.inexact)

    def _put(self, text: str) -> None:
        data = text.encode()
        self._size += len(data)
        self._target.write(data)

    def __enter__(self) -> _Writing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._done:
            self._target.abandon()


# --- importing -------------------------------------------------------------------------------------


class JsonSource(Record, frozen=True):
    """One file of documents, and the collection that they are to be. `metadata`: its options and indexes, as a dump
    has them, so that a collection that is replaced keeps them."""

    path: Path
    database: str
    name: str
    metadata: str = ""


class JsonDump:
    """JSON files as a dump. Documents without an _id get one, the same ones in every dump with the same `ids`."""

    def __init__(self, sources: Sequence[JsonSource], *, keys: Keys = NO_KEYS, ids: bytes = b"") -> None:
        self.server_version = self.tool_version = ""
        self.ids = ObjectIds(ids).base
        self._keys = keys
        self._files = {Entry(one.database, one.name, metadata=one.metadata): one.path for one in sources}
        self.entries = tuple(self._files)

    def batches(self) -> Iterator[Batch]:
        """Raises Corrupt that names the file and the line, WrongKey and OSError."""
        parser = JsonParser(ObjectIds(self.ids))
        for entry, path in self._files.items():
            try:
                with UnpackedFile(path, keys=self._keys) as source:
                    for data, documents in JsonFile(source, parser).batches():
                        yield Batch(entry, data, documents)
            except Corrupt as fault:
                raise Corrupt(f"{printable(path.name)} {fault.problem}", cut=fault.cut) from None
            yield Batch(entry, b"", last=True)
