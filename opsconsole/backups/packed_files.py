"""Files that are packed with gzip or zstd, and encrypted if asked for, while they are written; and read again.

What is written is hashed on its way to the disk and durable when `finish` returns.
"""

from __future__ import annotations

import hashlib
import os
import sys
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from opsconsole.backups.encryption import NO_KEYS, NOBODY, SUFFIX, Keys, Recipients, Sealing, Unsealed
from opsconsole.backups.gzip_packing import GzipPacker
from opsconsole.backups.reading import Corrupt, GzipReader, Meter, Peeked, Reader, hearer

_CHUNK = 1 << 16
_AHEAD = 8 << 20
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_WINDOW = 1 << 27  # the largest window that `zstd -d` takes by itself


class Packing(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        return {"none": "", "gzip": ".gz", "zstd": ".zst"}[self.value]


class _Packer(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _packer(packing: Packing) -> _Packer:
    """Level 1 of either: 2.5 and 2.9 times smaller on orders and events, and the slower levels win 15-20 % of size
    for three to five times the work (measured)."""
    if packing is Packing.GZIP:
        return GzipPacker()
    if packing is Packing.ZSTD:
        import zstandard

        packer: _Packer = zstandard.ZstdCompressor(level=1, threads=2, write_checksum=True).compressobj()
        return packer
    return _Plain()


class PackedFile:
    """A new file, readable by its owner only. Either `finish` it or `abandon` it, which removes it.

    Raises FileExistsError when there is one already, and OSError when the disk does not take it.
    """

    def __init__(self, path: Path, packing: Packing = Packing.NONE, recipients: Recipients = NOBODY) -> None:
        if (path.suffix == SUFFIX) != bool(recipients):
            raise ValueError(f"{path.name} does not say whether it is encrypted")  # readers go by the name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._packer = _packer(packing)
        self._file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        self._hash = hashlib.sha256()
        self.path = path
        self.size = 0
        self._begun = 0  # bytes that the disk was told to write
        self._sealing: Sealing | None = None
        try:
            self._sealing = Sealing(self._put, recipients) if recipients else None
        except BaseException:
            self.abandon()
            raise
        self._take = self._sealing.write if self._sealing is not None else self._put

    def write(self, data: bytes) -> None:
        self._take(self._packer.compress(data))

    def finish(self) -> str:
        """Everything is on the disk; returns the SHA-256 of the file in hex."""
        self._take(self._packer.flush())
        if self._sealing is not None:
            self._sealing.finish()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        if self._sealing is not None:
            self._sealing.abandon()
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._hash.update(data)
        self.size += len(data)
        if self.size - self._begun >= _AHEAD:
            self._begin_writing()

    def _begin_writing(self) -> None:
        """Have the disk write while we go on: 250 MB at the end took 0.03 to 0.15 s on a fast disk."""
        if sys.platform == "linux":
            os.posix_fadvise(self._file.fileno(), self._begun, self.size - self._begun, os.POSIX_FADV_DONTNEED)
        self._begun = self.size


def write_file(path: Path, data: bytes, recipients: Recipients = NOBODY) -> tuple[int, str]:
    """A small file, on the disk when this returns; its size and SHA-256. Raises OSError."""
    file = PackedFile(path, recipients=recipients)
    try:
        file.write(data)
        digest = file.finish()
    except BaseException:
        file.abandon()
        raise
    return file.size, digest


# --- reading ---------------------------------------------------------------------------------------


class _Descriptor:
    """A regular file, opened without following a link and without waiting for a pipe."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags), "rb", buffering=0)
        self._heard = hearer()

    def read(self, size: int) -> bytes:
        data = self._file.read(size) or b""
        self._heard(len(data))
        return data

    def close(self) -> None:
        self._file.close()


class UnpackedFile:
    """Reads a file, decrypted when its name ends with .age and unpacked according to its first bytes, up to `limit`
    unpacked bytes (then LimitReached).

    Raises OSError, and WrongKey when no key is given; `read` raises Corrupt when what is read is broken or ends too
    early.
    """

    def __init__(self, path: Path, limit: int = 1 << 50, keys: Keys = NO_KEYS) -> None:
        self._file = _Descriptor(path)
        self._unsealed: Unsealed | None = None
        try:
            if path.suffix == SUFFIX:
                self._unsealed = Unsealed(self._file, keys)
            self._reader, self.packing = unpacked(self._unsealed or self._file, Meter(limit))
        except BaseException:
            self._close()
            raise

    def read(self, size: int) -> bytes:
        return self._reader.read(size)

    def __enter__(self) -> UnpackedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._unsealed is not None:
            self._unsealed.close()
        self._file.close()


def unpacked(source: Reader, meter: Meter) -> tuple[Reader, Packing]:
    """A reader of what is packed in `source`, and how it is packed."""
    peeked = Peeked(source, 4)
    if peeked.head.startswith(GZIP_MAGIC):
        return GzipReader(peeked, meter), Packing.GZIP
    if peeked.head == ZSTD_MAGIC:
        return ZstdReader(peeked, meter), Packing.ZSTD
    return _Metered(peeked, meter), Packing.NONE


class _Metered:
    def __init__(self, source: Reader, meter: Meter) -> None:
        self._source, self._meter = source, meter

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._meter.spend(len(data))
        return data


class ZstdReader:
    """Unpacks a zstd stream of one or more frames. Raises Corrupt when it is broken or ends too early."""

    def __init__(self, source: Reader, meter: Meter) -> None:
        import zstandard

        self._frames = _Frames(source)
        self._meter = meter
        self._error: type[Exception] = zstandard.ZstdError
        inflate: Any = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._stream = inflate.stream_reader(self._frames, read_across_frames=True, read_size=_CHUNK)

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._stream.read(min(size, _CHUNK * 16))
        except self._error:
            if self._frames.ended:
                raise Corrupt("is cut short in the middle of its zstd data", cut=True) from None
            raise Corrupt("has broken zstd data") from None
        if not data and not self._frames.whole:
            raise Corrupt("is cut short in the middle of its zstd data", cut=True)
        self._meter.spend(len(data))
        return data


class _Frames:
    """Passes zstd data through and keeps track of its frames: the decompressor takes a cut stream for a whole one.

    A frame is a header, blocks of a known size of which the last says so, and a checksum when the header says so.
    """

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._head = b""  # what is known of the header that is being read
        self._skip = 0  # bytes until the next header
        self._state = "frame"
        self._checksum = False
        self.ended = False

    @property
    def whole(self) -> bool:
        return self._state == "frame" and not self._head and not self._skip

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.ended = self.ended or not data
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = min(self._wanted() - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == self._wanted():
                    self._take()
            at += step
        return data

    def _wanted(self) -> int:
        if self._state == "block":
            return 3
        # A frame that readers skip has a size of four bytes after its magic, any other one byte of flags.
        return 5 if self._head[:4] == ZSTD_MAGIC or len(self._head) < 4 else 8

    def _take(self) -> None:
        """A whole header is there: how much follows it, and what comes then."""
        head = self._head
        self._head = b""
        if self._state == "block":
            header = int.from_bytes(head, "little")
            kind, size = header >> 1 & 3, header >> 3
            self._skip = 1 if kind == 1 else size
            if header & 1:
                self._skip += 4 if self._checksum else 0
                self._state = "frame"
        elif head[:4] == ZSTD_MAGIC:
            flags = head[4]
            single = flags >> 5 & 1
            self._checksum = bool(flags >> 2 & 1)
            self._skip = (0 if single else 1) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
            self._state = "block"
        else:
            self._skip = int.from_bytes(head[4:8], "little")
