"""What the beginning and the end of a Redis RDB file say about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from opsconsole.backups.findings import Finding, Verdict, counted
from opsconsole.backups.reading import Corrupt, LimitReached, Reader, exactly

RDB_MAGIC = b"REDIS"
RDB_TAIL = 9  # end mark and checksum, since RDB version 5
_NEWEST = 99  # a version beyond it is no version
_LONGEST_FIELD = 1 << 16


@dataclass(slots=True)
class _Seen:
    version: int = 0
    server: str = ""
    saved_at: datetime | None = None
    database: int = 0  # the first one
    keys: int | None = None  # of that one


def read_rdb(reader: Reader, path: str, size: int, tail: bytes = b"") -> Finding:
    """Version, server, time of the save and number of keys of the first database, all from the first bytes.

    `tail` is the end of the file where it could be looked at; a file that breaks off has another end.
    """
    seen = _Seen()
    verdict, note = Verdict.PLAUSIBLE, ""
    try:
        _header(reader, seen)
    except LimitReached:
        pass
    except Corrupt as fault:
        verdict, note = (Verdict.CUT if fault.cut else Verdict.WRONG), fault.problem
    if verdict is Verdict.PLAUSIBLE and seen.version >= 5 and tail and tail[-RDB_TAIL:][:1] != b"\xff":
        verdict, note = Verdict.CUT, "is cut short: the end of the dump is missing"
    return Finding("redis", path, size, verdict, note or _described(seen))


def _described(seen: _Seen) -> str:
    words = [f"Redis {seen.server}" if seen.server else f"RDB {seen.version}"]
    if seen.keys is not None:
        # Others may follow: how many keys they have stands behind the first one's.
        words.append(f"{counted(seen.keys, 'key')} in database {seen.database}" if seen.keys else "holds no keys")
    if seen.saved_at is not None:
        words.append(f"saved {seen.saved_at:%Y-%m-%d %H:%M} UTC")
    return ", ".join(words)


def _header(reader: Reader, seen: _Seen) -> None:
    magic = exactly(reader, 9)
    if magic[:5] != RDB_MAGIC or not magic[5:].isdigit():
        raise Corrupt("is not a Redis dump")
    seen.version = int(magic[5:])
    if not 1 <= seen.version <= _NEWEST:
        raise Corrupt("is not a Redis dump")
    for _ in range(64):
        opcode = exactly(reader, 1)[0]
        if opcode == 0xFA:
            _field(_string(reader), _string(reader), seen)
        elif opcode == 0xFE:
            seen.database = _length(reader)
        elif opcode == 0xFB:
            seen.keys = _length(reader)
            return
        elif opcode == 0xFF:
            seen.keys = 0
            return
        else:
            return  # functions, modules or the first key: what follows is the content


def _field(name: bytes, value: bytes, seen: _Seen) -> None:
    text = value.decode("ascii", "replace")
    if name == b"redis-ver":
        seen.server = text[:20]
    elif name == b"ctime" and text.isascii() and text.isdigit() and len(text) <= 10:
        seen.saved_at = datetime.fromtimestamp(int(text), UTC)


def _length(reader: Reader) -> int:
    first = exactly(reader, 1)[0]
    if first >> 6 == 0:
        return first
    if first >> 6 == 1:
        return (first & 0x3F) << 8 | exactly(reader, 1)[0]
    if first == 0x80:
        return int.from_bytes(exactly(reader, 4), "big")
    if first == 0x81:
        return int.from_bytes(exactly(reader, 8), "big")
    raise Corrupt("has a broken header")


def _string(reader: Reader) -> bytes:
    """A length-prefixed string, or a small number stored as one."""
    first = exactly(reader, 1)[0]
    if first >> 6 == 3:
        width = {0xC0: 1, 0xC1: 2, 0xC2: 4}.get(first)
        if width is None:
            raise Corrupt("has a broken header")
        return str(int.from_bytes(exactly(reader, width), "little", signed=True)).encode()
    if first >> 6 == 0:
        size = first
    elif first >> 6 == 1:
        size = (first & 0x3F) << 8 | exactly(reader, 1)[0]
    else:
        size = int.from_bytes(exactly(reader, 4), "big")
    if size > _LONGEST_FIELD:
        raise Corrupt("has a broken header")
    return exactly(reader, size)
