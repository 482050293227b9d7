"""A dump of MongoDB, whatever it came as: an archive (packed or not) or a directory, by mongodump or by us."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from opsconsole.backups.bson_documents import DocumentDigest, check_documents
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.mongo_archive import ArchiveReader, Batch, Entry
from opsconsole.backups.mongo_catalog import metadata_of
from opsconsole.backups.mongo_directory import DirectoryReader
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.progress import Watch
from opsconsole.backups.reading import Corrupt


class Dump(Protocol):
    """Collections and their documents, which can be read once."""

    server_version: str
    tool_version: str
    entries: tuple[Entry, ...]

    def batches(self) -> Iterator[Batch]:
        """The documents of every collection, each collection ending with an empty batch that is its last."""
        ...


class Checked(msgspec.Struct, frozen=True):
    """What a dump really holds of one collection. `digest` is of the documents in their order."""

    entry: Entry
    documents: int
    bytes: int
    digest: str


@contextlib.contextmanager
def open_dump(path: Path, keys: Keys = NO_KEYS) -> Iterator[Dump]:
    """`keys`: of an encrypted one. Raises Corrupt, also while it is read, OSError and WrongKey."""
    if path.is_dir():
        yield DirectoryReader(path)
        return
    with UnpackedFile(path, keys=keys) as source:
        yield ArchiveReader(source)


def check_dump(dump: Dump, watch: Watch | None = None) -> tuple[Checked, ...]:
    """Parse everything: each document to its last value, the metadata of each collection. Raises Corrupt."""
    digests = {entry: DocumentDigest() for entry in dump.entries}
    for entry in dump.entries:
        try:
            metadata_of(entry)
        except ValueError as error:
            raise Corrupt(f"has broken metadata of {entry.path}: {error}") from None
    for batch in dump.batches():
        if batch.data:
            count = check_documents(batch.data)
            digests[batch.entry].add(batch.data, count)
            if watch is not None:
                watch.went_on(batch.entry.path, count, len(batch.data))
    return tuple(Checked(entry, found.documents, found.bytes, found.digest) for entry, found in digests.items())
