"""What lies behind a look at the stack: its databases and how to log in to them, its data, its backups.

The same answers as `StackDiscovery` gives, from a configuration that is rendered already: Compose is not asked again.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import Stack
from opsconsole.operations.facts import Look
from opsconsole.sources.connection import Connection
from opsconsole.stack import databases, files, places
from opsconsole.stack.address import Neighbourhood
from opsconsole.stack.discover import engine_host, from_containers
from opsconsole.stack.rendered import Rendered

_RUNNING = frozenset({"running", "paused", "restarting"})


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The stack as everyone may see it, and its databases with their passwords."""

    stack: Stack
    connections: tuple[Connection, ...] = ()

    def __repr__(self) -> str:
        return f"Reach({self.stack.name})"


def reach(look: Look, config: Config) -> Reach:
    """Asks the engine for the environment of the databases' containers. Raises SourceError."""
    from opsconsole.sources.engine import DockerEngine

    directory, environment = Path(look.directory), dict(os.environ)
    choice = files.choose(directory, config, look.containers, environment, project=look.name)
    engine = DockerEngine()
    try:
        rendered = look.rendered
        if not rendered.services:
            rendered = from_containers(look.containers, engine.secrets_of)
        started = {
            one.service: engine.secrets_of(one.id)
            for one in look.containers
            if one.state in _RUNNING and one.service in rendered.services and rendered.services[one.service].role
        }
    finally:
        engine.close()
    active = _in_use(look, rendered)
    connections = databases.connections(
        rendered,
        active,
        choice.env.values,
        config,
        Neighbourhood(rendered.services, look.containers, engine_host=engine_host(environment)),
        env_file=choice.env.path,
        surroundings=environment,
        running=started,
    )
    backups = places.backup_directory(directory, look.name, choice.variables(environment), config)
    return Reach(stack=_stack(look, config, rendered, connections, choice.env.path, backups), connections=connections)


def _in_use(look: Look, rendered: Rendered) -> tuple[str, ...]:
    active = {service.name for service in look.services} | {one.service for one in look.containers}
    return tuple(name for name in rendered.services if name in active)


def _stack(
    look: Look, config: Config, rendered: Rendered, connections: tuple[Connection, ...], env_file: str, backups: str
) -> Stack:
    configs = [rendered.services[name] for name in _in_use(look, rendered)]
    return Stack(
        name=look.name,
        directory=look.directory,
        compose_files=look.compose_files,
        env_file=env_file,
        services=look.services,
        data_directories=places.data_directories(configs, Path(look.directory), backups, config),
        databases=tuple(one.target for one in connections),
        backup_directory=backups,
    )
