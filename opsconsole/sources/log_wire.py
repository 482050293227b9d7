"""How a log stream is asked for: over the engine's socket by hand, or through the Docker SDK for TLS and SSH.

Plain HTTP/1.0 over a socket of our own, because two reads a line is what makes the SDK's iterator slow, and
because one thread can then serve every container. HTTP/1.0 keeps the engine from chunking its answer.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from opsconsole.model import SourceError
from opsconsole.sources.engine_address import DEFAULT_SOCKET, TlsFiles, resolve
from opsconsole.text import mask_uri, printable

_MOST_HEAD = 64 * 1024


class Dialer(Protocol):
    @property
    def endpoint(self) -> str: ...

    def dial(self, container: str, query: Mapping[str, str]) -> tuple[socket.socket, bytes]:
        """A non-blocking socket (perhaps still connecting) and the request to write to it."""
        ...

    def hang_up(self, connection: socket.socket) -> None: ...


def dialer_for(docker_host: str | None) -> Dialer:
    """The way to the engine at this address (None: where `docker` finds it). SourceError when that is no address."""
    address = resolve(docker_host)
    if address.socket:
        return PlainDialer(address.shown, unix_path=address.socket)
    parts = urlsplit(address.host)
    if parts.scheme in ("tcp", "http") and address.tls is None:
        return PlainDialer(address.shown, address=(parts.hostname or "localhost", parts.port or 2375))
    return SdkDialer(address.host, address.tls)


class EngineDialer:
    """The engine as `docker` finds it, looked for at the first question and until one is there to be asked."""

    def __init__(self, docker_host: str | None) -> None:
        self._docker_host = docker_host
        self._dialer: Dialer | None = None

    @property
    def endpoint(self) -> str:
        if self._dialer is not None:
            return self._dialer.endpoint
        named = self._docker_host or os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET
        return printable(mask_uri(named))

    def dial(self, container: str, query: Mapping[str, str]) -> tuple[socket.socket, bytes]:
        """OSError when the engine is not there, or when its address is none."""
        try:
            dialer = self._dialer or dialer_for(self._docker_host)
        except SourceError as error:
            raise OSError(errno.EINVAL, error.problem) from None
        answer = dialer.dial(container, query)
        self._dialer = dialer
        return answer

    def hang_up(self, connection: socket.socket) -> None:
        if self._dialer:
            self._dialer.hang_up(connection)


class PlainDialer:
    """Unix sockets and plain TCP."""

    def __init__(self, endpoint: str, *, unix_path: str = "", address: tuple[str, int] | None = None) -> None:
        self.endpoint = endpoint
        self._unix_path = unix_path
        self._address = address
        self._resolved: list[tuple[Any, ...]] = []

    def dial(self, container: str, query: Mapping[str, str]) -> tuple[socket.socket, bytes]:
        """OSError when the engine is not there."""
        request = (
            f"GET /containers/{quote(container, safe='')}/logs?{urlencode(query)} HTTP/1.0\r\n"
            f"Host: docker\r\nUser-Agent: opsconsole\r\n\r\n"
        )
        family, where = self._where()
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(where)
        except BlockingIOError as waiting:
            if family == socket.AF_UNIX:
                # The engine's queue of new connections is full: this is not "in progress".
                connection.close()
                raise InterruptedError("the engine is busy") from waiting
        except BaseException:
            connection.close()
            raise
        return connection, request.encode("ascii")

    def hang_up(self, connection: socket.socket) -> None:
        connection.close()

    def _where(self) -> tuple[int, Any]:
        if self._address is None:
            return socket.AF_UNIX, self._unix_path
        if not self._resolved:
            self._resolved = [*socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)]
        return self._resolved[0][0], self._resolved[0][4]


class SdkDialer:
    """TLS and SSH: the SDK reads, on a thread a container, and hands on what it got in the engine's own form."""

    def __init__(self, endpoint: str, tls: TlsFiles | None = None) -> None:
        self.endpoint = endpoint
        self._tls = tls
        self._streams: dict[socket.socket, Any] = {}

    def dial(self, container: str, query: Mapping[str, str]) -> tuple[socket.socket, bytes]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        arguments = (ours, theirs, container, dict(query))
        threading.Thread(target=self._pump, args=arguments, name="logs-sdk", daemon=True).start()
        return ours, b""

    def hang_up(self, connection: socket.socket) -> None:
        connection.close()
        stream = self._streams.pop(connection, None)
        if stream is not None:
            stream.close()  # its thread waits in a read: this wakes it

    def _pump(self, ours: socket.socket, out: socket.socket, container: str, query: dict[str, str]) -> None:
        import docker
        import docker.errors

        with out:
            try:
                client = docker.DockerClient(
                    base_url=self.endpoint, tls=self._tls.for_sdk() if self._tls else False, timeout=10
                )
                try:
                    self._copy(client.api, ours, out, container, query)
                finally:
                    client.close()
            except docker.errors.APIError as error:
                body = json.dumps({"message": error.explanation or str(error)})
                _send(out, f"HTTP/1.0 {error.status_code or 500} -\r\n\r\n{body}".encode())
            except (OSError, docker.errors.DockerException) as error:
                _send(out, f"HTTP/1.0 599 -\r\n\r\n{json.dumps({'message': str(error)})}".encode())

    def _copy(self, api: Any, ours: socket.socket, out: socket.socket, container: str, query: dict[str, str]) -> None:
        tty = api.inspect_container(container)["Config"]["Tty"]
        options: dict[str, Any] = {"follow": query.get("follow") == "1"}
        if "since" in query:
            options["since"] = float(query["since"])
        tail = query.get("tail", "all")
        options["tail"] = int(tail) if tail.isdigit() else "all"
        stream = api.logs(container, stdout=True, stderr=True, stream=True, timestamps=True, **options)
        self._streams[ours] = stream
        try:
            out.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            for payload in stream:
                # The SDK does not say which stream a payload came from.
                out.sendall(payload if tty else b"\x01\0\0\0" + len(payload).to_bytes(4, "big") + payload)
        except (OSError, ValueError):
            if ours.fileno() >= 0:
                raise  # not hung up: the connection broke
        finally:
            self._streams.pop(ours, None)
            stream.close()


def _send(out: socket.socket, data: bytes) -> None:
    try:
        out.sendall(data)
    except OSError:
        return  # nobody listens any more


class AnswerHead:
    """Collects an HTTP answer's head. `status` is 0 until it is complete."""

    def __init__(self) -> None:
        self._buffer = b""
        self.status = 0
        self.chunked = False

    def feed(self, data: bytes) -> bytes:
        """The bytes behind the head, if these completed it. ValueError when this is no HTTP."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > _MOST_HEAD or not b"HTTP/".startswith(self._buffer[:5]):
                raise ValueError("no HTTP answer")
            return b""
        first, *headers = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():
            raise ValueError("no HTTP answer")
        for header in headers:
            name, _, value = header.partition(":")
            if name.strip().lower() == "transfer-encoding":
                self.chunked = "chunked" in value.lower()
        self._buffer = b""
        self.status = int(words[1])
        return body


def refusal(body: bytes) -> str:
    """The engine's message in the body of an error answer, in one line."""
    try:
        message = json.loads(body).get("message", "")
    except (ValueError, AttributeError):
        message = body.decode("utf-8", "replace")
    return " ".join(str(message).split())[:300]
