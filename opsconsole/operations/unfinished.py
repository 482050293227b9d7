"""Operations that were begun, have no end and no living process: a kill or a reboot left them half done. And restores
that ended with neither side whole."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from opsconsole.model import Record
from opsconsole.operations import chain, journal
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Kind
from opsconsole.operations.who import Who

_NOT_BACK = (journal.Result.FAILED, journal.Result.ROLLBACK_FAILED)


class HalfDone(Record, frozen=True):
    """What is known about one. `inside` is the step whose act may or may not have happened."""

    operation: str
    title: str
    who: Who | None
    began: datetime
    done: tuple[str, ...] = ()  # ids
    inside: str = ""
    inside_title: str = ""
    to_come: int = 0
    kind: Kind | None = None
    turned_back: bool = False  # its way back had begun

    def words(self) -> str:
        by = f" by {self.who.words()}" if self.who else ""
        inside = f", cut off in the step {self.inside_title or self.inside}" if self.inside else ""
        back = ", on its way back" if self.turned_back else ""
        return (
            f"half done: {self.title}{by}, begun {self.began:%Y-%m-%d %H:%M:%S} UTC: "
            f"{len(self.done)} steps done{back}{inside}, {self.to_come} to come"
        )

    def advice(self) -> str:
        finish, undo = "does the rest", "goes back to how it was"
        if self.turned_back:
            finish = undo
        elif self.kind is Kind.REMOVE:
            finish, undo = "removes the rest", "makes what is gone anew from the compose file and starts what ran"
        return (
            f"`opsconsole operations finish {self.operation}` {finish}, "
            f"`opsconsole operations undo {self.operation}` {undo}."
        )


def unfinished(directory: Path, ended: set[str] | None = None) -> tuple[HalfDone, ...]:
    """Oldest first. Nothing is asked of the engine: the next plan looks for itself.

    Who looks again and again passes the same set: the ids that have an end are kept in it and not read again.
    """
    resolved = chain.resolved(directory)
    ended = set() if ended is None else ended
    found = []
    for place in existing_operations(directory):
        if place.name in resolved or place.name in ended or journal.is_alive(place):
            continue
        records = journal.read(place)
        if records and records[-1].event == "end" and not _is_open(place, records[-1]):
            ended.add(place.name)
            continue
        if not any(record.event == "step" for record in records):
            continue
        found.append(_described(place, records))
    return tuple(found)


def _is_open(place: Path, end: journal.Entry) -> bool:
    """A restore that failed, and could not exchange everything back either: what is live may be a mix."""
    if f"-{Kind.RESTORE.value}-" not in place.name or end.result not in _NOT_BACK:
        return False
    from opsconsole.operations import restore_state

    return restore_state.is_open(restore_state.home(place))


def running(directory: Path, ended: Collection[str] = ()) -> tuple[Path, ...]:
    """Operations that a process works on now. Those in `ended` are known to have none."""
    return tuple(
        place for place in existing_operations(directory) if place.name not in ended and journal.is_alive(place)
    )


def done_steps(records: tuple[journal.Entry, ...]) -> tuple[str, ...]:
    return tuple(
        record.step for record in records if record.event == "step-end" and record.result is journal.Result.DONE
    )


def _described(place: Path, records: tuple[journal.Entry, ...]) -> HalfDone:
    from opsconsole.operations import plan

    what = journal.read_plan(place)
    done = done_steps(records)
    begun = [record.step for record in records if record.event == "step"]
    inside = begun[-1] if begun and begun[-1] not in done else ""
    titles = {record.step: record.title for record in records if record.event == "step"}
    turned_back = any(record.event == "way-back" for record in records)
    return HalfDone(
        operation=place.name,
        title=plan.title(what),
        who=records[0].who,
        began=records[0].at,
        done=done,
        inside=inside,
        inside_title=titles.get(inside, ""),
        to_come=len(
            [one for one in (what.way_back if turned_back else what.steps) if one.id not in done and one.id != inside]
        ),
        kind=what.kind,
        turned_back=turned_back,
    )
