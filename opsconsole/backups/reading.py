"""Bounded reading of files that nobody vouches for.

A backup may be cut short, be garbage, or be made to hurt whoever opens it. So every reader here draws on
one Meter: when it is used up the reading ends, whatever the file says about itself. Nothing is ever
written, extracted or followed through a symbolic link.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_CHUNK = 1 << 16
_MEMBER_FEE = 1 << 10  # a gzip file of ten million empty members costs no output: charge for the member


class LimitReached(Exception):
    """As much was read as may be read. Says nothing about the file."""


class Corrupt(Exception):
    """The bytes cannot be what the file says it is. `cut` when it only ends too early."""

    def __init__(self, problem: str, *, cut: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.cut = cut


class Reader(Protocol):
    def read(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        ...


_hearer: ContextVar[Callable[[int], None] | None] = ContextVar("hearer", default=None)


@contextmanager
def heard_by(hear: Callable[[int], None]) -> Iterator[None]:
    """Every file that is opened for reading inside tells `hear` how many bytes each block has, as they lie on the disk.
    What it raises ends the reading. A reader of a format would only have to pass it on."""
    token = _hearer.set(hear)
    try:
        yield
    finally:
        _hearer.reset(token)


def hearer() -> Callable[[int], None]:
    """Whoever listens where a file is opened; it may be read in another thread."""
    return _hearer.get() or (lambda size: None)


class Meter:
    """How many bytes may still be read, raw and unpacked ones alike."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise LimitReached

    @property
    def spent(self) -> int:
        return self.limit - max(self.left, 0)


class FileReader:
    """A regular file, opened without following a link and without waiting for a pipe. Raises OSError."""

    def __init__(self, path: str, meter: Meter) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self._meter = meter
        self._heard = hearer()
        found = os.fstat(self._descriptor)
        self.size = found.st_size
        if not stat.S_ISREG(found.st_mode):
            os.close(self._descriptor)
            raise OSError(f"not a regular file: {path}")

    def read(self, size: int) -> bytes:
        data = os.read(self._descriptor, min(size, _CHUNK))
        self._meter.spend(len(data))
        self._heard(len(data))
        return data

    def tail(self, size: int) -> bytes:
        """The last `size` bytes, not charged: it is a handful."""
        return os.pread(self._descriptor, size, max(0, self.size - size))

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class GzipReader:
    """Unpacks a gzip stream of one or more members. Raises Corrupt when it is broken or ends too early."""

    def __init__(self, source: Reader, meter: Meter) -> None:
        self._source = source
        self._meter = meter
        self._input = b""
        self._inflate = zlib.decompressobj(31)
        self._ended = False

    def read(self, size: int) -> bytes:
        while not self._ended:
            if not self._input:
                self._input = self._source.read(_CHUNK)
                if not self._input:
                    raise Corrupt("is cut short in the middle of its gzip data", cut=True)
            try:
                data = self._inflate.decompress(self._input, min(size, _CHUNK))
            except zlib.error:
                raise Corrupt("has broken gzip data") from None
            self._input = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self._next_member(self._inflate.unused_data)
            if data:
                self._meter.spend(len(data))
                return data
        return b""

    def _next_member(self, rest: bytes) -> None:
        while len(rest) < 2:
            more = self._source.read(_CHUNK)
            if not more:
                break
            rest += more
        if rest[:2] == b"\x1f\x8b":
            self._meter.spend(_MEMBER_FEE)
            self._inflate = zlib.decompressobj(31)
            self._input = rest
        else:
            self._ended = True  # what follows is padding, as gzip itself takes it


class Peeked:
    """A reader whose first bytes were already looked at."""

    def __init__(self, source: Reader, size: int) -> None:
        self.head = up_to(source, size)
        self._rest = self.head
        self._source = source

    def read(self, size: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        return self._source.read(size)


class Window:
    """The next `size` bytes of a reader: one member of a tar file."""

    def __init__(self, source: Reader, size: int) -> None:
        self._source = source
        self.left = size

    def read(self, size: int) -> bytes:
        if self.left <= 0:
            return b""
        data = self._source.read(min(size, self.left))
        if not data:
            raise Corrupt("is cut short", cut=True)
        self.left -= len(data)
        return data


def up_to(reader: Reader, size: int) -> bytes:
    """`size` bytes, fewer only at the end."""
    pieces = []
    while size > 0:
        data = reader.read(size)
        if not data:
            break
        pieces.append(data)
        size -= len(data)
    return b"".join(pieces)


def exactly(reader: Reader, size: int) -> bytes:
    """`size` bytes; Corrupt when the file ends before."""
    data = up_to(reader, size)
    if len(data) < size:
        raise Corrupt("is cut short", cut=True)
    return data


def drain(reader: Reader) -> None:
    """Read to the end, so that a checksum at the end is checked."""
    while reader.read(_CHUNK):
        pass
