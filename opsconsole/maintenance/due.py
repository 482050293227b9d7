"""What is due: a pure function of the tasks, of what was ticked and what is proven, of the time and of the zone.

A task has one slot for each day, ISO week, month or quarter of the host's calendar, and a slot is done once: an hour
that comes twice, one that is left out and a clock that is set back change no slot that was ticked. What is proven by
itself (a backup was taken, a restore was tested) is looked at each time and needs no tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum

from opsconsole.model import Record
from opsconsole.runbook_tasks import Every, Task

WRONG, LOST = timedelta(days=2), timedelta(days=366)
"""A tick was dated by a clock that ran ahead when a later line of the file is dated so much before it. Where that is
more than a year, the later one's clock had lost its date."""


class State(StrEnum):
    DUE = "due"
    PROVEN = "proven"  # by what is known, with nobody's word
    TICKED = "ticked"  # somebody says that it was done


class Tick(Record, frozen=True):
    """One line of the file: somebody did a task, or takes that back (`undone`)."""

    task: str
    slot: str
    at: datetime
    who: str  # "mina (as root) from 10.0.0.7"
    note: str = ""
    undone: bool = False


class Proof(Record, frozen=True):
    """What is known of a task without asking anybody. `holds`: it is done as far as that tells."""

    holds: bool
    said: str


class Slot(Record, frozen=True):
    name: str  # "2026-01-18", "2026-W03", "2026-01", "2026-Q1"
    begins: date


class Row(Record, frozen=True):
    """A task as it stands in its present slot."""

    task: Task
    state: State
    slot: str
    since: date  # the slot began
    said: str = ""  # what is known of it
    tick: Tick | None = None  # of this slot
    last: Tick | None = None  # of any slot, the newest


def slot(every: Every, now: datetime, zone: tzinfo | None = None) -> Slot:
    """The slot that a moment lies in. `zone`: of the host's calendar; None is this host's own."""
    today = now.astimezone(zone).date()
    match every:
        case Every.DAILY:
            return Slot(name=f"{today:%Y-%m-%d}", begins=today)
        case Every.WEEKLY:
            year, week, day = today.isocalendar()
            return Slot(name=f"{year}-W{week:02}", begins=today - timedelta(days=day - 1))
        case Every.MONTHLY:
            return Slot(name=f"{today:%Y-%m}", begins=today.replace(day=1))
    quarter = (today.month - 1) // 3 + 1
    return Slot(name=f"{today.year}-Q{quarter}", begins=today.replace(month=3 * quarter - 2, day=1))


def rows(
    tasks: Sequence[Task],
    ticks: Iterable[Tick],
    proofs: Mapping[str, Proof],
    now: datetime,
    zone: tzinfo | None = None,
) -> tuple[Row, ...]:
    """Every task in the order given, with what is known of it in its present slot. `ticks`: in the order in which they
    were written."""
    known = tuple(ticks)
    standing = _standing(known)
    last: dict[str, Tick] = {}
    for _, one in standing.values():
        if one.at <= now and (one.task not in last or last[one.task].at <= one.at):
            last[one.task] = one
    found = []
    for task in tasks:
        here = slot(task.every, now, zone)
        place, tick = standing.get((task.name, here.name), (0, None))
        if tick is not None and any(WRONG < tick.at - later.at < LOST for later in known[place + 1 :]):
            tick = None
        found.append(_row(task, tick, last.get(task.name), proofs.get(task.name), here))
    return tuple(found)


def _standing(ticks: Sequence[Tick]) -> dict[tuple[str, str], tuple[int, Tick]]:
    """The newest of each task's slot with its place among all, unless it was taken back."""
    found: dict[tuple[str, str], tuple[int, Tick]] = {}
    for place, one in enumerate(ticks):
        if one.undone:
            found.pop((one.task, one.slot), None)
        else:
            found[one.task, one.slot] = (place, one)
    return found


def _row(task: Task, tick: Tick | None, last: Tick | None, proof: Proof | None, here: Slot) -> Row:
    state = State.TICKED if tick else State.PROVEN if proof is not None and proof.holds else State.DUE
    said = proof.said if proof is not None else "cannot be known from here: somebody has to tick it"
    return Row(task=task, state=state, slot=here.name, since=here.begins, said=said, tick=tick, last=last)
