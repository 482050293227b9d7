"""Plans for a deploy. Pure: data in, data out.

    first    preflight; what runs is recorded when no release has it
    fetch    images are pulled and built; nothing that runs is touched
    switch   the release is recorded, then service after service is recreated and gated; probes, soak, good

An update puts its own steps between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Record, Service
from opsconsole.operations import deploy_changes, hooks, preflight
from opsconsole.operations.deploy_costs import data_of, emptied
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.deploy_origin import Origin, drift_notes, in_use, origin_of, record_found
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import (
    Act,
    DataEffect,
    Downtime,
    Fate,
    Kind,
    Plan,
    ServiceChange,
    Step,
)
from opsconsole.operations.release_making import ending, of_service
from opsconsole.operations.return_plans import never_pull, way_back
from opsconsole.operations.stack_plans import RUNNING, NothingToDo

BUILD_SECONDS = 3600.0
RECREATE_SECONDS = 900.0
_MOVES = (Fate.RECREATE, Fate.PERHAPS, Fate.RESTART)


class Deployment(Record, frozen=True):
    """The parts of a deploy, for whoever puts steps between them."""

    release: str
    returns_to: str = ""
    first: tuple[Step, ...] = ()
    fetch: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    way_back: tuple[Step, ...] = ()
    changes: tuple[ServiceChange, ...] = ()
    data: tuple[DataEffect, ...] = ()
    downtime: tuple[Downtime, ...] = ()
    notes: tuple[str, ...] = ()


def deployment(
    look: Look,
    config: Config,
    known: Known,
    *,
    no_cache: bool = False,
    memory: Sequence[tuple[str, int]] = (),
    today: Look | None = None,
) -> Deployment:
    """The steps from what runs to what the files say. Raises NothingToDo when the files have no service in use.

    `today`: the stack as it is now, where `look` has files that are still to come.
    """
    services = deploy_changes.order(look.services, in_use(look))
    if not services:
        raise NothingToDo("the compose file has no service in use", "See `opsconsole status`.")
    here = today or look
    services_here = deploy_changes.order(here.services, in_use(here))
    origin = origin_of(here, services_here, known)
    number = known.number + origin.record
    release = f"r{number}"
    changed = deploy_changes.changes(look, services, known)
    moving = {one.service for one in changed if one.fate in _MOVES}
    anew = {one.service for one in changed if one.fate in (Fate.RECREATE, Fate.PERHAPS, Fate.CREATE)}
    return Deployment(
        release=release,
        returns_to=origin.name,
        first=(_preflight(services), *record_found(here, origin)),
        fetch=tuple(_fetch(look, services, known, no_cache=no_cache)),
        switch=tuple(_switch(look, config, services, release, {one.service: one.fate for one in changed})),
        way_back=way_back(here, config, services_here, origin, known),
        changes=changed,
        data=(*data_of(look, known, anew, memory), *emptied(look, moving - anew)),
        downtime=tuple(
            Downtime(service=one.name, seconds=known.seconds.get(one.name)) for one in services if one.name in moving
        ),
        # Of files that are still to come the preflight can only tell once they are there.
        notes=(*([] if today else _will_fail(look, services)), *_notes(look, services, origin, known)),
    )


def deploy(
    look: Look,
    config: Config,
    known: Known,
    *,
    no_cache: bool = False,
    memory: Sequence[tuple[str, int]] = (),
) -> Plan:
    """The whole plan. Raises NothingToDo, and SourceError for a hook that cannot be run."""
    parts = deployment(look, config, known, no_cache=no_cache, memory=memory)
    before, after = (make(config, Path(look.directory)) for make in (hooks.before, hooks.after))
    return plan_of(look, config, Kind.DEPLOY, parts, (*parts.first, *before, *parts.fetch, *parts.switch, *after))


def plan_of(look: Look, config: Config, kind: Kind, parts: Deployment, steps: Sequence[Step]) -> Plan:
    """A plan of these steps with everything else that the parts say."""
    return Plan(
        kind=kind,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=tuple(steps),
        changes=parts.changes,
        data=parts.data,
        downtime=parts.downtime,
        running_before=tuple(one.name for one in look.containers if one.state in RUNNING),
        services=tuple(one.service for one in parts.changes),
        notes=parts.notes,
        release=parts.release,
        way_back=parts.way_back,
        returns_to=parts.returns_to,
        on_failure=hooks.on_failure(config, Path(look.directory)),
    )


# --- steps -----------------------------------------------------------------------------------------


def _preflight(services: Sequence[Service]) -> Step:
    return Step(
        id="preflight",
        title="Preflight: variables, ports, disk, data services",
        act=Act.PREFLIGHT,
        services=tuple(one.name for one in services),
        effect="Nothing is changed.",
    )


def _fetch(look: Look, services: Sequence[Service], known: Known, *, no_cache: bool) -> list[Step]:
    first_of = {one.image: one.name for one in reversed(services) if deploy_changes.pulled(look, one, known)}
    pulled = [one.name for one in services if first_of.get(one.image) == one.name]
    built = [one.name for one in services if one.builds]
    steps = []
    if pulled:
        steps.append(
            Step(
                id="pull",
                title=f"Pull {_some([one.image for one in services if one.name in pulled])}",
                act=Act.PULL,
                commands=tuple((*look.compose, "pull", name) for name in pulled),
                services=tuple(pulled),
                effect="Nothing that runs is touched. What cannot be pulled and is here already is used as it is.",
                seconds=BUILD_SECONDS,
            )
        )
    if built:
        flags = ("--no-cache",) if no_cache else ()
        steps.append(
            Step(
                id="build",
                title=f"Build {_some(built)}{' without the cache' if no_cache else ''}",
                commands=((*look.compose, "build", *flags, *built),),
                services=tuple(built),
                effect="Nothing that runs is touched.",
                seconds=BUILD_SECONDS,
            )
        )
    return steps


def _switch(
    look: Look, config: Config, services: Sequence[Service], release: str, fates: Mapping[str, Fate]
) -> list[Step]:
    gates = config.deploy.gate_seconds
    names = tuple(one.name for one in services)
    recreating = chain.from_iterable(_recreate(look, one, release, gates, fates[one.name]) for one in services)
    steps = [
        Step(
            id="record",
            title=f"Record release {release}",
            act=Act.RECORD_RELEASE,
            services=names,
            cuttable=False,
            effect="Images, rendered configuration, env files and commit, under .opsconsole/releases.",
            release=release,
        ),
        *recreating,
        Step(
            id="probes",
            title="Probes: wait until the health endpoints answer",
            act=Act.PROBES,
            services=names,
            seconds=gates,
            turns_back=True,
        ),
    ]
    if config.deploy.soak_seconds:
        steps.append(
            Step(
                id="soak",
                title=f"Soak: watch for {config.deploy.soak_seconds:g} s whether everything stays well",
                act=Act.SOAK,
                services=names,
                seconds=config.deploy.soak_seconds,
                turns_back=True,
            )
        )
    steps.append(
        Step(
            id="good",
            title=f"Mark {release} good, keep the last {config.deploy.keep_releases}",
            act=Act.MARK_GOOD,
            services=names,
            cuttable=False,
            turns_back=True,
            release=release,
        )
    )
    return steps


def _recreate(look: Look, service: Service, release: str, gate_seconds: float, fate: Fate) -> tuple[Step, ...]:
    """Nothing for a service that stays: same configuration, same image, and nobody brings another one."""
    if fate is Fate.UNCHANGED:
        return ()
    up = (*look.compose, "up", "--detach", "--no-deps", "--no-build", *never_pull(look.compose), service.name)
    names = (one.name for one in of_service(look.containers, service.name))
    command = ("docker", "restart", *names) if fate is Fate.RESTART else up
    steps = (
        Step(
            id=f"recreate:{service.name}",
            title=_TITLES[fate].format(service.name),
            act=Act.RECREATE,
            commands=(command,),
            services=(service.name,),
            cuttable=False,
            seconds=RECREATE_SECONDS,
            turns_back=True,
            release=release,
        ),
        Step(
            id=f"gate:{service.name}",
            title=f"Gate: wait until {service.name} {'has done its work' if service.one_shot else 'is well'}",
            act=Act.GATE,
            services=(service.name,),
            seconds=RECREATE_SECONDS if service.one_shot else gate_seconds,
            turns_back=True,
            release=release,
            ending=ending(look, service),
        ),
    )
    return steps if service.replicas else steps[:1]  # no container is to be there: nothing to gate


_TITLES = {
    Fate.CREATE: "Create {}",
    Fate.RECREATE: "Recreate {}",
    Fate.PERHAPS: "Recreate {} if it has changed by then",
    Fate.RESTART: "Restart {} if what it depends on was recreated",
    Fate.START: "Start {}",
    Fate.RUN: "Run {} once more",
}


# --- what an operator should know ------------------------------------------------------------------------


def _will_fail(look: Look, services: Sequence[Service]) -> list[str]:
    return [f"the preflight will fail: {problem}" for problem in preflight.problems_of(look, services)]


def _notes(look: Look, services: Sequence[Service], origin: Origin, known: Known) -> list[str]:
    notes = []
    if not origin.name:
        notes.append("there is no container yet: when this fails there is nothing to return to")
    elif origin.record:
        notes.append(f"no release has what runs now: it is recorded as {origin.name} first")
    elif known.gone.get(origin.name):
        gone = ", ".join(known.gone[origin.name])
        notes.append(f"the way back is closed: images of {origin.name} are gone from the engine ({gone})")
    notes += drift_notes(origin)
    if jobs := [one.name for one in services if one.one_shot]:
        notes.append(f"what {_some(jobs)} does to the data is not undone by the way back")
    names = {one.name for one in look.services}
    deployed = {one.name for one in services}
    for service in sorted({one.service for one in look.containers if one.service}):
        if service not in names:
            notes.append(f"{service} is no longer in the compose file; its container is left as it is")
        elif service not in deployed:
            notes.append(f"{service} belongs to a profile that is not in use; its container is left as it is")
    for one in look.containers:
        if one.health == "unhealthy" or one.state == "restarting":
            notes.append(f"{one.name} is {one.health if one.health == 'unhealthy' else one.state} now")
    return notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
