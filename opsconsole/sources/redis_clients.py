"""The clients of a Redis: who is connected, and one of them disconnected.

Importing this module imports redis-py (about 0.1 s).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redis.exceptions import ResponseError

from opsconsole.database_work import RedisClient
from opsconsole.model import SourceError

OWN_NAME = "opsconsole"
"""What our connections call themselves in CLIENT LIST, for whoever looks there, and so that none of them is ended."""

Ask = Callable[..., Any]
"""The words of a command -> its answer, texts as bytes."""

_KINDS = (("S", "replica"), ("M", "master"), ("O", "monitor"), ("P", "pubsub"), ("b", "blocked"))
"""Flags of CLIENT LIST that say what a connection is for, what matters most first."""


def introduce(connection: Any) -> None:
    """For `redis_connect_func`: log in, then say who we are; where that is forbidden, nobody is told.
    That a password is wanted is raised here, as the first command would."""
    connection.on_connect()
    connection.send_command("CLIENT", "SETNAME", OWN_NAME, check_health=False)
    with contextlib.suppress(ResponseError):
        connection.read_response()


def clients(listed: str) -> tuple[RedisClient, ...]:
    """From the text of CLIENT LIST, who holds most memory first."""
    rows = (dict(pair.partition("=")[::2] for pair in line.split()) for line in listed.splitlines())
    return tuple(sorted((_client(row) for row in rows if row), key=lambda one: -(one.memory_bytes or 0)))


def why_not(one: RedisClient) -> str:
    """Why a client is not ended from here, "" where it may be."""
    if one.kind in ("replica", "master"):
        return f"it is a {one.kind}: ending it breaks the replication, and it connects again at once"
    return "it is a connection of opsconsole" if one.name == OWN_NAME else ""


def end(known: RedisClient, ask: Ask) -> str:
    """End one client if it is still the one that was seen. Says what became of it. Raises SourceError."""
    now = _find(known, ask)
    if now is None:
        raise SourceError(
            f"the client {known.id} at {known.address} is gone, or its number is another one's by now",
            "Nothing was ended. Look again at who is connected.",
        )
    if refused := why_not(now):
        raise SourceError(f"the client {known.id} at {known.address} is left alone: {refused}")
    # Both filters must fit, in one command: the number alone may be given again after a restart of the server.
    ended = int(ask("CLIENT", "KILL", "ID", known.id, "ADDR", known.address, "SKIPME", "yes"))
    if not ended:
        raise SourceError(f"the client {known.id} at {known.address} went by itself", "Nothing was ended.")
    return "it is disconnected" if _find(known, ask) is None else "it was told to go, and does once it has its answer"


def _find(known: RedisClient, ask: Ask) -> RedisClient | None:
    listed: bytes = ask("CLIENT", "LIST")
    same = (known.id, known.address)
    return next((one for one in clients(listed.decode("utf-8", "replace")) if (one.id, one.address) == same), None)


def _client(row: Mapping[str, str]) -> RedisClient:
    return RedisClient(
        id=row.get("id", ""),
        address=row.get("addr", ""),
        name=row.get("name", "") or row.get("user", ""),
        kind=_kind(row.get("flags", "")),
        age_seconds=float(_number(row.get("age")) or 0),
        idle_seconds=float(_number(row.get("idle")) or 0),
        database=_number(row.get("db")) or 0,
        command=row.get("cmd", "").replace("|", " "),
        memory_bytes=_number(row.get("tot-mem")),
        output_bytes=_number(row.get("omem")),
    )


def _kind(flags: Iterable[str]) -> str:
    return next((kind for flag, kind in _KINDS if flag in flags), "")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None
