"""A little data for the stacks: the same every time, small enough to compare whole."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import redis
from bson import Binary, Decimal128, Int64, ObjectId

DAY = datetime(2025, 9, 18, 16, 22, 32, tzinfo=UTC)

# A PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


def seed_mongo(uri: str, database: str, *, main: str) -> None:
    """Fill a database: users, the collection the system is about, an audit log; indexes of several kinds."""
    with pymongo.MongoClient[Any](uri, serverSelectionTimeoutMS=10000) as client:
        db = client[database]
        db.users.insert_many([_user(number) for number in range(14)])
        db.users.create_index("email", unique=True)
        db.users.create_index([("classId", 1), ("points", -1)], name="class_ranking")
        db[main].insert_many([_item(number) for number in range(60)])
        db[main].create_index([("author", 1), ("createdAt", -1)])
        db[main].create_index([("title", "text")])
        db.messages.insert_many(
            [{"_id": number, "room": number % 3, "text": f"pesan {number}"} for number in range(200)]
        )
        db.messages.create_index("room", partialFilterExpression={"room": {"$gt": 0}})
        db.auditlogs.insert_many([{"at": DAY + timedelta(minutes=number), "what": "login"} for number in range(20)])
        # Far away: nothing expires while a test runs.
        db.auditlogs.create_index("at", expireAfterSeconds=3600 * 24 * 365 * 50)


def seed_smokava(uri: str) -> None:
    """The five collections that Smokava's own backup check asks for."""
    with pymongo.MongoClient[Any](uri, serverSelectionTimeoutMS=10000) as client:
        db = client["smokava"]
        for name in ("packages", "userpackages", "transactions", "restaurantpayments"):
            db[name].insert_many([{**_item(number), "amount": Decimal128(f"{number}.50")} for number in range(25)])
        db.users.insert_many([_user(number) for number in range(14)])
        db.users.create_index("email", unique=True)
        db.transactions.create_index([("author", 1), ("createdAt", -1)])


def seed_redis(url: str) -> None:
    """Keys of every type in database 0 and sessions in database 1, some with a time to live."""
    with contextlib.closing(redis.Redis.from_url(url, db=0)) as store:
        store.set("greeting", "halo")
        store.set("bytes\xff", b"\x00\x01\xfe")
        store.hset("user:1", mapping={"name": "Ana", "points": "10"})
        store.rpush("queue", "a", "b", "c")
        store.sadd("tags", "red", "green")
        store.zadd("ranking", {"ana": 10, "budi": 7.5})
        store.xadd("events", {"kind": "login"})
        store.xgroup_create("events", "workers", id="0")
        store.set("expiring", "later", ex=86400)
    with contextlib.closing(redis.Redis.from_url(url, db=1)) as sessions:
        for number in range(20):
            sessions.set(f"session:{number}", f"user {number}", ex=86400)


def seed_uploads(directory: Path) -> None:
    """Files with the names that real uploads have: spaces, other alphabets, an empty one, a deep one."""
    files = {
        "avatars/1.png": PIXEL,
        "avatars/2.png": PIXEL,
        "discussions/2025/09/lampiran tugas.txt": b"tugas minggu ini\n",
        "discussions/2025/09/\u8bd5\u5377 \u00fc.pdf": b"%PDF-1.4\n%%EOF\n",
        "empty.bin": b"",
        "big.bin": bytes(range(256)) * 1024,
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _user(number: int) -> dict[str, Any]:
    return {
        "_id": ObjectId(f"{number:024x}"),
        "nisn": f"{number:010d}",
        "email": f"user{number}@example.invalid",
        "firstName": "Siti" if number % 2 else "Budi",
        "points": Int64(number * 10),
        "classId": number % 3,
        "createdAt": DAY + timedelta(days=number),
    }


def _item(number: int) -> dict[str, Any]:
    return {
        "_id": ObjectId(f"{number + 1000:024x}"),
        "title": f"Judul ke-{number}",
        "author": number % 14,
        "price": Decimal128(f"{number}.90"),
        "raw": Binary(bytes([number % 256]) * 8),
        "tags": ["a", "b"][: number % 3],
        "nested": {"score": number / 7, "none": None, "yes": True},
        "createdAt": DAY + timedelta(hours=number),
    }
