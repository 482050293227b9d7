"""Everything in a Redis RDB file, key by key: enough to count it, and to give single keys back through RESTORE.

A value is not understood, only measured: its bytes in the file are those that DUMP would answer. So each one can be
handed to RESTORE behind its type and before a version and a checksum. Read from the sources of Redis 7.4 (rdb.c).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from opsconsole.backups.rdb_bytes import ONE_STRING, RdbBytes
from opsconsole.backups.reading import Corrupt, Reader
from opsconsole.backups.redis_crc64 import crc64

_NEWEST = 99

_EOF, _SELECT, _EXPIRE, _EXPIRE_MS, _RESIZE, _AUX = 255, 254, 253, 252, 251, 250
_FREQ, _IDLE, _MODULE_AUX, _FUNCTION, _SLOT = 249, 248, 247, 245, 244

_STREAMS = {15: 1, 19: 2, 21: 3}

# The RDB version in which a type appeared: a server takes a payload that says no newer one than its own.
_SINCE = {16: 10, 17: 10, 18: 10, 19: 10, 20: 11, 21: 11, 24: 12, 25: 12}
_OLDEST = 9  # Redis 5


@dataclass(slots=True)
class Key:
    """One key. `value` are its bytes when they were asked for."""

    database: int
    name: bytes
    kind: int
    expires_ms: int | None  # milliseconds since 1970
    value: bytes | None


@dataclass(slots=True)
class Tally:
    """What was counted on the way."""

    version: int = 0
    aux: dict[str, str] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)  # by database
    expiring: dict[int, array[int]] = field(default_factory=dict)  # when, in milliseconds since 1970
    functions: list[bytes] = field(default_factory=list)  # the source of each library

    def alive(self, database: int, now_ms: int) -> int:
        """Keys of a database that have not expired at a moment."""
        times = sorted(self.expiring.get(database, ()))
        return self.keys.get(database, 0) - bisect_left(times, now_ms)


Wanted = Callable[[int, bytes], bool]
"""Whether the value of a key, by its database and name, is asked for."""


def payload(key: Key) -> bytes:
    """What RESTORE takes: the type, the value, an RDB version as old as the type allows, and a checksum."""
    assert key.value is not None
    body = bytes((key.kind,)) + key.value + _SINCE.get(key.kind, _OLDEST).to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def keys(reader: Reader, tally: Tally, wanted: Wanted | None = None) -> Iterator[Key]:
    """Each key in turn, counted in `tally`. Raises Corrupt."""
    return _Walk(reader, tally, wanted).each()


def count(reader: Reader) -> Tally:
    """Read to the end and count. Raises Corrupt."""
    tally = Tally()
    for _ in _Walk(reader, tally, None, only_count=True).each():
        pass
    return tally


class _Walk:
    def __init__(self, reader: Reader, tally: Tally, wanted: Wanted | None, *, only_count: bool = False) -> None:
        self._bytes = RdbBytes(reader)
        self._tally = tally
        self._wanted = wanted
        self._only_count = only_count

    def each(self) -> Iterator[Key]:
        head = self._bytes.take(9)
        if head[:5] != b"REDIS" or not head[5:].isdigit() or not 1 <= int(head[5:]) <= _NEWEST:
            raise Corrupt("is not a Redis dump")
        tally, stream = self._tally, self._bytes
        tally.version = int(head[5:])
        database, expires = 0, None
        while (kind := stream.byte()) != _EOF:
            if kind < 64:
                yield self._key(database, kind, expires)
                expires = None
                if self._only_count:
                    self._count_small(database)
            elif kind == _EXPIRE_MS:
                expires = int.from_bytes(stream.take(8), "little", signed=True)
            elif kind == _EXPIRE:
                expires = int.from_bytes(stream.take(4), "little", signed=True) * 1000
            elif kind == _SELECT:
                database = stream.length()
            else:
                self._other(kind)
        if tally.version >= 5:
            stream.take(8)
        if not stream.at_end():
            raise Corrupt("goes on after its end")

    def _count_small(self, database: int) -> None:
        """The keys that come next, as far as they are small."""
        expiring = array("q")
        self._tally.keys[database] += self._bytes.skip_small_keys(expiring)
        if expiring:
            self._tally.expiring.setdefault(database, array("q")).extend(expiring)

    def _key(self, database: int, kind: int, expires: int | None) -> Key:
        stream, tally = self._bytes, self._tally
        name = stream.string()
        value = None
        if self._wanted is not None and self._wanted(database, name):
            stream.keep()
            _skip_value(stream, kind)
            value = stream.kept()
        else:
            _skip_value(stream, kind)
        tally.keys[database] = tally.keys.get(database, 0) + 1
        if expires is not None:
            tally.expiring.setdefault(database, array("q")).append(expires)
        return Key(database, name, kind, expires, value)

    def _other(self, kind: int) -> None:
        stream = self._bytes
        if kind == _AUX:
            name, value = stream.string(), stream.string()
            self._tally.aux[name.decode("utf-8", "replace")[:64]] = value.decode("utf-8", "replace")[:256]
        elif kind == _RESIZE:
            stream.length()
            stream.length()
        elif kind == _FREQ:
            stream.skip(1)
        elif kind == _IDLE:
            stream.length()
        elif kind == _FUNCTION:
            self._tally.functions.append(stream.string())
        elif kind == _MODULE_AUX:
            stream.length()
            _skip_module(stream)
        elif kind == _SLOT:
            for _ in range(3):
                stream.length()
        else:
            raise Corrupt(f"has a record of a kind that is not known ({kind}): broken, or of a newer Redis")


# --- values ----------------------------------------------------------------------------------------


def _skip_value(stream: RdbBytes, kind: int) -> None:
    if kind in ONE_STRING:
        stream.skip_string()
    elif kind in (1, 2, 14):  # list, set, quicklist of ziplists
        stream.skip_strings(stream.length())
    elif kind == 4:
        stream.skip_strings(2 * stream.length())
    elif kind == 18:  # quicklist of listpacks
        for _ in range(stream.length()):
            stream.length()
            stream.skip_string()
    elif kind in (3, 5):
        for _ in range(stream.length()):
            stream.skip_string()
            width = 8 if kind == 5 else stream.byte()
            stream.skip(width if width < 253 else 0)
    elif kind in _STREAMS:
        _skip_stream(stream, _STREAMS[kind])
    elif kind == 7:
        stream.length()
        _skip_module(stream)
    elif kind == 24:  # hash whose fields expire
        stream.skip(8)
        for _ in range(stream.length()):
            stream.length()
            stream.skip_strings(2)
    elif kind == 25:
        stream.skip(8)
        stream.skip_string()
    else:
        raise Corrupt(f"has a value of a type that is not known ({kind}): broken, or of a newer Redis")


def _skip_stream(stream: RdbBytes, version: int) -> None:
    stream.skip_strings(2 * stream.length())
    for _ in range(3 if version == 1 else 8):
        stream.length()
    for _ in range(stream.length()):  # groups
        stream.skip_string()
        for _ in range(2 if version == 1 else 3):
            stream.length()
        for _ in range(stream.length()):  # pending entries: id, time, deliveries
            stream.skip(24)
            stream.length()
        for _ in range(stream.length()):  # consumers: name, seen, active, their pending ids
            stream.skip_string()
            stream.skip(16 if version == 3 else 8)
            stream.skip(16 * stream.length())


def _skip_module(stream: RdbBytes) -> None:
    while (opcode := stream.length()) != 0:
        if opcode in (1, 2):
            stream.length()
        elif opcode in (3, 4):
            stream.skip(4 if opcode == 3 else 8)
        elif opcode == 5:
            stream.skip_string()
        else:
            raise Corrupt("has a broken value of a module")
