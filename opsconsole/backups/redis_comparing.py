"""Whether keys that Redis was given back are what the file holds: type, value and the time at which each goes.

A sample is enough, spread over the file: all of a small one, about two thousand keys of a large one. The bytes of DUMP
are compared; where they differ, which settings and the order in hash tables do, the file's value is laid beside under
another name and the contents are compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from opsconsole.backups import rdb
from opsconsole.backups.encryption import Keys
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.redis_link import RedisLink
from opsconsole.model import SourceError

SAMPLE = 2000
_BATCH = 200
_LARGEST = 1 << 20  # bytes of a value whose content is compared when its bytes differ
_TAIL = 10  # of what DUMP answers: version and checksum
_TYPES = {
    **dict.fromkeys((0,), b"string"),
    **dict.fromkeys((1, 10, 14, 18), b"list"),
    **dict.fromkeys((2, 11, 20), b"set"),
    **dict.fromkeys((3, 5, 12, 17), b"zset"),
    **dict.fromkeys((4, 9, 13, 16, 24, 25), b"hash"),
    **dict.fromkeys((15, 19, 21), b"stream"),
}


class Comparison:
    """Compares every n-th key of those that pass by. `compared` counts them."""

    def __init__(self, link: RedisLink, keys: int, scratch: bytes) -> None:
        """`keys`: about how many will pass. `scratch`: the name of a key that is nobody's, and is gone afterwards."""
        self.compared = 0
        self.refused = False  # this user may not read values: nothing is compared
        self._link = link
        self._scratch = scratch
        self._every = max(1, keys // SAMPLE)
        self._passed = 0

    def chosen(self, keys: Sequence[rdb.Key]) -> list[rdb.Key]:
        """Every n-th of them, counted on from one call to the next."""
        first = -self._passed % self._every
        self._passed += len(keys)
        return list(keys[first :: self._every])

    def compare(self, keys: Sequence[rdb.Key]) -> None:
        """These keys, with their values, in the database that is selected. Raises SourceError for a difference."""
        if self.refused or not keys:
            return
        asked = [(word, key.name) for key in keys for word in ("TYPE", "DUMP", "PEXPIRETIME")]
        answers = self._link.many(asked)
        if any(isinstance(one, NoPermissionError) for one in answers):
            self.refused = True
            return
        for at, key in enumerate(keys):
            self._one(key, *answers[3 * at : 3 * at + 3])
        self.compared += len(keys)

    def _one(self, key: rdb.Key, kind: Any, value: Any, expires: Any) -> None:
        for answer in (kind, value):
            if isinstance(answer, ResponseError):
                raise answer
        if value is None:
            if key.expires_ms is None or key.expires_ms > time.time_ns() // 1_000_000:
                raise _different(key, "is not there")
            return
        kind = kind.encode() if isinstance(kind, str) else kind
        if kind != _TYPES.get(key.kind, kind):
            raise _different(key, f"came back as a {kind.decode('ascii', 'replace')}")
        if not isinstance(expires, ResponseError) and expires not in (key.expires_ms or -1, -2):  # before 7.0
            raise _different(key, "goes at another time")
        if bytes(value[:-_TAIL]) != bytes((key.kind,)) + (key.value or b"") and not self._same(key, kind):
            raise _different(key, "came back with another value")

    def _same(self, key: rdb.Key, kind: bytes) -> bool:
        if len(key.value or b"") > _LARGEST:
            return True  # its bytes say nothing, and its content is too much to be read
        self._link.command("RESTORE", self._scratch, 0, rdb.payload(key), "REPLACE")
        try:
            return _content(self._link, key.name, kind) == _content(self._link, self._scratch, kind)
        finally:
            self._link.command("DEL", self._scratch)


def compare_file(link: RedisLink, path: Path, total: int, scratch: bytes, keys: Keys) -> tuple[rdb.Tally, Comparison]:
    """A sample of all keys of a file with the databases of the same numbers; what was counted on the way.

    Raises SourceError for a difference, Corrupt.
    """
    tally = rdb.Tally()
    comparison = Comparison(link, total, scratch)
    every, seen = max(1, total // SAMPLE), -1

    def wanted(database: int, name: bytes) -> bool:
        nonlocal seen
        seen += 1
        return seen % every == 0

    batch: list[rdb.Key] = []

    def flush() -> None:
        if batch:
            link.command("SELECT", batch[0].database)
            comparison.compare(batch)
            batch.clear()

    with UnpackedFile(path, keys=keys) as reader:
        for key in rdb.keys(reader, tally, wanted):
            if key.value is None:
                continue
            if batch and (batch[0].database != key.database or len(batch) == _BATCH):
                flush()
            batch.append(key)
    flush()
    return tally, comparison


def _content(link: RedisLink, name: bytes, kind: bytes) -> object:
    """What a key holds, whatever the order in which Redis lists it; None for a module's."""
    if kind == b"string":
        return link.command("GET", name)
    if kind == b"list":
        return link.command("LRANGE", name, 0, -1)
    if kind == b"set":
        return sorted(link.command("SMEMBERS", name))
    if kind == b"zset":
        return link.command("ZRANGE", name, 0, -1, "WITHSCORES")
    if kind == b"hash":
        flat = link.command("HGETALL", name)
        return sorted(zip(flat[::2], flat[1::2], strict=True))
    if kind == b"stream":
        return [link.command("XRANGE", name, "-", "+"), link.command("XINFO", "GROUPS", name)]
    return None


def _different(key: rdb.Key, how: str) -> SourceError:
    name = ascii(key.name[:80].decode("utf-8", "replace"))
    return SourceError(
        f"the key {name} of database {key.database} {how}", "Does another program use this Redis? Verify the backup."
    )
