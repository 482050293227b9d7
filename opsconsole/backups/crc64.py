"""CRC-64/XZ, the checksum of mongodump archives: polynomial C96C5795D7870F42 reflected, all ones in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_POLYNOMIAL = 0xC96C5795D7870F42
_ONES = (1 << 64) - 1
_CHECK = 0x995DC9BBDF1939FA  # of the bytes "123456789"


def _in_c() -> Callable[[bytes, int], int] | None:
    """liblzma's own, which the standard library's lzma module is linked with: 3.6 GB/s against 10 MB/s, and it
    lets other threads run. None where that module was built without it, or hides it."""
    try:
        import _lzma
        import ctypes

        function: Any = ctypes.CDLL(_lzma.__file__).lzma_crc64
        function.restype = ctypes.c_uint64
        function.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)
    except (ImportError, AttributeError, OSError):
        return None

    def crc(data: bytes, value: int) -> int:
        return int(function(data, len(data), value))

    return crc if crc(b"123456789", 0) == _CHECK else None


def _table() -> tuple[int, ...]:
    entries = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (_POLYNOMIAL if number & 1 else 0)
        entries.append(number)
    return tuple(entries)


def crc64_by_table(data: bytes, value: int = 0) -> int:
    """The same in plain Python, for where liblzma cannot be reached."""
    global _TABLE
    _TABLE = _TABLE or _table()
    value ^= _ONES
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ _ONES


_TABLE: tuple[int, ...] = ()
_fast = _in_c()


def crc64(data: bytes, value: int = 0) -> int:
    """The checksum of `data`, going on from the checksum of what came before it."""
    return _fast(data, value) if _fast is not None else crc64_by_table(data, value)


def signed(value: int) -> int:
    """The same 64 bits as BSON's signed integer, which is how archives store it."""
    return value - (1 << 64) if value >> 63 else value
