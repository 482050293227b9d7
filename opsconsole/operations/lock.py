"""One changing operation per stack at a time. The kernel frees the lock when its holder dies.

The lock is flock(2) on `.opsconsole/lock`; what is written into that file only tells who holds it. Commands that an
operation runs inherit the open file: when the operation is killed and its command goes on, the stack stays locked
until that command ends too, because until then the operation is not over.
"""

from __future__ import annotations

import fcntl
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec

from opsconsole.durable import is_held
from opsconsole.model import Record, SourceError
from opsconsole.operations.places import state_directory
from opsconsole.operations.who import Who

_LOOKS, _LOOK_SECONDS = 10, 0.02


class Holder(Record, frozen=True):
    """Who holds a lock."""

    who: Who
    what: str
    operation: str
    since: datetime
    pid: int
    started: int  # of the process, in clock ticks since boot: tells it from a later one with the same number


class LockHeld(SourceError):
    """Another operation changes this stack now. `holder` is None when it has not said yet who it is."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        if holder is None:
            super().__init__("another operation on this stack has just begun", "Try again in a moment.")
            return
        gone = "" if alive(holder) else " (it was killed; a command that it started still runs)"
        super().__init__(
            f"{holder.what} by {holder.who.words()} runs since {holder.since:%Y-%m-%d %H:%M:%S} UTC{gone}",
            f"Watch it with `opsconsole operations watch {holder.operation}`.",
        )


class Lock:
    """`with Lock(directory, holder):` holds the stack. Raises LockHeld instead of waiting."""

    def __init__(self, directory: Path, holder: Holder) -> None:
        self._path = state_directory(directory) / "lock"
        self._holder = holder
        self._fd = -1

    @property
    def fd(self) -> int:
        """For the commands of the operation, which keep the stack locked as long as they run."""
        return self._fd

    def __enter__(self) -> Lock:
        fd = _open(self._path)
        try:
            self._take(fd)
        except BaseException:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(self._holder), 0)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._fd, 0)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = -1

    def _take(self, fd: int) -> None:
        # Whoever only looks (holder_of) holds it for an instant, without a name in it.
        for left in range(_LOOKS, -1, -1):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                held_by = _read(self._path)
                if left == 0 or (held_by is not None and alive(held_by)):
                    raise LockHeld(held_by) from None
                time.sleep(_LOOK_SECONDS)


def holder_of(directory: Path) -> Holder | None:
    """Who holds the stack's lock now; None when it is free (or its holder has not written its name yet)."""
    path = directory / ".opsconsole" / "lock"
    return _read(path) if is_held(path) else None


def new_holder(who: Who, what: str, operation: str) -> Holder:
    pid = os.getpid()
    return Holder(
        who=who, what=what, operation=operation, since=datetime.now(UTC), pid=pid, started=start_ticks(pid) or 0
    )


def alive(holder: Holder) -> bool:
    """Whether the process that took the lock lives: same number and same start."""
    return start_ticks(holder.pid) == holder.started


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none or it is only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SourceError(
            f"the lock {path} cannot be opened: {error.strerror}",
            "Run opsconsole as the account that owns .opsconsole, or with sudo.",
        ) from None


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
