"""A connection that can be cut, hung and restored: faults are made at a real one, to an engine or to a database."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.parts.servers import LOCAL, free_port


class Proxy:
    """Passes everything between a Unix socket of its own and the engine's, until it is told not to."""

    def __init__(self, target: str, path: Path) -> None:
        """`target` is the path of the engine's socket. `path` is short: a socket's path has 107 characters at most."""
        self.target, self.path = target, path
        self._through = threading.Event()
        self._through.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._passed = 0
        self._then: tuple[int, Callable[[], object]] | None = None
        self.restore()

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.path}"

    def cut(self) -> None:
        """As when the engine stops: the socket's file is there, nobody listens, every connection ends."""
        with self._lock:
            if self._listener is not None:
                # Wakes the thread that waits in accept(); closing alone does not.
                with contextlib.suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def hang(self) -> None:
        """As when the engine hangs: it is connected to, and never a byte comes back."""
        self._through.clear()

    def restore(self) -> None:
        """All is well again; what was held back goes on."""
        self._through.set()
        with self._lock:
            if self._listener is None:
                self._listener = self._listening()
                self._listener.listen(64)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def after(self, passed: int, then: Callable[[], object]) -> None:
        """Do something once, as soon as so many bytes have come from the server from now on."""
        with self._lock:
            self._passed, self._then = 0, (passed, then)

    def close(self) -> None:
        self._through.set()
        self.cut()
        self.path.unlink(missing_ok=True)

    def _listening(self) -> socket.socket:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        return listener

    def _connected(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        return server

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as held:
            held.enter_context(contextlib.suppress(OSError))
            held.enter_context(client)
            self._through.wait()
            server = held.enter_context(self._connected())
            with self._lock:
                if self._listener is None:
                    return
                self._open |= {client, server}
            try:
                self._shuttle(client, server)
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _count(self, size: int) -> None:
        with self._lock:
            self._passed += size
            if self._then is None or self._passed < self._then[0]:
                return
            (_, then), self._then = self._then, None
        then()

    def _shuttle(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        reading = {client, server}
        while reading:
            ready, _, _ = select.select(list(reading), [], [])
            self._through.wait()
            for one in ready:
                data = one.recv(65536)
                if data:
                    if one is server:
                        self._count(len(data))
                    other[one].sendall(data)
                else:  # one direction has ended; a shell's input ends before its output
                    reading.discard(one)
                    with contextlib.suppress(OSError):
                        other[one].shutdown(socket.SHUT_WR)


class TcpProxy(Proxy):
    """The same in front of a port of this host, at a port of its own."""

    def __init__(self, to: int) -> None:
        self.to, self.port = to, free_port()
        super().__init__("", Path("/nowhere"))

    def _listening(self) -> socket.socket:
        return socket.create_server((LOCAL, self.port))

    def _connected(self) -> socket.socket:
        return socket.create_connection((LOCAL, self.to))


def socket_of(docker_host: str) -> str:
    """The path in a DOCKER_HOST that is a Unix socket."""
    assert docker_host.startswith("unix://"), docker_host
    return os.path.realpath(docker_host.removeprefix("unix://"))
