"""Plans for stop, start and restart, and for the undo of one that was left half done. Pure: data in, data out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from opsconsole.model import Container, SourceError, Volume, VolumeKind, volume_words
from opsconsole.operations.facts import Look
from opsconsole.operations.gates import LIMIT_SECONDS
from opsconsole.operations.plan import Act, DataEffect, Downtime, Effect, Kind, Plan, Step

RUNNING = frozenset({"running", "paused", "restarting"})


class NothingToDo(SourceError):
    """The stack is already as it is wanted."""


def stop(look: Look, wanted: Sequence[str] = (), memory: Sequence[tuple[str, int]] = ()) -> Plan:
    """Stop services, all by default. Containers, volumes and networks stay."""
    affected = [one for one in _chosen(look, wanted) if one.state in RUNNING]
    if not affected:
        raise NothingToDo("nothing runs: there is nothing to stop", "See `opsconsole status`.")
    steps = _acts(look, affected, "stop", "Stop", "The containers stay, with everything in them.")
    return _plan(
        look,
        Kind.STOP,
        affected,
        steps,
        memory=memory,
        downtime=[Downtime(service=name, until_started=True) for name in _services(affected)],
        notes=_dependents(look, affected),
        only=wanted,
    )


def start(look: Look, wanted: Sequence[str] = ()) -> Plan:
    """Start the containers that are there and do not run."""
    chosen = _chosen(look, wanted)
    affected = [one for one in chosen if one.state not in RUNNING and not _did_its_work(look, one)]
    missing = [one.name for one in look.services if one.name not in {c.service for c in look.containers}]
    if not affected:
        hint = f"No container yet: {', '.join(missing)}; `opsconsole deploy` makes them." if missing else ""
        raise NothingToDo("everything that can be started runs already" if chosen else "there is no container", hint)
    steps = (
        *_acts(look, affected, "start", "Start", "The containers that are there are started; none is made anew."),
        _gate(affected),
    )
    notes = [f"{', '.join(missing)} has no container and is left out"] if missing and not wanted else []
    return _plan(look, Kind.START, affected, steps, notes=notes, only=wanted)


def restart(
    look: Look,
    wanted: Sequence[str] = (),
    *,
    rolling: bool = False,
    memory: Sequence[tuple[str, int]] = (),
    seconds: Mapping[str, float] | None = None,
) -> Plan:
    """Restart services; rolling: container after container in dependency order, each through its gate."""
    chosen = _chosen(look, wanted)
    affected = [one for one in chosen if wanted or not (_did_its_work(look, one) or _rests(one))]
    if not affected:
        raise NothingToDo("nothing is there that runs or crashed", "`opsconsole start` starts what was stopped.")
    if rolling:
        steps: tuple[Step, ...] = tuple(step for one in _in_order(look, affected) for step in _one_by_one(one))
    else:
        steps = (
            *_acts(look, affected, "restart", "Restart", "The same containers start again."),
            _gate(affected),
        )
    known = seconds or {}
    left = [one.name for one in chosen if one not in affected]
    return _plan(
        look,
        Kind.RESTART,
        affected,
        steps,
        memory=memory,
        downtime=[Downtime(service=name, seconds=known.get(name)) for name in _services(affected)],
        notes=[f"{', '.join(left)} ended well and is left alone"] if left else (),
        only=wanted,
    )


def back(look: Look, old: Plan, operation: str) -> Plan:
    """Undo a half-done operation: what ran before runs again, what did not run is stopped."""
    names = {one.name: one for one in look.containers}
    up = [names[name] for name in old.running_before if name in names and names[name].state not in RUNNING]
    touched = {one.name for one in look.containers if one.service in old.services}
    down = [
        one for one in look.containers
        if one.name in touched and one.state in RUNNING and one.name not in old.running_before
    ]  # fmt: skip
    again = [names[name] for name in old.running_before if name in names and name in touched]
    steps: list[Step] = []
    if down:
        steps.append(_docker_step("stop", "Stop what did not run before", down))
    if up:
        steps.append(_docker_step("start", "Start what ran before", up))
    if again:
        steps.append(_gate(again))
    lost = [name for name in old.running_before if name not in names]
    return Plan(
        # What undoes an emergency stop takes the lock, as any start does.
        kind=Kind.START if old.kind is Kind.EMERGENCY_STOP else old.kind,
        bound=old.bound,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=tuple(steps),
        data=data_effects([*down], look.volumes, ()),
        running_before=_running(look),
        services=old.services,
        notes=tuple(f"{name} ran before and is no longer there" for name in lost),
        resolves=operation,
        as_undo=True,
    )


def rest(look: Look, old: Plan, operation: str, done: Collection[str]) -> Plan:
    """Finish a half-done operation: the steps that are not recorded as done, the interrupted one again."""
    left = [step for step in old.steps if step.id not in done]
    return msgspec.structs.replace(
        old,
        facts=look.facts,
        steps=tuple(left),
        running_before=old.running_before,  # an undo of the finish goes back to where it all began
        resolves=operation,
        as_undo=False,
    )


# --- steps -----------------------------------------------------------------------------------------


def _acts(look: Look, affected: Sequence[Container], verb: str, title: str, effect: str) -> tuple[Step, ...]:
    """Compose for the services it knows, docker for containers whose service is no longer in the file."""
    known = {service.name for service in look.services}
    services = _services([one for one in affected if one.service in known])
    orphans = [one for one in affected if one.service not in known]
    steps = []
    if services:
        steps.append(
            Step(
                id=verb,
                title=f"{title} {_some(services)}",
                commands=((*look.compose, verb, *services),),
                services=services,
                cuttable=verb != "restart",
                effect=effect,
            )
        )
    if orphans:
        steps.append(_docker_step(verb, f"{title} what the compose file no longer has", orphans))
    return tuple(steps)


def _docker_step(verb: str, title: str, containers: Sequence[Container]) -> Step:
    names = tuple(one.name for one in containers)
    return Step(
        id=f"{verb}-containers",
        title=f"{title}: {_some(names)}",
        commands=(("docker", verb, *names),),
        services=_services(containers),
        cuttable=False,
        effect="The same containers, by their names.",
    )


def _one_by_one(container: Container) -> tuple[Step, Step]:
    restarted = _docker_step("restart", "Restart", [container])
    gate = _gate([container])
    return (
        msgspec.structs.replace(restarted, id=f"restart:{container.name}"),
        msgspec.structs.replace(gate, id=f"gate:{container.name}"),
    )


def _gate(affected: Sequence[Container]) -> Step:
    names = tuple(one.name for one in affected)
    weak = [one.name for one in affected if not one.health and not _checked(one)]
    words = f"{_some(tuple(weak))}: no healthcheck, so running for 10 s must do (weak gate)." if weak else ""
    return gate_step(names, words)


def gate_step(names: tuple[str, ...], effect: str = "") -> Step:
    """Wait for containers by their names, whether they are there already or not."""
    return Step(
        id="gate",
        title=f"Gate: wait until {_some(names)} is well",
        act=Act.GATE,
        services=names,
        effect=effect,
        seconds=LIMIT_SECONDS,
    )


def _checked(container: Container) -> bool:
    return bool(container.health_log)


# --- what it is about ------------------------------------------------------------------------------


def _chosen(look: Look, wanted: Sequence[str]) -> list[Container]:
    there = {one.service for one in look.containers} | {service.name for service in look.services}
    if unknown := sorted(set(wanted) - there):
        names = ", ".join(sorted(there)) or "none"
        raise SourceError(f"no such service: {', '.join(unknown)}", f"There are: {names}.")
    chosen = [one for one in look.containers if not wanted or one.service in wanted]
    if empty := sorted(set(wanted) - {one.service for one in chosen}):
        raise SourceError(f"{', '.join(empty)} has no container", "`opsconsole deploy` makes it.")
    return chosen


def _did_its_work(look: Look, container: Container) -> bool:
    """A one-shot container that ended well is not started again: a migration runs when it is deployed."""
    one_shot = {service.name for service in look.services if service.one_shot}
    return container.service in one_shot and _ended_well(container)


def _rests(container: Container) -> bool:
    """Ended well and nothing is to start it again: a job that is done, or a service that was stopped."""
    return _ended_well(container) and container.restart_policy in ("", "no")


def _ended_well(container: Container) -> bool:
    return container.state == "exited" and container.exit_code == 0


def _in_order(look: Look, containers: Sequence[Container]) -> list[Container]:
    """Dependencies first; in a circle, as they come."""
    depends = {service.name: service.depends_on for service in look.services}
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...] = ()) -> None:
        if name in order or name in path:
            return
        for other in depends.get(name, ()):
            visit(other, (*path, name))
        order.append(name)

    for one in containers:
        visit(one.service)
    return sorted(containers, key=lambda one: (order.index(one.service), one.number))


def _dependents(look: Look, affected: Sequence[Container]) -> list[str]:
    going = set(_services(affected))
    running = {one.service for one in look.containers if one.state in RUNNING} - going
    return [
        f"{service.name} goes on and depends on {', '.join(sorted(going.intersection(service.depends_on)))}"
        for service in look.services
        if service.name in running and going.intersection(service.depends_on)
    ]


def _plan(
    look: Look,
    kind: Kind,
    affected: Sequence[Container],
    steps: Sequence[Step],
    *,
    memory: Sequence[tuple[str, int]] = (),
    downtime: Sequence[Downtime] = (),
    notes: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Plan:
    return Plan(
        kind=kind,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=tuple(steps),
        data=data_effects(affected if kind is not Kind.START else (), look.volumes, memory),
        downtime=tuple(downtime),
        running_before=_running(look),
        services=_services(affected),
        notes=tuple(notes),
        only=tuple(only),
    )


def data_effects(
    stopping: Sequence[Container], volumes: Sequence[Volume], memory: Sequence[tuple[str, int]]
) -> tuple[DataEffect, ...]:
    """Stopping a container empties what lives in memory and leaves everything else."""
    names = {one.name for one in stopping}
    services = set(_services(stopping))
    effects = []
    for volume in volumes:
        if not names.intersection(use.container for use in volume.used_by):
            continue
        memory_only = volume.kind is VolumeKind.TMPFS
        emptied = Effect.LOST if volume.database else Effect.REPLACED
        effects.append(
            DataEffect(
                name=volume_words(volume),
                what=WHAT[volume.kind],
                effect=emptied if memory_only else Effect.SAFE,
                why="it is in memory and is emptied when its container stops" if memory_only else "",
                database=volume.database if memory_only else "",
            )
        )
    for service, keys in memory:
        if service in services:
            effects.append(
                DataEffect(
                    name=service,
                    what=f"{keys} Redis keys",
                    effect=Effect.LOST,
                    why="this Redis saves nothing (no RDB, no AOF)",
                    database="redis",
                )
            )
    return tuple(effects)


WHAT = {
    VolumeKind.NAMED: "volume",
    VolumeKind.ANONYMOUS: "volume without a name",
    VolumeKind.BIND: "bind mount",
    VolumeKind.TMPFS: "tmpfs",
    VolumeKind.LAYER: "files inside the container",
}


def _services(containers: Sequence[Container]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.service for one in containers))


def _running(look: Look) -> tuple[str, ...]:
    return tuple(one.name for one in look.containers if one.state in RUNNING)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
