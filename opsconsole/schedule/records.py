"""What the schedule knows from one tick to the next, in `.opsconsole/`:

schedule.json         what was done in which slot
schedule-alarm.json   whether the newest good backup is too old, and whether somebody was told
schedule.lock         held by the tick that works, and by what it has started
schedule.log          what it did, with the output; schedule.log.1 to .3 are older
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from opsconsole.durable import open_private, write_all
from opsconsole.model import Record, SourceError
from opsconsole.operations import state_files
from opsconsole.operations.places import state_directory
from opsconsole.schedule.due import Kind, Run
from opsconsole.text import mask_text, printable

_RUNS, _ALARM, _LOCK, LOG = "schedule.json", "schedule-alarm.json", "schedule.lock", "schedule.log"
_KEPT = 40  # runs of each kind
_LARGEST_LOG = 1 << 20
_OLDER_LOGS = 3
_LAST_BYTES = 4096

_Kept = TypeVar("_Kept", bound=Record)


class Records(Record, frozen=True):
    """The runs, oldest first. `problem` says why the file could not be read; it counts as empty then."""

    version: int = 1
    runs: tuple[Run, ...] = ()
    ticked: datetime | None = None
    problem: str = ""

    def last(self, kind: Kind) -> Run | None:
        return next((run for run in reversed(self.runs) if run.kind is kind), None)


class Alarm(Record, frozen=True):
    """The age of the backups as it was when it was last looked at."""

    looked: datetime | None = None
    newest: str = ""  # id of the newest good one
    taken_at: datetime | None = None
    too_old: bool = False
    told: bool = False  # somebody heard that it is
    incremental: bool = False  # the newest backup of ours is one that incremental ones can stand on
    problem: str = ""  # why it cannot be told


def read(directory: Path) -> Records:
    """Never raises."""
    return _read(directory, _RUNS, Records)


def read_alarm(directory: Path) -> Alarm:
    """Never raises."""
    return _read(directory, _ALARM, Alarm)


def write(directory: Path, records: Records) -> None:
    """Replace the file, with so many runs of each kind as are kept. Raises SourceError."""
    kept = [run for kind in Kind for run in [one for one in records.runs if one.kind is kind][-_KEPT:]]
    runs = tuple(sorted(kept, key=lambda run: run.began))
    state_files.write(directory, _RUNS, msgspec.structs.replace(records, runs=runs, problem=""))


def write_alarm(directory: Path, alarm: Alarm) -> None:
    """Raises SourceError."""
    state_files.write(directory, _ALARM, alarm)


@contextlib.contextmanager
def taken(directory: Path) -> Iterator[int | None]:
    """Hold the schedule; None when another tick holds it. The file that is yielded is for what the tick starts: it
    keeps the schedule held when the tick is killed. Raises SourceError."""
    path = state_directory(directory) / _LOCK
    try:
        fd = open_private(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield fd
    finally:
        os.close(fd)


class Log:
    """schedule.log, or another log beside it, opened for more lines; one that has grown too large is put aside first.
    Raises SourceError."""

    def __init__(self, directory: Path, name: str = LOG) -> None:
        self.path = state_directory(directory) / name
        try:
            _put_aside(self.path)
            self.fd = open_private(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be written: {error.strerror}") from None

    def line(self, text: str) -> None:
        """One line with the time; a full disk loses it."""
        said = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {printable(mask_text(text))}\n"
        with contextlib.suppress(OSError):
            write_all(self.fd, said.encode(errors="replace"))

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def last_line(self, since: int) -> str:
        """The last line that says something, of what was written from this byte on."""
        end = self.size
        begin = max(since, end - _LAST_BYTES)
        text = os.pread(self.fd, end - begin, begin).decode(errors="replace")
        return next((printable(mask_text(line.strip())) for line in reversed(text.splitlines()) if line.strip()), "")

    def close(self) -> None:
        os.close(self.fd)


# --- files -----------------------------------------------------------------------------------------


def _read(directory: Path, name: str, kind: type[_Kept]) -> _Kept:
    path = directory / ".opsconsole" / name
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not what was written"
        return msgspec.structs.replace(kind(), problem=f"{path} cannot be read: {why}")


def _put_aside(path: Path) -> None:
    try:
        if path.lstat().st_size < _LARGEST_LOG:
            return
    except FileNotFoundError:
        return
    for number in range(_OLDER_LOGS, 0, -1):
        older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        with contextlib.suppress(FileNotFoundError):
            older.replace(path.with_name(f"{path.name}.{number}"))
