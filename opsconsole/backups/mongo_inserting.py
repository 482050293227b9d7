"""Documents into a server as they lie in a dump: many in one command, byte for byte.

Whole chunks of documents are handed to the driver as if they were one raw document, which it copies into the message
as they are: twice as fast as mongorestore.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from opsconsole.backups.bson_documents import TIMESTAMP, document_ends, elements, find_element
from opsconsole.backups.mongo_archive import BUCKETS
from opsconsole.backups.mongo_raw import RawDatabase, ask
from opsconsole.sources.network import Explained
from opsconsole.text import printable

_MOST_BYTES = 16 * 1024 * 1024  # of one message section; a single document may have as many
_MOST_DOCUMENTS = 100_000
_NOTHING = bytes(9)  # the end of a field's name and an empty timestamp


class _Chunk:
    """Documents end to end, in the clothes of one raw document."""

    _type_marker = 101  # how the driver knows a document that is raw

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def _chunks_work() -> bool:
    two = bson.encode({"_id": 1}) + bson.encode({"_id": 2})
    chunk: Any = _Chunk(two)
    try:
        return bson.encode(chunk) == two
    except Exception:
        return False


# What drivers take for a raw document is their own affair: without it each document is handed over by itself.
_CHUNKS_WORK = _chunks_work()


def insert_documents(database: RawDatabase, collection: str, data: bytes) -> None:
    """Insert documents that lie end to end, in their order, whatever a validator would say of them.

    Raises the driver's errors, and Explained when the server refuses a document.
    """
    for piece, ends in _pieces(data):
        documents: list[Any] = [_Chunk(piece)] if _CHUNKS_WORK else _apart(piece, ends)
        command: dict[str, Any] = {"insert": collection, "ordered": True, "documents": documents}
        if not collection.startswith(BUCKETS):
            command["bypassDocumentValidation"] = True
        reply = ask(database, command)
        _check(reply, database, collection, len(ends))
        if _NOTHING in piece and not collection.startswith(BUCKETS):
            _mend_timestamps(database, collection, piece, ends)


def _pieces(data: bytes) -> Iterator[tuple[bytes, list[int]]]:
    """As much as one command takes, and where its documents end."""
    start, ends = 0, list[int]()
    for end in document_ends(data):
        if ends and (end - start > _MOST_BYTES or len(ends) == _MOST_DOCUMENTS):
            yield data[start : start + ends[-1]], ends
            start, ends = start + ends[-1], []
        ends.append(end - start)
    if ends:
        yield data[start:], ends


def _apart(piece: bytes, ends: list[int]) -> list[RawBSONDocument]:
    starts = [0, *ends]
    return [RawBSONDocument(piece[start:end]) for start, end in zip(starts, ends, strict=False)]


def _check(reply: dict[str, Any], database: RawDatabase, collection: str, count: int) -> None:
    errors = reply.get("writeErrors") or ([reply["writeConcernError"]] if "writeConcernError" in reply else [])
    if errors or reply.get("n") != count:
        said = (
            printable(str(errors[0].get("errmsg", ""))[:200]) if errors else f"{reply.get('n')} of {count} were taken"
        )
        path = f"{printable(database.name)}.{printable(collection)}"
        raise Explained(
            f"MongoDB refused documents of {path}: {printable(str(said)[:200])}",
            "see its log; its version may be older than the backup's",
        )


def _mend_timestamps(database: RawDatabase, collection: str, piece: bytes, ends: list[int]) -> None:
    """The server takes an empty timestamp at the top of an inserted document for "now". An update lets it be."""
    updates = []
    for start, end in zip([0, *ends], ends, strict=False):
        document = piece[start:end]
        if _NOTHING not in document or not _has_empty_timestamp(document):
            continue
        place = find_element(document, b"_id")
        if place is None:
            continue
        kind, begin, stop = place
        same = bytes([kind]) + b"$eq\0" + document[begin:stop]
        equal = RawBSONDocument((len(same) + 5).to_bytes(4, "little") + same + b"\0")
        updates.append({"q": {"_id": equal}, "u": [{"$replaceWith": {"$literal": RawBSONDocument(document)}}]})
    for update in updates:
        command = {"update": collection, "updates": [update], "bypassDocumentValidation": True}
        reply = ask(database, command)
        _check(reply, database, collection, 1)


def _has_empty_timestamp(document: bytes) -> bool:
    return any(
        kind == TIMESTAMP and name != b"_id" and not any(document[begin:end])
        for kind, name, begin, end in elements(document)
    )
