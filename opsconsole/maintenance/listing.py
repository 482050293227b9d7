"""The list of tasks as it stands now, and what ticking one writes: the same for the command line and the console."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Protocol

from opsconsole.applied import thresholds
from opsconsole.config import Config
from opsconsole.maintenance.due import Row, State, Tick, rows, slot
from opsconsole.maintenance.evidence import Limits, proofs
from opsconsole.maintenance.images import Asked
from opsconsole.maintenance.ticks import Ticks
from opsconsole.model import Record, Snapshot, SourceError
from opsconsole.persistence.verdict import Verdict
from opsconsole.runbook_tasks import RUNBOOK, Every, Task, name_of


class Keeps(Protocol):
    """What remembers ticks: the file of a stack, or the demo's."""

    def read(self) -> Ticks: ...

    def add(self, tick: Tick) -> None:
        """Raises SourceError."""


class Listing(Record, frozen=True):
    rows: tuple[Row, ...] = ()
    problem: str = ""  # what of the ticks could not be read

    @property
    def due(self) -> tuple[Row, ...]:
        return tuple(one for one in self.rows if one.state is State.DUE)


def tasks(config: Config) -> tuple[Task, ...]:
    """Those of the runbook that are not skipped, then those of the settings; within a rhythm in this order."""
    own = [
        Task(name=name_of(one.name), title=one.name, every=Every(one.every), how=one.note, own=True)
        for one in config.maintenance.task
    ]
    known = [*(one for one in RUNBOOK if one.name not in config.maintenance.skip), *own]
    return tuple(one for every in Every for one in known if one.every is every)


def limits(config: Config) -> Limits:
    return Limits(
        thresholds=thresholds(config),
        max_age_hours=config.backups.max_age_hours,
        proven_days=config.persistence.proven_days,
    )


def listing(
    config: Config,
    known: Ticks,
    snapshot: Snapshot,
    verdict: Verdict | None,
    now: datetime,
    zone: tzinfo | None = None,
    *,
    asked: Asked | None = None,
) -> Listing:
    """Pure. `asked`: what registries last said of the images."""
    proven = proofs(snapshot, verdict, now, limits(config), asked)
    return Listing(rows=rows(tasks(config), known.ticks, proven, now, zone), problem=known.problem)


def tick(
    known: Sequence[Task],
    ledger: Keeps,
    name: str,
    who: str,
    now: datetime,
    *,
    note: str = "",
    undone: bool = False,
    zone: tzinfo | None = None,
) -> Tick:
    """Write that a task was done in its present slot, or take that back. Raises SourceError for a task that is none,
    for one that was not ticked and is to be unticked, and when it cannot be written."""
    task = next((one for one in known if one.name == name), None)
    if task is None:
        raise SourceError(f"there is no task {name}", f"There are: {', '.join(one.name for one in known)}")
    here = slot(task.every, now, zone).name
    if undone and rows([task], ledger.read().ticks, {}, now, zone)[0].tick is None:
        raise SourceError(f"{name} is not ticked for {here}", "See `opsconsole maintenance`.")
    made = Tick(task=name, slot=here, at=now, who=who, note=note, undone=undone)
    ledger.add(made)
    return made
