"""Plans that finish or undo an operation that was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from opsconsole.backups.findings import some_of
from opsconsole.model import Container, SourceError
from opsconsole.operations import (
    container_plans,
    facts,
    journal,
    releases,
    remove_plans,
    restore_plans,
    restore_state,
    return_plans,
    stack_plans,
    unfinished,
)
from opsconsole.operations.facts import Look
from opsconsole.operations.places import operation_directory
from opsconsole.operations.plan import Act, Basis, Kind, Plan, Step
from opsconsole.operations.site import Site


def finish(site: Site, operation: str) -> Plan:
    """The plan of what is left to do of it. Raises SourceError where none is half done, or nothing is seen."""
    place, old = _place_and_plan(site, operation)
    if old.kind is Kind.REMOVE:
        there = remove_plans.holdings(site.directory, site.config(), project=site.project or old.stack, old=old)
        return remove_plans.rest(there, old, place.name)
    records = journal.read(place)
    if old.kind is Kind.RESTORE and any(one.event == "way-back" for one in records):
        return _restore_undone(site, place, old, finish=True)
    if old.basis is Basis.NAMED:
        return container_plans.rest(old, place.name, unfinished.done_steps(records))
    if any(one.event == "way-back" for one in records):
        kept = releases.all_releases(site.directory)
        return return_plans.undone(_look_back(site, old), old, place.name, kept, finish=True)
    look = _look_now(site, old)
    rest = stack_plans.rest(look, old, place.name, unfinished.done_steps(records))
    return without_gone(rest, look.containers) if old.kind is Kind.RESTORE else rest


def undo(site: Site, operation: str) -> Plan:
    """The plan that brings back what was there before it. Raises SourceError, also where nothing leads back."""
    place, old = _place_and_plan(site, operation)
    if old.kind in (Kind.DEPLOY, Kind.UPDATE, Kind.ROLLBACK, Kind.REPLICA_SET):
        kept = releases.all_releases(site.directory)
        return return_plans.undone(_look_back(site, old), old, place.name, kept)
    if old.kind is Kind.RESTORE:
        return _restore_undone(site, place, old)
    if old.kind in (Kind.BACKUP, Kind.VERIFY, Kind.PRUNE, Kind.COPY):
        raise SourceError(
            f"a {old.kind.value} that was cut off has nothing to undo",
            f"`opsconsole operations finish {place.name}` does it again; what it left is removed by the next backup.",
        )
    if old.kind in (Kind.ABORT, Kind.VALIDATE, Kind.REBUILD_INDEX, Kind.FLUSH):
        raise SourceError(
            f"a {old.kind.value} that was cut off is not undone by itself",
            f"`opsconsole operations finish {place.name}` does the rest of it."
            + (" The safety backup holds the keys that were there." if old.kind is Kind.FLUSH else ""),
        )
    if old.kind is Kind.IMPORT:
        raise SourceError(
            "an import that was cut off is not undone by itself",
            f"`opsconsole operations finish {place.name}` adds what is missing. Its safety backup holds what was there "
            f"before: `opsconsole restore ID --collection {old.imports.database}.{old.imports.collection}`."
            if old.imports
            else "",
        )
    look = _look_now(site, old)
    if old.kind is Kind.REMOVE:
        return remove_plans.back(look, old, place.name)
    if old.basis is Basis.NAMED:
        return container_plans.back(look, old, place.name)
    return stack_plans.back(look, old, place.name)


def _restore_undone(site: Site, place: Path, old: Plan, *, finish: bool = False) -> Plan:
    settled = restore_state.settled(restore_state.home(place))
    found = site.scope()
    plan = restore_plans.undone(old, found, place.name, settled=settled, finish=finish)
    return without_gone(plan, found.look.containers)


def without_gone(plan: Plan, containers: Sequence[Container]) -> Plan:
    """The plan without what it does to containers that are gone: those write nothing, and cannot be started. The data
    has to come back all the same."""
    there = {one.name for one in containers}
    gone: dict[str, None] = {}
    steps = []
    for one in plan.steps:
        names = _containers_of(one)
        gone |= dict.fromkeys(name for name in names if name not in there)
        if left := tuple(name for name in names if name in there):
            steps.append(one if left == names else _of(one, left))
        elif not names:
            steps.append(one)
    said = [f"{', '.join(gone)} is gone: `docker compose up -d` makes it anew afterwards"] if gone else []
    return msgspec.structs.replace(plan, steps=tuple(steps), notes=(*plan.notes, *said))


def _containers_of(one: Step) -> tuple[str, ...]:
    """The names of the containers that a step stops, starts or waits for."""
    if one.act is Act.GATE:
        return one.services
    if len(one.commands) == 1 and one.commands[0][:2] in (("docker", "stop"), ("docker", "start")):
        return one.commands[0][2:]
    return ()


def _of(one: Step, names: tuple[str, ...]) -> Step:
    """The same for these containers alone."""
    verb = "Gate: wait until {} is well" if one.act is Act.GATE else f"{one.commands[0][1].title()} {{}}"
    commands = tuple((*words[:2], *names) for words in one.commands)
    services = names if one.act is Act.GATE else one.services
    return msgspec.structs.replace(one, title=verb.format(some_of(names)), commands=commands, services=services)


def _place_and_plan(site: Site, operation: str) -> tuple[Path, Plan]:
    """The half-done operation and its plan."""
    place = operation_directory(site.directory, operation)
    if place.name not in {one.operation for one in unfinished.unfinished(site.directory)}:
        raise SourceError(f"{place.name} is not half done", "See `opsconsole operations`.")
    return place, journal.read_plan(place)


def _look_back(site: Site, old: Plan) -> Look:
    """As `_look_now`, for a way back to a release, a commit or files that are kept: none of it needs today's files."""
    try:
        return _look_now(site, old)
    except SourceError:
        return facts.engine_look(site.directory, site.config(), project=site.project or old.stack)


def _look_now(site: Site, old: Plan) -> Look:
    """How the stack is now. What works with a broken compose file is finished and undone with a broken one."""
    project = site.project or old.stack
    if old.kind is not Kind.EMERGENCY_STOP and old.basis is not Basis.NAMED:
        try:
            return facts.look(site.directory, site.config(), project=project)
        except SourceError:
            if old.basis is Basis.STACK:
                raise
    return facts.engine_look(site.directory, site.config(), project=project)
