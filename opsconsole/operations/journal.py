"""What an operation did: one directory for each, with the plan, the journal and the output of every command.

    .opsconsole/operations/<id>/plan.json      what was going to be done
                                journal.jsonl  one record per line; each carries the hash of the one before
                                output.log     everything that the commands wrote, secrets masked
                                alive          locked by the process that runs it, as long as that lives
                                cancel         somebody asks it to end at the next safe point

Records are on the disk before the act that they announce begins. A last line that was torn by a crash is left as it
is and skipped by readers. `chain.py` links the journals with each other.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from opsconsole.durable import is_held, sync_directory, write_all
from opsconsole.durable import open_private as open_private
from opsconsole.model import SourceError
from opsconsole.operations.plan import Plan
from opsconsole.operations.who import Who

_FULL = (errno.ENOSPC, errno.EDQUOT)

START = "0" * 64
"""What the first record carries instead of a hash."""


class Result(StrEnum):
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"  # nothing was done
    CANCELLED = "cancelled"  # at a safe point: what was done stays done
    ROLLED_BACK = "rolled-back"  # it failed, and the stack is as it was before
    ROLLBACK_FAILED = "rollback-failed"  # it failed, and so did the way back


EXIT_CODES = {
    Result.DONE: 0,
    Result.FAILED: 1,
    Result.REFUSED: 2,
    Result.ROLLED_BACK: 3,
    Result.ROLLBACK_FAILED: 4,
    Result.CANCELLED: 5,
}

LESS_DATA = 6
"""Done, and there is less data than before."""


def exit_code(result: Result, less: tuple[str, ...] = ()) -> int:
    """Of an operation that ended so; a failure says more than what is less."""
    return LESS_DATA if less and result is Result.DONE else EXIT_CODES[result]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record. Which fields are there depends on `event`."""

    n: int
    at: datetime
    event: str  # begin, step, step-end, progress, way-back, guard, end
    previous: str
    operation: str = ""
    kind: str = ""
    who: Who | None = None
    fingerprint: str = ""
    plan_sha256: str = ""
    step: str = ""
    title: str = ""
    command: tuple[str, ...] = ()
    text: str = ""  # one line
    exit_codes: tuple[int, ...] = ()
    seconds: float | None = None
    output_from: int | None = None  # where a step's part of output.log begins; of its last command, in its step-end
    output_to: int | None = None
    output_sha256: str = ""
    result: Result | None = None
    problem: str = ""
    hint: str = ""
    last_lines: tuple[str, ...] = ()  # of the output of the command that failed
    state: tuple[str, ...] = ()  # how the stack stands now, one line per service
    by_hand: tuple[str, ...] = ()  # commands that an operator runs to mend it, as they are typed
    done: int | None = None  # of `total`, where a step knows how far it is
    total: int | None = None
    unit: str = ""  # of both: "bytes", "files", "seconds" ...
    less: tuple[str, ...] = ()  # the guard: data that was there before and is not there after, one line each
    notes: tuple[str, ...] = ()  # the guard: what was not compared, shrinks by itself or went as the plan said
    release: str = ""  # "r4": recorded, marked good or returned to
    backup: str = ""  # id of the backup that the step made
    counts: dict[str, int] = {}  # of a backup that was verified: documents by "database.collection"


class Journal:
    """The writing end. One process, one journal. `make_room` is called once when the disk is full; where that helps,
    `short_of_room` is true from then on."""

    def __init__(
        self, directory: Path, secrets: tuple[str, ...] = (), make_room: Callable[[], bool] = lambda: False
    ) -> None:
        self.directory = directory
        self.secrets = secrets
        self.short_of_room = False
        self._make_room = make_room
        self._file = open_private(directory / "journal.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        self._n = 0
        self.head = START
        sync_directory(directory)

    def write(self, event: str, **fields: object) -> Entry:
        """Append a record; it is on the disk when this returns."""
        entry = Entry(
            n=self._n,
            at=datetime.now(UTC),
            event=event,
            previous=self.head,
            **self._masked(fields),  # type: ignore[arg-type]
        )
        line = msgspec.json.encode(entry)
        try:
            self._append(line)
        except OSError as error:
            if error.errno not in _FULL or self.short_of_room or not self.make_room():
                raise
            self._append(line)
        self._n += 1
        self.head = hashlib.sha256(line).hexdigest()
        return entry

    def make_room(self) -> bool:
        """On a disk that is full, or nearly so. Whether there is some now, for the last records."""
        self.short_of_room = self.short_of_room or self._make_room()
        return self.short_of_room

    def close(self) -> None:
        os.close(self._file)

    def _append(self, line: bytes) -> None:
        end = os.fstat(self._file).st_size
        try:
            write_all(self._file, line + b"\n")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, end)  # a disk that is full: the next record must not join half a line
            raise

    def _masked(self, fields: dict[str, object]) -> dict[str, object]:
        from opsconsole.text import mask_text

        def masked(value: object) -> object:
            if isinstance(value, str):
                return mask_text(value, self.secrets)
            if isinstance(value, tuple):
                return tuple(masked(item) for item in value)
            return value

        return {name: masked(value) for name, value in fields.items()}


def create(directory: Path, name: str, plan: Plan) -> Path:
    """A directory for a new operation with its plan. Nothing has begun yet."""
    from opsconsole.operations.places import operations_directory

    place = operations_directory(directory) / name
    try:
        place.mkdir(mode=0o700)
        file = open_private(place / "plan.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(file, msgspec.json.format(msgspec.json.encode(plan), indent=1))
            os.fsync(file)
        finally:
            os.close(file)
        sync_directory(place)
    except OSError as error:
        raise SourceError(f"the plan cannot be written to {place}: {error.strerror}") from None
    return place


def read_plan(place: Path) -> Plan:
    """Raises SourceError when it is not there or not ours."""
    try:
        return msgspec.json.decode((place / "plan.json").read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SourceError(f"the plan of {place.name} cannot be read: {error}") from None


def has_ended(place: Path) -> bool:
    """Whether the operation came to its own end, good or bad."""
    records = read(place)
    return bool(records) and records[-1].event == "end"


def plan_sha256(place: Path) -> str:
    try:
        return hashlib.sha256((place / "plan.json").read_bytes()).hexdigest()
    except OSError:
        return ""


def read(place: Path) -> tuple[Entry, ...]:
    """The records that can be read; a torn or touched line is left out (`chain.verify` names it)."""
    return tuple(entry for _, entry in entries(place) if entry is not None)


def entries(place: Path) -> Iterator[tuple[bytes, Entry | None]]:
    """Each whole line with its record, None for one that is no record."""
    for line in whole_lines(place / "journal.jsonl"):
        yield line, parse(line)


def parse(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def whole_lines(path: Path) -> Sequence[bytes]:
    """Lines that end with a line feed: one that was torn by a crash has none."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []


def output_ends(entries: Sequence[Entry]) -> list[int | None]:
    """Where in output.log that ends which was written before each record: where the output of the next step begins.
    None where no later step is known: all that is there."""
    ends: list[int | None] = []
    end: int | None = None
    for entry in reversed(entries):
        if entry.event == "step" and entry.output_from is not None:
            end = entry.output_from
        ends.append(end)
    return ends[::-1]


class Follower:
    """Reads on where it stopped: what a screen or a second operator uses."""

    def __init__(self, place: Path) -> None:
        self._path = place / "journal.jsonl"
        self._at = 0

    def read(self) -> tuple[Entry, ...]:
        """The records that have come since the last call; never blocks."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
        except OSError:
            return ()
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        found = (parse(line) for line in whole.split(b"\n")[:-1])
        return tuple(entry for entry in found if entry is not None)


# --- life and cancel -------------------------------------------------------------------------------


def mark_alive(place: Path) -> int:
    """Called by the process that runs the operation. The descriptor is kept open until it ends."""
    fd = open_private(place / "alive", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def is_alive(place: Path) -> bool:
    """Whether a process runs this operation now."""
    return is_held(place / "alive")


def ask_cancel(place: Path, why: str) -> None:
    """Ask an operation to end at the next safe point."""
    fd = open_private(place / "cancel", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, why.encode())
    finally:
        os.close(fd)


def cancel_asked(place: Path) -> str:
    """Why it should end, "" when nobody asked."""
    try:
        return (place / "cancel").read_text(errors="replace") or "asked"
    except OSError:
        return ""
