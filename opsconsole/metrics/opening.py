"""Opening the file: for its owner alone, of our version, and put aside when it is no database any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from opsconsole.durable import open_private
from opsconsole.metrics import schema
from opsconsole.metrics.records import NotStored
from opsconsole.model import SourceError

BUSY_SECONDS = 5.0
"""How long one writer waits for another. A transaction of ours takes some milliseconds."""

_WAL_LIMIT = 4 << 20
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def make(path: Path) -> None:
    """An empty file where there is none. Raises NotStored."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        os.close(open_private(path, os.O_RDWR | os.O_CREAT))  # SQLite gives -wal and -shm the same mode
    except OSError as error:
        raise NotStored(f"{path} cannot be written: {error.strerror}", "Run opsconsole as its owner.") from None


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The database, of today's version afterwards. Raises SourceError, or sqlite3.Error (see `is_damaged`)."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # means something only before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last seconds, never the file
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        _refuse_newer(connection, path)
        schema.migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database as it is now; nothing is written. Raises SourceError, absent when there is none yet."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError("no metrics were kept yet", "Keep them: opsconsole collect --install", absent=True) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "Run opsconsole as its owner.") from None
    # Where nobody writes, SQLite would make the two files beside it, only to look.
    alone = not path.with_name(f"{path.name}-wal").exists()
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise SourceError(f"{path} cannot be read: {error}", "Run opsconsole as its owner.") from None
    try:
        connection.execute("PRAGMA query_only = ON")
        if schema.version(connection) == 0:
            raise SourceError("no metrics were kept yet", absent=True)
        _refuse_newer(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise SourceError(f"{path} cannot be read: {error}", "Run opsconsole as its owner.") from None
    except SourceError:
        connection.close()
        raise
    return connection


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is no sound database any more."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def put_aside(path: Path, seen: os.stat_result, now: datetime) -> str:
    """Take a damaged file out of the way, unless another did so already. What was done, in one sentence.

    `seen` is the file as it was when it was opened. One damaged file is kept: the newest.
    """
    with _locked(path.parent):
        try:
            there = path.lstat()
        except FileNotFoundError:
            return ""
        if (there.st_dev, there.st_ino) != (seen.st_dev, seen.st_ino):
            return ""
        for older in path.parent.glob(f"{path.name}.damaged-*"):
            older.unlink(missing_ok=True)
        aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%d%H%M%S}")
        path.rename(aside)
        for beside in ("-wal", "-shm"):  # of the damaged file: a new one must not find them
            path.with_name(path.name + beside).unlink(missing_ok=True)
    return f"{path.name} was damaged and was put aside as {aside.name}; a new one was begun"


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    if schema.version(connection) > schema.newest():
        raise SourceError(f"{path} was written by a newer opsconsole", "Use that one, or move the file away.")


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two who find the same damage must not both rename: the second would take the new file away."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
