"""A second reader of mongodump archives that stands in for mongorestore where that cannot be had. It is as strict, was
written from the rules of the format, and shares no line with what writes and reads archives in `opsconsole.backups`.

    python -m tests.stock_archive URI --archive=FILE --gzip --nsExclude 'admin.*'

puts what it read into a server, with the words of mongorestore and nothing but the driver.
"""

from __future__ import annotations

import argparse
import fnmatch
import lzma
import re
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import bson
import pymongo
from bson import Int64, json_util
from bson.json_util import JSONMode, JSONOptions
from bson.raw_bson import RawBSONDocument

_MAGIC = 0x8199E26D
_TERMINATOR = 0xFFFFFFFF
_LARGEST = 16 * 1024 * 1024
_STRING, _BOOLEAN, _INT32, _INT64 = 2, 8, 16, 18
_HEADER = {"concurrent_collections": _INT32, "version": _STRING, "server_version": _STRING, "tool_version": _STRING}
_LISTED = {"db": _STRING, "collection": _STRING, "metadata": _STRING, "size": _INT32, "type": _STRING}
_BLOCK = {"db": _STRING, "collection": _STRING, "EOF": _BOOLEAN, "CRC": _INT64}
_METADATA = {"options", "indexes", "uuid", "collectionName", "type"}
_USERS = ["admin.system.users", "admin.system.roles", "admin.system.version"]
_CANONICAL = JSONOptions(json_mode=JSONMode.CANONICAL)


class Refused(Exception):
    """What mongorestore would end at."""


class Namespace:
    """One that the prelude lists, with what its blocks held."""

    def __init__(self, database: str, name: str, kind: str, metadata: dict[str, Any]) -> None:
        self.database, self.name, self.kind, self.metadata = database, name, kind, metadata
        self.documents: list[bytes] = []
        self.opened = self.closed = False

    @property
    def path(self) -> str:
        return f"{self.database}.{self.name}"


def unpacked(path: Path) -> bytes:
    """Of one gzip stream around everything. Raises Refused."""
    stream = zlib.decompressobj(wbits=31)
    try:
        data = stream.decompress(path.read_bytes())
    except zlib.error as error:
        raise Refused(f"gzip: {error}") from None
    if not stream.eof or stream.unused_data:
        raise Refused("not one whole gzip stream")
    return data


def read(data: bytes) -> list[Namespace]:
    """Every namespace in the order of the prelude. Raises Refused."""
    if len(data) < 4 or _word(data, 0) != _MAGIC:
        raise Refused("no mongodump archive")
    header, at = _fields(data, 4, _HEADER)
    if header["version"] != "0.1" or not re.fullmatch(r"\d+\.\d+\.\d+(-.*)?", str(header["server_version"])):
        raise Refused(f"versions cannot be parsed: {header}")
    found, at = _prelude(data, at)
    _check_order([one.path for one in found])
    before_8_3 = [int(one) for one in str(header["server_version"]).split(".")[:2]] < [8, 3]
    blocks = {
        (one.database, f"system.buckets.{one.name}" if one.kind == "timeseries" and before_8_3 else one.name): one
        for one in found
    }
    while at < len(data):
        at = _read_block(data, at, blocks, int(header["concurrent_collections"]))
    if unseen := [one.path for one in found if not one.closed]:
        raise Refused(f"archive finished before all collections were seen: {unseen}")
    return found


def _read_block(data: bytes, at: int, blocks: dict[tuple[str, str], Namespace], most_open: int) -> int:
    if _word(data, at) == _TERMINATOR:
        raise Refused("consecutive terminators")
    fields, at = _fields(data, at, _BLOCK)
    one = blocks.get((str(fields["db"]), str(fields["collection"])))
    if one is None or one.closed:
        raise Refused(f"a block of {fields['db']}.{fields['collection']}, which is not listed or was closed")
    documents, at = _documents(data, at)
    if fields["EOF"]:
        one.closed = True
        if documents:
            raise Refused(f"documents behind the end of {one.path}")
        if fields["CRC"] != _crc64(b"".join(one.documents)):
            raise Refused(f"CRC mismatch for namespace {one.path}")
        return at
    if fields["CRC"]:
        raise Refused("a checksum in the header of a segment")
    one.opened = True
    if sum(other.opened and not other.closed for other in blocks.values()) > most_open:
        raise Refused("more namespaces are open than the header announces: mongorestore hangs for ever")
    one.documents += documents
    return at


def _prelude(data: bytes, at: int) -> tuple[list[Namespace], int]:
    found: list[Namespace] = []
    while _word(data, at) != _TERMINATOR:
        fields, at = _fields(data, at, _LISTED)
        database, name, kind = str(fields["db"]), str(fields["collection"]), str(fields["type"])
        if kind not in ("collection", "view", "timeseries") or not name or fields["size"]:
            raise Refused(f"a collection that is listed wrongly: {fields}")
        if f"{database}.{name}" in {one.path for one in found}:
            raise Refused(f"{database}.{name} is listed twice")
        found.append(Namespace(database, name, kind, _metadata(str(fields["metadata"]), name, kind)))
    return found, at + 4


def _metadata(text: str, name: str, kind: str) -> dict[str, Any]:
    """Canonical Extended JSON, as versions 100 of the tools write and read it."""
    metadata: dict[str, Any] = json_util.loads(text, json_options=_CANONICAL)
    if json_util.dumps(metadata, json_options=_CANONICAL, separators=(",", ":"), ensure_ascii=False) != text:
        raise Refused(f"metadata that is not canonical Extended JSON: {text[:200]}")
    if metadata.keys() - _METADATA or metadata["collectionName"] != name or metadata["type"] != kind:
        raise Refused(f"metadata of another collection, or with a field that is unknown: {text[:200]}")
    if (kind == "view") != ("viewOn" in metadata.get("options", {})):
        raise Refused(f"a view without its source: {text[:200]}")
    if kind == "collection" and not re.fullmatch("[0-9a-f]{32}", metadata.get("uuid", "")):
        raise Refused(f"a collection without its UUID: {text[:200]}")
    for index in metadata["indexes"]:
        if not index["key"] or not index["name"]:
            raise Refused(f"an index without key or name: {index}")
    return metadata


def _check_order(paths: list[str]) -> None:
    """Users and roles first, the oplog last."""
    first = [path for path in paths if path in _USERS]
    if first != [path for path in _USERS if path in first] or first != paths[: len(first)] or ".oplog" in paths[:-1]:
        raise Refused(f"not in the order that mongorestore wants: {paths[:5]}")


def _word(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise Refused("cut short")
    return int(struct.unpack_from("<I", data, at)[0])


def _documents(data: bytes, at: int) -> tuple[list[bytes], int]:
    """Up to the terminator, and where it goes on behind it."""
    found = []
    while (size := _word(data, at)) != _TERMINATOR:
        if not 5 <= size <= _LARGEST or at + size > len(data) or data[at + size - 1]:
            raise Refused(f"{size} is neither a valid BSON length nor a terminator")
        found.append(data[at : at + size])
        at += size
    return found, at + 4


def _fields(data: bytes, at: int, wanted: dict[str, int]) -> tuple[dict[str, str | int], int]:
    """One document with these fields, of these types and no others."""
    end, found = at + _word(data, at), dict[str, str | int]()
    if end > len(data) or data[end - 1]:
        raise Refused("cut short")
    at += 4
    while at < end - 1:
        kind, stop = data[at], data.index(0, at)
        name, at = data[at + 1 : stop].decode(), stop + 1
        if wanted.get(name) != kind or name in found:
            raise Refused(f"the field {name} of type {kind} does not belong there")
        if kind == _STRING:
            size = _word(data, at)
            found[name] = data[at + 4 : at + 4 + size - 1].decode()
            at += 4 + size
        else:
            size = {_BOOLEAN: 1, _INT32: 4, _INT64: 8}[kind]
            found[name] = int.from_bytes(data[at : at + size], "little", signed=True)
            at += size
    if at != end - 1 or found.keys() != wanted.keys():
        raise Refused(f"a header with {sorted(found)}")
    return found, end


def header(**fields: str | int | bool) -> bytes:
    """The header of a block, with these fields."""
    return bson.encode({name: Int64(value) if type(value) is int else value for name, value in fields.items()})


def _crc64(data: bytes) -> int:
    """CRC-64/XZ as signed 64 bits: the check that an .xz file keeps of its only block, in front of its index."""
    if not data:
        return 0
    packed = lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=0)
    index = (_word(packed, len(packed) - 8) + 1) * 4
    end = len(packed) - 12 - index
    return int.from_bytes(packed[end - 8 : end], "little", signed=True)


# --- as a program ------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("uri")
    parser.add_argument("--archive", required=True)
    parser.add_argument("--gzip", action="store_true", required=True)
    parser.add_argument("--nsExclude", default="")
    words = parser.parse_args()
    with pymongo.MongoClient[RawBSONDocument](words.uri, document_class=RawBSONDocument) as client:
        for one in read(unpacked(Path(words.archive))):
            if not fnmatch.fnmatch(one.path, words.nsExclude):
                _restore(client, one)
    return 0


def _restore(client: pymongo.MongoClient[RawBSONDocument], one: Namespace) -> None:
    """Create, insert, then the indexes: the order of mongorestore."""
    database = client[one.database]
    database.command({"create": one.name, **one.metadata.get("options", {})})
    for document in one.documents:
        database[one.name].insert_one(RawBSONDocument(document), bypass_document_validation=True)
    indexes = [index for index in one.metadata["indexes"] if index["name"] != "_id_"]
    if indexes:
        database.command({"createIndexes": one.name, "indexes": indexes})


if __name__ == "__main__":
    sys.exit(main())
