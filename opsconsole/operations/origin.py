"""The operation that began it all: the one that a finish or an undo resolves, or the operation itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from opsconsole.model import Container
from opsconsole.operations import journal
from opsconsole.operations.acts import Operation
from opsconsole.operations.stack_plans import RUNNING


def first_place(operation: Operation) -> Path:
    """Of the operation that this one finishes or undoes, or its own."""
    place, what = operation.place, operation.plan
    while what.resolves:
        place = place.with_name(what.resolves)
        what = journal.read_plan(place)
    return place


def untouched(operation: Operation, containers: Sequence[Container], names: Sequence[str]) -> bool:
    """Whether these containers ran already when the operation was planned, and have not been started since."""
    began = journal.read_plan(first_place(operation))
    ids = {one.id for one in began.facts.containers if one.name in began.running_before}
    there = {one.name: one for one in containers}
    first = journal.read(first_place(operation))
    at = first[0].at if first else datetime.now(UTC)
    return all(
        name in there
        and there[name].id in ids
        and there[name].state in RUNNING
        and (there[name].started_at or at) <= at
        for name in names
    )
