"""One look at the stack for a plan: what it was made from, and the exact way to call Compose for it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from opsconsole.config import Config
from opsconsole.model import Container, Service, SourceError, Volume
from opsconsole.operations.compose_call import carried_hashes, compose_words, configurations, rendered_by
from opsconsole.operations.ground import Ground, ground_of
from opsconsole.operations.plan_facts import ContainerFact, Facts
from opsconsole.sources.volumes import EngineVolume
from opsconsole.stack import compose, files, places, plain_file
from opsconsole.stack.files import Choice
from opsconsole.stack.git import Repository
from opsconsole.stack.rendered import Rendered, to_services
from opsconsole.text import known_secrets, without_paths

if TYPE_CHECKING:
    from opsconsole.sources.engine import DockerEngine

_INSPECTS = 2000


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The stack as it was at one moment. `secrets` are known values to mask; they never go into a plan."""

    name: str
    directory: str
    compose: tuple[str, ...] = ()  # the words before `stop`, `up` ...: files, env files, project, profiles
    services: tuple[Service, ...] = ()  # those in use
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    rendered: Rendered = Rendered()  # holds secrets: never shown as it is
    engine_volumes: dict[str, EngineVolume] = {}  # all of the engine, by name
    ground: dict[str, Ground] = {}  # what lies at the paths that containers and configuration mount
    outside_binds: tuple[str, ...] = ()  # written as relative paths that lead out of the stack's directory
    env_files: tuple[str, ...] = ()  # that Compose is given, in its order
    compose_files: tuple[str, ...] = ()
    variables: dict[str, str] = {}  # what `${NAME}` in the compose files is filled from; holds secrets
    facts: Facts = Facts()
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Look({self.name})"

    def ground_of_volume(self, name: str) -> Ground:
        """MISSING when the engine has no such volume; UNKNOWN when its content cannot be told from here."""
        if not (there := self.engine_volumes.get(name)):
            return Ground.MISSING
        # A volume with options is mounted only while a container has it: its directory is empty until then.
        plain = there.driver in ("", "local") and not there.options
        found = self.ground.get(there.path, Ground.UNKNOWN)
        return found if plain and found is not Ground.MISSING else Ground.UNKNOWN


def look(directory: Path, config: Config, *, project: str = "") -> Look:
    """Ask the engine and Compose. Raises SourceError when one of them cannot tell: no plan is made from guesses."""
    containers, volumes, known = _observe(directory, config, project)
    environment = dict(os.environ)
    choice = files.choose(directory, config, containers, environment, project=project)
    command = compose.find(environment)
    if command is None:
        raise SourceError("Docker Compose is not installed on this host", compose.NO_COMPOSE_HINT)
    own = tuple(one for one in containers if one.project == choice.name)
    rendered, env_files = rendered_by(command, choice, environment, carried_hashes(own))
    present = {one.service for one in own}
    services = tuple(
        service for service in to_services(rendered, choice.profiles) if service.active or service.name in present
    )
    read = (*choice.compose_files, *env_files, choice.env.path, str(Path(choice.directory, ".env")))
    return Look(
        name=choice.name,
        directory=str(directory),
        compose=compose_words(directory, command, choice, env_files, services),
        services=services,
        containers=own,
        volumes=volumes,
        rendered=rendered,
        engine_volumes=known,
        ground=ground_of(rendered, own, volumes, known),
        outside_binds=_outside_binds(choice, environment),
        env_files=env_files,
        compose_files=choice.compose_files,
        variables=choice.variables(environment),
        facts=Facts(
            compose=configurations(command, rendered, services),
            files=_file_hashes(directory, read),
            containers=container_facts(own),
            commit=Repository(directory).look().id,
        ),
        secrets=known_secrets(
            choice.env.values,
            without_paths(environment),
            *(service.environment for service in rendered.services.values()),
        ),
    )


def engine_look(directory: Path, config: Config, *, project: str = "") -> Look:
    """The same without Compose: what the engine alone can tell. Raises SourceError when it does not answer."""
    containers, volumes, known = _observe(directory, config, project)
    own = next((one.project for one in containers), "")
    return Look(
        name=own or files.choose(directory, config, containers, dict(os.environ), project=project).name,
        directory=str(directory),
        containers=containers,
        volumes=volumes,
        engine_volumes=known,
        facts=Facts(containers=container_facts(containers)),
    )


def files_look(directory: Path, config: Config, *, project: str = "") -> Look:
    """The same without the engine: what the files tell, of databases beside the stack for one. Raises SourceError."""
    environment = dict(os.environ)
    choice = files.choose(directory, config, (), environment, project=project)
    rendered, env_files = Rendered(), tuple[str, ...]()
    if (command := compose.find(environment)) is not None:
        with suppress(SourceError):  # a broken file is no reason to know nothing of the env file
            rendered, env_files = rendered_by(command, choice, environment, {})
    return Look(
        name=choice.name,
        directory=str(directory),
        services=to_services(rendered, choice.profiles),
        rendered=rendered,
        env_files=env_files,
        compose_files=choice.compose_files,
    )


def look_again(before: Look, directory: Path, config: Config, *, project: str = "") -> Look:
    """How the stack is after something was done to it. Compose is asked again only when its files changed; what it
    cannot say any more is taken from before. Raises SourceError when the engine does not answer."""
    if before.rendered.services and _files_changed(before, directory, config, project):
        with suppress(SourceError):  # a broken compose file is no reason to look at nothing
            return look(directory, config, project=project)
    containers, volumes, known = _observe(directory, config, project or before.name)
    return msgspec.structs.replace(
        before,
        containers=tuple(one for one in containers if one.project == before.name),
        volumes=volumes,
        engine_volumes=known,
        facts=msgspec.structs.replace(before.facts, containers=container_facts(containers)),
    )


def _files_changed(before: Look, directory: Path, config: Config, project: str) -> bool:
    now = files.choose(directory, config, before.containers, dict(os.environ), project=project).compose_files
    known = before.facts.files
    return now != before.compose_files or _file_hashes(directory, [str(directory / name) for name in known]) != known


def container_facts(containers: Sequence[Container]) -> tuple[ContainerFact, ...]:
    return tuple(
        ContainerFact(name=one.name, id=one.id, service=one.service, config_hash=one.config_hash, image_id=one.image_id)
        for one in sorted(containers, key=lambda one: one.name)
    )


def observe(directory: Path, config: Config, *, project: str = "") -> tuple[tuple[Container, ...], tuple[Volume, ...]]:
    """The stack's containers with all details, as the engine knows them now, and where they keep data."""
    return _observe(directory, config, project)[:2]


def _observe(
    directory: Path, config: Config, project: str
) -> tuple[tuple[Container, ...], tuple[Volume, ...], dict[str, EngineVolume]]:
    from opsconsole.sources.engine import DockerEngine

    engine = DockerEngine()  # a new one each time: nothing of what it remembers may be old here
    try:
        wanted = _project(engine, directory, config, project)
        engine.inspect_missing(engine.containers(project=wanted), limit=_INSPECTS)
        containers = engine.containers(project=wanted)
        return containers, engine.volumes(containers, project=wanted), engine.engine_volumes()
    finally:
        engine.close()


def listed(directory: Path, config: Config, *, project: str = "") -> tuple[Container, ...]:
    """The stack's containers with what one list tells of them: names and states."""
    from opsconsole.sources.engine import DockerEngine

    engine = DockerEngine()
    try:
        return engine.containers(project=_project(engine, directory, config, project))
    finally:
        engine.close()


def _project(engine: DockerEngine, directory: Path, config: Config, project: str) -> str:
    if wanted := config.stack.name or project:
        return wanted
    return files.choose(directory, config, engine.containers(directory=str(directory)), os.environ).name


def with_configuration(look: Look, rendered: Rendered) -> Look:
    """The same stack under another configuration, for a plan that leads to one. The facts stay those of today."""
    ground = ground_of(rendered, look.containers, look.volumes, look.engine_volumes)
    return msgspec.structs.replace(look, rendered=rendered, ground=ground)


def with_files(
    look: Look, config: Config, rendered: Rendered, compose_files: Sequence[str], variables: Mapping[str, str]
) -> Look:
    """The same stack with the files of another version, read as `rendered`, filled from `variables`."""
    environment = dict(os.environ)
    choice = files.choose(Path(look.directory), config, look.containers, environment, project=look.name)
    command = compose.find(environment)
    if command is None:
        raise SourceError("Docker Compose is not installed on this host", compose.NO_COMPOSE_HINT)
    choice = msgspec.structs.replace(
        choice, compose_files=tuple(compose_files), directory=str(Path(compose_files[0]).parent)
    )
    present = {one.service for one in look.containers}
    services = tuple(
        service for service in to_services(rendered, choice.profiles) if service.active or service.name in present
    )
    new_secrets = known_secrets(*(service.environment for service in rendered.services.values()))
    return msgspec.structs.replace(
        with_configuration(look, rendered),
        services=services,
        compose=compose_words(Path(look.directory), command, choice, look.env_files, services),
        compose_files=tuple(compose_files),
        variables=dict(variables),
        secrets=tuple(sorted({*look.secrets, *new_secrets}, key=len, reverse=True)),
    )


def _outside_binds(choice: Choice, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Compose's own rendering no longer tells how a path was written."""
    try:
        plain = plain_file.read(
            choice.compose_files,
            project=choice.name,
            directory=choice.directory,
            variables=choice.variables(environment),
        )
    except SourceError:
        return ()
    return places.outside_binds(plain.services.values(), choice.directory)


def _file_hashes(directory: Path, paths: Sequence[str]) -> dict[str, str]:
    found = {}
    for path in dict.fromkeys(path for path in paths if path):
        try:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except FileNotFoundError:
            continue
        except OSError:
            digest = ""
        found[os.path.relpath(path, directory)] = digest
    return found
