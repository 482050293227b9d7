"""What operations have been: the list behind `opsconsole history`, and what it teaches about the next one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import median

from opsconsole.model import Record, SourceError
from opsconsole.operations import chain, journal, plan
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Act, Basis, Kind, Plan
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
    exit_code: int | None = None


class Expected(Record, frozen=True):
    """How long operations like one have taken. `seconds` is None before the first good one."""

    seconds: float | None = None
    of: int = 0  # how many it is known from
    by_step: dict[str, float] = {}


_LAST, _LOOKED_AT = 5, 40
"""So many of the last good ones say how long the next takes: older ones were another stack. So many are looked at."""


def past(directory: Path, known: Mapping[str, Past] | None = None) -> tuple[Past, ...]:
    """Newest first. What never began is left out. What is in `known` by its id and has an end is not read again."""
    resolved = chain.resolved(directory)
    found = []
    for place in reversed(existing_operations(directory)):
        before = (known or {}).get(place.name)
        if before is not None and before.seconds is not None and before.resolved == (place.name in resolved):
            found.append(before)
        elif records := journal.read(place):
            found.append(_one(place, records, place.name in resolved))
    return tuple(found)


def expected(directory: Path, what: Plan, operation: str = "") -> Expected:
    """From the last good operations before `operation` that did the same to the same services."""
    took: list[float] = []
    steps: dict[str, list[float]] = {}
    ids = {step.id for step in what.steps}
    same_kind = [place for place in existing_operations(directory) if f"-{what.kind.value}-" in place.name]
    before = [place for place in same_kind if not operation or place.name < operation]
    for place in reversed(before[-_LOOKED_AT:]):
        if len(took) == _LAST:
            break
        records = journal.read(place)
        if not records or records[-1].result is not Result.DONE or not _alike(place, what):
            continue
        ended = {record.step: record.seconds or 0.0 for record in records if record.event == "step-end"}
        if ended.keys() == ids:
            took.append(records[-1].seconds or 0.0)
        for step, seconds in ended.items():
            steps.setdefault(step, []).append(seconds)
    by_step = {step: median(seconds) for step, seconds in steps.items()}
    return Expected(seconds=median(took) if took else None, of=len(took), by_step=by_step)


def _alike(place: Path, what: Plan) -> bool:
    try:
        other = journal.read_plan(place)
    except SourceError:
        return False
    return other.only == what.only and bool(other.resolves) == bool(what.resolves)


def seconds_by_service(directory: Path) -> dict[str, float]:
    """How long a service was away the last time, until its gate was passed: by a good restart or a good deploy."""
    known: dict[str, float] = {}
    for place in existing_operations(directory):
        records = journal.read(place)
        if not records or records[-1].result is not Result.DONE:
            continue
        if records[0].kind == Kind.RESTART.value:
            known |= _restarted(journal.read_plan(place), _took(records))
        elif records[0].kind in (Kind.DEPLOY.value, Kind.UPDATE.value):
            known |= _deployed(_took(records))
    return known


def _took(records: tuple[Entry, ...]) -> dict[str, float]:
    """By step. A weak gate is left out: it watches for 10 s what may have answered from the first of them."""
    return {
        record.step: record.seconds or 0.0
        for record in records
        if record.event == "step-end" and not record.text.startswith("weak gate") and record.text != "unchanged"
    }


def _restarted(what: Plan, took: dict[str, float]) -> dict[str, float]:
    if what.resolves or what.basis is Basis.NAMED:  # of single containers nobody waits until they are well
        return {}
    together = sum(took.values())
    rolling = any(step.id.startswith("gate:") for step in what.steps)
    known = {}
    for service in what.services:
        own = [step for step in what.steps if step.act is Act.COMMANDS and step.services == (service,)]
        known[service] = sum(took.get(step.id, 0.0) for step in own) if rolling and own else together
    return known


def _deployed(took: dict[str, float]) -> dict[str, float]:
    services = [step.removeprefix("recreate:") for step in took if step.startswith("recreate:")]
    return {service: took[f"recreate:{service}"] + took.get(f"gate:{service}", 0.0) for service in services}


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
        exit_code=journal.exit_code(last.result, last.less) if last.event == "end" and last.result else None,
    )


def _title(place: Path) -> str:
    return plan.title(journal.read_plan(place))
