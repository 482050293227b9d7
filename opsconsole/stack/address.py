"""An address that a container uses, said so that this host reaches it. Pure.

A service name means nothing outside the stack's network: it becomes the published port on this host or,
where nothing is published, the container's own address. `host.docker.internal` is this host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import msgspec

from opsconsole.model import Container, Port
from opsconsole.roles import DEFAULT_PORTS, MONGODB
from opsconsole.stack.rendered import ServiceConfig
from opsconsole.stack.uri import Uri

THIS_HOST = "127.0.0.1"

_HOST_NAMES = frozenset({"host.docker.internal", "gateway.docker.internal", "docker.for.mac.localhost", "host-gateway"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::", "*"})
_RUNNING = frozenset({"running", "paused", "restarting"})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where something listens, as this host reaches it. `problem` says why it does not, with `host` empty then."""

    host: str = ""
    port: int = 0
    service: str = ""  # the service it belongs to, "" for one outside the stack
    moved: bool = False  # another address than the one that was written
    problem: str = ""
    hint: str = ""

    @property
    def local(self) -> bool:
        """On this host itself."""
        return is_loopback(self.host)


class Neighbourhood:
    """Who is called what in the stack, and which of their ports can be reached from here."""

    def __init__(
        self,
        services: Mapping[str, ServiceConfig],
        containers: Sequence[Container],
        *,
        engine_host: str = THIS_HOST,
    ) -> None:
        self.services = services
        self.engine_host = engine_host
        self._containers: dict[str, list[Container]] = {}
        self._names: dict[str, str] = {}
        for container in containers:
            self._containers.setdefault(container.service, []).append(container)
            self._names.setdefault(container.name.lower(), container.service)
        for service in services.values():
            for alias in (*service.aliases, service.hostname, service.container_name):
                if alias:
                    self._names.setdefault(alias.lower(), service.name)
        for name in (*self._containers, *services):
            self._names[name.lower()] = name

    def place(self, host: str, port: int, asker: str = "") -> Place:
        """Where `host:port` is for this host, when `asker` (a service; "" is this host itself) says it."""
        config = self.services.get(asker)
        mode = config.network_mode if config else ""
        written = host
        if config is not None:
            host = config.extra_hosts.get(host.lower(), host)
        if host.lower() in _HOST_NAMES:
            return self._on_this_host(port)
        if is_loopback(host):
            if not asker or mode == "host":
                return self._on_this_host(port)
            owner = mode.removeprefix("service:") if mode.startswith("service:") else asker
            return self.service_place(owner, port)
        service = self._names.get(host.lower())
        if service:
            return self.service_place(service, port)
        return Place(host=host, port=port, moved=host != written)

    def service_place(self, service: str, port: int) -> Place:
        """Where a port of a service's container is for this host: published first, then the container's address."""
        config = self.services.get(service)
        mode = config.network_mode if config else ""
        if mode == "host":
            return Place(host=self.engine_host, port=port, service=service, moved=True)
        if mode.startswith("service:") and mode.removeprefix("service:") != service:
            inner = self.service_place(mode.removeprefix("service:"), port)
            return msgspec.structs.replace(inner, service=service)
        containers = self._containers.get(service, [])
        running = [container for container in containers if container.state in _RUNNING]
        known = [port for container in running for port in container.ports] if running else []
        published = _published(known, port) or _published(config.ports if config else (), port)
        if published is not None and published.host_port is not None:
            host = self._published_host(published.host_address)
            return Place(host=host, port=published.host_port, service=service, moved=True)
        for container in running:
            for network in container.networks:
                if network.network == "host":
                    return Place(host=self.engine_host, port=port, service=service, moved=True)
                if network.address:
                    return Place(host=network.address, port=port, service=service, moved=True)
        if not running:
            return Place(
                service=service,
                port=port,
                problem=f"no container of service {service} is running and it publishes no port",
                hint=f"start it: docker compose up -d {service}",
            )
        return Place(
            service=service,
            port=port,
            problem=f"service {service} has no address that this host reaches",
            hint=f'publish its port to this host only: ports: ["127.0.0.1:{port}:{port}"]',
        )

    def _on_this_host(self, port: int) -> Place:
        """A port of this host: named after the service that publishes it, if one does."""
        for service, config in self.services.items():
            ports = [port for container in self._containers.get(service, []) for port in container.ports]
            for published in (*ports, *config.ports):
                if published.host_port == port and published.host_address in (*_EVERYWHERE, "127.0.0.1", "::1"):
                    return self.service_place(service, published.container_port)
        return Place(host=THIS_HOST, port=port, moved=True)

    def _published_host(self, address: str) -> str:
        if address in _EVERYWHERE:
            return self.engine_host
        return self.engine_host if is_loopback(address) and address != "::1" else address


def is_loopback(host: str) -> bool:
    """Whether a name or address is the machine itself."""
    if host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _published(ports: Sequence[Port], container_port: int) -> Port | None:
    """The port's publication, one for every address of the host before one for a single address."""
    found = [port for port in ports if port.container_port == container_port and port.protocol == "tcp"]
    found = [port for port in found if port.host_port is not None]
    return min(found, key=lambda port: (":" in port.host_address, port.host_address not in _EVERYWHERE), default=None)


# --- translation -----------------------------------------------------------------------------------


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """One server of a URI as this host reaches it."""

    place: Place
    uri: Uri


def translate(uri: Uri, neighbourhood: Neighbourhood, asker: str = "") -> tuple[Reached, ...]:
    """The servers behind a URI that `asker` (a service, "" for this host) uses.

    A seed list of containers becomes one direct connection each: the members' names of a replica set mean
    nothing to this host, and a driver that is told to find the set would look for them. A list of servers
    elsewhere, and `mongodb+srv`, stay as they are.
    """
    if uri.scheme in ("mongodb+srv", "unix") or any(host.startswith("/") for host, _ in uri.hosts):
        host = uri.hosts[0][0] if uri.hosts else "/" + uri.path
        return (Reached(place=Place(host=host), uri=uri),)
    default = DEFAULT_PORTS[uri.kind]
    places = [neighbourhood.place(host, port or default, asker) for host, port in uri.hosts]
    if not any(place.moved or place.service for place in places):
        uri = _direct(uri) if len(places) == 1 and places[0].local else uri
        return (Reached(place=places[0], uri=uri),)
    return tuple(
        Reached(place=place, uri=_direct(msgspec.structs.replace(uri, hosts=((place.host, place.port),))))
        for place in dict.fromkeys(places)
    )


def _direct(uri: Uri) -> Uri:
    """To this very server, whatever set it belongs to."""
    if uri.kind != MONGODB:
        return uri
    dropped = {"replicaset", "directconnection", "loadbalanced"}
    kept = [(name, value) for name, value in uri.options if name.lower() not in dropped]
    return msgspec.structs.replace(uri, options=(*kept, ("directConnection", "true")))
