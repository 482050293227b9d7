"""A marker that is written into a throw-away twin of a database server and looked for after the twin's restart.

The twin runs the same image, and keeps its data by the same settings, as the live server does. That one is not touched.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from opsconsole.model import Record, SourceError
from opsconsole.sources.connection import Connection
from opsconsole.sources.throwaway import Waiting, Wanted, patient, throwaway

ROOM = 1 << 29
"""Bytes that an empty mongod takes on its disk, with its journal, and some more."""

_NAME = "opsconsole_marker"


class Twin(Record, frozen=True):
    """`survived` is None when nothing could be tried here, which says nothing against the server."""

    survived: bool | None = None
    way: str = ""  # "a container of mongo:6.0"
    seconds: float = 0.0  # of the restart
    problem: str = ""
    hint: str = ""


def survives_restart(wanted: Wanted, scratch: Path, waiting: Waiting = patient) -> Twin:
    """Start a twin, write, restart, look; it is gone afterwards. Never raises, but what `waiting` raises."""
    marker = secrets.token_hex(16)
    try:
        with throwaway(wanted, scratch, waiting) as server:
            _write(server.connection, marker)
            begun = time.monotonic()
            server.restart(waiting)
            seconds = time.monotonic() - begun
            found = _read(server.connection)
            return Twin(survived=found == marker, way=server.words, seconds=seconds)
    except SourceError as error:
        return Twin(problem=error.problem, hint=error.hint)


def _write(connection: Connection, marker: str) -> None:
    if connection.target.kind == "redis":
        from opsconsole.backups.redis_link import linked

        with linked(connection.uri) as link:
            link.command("SET", _NAME, marker)
        return
    from opsconsole.backups.mongo_raw import ask
    from opsconsole.sources.mongo_bulk import bulk_client

    with bulk_client(connection) as client:
        ask(client[_NAME], {"insert": _NAME, "documents": [{"_id": marker}], "writeConcern": {"w": 1}})


def _read(connection: Connection) -> str:
    """The marker that is there, "" for none."""
    if connection.target.kind == "redis":
        from opsconsole.backups.redis_link import linked

        with linked(connection.uri) as link:
            return (link.command("GET", _NAME) or b"").decode("ascii", "replace")
    from opsconsole.backups.mongo_raw import ask
    from opsconsole.sources.mongo_bulk import bulk_client

    with bulk_client(connection) as client:
        found = ask(client[_NAME], {"find": _NAME, "limit": 1})["cursor"]["firstBatch"]
        return str(found[0]["_id"]) if found else ""
