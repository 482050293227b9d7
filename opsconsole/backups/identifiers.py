"""Ids of backups: the local time at which they were begun, and never one that is not after all that are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from opsconsole.backups import manifest
from opsconsole.backups.moments import moment_of
from opsconsole.model import SourceError

PARTIAL = ".partial-"
REMOVED = ".removed-"

_FORM = "%Y%m%d_%H%M%S"
_LOCAL_TIMES_APART = timedelta(hours=26)  # the two clocks of this world that lie farthest from each other
_WAITS = 4  # of a second each


class ClockWentBack(SourceError):
    """The newest backup is later than now. `behind`: by how much."""

    def __init__(self, newest: str, behind: timedelta) -> None:
        super().__init__(
            f"the clock went back? The newest backup, {newest}, is {_spoken(behind)} later than now",
            "Set the clock right (timedatectl). If it is right, that backup was dated by a wrong one: "
            f"`opsconsole backup misdated {newest}` says so, then try again.",
        )
        self.newest = newest
        self.behind = behind


def new_id(known: Iterable[tuple[str, datetime]], now: datetime, zone: tzinfo | None = None) -> str:
    """The id of a backup that begins now. `known`: ids that are there, each with the moment that it was begun.

    When summer time ends an hour comes twice, and a server may move to another zone: then the id is the one after
    the greatest, and the manifest tells the moment. Raises ClockWentBack.
    """
    listed = list(known)
    if listed:
        newest, moment = max(listed, key=lambda one: (one[1], one[0]))
        if now < moment + timedelta(seconds=1):
            raise ClockWentBack(newest, moment - now)
    made = now.astimezone(zone).strftime(_FORM)
    greatest = max((name for name, _ in listed), default="")
    return made if made > greatest else _next(greatest)


def next_id(
    directory: Path,
    clock: Callable[[], datetime],
    wait: Callable[[float], object],
    zone: tzinfo | None = None,
    disregarded: Collection[str] = (),
) -> tuple[str, datetime]:
    """A new id in a backup directory and the moment it stands for; waits for the second that is already taken.

    `disregarded` are ids that somebody said were dated by a wrong clock. Raises ClockWentBack, or SourceError when
    the directory cannot be read.
    """
    known = [one for one in known_ids(directory, clock(), zone) if one[0] not in disregarded]
    for _ in range(_WAITS):
        now = clock()
        try:
            return new_id(known, now, zone), now
        except ClockWentBack as error:
            if error.behind > timedelta(seconds=_WAITS):
                raise
        wait(1.0)
    now = clock()
    return new_id(known, now, zone), now


def known_ids(directory: Path, now: datetime, zone: tzinfo | None = None) -> list[tuple[str, datetime]]:
    """The ids in a directory, those of unfinished and removed backups too, with their moments."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(f"the backup directory {directory} cannot be read: {error.strerror}") from None
    since = (now - _LOCAL_TIMES_APART).astimezone(zone).strftime(_FORM)
    found = []
    for name in names:
        plain = name.removeprefix(PARTIAL).removeprefix(REMOVED)
        if manifest.is_id(plain) and (told := moment_of(plain, zone)) is not None:
            found.append((plain, _begun(directory / name, told) if plain >= since else told))
    return found


def _begun(path: Path, told: datetime) -> datetime:
    try:
        return manifest.read(path).taken_at.astimezone(UTC)
    except SourceError:
        return told


def _next(name: str) -> str:
    return (datetime.strptime(name, _FORM) + timedelta(seconds=1)).strftime(_FORM)


def _spoken(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    for size, noun in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size} {noun}s"
    return f"{seconds} second" + ("" if seconds == 1 else "s")
