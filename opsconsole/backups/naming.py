"""Which backup somebody means: by its id, a legacy file's name without its suffix, its number in the list, `latest`;
and how the files of one part are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from opsconsole.model import Backup, BackupState, SourceError
from opsconsole.text import printable

LATEST = "latest"

BEFORE_RESTORE = "before the restore of "
"""So the reason of a safety backup begins that holds what a restore has put aside: `latest` never means it."""

_SUFFIX = re.compile(r"(?:\.(?:tar|tgz|archive|dump|rdb|bson|gz|zst))+$", re.IGNORECASE)


def named(backups: Sequence[Backup], wanted: str) -> Backup:
    """The backup that is meant; `backups` newest first, as the catalogue gives them. Raises SourceError."""
    if wanted == LATEST:
        return latest(backups)
    exact = [one for one in backups if wanted in (one.id, short(one.id))]
    if len(exact) == 1:
        return exact[0]
    if len(exact) > 1:
        names = ", ".join(one.id for one in exact)
        raise SourceError(f"{len(exact)} backups are called {printable(wanted)}", f"Name one whole: {names}.")
    if wanted.isdecimal() and len(wanted) < 8:
        if 1 <= int(wanted) <= len(backups):
            return backups[int(wanted) - 1]
        raise SourceError(f"there is no backup number {wanted}", _listed(backups))
    raise SourceError(f"there is no backup {printable(wanted)}", _listed(backups))


def latest(backups: Sequence[Backup]) -> Backup:
    """The newest good one, but for what a restore has put aside. Raises SourceError when there is none."""
    sound = (one for one in backups if one.state is BackupState.GOOD and not one.in_future)
    good = (one for one in sound if not one.why.startswith(BEFORE_RESTORE))
    if (found := next(good, None)) is None:
        raise SourceError("there is no good backup", _listed(backups))
    return found


def short(name: str) -> str:
    """A file's name without what says how it is packed."""
    return _SUFFIX.sub("", name)


def file_word(part: str) -> str:
    """The name of a part as a piece of a file's name: what is no plain letter or digit becomes an underscore.

    A colon, as in `host:6380`, would have tar, scp and rsync look for a host of that name.
    """
    return re.sub(r"[^A-Za-z0-9.-]", "_", part) or "_"


def _listed(backups: Sequence[Backup]) -> str:
    if not backups:
        return "There is none at all yet: `opsconsole backup create` takes one."
    return f"There are {len(backups)}: see `opsconsole backup list`."
