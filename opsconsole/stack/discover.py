"""Which stack is this: files, project, services, databases, endpoints, and what stands in the way of knowing more.

A look that changed nothing costs a few stat() calls: Compose is asked again only when one of the files it
read has changed, and addresses are worked out again only when the containers have.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from opsconsole import config as configuration
from opsconsole.config import Config
from opsconsole.model import Container, Service, SourceError, Stack
from opsconsole.sources.connection import Connection
from opsconsole.sources.engine_address import resolve
from opsconsole.stack import databases, drift, files, places, rendered
from opsconsole.stack.address import THIS_HOST, Neighbourhood
from opsconsole.stack.endpoints import endpoints
from opsconsole.stack.files import Choice
from opsconsole.stack.git import Repository
from opsconsole.stack.images import TaggedImages, full_name
from opsconsole.stack.reading import FileReader, Reading, stamps
from opsconsole.stack.rendered import Rendered, ServiceConfig
from opsconsole.text import printable

_NO_IMAGES: dict[str, str] = {}
_RUNNING = frozenset({"running", "paused", "restarting"})


class ContainerSecrets(Protocol):
    """The one thing that is asked of the engine here."""

    def secrets_of(self, container_id: str) -> dict[str, str]: ...


class StackDiscovery:
    """Implements `StackSource` for the stack in `directory`. `project` is its name when the operator chose it.

    Every method may be called from any thread; looks are done one at a time.
    """

    def __init__(
        self,
        directory: Path | str,
        config: Config,
        engine: ContainerSecrets | None = None,
        *,
        project: str = "",
        environment: Mapping[str, str] | None = None,
        drift: bool = True,
    ) -> None:
        """Without `drift` the engine is not asked what the names of images mean now: for who looks once, for something
        else."""
        self._directory = Path(directory).absolute()
        self._config = config
        self._engine = engine
        self._project = project
        self._environment = dict(os.environ if environment is None else environment)
        self._engine_host = engine_host(self._environment)
        self._repository = Repository(self._directory)
        self._reader = FileReader(self._environment)
        self._images = TaggedImages(self._environment) if drift else None
        self._lock = threading.Lock()
        self._config_stamp = stamps([self._config_path()])
        self._config_problem = ""
        self._choice: Choice | None = None
        self._choice_key: Hashable = None
        self._known: _Known | None = None

    def look(self, containers: Sequence[Container]) -> Stack:
        """The stack as its files and containers show it now. Raises SourceError where there is no stack at all."""
        with self._lock:
            self._reload_config()
            choice = self._choose(containers)
            own = _of_project(containers, choice.name)
            if not choice.compose_files and not own:
                raise SourceError(
                    f"no compose file in {printable(str(self._directory))}",
                    "start opsconsole in the stack's directory, or name it: opsconsole --stack DIR",
                    absent=True,
                )
            reading = self._reader.read(choice, _hashes(own))
            commit = self._repository.look()
            image_ids = self._images.look() if own and self._images else _NO_IMAGES
            key = (id(choice), id(reading), id(image_ids), commit, self._config_problem, containers_key(own))
            if self._known is None or self._known.key != key:
                read = self._read_services(reading, own)
                stack = self._assemble(choice, reading, read, own, image_ids)
                stack = msgspec.structs.replace(stack, commit=commit.id, branch=commit.branch)
                # The parts of the key are kept alive with it, so that no id() can come back as another object.
                self._known = _Known(key, stack, read, choice, (reading, image_ids))
            return self._known.stack

    def first_look(self) -> Stack:
        """Name and files only, within a few milliseconds: no process is started and no engine asked."""
        with self._lock:
            self._reload_config()
            choice = self._choose(())
            return self._outline(choice)

    def connections(self, stack: Stack, containers: Sequence[Container]) -> tuple[Connection, ...]:
        """How this host logs in to each database of the stack: for the clients that connect, and nobody else."""
        known = self._known  # without the lock: a look that waits for Compose must not hold up the databases
        if known is None:
            return ()
        own = _of_project(containers, known.choice.name)
        active = [service.name for service in stack.services if service.active]
        return self._connections(known.choice, known.read, active, own)

    # --- the steps of a look -------------------------------------------------------------------

    def _config_path(self) -> str:
        return self._config.path or str(self._directory / configuration.FILE_NAME)

    def _reload_config(self) -> None:
        path = self._config_path()
        stamp = stamps([path])
        if stamp == self._config_stamp:
            return
        self._config_stamp = stamp
        try:
            self._config = configuration.load(path) if os.path.exists(path) else Config()
            self._config_problem = ""
            self._choice = None
        except SourceError as error:
            self._config_problem = f"{error.problem}; the settings from before stay in force"

    def _choose(self, containers: Sequence[Container]) -> Choice:
        before = self._choice
        key = self._choice_key_now(containers, before)
        if before is None or key != self._choice_key:
            self._choice = files.choose(
                self._directory, self._config, containers, self._environment, project=self._project
            )
            if self._choice == before:
                self._choice = before  # what is built on it stays as it is
            self._choice_key = self._choice_key_now(containers, self._choice)
        assert self._choice is not None
        return self._choice

    def _choice_key_now(self, containers: Sequence[Container], choice: Choice | None) -> Hashable:
        more = (*choice.compose_files, choice.env.path, *choice.started_with) if choice else ()
        labels = frozenset(one.labels for one in containers)
        return (stamps((*files.watched(self._directory), *more)), labels)

    def _read_services(self, reading: Reading, own: Sequence[Container]) -> Rendered:
        """The services of the files; where these tell nothing, the ones that have containers."""
        if reading.rendered.services or not own:
            return reading.rendered
        return from_containers(own, self._secrets)

    def _assemble(
        self,
        choice: Choice,
        reading: Reading,
        read: Rendered,
        own: Sequence[Container],
        image_ids: Mapping[str, str],
    ) -> Stack:
        services = _services(choice, read, own, image_ids)
        active = [service.name for service in services if service.active]
        configs = [read.services[name] for name in active]
        outline = self._outline(choice)
        stack = msgspec.structs.replace(
            outline,
            compose_command=str(reading.command or ""),
            profiles=_profiles_in_use(choice, services),
            services=services,
            data_directories=places.data_directories(configs, self._directory, outline.backup_directory, self._config),
            outside_binds=reading.outside_binds,
            databases=tuple(one.target for one in self._connections(choice, read, active, own)),
            endpoints=endpoints(read, active, self._neighbourhood(read, own), self._config.probes),
        )
        problems = (
            self._config_problem,
            self._missing_files(choice),
            *choice.problems,
            *reading.problems,
            drift.untellable(own, stack),
        )
        return msgspec.structs.replace(stack, problems=tuple(dict.fromkeys(filter(None, problems))))

    def _missing_files(self, choice: Choice) -> str:
        """A look without any file is one at containers alone; somebody may have moved or deleted the directory."""
        if choice.compose_files:
            return ""
        where = printable(str(self._directory))
        what = (
            f"there is no compose file in {where}"
            if os.path.isdir(self._directory)
            else f"{where} does not exist (any more)"
        )
        state = "services are known from their containers only, drift is not known"
        return f"{what}; {state}; bring it back, or start opsconsole where the stack is now"

    def _outline(self, choice: Choice) -> Stack:
        """What is known without asking anybody."""
        return Stack(
            name=choice.name,
            directory=str(self._directory),
            compose_files=choice.compose_files,
            profiles=choice.profiles,
            env_file=choice.env.path,
            config_file=self._config.path,
            backup_directory=places.backup_directory(
                self._directory, choice.name, choice.variables(self._environment), self._config
            ),
            problems=tuple(dict.fromkeys(filter(None, (self._config_problem, *choice.problems)))),
        )

    def _neighbourhood(self, read: Rendered, own: Sequence[Container]) -> Neighbourhood:
        return Neighbourhood(read.services, own, engine_host=self._engine_host)

    def _connections(
        self, choice: Choice, read: Rendered, active: Sequence[str], own: Sequence[Container]
    ) -> tuple[Connection, ...]:
        started = {
            one.service: self._secrets(one.id)
            for one in own
            if one.state in _RUNNING and one.service in read.services and read.services[one.service].role
        }
        return databases.connections(
            read,
            active,
            choice.env.values,
            self._config,
            self._neighbourhood(read, own),
            env_file=choice.env.path,
            surroundings=self._environment,
            running=started,
        )

    def _secrets(self, container_id: str) -> dict[str, str]:
        """The environment a container was started with; {} when the engine does not tell."""
        if self._engine is None:
            return {}
        try:
            return self._engine.secrets_of(container_id)
        except SourceError:
            return {}


class _Known:
    """The last look, and what it was made from."""

    __slots__ = ("choice", "kept", "key", "read", "stack")

    def __init__(self, key: Hashable, stack: Stack, read: Rendered, choice: Choice, kept: tuple[object, ...]) -> None:
        self.key = key
        self.stack = stack
        self.read = read
        self.choice = choice
        self.kept = kept


def is_stack_directory(directory: Path | str) -> bool:
    """Whether opsconsole can be started here: a compose file, or an `opsconsole.toml` that says where one is."""
    here = Path(directory).absolute()
    try:
        config = configuration.load_from(here)
    except SourceError:
        return True  # a broken opsconsole.toml is reported as such, not as a directory without a stack
    # A file that opsconsole.toml names and that is not there is reported as such, too.
    return bool(config.stack.compose_files) or files.holds_stack(here, config)


# --- pure parts ------------------------------------------------------------------------------------


def engine_host(environment: Mapping[str, str]) -> str:
    """Where ports that the engine publishes are reached: this host, or the one that the engine's address names."""
    try:
        found = urlsplit(resolve(environ=environment).host)
    except SourceError:
        return THIS_HOST  # the engine is named as unreachable, with the reason
    return found.hostname or THIS_HOST if found.scheme in ("tcp", "ssh", "http", "https") else THIS_HOST


def containers_key(containers: Sequence[Container]) -> Hashable:
    """What changes when a container comes, goes, moves to another address or changes its image."""
    return frozenset((one.id, one.state, one.image, one.ports, one.networks, one.command) for one in containers)


def from_containers(containers: Sequence[Container], secrets_of: Callable[[str], dict[str, str]]) -> Rendered:
    """Services as their containers show them, for a stack whose files are gone or cannot be read."""
    services: dict[str, ServiceConfig] = {}
    for one in containers:
        if not one.service:
            continue
        services[one.service] = ServiceConfig(
            name=one.service,
            image=one.image,
            command=tuple(one.command.split()),
            environment=secrets_of(one.id),
            ports=one.ports,
            mounts=one.mounts,
            restart=one.restart_policy,
        )
    return Rendered(by="containers", services=services)


def _of_project(containers: Sequence[Container], project: str) -> tuple[Container, ...]:
    return tuple(one for one in containers if not one.project or one.project == project)


def _hashes(containers: Sequence[Container]) -> dict[str, frozenset[str]]:
    carried: dict[str, set[str]] = {}
    for one in containers:
        if one.config_hash:
            carried.setdefault(one.service, set()).add(one.config_hash)
    return {service: frozenset(hashes) for service, hashes in carried.items()}


def _services(
    choice: Choice, read: Rendered, own: Sequence[Container], image_ids: Mapping[str, str]
) -> tuple[Service, ...]:
    """The services with what is known beside the files: which are in use, what their image name points at."""
    present = {one.service for one in own}
    return tuple(
        msgspec.structs.replace(
            service,
            active=service.active or service.name in present,
            image_id=image_ids.get(full_name(service.image), ""),
        )
        for service in rendered.to_services(read, choice.profiles)
    )


def _profiles_in_use(choice: Choice, services: Sequence[Service]) -> tuple[str, ...]:
    """The chosen ones, and those of services that run although nobody chose their profile."""
    chosen = set(choice.profiles)
    more = (
        service.profiles[0]
        for service in services
        if service.active and service.profiles and "*" not in chosen and chosen.isdisjoint(service.profiles)
    )
    return tuple(dict.fromkeys((*choice.profiles, *more)))
