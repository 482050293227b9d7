"""Make a server that was started with --replSet the only member of its set: the one step of the guide that a program
can do for the operator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pymongo.errors import OperationFailure

from opsconsole.backups.mongo_raw import ask
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import RawClient, bulk_client
from opsconsole.sources.network import Explained
from opsconsole.text import printable

_ALREADY, _OTHER_NODE, _BAD_CONFIG = 23, 74, 93  # AlreadyInitialized, NodeNotFound, InvalidReplicaSetConfig
_SECONDS = 60.0


def initiate(
    connection: Connection, member: str, wait: Callable[[float], object] = time.sleep, seconds: float = _SECONDS
) -> str:
    """Returns the name of the set once it takes writes. Nothing is changed where it was done before.

    `member` is host and port as applications reach it. Raises Explained.
    """
    with bulk_client(connection) as client:
        name = _set_name(client)
        try:
            ask(client.admin, {"replSetInitiate": {"_id": name, "members": [{"_id": 0, "host": member}]}})
        except OperationFailure as error:
            if error.code in (_OTHER_NODE, _BAD_CONFIG):
                raise Explained(
                    f"MongoDB does not find itself under the name {printable(member)}",
                    "the server itself has to know that name and to reach it: see its host's /etc/hosts",
                ) from error
            if error.code != _ALREADY:
                raise
        until = time.monotonic() + seconds
        while not ask(client.admin, {"hello": 1}).get("isWritablePrimary"):
            if time.monotonic() > until:
                raise Explained(
                    f"the set {printable(name)} has no primary after {seconds:.0f} s", "see the log of MongoDB"
                )
            wait(0.2)
    return name


def _set_name(client: RawClient) -> str:
    options: dict[str, Any] = ask(client.admin, {"getCmdLineOpts": 1}).get("parsed", {})
    replication: dict[str, Any] = options.get("replication", {})
    name = str(replication.get("replSetName") or replication.get("replSet") or "")
    if not name:
        raise Explained(
            "MongoDB was not started as a member of a set", "start it with --replSet rs0, as the guide says, then again"
        )
    return name
