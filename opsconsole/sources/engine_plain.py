"""Asks an engine on a plain socket without the SDK, whose import alone takes longer than everything else until the
containers are on the screen (90 ms of CPU), and whose answers take ten times as long as these (2.5 ms to 0.3 ms).

HTTP/1.0, one connection a question: nothing to keep, nothing chunked, the answer ends where the connection does.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from opsconsole.sources.engine_address import Address

_CHUNK = 256 * 1024
_BUSY_SECONDS = 0.01


class Refused(Exception):
    """The answer has another status. `explanation` is the engine's own message, "" when it gives none."""

    def __init__(self, status_code: int, text: str) -> None:
        super().__init__(f"{status_code} {text}")
        self.status_code = status_code
        self.text = text
        self.explanation = _message(text)

    @property
    def response(self) -> Refused:
        """As the exceptions of the SDK carry it."""
        return self


def is_plain(address: Address) -> bool:
    """Whether this address needs neither TLS nor SSH."""
    return address.tls is None and address.host.startswith(("unix://", "tcp://", "http://"))


def get(address: Address, path: str, params: Mapping[str, Any] | None, timeout: float) -> tuple[Any, str]:
    """The JSON answer of a GET, and the engine's API version ("" when it names none). Waits `timeout` seconds for each
    part of the answer. Raises Refused, OSError, or ValueError when this is no answer of an engine."""
    target = f"{path}?{urlencode(params)}" if params else path
    request = f"GET {target} HTTP/1.0\r\nHost: docker\r\nUser-Agent: opsconsole\r\n\r\n".encode("ascii")
    with contextlib.closing(_connect(address, timeout)) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(_CHUNK):
            pieces.append(piece)
    status, headers, body = _split(b"".join(pieces))
    version = headers.get("api-version", "")
    if status == 200:
        if not version:
            raise ValueError("it names no API version")
        return msgspec.json.decode(body), version
    if status == 404 and not version:
        raise ValueError("it does not know what an engine knows")
    raise Refused(status, body.decode("utf-8", "replace"))


def _connect(address: Address, timeout: float) -> socket.socket:
    if not address.socket:
        parts = urlsplit(address.host)
        return socket.create_connection((parts.hostname or "localhost", parts.port or 2375), timeout)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    end = time.monotonic() + timeout
    try:
        while True:
            try:
                connection.connect(address.socket)
                return connection
            except BlockingIOError:
                # The engine's queue of new connections is full; a Unix socket says so at once.
                if time.monotonic() > end:
                    raise TimeoutError from None
                time.sleep(_BUSY_SECONDS)
    except BaseException:
        connection.close()
        raise


def _split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in small letters) and body."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        if not answer:
            raise ConnectionResetError("it ended the connection without an answer")
        raise _no_http()
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():
        raise _no_http()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "chunked" in headers.get("transfer-encoding", "").lower():
        from opsconsole.sources.log_lines import Dechunker

        body = Dechunker().feed(body)  # a proxy that answers in HTTP/1.1
    elif len(body) < int(headers.get("content-length") or 0):
        raise ConnectionResetError("it ended the connection in the middle of an answer")
    return int(words[1]), headers, body


def _no_http() -> Exception:
    from http.client import BadStatusLine  # as the SDK has it; too dear for every start

    return BadStatusLine("no HTTP")


def _message(body: str) -> str:
    try:
        return str(msgspec.json.decode(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""
