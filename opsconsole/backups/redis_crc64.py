"""CRC-64/Jones, which Redis puts at the end of what DUMP answers: polynomial ad93d23594c935a9 reflected, zero in and
out. Not the checksum of mongodump archives, and in no library of Python's own."""

from __future__ import annotations

from functools import cache
from struct import Struct

_POLYNOMIAL = 0x95AC9329AC4BC9B5  # reflected
_EIGHT = Struct("<Q").iter_unpack


@cache
def _tables() -> tuple[tuple[int, ...], ...]:
    """For a byte, and for the same byte with one to seven others behind it: eight at a time is 1.5 times as fast."""
    first = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (_POLYNOMIAL if number & 1 else 0)
        first.append(number)
    tables = [tuple(first)]
    for _ in range(7):
        tables.append(tuple(first[value & 0xFF] ^ value >> 8 for value in tables[-1]))
    return tuple(tables)


def crc64(data: bytes) -> int:
    """About 15 MB/s."""
    t0, t1, t2, t3, t4, t5, t6, t7 = _tables()
    value = 0
    whole = len(data) & ~7
    for (word,) in _EIGHT(memoryview(data)[:whole]):
        value ^= word
        value = (
            t7[value & 0xFF]
            ^ t6[value >> 8 & 0xFF]
            ^ t5[value >> 16 & 0xFF]
            ^ t4[value >> 24 & 0xFF]
            ^ t3[value >> 32 & 0xFF]
            ^ t2[value >> 40 & 0xFF]
            ^ t1[value >> 48 & 0xFF]
            ^ t0[value >> 56]
        )
    for byte in data[whole:]:
        value = value >> 8 ^ t0[(value ^ byte) & 0xFF]
    return value
