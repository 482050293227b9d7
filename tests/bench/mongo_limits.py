"""What nobody can be quicker than: a socket that reads a collection and discards it, inserts by hand, the packers
alone. And the documents that they are measured with."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
from pathlib import Path

import bson

from tests.parts.servers import LOCAL, Server

_EXHAUST, _MORE_TO_COME = 1 << 16, 1 << 1


def documents(size: int, number: int) -> bytes:
    """Orders that pack about four to one."""
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


def discard(server: Server) -> None:
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


def packed(path: Path, *command: str) -> None:
    """A file that lies there already, through a program that packs."""
    with path.open("rb") as source:
        subprocess.run(command, stdin=source, stdout=subprocess.DEVNULL, check=True)
