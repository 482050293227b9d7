"""What a standalone MongoDB of this stack needs to be a replica set of one node: the steps, and the last of them."""

from __future__ import annotations

from opsconsole.backups.replica_set_guide import Address, Standalone, guide, member, text
from opsconsole.model import SourceError
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.plan import shown
from opsconsole.operations.saving import reachable
from opsconsole.sources.connection import Connection
from opsconsole.stack.uri import parse_uri


def guide_of(found: Scope) -> str:
    """The steps for the stack's MongoDB as text. Raises SourceError when there is none."""
    return text(guide(_standalone(found, _server(found)))) + "\n"


def initiate(found: Scope) -> str:
    """Make the server a set, when it was started for it; returns the name of the set. Raises SourceError."""
    from opsconsole.backups.replica_set_making import initiate as make

    connection = _server(found)
    return make(reachable(connection), member(_standalone(found, connection)))


def _server(found: Scope) -> Connection:
    servers = [one for one in found.connections if one.target.kind == "mongodb"]
    if not servers:
        raise SourceError("this stack has no MongoDB", "See `opsconsole status`.")
    return servers[0]


def _standalone(found: Scope, connection: Connection) -> Standalone:
    target = connection.target
    own = parse_uri(connection.uri)
    rendered = found.look.rendered.services.get(target.service)
    names = {service.name: service.environment for service in found.look.rendered.services.values()}
    addresses = []
    for name, environment in names.items():
        for variable, value in environment.items():
            uri = parse_uri(value)
            if uri is not None and uri.kind == "mongodb" and name != target.service:
                host, port = uri.hosts[0] if uri.hosts else ("", 0)
                where = f"{variable} of service {name}"
                addresses.append(Address(where=where, host=host, port=port or 27017, options=uri.options))
    return Standalone(
        service=target.service,
        command=rendered.command if rendered is not None else (),
        auth=bool(own and own.user),
        compose=shown(found.look.compose) if found.look.compose else "docker compose",
        compose_file=found.stack.compose_files[0] if found.stack.compose_files else "compose.yaml",
        addresses=tuple(addresses),
    )
