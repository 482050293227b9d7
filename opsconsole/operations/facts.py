"""One look at the stack for a plan: what it was made from, and the exact way to call Compose for it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from opsconsole.config import Config
from opsconsole.model import Container, DatabaseStatus, RedisStatus, Service, SourceError, Volume
from opsconsole.operations.plan_facts import ContainerFact, Facts
from opsconsole.roles import role_of
from opsconsole.sources.volumes import EngineVolume
from opsconsole.stack import compose, files, places, plain_file
from opsconsole.stack.address import THIS_HOST
from opsconsole.stack.compose import ComposeCommand
from opsconsole.stack.discover import engine_host
from opsconsole.stack.files import Choice
from opsconsole.stack.git import Repository
from opsconsole.stack.reading import best_rendering
from opsconsole.stack.rendered import Rendered, to_services
from opsconsole.text import is_secret_name

if TYPE_CHECKING:
    from opsconsole.sources.engine import DockerEngine

_INSPECTS = 2000


class Ground(StrEnum):
    """What lies at a path of this host."""

    MISSING = "missing"
    EMPTY = "empty"
    FILLED = "filled"
    FILE = "file"
    UNKNOWN = "unknown"  # it cannot be read from here


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
    rendered, env_files = _rendered(command, choice, environment, _hashes(own))
    present = {one.service for one in own}
    services = tuple(
        service for service in to_services(rendered, choice.profiles) if service.active or service.name in present
    )
    read = (*choice.compose_files, *env_files, choice.env.path, str(Path(choice.directory, ".env")))
    return Look(
        name=choice.name,
        directory=str(directory),
        compose=_words(directory, command, choice, env_files, services),
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
            compose=_configurations(command, rendered, services),
            files=_file_hashes(directory, read),
            containers=container_facts(own),
            commit=Repository(directory).look().id,
        ),
        secrets=known_secrets(
            choice.env.values, _no_paths(environment), *(service.environment for service in rendered.services.values())
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
            rendered, env_files = _rendered(command, choice, environment, {})
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
        compose=_words(Path(look.directory), command, choice, look.env_files, services),
        compose_files=tuple(compose_files),
        variables=dict(variables),
        secrets=tuple(sorted({*look.secrets, *new_secrets}, key=len, reverse=True)),
    )


def ground_of(
    rendered: Rendered,
    containers: Sequence[Container],
    volumes: Sequence[Volume],
    known: Mapping[str, EngineVolume],
) -> dict[str, Ground]:
    """What lies at the sources of all mounts and in the stack's volumes; {} for an engine on another host."""
    if engine_host(os.environ) != THIS_HOST:
        return {}
    mounts = [
        *(mount for one in containers for mount in one.mounts),
        *(mount for service in rendered.services.values() for mount in service.mounts),
    ]
    paths = {mount.source for mount in mounts if mount.kind == "bind"}
    names = {mount.name for mount in mounts} | {volume.name for volume in volumes}
    paths |= {known[name].path for name in names if name in known}
    return {path: _ground(path) for path in sorted(paths) if path}


def _ground(path: str) -> Ground:
    try:
        with os.scandir(path) as entries:
            # What mkfs leaves in a new disk is no content.
            return Ground.FILLED if any(entry.name != "lost+found" for entry in entries) else Ground.EMPTY
    except FileNotFoundError:
        return Ground.MISSING
    except NotADirectoryError:
        return Ground.FILE
    except OSError:
        return Ground.UNKNOWN


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


def env_file_secrets(directory: Path, config: Config, project: str = "") -> tuple[str, ...]:
    """The secrets that can be known without Compose."""
    choice = files.choose(directory, config, (), os.environ, project=project)
    return known_secrets(choice.env.values, _no_paths(os.environ))


def container_secrets(directory: Path, config: Config, project: str = "") -> tuple[str, ...]:
    """The secrets that the containers were started with, wherever they came from."""
    from opsconsole.sources.engine import DockerEngine

    containers, _ = observe(directory, config, project=project)
    engine = DockerEngine()
    try:
        return known_secrets(*(engine.secrets_of(one.id) for one in containers))
    finally:
        engine.close()


def known_secrets(*environments: Mapping[str, str]) -> tuple[str, ...]:
    """Values of variables whose names say that they are secret, longest first; each line of those with several."""
    found = {
        line.strip()
        for environment in environments
        for name, value in environment.items()
        if is_secret_name(name)
        for line in value.splitlines()
    }
    return tuple(sorted((one for one in found if len(one) >= 6), key=len, reverse=True))


def _no_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """PWD, SSH_AUTH_SOCK and their like name places, and would mask them wherever they stand."""
    return {name: value for name, value in environment.items() if not value.startswith("/")}


def redis_in_memory_only(look: Look, config: Config) -> tuple[tuple[str, int], ...]:
    """(service, keys) of each Redis that holds keys and saves nothing: they are gone when it stops."""
    if not any(role_of(one.image, one.command) == "redis" for one in look.containers):
        return ()
    from opsconsole.sources.databases import Databases
    from opsconsole.stack.discover import StackDiscovery

    discovery = StackDiscovery(look.directory, config, project=look.name)
    databases = Databases(discovery.connections)
    try:
        stack = discovery.look(look.containers)
        statuses = databases.look(stack, look.containers, collections=False)
    finally:
        databases.close()
    return kept_in_memory(statuses)


def kept_in_memory(statuses: Sequence[DatabaseStatus]) -> tuple[tuple[str, int], ...]:
    """(service, keys) of each Redis among them that holds keys and saves nothing."""
    return tuple(
        (status.target.service, keys)
        for status in statuses
        if isinstance(status, RedisStatus)
        and status.target.service
        and status.rdb_enabled is False
        and status.aof_enabled is False
        and (keys := sum(one.keys for one in status.keyspaces))
    )


# --- Compose ---------------------------------------------------------------------------------------


def _rendered(
    command: ComposeCommand,
    choice: Choice,
    environment: Mapping[str, str],
    hashes: Mapping[str, frozenset[str]],
) -> tuple[Rendered, tuple[str, ...]]:
    """The rendering that the running containers agree with most, and its env files. Raises SourceError."""
    if not choice.compose_files:
        raise SourceError(f"the compose files of {choice.name} are not there", _WITHOUT_COMPOSE)
    try:
        return best_rendering(command, choice, environment, hashes, keep_raw=True)
    except SourceError as error:
        raise SourceError(error.problem, _WITHOUT_COMPOSE) from None


_WITHOUT_COMPOSE = "Mend the compose file; `opsconsole rollback emergency-stop` works without it."


def from_here(directory: Path, path: str | Path) -> str:
    """A path as it is typed in the stack's directory, where every command runs: short enough to be read."""
    here = os.path.realpath(directory)
    return os.path.relpath(path, here) if Path(path).is_relative_to(here) else str(path)


def _words(
    directory: Path, command: ComposeCommand, choice: Choice, env_files: Sequence[str], services: Sequence[Service]
) -> tuple[str, ...]:
    chosen = set(choice.profiles)
    more = [s.profiles[0] for s in services if s.profiles and "*" not in chosen and chosen.isdisjoint(s.profiles)]
    options = ["--project-directory", from_here(directory, choice.directory), "--project-name", choice.name]
    for file in choice.compose_files:
        options += ["--file", from_here(directory, file)]
    for env_file in env_files[-1:] if command.major < 2 else env_files:
        options += ["--env-file", from_here(directory, env_file)]
    for profile in dict.fromkeys((*choice.profiles, *more)):
        options += ["--profile", profile]
    # By name, as it was found on PATH: what is shown can be typed.
    return (Path(command.words[0]).name, *command.words[1:], *options)


def _configurations(command: ComposeCommand, rendered: Rendered, services: Sequence[Service]) -> dict[str, str]:
    """Service -> hash of its configuration. Compose v1 takes the image's id into its own, so that a build alone would
    look like another configuration; of what it renders the image is no part."""
    if command.major >= 2:
        return {service.name: service.config_hash for service in services}
    bodies = rendered.raw.get("services") or {}
    return {
        one.name: hashlib.sha256(json.dumps(bodies.get(one.name), sort_keys=True, default=str).encode()).hexdigest()
        for one in services
    }


def _hashes(containers: Sequence[Container]) -> dict[str, frozenset[str]]:
    carried: dict[str, set[str]] = {}
    for one in containers:
        if one.config_hash:
            carried.setdefault(one.service, set()).add(one.config_hash)
    return {service: frozenset(hashes) for service, hashes in carried.items()}


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
