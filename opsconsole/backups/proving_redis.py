"""The data of a Redis restored for a trial into a throw-away server, in both ways that there are, and compared.

First Redis itself loads the file, as it does when the file lies in its directory; then the keys are given back as a
restore does it. What the server holds afterwards has to be the same, key by key: the digest of each value is Redis'
own (DEBUG DIGEST-VALUE), as the bytes of a value depend on settings. The live Redis is never loaded into.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from redis.exceptions import ResponseError

from opsconsole.backups import rdb, redis_loading
from opsconsole.backups.encryption import SUFFIX
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import HeldKeys
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.proof import ProvenPart, Trial
from opsconsole.backups.reading import Corrupt, FileReader, Meter
from opsconsole.backups.redis_checking import held_keys
from opsconsole.backups.redis_giving import now_ms
from opsconsole.backups.redis_link import RedisLink, Word, linked
from opsconsole.durable import open_private, write_all
from opsconsole.model import SourceError
from opsconsole.sources.network import place_of
from opsconsole.sources.throwaway import Ended, Throwaway, Wanted, throwaway
from opsconsole.sources.throwaway_places import private_directory
from opsconsole.text import printable

_BATCH = 500
_NAMED_AT_MOST = 5
_LOAD_SECONDS = 3600.0
_RESERVE = 256 << 20
_DATABASES = 16
_RELOAD_SINCE = (6, 2)  # DEBUG RELOAD NOSAVE: before, it would write the empty server over the file


@dataclass(frozen=True)
class RedisDump:
    """What is tried. `shown` names it where a fault is told; `keys` are a manifest's."""

    name: str
    path: Path
    shown: str
    version: str = ""
    keys: tuple[HeldKeys, ...] | None = None


def prove_redis(dump: RedisDump, trial: Trial) -> ProvenPart:
    """Raises Cancelled, and SourceError when it cannot be tried here, which says nothing against the file."""
    if dump.path.suffix != SUFFIX:
        return _prove(dump, trial)
    with private_directory(trial.scratch) as place:
        plain = place / "redis.rdb"
        with UnpackedFile(dump.path, keys=trial.keys) as reader:
            _write(reader, plain)
        return _prove(replace(dump, path=plain), trial)


def _write(reader: UnpackedFile, path: Path) -> None:
    """The server that is thrown away reads a file, not us."""
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        while data := reader.read(1 << 20):
            write_all(fd, data)
    finally:
        os.close(fd)


def _prove(dump: RedisDump, trial: Trial) -> ProvenPart:
    try:
        with FileReader(str(dump.path), Meter(1 << 62)) as reader:
            tally = rdb.count(reader)
    except Corrupt as fault:
        return _faulty(dump, fault.problem)
    except OSError as error:
        raise SourceError(f"{dump.shown} cannot be read: {error.strerror}") from None
    if dump.keys is not None and held_keys(tally) != dump.keys:
        return _faulty(dump, "holds other numbers of keys than the manifest says")
    live = trial.server("redis", dump.name)
    used = int(tally.aux.get("used-mem", "0") or 0) if tally.aux.get("used-mem", "0").isdigit() else 0
    databases = 2 * max(_DATABASES, *(number + 1 for number in tally.keys), 0)
    wanted = Wanted(
        kind="redis",
        image=live.image if live else "",
        version=dump.version or tally.aux.get("redis-ver", ""),
        disk=dump.path.stat().st_size + _RESERVE,
        memory=used * 5 // 4 + _RESERVE,
        options=("--databases", str(databases)),
        operation=trial.operation,
    )
    with throwaway(wanted, trial.scratch, trial.waiting) as server:
        return _Trying(dump, trial, server, tally).run()


class _Trying:
    def __init__(self, dump: RedisDump, trial: Trial, server: Throwaway, tally: rdb.Tally) -> None:
        self._dump = dump
        self._trial = trial
        self._server = server
        self._uri = server.connection.uri
        self._tally = tally
        self._problems: list[str] = []
        self._notes: list[str] = []

    def run(self) -> ProvenPart:
        digests: array[int] | None = None
        try:
            digests = self._loaded_by_itself()
            seconds = self._given_back()
            if digests is not None:
                self._compare(digests)
        except SourceError as error:
            ended = self._ending()
            if ended is not None and ended.killed:
                raise SourceError(f"the throw-away Redis ended while it was loaded: {ended}") from None
            if ended is None and not self._answers():
                raise
            if ended is not None:
                return _faulty(self._dump, f"ends a Redis that loads it: {ended}", self._way)
            problem = error.problem.replace(f" at {place_of(self._uri)}", "")
            said = self._server.said()
            return _faulty(self._dump, f"cannot be restored: {problem}" + (f" ({said})" if said else ""), self._way)
        counts = [(sum(self._tally.keys.values()), "key")]
        if self._tally.functions:
            counts.append((len(self._tally.functions), "function library"))
        return ProvenPart(
            kind="redis",
            name=self._dump.name,
            counts=tuple(counts),
            seconds=seconds,
            way=self._way,
            faults=tuple(_fault(self._dump, problem) for problem in self._problems[:_NAMED_AT_MOST]),
            notes=tuple(self._notes),
        )

    @property
    def _way(self) -> str:
        return f"restored into {self._server.words}"

    def _ending(self) -> Ended | None:
        end = time.monotonic() + 3.0
        while (ended := self._server.ended()) is None and not self._answers() and time.monotonic() < end:
            time.sleep(0.1)
        return ended

    def _told(self, keys: int) -> None:
        share = keys / max(1, sum(self._tally.keys.values()))
        self._trial.told(self._dump.name, int(share * self._dump.path.stat().st_size))

    def _answers(self) -> bool:
        try:
            with linked(self._uri) as link:
                return bool(link.command("PING"))
        except SourceError:
            return False

    # --- the first way ---

    def _loaded_by_itself(self) -> array[int] | None:
        """Redis reads the file; the digest of each key in the order of the file. None where it cannot be told to."""
        with linked(self._uri) as link:
            version = link.info().get("redis_version", "")
            if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _RELOAD_SINCE:
                self._notes.append(f"Redis {version} cannot be asked to compare values: keys were counted")
                return None
            self._server.put(self._dump.path, "dump.rdb")
            begun = now_ms()
            link.socket().settimeout(_LOAD_SECONDS)
            try:
                link.command("DEBUG", "RELOAD", "NOSAVE")
            except ResponseError as error:
                if "not allowed" not in str(error):
                    raise
                self._notes.append(f"Redis {version} does not allow DEBUG: keys were counted, not compared")
                return None
            self._count(link, begun, "loaded")
            digests = array("Q")
            for _, values in self._values(link):
                digests.extend(values)
                self._told(len(digests))
            link.command("FLUSHALL")
            if self._tally.functions:
                link.command("FUNCTION", "FLUSH")
        return digests

    def _count(self, link: RedisLink, begun: int, how: str) -> None:
        sizes = link.sizes()
        for database in sorted({*self._tally.keys, *sizes}):
            least, most = self._tally.alive(database, now_ms()), self._tally.alive(database, begun)
            found = sizes.get(database, 0)
            if not least <= found <= most:
                self._problems.append(f"holds {most:,} keys in db {database}, and {found:,} were {how}")

    # --- the second way ---

    def _given_back(self) -> float:
        """As a restore does it; how many seconds it took."""
        begun, begun_ms = time.monotonic(), now_ms()
        beside = redis_loading.look(self._uri, self._dump.path, "proof")
        redis_loading.load(self._uri, self._dump.path, beside, told=lambda keys: self._trial.waiting())
        redis_loading.swap(self._uri, self._dump.path, beside)
        redis_loading.drop(self._uri, beside)
        seconds = time.monotonic() - begun
        with linked(self._uri) as link:
            self._count(link, begun_ms, "restored")
            if self._tally.functions and len(link.command("FUNCTION", "LIST")) != len(self._tally.functions):
                self._problems.append("holds function libraries that are not there after a restore")
        return seconds

    def _compare(self, digests: Sequence[int]) -> None:
        at = 0
        with linked(self._uri) as link:
            for keys, values in self._values(link, expiries=True):
                now = now_ms()
                for key, found, expected in zip(keys, values, digests[at : at + len(keys)], strict=True):
                    gone = key.expires_ms is not None and key.expires_ms <= now
                    if found != expected and not gone:
                        what = "is not there after a restore" if not found else "came back differently"
                        name = printable(key.name[:80].decode("utf-8", "replace"))
                        self._problems.append(f"holds the key {name} in db {key.database}, which {what}")
                at += len(keys)
                if len(self._problems) >= _NAMED_AT_MOST:
                    return

    # --- values ---

    def _values(self, link: RedisLink, *, expiries: bool = False) -> Iterator[tuple[list[rdb.Key], list[int]]]:
        """Keys of the file, many at a time, and what stands for the value of each: 0 where there is none."""
        database = None
        for keys in self._batches():
            self._trial.waiting()
            if keys[0].database != database:
                database = keys[0].database
                link.command("SELECT", database)
            names: list[Word] = [key.name for key in keys]
            values = [int(bytes(found)[:16], 16) for found in link.command("DEBUG", "DIGEST-VALUE", *names)]
            if expiries:
                self._look_at_expiries(link, keys, values)
            yield keys, values

    def _batches(self) -> Iterator[list[rdb.Key]]:
        """Each of keys of one database."""
        batch: list[rdb.Key] = []
        with FileReader(str(self._dump.path), Meter(1 << 62)) as reader:
            for key in rdb.keys(reader, rdb.Tally()):
                if batch and (len(batch) == _BATCH or batch[0].database != key.database):
                    yield batch
                    batch = []
                batch.append(key)
        if batch:
            yield batch

    def _look_at_expiries(self, link: RedisLink, keys: Sequence[rdb.Key], values: Sequence[int]) -> None:
        """The time at which each key goes is that of the file, to the millisecond."""
        timed = [key for key, value in zip(keys, values, strict=True) if key.expires_ms is not None and value]
        for key, found in zip(timed, link.many([("PEXPIRETIME", key.name) for key in timed]), strict=True):
            if isinstance(found, ResponseError):
                return  # before 7.0
            if found not in (key.expires_ms, -2):
                name = printable(key.name[:80].decode("utf-8", "replace"))
                self._problems.append(f"holds the key {name} in db {key.database}, which expires at another time")


def _faulty(dump: RedisDump, problem: str, way: str = "") -> ProvenPart:
    return ProvenPart(kind="redis", name=dump.name, way=way, faults=(_fault(dump, problem),))


def _fault(dump: RedisDump, problem: str) -> Fault:
    return Fault(path=dump.shown, problem=printable(problem))
