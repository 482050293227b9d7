"""gzip by several threads at once, as pigz does: pieces of about a MiB are packed by themselves, each with the end of
the one before in sight, and come one behind the other in one gzip stream like any other.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

LEVEL = 1
_PIECE = 1 << 20
_WINDOW = 1 << 15  # bytes back that the format can refer to
_THREADS = min(4, os.cpu_count() or 1)
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"  # deflate, no name, no time, packed quickly


class GzipPacker:
    """Packs what it is given in the order in which it comes; a few pieces are under way and held in memory."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_size = 0
        self._before = b""
        self._under_way: deque[Future[bytes]] = deque()
        self._threads: ThreadPoolExecutor | None = None  # a small file needs none
        self._packed = [_HEADER]
        self._crc = self._size = 0

    def compress(self, data: bytes) -> bytes:
        """What is packed by now; waits while all threads have enough to do."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size >= _PIECE:
            self._begin()
        return self._taken(_THREADS + 1)

    def flush(self) -> bytes:
        """The rest, at the end."""
        last = _deflated(b"".join(self._held), self._before, zlib.Z_FINISH)
        packed = self._taken(0)
        if self._threads is not None:
            self._threads.shutdown()
        return packed + last + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)

    def _begin(self) -> None:
        piece = b"".join(self._held)
        self._held, self._held_size = [], 0
        self._threads = self._threads or ThreadPoolExecutor(_THREADS, "gzip")
        self._under_way.append(self._threads.submit(_deflated, piece, self._before, zlib.Z_SYNC_FLUSH))
        self._before = piece[-_WINDOW:]

    def _taken(self, most: int) -> bytes:
        """What is packed, so that at most so many pieces are under way."""
        packed, self._packed = self._packed, []
        while self._under_way and (len(self._under_way) > most or self._under_way[0].done()):
            packed.append(self._under_way.popleft().result())
        return b"".join(packed)


def _deflated(piece: bytes, before: bytes, ending: int) -> bytes:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -15, zdict=before)
    return packer.compress(piece) + packer.flush(ending)
