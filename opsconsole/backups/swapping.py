"""Files and directories exchanged for new ones by renames, so that every state in between can be told from the disk.

Nothing is deleted on the way: what was there lies beside, and going back is as sure as going on. The exchanges are
planned once, written down by the caller, and may then be driven forward or back any number of times, after any kill.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from opsconsole.durable import sync_directory
from opsconsole.model import Record, SourceError

NEW, OLD = ".opsconsole-new-", ".opsconsole-old-"
"""How the directories beside the live ones are called, with the id of the operation behind."""


class Exchange(Record, frozen=True):
    """`live` gets what is `new`, and what it had becomes `old`. All three lie on one file system."""

    live: str
    new: str
    old: str
    had: bool = True  # there is something to put aside
    gets: bool = True  # something comes in its place


def beside(live: Path, name: str) -> tuple[Path, Path]:
    """Where the new and the old content of a directory lie meanwhile: beside it, or in it when it is a mount point
    and cannot be renamed."""
    if live.is_dir() and os.path.ismount(live):
        return live / f"{NEW}{name}", live / f"{OLD}{name}"
    return live.with_name(f"{NEW}{name}-{live.name}"), live.with_name(f"{OLD}{name}-{live.name}")


def exchanges(live: Path, name: str) -> tuple[Exchange, ...]:
    """What is to be renamed for `live` to become what was made at `beside(live, name)`. Raises OSError."""
    new, old = beside(live, name)
    if new.parent != live:
        return (Exchange(live=str(live), new=str(new), old=str(old), had=os.path.lexists(live)),)
    had = {item for item in os.listdir(live) if item not in (new.name, old.name)}
    gets = set(os.listdir(new))
    return tuple(
        Exchange(live=str(live / item), new=str(new / item), old=str(old / item), had=item in had, gets=item in gets)
        for item in sorted(had | gets)
    )


def forward(wanted: Sequence[Exchange]) -> None:
    """Everything is new. Raises OSError, and SourceError when something is not as it was planned."""
    for one in wanted:
        Path(one.old).parent.mkdir(mode=0o700, exist_ok=True)
        waiting = not one.gets or os.path.lexists(one.new)
        if one.had and waiting and os.path.lexists(one.live):
            if os.path.lexists(one.old):
                raise SourceError(f"{one.old} is there already", f"look at it and at {one.live}: which one is right?")
            os.rename(one.live, one.old)
            _sync(one.live, one.old)
        if one.gets and os.path.lexists(one.new):
            if os.path.lexists(one.live):
                raise SourceError(f"{one.live} was made by somebody else meanwhile", "move it away, then go on")
            os.rename(one.new, one.live)
            _sync(one.new, one.live)


def back(wanted: Sequence[Exchange]) -> None:
    """Everything is as it was before. Raises OSError."""
    for one in reversed(wanted):
        gone_forward = os.path.lexists(one.old) or not one.had
        if gone_forward and os.path.lexists(one.live) and not os.path.lexists(one.new):
            os.rename(one.live, one.new)
            _sync(one.live, one.new)
        if one.had and os.path.lexists(one.old):
            if os.path.lexists(one.live):
                raise SourceError(f"{one.live} was made by somebody else meanwhile", "move it away, then go back")
            os.rename(one.old, one.live)
            _sync(one.old, one.live)


def is_new(wanted: Sequence[Exchange]) -> bool:
    """Whether all of it has been exchanged."""
    return all(
        (os.path.lexists(one.live) and not os.path.lexists(one.new)) if one.gets else not os.path.lexists(one.live)
        for one in wanted
    ) and all(os.path.lexists(one.old) for one in wanted if one.had)


def clear(live: Path, name: str) -> None:
    """Remove what lies beside: the old content after the way forward, the new one after the way back."""
    for path in beside(live, name):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sync(*paths: str) -> None:
    for directory in {os.path.dirname(path) for path in paths}:
        sync_directory(Path(directory))
