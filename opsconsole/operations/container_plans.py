"""Start, stop and restart of single containers as operations: locked, recorded, run outside the terminal.

Plans for containers named by id. Nothing is looked at beforehand, neither by Compose nor by the engine: an id is never
given to another container, so a key acts at once.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from opsconsole.model import Container, SourceError, Volume
from opsconsole.operations import journal, lock
from opsconsole.operations.beginning import begin
from opsconsole.operations.containers import Outcome, Target, Verb
from opsconsole.operations.facts import Look
from opsconsole.operations.journal import Entry
from opsconsole.operations.plan import Act, Basis, Downtime, IfFails, Kind, Plan, Step, shown
from opsconsole.operations.plan_facts import ContainerFact, Facts
from opsconsole.operations.site import Site
from opsconsole.operations.stack_plans import RUNNING, data_effects, gate_step
from opsconsole.text import mask_text, printable

_POLL_SECONDS = 0.03
_STEP_SECONDS = 900.0  # a database that writes out its memory takes its grace period, whatever that is
_SHORT = 12
_GONE = "That container no longer exists"


def plan(
    stack: str,
    directory: Path,
    verb: Verb,
    containers: Sequence[Container],
    volumes: Sequence[Volume] = (),
    memory: Sequence[tuple[str, int]] = (),
) -> Plan:
    """One step for each container; one that fails does not keep the others from their turn.

    `volumes` and `memory` (service, keys of a Redis that saves nothing) say what is lost when they stop.
    """
    services = tuple(dict.fromkeys(one.service for one in containers if one.service))
    away = {
        Verb.STOP: tuple(Downtime(service=service, until_started=True) for service in services),
        Verb.RESTART: tuple(Downtime(service=service) for service in services),
        Verb.START: (),
    }
    named = tuple(ContainerFact(name=one.name, id=one.id, service=one.service) for one in containers)
    return Plan(
        kind=Kind(verb.value),
        stack=stack,
        directory=str(directory),
        basis=Basis.NAMED,
        facts=Facts(containers=named),
        steps=tuple(_step(verb, one) for one in containers),
        data=data_effects(() if verb is Verb.START else containers, volumes, memory),
        downtime=away[verb],
        running_before=tuple(one.name for one in containers if one.state in RUNNING),
        services=services,
        only=tuple(one.name for one in containers),
    )


def rest(old: Plan, operation: str, done: Collection[str]) -> Plan:
    """Finish: the steps that are not recorded as done, the interrupted one again."""
    left = tuple(step for step in old.steps if step.id not in done)
    return msgspec.structs.replace(old, steps=left, resolves=operation, as_undo=False)


def back(look: Look, old: Plan, operation: str) -> Plan:
    """Undo: of the containers that were named, those that ran run again, and the others do not."""
    named = {one.id: one.name for one in old.facts.containers}
    there = [one for one in look.containers if one.id in named]
    down = [one for one in there if one.state in RUNNING and one.name not in old.running_before]
    up = [one for one in there if one.state not in RUNNING and one.name in old.running_before]
    again = tuple(one.name for one in there if one.name in old.running_before)
    gone = sorted(set(named.values()) - {one.name for one in there})
    steps = [*(_step(Verb.STOP, one) for one in down), *(_step(Verb.START, one) for one in up)]
    return Plan(
        kind=old.kind,
        stack=old.stack,
        directory=old.directory,
        basis=Basis.NAMED,
        facts=old.facts,
        steps=(*steps, *((gate_step(again),) if again else ())),
        running_before=tuple(one.name for one in there if one.state in RUNNING),
        services=old.services,
        notes=tuple(f"{name} is no longer there" for name in gone),
        resolves=operation,
        as_undo=True,
    )


def named(made: Plan) -> tuple[Verb, tuple[Target, ...]]:
    """What is done to which containers."""
    return Verb(made.kind.value), tuple(Target(one.id, one.name, one.service) for one in made.facts.containers)


def apply(site: Site, made: Plan) -> list[Outcome]:
    """Do it, and wait until it is done. Never raises: what could not be begun is an outcome of every target."""
    verb, targets = named(made)
    try:
        begun = begin(site, made)
    except SourceError as error:
        return [Outcome(verb, one, mask_text(error.problem), error.hint) for one in targets]
    except OSError as error:
        problem = f"the operation cannot be begun: {error.strerror or error}"
        return [Outcome(verb, one, problem, "Run opsconsole doctor.") for one in targets]
    records = followed(site, begun.place, begun.process)
    return [_outcome(verb, one, begun.place, records) for one in targets]


def _step(verb: Verb, container: Container) -> Step:
    return Step(
        id=_step_id(verb, container.id),
        title=f"{verb.value.capitalize()} {container.name}",
        act=Act.COMMANDS,
        commands=(("docker", verb.value, container.id[:_SHORT]),),
        services=(container.name,),
        cuttable=verb is not Verb.RESTART,  # cut between its two halves it would be a stop
        seconds=_STEP_SECONDS,
        if_fails=IfFails.GOES_ON,
    )


def _step_id(verb: Verb, container_id: str) -> str:
    return f"{verb.value}:{container_id[:_SHORT]}"


def followed(site: Site, place: Path, process: subprocess.Popen[bytes]) -> list[Entry]:
    """The records until the operation has ended and let go of the stack: the next key may come at once."""
    records = journal.Follower(place)
    found: list[Entry] = []
    while True:
        over = process.poll() is not None
        found += records.read()
        if over or (found and found[-1].event == "end" and not _holds(site, place)):
            return found
        time.sleep(_POLL_SECONDS)


def _holds(site: Site, place: Path) -> bool:
    holder = lock.holder_of(site.directory)
    return holder is not None and holder.operation == place.name


def _outcome(verb: Verb, target: Target, place: Path, records: Sequence[Entry]) -> Outcome:
    id = _step_id(verb, target.id)
    ended = next((one for one in records if one.event == "step-end" and one.step == id), None)
    if ended is not None and ended.result is journal.Result.DONE:
        return Outcome(verb, target)
    if ended is None:
        end = records[-1] if records and records[-1].event == "end" else None
        problem = end.problem if end else "the process of the operation ended too early"
        hint = (end.hint if end else "") or f"See `opsconsole history {place.name}`."
        return Outcome(verb, target, problem, hint)
    said = [line for line in ended.last_lines if not line.startswith("$ ")]
    reason = printable(said[-1]).removeprefix("Error response from daemon: ") if said else ended.problem
    if "No such container" in reason:
        reason = _GONE
    codes = ", ".join(str(code) for code in ended.exit_codes)
    how = f" ({shown(ended.command)}: exit code {codes})" if ended.command else ""
    return Outcome(verb, target, f"{reason.rstrip('.')}{how}", f"See `opsconsole history {place.name}`.")
