"""A MongoDB becomes the only member of its set, once it was started with --replSet; and a standalone one forgets the
set that it was a member of: as long as it remembers, nothing that expires is removed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from pymongo.errors import OperationFailure

from opsconsole.backups.mongo_raw import ask
from opsconsole.model import Record
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import RawClient, bulk_client
from opsconsole.sources.network import Explained
from opsconsole.text import printable

_ALREADY, _OTHER_NODE, _BAD_CONFIG = 23, 74, 93  # AlreadyInitialized, NodeNotFound, InvalidReplicaSetConfig
_SECONDS = 60.0
_OF_A_SET = frozenset({"system.replset", "oplog.rs"})
_ROLE = "opsconsoleForgetsSet"
_ROLE_EXISTS = 51002


class ServerState(Record, frozen=True):
    """What a server says of itself."""

    started_for: str = ""  # the set that its options name
    member_of: str = ""  # the set that it is a member of
    members: tuple[str, ...] = ()  # host:port of each
    port: int = 27017
    auth: bool = False
    key_file: bool = False
    tls: str = ""  # its mode, "" where it speaks none
    may_initiate: bool = True


def state_of(connection: Connection) -> ServerState:
    """Ask a server. Raises Explained, also when it does not tell this user how it was started."""
    with bulk_client(connection) as client:
        hello = ask(client.admin, {"hello": 1})
        try:
            parsed: dict[str, Any] = ask(client.admin, {"getCmdLineOpts": 1}).get("parsed", {})
        except OperationFailure as error:
            raise Explained(
                "MongoDB does not tell this user how it was started", "log in as root, or give the user clusterAdmin"
            ) from error
        security: dict[str, Any] = parsed.get("security", {})
        auth = security.get("authorization") == "enabled" or bool(security.get("keyFile"))
        return ServerState(
            started_for=_name_in(parsed),
            member_of=str(hello.get("setName") or ""),
            members=tuple(str(one) for one in hello.get("hosts") or ()),
            port=int(parsed.get("net", {}).get("port") or 27017),
            auth=auth,
            key_file=bool(security.get("keyFile")),
            tls=_tls_of(parsed.get("net", {})),
            may_initiate=not auth or _may_initiate(client),
        )


def knock(connection: Connection) -> None:
    """Raises Explained for a server that does not answer, or does not let us in."""
    with bulk_client(connection):
        pass


def remembers(connection: Connection) -> bool:
    """Whether a standalone server keeps something of a set. Raises Explained while it is a member of one."""
    with bulk_client(connection) as client:
        return _remembers(client)


def forget(connection: Connection) -> None:
    """Remove what a standalone server keeps of its set: its list of members, its oplog. It has to be started anew then.

    Not even root may do that: where there are passwords, the user has a role for it for a moment. Raises Explained.
    """
    with bulk_client(connection) as client:
        if not _remembers(client):
            return
        with _allowed(client):
            ask(client.local, {"delete": "system.replset", "deletes": [{"q": {}, "limit": 0}]})
            ask(client.local, {"dropDatabase": 1})


def initiate(
    connection: Connection,
    member: str,
    wait: Callable[[float], object] = time.sleep,
    seconds: float = _SECONDS,
    initiated: Callable[[], object] = lambda: None,
) -> str:
    """Returns the name of the set once it takes writes. Nothing is changed where it was done before.

    `member` is host and port as applications reach it; `initiated` is called before the wait. Raises Explained.
    """
    with bulk_client(connection) as client:
        name = _set_name(client)
        try:
            ask(client.admin, {"replSetInitiate": {"_id": name, "members": [{"_id": 0, "host": member}]}})
        except OperationFailure as error:
            if error.code in (_OTHER_NODE, _BAD_CONFIG):
                raise Explained(
                    f"MongoDB does not find itself under the name {printable(member)}",
                    "the server itself has to know that name and to reach it: see its host's /etc/hosts; with TLS its "
                    "certificate has to have it",
                ) from error
            if error.code != _ALREADY:
                raise
        initiated()
        until = time.monotonic() + seconds
        while not ask(client.admin, {"hello": 1}).get("isWritablePrimary"):
            if time.monotonic() > until:
                raise Explained(
                    f"the set {printable(name)} has no primary after {seconds:.0f} s", "see the log of MongoDB"
                )
            wait(0.2)
    return name


def _set_name(client: RawClient) -> str:
    name = _name_in(ask(client.admin, {"getCmdLineOpts": 1}).get("parsed", {}))
    if not name:
        raise Explained(
            "MongoDB was not started as a member of a set", "start it with --replSet rs0, as the guide says, then again"
        )
    return name


def _remembers(client: RawClient) -> bool:
    hello = ask(client.admin, {"hello": 1})
    if hello.get("setName") or hello.get("isreplicaset"):
        raise Explained("MongoDB is still a member of its set", "start it without --replSet first")
    names = ask(client.local, {"listCollections": 1, "nameOnly": True})["cursor"]["firstBatch"]
    return not _OF_A_SET.isdisjoint(str(one["name"]) for one in names)


@contextlib.contextmanager
def _allowed(client: RawClient) -> Iterator[None]:
    users = ask(client.admin, {"connectionStatus": 1}).get("authInfo", {}).get("authenticatedUsers", [])
    if not users:
        yield
        return
    privileges = [
        {"resource": {"db": "local", "collection": ""}, "actions": ["dropDatabase"]},
        {"resource": {"db": "local", "collection": "system.replset"}, "actions": ["find", "remove"]},
    ]
    try:
        ask(client.admin, {"createRole": _ROLE, "privileges": privileges, "roles": []})
    except OperationFailure as error:
        if error.code != _ROLE_EXISTS:  # of a run that was killed
            raise
    try:
        for one in users[:1]:
            grant = {"grantRolesToUser": one["user"], "roles": [{"role": _ROLE, "db": "admin"}]}
            ask(client[str(one["db"])], grant)
        yield
    finally:
        ask(client.admin, {"dropRole": _ROLE})


def _name_in(parsed: dict[str, Any]) -> str:
    replication: dict[str, Any] = parsed.get("replication", {})
    return str(replication.get("replSetName") or replication.get("replSet") or "")


def _tls_of(net: dict[str, Any]) -> str:
    mode = str(net.get("tls", net.get("ssl", {})).get("mode") or "")
    return "" if mode == "disabled" else mode


def _may_initiate(client: RawClient) -> bool:
    status = ask(client.admin, {"connectionStatus": 1, "showPrivileges": True})
    privileges = status.get("authInfo", {}).get("authenticatedUserPrivileges", [])
    return any("replSetConfigure" in one.get("actions", ()) for one in privileges)
