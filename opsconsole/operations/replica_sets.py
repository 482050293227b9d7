"""A standalone MongoDB of this stack on its way to a replica set of one node: what there is, and the steps by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from opsconsole.backups.replica_set_guide import Address, Standalone, guide, text
from opsconsole.model import SourceError
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.plan import shown
from opsconsole.sources.connection import Connection
from opsconsole.stack.uri import parse_uri


def guide_of(found: Scope, name: str = "", *, tls: bool = False) -> str:
    """The steps for the stack's MongoDB as text. `tls`: it was seen to speak that. Raises SourceError when there is
    none."""
    known = standalone(found, server(found, name))
    return text(guide(msgspec.structs.replace(known, tls=known.tls or tls))) + "\n"


def server(found: Scope, name: str = "") -> Connection:
    """The stack's MongoDB, or the one of that name. Raises SourceError."""
    servers = [one for one in found.connections if one.target.kind == "mongodb"]
    if not servers:
        raise SourceError("this stack has no MongoDB", "See `opsconsole status`.")
    names = ", ".join(one.target.name for one in servers)
    chosen = [one for one in servers if one.target.name == name] if name else servers
    if not chosen:
        raise SourceError(f"this stack has no MongoDB {name}", f"There are: {names}.")
    if len(chosen) > 1:
        raise SourceError(f"this stack has several MongoDB servers: {names}", "Name one: --server NAME.")
    return chosen[0]


def standalone(found: Scope, connection: Connection, *, port: int = 27017, auth: bool | None = None) -> Standalone:
    """What the guide needs to know. `port` and `auth` as the server says it, where it was asked."""
    target = connection.target
    own = parse_uri(connection.uri)
    rendered = found.look.rendered.services.get(target.service)
    addresses = tuple(_addresses(found, target.service))
    names = _names(found, target.service)
    called = Counter(one.host for one in addresses if one.host.lower() in names)
    return Standalone(
        service=target.service,
        host=called.most_common(1)[0][0] if called else "",
        port=port,
        command=rendered.command if rendered is not None else (),
        auth=bool(own and own.user) if auth is None else auth,
        tls=own is not None and any(name.lower() in ("tls", "ssl") and value == "true" for name, value in own.options),
        compose=shown(found.look.compose) if found.look.compose else "docker compose",
        compose_file=found.stack.compose_files[0] if found.stack.compose_files else "compose.yaml",
        addresses=addresses,
    )


def _addresses(found: Scope, service: str) -> Iterator[Address]:
    """How the services of the stack reach this MongoDB, by their variables. What leads to another service is none."""
    others = [one for one in found.look.rendered.services if one != service]
    elsewhere = frozenset(name for one in others for name in _names(found, one))
    for one in found.look.rendered.services.values():
        for variable, value in one.environment.items():
            uri = parse_uri(value)
            if uri is not None and uri.kind == "mongodb" and one.name != service:
                host, port = uri.hosts[0] if uri.hosts else ("", 0)
                where = f"{variable} of service {one.name}"
                if host.lower() not in elsewhere:
                    yield Address(where=where, host=host, port=port or 27017, options=uri.options)


def _names(found: Scope, service: str) -> frozenset[str]:
    """What the containers of the stack may call a service."""
    rendered = found.look.rendered.services.get(service)
    more = (*rendered.aliases, rendered.hostname, rendered.container_name) if rendered is not None else ()
    containers = (one.name for one in found.look.containers if one.service == service)
    return frozenset(name.lower() for name in (service, *more, *containers) if name)
