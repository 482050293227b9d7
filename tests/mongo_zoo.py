"""A database with one of every kind of thing that MongoDB stores, to be saved and loaded without a difference."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pymongo
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from opsconsole.model import DatabaseTarget
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import RawClient, bulk_client

LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)

VALUES: dict[str, Any] = {
    "double": 1.5,
    "negative zero": -0.0,
    "infinity": float("-inf"),
    "text": "Grüße, 世界 \0 und ein Nullbyte",
    "document": {"a": {"b": {"c": []}}},
    "array": [1, "zwei", [3.0, None]],
    "binary": Binary(b"\0\1\2", 0),
    "old binary": Binary(b"\0\1\2", 2),
    "uuid": Binary(bytes(range(16)), 4),
    "own binary": Binary(b"x", 128),
    "id": ObjectId("0123456789abcdef01234567"),
    "true": True,
    "date": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    "null": None,
    "regex": Regex("^a.*[z]$", "imx"),
    "reference": DBRef("other", 5, "elsewhere"),
    "code": Code("function () { return 1; }"),
    "code with scope": Code("function () { return x; }", {"x": 1}),
    "int": -(2**31),
    "timestamp": Timestamp(1, 2),
    "empty timestamp": Timestamp(0, 0),
    "long": Int64(2**63 - 1),
    "decimal": Decimal128("-1.000E+6144"),
    "decimal NaN": Decimal128("NaN"),
    "min": MinKey(),
    "max": MaxKey(),
    "": "a field without a name",
    "a.b$c": "a field with a dot",
}


def element(kind: int, name: str, value: bytes) -> bytes:
    return bytes([kind]) + name.encode() + b"\0" + value


def document(*elements: bytes) -> RawBSONDocument:
    """A document of elements that no driver would write."""
    body = b"".join(elements)
    return RawBSONDocument((len(body) + 5).to_bytes(4, "little") + body + b"\0")


def id_element(number: int) -> bytes:
    return element(0x10, "_id", number.to_bytes(4, "little"))


def odd_documents() -> list[RawBSONDocument]:
    """Values that servers hold and drivers do not make."""
    oid = bytes(range(12))
    text = (2).to_bytes(4, "little") + b"a\0"
    return [
        document(id_element(1001), element(0x06, "undefined", b"")),
        document(id_element(1002), element(0x0E, "symbol", text)),
        document(id_element(1003), element(0x0C, "pointer", text + oid)),
        document(id_element(1004), element(0x10, "twice", b"\1\0\0\0"), element(0x10, "twice", b"\2\0\0\0")),
        document(id_element(1005), element(0x01, "NaN with a payload", b"\x01\0\0\0\0\0\xf8\xff")),
        document(id_element(1006), element(0x09, "far date", b"\xff\xff\xff\xff\xff\xff\xff\x7f")),
        document(id_element(1007), element(0x02, "no UTF-8", (3).to_bytes(4, "little") + b"\xff\xfe\0")),
        document(element(0x11, "_id", bytes(8)), element(0x11, "empty", bytes(8))),
        document(element(0x03, "_id", bson.encode({"a": 1, "b": "x"})), element(0x11, "empty", bytes(8))),
    ]


def largest_document() -> RawBSONDocument:
    """16 MiB to the byte."""
    rest = 16 * 1024 * 1024 - len(document(id_element(1), element(0x02, "t", bytes(4) + b"\0")).raw)
    return document(id_element(1), element(0x02, "t", (rest + 1).to_bytes(4, "little") + b"x" * rest + b"\0"))


def fill(client: pymongo.MongoClient[Any], name: str = "zoo") -> None:
    """Make the whole zoo."""
    zoo = client[name]
    zoo.values.insert_many([{"_id": at, key: value} for at, (key, value) in enumerate(VALUES.items())])
    zoo.values.insert_one({"_id": "all", **VALUES})
    zoo.values.insert_many(odd_documents())
    _mend_empty_timestamps(zoo)
    zoo.create_collection("empty")
    zoo.large.insert_one(largest_document())
    zoo["odd name. with 'quotes' / and ümlaut 世界"].insert_one({"a": 1})
    zoo["n" * 200].insert_one({"a": 1})
    zoo["a+b%2F&c"].insert_many([{"n": n} for n in range(10)])
    _fill_indexes(zoo)
    _fill_options(zoo)
    zoo["system.js"].insert_one({"_id": "add", "value": Code("function (a, b) { return a + b; }")})
    zoo.command(
        {"create": "open", "viewOn": "indexed", "pipeline": [{"$match": {"state": {"$not": re.compile("^x")}}}]}
    )
    zoo.command({"create": "a view of the view", "viewOn": "open", "pipeline": [], "collation": {"locale": "simple"}})
    client[name + "2"].other.insert_many([{"n": n} for n in range(50)])


def _mend_empty_timestamps(zoo: Any) -> None:
    """An insert makes "now" of them; an update keeps them."""
    for name in ("empty", "empty timestamp"):
        zoo.values.update_many({name: {"$exists": True}}, {"$set": {name: Timestamp(0, 0)}})


def _fill_indexes(zoo: Any) -> None:
    indexed = zoo.indexed
    points = [{"type": "Point", "coordinates": [n / 10, n / 10]} for n in range(20)]
    indexed.insert_many(
        [{"n": n, "tags": ["a", str(n)], "text": f"wort {n}", "at": LONG_AGO, "place": points[n]} for n in range(20)]
    )
    indexed.create_index([("n", 1), ("tags", -1)], name="compound, multikey")
    indexed.create_index("n", unique=True, sparse=True, name="unique")
    indexed.create_index("half", partialFilterExpression={"n": {"$gt": 5, "$lt": 1e300}}, name="partial")
    indexed.create_index("state", collation={"locale": "de", "strength": 2}, name="collated")
    indexed.create_index("hidden", hidden=True)
    indexed.create_index("background", background=True)
    indexed.create_index([("text", "text"), ("n", "text")], weights={"text": 3}, default_language="german")
    indexed.create_index([("place", "2dsphere")])
    indexed.create_index([("flat", "2d")], bits=20, min=-500, max=500)
    indexed.create_index([("n", "hashed")])
    indexed.create_index("any.$**")
    indexed.create_index("old", v=1, name="of version 1")
    indexed.create_index("wt", storageEngine={"wiredTiger": {"configString": "block_compressor=zlib"}})
    zoo.expiring.insert_many([{"at": datetime.now(UTC) + timedelta(days=300), "n": n} for n in range(5)])
    zoo.expiring.create_index("at", expireAfterSeconds=86400)


def _fill_options(zoo: Any) -> None:
    zoo.create_collection("capped", capped=True, size=65536, max=100)
    zoo.capped.insert_many([{"n": n, "t": "x" * 100} for n in range(150)])
    zoo.create_collection(
        "validated", validator={"n": {"$type": "int"}}, validationLevel="moderate", validationAction="error"
    )
    zoo.command({"insert": "validated", "documents": [{"_id": 1, "n": "no int"}], "bypassDocumentValidation": True})
    zoo.create_collection("collated", collation={"locale": "fr", "strength": 1})
    zoo.collated.insert_many([{"_id": "a", "n": "é", "m": 1}, {"_id": "b", "n": "e"}])
    zoo.collated.create_index("n")
    zoo.collated.create_index("m", collation={"locale": "simple"}, unique=True)
    zoo.command({"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": True, "name": "by id"}})
    zoo.clustered.insert_many([{"_id": n} for n in (3, 1, 2)])
    zoo.command({"create": "packed", "storageEngine": {"wiredTiger": {"configString": "block_compressor=zlib"}}})
    zoo.packed.insert_one({"a": 1})
    zoo.create_collection(
        "measured",
        timeseries={"timeField": "at", "metaField": "sensor", "granularity": "minutes"},
        expireAfterSeconds=10**9,
    )
    now = datetime.now(UTC)
    zoo.measured.insert_many(
        [{"at": now + timedelta(minutes=n), "sensor": {"id": n % 3}, "value": n / 7} for n in range(100)]
    )
    zoo.measured.create_index([("sensor.id", 1), ("at", -1)])


def connection_to(uri: str, database: str = "") -> Connection:
    target = DatabaseTarget(kind="mongodb", name="host", database=database, origin="MONGODB_URI in .env")
    return Connection(target=target, uri=uri)


@contextlib.contextmanager
def raw(uri: str) -> Iterator[RawClient]:
    with bulk_client(connection_to(uri)) as client:
        yield client
