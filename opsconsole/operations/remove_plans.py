"""Plans that take a stack away: its containers, networks and images. Volumes, directories and what others use stay.

Made from the engine alone, so that a stack whose compose file is broken or gone can be taken away, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from opsconsole.config import Config
from opsconsole.model import Container, SourceError, Volume, VolumeKind, volume_words
from opsconsole.operations import facts, layer_files
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import Basis, DataEffect, Downtime, Effect, Kind, Plan, Step
from opsconsole.operations.stack_plans import RUNNING, WHAT, NothingToDo, gate_step
from opsconsole.sources.belongings import Belongings, Image
from opsconsole.sources.engine_images import repository_of

if TYPE_CHECKING:
    pass

_STOP_SECONDS = 900.0  # a database that writes out its memory takes its grace period, whatever that is
_UP_SECONDS = 3600.0  # an image that was removed is pulled or built again
IMAGES = "images"
"""Id of the step that removes images."""

_DIRECTORY = "com.docker.compose.project.working_dir"
_DEPENDS_ON = "com.docker.compose.depends_on"


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is of a stack: what a Look has, and what only its removal asks for."""

    look: Look
    belongings: Belongings = Belongings()
    one_offs: tuple[Container, ...] = ()
    vanishing: frozenset[str] = frozenset()  # names of one-offs that the engine removes when they stop
    their_volumes: tuple[Volume, ...] = ()  # of the vanishing ones
    own_files: Mapping[str, tuple[str, ...] | None] = {}  # by container: what it wrote outside of volumes and mounts
    unseen: tuple[str, ...] = ()  # containers of which that could not be told


def holdings(directory: Path, config: Config, *, project: str = "", old: Plan | None = None) -> Holdings:
    """Ask the engine. Raises SourceError when it does not answer. What a half-done removal, `old`, was going to take
    is known from its plan: of a container that is gone the engine no longer tells the image."""
    from opsconsole.sources.engine import DockerEngine

    look = facts.engine_look(directory, config, project=project)
    engine = DockerEngine()
    try:
        images = [word for step in old.steps if step.id == IMAGES for word in step.commands[0][3:]] if old else []
        found = engine.belongings(look.name, [*images, *(one.image for one in look.containers)])
        vanishing = [one for one in found.one_offs if engine.goes_when_stopped(one.id)]
        volumes = engine.volumes(vanishing)
    finally:
        engine.close()
    written = layer_files.written((*look.containers, *found.one_offs), config.deploy.scratch)
    return Holdings(
        look=look,
        belongings=found,
        one_offs=found.one_offs,
        vanishing=frozenset(one.name for one in vanishing),
        their_volumes=tuple(one for one in volumes if one.kind is VolumeKind.ANONYMOUS),
        own_files=written,
        unseen=tuple(name for name, paths in written.items() if paths is None),
    )


def remove(there: Holdings, *, releases: bool = False, memory: Sequence[tuple[str, int]] = ()) -> Plan:
    """Take the stack away. Images that releases keep go only with `releases`. Raises NothingToDo, SourceError."""
    look = there.look
    _refuse_another_directory(look)
    steps = _steps(there, releases)
    if not steps:
        raise NothingToDo("there is no container, network or image of this stack", "Its volumes are left as they are.")
    running = [one for one in look.containers if one.state in RUNNING]
    services = tuple(dict.fromkeys(one.service for one in look.containers))
    return Plan(
        kind=Kind.REMOVE,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        basis=Basis.ENGINE,
        steps=steps,
        data=(*_data(there, memory),),
        downtime=tuple(
            Downtime(service=service, until_started=True) for service in dict.fromkeys(one.service for one in running)
        ),
        running_before=tuple(one.name for one in running),
        services=services,
        notes=(*_notes(there, releases),),
        typed=(look.name,),
    )


def rest(there: Holdings, old: Plan, operation: str) -> Plan:
    """Finish: whatever is left. It was agreed to when it was begun."""
    words = (word for step in old.steps for command in step.commands for word in command)
    releases = any(word.startswith(f"{repository_of(old.stack)}/") for word in words)
    try:
        made = remove(there, releases=releases)
    except NothingToDo:
        made = Plan(kind=Kind.REMOVE, stack=old.stack, directory=old.directory, facts=there.look.facts)
    return msgspec.structs.replace(
        made,
        basis=Basis.ENGINE,
        typed=(),
        running_before=old.running_before,  # an undo of the finish goes back to where it all began
        services=old.services,
        resolves=operation,
    )


def back(look: Look, old: Plan, operation: str) -> Plan:
    """Undo: what ran before and is gone is made anew by Compose, what is still there is started.

    `look` has no Compose in it where the compose file cannot be used; raises SourceError when it would be needed.
    """
    there = {one.name: one for one in look.containers}
    service_of = {one.name: one.service for one in old.facts.containers}
    known = {service.name for service in look.services}
    gone = [name for name in old.running_before if name not in there]
    again = tuple(dict.fromkeys(service_of[name] for name in gone if service_of.get(name) in known))
    if gone and not look.compose:
        raise SourceError(
            f"{', '.join(gone)} can only be made anew from the compose file, and that cannot be used",
            "Mend the compose file, or go on with `opsconsole operations finish`.",
        )
    steps: list[Step] = []
    if again:
        steps.append(_up(look, again))
    if up := [name for name in old.running_before if name in there and there[name].state not in RUNNING]:
        steps.append(_docker("start", "Start what is still there", "start", up, "The same containers."))
    well = tuple(name for name in old.running_before if name in there or service_of.get(name) in again)
    if well:
        steps.append(gate_step(well))
    orphans = [name for name in gone if service_of.get(name) not in known]
    left = [one.name for one in old.data if one.left_behind]
    return Plan(
        kind=Kind.START,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        basis=Basis.STACK if look.compose else Basis.ENGINE,
        steps=tuple(steps),
        running_before=tuple(one.name for one in look.containers if one.state in RUNNING),
        services=old.services,
        notes=(
            *(f"{name} is not in the compose file: it does not come back" for name in orphans),
            *(f"{name} comes up empty: its volume has no name and stays on the disk" for name in left if again),
        ),
        resolves=operation,
        as_undo=True,
    )


# --- steps -----------------------------------------------------------------------------------------


def _steps(there: Holdings, releases: bool) -> tuple[Step, ...]:
    containers = (*there.look.containers, *there.one_offs)
    running = [one for one in containers if one.state in RUNNING]
    names = [one.name for one in containers if one.name not in there.vanishing]
    networks = [one.name for one in there.belongings.networks if not one.others]
    images = [name for one in there.belongings.images for name in _goes(one, releases)]
    steps = []
    if running:
        waves = [tuple(one.name for one in wave) for wave in _waves(running)]
        steps.append(
            Step(
                id="stop",
                title=f"Stop: {_some([name for wave in waves for name in wave])}",
                commands=tuple(("docker", "stop", *wave) for wave in waves),
                services=tuple(dict.fromkeys(one.service for one in running)),
                effect="Each has its own grace period; what others depend on is stopped last.",
                seconds=_STOP_SECONDS,
            )
        )
    if names:
        steps.append(_docker("containers", "Remove the containers", "container rm", names, "Without their volumes."))
    if networks:
        steps.append(_docker("networks", "Remove the networks", "network rm", networks, ""))
    if keepers := there.belongings.keepers if releases else ():
        effect = "They never ran; without them nothing holds the images of releases."
        steps.append(_docker("keepers", "Remove what keeps the images of releases", "container rm", keepers, effect))
    if images:
        steps.append(_docker(IMAGES, "Remove the images", "image rm", images, "Nothing that others use."))
    return tuple(steps)


def _docker(id: str, title: str, verb: str, names: Sequence[str], effect: str) -> Step:
    return Step(
        id=id,
        title=f"{title}: {_some(names)}",
        commands=(("docker", *verb.split(), *names),),
        cuttable=False,
        effect=effect,
    )


def _up(look: Look, services: Sequence[str]) -> Step:
    return Step(
        id="up",
        title=f"Make anew: {_some(services)}",
        commands=((*look.compose, "up", "--detach", "--no-recreate", "--no-deps", *services),),
        services=tuple(services),
        effect="From the compose file as it is now; an image that is gone is pulled or built.",
        seconds=_UP_SECONDS,
    )


def _goes(image: Image, releases: bool) -> tuple[str, ...]:
    """Names to take away; the last one takes the image. The id where it has no name."""
    if image.others:
        # What others use keeps a name; ours is one too many only where there is another.
        return image.release_tags if releases and (image.other_tags or image.own_tags) else ()
    names = (*image.own_tags, *(image.release_tags if releases else ()))
    return names or (() if image.release_tags or image.other_tags else (image.id,))


def _waves(running: Sequence[Container]) -> list[list[Container]]:
    """What nothing depends on first, by the labels that Compose left on the containers."""
    depends = {one.service: _needs(one) for one in running}

    def depth(service: str, path: tuple[str, ...] = ()) -> int:
        needs = [other for other in depends.get(service, ()) if other not in path]
        return 1 + max((depth(other, (*path, service)) for other in needs), default=0)

    found: dict[int, list[Container]] = {}
    for one in running:
        found.setdefault(depth(one.service), []).append(one)
    return [found[level] for level in sorted(found, reverse=True)]


def _needs(container: Container) -> tuple[str, ...]:
    # "store:service_started:false,mongodb:service_healthy:true"
    written = dict(container.labels).get(_DEPENDS_ON, "")
    return tuple(part.partition(":")[0] for part in written.split(",") if part)


# --- what it means ---------------------------------------------------------------------------------


def _data(there: Holdings, memory: Sequence[tuple[str, int]]) -> Iterator[DataEffect]:
    for volume in there.look.volumes:
        yield _fate(volume)
    for volume in there.their_volumes:
        yield DataEffect(
            name=_place(volume),
            what=WHAT[volume.kind],
            effect=Effect.LOST,
            why="its container was started with --rm: the engine deletes both when it stops",
            database=volume.database,
        )
    yield from layer_files.effects(there.own_files, there.look.volumes)
    for service, keys in memory:
        why = "this Redis saves nothing (no RDB, no AOF)"
        yield DataEffect(name=service, what=f"{keys} Redis keys", effect=Effect.LOST, why=why, database="redis")


def _fate(volume: Volume) -> DataEffect:
    what, name = WHAT[volume.kind], volume_words(volume)
    if volume.kind is VolumeKind.TMPFS:
        why = "it is in memory"
        fate = Effect.LOST if volume.database else Effect.REPLACED
        return DataEffect(name=name, what=what, effect=fate, why=why, database=volume.database)
    if volume.kind is VolumeKind.LAYER:
        why = "it is in no volume: it goes with its container"
        return DataEffect(name=name, what=what, effect=Effect.LOST, why=why, database=volume.database)
    if volume.kind is VolumeKind.ANONYMOUS and volume.used_by:
        why = f"stays on the disk as {volume.name[:12]}; the next start gets a new, empty one"
        return DataEffect(name=_place(volume), what=what, why=why, database=volume.database, left_behind=True)
    why = "stays as it is" if volume.kind is VolumeKind.BIND else "stays; the next start uses it again"
    return DataEffect(name=name, what=what, why=why, database=volume.database)


def _place(volume: Volume) -> str:
    """`store:/data/db`: can be typed, which the id of an unnamed volume cannot."""
    use = volume.used_by[0]
    return f"{use.service or use.container}:{use.destination}"


def _notes(there: Holdings, releases: bool) -> Iterator[str]:
    if there.look.containers or there.one_offs:
        yield "the containers' logs go with them"
    if there.unseen:
        yield f"whether {_some(there.unseen)} wrote files outside of volumes is not known; they would go, too"
    for network in there.belongings.networks:
        if network.others:
            yield f"network {network.name} stays: {_some(network.others)} uses it"
    kept = 0
    for image in there.belongings.images:
        name = next(iter((*image.own_tags, *image.release_tags)), image.id[7:19])
        if image.others:
            yield f"image {name} stays: {_some(image.others)} uses it"
        elif image.other_tags and image.own_tags:
            yield f"image {name} loses this name only: it is {_some(image.other_tags)}, too"
        elif image.other_tags:
            yield f"image {name} stays: it is {_some(image.other_tags)}, too"
        kept += 0 if releases else len(image.release_tags)
    if kept:
        yield f"the images of releases stay ({kept}); --releases takes them, and no rollback finds them then"
    elif releases and any(image.release_tags for image in there.belongings.images):
        yield "the images of releases go, too: no rollback finds them after this"


def _refuse_another_directory(look: Look) -> None:
    """Two directories may have a project of the same name: one is not taken away from the other."""
    from opsconsole.stack.discover import is_stack_directory

    here = os.path.realpath(look.directory)
    elsewhere: Mapping[str, str] = {one.name: dict(one.labels).get(_DIRECTORY, "") for one in look.containers}
    for name, directory in elsewhere.items():
        if directory and os.path.realpath(directory) != here and is_stack_directory(directory):
            raise SourceError(
                f"{name} was started from {directory}, not from {look.directory}",
                f"Remove it from there: opsconsole remove --stack {directory}",
            )


def _some(names: Sequence[str]) -> str:
    shown = [name[7:19] if name.startswith("sha256:") else name for name in names]
    return ", ".join(shown) if len(shown) <= 4 else f"{', '.join(shown[:3])} and {len(shown) - 3} more"
