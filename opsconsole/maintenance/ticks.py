"""Who ticked what, and when: `.opsconsole/maintenance.jsonl`, one line for each tick, never rewritten.

A line is appended under the file's own lock and is on the disk when that returns. One that was torn by a kill or a
full disk is skipped by readers, and the next one begins on a line of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from opsconsole.durable import open_private, write_all
from opsconsole.maintenance.due import Tick
from opsconsole.model import Record, SourceError
from opsconsole.operations.places import state_directory

NAME = "maintenance.jsonl"


class Ticks(Record, frozen=True):
    """In the order in which they were written. `problem` says what could not be read."""

    ticks: tuple[Tick, ...] = ()
    problem: str = ""


class Ledger:
    """The ticks of one stack."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> Ticks:
        """Never raises."""
        path = self._directory / ".opsconsole" / NAME
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return Ticks()
        except OSError as error:
            return Ticks(problem=f"{path} cannot be read: {error.strerror}")
        found, torn = [], 0
        for line in filter(None, lines):
            try:
                found.append(msgspec.json.decode(line, type=Tick))
            except (msgspec.MsgspecError, ValueError):
                torn += 1
        problem = f"{path}: {torn} {'line is' if torn == 1 else 'lines are'} not what was written" if torn else ""
        return Ticks(ticks=tuple(found), problem=problem)

    def add(self, tick: Tick) -> None:
        """Raises SourceError when it cannot be written; the file is as it was then."""
        path = state_directory(self._directory) / NAME
        try:
            with _locked(path) as fd:
                _append(fd, msgspec.json.encode(tick) + b"\n")
        except OSError as error:
            raise SourceError(f"{path} cannot be written: {error.strerror}", f"ls -ld {path.parent} {path}") from None


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    fd = open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        os.fchmod(fd, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)  # lets go of the lock, too


def _append(fd: int, line: bytes) -> None:
    end = os.fstat(fd).st_size
    torn = end > 0 and os.pread(fd, 1, end - 1) != b"\n"
    try:
        write_all(fd, b"\n" + line if torn else line)
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, end)
        raise
