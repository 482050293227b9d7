"""Keys of an RDB file given back through RESTORE, with their types and times to live: works with and without
`appendonly`, because the server itself writes what it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from redis.exceptions import ResponseError

from opsconsole.backups import rdb
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt
from opsconsole.backups.redis_comparing import Comparison
from opsconsole.backups.redis_link import RedisLink, Word, linked
from opsconsole.model import Record, SourceError

_BATCH_BYTES = 1 << 20
_BATCH_KEYS = 500

Told = Callable[[int], None]
"""Hears of how many keys were given back."""


def silent(keys: int) -> None:
    """Nobody listens."""


class Loaded(Record, frozen=True):
    """How it went, in keys by database of the backup."""

    restored: dict[int, int]
    expired: dict[int, int]  # past their time already: not given back, and no loss
    existing: dict[int, int]  # left as they are, because nothing was to be replaced
    compared: int = 0  # read back and compared with the file


def now_ms() -> int:
    """Milliseconds since 1970, by this host's clock."""
    return time.time_ns() // 1_000_000


def restore_keys(
    uri: str,
    path: Path,
    wanted: rdb.Wanted,
    *,
    replace: bool,
    into: dict[int, int] | None = None,
    keys: Keys = NO_KEYS,
    told: Told = silent,
) -> Loaded:
    """Give back the chosen keys of a file that was verified. `into` sends a database of the backup to another; `keys`
    are those of an encrypted file.

    Raises SourceError; what was given back until then stays.
    """
    with linked(uri) as link:
        return Giving(link, replace, into or {}, told).all(path, wanted, keys)


def remove_keys(uri: str, path: Path, wanted: rdb.Wanted, keys: Keys = NO_KEYS) -> int:
    """Remove the chosen keys of a file from the live databases; returns how many there were. Raises SourceError."""
    removed = 0
    with linked(uri) as link:
        try:
            with UnpackedFile(path, keys=keys) as reader:
                for key in rdb.keys(reader, rdb.Tally(), wanted):
                    if key.value is not None:
                        answers = link.many([("SELECT", key.database), ("UNLINK", key.name)])
                        removed += int(answers[-1] or 0)
        except Corrupt as fault:
            raise SourceError(f"{path.name} {fault.problem}", "Verify the backup; choose another one.") from None
    return removed


class Giving:
    """Hands the keys of a file to RESTORE, many at a time. `comparison` reads some of them back."""

    def __init__(
        self,
        link: RedisLink,
        replace: bool,
        into: dict[int, int],
        told: Told,
        comparison: Comparison | None = None,
    ) -> None:
        self._link = link
        self._words: tuple[Word, ...] = ("ABSTTL", "REPLACE") if replace else ("ABSTTL",)
        self._into = into
        self._told = told
        self._comparison = comparison
        self._batch: list[tuple[rdb.Key, Sequence[Word]]] = []
        self._bytes = 0
        self._loaded = Loaded(restored={}, expired={}, existing={})
        self._count = 0

    def all(self, path: Path, wanted: rdb.Wanted, keys: Keys = NO_KEYS) -> Loaded:
        """Raises SourceError; what was given back until then stays."""
        now = now_ms()
        database = None
        try:
            with UnpackedFile(path, keys=keys) as reader:
                for key in rdb.keys(reader, rdb.Tally(), wanted):
                    if key.value is None:
                        continue
                    if key.expires_ms is not None and key.expires_ms <= now:
                        _add(self._loaded.expired, key.database)
                        continue
                    if key.database != database:
                        self._flush()
                        database = key.database
                        self._link.command("SELECT", self._into.get(database, database))
                    self._give(key)
        except Corrupt as fault:
            raise SourceError(f"{path.name} {fault.problem}", "Verify the backup; choose another one.") from None
        self._flush()
        compared = self._comparison.compared if self._comparison is not None else 0
        return msgspec.structs.replace(self._loaded, compared=compared)

    def _give(self, key: rdb.Key) -> None:
        data = rdb.payload(key)
        self._batch.append((key, ("RESTORE", key.name, key.expires_ms or 0, data, *self._words)))
        self._bytes += len(data)
        if self._bytes >= _BATCH_BYTES or len(self._batch) >= _BATCH_KEYS:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        answers = self._link.many_lines(words for _, words in self._batch)
        for (key, _), answer in zip(self._batch, answers, strict=True):
            if answer is None:
                _add(self._loaded.restored, key.database)
            elif "BUSYKEY" in str(answer) or "Target key name" in str(answer):
                _add(self._loaded.existing, key.database)
            else:
                raise _refused(key, answer)
        if self._comparison is not None:
            self._comparison.compare(self._comparison.chosen([key for key, _ in self._batch]))
        self._count += len(self._batch)
        self._batch, self._bytes = [], 0
        self._told(self._count)


def _add(counts: dict[int, int], database: int) -> None:
    counts[database] = counts.get(database, 0) + 1


def _refused(key: rdb.Key, error: ResponseError) -> SourceError:
    said = str(error)
    name = ascii(key.name[:80].decode("utf-8", "replace"))
    if "version or checksum" in said or "Bad data format" in said:
        return SourceError(
            f"Redis does not take the value of {name}: it is older than the one that the backup is of",
            "Restore into a Redis of the version that the manifest names.",
        )
    if said.startswith("OOM"):
        return SourceError("Redis has no memory left for the backup (maxmemory)", "Raise maxmemory, then try again.")
    return SourceError(f"Redis does not take the value of {name}: {said[:120]}", "see its log")
