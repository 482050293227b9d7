"""The safety backup before a change. This version cannot make one: the step says so, says what there is, and asks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Backup, BackupState, Record, SourceError
from opsconsole.operations import acts
from opsconsole.operations.facts import Look, observe
from opsconsole.operations.plan import Act, Step
from opsconsole.text import mask_text, printable


class Known(Record, frozen=True):
    """What the backup directory has. `newest` is the newest good backup, `others` counts those that are not good."""

    newest: str = ""
    taken_at: datetime | None = None
    others: int = 0
    problem: str = ""  # why it cannot be told

    def words(self, now: datetime) -> str:
        """`newest good backup: 20260131_020000, 3 h old`."""
        if self.problem:
            return f"whether there is a good backup is not known ({self.problem})"
        if self.newest and self.taken_at is not None:
            return f"newest good backup: {self.newest}, {_age(self.taken_at, now)} old"
        rest = f"; {self.others} that are not good" if self.others else ""
        return f"there is no good backup{rest}"


def known(directory: Path, config: Config, look: Look) -> Known:
    """Look through the stack's backup directory. Never raises: what cannot be told is said."""
    from opsconsole.backups.catalog import Catalog
    from opsconsole.stack.discover import StackDiscovery

    try:
        stack = StackDiscovery(directory, config, project=look.name).look(look.containers)
        return of(Catalog().look(stack))
    except SourceError as error:
        return Known(problem=mask_text(printable(error.problem)))


def of(backups: tuple[Backup, ...]) -> Known:
    """`backups` newest first, as the catalog gives them."""
    good = [one for one in backups if one.state is BackupState.GOOD and not one.in_future]
    if not good:
        return Known(others=len(backups))
    return Known(newest=good[0].id, taken_at=good[0].taken_at, others=len(backups) - len(good))


def step(there: Known, now: datetime | None = None) -> Step:
    """The first step of a plan that can cost data."""
    words = f"No safety backup will be taken: this version cannot make one; {there.words(now or datetime.now(UTC))}."
    return Step(id="safety-backup", title="Safety backup", act=Act.SAFETY_BACKUP, effect=words, asks=words)


def run(operation: acts.Operation, one: Step) -> acts.Fields:
    """Act.SAFETY_BACKUP: what there was at that moment goes into the journal."""
    try:
        containers, _ = observe(operation.directory, operation.config, project=operation.project)
        look = Look(name=operation.project, directory=str(operation.directory), containers=containers)
        there = known(operation.directory, operation.config, look)
    except SourceError as error:
        there = Known(problem=error.problem)
    return {"text": f"none was taken: this version cannot make one; {there.words(datetime.now(UTC))}"}


def _age(then: datetime, now: datetime) -> str:
    seconds = max(0, int((now - then).total_seconds()))
    for length, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {word}"
    return f"{seconds} s"
