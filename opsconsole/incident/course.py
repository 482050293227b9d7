"""What an incident's records come to: a pure fold, the same for the screen, the command line and the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from opsconsole.incident.checklists import ITEMS, Item, items
from opsconsole.incident.priority import Priority, escalates_at
from opsconsole.model import Record


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of an incident. Which fields are there depends on `event`."""

    n: int
    at: datetime
    event: str  # declare, note, tick, untick, priority, action, saw, told, close, reopen
    who: str = ""  # `mina (as root) from 10.0.0.7`
    text: str = ""  # one line
    priority: Priority | None = None
    item: str = ""  # of a checklist
    operation: str = ""  # id of an operation that was begun from here
    symptoms: tuple[str, ...] = ()  # what was red when it was declared or closed
    reason: str = ""  # the line of the matrix that an action came from


class Tick(Record, frozen=True):
    who: str
    at: datetime


class Incident(Record, frozen=True):
    """One incident as it stands."""

    name: str  # "i7"
    title: str = ""
    priority: Priority = Priority.P2
    declared_at: datetime | None = None
    declared_by: str = ""
    since: datetime | None = None  # it has this priority
    closed_at: datetime | None = None
    closed_by: str = ""
    resolution: str = ""
    ticks: dict[str, Tick] = {}
    notes: tuple[Entry, ...] = ()
    operations: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.declared_at is not None and self.closed_at is None

    @property
    def items(self) -> tuple[Item, ...]:
        """Of the checklists: those of its priority, and what was ticked under another."""
        own = items(self.priority)
        return (*own, *(one for one in ITEMS if one.key in self.ticks and one not in own))

    @property
    def to_do(self) -> tuple[Item, ...]:
        return tuple(one for one in self.items if one.key not in self.ticks)

    def age(self, now: datetime) -> float:
        """Seconds since it was declared, until now or until it was closed."""
        return ((self.closed_at or now) - (self.declared_at or now)).total_seconds()

    def escalates_in(self, now: datetime) -> float | None:
        """Seconds until it should become a P1, negative when it should have; None: not by the clock."""
        at = escalates_at(self.priority, self.since) if self.since and self.is_open else None
        return None if at is None else (at - now).total_seconds()


def course(name: str, entries: Sequence[Entry]) -> Incident:
    """The incident after these records, which two operators may have written in turns."""
    found = Incident(name=name)
    for one in entries:
        found = msgspec.structs.replace(_after(found, one), entries=(*found.entries, one))
    return found


def _after(so_far: Incident, one: Entry) -> Incident:
    change = msgspec.structs.replace
    match one.event:
        case "declare" if so_far.declared_at is None:
            priority = one.priority or Priority.P2
            return change(
                so_far, title=one.text, priority=priority, declared_at=one.at, declared_by=one.who, since=one.at
            )
        case "priority" if one.priority is not None and one.priority is not so_far.priority:
            return change(so_far, priority=one.priority, since=one.at)
        case "note":
            return change(so_far, notes=(*so_far.notes, one))
        case "tick" if one.item not in so_far.ticks:  # who did it first, did it
            return change(so_far, ticks={**so_far.ticks, one.item: Tick(who=one.who, at=one.at)})
        case "untick":
            return change(so_far, ticks={key: tick for key, tick in so_far.ticks.items() if key != one.item})
        case "action" if one.operation and one.operation not in so_far.operations:
            return change(so_far, operations=(*so_far.operations, one.operation))
        case "close" if so_far.closed_at is None:
            return change(so_far, closed_at=one.at, closed_by=one.who, resolution=one.text)
        case "reopen":
            return change(so_far, closed_at=None, closed_by="", resolution="")
        case _:
            return so_far


def said(one: Entry) -> str:
    """A record in a sentence, without its time."""
    by = f" by {one.who}" if one.who else ""
    match one.event:
        case "declare":
            return f"declared {one.priority}: {one.text}{by}"
        case "priority":
            return f"now {one.priority}{by}" + (f": {one.text}" if one.text else "")
        case "note":
            return f"{one.who}: {one.text}" if one.who else one.text
        case "tick":
            return f"done: {_text(one.item)}{by}"
        case "untick":
            return f"not done after all: {_text(one.item)}{by}"
        case "action":
            why = f" ({one.reason})" if one.reason else ""
            return f"{one.text}{why}{by}"
        case "close":
            return f"closed{by}" + (f": {one.text}" if one.text else "")
        case "told":
            return one.text
        case "reopen":
            return f"opened again{by}" + (f": {one.text}" if one.text else "")
        case _:
            return f"{one.event} {one.text}{by}".strip()


def _text(key: str) -> str:
    return next((one.text for one in ITEMS if one.key == key), key)
