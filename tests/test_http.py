"""Health addresses, asked over real sockets: servers that answer, fail, hang, drip or speak something else."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opsconsole.model import Container, Endpoint, Probe, Stack
from opsconsole.sources.http import HttpProbes
from tests.parts.machine import wait_until
from tests.parts.servers import Server, free_port


class Site:
    """An HTTP server whose answers a test decides: `answers` maps a path to a status; others get 404."""

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None, **answers: int) -> None:
        self.answers: dict[str, int] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.wait = 0.0
        self.body = b"ok"
        self.finished = False
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.headers.append({name.lower(): value for name, value in self.headers.items()})
                time.sleep(site.wait)
                self.send_response(site.answers.get(self.path, 404))
                self.send_header("Location", "/elsewhere")
                self.send_header("Set-Cookie", "session=1")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(site.body)
                    site.finished = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def start(answers: dict[str, int] | None = None, **options: Any) -> Site:
        made.append(Site(**options))
        made[-1].answers = answers or {}
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def tcp() -> Iterator[Callable[[Callable[[socket.socket], object]], int]]:
    """Starts TCP servers: what a function does with a connection. The port comes back."""
    listeners: list[socket.socket] = []

    def start(treat: Callable[[socket.socket], object]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    threading.Thread(target=safely, args=(link,), daemon=True).start()

        def safely(link: socket.socket) -> None:
            with contextlib.suppress(OSError), link:
                treat(link)

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class Watch:
    """The probe source over some endpoints."""

    def __init__(self, *endpoints: Endpoint, **options: Any) -> None:
        self.stack = Stack(name="s", directory="/", endpoints=endpoints)
        self.source = HttpProbes(**options)
        self.containers: tuple[Container, ...] = ()

    def look(self) -> tuple[Probe, ...]:
        return self.source.look(self.stack, self.containers)

    def one(self) -> Probe:
        (probe,) = self.look()
        return probe


def configured(url: str, **more: Any) -> Endpoint:
    return Endpoint(name="api", url=url, origin="config", **more)


def guessed(url: str, **more: Any) -> Endpoint:
    return Endpoint(name="backend", url=url, service="backend", origin="published port", **more)


def test_a_good_answer(site: Callable[..., Site]) -> None:
    server = site({"/health": 200})
    probe = Watch(configured(f"{server.url}/health")).one()
    assert (probe.ok, probe.status, probe.problem, probe.requests, probe.errors) == (True, 200, "", 1, 0)
    assert probe.latency_seconds is not None and 0 < probe.latency_seconds < 30
    assert probe.average_seconds == probe.latency_seconds
    assert probe.asked_at is not None
    assert server.headers[0]["user-agent"].startswith("opsconsole/")


@pytest.mark.parametrize(("status", "good"), [(204, True), (302, True), (404, False), (401, False), (503, False)])
def test_which_answers_are_good(site: Callable[..., Site], status: int, good: bool) -> None:
    server = site({"/health": status})
    probe = Watch(configured(f"{server.url}/health")).one()
    assert (probe.ok, probe.status) == (good, status)
    assert bool(probe.problem) is not good
    assert server.asked == ["/health"], "no redirect is followed"


def test_an_expected_status(site: Callable[..., Site]) -> None:
    server = site({"/health": 401})
    assert Watch(configured(f"{server.url}/health", expect_status=401)).one().ok
    wrong = Watch(configured(f"{server.url}/health", expect_status=200)).one()
    assert (wrong.ok, wrong.problem) == (False, "answers 401 Unauthorized, expected 200")


def test_each_request_stands_alone(site: Callable[..., Site]) -> None:
    server = site({"/health": 200})
    watch = Watch(configured(f"{server.url.replace('//', '//ops:hunter2@')}/health"))
    for _ in range(2):
        probe = watch.one()
    assert "cookie" not in server.headers[1], "a session per probe would fill the server"
    assert server.headers[1]["authorization"] == "Basic b3BzOmh1bnRlcjI="
    assert "hunter2" not in repr(probe)


def test_proxies_of_the_environment_are_ignored(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    assert Watch(configured(f"{site({'/health': 200}).url}/health")).one().ok


def test_why_there_is_no_answer(tcp: Callable[..., int]) -> None:
    port = free_port()
    refused = Watch(configured(f"http://127.0.0.1:{port}/")).one()
    assert refused.problem == f"127.0.0.1:{port} refuses connections: nothing listens there"
    assert (refused.ok, refused.status, refused.errors) == (False, None, 1)
    unknown = Watch(configured("http://no-such-host.invalid/")).one()
    assert unknown.problem == "this host does not know the name no-such-host.invalid"
    cut = tcp(lambda link: None)
    assert "closed the connection without an answer" in Watch(configured(f"http://127.0.0.1:{cut}/")).one().problem
    banner = tcp(lambda link: link.sendall(b"\x00\x01SSH\r\n\r\n"))
    foreign = Watch(configured(f"http://127.0.0.1:{banner}/")).one()
    assert foreign.ok is False and foreign.problem, "a configured address is never dropped"
    assert "malformed" in Watch(configured("http://[::1/")).one().problem


@pytest.mark.parametrize("how", ["silent", "dripping headers", "dripping body"])
def test_a_server_that_hangs(tcp: Callable[..., int], site: Callable[..., Site], how: str) -> None:
    released = threading.Event()

    def hang(link: socket.socket) -> None:
        link.recv(1000)
        if how == "dripping body":
            link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while how != "silent" and not released.wait(0.1):
            link.sendall(b"x" if how == "dripping body" else b"H")
        released.wait(120)

    hanging = configured(f"http://127.0.0.1:{tcp(hang)}/", timeout_seconds=0.6)
    well = Endpoint(name="well", url=f"{site({'/': 200}).url}/", origin="config")
    watch = Watch(hanging, well)
    try:
        for _ in range(2):
            begun = time.monotonic()
            slow, good = watch.look()
            assert time.monotonic() - begun < 30
            assert good.ok and not slow.ok
            assert slow.problem.endswith("no answer within 0.6 s")
        assert (slow.requests, slow.errors) == (2, 2)
        if how != "dripping headers":
            wait_until(lambda: "probe-api" not in {t.name for t in threading.enumerate()}, 60, "the thread hangs, too")
    finally:
        released.set()


def test_a_large_body_is_not_read_to_its_end(site: Callable[..., Site]) -> None:
    server = site({"/": 200})
    server.body = b"x" * 30_000_000
    assert Watch(configured(f"{server.url}/")).one().ok
    assert not server.finished


def test_the_window_of_five_minutes(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = 0.0
    monkeypatch.setattr("opsconsole.sources.http.time", SimpleNamespace(monotonic=lambda: time.monotonic() + ahead))
    server = site({"/": 200})
    watch = Watch(configured(f"{server.url}/"))
    watch.one()
    server.answers["/"] = 500
    probe = watch.one()
    assert (probe.requests, probe.errors) == (2, 1)
    assert probe.newest[0] is None and probe.newest[1] is not None, "the newest first, and it failed"
    ahead = 301.0
    server.answers["/"] = 200
    server.wait = 0.2
    probe = watch.one()
    assert (probe.requests, probe.errors) == (1, 0), "the older ones have left the window"
    assert probe.average_seconds is not None and probe.average_seconds >= 0.2


# --- a published port whose path nobody named -----------------------------------------------------------


def test_the_first_path_that_answers_is_kept(site: Callable[..., Site]) -> None:
    server = site({"/health": 200, "/": 200})
    watch = Watch(guessed(f"{server.url}/"))
    assert watch.one().endpoint.url == f"{server.url}/health"
    watch.one()
    assert server.asked == ["/api/health", "/health", "/health"]


def test_a_kept_path_that_fails_is_looked_for_again(site: Callable[..., Site]) -> None:
    server = site({"/health": 200})
    watch = Watch(guessed(server.url))
    assert watch.one().ok
    server.answers = {"/health": 503, "/": 200}
    failing = watch.one()
    assert (failing.ok, failing.status, failing.endpoint.url) == (False, 503, f"{server.url}/health")
    assert not watch.one().ok, "a front page that answers does not hide a health address that says 503"
    server.answers = {"/api/health": 200}
    assert watch.one().endpoint.url == f"{server.url}/api/health"


def test_a_guessed_path_that_is_unknown_is_no_error(site: Callable[..., Site]) -> None:
    probe = Watch(guessed(site().url)).one()
    assert (probe.ok, probe.status, probe.errors, probe.problem) == (True, 404, 0, "")


def test_what_does_not_speak_http_is_dropped(
    tcp: Callable[..., int], host_redis: Callable[..., Server], host_mongod: Callable[..., Server]
) -> None:
    visits: list[str] = []
    speaks_first = tcp(lambda link: (visits.append("first"), link.sendall(b"220 mail ESMTP\r\n"), link.recv(9)))
    hangs_up_on_http = tcp(lambda link: (visits.append("hangs up"), link.recv(1000)))
    ports = [speaks_first, hangs_up_on_http, host_redis().port, host_mongod().port]
    watch = Watch(*(guessed(f"http://127.0.0.1:{port}/", timeout_seconds=2) for port in ports))
    assert watch.look() == ()
    seen = len(visits)
    assert set(visits) == {"first", "hangs up"}
    assert watch.look() == () and len(visits) == seen, "and left alone for a while"


def test_a_published_port_with_nobody_behind_it_is_down(tcp: Callable[..., int]) -> None:
    """Docker's proxy accepts the connection and hangs up when the container does not listen."""
    port = tcp(lambda link: None)
    assert Watch(guessed(f"http://127.0.0.1:{port}/")).one().ok is False
    assert Watch(guessed(f"http://127.0.0.1:{free_port()}/")).one().ok is False


def test_a_server_that_went_away_stays_on_the_list(site: Callable[..., Site], tcp: Callable[..., int]) -> None:
    server = site({"/health": 200})
    watch = Watch(guessed(server.url))
    assert watch.one().ok
    server.close()
    probe = watch.one()
    assert (probe.ok, probe.requests, probe.errors) == (False, 2, 1)
    back = site({"/health": 200}, port=server.port)
    assert watch.one().ok and back.asked


def test_a_stopped_container_is_named() -> None:
    watch = Watch(guessed(f"http://127.0.0.1:{free_port()}/"))
    finished = datetime.now(UTC) - timedelta(hours=2)
    watch.containers = (
        Container(id="1", name="b", service="backend", state="exited", exit_code=1, finished_at=finished),
    )
    assert watch.one().problem == "service backend is not running (exited 1, 2 hours ago)"


def test_certificates(site: Callable[..., Site], tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made = [*command, "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    untrusted = Watch(configured(f"{site({'/': 200}, context=context).url}/")).one()
    assert untrusted.ok is False
    assert "is not accepted: self-signed certificate" in untrusted.problem
    plain = site({"/": 200})
    assert "it may speak plain HTTP" in Watch(configured(f"https://127.0.0.1:{plain.port}/")).one().problem


def test_closing_does_not_wait(site: Callable[..., Site]) -> None:
    server = site({"/": 200})
    server.wait = 60.0
    watch = Watch(configured(f"{server.url}/", timeout_seconds=0.1))
    watch.one()
    begun = time.monotonic()
    watch.source.close()
    assert time.monotonic() - begun < 30
