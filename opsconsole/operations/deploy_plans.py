"""Plans for deploy and rollback, and for what finishes or undoes a half-done one. Pure: data in, data out.

    first    preflight; what runs is recorded when no release has it
    fetch    images are pulled and built; nothing that runs is touched
    switch   the release is recorded, then service after service is recreated and gated; probes, soak, good

An update puts its own steps between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import Record, Service, SourceError
from opsconsole.operations import deploy_changes, hooks, layer_files, mounts, releases
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.facts import Look, from_here
from opsconsole.operations.plan import (
    Act,
    Basis,
    DataEffect,
    Downtime,
    Effect,
    Fate,
    Kind,
    Plan,
    ServiceChange,
    Step,
)
from opsconsole.operations.release_making import configuration_of, ending, of_service, same_configuration
from opsconsole.operations.releases import Release
from opsconsole.operations.stack_plans import RUNNING, NothingToDo, data_effects

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


class _Origin(Record, frozen=True):
    """Where a deploy starts from: the release that runs, or the one that what runs is recorded as."""

    name: str = ""  # "" when no container is there
    record: bool = False
    drifted: tuple[str, ...] = ()


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
    services = deploy_changes.order(look.services, _in_use(look))
    if not services:
        raise NothingToDo("the compose file has no service in use", "See `opsconsole status`.")
    here = today or look
    services_here = deploy_changes.order(here.services, _in_use(here))
    origin = _origin(here, services_here, known)
    number = known.number + origin.record
    release = f"r{number}"
    changed = deploy_changes.changes(look, services, known)
    moving = {one.service for one in changed if one.fate in _MOVES}
    anew = {one.service for one in changed if one.fate in (Fate.RECREATE, Fate.PERHAPS, Fate.CREATE)}
    return Deployment(
        release=release,
        returns_to=origin.name,
        first=(_preflight(services), *_record_found(here, origin)),
        fetch=tuple(_fetch(look, services, known, no_cache=no_cache)),
        switch=tuple(_switch(look, config, services, release, {one.service: one.fate for one in changed})),
        way_back=_way_back(here, config, services_here, origin, known),
        changes=changed,
        data=(*_data(look, known, anew, memory), *_emptied(look, moving - anew)),
        downtime=tuple(
            Downtime(service=one.name, seconds=known.seconds.get(one.name)) for one in services if one.name in moving
        ),
        notes=tuple(_notes(look, services, origin, known)),
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


def rollback(look: Look, config: Config, known: Known, to: str = "", *, memory: Sequence[tuple[str, int]] = ()) -> Plan:
    """To the good release before the one that runs, or to the one that is named. Raises SourceError."""
    services = deploy_changes.order(look.services, {one.name for one in look.services})
    origin = _origin(look, services, known)
    target = _target(known, origin, to)
    if known.gone.get(target.name):
        names = ", ".join(known.gone[target.name])
        raise SourceError(f"{target.name} cannot run: its images are gone from the engine ({names})", _GONE)
    moving = _moving(look, target)
    if not moving and not origin.record:
        raise NothingToDo(f"{target.name} is what runs", "`opsconsole releases` lists the others.")
    step = msgspec.structs.replace(
        return_step(look, target.name, _of_release(look, target), running=True, seconds=config.deploy.gate_seconds),
        turns_back=True,
    )
    return Plan(
        kind=Kind.ROLLBACK,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=(*_record_found(look, origin), step),
        changes=_rollback_changes(look, target, moving),
        data=_data(known.under.get(target.name, look), known, set(moving), memory),
        downtime=tuple(Downtime(service=name, seconds=known.seconds.get(name)) for name in moving),
        running_before=tuple(one.name for one in look.containers if one.state in RUNNING),
        services=tuple(one.name for one in target.services),
        notes=(
            f"{target.name} is from {target.at:%Y-%m-%d %H:%M} UTC, commit {target.commit or 'not known'}, "
            f"{target.state.value}: images and configuration as they were; the files stay as they are",
            "databases keep what was written since: this goes back in code and configuration, not in data",
            *_drift_notes(origin),
        ),
        way_back=_way_back(look, config, services, origin, known),
        returns_to=origin.name,
        on_failure=hooks.on_failure(config, Path(look.directory)),
    )


def undone(look: Look, old: Plan, operation: str, kept: Sequence[Release], *, finish: bool = False) -> Plan:
    """Go back from a half-done deploy, update or rollback to where it began. `finish`: its way back had begun."""
    recorded = {one.name for one in kept}
    notes: tuple[str, ...] = ()
    if old.as_undo:
        steps = old.steps  # cut off on its way there: the same way again
    elif old.returns_to in recorded or (old.way_back and not old.returns_to):
        steps = old.way_back
    elif old.returns_to:
        # What an update did to the tree, or a rollback to the files, is undone all the same.
        steps = tuple(step for step in old.way_back if step.act is not Act.RETURN)
        notes = ("nothing was recreated: there is nothing to undo",) if not steps else ()
    else:
        steps = _removal(look, old)
    return Plan(
        kind=old.kind,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=steps,
        data=data_effects(look.containers, look.volumes, ()),
        running_before=old.running_before,
        services=old.services,
        notes=notes,
        release=old.release,
        returns_to=old.returns_to if steps else "",
        resolves=operation,
        as_undo=not finish,
        basis=Basis.STACK if look.compose else Basis.ENGINE,
        commit_from=old.commit_from,
        commit_to=old.commit_to,
        stash=old.stash,
        files=old.files,
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


def _record_found(look: Look, origin: _Origin) -> tuple[Step, ...]:
    if not origin.record:
        return ()
    step = Step(
        id="record-found",
        title=f"Record what runs now as release {origin.name}",
        act=Act.RECORD_RELEASE,
        effect="Its images get a tag of ours and stay, whatever is pruned.",
        cuttable=False,
        release=origin.name,
    )
    return (step,)


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
    up = (*look.compose, "up", "--detach", "--no-deps", "--no-build", *_never_pull(look.compose), service.name)
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


def return_step(
    look: Look, name: str, services: Sequence[str], *, running: bool, seconds: float, stopped: Sequence[str] = ()
) -> Step:
    """To a release that is kept. Its act runs the commands of those services only that differ from it."""
    base = look.compose[: look.compose.index("--file")]
    directory = Path(look.directory)
    file = from_here(directory, releases.compose_file(directory, name))

    def command(service: str) -> tuple[str, ...]:
        how = "--no-start" if service in stopped and not running else "--detach"
        return (*base, "--file", file, "up", how, "--no-deps", "--no-build", *_never_pull(base), service)

    return Step(
        id=f"return:{name}",
        title=f"Return to release {name}: recreate what differs from it, gate each service",
        act=Act.RETURN,
        commands=tuple(command(service) for service in services),
        services=tuple(services),
        cuttable=False,
        effect="Same images and configuration as recorded; data stays. Needs no registry and no build.",
        seconds=seconds,
        release=name,
    )


def _way_back(
    look: Look, config: Config, services: Sequence[Service], origin: _Origin, known: Known
) -> tuple[Step, ...]:
    if not origin.name:
        return ()
    target = next((one for one in known.releases if one.name == origin.name), None)
    with_containers = {one.service for one in look.containers}
    names = _of_release(look, target) if target else [one.name for one in services if one.name in with_containers]
    up = {one.service for one in look.containers if one.state in RUNNING}
    stopped = [name for name in names if name not in up and not _is_one_shot(look, name)]
    step = return_step(look, origin.name, names, running=False, seconds=config.deploy.gate_seconds, stopped=stopped)
    return (step,)


def _removal(look: Look, old: Plan) -> tuple[Step, ...]:
    before = {one.id for one in old.facts.containers}
    names = tuple(one.name for one in look.containers if one.id not in before)
    if not names:
        return ()
    step = Step(
        id="remove-new",
        title=f"Remove the containers that it created: {_some(names)}",
        commands=(("docker", "stop", *names), ("docker", "rm", *names)),
        cuttable=False,
        effect="Volumes stay.",
    )
    return (step,)


def _never_pull(words: Sequence[str]) -> tuple[str, ...]:
    """Compose v1 has no such option, and never pulls what is there."""
    return () if words[0] == "docker-compose" else ("--pull", "never")


# --- what it starts from and where it leads ------------------------------------------------------------


def _in_use(look: Look) -> set[str]:
    """The services of the profiles in use, and those that run although nobody chose their profile."""
    running = {one.service for one in look.containers if one.state in RUNNING}
    chosen = {one.name for one in look.services if one.active}
    return chosen | (running & {one.name for one in look.services})


def _origin(look: Look, services: Sequence[Service], known: Known) -> _Origin:
    names = {one.name for one in look.services}
    own = [one for one in look.containers if one.service in names]
    if current := releases.running(known.releases, look.containers, names):
        return _Origin(name=current.name)
    if not own:
        return _Origin()
    drifted = tuple(
        one.name
        for one in services
        if (containers := of_service(look.containers, one.name))
        and not same_configuration(containers[-1], one)
        and configuration_of(containers[-1], one, known.configurations) is None
    )
    return _Origin(name=f"r{known.number}", record=True, drifted=drifted)


def _target(known: Known, origin: _Origin, to: str) -> Release:
    good = [one for one in known.releases if one.returnable]
    if to:
        name = to if to.startswith("r") else f"r{to}"
        chosen = next((one for one in known.releases if one.name == name), None)
        if chosen is None:
            listed = ", ".join(one.name for one in good) or "none"
            raise SourceError(f"there is no release {name}", f"There are: {listed}; see `opsconsole releases`.")
        if not chosen.returnable:
            raise SourceError(f"{name} did not pass its gate", "See `opsconsole releases` for the good ones.")
        return chosen
    now = int(origin.name.removeprefix("r") or known.number)  # nothing there: the newest
    before = [one for one in good if one.number < now]
    if not before:
        names = ", ".join(one.name for one in good if one.name != origin.name)
        hint = f"Newer ones: {names}; name one with --to." if names else "Each deploy that is good records one."
        raise SourceError("no release before the one that runs is kept", hint)
    return before[-1]


def _moving(look: Look, target: Release) -> list[str]:
    """The services that are not as the release has them."""
    return [
        kept.name
        for kept in target.services
        if len(own := of_service(look.containers, kept.name)) != kept.replicas
        or any(not releases.runs(one, kept) or (one.state not in RUNNING and not kept.job) for one in own)
    ]


def _of_release(look: Look, release: Release) -> list[str]:
    """Its services, dependencies first as far as the files still know them."""
    names = [one.name for one in release.services]
    known = [one.name for one in deploy_changes.order(look.services, names)]
    return [*(name for name in names if name not in known), *known]


def _rollback_changes(look: Look, target: Release, moving: Sequence[str]) -> tuple[ServiceChange, ...]:
    found = []
    for name in _of_release(look, target):
        kept = next(one for one in target.services if one.name == name)
        own = of_service(look.containers, kept.name)
        if kept.name not in moving:
            found.append(ServiceChange(service=kept.name, fate=Fate.UNCHANGED))
            continue
        change = Fate.RECREATE if own else Fate.CREATE
        if own and all(releases.runs(one, kept) for one in own) and len(own) == kept.replicas:
            change = Fate.START
        why = [f"image {kept.image} ({kept.image_id.removeprefix('sha256:')[:12]})"]
        if kept.drifted:
            why.append("the configuration that it ran with then is not known: it gets that of the files of then")
        found.append(ServiceChange(service=kept.name, fate=change, why=tuple(why)))
    return tuple(found)


# --- what an operator should know ------------------------------------------------------------------------


def _emptied(look: Look, restarted: set[str]) -> Iterator[DataEffect]:
    """What lives in memory goes with a restart, too."""
    stopping = [one for one in look.containers if one.service in restarted]
    return (one for one in data_effects(stopping, look.volumes, ()) if one.effect is Effect.LOST)


def _data(look: Look, known: Known, moving: set[str], memory: Sequence[tuple[str, int]]) -> tuple[DataEffect, ...]:
    """What becomes of the data when these services' containers are made anew."""
    going = [one for one in look.containers if one.service in moving]
    written = {one.name: known.own_files[one.name] for one in going if one.name in known.own_files}
    return (
        *mounts.compare(look, moving),
        *layer_files.effects(written, look.volumes),
        *data_effects(going, (), memory),
    )


def _notes(look: Look, services: Sequence[Service], origin: _Origin, known: Known) -> list[str]:
    notes = []
    if not origin.name:
        notes.append("there is no container yet: when this fails there is nothing to return to")
    elif origin.record:
        notes.append(f"no release has what runs now: it is recorded as {origin.name} first")
    elif known.gone.get(origin.name):
        gone = ", ".join(known.gone[origin.name])
        notes.append(f"the way back is closed: images of {origin.name} are gone from the engine ({gone})")
    notes += _drift_notes(origin)
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


def _drift_notes(origin: _Origin) -> list[str]:
    if not origin.drifted:
        return []
    return [
        f"{_some(origin.drifted)}: the container was made from another configuration than the files have now, and "
        "nobody kept that one: the way back brings its image and its mounts back, with the rest of the configuration "
        "as it is now"
    ]


_GONE = (
    "Something removed them from outside (`docker system prune -a`). Check out the commit of that release and deploy, "
    "or pull them by their digests (`opsconsole releases --json`)."
)


def _is_one_shot(look: Look, name: str) -> bool:
    return any(one.name == name and one.one_shot for one in look.services)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
