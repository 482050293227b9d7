"""One connection to a Redis server for bulk data: commands, many at a time, and what failed in plain words.

Importing this module imports redis-py (about 0.1 s).
"""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, UnixDomainSocketConnection, parse_url
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from opsconsole.model import SourceError
from opsconsole.sources.network import explain, place_of, secrets_of, user_of
from opsconsole.sources.redis_clients import introduce
from opsconsole.text import mask_text, printable

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
"""A server that saves sends a line feed every ten seconds; one that is silent for longer than this hangs."""
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 4,
    socket.TCP_USER_TIMEOUT: 30_000,
}
"""Seconds, seconds, times, milliseconds: a way to a silent server that is cut is found after 30 s, while the server may
take its time. Nothing asks whether it lives while something sent was not yet confirmed, hence the last one."""

_PIECE = 1 << 16

Word = bytes | str | int


class RedisLink:
    """Answers are bytes, integers, lists of those, None, or a ResponseError among the answers of `many`."""

    def __init__(self, uri: str, connection: Any) -> None:
        self.uri = uri
        self._connection = connection

    def command(self, *words: Word) -> Any:
        """One command. Raises redis-py's ResponseError."""
        self._connection.send_command(*words, check_health=False)
        return self._connection.read_response()

    def many(self, commands: Iterable[Sequence[Word]]) -> list[Any]:
        """Commands sent together; an error stands in its place among the answers."""
        packed = [_packed(words) for words in commands]
        self._connection.send_packed_command([b"".join(packed)], check_health=False)
        answers: list[Any] = []
        for _ in packed:
            try:
                answers.append(self._connection.read_response(disconnect_on_error=True))
            except ResponseError as error:
                answers.append(error)
        return answers

    def many_lines(self, commands: Iterable[Sequence[Word]]) -> list[ResponseError | None]:
        """As `many`, for commands that answer with OK or an error, each one line: None for OK.

        Read past redis-py's parser, which takes as long for an answer as the server takes for RESTORE.
        """
        packed = [_packed(words) for words in commands]
        self._connection.send_packed_command([b"".join(packed)], check_health=False)
        stream = self.socket()
        pieces: list[bytes] = []
        missing = len(packed)
        while missing:
            piece = stream.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("Redis closed the connection")
            missing -= piece.count(b"\n")
            pieces.append(piece)
        lines = b"".join(pieces).split(b"\r\n")[: len(packed)]
        return [None if line[:1] == b"+" else ResponseError(line[1:].decode("utf-8", "replace")) for line in lines]

    def socket(self) -> Any:
        """What lies below, for answers that redis-py does not read: all that it waits for must have come."""
        return self._connection._sock

    def info(self) -> dict[str, str]:
        """INFO as a flat mapping."""
        text = self.command("INFO", "everything").decode("utf-8", "replace")
        pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
        return {name: value for name, colon, value in pairs if colon}

    def setting(self, name: str) -> str:
        """CONFIG GET; "" where it is forbidden or not known."""
        try:
            answer = self.command("CONFIG", "GET", name)
        except (NoPermissionError, ResponseError):
            return ""
        return answer[1].decode("utf-8", "replace") if len(answer) > 1 else ""

    def has_database(self, number: int) -> bool:
        """Whether the server has one of this number; it is selected then."""
        try:
            self.command("SELECT", number)
        except ResponseError as error:
            if "out of range" not in str(error):
                raise
            return False
        return True

    def sizes(self) -> dict[int, int]:
        """Keys of each database that is not empty, those included that have expired and were not yet removed."""
        answer = self.command("INFO", "keyspace").decode()
        rows = (line.partition(":") for line in answer.splitlines() if line.startswith("db"))
        return {int(name[2:]): int(value.partition("=")[2].partition(",")[0]) for name, _, value in rows}


@contextmanager
def linked(uri: str) -> Iterator[RedisLink]:
    """A connection that is logged in. What goes wrong on it comes out as a SourceError that holds no secret."""
    connection = None
    try:
        connection = _open(uri)
        yield RedisLink(uri, connection)
    except (RedisError, OSError, ValueError) as error:
        raise explained(error, uri) from None
    finally:
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.disconnect()


def explained(error: Exception, uri: str) -> SourceError:
    """What an error of a client means."""
    place = printable(place_of(uri))
    if isinstance(error, NoPermissionError):
        user = printable(user_of(uri) or "default")
        return SourceError(
            f"Redis at {place}: user {user} may not do that: {_said(error, uri)}", "allow it: ACL SETUSER"
        )
    if isinstance(error, AuthenticationError):
        return SourceError(f"Redis at {place} refuses the password", "compare the env file with requirepass")
    if isinstance(error, ResponseError):
        return SourceError(f"Redis at {place} answered with an error: {_said(error, uri)}", "see its log")
    return explain(error, "Redis", place, "")


def _said(error: Exception, uri: str) -> str:
    return mask_text(printable(str(error)), secrets_of(uri))[:200]


def _open(uri: str) -> Any:
    options: dict[str, Any] = dict(parse_url(uri))  # type: ignore[no-untyped-call]
    options.pop("db", None)
    kind = options.pop("connection_class", Connection)
    options |= {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": introduce,
    }
    if kind is not UnixDomainSocketConnection:
        options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    try:
        return _connected(kind, options)
    except AuthenticationError as error:
        if "without any password configured" not in str(error) and "no password is set" not in str(error):
            raise
        return _connected(kind, {key: value for key, value in options.items() if key not in ("username", "password")})


def _connected(kind: Any, options: dict[str, Any]) -> Any:
    connection = kind(**options)
    try:
        connection.connect()
    except BaseException:
        connection.disconnect()
        raise
    return connection


def _packed(words: Sequence[Word]) -> bytes:
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        pieces.append(b"$%d\r\n%b\r\n" % (len(word), word) if isinstance(word, bytes) else _packed_text(word))
    return b"".join(pieces)


@functools.lru_cache(maxsize=256)
def _packed_text(word: str | int) -> bytes:
    """Of the words of RESTORE three in five are always the same."""
    data = str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
