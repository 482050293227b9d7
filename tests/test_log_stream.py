"""Reading the logs of real containers: order, floods, hostile lines, restarts, and an engine that is lost."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsconsole.model import Container, LogLine, SourceError
from opsconsole.sources import LogRange, LogStream
from opsconsole.sources.log_order import LineQueue
from opsconsole.sources.log_patterns import LogPattern
from opsconsole.sources.log_stream import DockerLogStream
from opsconsole.sources.log_wire import PlainDialer, SdkDialer, dialer_for
from opsconsole.sources.logs import DockerLogs
from opsconsole.text import printable
from tests.parts.engine import LABEL, Engine
from tests.parts.leftovers import run_name
from tests.parts.machine import wait_until

APP = "opsconsole-fixture/app:1"
_numbers = itertools.count(1)
NUMBERED = "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo $i; done; sleep 600"


class Shell:
    """Starts containers of one project and says what they are, as the engine's list would."""

    def __init__(self, engine: Engine, project: str) -> None:
        self.engine = engine
        self.project = project
        self.made: list[str] = []

    def start(self, service: str, script: str, *, number: int = 1, options: Sequence[str] = ("--init",)) -> Container:
        name = f"{self.project}-{service}-{next(_numbers)}"
        labels = ["--label", f"com.docker.compose.project={self.project}", "--label", f"{LABEL}=1"]
        # Killed at once at the end: a shell that sleeps hears no SIGTERM.
        words = ["run", "--detach", "--stop-timeout", "0", "--name", name, *labels, *options, APP, "sh", "-c", script]
        created = datetime.now(UTC).replace(microsecond=0)
        identity = self.engine.docker(*words)
        self.made.append(identity)
        return Container(
            id=identity,
            name=name,
            project=self.project,
            service=service,
            number=number,
            image=APP,
            state="running",
            created_at=created,
            started_at=datetime.now(UTC),
        )

    def wait_for(self, container: Container, text: str, timeout: float = 60) -> None:
        """Until one of the last lines of the container's stdout ends like this."""
        wait_until(
            lambda: any(
                line.rstrip().endswith(text)
                for line in self.engine.docker("logs", "--tail", "3", container.id, check=False).splitlines()
            ),
            timeout,
            f"{container.service} never wrote {text}",
        )

    def restart(self, container: Container) -> Container:
        self.engine.docker("restart", "--time", "0", container.id)
        return changed(container, started_at=datetime.now(UTC))

    def remove(self, container: Container) -> None:
        self.engine.docker("rm", "--force", container.id)

    def clear_away(self) -> None:
        if self.made:
            self.engine.docker("rm", "--force", "--volumes", *self.made, check=False)


def changed(container: Container, **values: Any) -> Container:
    import msgspec

    return msgspec.structs.replace(container, **values)


@pytest.fixture
def shell(engine: Engine) -> Iterator[Shell]:
    made = Shell(engine, f"{run_name()}logs-{next(_numbers)}")
    yield made
    made.clear_away()


@pytest.fixture
def opened() -> Iterator[Callable[..., LogStream]]:
    """Opens streams that are closed at the end, and whose threads must end then."""
    streams: list[LogStream] = []

    def open_stream(source: Any, containers: Sequence[Container], **wanted: Any) -> LogStream:
        streams.append(source.open(containers, LogRange(**wanted)))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()
    for stream in streams:
        thread = getattr(stream, "_thread", None)
        if thread is not None:
            thread.join(1.0)
            assert not thread.is_alive(), "closed, and still reading"


def read_until(stream: LogStream, done: Callable[[list[LogLine]], bool], timeout: float = 30) -> list[LogLine]:
    lines: list[LogLine] = []

    def look() -> bool:
        lines.extend(stream.read())
        return done(lines)

    wait_until(look, timeout, f"only {len(lines)} lines came; problem: {stream.problem!r}", interval=0.01)
    return lines


def read_all(stream: LogStream, timeout: float = 30) -> list[LogLine]:
    """What was written before the stream was opened."""
    lines = read_until(stream, lambda _: stream.caught_up, timeout)
    return lines + stream.read()


def texts(lines: Sequence[LogLine]) -> list[str]:
    return [line.text for line in lines]


# --- what is there ---------------------------------------------------------------------------------


def test_ranges(shell: Shell, opened: Callable[..., LogStream]) -> None:
    web = shell.start("web", NUMBERED.format(count=500))
    shell.wait_for(web, "500")
    source = DockerLogs()

    tail = read_all(opened(source, [web], tail=10))
    assert texts(tail) == [str(number) for number in range(491, 501)]
    assert {(line.service, line.container, line.stderr) for line in tail} == {("web", web.id, False)}
    assert abs(tail[-1].at - time.time_ns()) < 60_000_000_000

    head = opened(source, [web], head=10)
    assert texts(read_all(head)) == [str(number) for number in range(1, 11)]
    everything = opened(source, [web])
    assert texts(read_all(everything)) == [str(number) for number in range(1, 501)]
    since = datetime.fromtimestamp(tail[0].at // 1000 / 1_000_000, UTC)
    assert len(read_all(opened(source, [web], since=since, follow=False))) in range(10, 500)
    assert read_all(opened(source, [web], since=datetime.now(UTC) + timedelta(hours=1))) == []
    assert read_all(opened(source, [web], tail=0, follow=False)) == []
    assert read_all(opened(source, [], tail=10)) == []


def test_lines_of_several_containers_come_in_time_order(shell: Shell, opened: Callable[..., LogStream]) -> None:
    script = "for i in $(seq 1 200); do echo {0} $i; echo {0} error $i >&2; done; sleep 1; echo end; sleep 600"
    containers = [shell.start(name, script.format(name)) for name in ("web", "api", "worker")]
    for container in containers:
        shell.wait_for(container, "end")
    lines = read_all(opened(DockerLogs(), containers))
    assert len(lines) == 3 * 401
    times = [line.at for line in lines]
    assert times == sorted(times)
    assert {line.service for line in lines} == {"web", "api", "worker"}
    assert all(line.stderr == ("error" in line.text) for line in lines)


def test_live_lines_are_ordered_too(shell: Shell, opened: Callable[..., LogStream]) -> None:
    script = "while :; do echo tick; usleep 3000; done"
    containers = [shell.start(name, script) for name in ("web", "api", "worker")]
    stream = opened(DockerLogs(), containers, tail=0)
    lines = read_until(stream, lambda lines: len(lines) > 600)
    times = [line.at for line in lines]
    assert times == sorted(times)


def test_nothing_is_lost_or_doubled_between_what_was_written_and_what_is_followed(
    shell: Shell, opened: Callable[..., LogStream]
) -> None:
    web = shell.start("web", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo $i; done; sleep 600")
    # Opened in the middle of the flood, from the beginning.
    lines = read_until(opened(DockerLogs(), [web]), lambda lines: bool(lines) and lines[-1].text == "30000", 60)
    assert texts(lines) == [str(number) for number in range(1, 30001)]


def test_a_flood_comes_whole_or_says_what_is_missing(shell: Shell, opened: Callable[..., LogStream]) -> None:
    count = 200_000
    text = "x" * 110
    web = shell.start("web", f"yes {text} | head -n {count} | cat -n; echo done; sleep 600")
    shell.wait_for(web, "done", 120)

    quick = read_all(opened(DockerLogs(), [web], keep_all=True), 120)
    assert len(quick) == count + 1 and not any(line.skipped for line in quick)
    assert quick[count - 1].text == f"{count:>6}\t{text}"

    # A pipe that is read slowly: reading the engine waits, and memory does not grow meanwhile.
    queue = LineQueue(max_lines=5000)
    held = DockerLogStream(dialer_for(None), [web], LogRange(follow=False, keep_all=True), queue=queue)
    try:
        wait_until(lambda: queue.full, 60, "nothing came")
        time.sleep(0.5)
        assert queue.put_count < 20_000
        assert texts(read_all(held, 120)) == texts(quick)
    finally:
        held.close()

    # A reader that sleeps through it: the queue is bounded, and a mark stands where lines are missing.
    slow = DockerLogStream(dialer_for(None), [web], LogRange(follow=False), queue=LineQueue(max_lines=50_000))
    try:
        wait_until(lambda: not slow._thread.is_alive(), 60, "the flood was not read")
        rest = read_all(slow)
    finally:
        slow.close()
    marks = [line for line in rest if line.skipped]
    assert len(marks) == 1 and rest[0] is marks[0]
    assert marks[0].skipped + len(rest) - 1 == count + 1
    assert rest[-1].text == "done" and len(rest) <= 50_001


def test_two_hundred_containers_at_once(shell: Shell, opened: Callable[..., LogStream]) -> None:
    # Two hundred readings of a few containers: the engine cannot tell the difference, and starting 200 takes minutes.
    real = [shell.start(f"s{number}", "echo hello; sleep 600") for number in range(4)]
    for container in real:
        shell.wait_for(container, "hello")
    short = [changed(each, id=each.id[: 12 + step]) for step in range(50) for each in real]
    stream = opened(DockerLogs(), short, tail=5)
    assert len(read_all(stream)) == 200
    assert sum(thread.name == "logs" and thread.is_alive() for thread in threading.enumerate()) == 1


# --- hostile and odd lines -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("--init",), ("--init", "--tty")], ids=["pipes", "tty"])
def test_hostile_lines_are_whole_and_cannot_act(
    shell: Shell, opened: Callable[..., LogStream], options: tuple[str, ...]
) -> None:
    web = shell.start("web", "exec /usr/local/bin/hostile", options=options)
    shell.wait_for(web, "the last line")
    lines = texts(read_all(opened(DockerLogs(), [web])))
    assert lines[-1] == "the last line"
    assert any("\x1b]52;c;b3duZWQ=\x07" in line for line in lines)  # raw in the struct
    for line in lines:
        shown = printable(line)
        assert "\x1b" not in shown and "\x07" not in shown and "\u202e" not in shown
        assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in shown)
    assert any("[@click=app.quit]press[/]" in line for line in lines)
    assert any("bytes \ufffd" in line and "\x00" in line for line in lines)
    long = lines[-2]
    assert len(long) < 66_000 and long.startswith("xxxx")
    assert long.endswith("[cut: this line was 1,048,597 bytes long]")


def test_a_long_line_within_the_limit_is_joined(shell: Shell, opened: Callable[..., LogStream]) -> None:
    for options in (("--init",), ("--init", "--tty")):
        script = "head -c 50000 /dev/zero | tr '\\000' a; echo; echo after; sleep 600"
        web = shell.start("web", script, options=options)
        shell.wait_for(web, "after")
        assert texts(read_all(opened(DockerLogs(), [web]))) == ["a" * 50_000, "after"]


def test_a_last_line_without_an_end(shell: Shell, opened: Callable[..., LogStream]) -> None:
    web = shell.start("web", "echo first; printf half")
    wait_until(lambda: shell.engine.docker("inspect", "-f", "{{.State.Status}}", web.id) == "exited", 60, "runs on")
    stopped = changed(web, state="exited")
    assert texts(read_all(opened(DockerLogs(), [stopped]))) == ["first", "half"]
    # The same when nobody has told the stream yet that it stopped.
    stream = opened(DockerLogs(), [web])
    assert texts(read_until(stream, lambda lines: len(lines) >= 2)) == ["first", "half"]
    time.sleep(0.7)  # the next look must not bring it again
    assert stream.read() == []


def test_a_log_driver_that_cannot_be_read_is_said(shell: Shell, opened: Callable[..., LogStream]) -> None:
    good = shell.start("good", "echo hello; sleep 600")
    mute = shell.start("mute", "echo hello; sleep 600", options=("--init", "--log-driver", "none"))
    shell.wait_for(good, "hello")
    stream = opened(DockerLogs(), [good, mute], tail=10)
    assert texts(read_all(stream)) == ["hello"]
    wait_until(lambda: stream.problem, 30, "nothing was said")
    assert stream.problem.startswith("mute: its logs cannot be read: ") and "support reading" in stream.problem


# --- containers that come and go -------------------------------------------------------------------


def test_a_restarted_container_is_followed_on(shell: Shell, opened: Callable[..., LogStream]) -> None:
    web = shell.start("web", "echo up at $(date +%s%N); sleep 600")
    shell.wait_for(web, "")
    stream = opened(DockerLogs(), [web])
    read_until(stream, lambda lines: len(lines) == 1)
    again = shell.restart(web)
    stream.retarget([again])
    assert len(read_until(stream, lambda lines: len(lines) == 1)) == 1
    # Restarted behind our back: found out without being told.
    shell.restart(again)
    assert len(read_until(stream, lambda lines: len(lines) == 1)) == 1
    assert stream.problem == ""


def test_a_recreated_container_is_attached_from_its_first_line(shell: Shell, opened: Callable[..., LogStream]) -> None:
    other = shell.start("other", "while :; do echo tick; usleep 20000; done")
    old = shell.start("web", "i=0; while :; do i=$((i+1)); echo old $i; usleep 5000; done")
    stream = opened(DockerLogs(), [old, other], tail=5)
    lines = read_until(stream, lambda lines: len(lines) > 50)
    shell.remove(old)
    new = shell.start("web", "for i in $(seq 1 300); do echo new $i; done; sleep 600")
    shell.wait_for(new, "new 300")
    stream.retarget([new, other])
    lines += read_until(stream, lambda lines: any(line.text == "new 300" for line in lines))
    mine = [line.text for line in lines if line.service == "web"]
    fresh = [text for text in mine if text.startswith("new")]
    assert fresh == [f"new {number}" for number in range(1, 301)]
    numbers = [int(text.split()[1]) for text in mine if text.startswith("old")]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert stream.problem == ""


def test_what_a_removed_container_wrote_last_is_still_read(shell: Shell, opened: Callable[..., LogStream]) -> None:
    script = "echo begin; trap 'for i in $(seq 1 100); do echo bye $i; done; exit' TERM; sleep 600 & wait"
    web = shell.start("web", script, options=())
    stream = opened(DockerLogs(), [web])
    read_until(stream, lambda lines: texts(lines) == ["begin"])
    shell.engine.docker("stop", "--time", "5", web.id)
    stream.retarget([])
    lines = read_until(stream, lambda lines: len(lines) >= 100)
    assert texts(lines) == [f"bye {number}" for number in range(1, 101)]


def test_a_container_that_is_not_wanted_any_more_is_left(shell: Shell, opened: Callable[..., LogStream]) -> None:
    web = shell.start("web", "while :; do echo web; usleep 10000; done")
    api = shell.start("api", "while :; do echo api; usleep 10000; done")
    stream = opened(DockerLogs(), [web, api], tail=0)
    read_until(stream, lambda lines: {line.service for line in lines} == {"web", "api"})
    stream.retarget([api])

    def only_api() -> bool:
        time.sleep(0.3)
        return {line.service for line in stream.read()} == {"api"}

    wait_until(only_api, 30, "web is still read")


# --- the engine is lost ----------------------------------------------------------------------------


class Cable:
    """Carries bytes between a socket of our own and the engine's: one that can be pulled out."""

    def __init__(self, engine_socket: str, path: Path) -> None:
        self.path = path
        self._target = engine_socket
        self._ends: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def plug(self) -> None:
        listener = self._listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(256)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def pull(self) -> None:
        assert self._listener is not None
        self.path.unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            self._ends += [near, far]
            threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    with selectors.DefaultSelector() as selector, near, far:
        selector.register(near, selectors.EVENT_READ, far)
        selector.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in selector.select():
                source: Any = key.fileobj
                try:
                    content = source.recv(65536)
                    if content:
                        key.data.sendall(content)
                        continue
                except OSError:
                    pass
                return


def test_an_engine_that_goes_away_and_comes_back(
    engine: Engine, shell: Shell, opened: Callable[..., LogStream], tmp_path: Path
) -> None:
    web = shell.start("web", "i=0; while :; do i=$((i+1)); echo $i; usleep 2000; done")
    api = shell.start("api", "i=0; while :; do i=$((i+1)); echo $i; usleep 2000; done")
    cable = Cable(engine.docker_host.removeprefix("unix://"), tmp_path / "engine.sock")
    cable.plug()
    stream = opened(DockerLogs(f"unix://{cable.path}"), [web, api])
    lines = read_until(stream, lambda lines: len(lines) > 300)
    for _ in range(2):
        cable.pull()
        wait_until(lambda: stream.problem, 30, "nothing was said")
        assert stream.problem == (
            f"no logs: the engine at unix://{cable.path} is not there (is Docker running?); trying again"
        )
        lines += stream.read()
        cable.plug()
        lines += read_until(stream, lambda lines: len(lines) > 300)
        assert stream.problem == ""
    for service in ("web", "api"):
        numbers = [int(line.text) for line in lines if line.service == service]
        assert numbers == list(range(1, len(numbers) + 1)), "a line is missing, doubled or out of order"
    cable.pull()


def test_an_engine_that_is_not_there_at_first(
    engine: Engine, shell: Shell, opened: Callable[..., LogStream], tmp_path: Path
) -> None:
    web = shell.start("web", "echo hello; sleep 600")
    shell.wait_for(web, "hello")
    cable = Cable(engine.docker_host.removeprefix("unix://"), tmp_path / "engine.sock")
    stream = opened(DockerLogs(f"unix://{cable.path}"), [web], tail=5)
    wait_until(lambda: stream.problem, 30, "nothing was said")
    assert not stream.caught_up
    cable.plug()
    assert texts(read_all(stream)) == ["hello"]
    wait_until(lambda: stream.problem == "", 30, "the problem stayed")
    cable.pull()


def test_a_container_that_is_being_removed_is_no_fault(tmp_path: Path, opened: Callable[..., LogStream]) -> None:
    """The engine says so between the kill and the removal, for some milliseconds: too short to be made here."""
    body = b'{"message":"can not get logs from container which is dead or marked for removal"}'
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        web = Container(id="a" * 64, name="web", service="web", state="running")
        stream = opened(DockerLogs(f"unix://{path}"), [web])
        for status, said in ((b"409 Conflict", body), (b"404 Not Found", b'{"message":"No such container"}')):
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                length = b"\r\nContent-Length: %d\r\n\r\n" % len(said)
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json" + length + said)
        assert read_all(stream) == [] and stream.problem == ""


def test_another_service_on_the_socket_is_named_as_such(tmp_path: Path, opened: Callable[..., LogStream]) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        web = Container(id="a" * 64, name="web", service="web", state="running")
        stream = opened(DockerLogs(f"unix://{path}"), [web])
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"-ERR unknown command 'GET'\r\n")
            wait_until(lambda: stream.problem, 30, "nothing was said")
        assert stream.problem == "web: the answer is no log stream; is this address a Docker engine?"


def test_a_socket_without_permission_names_the_group(tmp_path: Path, engine: Engine) -> None:
    script = (
        "import os, sys, time\n"
        "from opsconsole.sources.logs import DockerLogs\n"
        "from opsconsole.sources import LogRange\n"
        "from opsconsole.model import Container\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "stream = DockerLogs(sys.argv[1]).open([Container(id='a' * 64, name='web', state='running')], LogRange())\n"
        "deadline = time.monotonic() + 5\n"
        "while not stream.problem and time.monotonic() < deadline: time.sleep(0.01)\n"
        "print(stream.problem)\n"
    )
    path = tmp_path / "docker.sock"
    tmp_path.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        told = subprocess.run(
            [sys.executable, "-c", script, f"unix://{path}"], capture_output=True, text=True, timeout=30
        )
    assert "refuses this user (join its socket's group, usually `docker`)" in told.stdout, told.stderr


def test_a_newer_engine_alike(newer_engine: Engine) -> None:
    """The same lines from an engine that names its streams and starts containers otherwise."""
    newer = Shell(newer_engine, f"{run_name()}logs-newer")
    source = DockerLogs(newer_engine.docker_host)
    streams: list[LogStream] = []
    try:
        for options in (("--init",), ("--init", "--tty")):
            web = newer.start("web", "exec /usr/local/bin/hostile", options=options)
            newer.wait_for(web, "the last line")
            streams.append(source.open([web], LogRange()))
            lines = texts(read_all(streams[-1]))
            assert lines[-1] == "the last line"
            assert lines[-2].endswith("[cut: this line was 1,048,597 bytes long]")
            newer.restart(web)
            again = texts(read_until(streams[-1], lambda lines: "the last line" in texts(lines)))
            assert again == lines
    finally:
        for stream in streams:
            stream.close()
        newer.clear_away()


# --- other ways to the engine ----------------------------------------------------------------------


def test_through_the_sdk_the_same_lines_come(shell: Shell, engine: Engine) -> None:
    """The way for TLS and SSH, here over the plain socket: what differs is only how bytes travel."""
    for options in (("--init",), ("--init", "--tty")):
        web = shell.start("web", NUMBERED.format(count=3000), options=options)
        shell.wait_for(web, "3000")
        before = sum(thread.name == "logs-sdk" for thread in threading.enumerate())
        stream = DockerLogStream(SdkDialer(engine.docker_host), [web], LogRange(tail=2000))
        try:
            assert texts(read_all(stream)) == [str(number) for number in range(1001, 3001)]
        finally:
            stream.close()
        wait_until(
            lambda before=before: sum(thread.name == "logs-sdk" for thread in threading.enumerate()) <= before,
            5,
            "a thread of the SDK stayed",
        )


def test_through_the_sdk_an_engine_that_is_not_there_is_said(tmp_path: Path) -> None:
    web = Container(id="a" * 64, name="web", service="web", state="running")
    stream = DockerLogStream(SdkDialer(f"unix://{tmp_path}/none.sock"), [web], LogRange())
    try:
        wait_until(lambda: stream.problem, 30, "nothing was said")
        assert stream.problem.startswith(f"no logs: the engine at unix://{tmp_path}/none.sock does not answer")
    finally:
        stream.close()


def test_the_way_is_chosen_by_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    assert isinstance(dialer_for("unix:///run/docker.sock"), PlainDialer)
    assert isinstance(dialer_for("tcp://db.example:2375"), PlainDialer)
    assert isinstance(dialer_for("ssh://ops@db.example"), SdkDialer)
    with pytest.raises(SourceError, match="no engine address"):
        dialer_for("tcp://db.example:port")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    assert isinstance(dialer_for("tcp://db.example:2376"), SdkDialer)


# --- access logs -----------------------------------------------------------------------------------


def test_http_answers_are_counted_once_and_forgotten_in_time(shell: Shell) -> None:
    answer = '10.0.0.1 - - [20/Nov/2023:21:22:00 +0000] "GET / HTTP/1.1" {} 43 "-" "curl"'
    web = shell.start(
        "web",
        f"for i in $(seq 1 30); do echo '{answer.format(200)}'; done; echo '{answer.format(503)}'; "
        f"sleep 3; echo '{answer.format(500)}'; echo end; sleep 600",
    )
    api = shell.start(
        "api", """echo '{"level":"info","req":{"method":"GET"},"res":{"statusCode":502},"msg":"x"}'; sleep 600"""
    )
    quiet = shell.start("quiet", "for i in $(seq 1 50); do echo hello; done; sleep 600")
    database = changed(shell.start("mongodb", f"echo '{answer.format(500)}'; sleep 600"), image="mongo:6.0")
    stopped = changed(web, id="f" * 64, state="exited", service="gone")
    everything = [web, api, quiet, database, stopped]
    shell.wait_for(api, "}")
    shell.wait_for(quiet, "hello")
    ahead = timedelta()
    patterns = (
        LogPattern(rule="greetings", expression="hel+o", of=("quiet", "web")),
        LogPattern(rule="faults", expression="GET / .* 50[03]", of=("w*", "mongodb")),
    )
    source = DockerLogs(now=lambda: time.time_ns() + int(ahead.total_seconds() * 1_000_000_000), patterns=patterns)

    def rates() -> dict[str, tuple[int, int]]:
        return {rate.service: (rate.requests, rate.errors) for rate in source.access(everything)}

    wait_until(lambda: rates().get("web") == (31, 1), 30, "not counted")
    assert rates() == {"web": (31, 1), "api": (1, 1)}  # looked at again: nothing is counted twice
    shell.wait_for(web, "end")
    assert rates() == {"web": (32, 2), "api": (1, 1)}

    def matches() -> dict[tuple[str, str], int]:
        return {(rate.rule, rate.service): rate.lines for rate in source.count(everything)}

    expected = {("greetings", "quiet"): 50, ("greetings", "web"): 0, ("faults", "web"): 2, ("faults", "mongodb"): 1}
    assert matches() == expected
    assert matches() == expected, "looked at again: nothing is counted twice"
    ahead = timedelta(minutes=6)
    assert rates() == {}
    assert matches() == dict.fromkeys(expected, 0)


def test_access_logs_of_an_engine_that_is_lost(tmp_path: Path) -> None:
    web = Container(id="a" * 64, name="web", service="web", state="running", image="app:1")
    with pytest.raises(SourceError, match="is not there"):
        DockerLogs(f"unix://{tmp_path}/none.sock").access([web])
    assert DockerLogs(f"unix://{tmp_path}/none.sock").access([changed(web, image="redis:7")]) == ()
