"""A compose configuration as plain data, from Compose's own rendering or from the file itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from opsconsole.model import Mount, Port, Service
from opsconsole.roles import MONGODB, REDIS, data_path, role_of


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One service as configured. Its environment holds secrets: the text form shows the name only."""

    name: str
    image: str = ""
    builds: bool = False
    profiles: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    ports: tuple[Port, ...] = ()
    exposed: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    health_test: tuple[str, ...] = ()
    depends_on: dict[str, str] = {}  # service -> condition
    restart: str = ""
    replicas: int = 1
    network_mode: str = ""
    container_name: str = ""
    hostname: str = ""
    aliases: tuple[str, ...] = ()
    extra_hosts: dict[str, str] = {}  # name -> address or "host-gateway"
    secrets: dict[str, str] = {}  # path in the container -> name of the secret
    written_binds: tuple[str, ...] = ()  # sources of bind mounts as they were written (own reading only)
    strict_binds: tuple[str, ...] = ()  # sources of bind mounts that nobody makes when they are not there
    volumes_from: tuple[str, ...] = ()  # services whose mounts it has too

    def __repr__(self) -> str:
        return f"ServiceConfig({self.name})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What a pretty-printed traceback shows."""
        return [("name", self.name)]

    @property
    def role(self) -> str:
        """ "mongodb", "redis" or ""."""
        line = (*self.entrypoint, *self.command)
        if role := role_of(self.image, line):
            return role
        return self._role_of_own_build() if self.builds else ""

    def _role_of_own_build(self) -> str:
        """An image built here has any name: told by what it is given."""
        if "MONGO_INITDB_ROOT_USERNAME" in self.environment:
            return MONGODB
        base = re.sub(r"[-_]?(?:db|server|dev|prod)$", "", self.name.lower())
        if base in ("mongo", "mongodb"):
            return MONGODB
        if base in ("redis", "valkey"):
            return REDIS
        writes = [mount.destination for mount in self.mounts if not mount.read_only]
        return MONGODB if any(data_path(MONGODB, path) for path in writes) else ""


class VolumeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One volume as configured. Its options may hold the password of a share: the text form shows the name only."""

    name: str  # the engine's
    external: bool = False
    driver: str = ""
    options: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"VolumeConfig({self.name})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What a pretty-printed traceback shows."""
        return [("name", self.name)]


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A whole compose configuration. `by` says who read it: "compose" or "file"."""

    by: str = "compose"
    name: str = ""
    separator: str = "-"  # between project and service in the name of an image that is built; "_" in Compose v1
    services: dict[str, ServiceConfig] = {}
    volumes: dict[str, VolumeConfig] = {}  # by the engine's name
    secret_files: dict[str, str] = {}  # name of the secret -> path on this host
    hashes: dict[str, str] = {}  # service -> config hash
    missing_variables: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # one line each
    raw: dict[str, Any] = {}  # as Compose printed it, with `$$` for a `$`; only where it was asked for

    def __repr__(self) -> str:
        return f"Rendered({self.name}: {', '.join(self.services)})"


def to_services(rendered: Rendered, profiles: Iterable[str]) -> tuple[Service, ...]:
    """The services as everyone else sees them: without environment and credentials."""
    in_use = set(profiles)
    awaited = {
        name
        for service in rendered.services.values()
        for name, condition in service.depends_on.items()
        if condition == "service_completed_successfully"
    }
    return tuple(
        Service(
            name=service.name,
            image=service.image or f"{rendered.name}{rendered.separator}{service.name}",
            builds=service.builds,
            profiles=service.profiles,
            active=not service.profiles or "*" in in_use or not in_use.isdisjoint(service.profiles),
            replicas=service.replicas,
            has_healthcheck=bool(service.health_test),
            one_shot=service.name in awaited and service.restart in ("", "no"),
            depends_on=tuple(service.depends_on),
            config_hash=rendered.hashes.get(service.name, ""),
            role=service.role,
            ports=service.ports,
            mounts=service.mounts,
        )
        for service in rendered.services.values()
    )
