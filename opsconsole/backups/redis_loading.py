"""All of an RDB file given back to Redis beside its live data. Copying the file into its directory does not do it:
with `appendonly yes` Redis ignores it and starts empty.

Everything is loaded into databases that are empty, compared, and changes places with the live ones in one transaction
(SWAPDB); the old ones stay until they are dropped. Single keys go into the live databases by `redis_giving`.

    look -> Beside, to be written down -> load -> swap -> drop
                                                  undo -> drop
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from opsconsole.backups import rdb
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt
from opsconsole.backups.redis_comparing import Comparison
from opsconsole.backups.redis_giving import Giving, Loaded, Told, now_ms, silent
from opsconsole.backups.redis_link import RedisLink, Word, linked
from opsconsole.backups.redis_saving import save_now
from opsconsole.model import Record, SourceError

_MARK = b"opsconsole:restore:"
_LOADING, _LOADED, _SWAPPED = b"loading", b"loaded", b"swapped"


class Beside(Record, frozen=True):
    """Which database is loaded beside which. `name` is the operation's: it marks what is ours."""

    name: str
    pairs: tuple[tuple[int, int], ...]  # live, beside


def look(uri: str, path: Path, name: str, keys: Keys = NO_KEYS) -> Beside:
    """Which empty databases can take the backup. `keys`: of an encrypted one, here and below.

    Raises SourceError when there is no room.
    """
    tally = _tally(path, keys)
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


def has_room(uri: str, databases: Collection[int]) -> bool:
    """Whether there are as many empty databases as a backup with these needs beside the live ones.

    Raises SourceError.
    """
    with linked(uri) as link:
        live = {*link.sizes(), *databases} or {0}
        number = int(link.setting("databases") or 16)
        return max(live) >= number or 2 * len(live) <= number


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


def load(uri: str, path: Path, beside: Beside, *, keys: Keys = NO_KEYS, told: Told = silent) -> Loaded:
    """Load everything into the databases beside; compare the counts, and the values of a sample. May be begun anew
    after a kill.

    Raises SourceError; the live data is untouched then.
    """
    into = dict(beside.pairs)
    tally = _tally(path, keys)
    with linked(uri) as link:
        if _state(link, beside) == _SWAPPED:
            raise SourceError("this backup was loaded and has taken the place of the live data already")
        for _, database in beside.pairs:
            _empty(link, database, beside)
            link.command("SELECT", database)
            link.command("SET", _mark(beside), _LOADING)
        begun = now_ms()
        comparison = Comparison(link, sum(tally.keys.values()), _mark(beside, "compare"))
        loaded = Giving(link, True, into, told, comparison).all(path, lambda *_: True, keys)
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


def swap(uri: str, path: Path, beside: Beside, keys: Keys = NO_KEYS) -> None:
    """The loaded databases take the place of the live ones, all in one transaction. Nothing happens when they have
    already. Raises SourceError."""
    with linked(uri) as link:
        state = _state(link, beside)
        if state == _SWAPPED:
            return
        if state != _LOADED:
            raise SourceError("the backup is not loaded beside the live data", "Load it first.")
        functions = _tally(path, keys).functions
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


def _tally(path: Path, keys: Keys) -> rdb.Tally:
    try:
        with UnpackedFile(path, keys=keys) as reader:
            return rdb.count(reader)
    except Corrupt as fault:
        raise SourceError(f"{path.name} {fault.problem}", "Verify the backup; choose another one.") from None
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from None
