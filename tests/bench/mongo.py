"""Saving and loading MongoDB, beside the raw limits: a socket that reads and discards, and inserts by hand."""

from __future__ import annotations

import random
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bson

from opsconsole.backups.bson_documents import DocumentDigest
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_dumps import check_dump, open_dump
from opsconsole.backups.mongo_inserting import insert_documents
from opsconsole.backups.mongo_loading import load_mongo
from opsconsole.backups.mongo_raw import raw_batches
from opsconsole.backups.mongo_saving import save_mongo
from opsconsole.backups.mongo_swapping import plan_swaps, put_in_place, take_back
from opsconsole.backups.packed_files import Packing
from opsconsole.backups.progress import Watch
from opsconsole.sources.mongo_bulk import RawClient
from tests.bench.rows import Row
from tests.mongo_zoo import connection_to, raw
from tests.parts.servers import LOCAL, Server, start_mongod

MEGABYTES = 250
RUNS = 3
SELECTION = Selection(frozenset({"bench"}))
_EXHAUST, _MORE_TO_COME = 1 << 16, 1 << 1


def mongo() -> Iterator[Row]:
    """One collection of orders (675 bytes each) and one of small documents (79 bytes)."""
    with tempfile.TemporaryDirectory() as name:
        server = start_mongod(Path(name) / "data")
        try:
            with raw(server.uri) as client:
                client.admin.command({"setParameter": 1, "wiredTigerEngineRuntimeConfig": "cache_size=1500M"})
                for size in (675, 79):
                    yield from _rows(server, client, Path(name), size)
        finally:
            server.stop(kill=True)


def _rows(server: Server, client: RawClient, place: Path, size: int) -> Iterator[Row]:
    data = _documents(size, MEGABYTES * 1_000_000 // size // (1 if size > 100 else 4))
    megabytes = len(data) / 1e6
    client.drop_database("bench")
    by_hand = megabytes / _timed(lambda: insert_documents(client.bench, "orders", data))
    what = f"{megabytes:.0f} MB of documents of {size} B"
    limit = megabytes / _best(lambda: _discard(server))
    read = megabytes / _best(lambda: _read(client))
    digested = megabytes / _best(lambda: DocumentDigest().add(data, 0))
    path = place / "archive"
    for packing, goal in (
        (Packing.NONE, ">= 0.45 x discard (mongodump: 0.29)"),
        (Packing.ZSTD, ""),
        (Packing.GZIP, ""),
    ):
        ours = megabytes / _best(lambda packing=packing: _save(server, path, packing))
        yield Row(f"save {what}, {packing}", "MB/s", ours, {"discard": limit, "read": read, "digest": digested}, goal)
    _save(server, path, Packing.ZSTD)
    with open_dump(path) as dump:
        ours = megabytes / _timed(lambda: check_dump(dump))
    yield Row(f"check {what}", "MB/s", ours, {"digest": digested})

    def load() -> None:
        with open_dump(path) as dump:
            staged.append(load_mongo(client, dump, watch=Watch(None, None), selection=SELECTION))

    staged: list[object] = []
    ours = megabytes / _best(load)
    yield Row(f"load and compare {what}", "MB/s", ours, {"insert alone": by_hand}, ">= 0.6 x insert")
    (swap,) = plan_swaps(client, staged[-1])  # type: ignore[arg-type]
    there = _timed(lambda: put_in_place(client, swap)) * 1000
    back = _timed(lambda: take_back(client, swap)) * 1000
    yield Row(f"swap a collection of {what}", "ms", there, {"and back": back}, "<= 10 a rename")


def _documents(size: int, number: int) -> bytes:
    """Orders that pack about three to one."""
    source = random.Random(7)
    words = [source.randbytes(4).hex() for _ in range(300)]
    some = []
    for n in range(2000):
        one = bson.encode({"_id": n, "t": ""})
        text = " ".join(source.choices(words, k=size // 9 + 1)).encode()[: size - len(one)]
        some.append(one[:-6] + struct.pack("<i", len(text) + 1) + text + b"\0\0")
    return b"".join(
        struct.pack("<i", len(body)) + body[4:9] + struct.pack("<i", n) + body[13:]
        for n, body in ((n, some[n % 2000]) for n in range(number))
    )


def _save(server: Server, path: Path, packing: Packing) -> None:
    path.unlink(missing_ok=True)
    save_mongo(connection_to(server.uri), path, packing=packing, selection=SELECTION)


def _read(client: RawClient) -> None:
    """As saving does, without what it does with the documents."""
    for _ in raw_batches(client.bench, {"find": "orders"}):
        pass


def _discard(server: Server) -> None:
    """Read a collection over a bare socket, the server sending batch after batch, and look at nothing."""
    with socket.create_connection((LOCAL, server.port)) as wire:
        reply = _asked(wire, {"find": "orders", "$db": "bench", "batchSize": 1})
        cursor = bson.decode(reply[21:])["cursor"]["id"]
        command = {"getMore": bson.Int64(cursor), "collection": "orders", "$db": "bench", "batchSize": 2000}
        reply = _asked(wire, command, _EXHAUST)
        while struct.unpack_from("<I", reply, 16)[0] & _MORE_TO_COME:
            reply = _received(wire)


def _asked(wire: socket.socket, command: dict[str, object], flags: int = 0) -> bytearray:
    body = struct.pack("<IB", flags, 0) + bson.encode(command)
    wire.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
    return _received(wire)


def _received(wire: socket.socket) -> bytearray:
    head = wire.recv(4, socket.MSG_WAITALL)
    message = bytearray(struct.unpack("<i", head)[0])
    message[:4] = head
    rest = memoryview(message)[4:]
    while rest:
        rest = rest[wire.recv_into(rest) :]
    return message


def _best(work: Callable[[], object]) -> float:
    return min(_timed(work) for _ in range(RUNS))


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
