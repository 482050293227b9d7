"""A registry on loopback, to which a real engine pushes and which it asks: what the protocol needs of it, in memory."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PATH = re.compile(
    r"/v2/(?P<name>[a-z0-9/_.-]+)/(?P<kind>manifests|blobs/uploads|blobs)/(?P<what>[^?]*)(?:\?(?P<query>.*))?"
)


class Registry(ThreadingHTTPServer):
    """Blobs by digest; manifests by name and tag, and by name and digest."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}

    @property
    def place(self) -> str:
        """What stands before the name of an image: `127.0.0.1:5000`."""
        return f"127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        found = _PATH.fullmatch(self.path)
        if self.path == "/v2/":
            return self._answer(200)
        kind, held = "", b""
        if found and found["kind"] == "manifests":
            kind, held = self.server.manifests.get((found["name"], found["what"]), ("", b""))
        elif found and found["kind"] == "blobs":
            kind, held = "application/octet-stream", self.server.blobs.get(found["what"], b"")
        if not held:
            unknown = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
            return self._answer(404, unknown, **{"Content-Type": "application/json"})
        return self._answer(200, held, **{"Content-Type": kind, "Docker-Content-Digest": _digest(held)})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        found = _PATH.fullmatch(self.path)
        assert found and found["kind"] == "blobs/uploads", self.path
        self._go_on(found["name"], uuid.uuid4().hex, b"")

    def do_PATCH(self) -> None:
        found = _PATH.fullmatch(self.path)
        assert found, self.path
        self._go_on(found["name"], found["what"], self.server.uploads[found["what"]] + self._body())

    def do_PUT(self) -> None:
        found, body = _PATH.fullmatch(self.path), self._body()
        assert found, self.path
        if found["kind"] == "blobs/uploads":
            body = self.server.uploads.pop(found["what"]) + body
            self.server.blobs[_digest(body)] = body
        else:
            for name in (found["what"], _digest(body)):
                self.server.manifests[found["name"], name] = (self.headers["Content-Type"], body)
        self._answer(201, **{"Docker-Content-Digest": _digest(body)})

    def _go_on(self, name: str, upload: str, held: bytes) -> None:
        self.server.uploads[upload] = held
        place, received = f"/v2/{name}/blobs/uploads/{upload}", f"0-{max(0, len(held) - 1)}"
        self._answer(202, Location=place, Range=received, **{"Docker-Upload-UUID": upload})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Docker-Distribution-API-Version": "registry/2.0", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
