"""How long a restore took, the last time that all of a backup was restored: for a test, or for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from opsconsole.backups import marks
from opsconsole.backups.faults import Level
from opsconsole.model import Backup, SourceError
from opsconsole.operations import journal, past
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Kind
from opsconsole.persistence.facts import Took


def took(directory: Path, backups_at: Path, backups: Sequence[Backup]) -> Took | None:
    """The newest that is known. `directory`: the stack's; `backups_at`: that of its backups. Never raises."""
    return max([*_tests(backups_at, backups), *_restores(directory)], key=lambda one: one.at, default=None)


def _tests(backups_at: Path, backups: Sequence[Backup]) -> Iterator[Took]:
    for one in backups:
        if one.checked_level != Level.RESTORED:
            continue
        for check in marks.read(backups_at, one.id).checks:
            if check.level is Level.RESTORED and check.seconds is not None and not check.problem:
                yield Took(seconds=check.seconds, at=check.at, how=f"test restore of {one.id}")


def _restores(directory: Path) -> Iterator[Took]:
    try:
        for one in past.past(directory):
            done = one.result == journal.Result.DONE.value and f"-{Kind.RESTORE.value}-" in one.operation
            if done and one.seconds is not None and _is_whole(directory, one.operation):
                yield Took(seconds=one.seconds, at=one.began + timedelta(seconds=one.seconds), how=one.title)
    except SourceError:
        return


def _is_whole(directory: Path, operation: str) -> bool:
    """Whether everything was restored that a backup had: a part of it says little about the rest."""
    order = journal.read_plan(directory / ".opsconsole" / "operations" / operation).restore
    return order is not None and order == RestoreOrder(
        backup=order.backup, path=order.path, identity=order.identity, users=order.users
    )
