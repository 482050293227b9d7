"""Giving Redis back what an RDB file holds, key by key through RESTORE: works with and without `appendonly`, because
the server itself writes what it is given. Copying the file into its directory does not: with `appendonly yes` Redis
ignores it and starts empty.

Some keys go straight into the live databases (`restore_keys`). All of them are loaded into databases that are empty,
compared, and change places with the live ones in one transaction (SWAPDB); the old ones stay until they are dropped:

    look -> Beside, to be written down -> load -> swap -> drop
                                                  undo -> drop
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from opsconsole.backups import rdb
from opsconsole.backups.reading import Corrupt, FileReader, Meter
from opsconsole.backups.redis_link import RedisLink, Word, linked
from opsconsole.backups.redis_saving import save_now
from opsconsole.model import Record, SourceError

_BATCH_BYTES = 1 << 20
_BATCH_KEYS = 500
_MARK = b"opsconsole:restore:"
_LOADING, _LOADED, _SWAPPED = b"loading", b"loaded", b"swapped"

Told = Callable[[int], None]
"""Hears of how many keys were given back."""


def _silent(keys: int) -> None:
    """Nobody listens."""


class Loaded(Record, frozen=True):
    """How it went, in keys by database of the backup."""

    restored: dict[int, int]
    expired: dict[int, int]  # past their time already: not given back, and no loss
    existing: dict[int, int]  # left as they are, because nothing was to be replaced


class Beside(Record, frozen=True):
    """Which database is loaded beside which. `name` is the operation's: it marks what is ours."""

    name: str
    pairs: tuple[tuple[int, int], ...]  # live, beside


def now_ms() -> int:
    """Milliseconds since 1970, by this host's clock."""
    return time.time_ns() // 1_000_000


# --- which keys ------------------------------------------------------------------------------------


def selected(databases: Iterable[int] = (), patterns: Iterable[str] = ()) -> rdb.Wanted:
    """Keys of these databases (none: of all) that match one of these patterns, as KEYS writes them (none: any)."""
    numbers = frozenset(databases)
    shapes = [re.compile(_expression(pattern.encode("utf-8", "surrogateescape")), re.DOTALL) for pattern in patterns]

    def wanted(database: int, name: bytes) -> bool:
        if numbers and database not in numbers:
            return False
        return not shapes or any(shape.fullmatch(name) for shape in shapes)

    return wanted


_PIECE = re.compile(rb"\\(?P<plain>.)|(?P<any>\*+)|(?P<one>\?)|\[(?P<set>(?:\\.|[^\]\\])*)\]?|(?P<other>.)", re.DOTALL)
_IN_SET = re.compile(rb"\\(.)|(.)-(.)|(.)", re.DOTALL)


def _expression(pattern: bytes) -> bytes:
    """Redis' glob: `*`, `?`, `[a-c]`, `[^a]`, `\\x`."""
    made = b""
    for piece in _PIECE.finditer(pattern):
        if piece["any"]:
            made += b".*"
        elif piece["one"]:
            made += b"."
        elif piece["set"] is not None:
            made += _set(piece["set"])
        else:
            made += re.escape(piece["plain"] or piece["other"])
    return made


def _set(inside: bytes) -> bytes:
    negated = inside.startswith(b"^")
    members = b""
    for found in _IN_SET.finditer(inside[negated:]):
        escaped, low, high, plain = found.groups()
        if low is not None:
            low, high = min(low, high), max(low, high)
            members += re.escape(low) + b"-" + re.escape(high)
        else:
            members += re.escape(escaped or plain)
    if not members:
        return b"." if negated else rb"(?!)"
    return (b"[^" if negated else b"[") + members + b"]"


# --- into the live databases -----------------------------------------------------------------------


def restore_keys(
    uri: str, path: Path, wanted: rdb.Wanted, *, replace: bool, into: dict[int, int] | None = None, told: Told = _silent
) -> Loaded:
    """Give back the chosen keys of a file that was verified. `into` sends a database of the backup to another.

    Raises SourceError; what was given back until then stays.
    """
    with linked(uri) as link:
        return _Giving(link, replace, into or {}, told).all(path, wanted)


class _Giving:
    def __init__(self, link: RedisLink, replace: bool, into: dict[int, int], told: Told) -> None:
        self._link = link
        self._words: tuple[Word, ...] = ("ABSTTL", "REPLACE") if replace else ("ABSTTL",)
        self._into = into
        self._told = told
        self._batch: list[tuple[rdb.Key, Sequence[Word]]] = []
        self._bytes = 0
        self._loaded = Loaded(restored={}, expired={}, existing={})
        self._count = 0

    def all(self, path: Path, wanted: rdb.Wanted) -> Loaded:
        now = now_ms()
        database = None
        try:
            with FileReader(str(path), Meter(1 << 62)) as reader:
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
        return self._loaded

    def _give(self, key: rdb.Key) -> None:
        data = rdb.payload(key)
        self._batch.append((key, ("RESTORE", key.name, key.expires_ms or 0, data, *self._words)))
        self._bytes += len(data)
        if self._bytes >= _BATCH_BYTES or len(self._batch) >= _BATCH_KEYS:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        answers = self._link.many(words for _, words in self._batch)
        for (key, _), answer in zip(self._batch, answers, strict=True):
            if not isinstance(answer, ResponseError):
                _add(self._loaded.restored, key.database)
            elif "BUSYKEY" in str(answer) or "Target key name" in str(answer):
                _add(self._loaded.existing, key.database)
            else:
                raise _refused(key, answer)
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


# --- all of it, beside the live data ---------------------------------------------------------------


def look(uri: str, path: Path, name: str) -> Beside:
    """Which empty databases can take the backup. Raises SourceError when there is no room."""
    tally = _tally(path)
    with linked(uri) as link:
        used = link.sizes()
        number = int(link.setting("databases") or 16)
        live = sorted(set(used) | set(tally.keys)) or [0]
        free = [database for database in range(number) if database not in live]
        if any(database >= number for database in tally.keys):
            raise SourceError(
                f"the backup has a database {max(tally.keys)} and this Redis has {number} of them",
                "Raise `databases` in its configuration and recreate it.",
            )
        if len(free) < len(live):
            raise SourceError(
                f"Redis uses {len(used)} of its {number} databases: there is no room to load a backup beside them",
                "Raise `databases` in its configuration and recreate it.",
            )
        _check_memory(link, tally)
    return Beside(name=name, pairs=tuple(zip(live, free, strict=False)))


def _check_memory(link: RedisLink, tally: rdb.Tally) -> None:
    """Near maxmemory a server throws live keys away to take new ones, or takes none."""
    info = link.info()
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    saved = int(tally.aux.get("used-mem", "0") or 0)
    if most and used + saved > most:
        raise SourceError(
            f"Redis may use {most >> 20} MiB, uses {used >> 20} and the backup needs about {saved >> 20} more",
            "Raise maxmemory for the time of the restore (CONFIG SET maxmemory 0), then try again.",
        )


def load(uri: str, path: Path, beside: Beside, *, told: Told = _silent) -> Loaded:
    """Load everything into the databases beside and compare the counts. May be begun anew after a kill.

    Raises SourceError; the live data is untouched then.
    """
    into = dict(beside.pairs)
    tally = _tally(path)
    with linked(uri) as link:
        if _state(link, beside) == _SWAPPED:
            raise SourceError("this backup was loaded and has taken the place of the live data already")
        for _, database in beside.pairs:
            _empty(link, database, beside)
            link.command("SELECT", database)
            link.command("SET", _mark(beside), _LOADING)
        begun = now_ms()
        loaded = _Giving(link, True, into, told).all(path, lambda *_: True)
        for live, database in beside.pairs:
            link.command("SELECT", database)
            found = link.command("DBSIZE") - 1
            least, most = tally.alive(live, now_ms()), tally.alive(live, begun)
            if not least <= found <= most:
                raise SourceError(
                    f"database {live} came back with {found:,} keys and the backup has {most:,}",
                    "Does another program use this Redis? The live data is untouched.",
                )
        for _, database in beside.pairs:
            link.command("SELECT", database)
            link.command("SET", _mark(beside), _LOADED)
    return loaded


def swap(uri: str, path: Path, beside: Beside) -> None:
    """The loaded databases take the place of the live ones, all in one transaction. Nothing happens when they have
    already. Raises SourceError."""
    with linked(uri) as link:
        state = _state(link, beside)
        if state == _SWAPPED:
            return
        if state != _LOADED:
            raise SourceError("the backup is not loaded beside the live data", "Load it first.")
        functions = _tally(path).functions
        before = _functions(link)
        commands: list[Sequence[Word]] = [*_change_places(beside, _SWAPPED)]
        if functions or before:
            commands += [("SET", _mark(beside, "functions"), before), ("FUNCTION", "FLUSH")]
            commands += [("FUNCTION", "LOAD", source) for source in functions]
        _transact(link, commands)
        _make_durable(link)


def undo(uri: str, beside: Beside) -> None:
    """The old databases are the live ones again. Nothing happens when they are. Raises SourceError."""
    with linked(uri) as link:
        if _state(link, beside) != _SWAPPED:
            return
        link.command("SELECT", beside.pairs[-1][1])
        functions = link.command("GET", _mark(beside, "functions"))
        commands: list[Sequence[Word]] = [("DEL", _mark(beside, "functions")), *_change_places(beside, _LOADED)]
        if functions is not None:
            commands.append(("FUNCTION", "FLUSH"))
            commands += [("FUNCTION", "RESTORE", functions)] if functions else []
        _transact(link, commands)
        _make_durable(link)


def drop(uri: str, beside: Beside) -> None:
    """Remove what lies beside: the old data after a swap, what was loaded before one. Raises SourceError."""
    with linked(uri) as link:
        for _, database in beside.pairs:
            _empty(link, database, beside)


def is_swapped(uri: str, beside: Beside) -> bool:
    """Whether the backup has taken the place of the live data."""
    with linked(uri) as link:
        return _state(link, beside) == _SWAPPED


def _change_places(beside: Beside, state: bytes) -> list[Sequence[Word]]:
    commands: list[Sequence[Word]] = []
    for live, database in beside.pairs:
        commands += [
            ("SELECT", database),
            ("DEL", _mark(beside)),
            ("SWAPDB", live, database),
            ("SET", _mark(beside), state),
        ]
    return commands


def _transact(link: RedisLink, commands: Sequence[Sequence[Word]]) -> None:
    answers = link.many([("MULTI",), *commands, ("EXEC",)])
    refused = next((answer for answer in answers if isinstance(answer, ResponseError)), None)
    if refused is not None:
        raise refused
    inside = answers[-1] or []
    if failed := next((answer for answer in inside if isinstance(answer, ResponseError)), None):
        raise SourceError(
            f"the databases changed places, and a function library was refused: {str(failed)[:120]}",
            "Load it by hand (FUNCTION LOAD), or undo.",
        )


def _make_durable(link: RedisLink) -> None:
    """What a power cut must not take back. An append-only file holds it; else only a save does, where Redis saves."""
    if link.setting("appendonly") == "yes" or not link.setting("save"):
        return
    try:
        save_now(link)
    except (ResponseError, SourceError) as error:
        raise SourceError(
            f"the databases changed places, and Redis could not write them to its disk: {error}",
            "Free space on that disk and run BGSAVE before Redis is stopped, or undo.",
        ) from None


def _state(link: RedisLink, beside: Beside) -> bytes:
    """The same for all databases, as the transaction changes them together; else loading was cut off."""
    found = set()
    for _, database in beside.pairs:
        link.command("SELECT", database)
        found.add(link.command("GET", _mark(beside)) or b"")
    return found.pop() if len(found) == 1 else _LOADING


def _empty(link: RedisLink, database: int, beside: Beside) -> None:
    """Only what is ours or empty is emptied."""
    link.command("SELECT", database)
    if link.command("GET", _mark(beside)) is not None:
        link.command("FLUSHDB", "ASYNC")
    elif link.command("DBSIZE"):
        raise SourceError(
            f"database {database} of Redis was empty and is not any more: another program uses it",
            "Nothing was removed from it. Try again.",
        )


def _mark(beside: Beside, what: str = "") -> bytes:
    return _MARK + beside.name.encode() + (f":{what}".encode() if what else b"")


def _functions(link: RedisLink) -> bytes:
    try:
        libraries: Any = link.command("FUNCTION", "LIST")
        return bytes(link.command("FUNCTION", "DUMP")) if libraries else b""
    except ResponseError:
        return b""  # Redis < 7


def _tally(path: Path) -> rdb.Tally:
    try:
        with FileReader(str(path), Meter(1 << 62)) as reader:
            return rdb.count(reader)
    except Corrupt as fault:
        raise SourceError(f"{path.name} {fault.problem}", "Verify the backup; choose another one.") from None
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from None
