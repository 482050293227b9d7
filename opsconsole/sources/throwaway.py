"""A database server to try something in and throw away: empty, reached by nobody else, gone afterwards.

It runs in a container of an image that the engine has already, or, where there is none, as a program of this host.
Nothing is pulled, no port is published, no network is joined: the server listens on a Unix socket in a directory that
only this account may enter. MongoDB's TTL monitor is off. What a killed maker left is removed by the next one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from opsconsole.model import Record, SourceError
from opsconsole.sources.connection import Connection

Waiting = Callable[[], None]
"""Called again and again while a server starts; what it raises ends that."""

STOP_SECONDS = 30
"""A server that is restarted and does not end by itself is killed after so long."""


def patient() -> None:
    """Nobody asks to end."""


class Wanted(Record, frozen=True):
    """What kind of server is needed, and for what."""

    kind: str  # "mongodb" or "redis"
    image: str = ""  # id or name of an image on the engine; "" when there is none
    version: str = ""  # of the server that it stands for ("6.0.5"): a program of another release is not taken
    disk: int = 0  # bytes that must be free where its files will lie
    memory: int = 0  # bytes that must be free
    options: tuple[str, ...] = ()  # further ones for the server
    operation: str = ""  # whose it is: the value of the container's label


class Ended(Record, frozen=True):
    """How a server ended."""

    code: int  # 128 and the signal when it was ended by one
    said: str = ""  # the last that its log tells

    @property
    def killed(self) -> bool:
        """From outside, or because the memory was used up: it says nothing of what was loaded."""
        return self.code in (128 + 9, 128 + 15)

    def __str__(self) -> str:
        how = "it was killed (by somebody, or for want of memory)" if self.killed else f"exit code {self.code}"
        return f"{how}: {self.said}" if self.said else how


class Throwaway(Protocol):
    """A server that answers."""

    @property
    def connection(self) -> Connection: ...

    @property
    def words(self) -> str:
        """What it is: `a container of mongo:6.0`, `/usr/bin/mongod 6.0.5`."""

    @property
    def container(self) -> str:
        """The container's name, "" for a program of this host."""

    def put(self, source: Path, name: str) -> None:
        """A copy of a file into the directory of the server's files. Raises SourceError or OSError."""

    def restart(self, waiting: Waiting = patient) -> None:
        """End it as an engine stops a container, start it again with its files, wait until it answers. Raises
        SourceError."""

    def ended(self) -> Ended | None:
        """How it ended, None while it runs. Raises SourceError."""

    def said(self) -> str:
        """The last line of its log that tells of a failure, "" when none does."""


class NoWay(SourceError):
    """One kind of throw-away server is not to be had here, which is no fault."""


class NoThrowaway(SourceError):
    """There is neither an image nor a program for it here. Nothing was tried."""


class NoRoom(SourceError):
    """Neither disk nor memory for it. Nothing was tried."""


@contextlib.contextmanager
def throwaway(wanted: Wanted, scratch: Path, waiting: Waiting = patient) -> Iterator[Throwaway]:
    """Start a server that is empty. `scratch`: a directory with room, where a program of this host keeps its files.

    Raises NoThrowaway, NoRoom, and SourceError when it does not start, or cannot be removed.
    """
    from opsconsole.sources.throwaway_container import in_container
    from opsconsole.sources.throwaway_process import on_host

    sweep(scratch)
    _check_memory(wanted)
    with contextlib.ExitStack() as stack:
        try:
            server: Throwaway = stack.enter_context(in_container(wanted, waiting))
        except NoWay as no_container:
            try:
                server = stack.enter_context(on_host(wanted, scratch, waiting))
            except NoWay as no_program:
                raise NoThrowaway(
                    f"there is no throw-away server to be had: {no_container.problem}; {no_program.problem}",
                    "Keep the stack's image on the engine, or install the server's program on this host.",
                ) from None
        yield server


def sweep(scratch: Path) -> None:
    """Remove what makers that were killed left in `scratch` and where sockets lie. Containers are removed by the next
    one that is started."""
    from opsconsole.sources.throwaway_places import sweep_directories

    sweep_directories((scratch,))


def _check_memory(wanted: Wanted) -> None:
    if not wanted.memory:
        return
    import psutil

    free = psutil.virtual_memory().available
    if free < wanted.memory:
        raise NoRoom(
            f"a throw-away server would need {wanted.memory >> 20:,} MiB of memory and {free >> 20:,} MiB are free",
            "Try again when less runs, or verify the backup on another host.",
        )


def check_disk(place: Path, needed: int) -> None:
    """Raises NoRoom when less is free than needed; says nothing where that cannot be told."""
    import shutil

    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return
    if free < needed:
        raise NoRoom(
            f"a throw-away server would need {needed >> 20:,} MiB of disk and {free >> 20:,} MiB are free at {place}",
            "Free space there, or verify the backup on another host.",
        )
