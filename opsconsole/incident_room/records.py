"""The record of an incident: `.opsconsole/incidents/i7/record.jsonl`, one line for each thing said or done.

Appended under a lock, on the disk when `append` returns, mode 0600: two operators and a kill lose nothing. A last line
that was torn stays where it is, and the next record begins a line of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.durable import open_private, sync_directory, write_all
from opsconsole.incident.checklists import item
from opsconsole.incident.course import Entry, Incident, course
from opsconsole.incident.priority import Priority, next_higher
from opsconsole.model import SourceError
from opsconsole.operations.places import entries, state_directory
from opsconsole.text import mask_text, printable

_NAME = re.compile(r"^i([1-9]\d{0,8})$")
_RECORD = "record.jsonl"
_LONGEST = 4000  # characters of one note
_TRIES = 50


def all_incidents(directory: Path, newest: int | None = None) -> tuple[Incident, ...]:
    """Newest first, so many of them. Looking makes nothing. Raises SourceError when they cannot be read."""
    names = entries(directory, "incidents", _NAME)
    found = [read(directory, name) for name in sorted(names, key=_number, reverse=True)[:newest]]
    return tuple(one for one in found if one.declared_at is not None)  # one that was killed while it was made has none


def open_incident(directory: Path) -> Incident | None:
    """The newest that is not closed."""
    return next((one for one in all_incidents(directory) if one.is_open), None)


def find(directory: Path, name: str = "") -> Incident:
    """By its name; without one the newest that is open, or else the newest. Raises SourceError."""
    found = all_incidents(directory)
    if name:
        chosen = next((one for one in found if one.name == name), None)
        if chosen is None:
            raise SourceError(f"there is no incident {name}", "See `opsconsole incident list`.")
        return chosen
    chosen = next((one for one in found if one.is_open), None) or next(iter(found), None)
    if chosen is None:
        raise SourceError("there is no incident", "`opsconsole incident declare TITLE` opens one.")
    return chosen


def read(directory: Path, name: str) -> Incident:
    """As its records tell it; lines that are none are left out."""
    return course(name, [one for one in map(_parsed, _lines(place(directory, name) / _RECORD)) if one is not None])


def place(directory: Path, name: str) -> Path:
    """Where an incident is kept. Raises SourceError for what is no name of one."""
    if not _NAME.match(name):
        raise SourceError(f"{name} is no incident", "An incident is named i1, i2 ...; see `opsconsole incident list`.")
    return _root(directory) / name


# --- what is said and done -------------------------------------------------------------------------


def declare(directory: Path, title: str, priority: Priority, who: str, symptoms: tuple[str, ...] = ()) -> Incident:
    """Open an incident. Raises SourceError when it cannot be written."""
    title = _one_line(title)
    if not title:
        raise SourceError("an incident needs a title", "Say in a few words what is wrong.")
    name = _new(directory)
    try:
        return append(directory, name, "declare", who, text=title, priority=priority, symptoms=symptoms)
    except SourceError:
        with contextlib.suppress(OSError):  # its name is free again
            (place(directory, name) / _RECORD).unlink(missing_ok=True)
            place(directory, name).rmdir()
        raise


def note(directory: Path, name: str, text: str, who: str) -> Incident:
    text = _one_line(text)
    if not text:
        raise SourceError("a note needs a text")
    return append(directory, name, "note", who, text=text)


def tick(directory: Path, name: str, key: str, who: str, *, done: bool = True) -> Incident:
    """Tick an item of the checklists, or take the tick back."""
    return append(directory, name, "tick" if done else "untick", who, item=item(key).key)


def prioritise(directory: Path, name: str, priority: Priority, who: str, why: str = "") -> Incident:
    return append(directory, name, "priority", who, priority=priority, text=_one_line(why))


def escalate(directory: Path, name: str, who: str, why: str = "") -> Incident:
    """One priority higher. Raises SourceError for a P1."""
    higher = next_higher(read(directory, name).priority)
    if higher is None:
        raise SourceError(f"{name} is a P1 already")
    return prioritise(directory, name, higher, who, why)


def close(directory: Path, name: str, who: str, resolution: str = "", symptoms: tuple[str, ...] = ()) -> Incident:
    """Close it. `symptoms` are what is red all the same."""
    if read(directory, name).closed_at is not None:
        raise SourceError(f"{name} is closed already")
    return append(directory, name, "close", who, text=_one_line(resolution), symptoms=symptoms)


def append(directory: Path, name: str, event: str, who: str, **fields: object) -> Incident:
    """One record more; it is on the disk when this returns. Raises SourceError."""
    path = place(directory, name) / _RECORD
    try:
        with _locked(path) as fd:
            _write(fd, event, who, fields)
    except OSError as error:
        full = "Make room, then say it again." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise SourceError(f"{path} cannot be written: {error.strerror}", full) from None
    return read(directory, name)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    fd = open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _write(fd: int, event: str, who: str, fields: dict[str, object]) -> None:
    end = os.fstat(fd).st_size
    torn = end > 0 and os.pread(fd, 1, end - 1) != b"\n"
    n = _count(fd)
    entry = Entry(n=n, at=datetime.now(UTC), event=event, who=who, **fields)  # type: ignore[arg-type]
    try:
        write_all(fd, (b"\n" if torn else b"") + msgspec.json.encode(entry) + b"\n")
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, end)  # a disk that is full: half a record is none
        raise


def _count(fd: int) -> int:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        return sum(1 for line in file if line.endswith(b"\n") and _parsed(line) is not None)


def _new(directory: Path) -> str:
    """A name that nobody has: making the directory decides between two operators."""
    root = state_directory(directory) / "incidents"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        for _ in range(_TRIES):
            name = f"i{max((_number(each.name) for each in os.scandir(root) if _NAME.match(each.name)), default=0) + 1}"
            with contextlib.suppress(FileExistsError):
                (root / name).mkdir(mode=0o700)
                sync_directory(root)
                return name
    except OSError as error:
        raise SourceError(f"{root} cannot be written: {error.strerror}") from None
    raise SourceError(f"no name for a new incident could be had in {root}")


def _root(directory: Path) -> Path:
    return directory / ".opsconsole" / "incidents"


def _number(name: str) -> int:
    return int(name[1:])


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []


def _parsed(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _one_line(text: str) -> str:
    """As it may be kept and shown: no secret that can be known by its form, no control character."""
    return mask_text(printable(" ".join(text.split())))[:_LONGEST]
