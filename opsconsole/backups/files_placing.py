"""Which directory of today each files part of a backup goes to. Pure but for a look at what was unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from opsconsole.backups.opening import OpenPart
from opsconsole.model import Record


class Target(Record, frozen=True):
    """A directory that is replaced by a part, or by a directory of it."""

    part: str  # its name
    path: str  # what is unpacked or copied: a tar file or a directory
    live: str


Lives = Sequence[tuple[str, Path]]
"""Name and directory of each place that the stack has."""


def targets(parts: Sequence[OpenPart], lives: Lives, stack: Path) -> tuple[list[Target], list[str]]:
    """Where each part goes, and the names of those that have no place any more."""
    found: list[Target] = []
    homeless: list[str] = []
    for part in parts:
        if part.kind != "files":
            continue
        mine = _of_directory(part, lives, stack) if os.path.isdir(part.path) else _of_archive(part, lives)
        found += mine
        if not mine:
            homeless.append(part.name)
    return found, homeless


def _of_archive(part: OpenPart, lives: Lives) -> list[Target]:
    """A part of our own: by its name, which is that of the place; else by the directory that was saved."""
    live = next((path for name, path in lives if name == part.name), None)
    live = live or next((path for _, path in lives if str(path) == part.source), None)
    return [Target(part=part.name, path=part.path, live=str(live))] if live is not None else []


def _of_directory(part: OpenPart, lives: Lives, stack: Path) -> list[Target]:
    """What a script packed: `backend/uploads/...` as it lies below the stack, or the directory's content itself."""
    root = Path(part.path)
    found = []
    for _, live in lives:
        relative = live.relative_to(stack) if live.is_relative_to(stack) else Path(live.name)
        for tried in (relative, Path(live.name)):
            if (root / tried).is_dir() and not (root / tried).is_symlink():
                found.append(Target(part=part.name, path=str(root / tried), live=str(live)))
                break
    if found:
        return found
    named = [live for name, live in lives if part.name.lower().startswith(live.name.lower())]
    only = named or [live for _, live in lives]
    return [Target(part=part.name, path=part.path, live=str(only[0]))] if len(only) == 1 else []
