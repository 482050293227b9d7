"""Retention applied to a backup directory: what goes is planned, shown, and then removed one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import msgspec

from opsconsole.backups import marks
from opsconsole.backups.publishing import remove
from opsconsole.backups.retention import Policy, Retention, candidate, decide
from opsconsole.model import Backup, BackupState, SourceError


def plan(
    directory: Path,
    backups: Sequence[Backup],
    policy: Policy,
    now: datetime,
    zone: tzinfo | None = None,
    bases: Collection[str] = (),
) -> Retention:
    """What is kept and what may go, of the backups that the catalogue found in `directory`, and why.

    `bases`: ids that a shown point-in-time range stands on.
    """
    candidates = []
    for backup in backups:
        known = marks.read(directory, backup.id)
        if known.fault and backup.state is BackupState.GOOD:
            backup = msgspec.structs.replace(backup, state=BackupState.DAMAGED)
        candidates.append(candidate(backup, pinned=known.keeps, proven=known.proven, base_of_range=backup.id in bases))
    return decide(candidates, policy, now, zone)


def apply(
    directory: Path, approved: Sequence[str], current: Retention, told: Callable[[str], None] = lambda name: None
) -> tuple[str, ...]:
    """Remove what was approved and may still go, oldest first; returns the names. Only while the lock is held.

    A backup that was pinned since then, or became the newest good one, stays. Raises SourceError at the first that
    cannot be removed; those before it are gone.
    """
    gone: list[str] = []
    for name in current.removable:
        if name not in approved:
            continue
        told(name)
        try:
            remove(directory / name)
        except OSError as error:
            raise SourceError(
                f"{name} cannot be removed: {error.strerror}",
                f"{len(gone)} of {len(approved)} were removed; the others are untouched. Run it as their owner.",
            ) from None
        gone.append(name)
    left = {path.name for path in directory.iterdir()}
    marks.forget(directory, sorted(left))
    return tuple(gone)
