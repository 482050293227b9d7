"""What operations have been: the list behind `opsconsole history`, and what it teaches about the next one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from opsconsole.model import Record
from opsconsole.operations import chain, journal, plan
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Act, Basis, Kind
from opsconsole.operations.who import Who


class Past(Record, frozen=True):
    """One operation. `result` is "running" or "half done" while it has no end."""

    operation: str
    title: str
    who: Who | None
    began: datetime
    result: str
    seconds: float | None = None
    problem: str = ""
    resolved: bool = False
    less: tuple[str, ...] = ()  # data that was there before and is not there after


def past(directory: Path) -> tuple[Past, ...]:
    """Newest first. What never began is left out."""
    resolved = chain.resolved(directory)
    found = []
    for place in reversed(existing_operations(directory)):
        records = journal.read(place)
        if records:
            found.append(_one(place, records, place.name in resolved))
    return tuple(found)


def seconds_by_service(directory: Path) -> dict[str, float]:
    """How long the last good restart of the whole set of services took until its gate was passed, by service."""
    known: dict[str, float] = {}
    for place in existing_operations(directory):
        records = journal.read(place)
        if not records or records[0].kind != Kind.RESTART.value or records[-1].result is not Result.DONE:
            continue
        what = journal.read_plan(place)
        if what.resolves or what.basis is Basis.NAMED:
            continue  # of single containers nobody waits until they are well
        # A weak gate watches for 10 s what may have answered from the first of them.
        took = {
            record.step: record.seconds or 0.0
            for record in records
            if record.event == "step-end" and not record.text.startswith("weak gate")
        }
        together = sum(took.values())
        for service in what.services:
            own = [step for step in what.steps if step.act is Act.COMMANDS and step.services == (service,)]
            rolling = any(step.id.startswith("gate:") for step in what.steps)
            known[service] = sum(took.get(step.id, 0.0) for step in own) if rolling and own else together
    return known


def _one(place: Path, records: tuple[Entry, ...], resolved: bool) -> Past:
    first, last = records[0], records[-1]
    if last.event == "end" and last.result is not None:
        result = last.result.value
    elif journal.is_alive(place):
        result = "running"
    else:
        acted = any(record.event == "step" for record in records)
        result = "half done" if acted else "killed before it did anything"
    return Past(
        operation=place.name,
        title=first.title or _title(place),
        who=first.who,
        began=first.at,
        result=result,
        seconds=last.seconds if last.event == "end" else None,
        problem=last.problem,
        resolved=resolved,
        less=last.less,
    )


def _title(place: Path) -> str:
    return plan.title(journal.read_plan(place))
