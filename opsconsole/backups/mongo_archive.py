"""The archive format of mongodump: a prelude that lists the collections, then their documents in blocks.

    magic, header {concurrent_collections, version, server_version, tool_version}
    {db, collection, metadata, size, type} for each collection, terminator
    {db, collection, EOF false, CRC 0}, documents, terminator     any number of times
    {db, collection, EOF true, CRC}, terminator                   once for each collection, also for empty ones

Nothing in the prelude is covered by a checksum, so an archive is only as sure as the SHA-256 kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from struct import Struct as Layout
from struct import pack
from typing import Protocol

import msgspec

from opsconsole.backups.bson_documents import (
    BOOLEAN,
    INT32,
    INT64,
    LARGEST_DOCUMENT,
    SMALLEST_DOCUMENT,
    STRING,
    elements,
)
from opsconsole.backups.crc64 import crc64, signed
from opsconsole.backups.reading import Corrupt, Reader, up_to

MAGIC = b"\x6d\xe2\x99\x81"
TERMINATOR = b"\xff\xff\xff\xff"
FORMAT_VERSION = "0.1"
BUCKETS = "system.buckets."  # where the documents of a time-series collection lie

_READ = 1 << 20
_MOST_COLLECTIONS = 100_000
_LARGEST_PRELUDE = 256 * 1024 * 1024
_LONGEST_NAME = 255  # bytes of database, dot and collection: the server's own limit

_length_at = Layout("<i").unpack_from

Value = str | int | bool
_Fields = Mapping[str, type]


class Writable(Protocol):
    def write(self, data: bytes) -> object: ...


class Entry(msgspec.Struct, frozen=True):
    """One collection, view or time series as a dump lists it."""

    database: str
    name: str
    kind: str = "collection"  # "collection", "view" or "timeseries"
    metadata: str = ""  # options and indexes as canonical Extended JSON; "" when the dump has none

    @property
    def path(self) -> str:
        return f"{self.database}.{self.name}" if self.database else self.name

    @property
    def stored_as(self) -> str:
        """The collection that its documents lie in on the server."""
        return BUCKETS + self.name if self.kind == "timeseries" else self.name


class Batch(msgspec.Struct, frozen=True):
    """Whole documents of one collection, end to end; the last batch of each collection is empty and says so."""

    entry: Entry
    data: bytes
    documents: int = 0
    last: bool = False


# --- writing ---------------------------------------------------------------------------------------


class ArchiveWriter:
    """Writes one collection after the other: readers hang for ever on more open ones than the header announces."""

    def __init__(self, out: Writable, entries: Sequence[Entry], *, server_version: str, tool_version: str) -> None:
        self._out = out
        self._crc = 0
        header: dict[str, Value] = {"version": FORMAT_VERSION}
        header |= {"server_version": server_version, "tool_version": tool_version}
        out.write(MAGIC + _encoded({"concurrent_collections": 1, **header}, narrow=True))
        for entry in entries:
            listed: dict[str, Value] = {"db": entry.database, "collection": entry.name, "metadata": entry.metadata}
            out.write(_encoded({**listed, "size": 0, "type": entry.kind}, narrow=True))
        out.write(TERMINATOR)

    def begin(self, entry: Entry) -> None:
        """Open the only block of documents of `entry`."""
        self._crc = 0
        self._out.write(_encoded({"db": entry.database, "collection": entry.stored_as, "EOF": False, "CRC": 0}))

    def add(self, data: bytes) -> None:
        """Whole documents, end to end."""
        self._crc = crc64(data, self._crc)
        self._out.write(data)

    def end(self, entry: Entry) -> None:
        closing: dict[str, Value] = {"db": entry.database, "collection": entry.stored_as}
        self._out.write(TERMINATOR + _encoded({**closing, "EOF": True, "CRC": signed(self._crc)}) + TERMINATOR)


def _encoded(fields: Mapping[str, Value], *, narrow: bool = False) -> bytes:
    """A BSON document; numbers take 32 bits when `narrow`, else 64."""
    body = b""
    for name, value in fields.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            body += bytes([BOOLEAN]) + key + bytes([value])
        elif isinstance(value, int):
            body += bytes([INT32 if narrow else INT64]) + key + pack("<i" if narrow else "<q", value)
        else:
            text = value.encode() + b"\0"
            body += bytes([STRING]) + key + pack("<i", len(text)) + text
    return pack("<i", len(body) + 5) + body + b"\0"


# --- reading ---------------------------------------------------------------------------------------


class ArchiveReader:
    """Reads an archive once, forwards, and believes nothing: every rule of the format is checked.

    Making one reads the prelude. Raises Corrupt, also for an archive that ends before it should.
    """

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._held = b""
        self._at = 0
        if self._exactly(4) != MAGIC:
            raise Corrupt("is not a mongodump archive")
        header = self._fields(_HEADER)
        if header is None or header["version"] != FORMAT_VERSION:
            raise Corrupt("has an archive header that is unknown here")
        self.server_version = str(header["server_version"])
        self.tool_version = str(header["tool_version"])
        self.entries = tuple(self._entries())
        self._blocks = {(entry.database, entry.stored_as): entry for entry in self.entries}
        # From 8.3 on a time series has no buckets of that name.
        self._blocks |= {(entry.database, entry.name): entry for entry in self.entries}
        self._crc = dict.fromkeys(self._paths(), 0)
        self._open = set(self._paths())

    def batches(self) -> Iterator[Batch]:
        """The documents of every collection, each collection ending with an empty batch that is its last."""
        while (entry_and_fields := self._block()) is not None:
            entry, fields = entry_and_fields
            if fields["EOF"]:
                if self._exactly(4) != TERMINATOR:
                    raise Corrupt("has a broken block")
                if signed(self._crc[entry.path]) != fields["CRC"]:
                    raise Corrupt(f"has documents of {entry.path} that do not match their checksum")
                self._open.discard(entry.path)
                yield Batch(entry, b"", last=True)
                continue
            for data, documents in self._documents():
                self._crc[entry.path] = crc64(data, self._crc[entry.path])
                yield Batch(entry, data, documents)
        if self._open:
            raise Corrupt("is cut short: it ends before all of its collections", cut=True)

    def _paths(self) -> Iterator[str]:
        return (entry.path for entry in self.entries)

    def _entries(self) -> Iterator[Entry]:
        seen: set[tuple[str, str]] = set()
        size = 0
        while (fields := self._fields(_LISTED, _LISTED_OPTIONAL)) is not None:
            database, name, metadata = str(fields["db"]), str(fields["collection"]), str(fields["metadata"])
            size += len(metadata) + 64
            if (database, name) in seen or not name or len(f"{database}.{name}".encode()) > _LONGEST_NAME:
                raise Corrupt("has a broken list of collections")
            seen.add((database, name))
            if len(seen) > _MOST_COLLECTIONS or size > _LARGEST_PRELUDE:
                raise Corrupt("lists more collections than a server can have")
            kind = str(fields.get("type", "")) or "collection"
            if kind not in ("collection", "view", "timeseries"):
                raise Corrupt(f"lists a collection of an unknown kind ({kind[:20]})")
            yield Entry(database, name, kind, metadata)

    def _block(self) -> tuple[Entry, dict[str, Value]] | None:
        """The head of the next block; None at the end of the archive."""
        self._fill(1)
        if self._at == len(self._held):
            return None
        fields = self._fields(_BLOCK)
        if fields is None:
            raise Corrupt("has a broken block")
        entry = self._blocks.get((str(fields["db"]), str(fields["collection"])))
        if entry is None or (not fields["EOF"] and fields["CRC"]):
            raise Corrupt("has a broken block")
        if entry.path not in self._open:
            raise Corrupt(f"has documents of {entry.path} after their end")
        return entry, fields

    def _documents(self) -> Iterator[tuple[bytes, int]]:
        """Whole documents up to the terminator, about a MiB at a time."""
        while True:
            self._fill(4)
            held, start, size = self._held, self._at, len(self._held)
            at, count = start, 0
            while True:
                if size - at < 4:
                    wanted = 4
                    break
                wanted = _length_at(held, at)[0]
                if wanted == -1:
                    break
                if not SMALLEST_DOCUMENT <= wanted <= LARGEST_DOCUMENT:
                    raise Corrupt("has a broken document")
                if at + wanted > size:
                    break
                at += wanted
                count += 1
                if held[at - 1]:
                    raise Corrupt("has a broken document")
            self._at = at
            if at > start:
                yield held[start:at], count
            if wanted == -1:
                self._at = at + 4
                return
            self._exactly(wanted, keep=True)

    def _fields(self, wanted: _Fields, optional: _Fields | None = None) -> dict[str, Value] | None:
        """The next document, which has exactly these fields; None at a terminator."""
        head = self._exactly(4)
        if head == TERMINATOR:
            return None
        length = _length_at(head)[0]
        if not SMALLEST_DOCUMENT <= length <= LARGEST_DOCUMENT:
            raise Corrupt("has a broken document")
        return _decoded(head + self._exactly(length - 4), wanted, optional or {})

    def _exactly(self, size: int, *, keep: bool = False) -> bytes:
        self._fill(size)
        if len(self._held) - self._at < size:
            raise Corrupt("is cut short", cut=True)
        data = self._held[self._at : self._at + size] if not keep else b""
        self._at += 0 if keep else size
        return data

    def _fill(self, size: int) -> None:
        """Hold at least `size` unread bytes, fewer only at the end."""
        left = len(self._held) - self._at
        if left < size:
            more = up_to(self._source, max(size - left, _READ) if size <= _READ else size - left)
            self._held = self._held[self._at :] + more
            self._at = 0


_HEADER: _Fields = {"concurrent_collections": int, "version": str, "server_version": str, "tool_version": str}
_LISTED: _Fields = {"db": str, "collection": str, "metadata": str}
_LISTED_OPTIONAL: _Fields = {"size": int, "type": str}
_BLOCK: _Fields = {"db": str, "collection": str, "EOF": bool, "CRC": int}


def _decoded(document: bytes, wanted: _Fields, optional: _Fields) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for kind, name_bytes, begin, end in elements(document):
        name = name_bytes.decode("utf-8", "replace")
        expected = wanted.get(name) or optional.get(name)
        value = _value(document, kind, begin, end)
        if value is None or expected is None or name in found or type(value) is not expected:
            raise Corrupt("has a field that does not belong there")
        found[name] = value
    if not wanted.keys() <= found.keys():
        raise Corrupt("has a block without all of its fields")
    return found


def _value(document: bytes, kind: int, begin: int, end: int) -> Value | None:
    if kind == STRING:
        if document[end - 1]:
            raise Corrupt("has a broken document")
        try:
            return document[begin + 4 : end - 1].decode()
        except UnicodeDecodeError:
            raise Corrupt("has a name that is no text") from None
    if kind == BOOLEAN and document[begin] < 2:
        return bool(document[begin])
    if kind in (INT32, INT64):
        return int.from_bytes(document[begin:end], "little", signed=True)
    return None
