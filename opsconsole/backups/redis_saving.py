"""Saving Redis: the server is asked for its data as a replica would ask, so one point in time comes over the wire.

Any host that reaches the port can do it, no program is needed, and the server's own disk is not read. Where SYNC is
not allowed, the server is told to save (BGSAVE) and its file is copied, if this host can see it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from opsconsole.backups import rdb
from opsconsole.backups.encryption import NOBODY, Recipients
from opsconsole.backups.manifest import ONE_POINT, HeldFile, Part, PartKind
from opsconsole.backups.naming import file_word
from opsconsole.backups.packed_files import PackedFile, UnpackedFile, write_file
from opsconsole.backups.piping import Fed
from opsconsole.backups.reading import Corrupt, FileReader, Meter
from opsconsole.backups.redis_checking import held_keys
from opsconsole.backups.redis_link import RedisLink, linked
from opsconsole.model import SourceError

_CHUNK = 1 << 18
_LONGEST_LINE = 1024
_SETTINGS = (
    "databases", "save", "appendonly", "appendfilename", "appenddirname", "appendfsync", "dbfilename", "dir",
    "maxmemory", "maxmemory-policy",
)  # fmt: skip
_SAVE_SECONDS = 3600.0

Told = Callable[[int, int], None]
"""Hears of bytes that have come, and of how many."""


@dataclass(frozen=True)
class RedisSaver:
    """Saves one server. `data_directory` is where this host sees the server's own files, if it does; `file`: what its
    files are called by, where that is not its name."""

    name: str
    uri: str
    data_directory: Path | None = None
    recipients: Recipients = NOBODY
    told: Told = lambda done, total: None
    file: str = ""
    kind: PartKind = "redis"

    def save(self, place: Path) -> Part:
        """`redis.rdb`, or `redis-<name>.rdb` for a server of another name, and its settings beside it."""
        begun = time.monotonic()
        stem = self.file or ("redis" if self.name in ("", "redis") else f"redis-{file_word(self.name)}")
        target = _Target(place / f"{stem}.rdb{self.recipients.suffix}", self.recipients)
        with linked(self.uri) as link:
            info = link.info()
            notes: tuple[str, ...] = ()
            try:
                held, tally = _by_sync(link, target, self.told)
            except ResponseError as error:
                notes = (f"SYNC was refused ({str(error)[:100]}): saved by BGSAVE and copied",)
                with linked(self.uri) as another:
                    held, tally = self._by_saving(another, target, error)
            settings = place / f"{stem}.settings.json{self.recipients.suffix}"
            with linked(self.uri) as another:
                written = _write_settings(another, settings, self.recipients)
        return Part(
            kind="redis",
            name=self.name,
            files=(held, written),
            consistency=ONE_POINT,
            server=f"Redis {info.get('redis_version', '?')}",
            seconds=time.monotonic() - begun,
            keys=held_keys(tally),
            notes=notes,
        )

    def _by_saving(self, link: RedisLink, target: _Target, refused: Exception) -> tuple[HeldFile, rdb.Tally]:
        if self.data_directory is None:
            raise SourceError(
                f"Redis does not allow SYNC ({str(refused)[:100]}), and its files cannot be seen from this host",
                "allow it: ACL SETUSER with +sync +psync +replconf, or give the user of the backup all commands",
            ) from None
        save_now(link)
        source = self.data_directory / (link.setting("dbfilename") or "dump.rdb")
        return _copied(source, target)


def counted(path: Path) -> rdb.Tally:
    """Every key of a file that is not encrypted. Raises SourceError when it cannot be what it says it is."""
    try:
        with UnpackedFile(path) as reader:
            return rdb.count(reader)
    except Corrupt as fault:
        raise _not_redis(fault) from None


def _not_redis(fault: Corrupt) -> SourceError:
    return SourceError(f"what Redis sent {fault.problem}", "see its log; is something between it and us?")


class _Target:
    """The file that the data is written to, and its keys counted. What is encrypted can only be counted on the way:
    the key to read it again is elsewhere."""

    def __init__(self, path: Path, recipients: Recipients) -> None:
        self._path = path
        self._recipients = recipients

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[bytes], object]]:
        """Hands out what takes the data; after a good end `held` and `tally` are known. Raises OSError."""
        file = PackedFile(self._path, recipients=self._recipients)
        counting = Fed(rdb.count, "count") if self._recipients else None
        try:

            def take(data: bytes) -> None:
                file.write(data)
                if counting is not None:
                    counting.write(data)

            yield take
            digest = file.finish()
            self.tally = counting.finish() if counting is not None else counted(self._path)
        except BaseException as error:
            file.abandon()
            if counting is not None:
                counting.abandon()
            if isinstance(error, Corrupt):
                raise _not_redis(error) from None
            raise
        self.held = HeldFile(path=self._path.name, size=file.size, sha256=digest)


# --- over the wire ---------------------------------------------------------------------------------


def _by_sync(link: RedisLink, target: _Target, told: Told) -> tuple[HeldFile, rdb.Tally]:
    """Without `REPLCONF capa eof` the server begins at once and tells the size; with it, it waits five seconds."""
    with contextlib.suppress(ResponseError):  # Redis < 7: the commands that follow the data are not read
        link.command("REPLCONF", "rdb-only", "1")
    stream = link.socket()
    stream.sendall(b"*1\r\n$4\r\nSYNC\r\n")
    line, rest = _first_line(stream)
    if line.startswith(b"-"):
        raise ResponseError(line[1:].decode("utf-8", "replace"))
    if not line.startswith(b"$") or not line[1:].isdigit():
        raise SourceError("Redis answered SYNC with something else than its data", "is a proxy in between?")
    size = int(line[1:])
    done = 0
    with target.open() as take:
        while True:
            data = rest[: size - done]
            take(data)
            done += len(data)
            told(done, size)
            if done == size:
                break
            rest = stream.recv(min(_CHUNK, size - done))
            if not rest:
                raise SourceError(f"Redis closed the connection after {done:,} of {size:,} bytes", "see its log")
    return target.held, target.tally


def _first_line(stream: Any) -> tuple[bytes, bytes]:
    """The line that says what comes, and what came behind it. Line feeds before it say that the server is alive."""
    data = b""
    while b"\n" not in data.lstrip(b"\r\n"):
        more = stream.recv(_CHUNK)
        if not more:
            raise SourceError("Redis closed the connection before it sent anything", "see its log")
        data = (data + more).lstrip(b"\r\n")
        if b"\n" not in data and len(data) > _LONGEST_LINE:
            raise SourceError("Redis answered SYNC with something else than its data", "is a proxy in between?")
    line, _, rest = data.lstrip(b"\r\n").partition(b"\n")
    return line.rstrip(b"\r"), rest


# --- by its own file -------------------------------------------------------------------------------


def save_now(link: RedisLink) -> None:
    """Have the server save to its own disk; a save that began after we asked has ended well. Raises SourceError."""
    deadline = time.monotonic() + _SAVE_SECONDS
    while True:
        _wait_until_idle(link, deadline)
        before = link.info()
        try:
            link.command("BGSAVE")
            break
        except ResponseError as error:
            if "in progress" not in str(error):
                raise
    _wait_until_idle(link, deadline)
    after = link.info()
    if after.get("rdb_last_bgsave_status") != "ok" or int(after.get("rdb_last_save_time", 0)) < int(
        before.get("rdb_last_save_time", 0)
    ):
        raise SourceError("Redis could not save (rdb_last_bgsave_status is not ok)", "see its log; is its disk full?")


def _wait_until_idle(link: RedisLink, deadline: float) -> None:
    while True:
        info = link.info()
        if info.get("rdb_bgsave_in_progress") == "0" and info.get("aof_rewrite_in_progress", "0") == "0":
            return
        if time.monotonic() > deadline:
            raise SourceError("Redis is saving for more than an hour", "see its log")
        time.sleep(0.1)


def _copied(source: Path, target: _Target) -> tuple[HeldFile, rdb.Tally]:
    """The file is replaced by rename when it is written, so what was opened stays whole."""
    with FileReader(str(source), Meter(1 << 62)) as reader, target.open() as take:
        while data := reader.read(_CHUNK):
            take(data)
    return target.held, target.tally


# --- what an RDB file does not hold ----------------------------------------------------------------


def _write_settings(link: RedisLink, path: Path, recipients: Recipients) -> HeldFile:
    """Users with the hashes of their passwords, and the settings that a restore has to know."""
    try:
        users = [line.decode("utf-8", "replace") for line in link.command("ACL", "LIST")]
    except ResponseError:
        users = []  # Redis < 6, or not allowed
    settings = {name: link.setting(name) for name in _SETTINGS}
    data = msgspec.json.format(msgspec.json.encode({"settings": settings, "users": users}), indent=1) + b"\n"
    size, digest = write_file(path, data, recipients)
    return HeldFile(path=path.name, size=size, sha256=digest)
