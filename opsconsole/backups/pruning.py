"""Retention applied to a backup directory: what goes is planned, shown, and then removed one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import msgspec

from opsconsole.backups import marks
from opsconsole.backups.oplog_ranges import with_ranges
from opsconsole.backups.publishing import remove
from opsconsole.backups.retention import Policy, Retention, candidate, decide
from opsconsole.model import Backup, BackupState, SourceError


def plan(
    directory: Path,
    backups: Sequence[Backup],
    policy: Policy,
    now: datetime,
    zone: tzinfo | None = None,
) -> Retention:
    """What is kept and what may go, of the backups that the catalogue found in `directory`, and why."""
    known = {backup.id: marks.read(directory, backup.id) for backup in backups}
    judged = [_judged(backup, known[backup.id]) for backup in backups]
    candidates = [candidate(backup, pinned=known[backup.id].keeps, proven=known[backup.id].proven) for backup in judged]
    return decide(with_ranges(candidates, judged, policy, now), policy, now, zone)


def _judged(backup: Backup, known: marks.Marks) -> Backup:
    if known.fault and backup.state in (BackupState.GOOD, BackupState.INCREMENTAL):
        return msgspec.structs.replace(backup, state=BackupState.DAMAGED)
    return backup


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
