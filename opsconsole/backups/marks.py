"""What becomes known of a backup after it was made: pinned, checked, copied elsewhere. Kept beside the backups, as
nothing inside one may change.

    backups/.marks/<name>.json      <name>: of the backup's directory or file

A file of marks that cannot be read never costs a backup: it counts as pinned until somebody looks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from opsconsole.backups.faults import Level
from opsconsole.backups.reading import FileReader, LimitReached, Meter, up_to
from opsconsole.durable import replace_private
from opsconsole.model import Backup, Record, SourceError

DIRECTORY = ".marks"
_LARGEST = 1 << 20


class Check(Record, frozen=True):
    """The last time that a backup was looked at on one level."""

    level: Level
    at: datetime
    problem: str = ""  # the first fault; "" when all was right
    seconds: float | None = None  # on level 3: how long restoring all of it took


class Copy(Record, frozen=True):
    """Where else a backup lies."""

    place: str
    at: datetime
    verified: bool = False


class Marks(Record, frozen=True):
    """What is known of one backup. `problem` says why its file cannot be read."""

    pinned: bool = False
    pinned_why: str = ""
    misdated: bool = False  # dated by a clock that was wrong: new ids need not come after it
    checks: tuple[Check, ...] = ()  # one for each level, lowest first
    copies: tuple[Copy, ...] = ()
    problem: str = ""

    @property
    def keeps(self) -> bool:
        """Whether retention must take it for pinned."""
        return self.pinned or bool(self.problem)

    @property
    def proven(self) -> bool:
        """Whether the last restore of it into a throw-away server was right, and no later look found a fault."""
        restored = [check for check in self.checks if check.level is Level.RESTORED]
        return bool(restored) and not restored[0].problem and not self.fault

    @property
    def fault(self) -> str:
        """What the last look found that found something, unless a later one on that level or above found nothing."""
        for check in self.checks:
            if check.problem and not any(
                other.level >= check.level and other.at > check.at and not other.problem for other in self.checks
            ):
                return check.problem
        return ""

    @property
    def best(self) -> Check | None:
        """The highest level on which it was found right."""
        right = [check for check in self.checks if not check.problem]
        return right[-1] if right else None


def read(directory: Path, name: str) -> Marks:
    """The marks of a backup in a backup directory; those of none when there are none. Never raises."""
    try:
        with FileReader(str(_path(directory, name)), Meter(_LARGEST)) as reader:
            return msgspec.json.decode(up_to(reader, _LARGEST + 1), type=Marks)
    except FileNotFoundError:
        return Marks()
    except (OSError, LimitReached, msgspec.MsgspecError, ValueError, RecursionError):
        return Marks(problem=f"{DIRECTORY}/{name}.json cannot be read: taken for pinned until it is removed")


def write(directory: Path, name: str, marks: Marks) -> None:
    """Replace the marks of a backup; the file is the old one or the new one at any time. Raises SourceError."""
    path = _path(directory, name)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_private(path, msgspec.json.format(msgspec.json.encode(marks), indent=1) + b"\n")
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}", f"ls -ld {path.parent}") from None


def pin(backup: Backup, *, pinned: bool, why: str = "") -> None:
    """Keep a backup until it is unpinned, or let retention decide again. Raises SourceError."""
    directory = Path(backup.path).parent
    known = read(directory, backup.id)
    if known.problem:
        raise SourceError(known.problem, "Look at that file, then remove it.")
    write(directory, backup.id, msgspec.structs.replace(known, pinned=pinned, pinned_why=why if pinned else ""))


def misdate(backup: Backup, *, misdated: bool) -> None:
    """Say of a backup that a wrong clock dated it, or take that back. Raises SourceError."""
    directory = Path(backup.path).parent
    known = read(directory, backup.id)
    if known.problem:
        raise SourceError(known.problem, "Look at that file, then remove it.")
    write(directory, backup.id, msgspec.structs.replace(known, misdated=misdated))


def checked(marks: Marks, check: Check) -> Marks:
    """With the result of a look; a later one replaces the earlier one of its level."""
    others = [one for one in marks.checks if one.level is not check.level]
    return msgspec.structs.replace(marks, checks=tuple(sorted([*others, check], key=lambda one: one.level)))


def copied(marks: Marks, copy: Copy) -> Marks:
    """With a copy that was made; a later one replaces the earlier one of its place."""
    others = [one for one in marks.copies if one.place != copy.place]
    return msgspec.structs.replace(marks, copies=(*others, copy))


def doubted(marks: Marks, place: str) -> Marks:
    """With the copy in a place not verified: the last attempt to make it anew has failed, maybe half way."""
    copies = (msgspec.structs.replace(one, verified=one.verified and one.place != place) for one in marks.copies)
    return msgspec.structs.replace(marks, copies=tuple(copies))


def misdated(directory: Path) -> frozenset[str]:
    """Backups that somebody said were dated by a wrong clock: what `identifiers.next_id` disregards."""
    try:
        names = [name.removesuffix(".json") for name in os.listdir(directory / DIRECTORY) if name.endswith(".json")]
    except OSError:
        return frozenset()
    return frozenset(name for name in names if name and read(directory, name).misdated)


def forget(directory: Path, existing: Sequence[str]) -> None:
    """Remove the marks of backups that are gone. Raises OSError."""
    place = directory / DIRECTORY
    if not place.is_dir():
        return
    known = {f"{name}.json" for name in existing}
    for name in os.listdir(place):
        if name not in known:
            (place / name).unlink()


def _path(directory: Path, name: str) -> Path:
    assert "/" not in name and name not in ("", ".", "..")
    return directory / DIRECTORY / f"{name}.json"
