"""The engine as it really is: containers, usage, volumes and events of a real one, and a real one that is lost."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.model import Container, SourceError, VolumeKind, to_json
from opsconsole.sources import engine_connection
from opsconsole.sources.engine import DockerEngine
from opsconsole.sources.engine_faults import ContainerGone
from opsconsole.text import MASK
from tests.parts.engine import LABEL, Engine
from tests.parts.leftovers import run_name
from tests.parts.machine import PartsError, wait_until
from tests.parts.stacks import Stack

APP = "opsconsole-fixture/app:1"
_numbers = itertools.count(1)


class Bridge:
    """Carries bytes between a TCP port (or a socket of our own) and the engine's socket: an engine on another host,
    and a network that can be cut."""

    def __init__(self, engine_socket: str, path: Path | None = None) -> None:
        self._target = engine_socket
        self._path = path
        self._port = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener: socket.socket | None = None
        self._drops = 0
        self.open()

    @property
    def address(self) -> str:
        return f"unix://{self._path}" if self._path else f"tcp://127.0.0.1:{self._port}"

    def open(self) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._path))
            self._listener.listen()
        else:
            self._listener = socket.create_server(("127.0.0.1", self._port))
            self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection and accept no new one."""
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def drop_next(self) -> None:
        """End the next connection that asks something, without an answer."""
        self._drops = 1

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, near, far:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    source: Any = key.fileobj
                    with contextlib.suppress(OSError):
                        content = source.recv(65536)
                        if content and self._drops and source is near:
                            self._drops -= 1
                            return
                        if content:
                            key.data.sendall(content)
                            continue
                    return


@pytest.fixture
def source(engine: Engine) -> Iterator[DockerEngine]:
    made = DockerEngine()
    yield made
    made.close()


@pytest.fixture
def bridge(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    made: list[Bridge] = []

    def build(*, tcp: bool = False) -> Bridge:
        path = None if tcp else tmp_path / f"bridge-{len(made)}.sock"
        made.append(Bridge(engine.docker_host.removeprefix("unix://"), path))
        return made[-1]

    yield build
    for each in made:
        each.cut()


@pytest.fixture
def project(engine: Engine) -> Iterator[str]:
    """A project name of this test's own; what carries it is removed."""
    name = f"{run_name()}engine-{next(_numbers)}"
    yield name
    names = engine.docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={name}").split()
    if names:
        engine.docker("rm", "--force", "--volumes", *names)
    if volumes := engine.docker("volume", "ls", "--quiet", "--filter", f"name={name}").split():
        engine.docker("volume", "rm", *volumes)


@pytest.fixture
def run(engine: Engine, project: str) -> Callable[..., str]:
    """Starts a container of the project as Compose would label it; its id."""

    def start(service: str, *words: str, options: tuple[str, ...] = ("--init",), image: str = APP) -> str:
        labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}", f"{LABEL}=1"]
        flags = [word for label in labels for word in ("--label", label)]
        name = ("--name", f"{project}-{service}-1")
        return engine.docker(
            "run", "--detach", "--stop-timeout", "1", *name, *flags, *options, image, *(words or ("sleep", "600"))
        )

    return start


def look(source: DockerEngine, project: str) -> dict[str, Container]:
    """The project's containers by service, with their details."""
    while source.inspect_missing(source.containers(project=project)):
        pass
    return {container.service: container for container in source.containers(project=project)}


# --- containers ------------------------------------------------------------------------------------


def test_the_engine_describes_itself(engine: Engine, source: DockerEngine) -> None:
    described = source.describe()
    assert described.version == engine.version()
    assert described.endpoint == engine.docker_host
    assert described.api_version and described.cpus == os.cpu_count() and described.memory_bytes


def test_a_stack_is_listed_first_and_detailed_after(mps: Stack, source: DockerEngine) -> None:
    rows = source.containers(project=mps.project)
    assert [row.service for row in rows] == ["backend", "frontend", "mongodb", "redis"]
    assert not any(row.detailed for row in rows)
    assert source.inspect_missing(rows)
    rows = source.containers(directory=str(mps.directory))
    assert len(rows) == 4 and all(row.detailed for row in rows)
    assert not source.inspect_missing(rows)

    backend = rows[0]
    truth = mps.container("backend")
    assert (backend.id, backend.image_id) == (truth["Id"], truth["Image"])
    assert backend.health == "healthy" and backend.health_log[-1].exit_code == 0
    assert (backend.restart_policy, backend.restarts, backend.exit_code) == ("unless-stopped", 0, None)
    assert backend.started_at and backend.image_created and backend.image_created < backend.started_at
    published = [(port.container_port, port.host_address, port.host_port) for port in backend.ports if port.host_port]
    assert published == [(3001, "127.0.0.1", mps.ports["BACKEND_PORT"])]
    assert [address.network for address in backend.networks] == [f"{mps.project}_mps-network"]
    assert backend.networks[0].address and backend.config_hash


def test_secrets_are_masked_everywhere_but_on_purpose(mps: Stack, source: DockerEngine) -> None:
    rows = look(source, mps.project)
    truth = dict(line.split("=", 1) for line in mps.container("backend")["Config"]["Env"])
    passwords = re.findall(r"://[^:]*:([^@]+)@", truth["MONGODB_URI"] + " " + truth["REDIS_URL"])
    assert len(passwords) == 2
    shown = to_json(list(rows.values()))
    for secret in (*passwords, truth["JWT_SECRET"]):
        assert secret not in shown
    assert "--requirepass" in rows["redis"].command and "authSource=admin" in shown
    assert source.secrets_of(rows["backend"].id) == truth
    assert source.secrets_of("0" * 64) == {}


def test_troubles_are_told(troubled: Stack, source: DockerEngine) -> None:
    rows = look(source, troubled.project)
    assert rows["unhealthy"].health == "unhealthy"
    assert "connection refused (10.0.0.5:27017)" in rows["unhealthy"].health_log[-1].output
    assert (rows["failed"].state, rows["failed"].exit_code) == ("exited", 1)
    assert (rows["migrate"].state, rows["migrate"].exit_code, rows["migrate"].finished_at is None) == (
        "exited",
        0,
        False,
    )
    wait_until(lambda: (look(source, troubled.project)["crashing"].restarts or 0) > 0, 60, "no restart was counted")


def test_projects_are_found_by_their_labels(mps: Stack, source: DockerEngine) -> None:
    found = {project.name: project for project in source.projects()}[mps.project]
    assert (found.directory, found.running, found.total) == (str(mps.directory), 4, 4)
    assert all(Path(path).is_file() for path in found.compose_files)


def test_one_off_containers_are_no_part_of_the_stack(
    run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    run("web")
    run("shell", options=("--label", "com.docker.compose.oneoff=True"))
    assert [row.service for row in source.containers(project=project)] == ["web"]
    assert {found.name: found.total for found in source.projects()}[project] == 1


def test_a_container_that_vanishes_in_between_is_left_out(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    first, second = run("stays"), run("goes")
    rows = source.containers(project=project)
    engine.docker("rm", "--force", second)
    assert source.inspect_missing(rows)
    assert set(source.usage(rows)) == {first}
    assert [row.id for row in source.containers(project=project)] == [first]
    assert not source.inspect_missing(rows)


def test_out_of_memory_is_told_with_its_exit_code(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    container = run("greedy", "tail", "/dev/zero", options=("--memory", "16m", "--memory-swap", "16m"))

    def engine_noticed() -> bool:
        # Engines miss it now and then, when the end is told before its cause: once more, then.
        engine.docker("start", container)
        engine.docker("wait", container)
        return engine.docker("inspect", "--format", "{{.State.OOMKilled}}", container) == "true"

    wait_until(engine_noticed, 60, "the engine never notices")
    row = look(source, project)["greedy"]
    assert (row.state, row.exit_code, row.oom_killed) == ("exited", 137, True)


def test_a_failed_start_says_why(engine: Engine, run: Callable[..., str], project: str, source: DockerEngine) -> None:
    with pytest.raises(PartsError, match="no-such-program"):
        run("broken", "x", options=("--entrypoint", "no-such-program"))
    row = look(source, project)["broken"]
    assert (row.state, row.exit_code) == ("created", 127)
    assert "no-such-program" in row.error
    with pytest.raises(SourceError, match=r"The engine refused: .*no-such-program"):
        source.start(row.id)


# --- orders ----------------------------------------------------------------------------------------


def test_a_container_is_stopped_started_and_restarted(
    run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    container = run("web")
    started = look(source, project)["web"].started_at
    source.stop(container)
    source.stop(container)  # a second time is no fault
    assert look(source, project)["web"].state == "exited"
    source.start(container)
    running = look(source, project)["web"]
    assert running.state == "running" and running.started_at and started and running.started_at > started
    source.restart(container)
    again = look(source, project)["web"].started_at
    assert again and again > running.started_at


def test_an_order_for_a_container_that_is_gone_says_so(source: DockerEngine) -> None:
    for order in (source.start, source.stop, source.restart):
        with pytest.raises(ContainerGone, match="That container no longer exists"):
            order("0" * 64)


# --- usage -----------------------------------------------------------------------------------------


def _docker_stats(engine: Engine, container: str) -> tuple[float, float]:
    """CPU % and memory in bytes as `docker stats` says."""
    line = engine.docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}}", container)
    cpu, memory = line.split()[:2]
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", memory).groups()  # type: ignore[union-attr]
    return float(cpu.rstrip("%")), float(number) * {"B": 1, "KiB": 1024, "MiB": 1 << 20, "GiB": 1 << 30}[unit]


@pytest.mark.parametrize("tcp", [False, True], ids=["cgroup files", "stats of the engine"])
def test_usage_agrees_with_docker_stats(
    engine: Engine, run: Callable[..., str], project: str, bridge: Callable[..., Bridge], tcp: bool
) -> None:
    source = DockerEngine(bridge(tcp=True).address if tcp else engine.docker_host)
    busy = run("busy", "sh", "-c", "while :; do :; done", options=("--memory", "64m", "--cpus", "0.5"))
    idle = run("idle")
    rows = tuple(look(source, project).values())
    first = source.usage(rows)
    assert first[busy].network_received_rate is None
    assert tcp or first[busy].cpu_percent is None
    cpu, memory = _docker_stats(engine, busy)
    usage = source.usage(rows)
    assert 5 < (usage[busy].cpu_percent or 0) < 75  # it may use 50, and gets less where others work too
    assert usage[busy].cpu_percent == pytest.approx(cpu, abs=25)
    assert usage[busy].memory_bytes == pytest.approx(memory, rel=0.5)
    assert (usage[busy].memory_limit, usage[idle].memory_limit) == (64 << 20, None)
    assert (usage[idle].cpu_percent or 0) < 5
    assert usage[busy].processes == 1 and usage[busy].network_received is not None
    assert usage[busy].network_received_rate is not None and usage[busy].block_written_rate is not None
    source.close()


def test_both_ways_count_the_same_traffic(
    engine: Engine, run: Callable[..., str], project: str, bridge: Callable[..., Bridge]
) -> None:
    container = run("web", "sh", "-c", "head -c 3000000 /dev/zero > /app/file; sync; exec sleep 600")
    here, there = DockerEngine(engine.docker_host), DockerEngine(bridge(tcp=True).address)
    engine.docker("exec", container, "sh", "-c", "sync")

    def agree() -> bool:
        rows = here.containers(project=project)
        one, other = here.usage(rows)[container], there.usage(rows)[container]
        return (one.network_received, one.network_sent, one.block_written) == (
            other.network_received,
            other.network_sent,
            other.block_written,
        )

    wait_until(agree, 60, "the two disagree")


def test_samples_that_are_too_close_are_one(run: Callable[..., str], project: str, source: DockerEngine) -> None:
    container = run("busy", "sh", "-c", "while :; do :; done")
    rows = source.containers(project=project)
    assert source.usage(rows)[container] is source.usage(rows)[container]
    wait_until(lambda: source.usage(rows)[container].cpu_percent, 30, "no CPU was counted")


def test_usage_follows_a_restart_and_a_new_limit(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    stop, changes = threading.Event(), threading.Semaphore(0)
    threading.Thread(target=source.watch, args=(changes.release, stop), daemon=True).start()
    assert changes.acquire(timeout=10)
    container = run("web", options=("--memory", "64m"))
    assert source.usage(source.containers(project=project))[container].memory_limit == 64 << 20
    engine.docker("update", "--memory", "32m", "--memory-swap", "64m", container)

    def limit() -> int | None:
        return source.usage(source.containers(project=project))[container].memory_limit

    wait_until(lambda: limit() == 32 << 20, 30, "the new limit is not seen")
    source.restart(container)
    wait_until(
        lambda: source.usage(source.containers(project=project))[container].network_received is not None,
        10,
        "the restarted container has no network",
    )
    stop.set()


# --- volumes ---------------------------------------------------------------------------------------


def test_volumes_and_their_sizes(
    engine: Engine,
    run: Callable[..., str],
    project: str,
    source: DockerEngine,
    tmp_path: Path,
    bridge: Callable[..., Bridge],
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / "picture").write_bytes(b"x" * 500_000)
    label = f"com.docker.compose.project={project}"
    engine.docker("volume", "create", "--label", label, f"{project}_old")
    fill = "head -c 3000000 /dev/zero > /data/a; head -c 70000 /dev/zero > /cache/b; exec sleep 600"
    options = ("-v", f"{project}_data:/data", "-v", f"{uploads}:/uploads:ro", "--tmpfs", "/cache", "-v", "/scratch")
    run("web", "sh", "-c", fill, options=options)
    run("db", "mongod", "--dbpath", "/var/lib/elsewhere", image="mongo:6.0", options=("--entrypoint", "sleep"))
    web = look(source, project)["web"]
    wait_until(lambda: engine.docker("exec", web.id, "stat", "-c", "%s", "/cache/b") == "70000", 60, "not written")
    rows = {row.key: row for row in source.volumes(source.containers(project=project), project=project)}
    data, old, bind = rows[f"volume:{project}_data"], rows[f"volume:{project}_old"], rows[f"bind:{uploads}"]
    assert (data.kind, data.driver, [use.destination for use in data.used_by]) == (VolumeKind.NAMED, "local", ["/data"])
    assert old.used_by == () and old.created_at is not None
    assert bind.used_by[0].read_only and bind.used_by[0].service == "web"
    anonymous = [row for row in rows.values() if row.kind is VolumeKind.ANONYMOUS and row.used_by[0].service == "web"]
    assert [row.used_by[0].destination for row in anonymous] == ["/scratch"]

    sizes = source.volume_sizes(tuple(rows.values()), threading.Event())
    assert 3_000_000 <= sizes[data.key] < 3_200_000
    assert 500_000 <= sizes[bind.key] < 600_000
    assert sizes[old.key] < 10_000
    if os.geteuid() == 0:
        assert 70_000 <= sizes[f"tmpfs:{web.name}:/cache"] < 100_000

    far = DockerEngine(bridge(tcp=True).address)
    asked = far.volume_sizes(tuple(rows.values()), threading.Event())
    assert 3_000_000 <= asked[data.key] < 3_200_000
    assert bind.key not in asked  # another host's directory is not ours to read
    stopped = threading.Event()
    stopped.set()
    assert source.volume_sizes(tuple(rows.values()), stopped) == {}


def test_databases_of_the_troubled_stack_lie_where_they_should_not(troubled: Stack, source: DockerEngine) -> None:
    rows = source.volumes(tuple(look(source, troubled.project).values()), project=troubled.project)
    found = {(row.kind, row.database) for row in rows if row.database}
    assert found == {(VolumeKind.ANONYMOUS, "mongodb"), (VolumeKind.TMPFS, "redis")}


def test_a_database_in_the_containers_own_layer_is_seen(
    run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    run("db", "mongod", "--dbpath", "/elsewhere", image="mongo:6.0")
    rows = source.volumes(tuple(look(source, project).values()), project=project)
    layer = next(row for row in rows if row.kind is VolumeKind.LAYER)
    assert (layer.key, layer.database) == (f"layer:{project}-db-1:/elsewhere", "mongodb")


# --- events ----------------------------------------------------------------------------------------


class Watch:
    """A watch on a thread of its own, and what came of it."""

    def __init__(self, source: DockerEngine) -> None:
        self.calls = 0
        self.fault: Exception | None = None
        self.stop = threading.Event()
        self._source = source
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        wait_until(lambda: self.calls, 30, "the stream does not open")

    def _run(self) -> None:
        try:
            self._source.watch(self._changed, self.stop)
        except SourceError as fault:
            self.fault = fault

    def _changed(self) -> None:
        self.calls += 1


def test_events_wake_and_their_end_is_prompt(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    watch = Watch(source)
    container = run("web", options=("--health-cmd", "true", "--health-interval", "200ms"))
    assert look(source, project)["web"].state == "running"
    seen = watch.calls
    engine.docker("kill", container)
    wait_until(lambda: watch.calls > seen, 30, "nothing was told")
    assert look(source, project)["web"].state == "exited"
    watch.stop.set()
    watch.thread.join(30)  # half of what it waits for an engine that says nothing
    assert not watch.thread.is_alive() and watch.fault is None


def test_health_changes_are_told_and_health_checks_are_not(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    check = ("--health-cmd", "test -e /tmp/ill -a ! -e /tmp/well || exit 0; exit 1", "--health-interval", "100ms")
    container = run("web", options=(*check, "--health-retries", "1", "--tmpfs", "/tmp"))
    wait_until(lambda: look(source, project)["web"].health == "healthy", 60, "it does not get well")
    watch = Watch(source)
    look(source, project)
    log = engine.docker("inspect", "--format", "{{(index .State.Health.Log 0).Start}}", container)

    def checked_again() -> bool:
        return engine.docker("inspect", "--format", "{{(index .State.Health.Log 0).Start}}", container) != log

    wait_until(checked_again, 60, "the health check does not run")
    assert all(row.detailed for row in source.containers(project=project))  # nothing made the details stale
    engine.docker("exec", container, "touch", "/tmp/ill")
    wait_until(
        lambda: not all(row.detailed for row in source.containers(project=project)), 60, "the change was not told"
    )
    row = look(source, project)["web"]
    assert row.health == "unhealthy" and row.health_log[-1].exit_code == 1
    watch.stop.set()


def test_what_other_projects_do_asks_for_no_new_list(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.containers(project=project)
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(source, "_take", events.append)
    watch = Watch(source)
    flags = ("--label", f"com.docker.compose.project={project}-other", "--label", f"{LABEL}=1", "--rm")
    other = engine.docker("run", "--detach", "--name", f"{project}-other-web-1", *flags, APP, "sleep", "600")
    own = run("web")
    engine.docker("kill", other)

    def told_of(container: str) -> list[dict[str, Any]]:
        about = [(event, event["Actor"]) for event in tuple(events)]
        return [event for event, actor in about if container in (actor["ID"], actor["Attributes"].get("container"))]

    wait_until(lambda: [e for e in told_of(other) if e["Action"] == "destroy"], 30, "the other's end was not told")
    assert not any(map(source._concerns_us, told_of(other)))
    assert {event["Action"] for event in told_of(own) if source._concerns_us(event)} >= {"create", "start"}
    watch.stop.set()


def test_a_burst_of_events_is_folded(engine: Engine, run: Callable[..., str], source: DockerEngine) -> None:
    container = run("web")
    watch = Watch(source)
    before, began = watch.calls, time.monotonic()
    for _ in range(30):
        engine.docker("pause", container)
        engine.docker("unpause", container)
    seconds = time.monotonic() - began
    wait_until(lambda: watch.calls > before, 30, "nothing was told")
    assert watch.calls - before <= seconds / 0.5 + 3  # of 60 events
    watch.stop.set()


# --- a newer engine --------------------------------------------------------------------------------


def test_a_newer_engine_is_seen_alike(newer_engine: Engine, tmp_path: Path) -> None:
    name = f"{run_name()}engine-newer"
    labels = ("--label", f"com.docker.compose.project={name}", "--label", "com.docker.compose.service=web")
    options = ("--env", "API_TOKEN=hidden-token", "--tmpfs", "/cache", "--volume", "/data", "--memory", "64m")
    health = ("--health-cmd", "echo well", "--health-interval", "200ms", "--publish", "127.0.0.1::80")
    source = DockerEngine(newer_engine.docker_host)
    watch = Watch(source)
    before = watch.calls
    program = ("sh", "-c", "head -c 2000000 /dev/zero > /data/a; while :; do sleep 0.01; done")
    container = newer_engine.docker("run", "--detach", "--init", *labels, *options, *health, APP, *program)
    wait_until(lambda: watch.calls > before, 30, "nothing was told")
    wait_until(lambda: look(source, name)["web"].health == "healthy", 60, "it does not get well")
    row = look(source, name)["web"]
    assert (row.id, row.state, row.restarts) == (container, "running", 0)
    assert dict(row.environment)["API_TOKEN"] == MASK and row.health_log[-1].output == "well\n"
    assert row.image == APP and row.image_created and row.ports[0].host_address == "127.0.0.1"
    assert source.describe().api_version > "1.44" and name in {project.name for project in source.projects()}

    bridge = Bridge(newer_engine.docker_host.removeprefix("unix://"))
    far = DockerEngine(bridge.address)
    for each in (source, far):
        each.usage([row])
        wait_until(lambda each=each: each.usage([row])[container].cpu_percent, 30, "no CPU was counted")  # type: ignore[misc]
        usage = each.usage([row])[container]
        assert usage.memory_bytes and usage.memory_limit == 64 << 20
        assert usage.network_received is not None and usage.processes
        volumes = {volume.kind: volume for volume in each.volumes([row], project=name)}
        anonymous = volumes[VolumeKind.ANONYMOUS]
        assert volumes.keys() == {VolumeKind.ANONYMOUS, VolumeKind.TMPFS}
        assert 2_000_000 <= each.volume_sizes([anonymous], threading.Event())[anonymous.key] < 2_100_000
    bridge.cut()
    source.stop(container)
    assert look(source, name)["web"].state == "exited"
    newer_engine.docker("rm", "--force", "--volumes", container)
    wait_until(lambda: not source.containers(project=name), 30, "it is still listed")
    watch.stop.set()


# --- an engine that is lost ------------------------------------------------------------------------


def test_an_engine_that_goes_and_comes_back(mps: Stack, bridge: Callable[..., Bridge]) -> None:
    link = bridge()
    source = DockerEngine(link.address)
    assert len(source.containers(project=mps.project)) == 4
    watch = Watch(source)
    link.cut()
    watch.thread.join(30)
    assert isinstance(watch.fault, SourceError) and "ended the connection" in watch.fault.problem
    with pytest.raises(SourceError, match="No engine listens at"):
        source.containers(project=mps.project)
    Path(link.address.removeprefix("unix://")).unlink()
    with pytest.raises(SourceError, match="There is no engine socket at"):
        source.describe()
    link.open()
    assert len(source.containers(project=mps.project)) == 4
    again = Watch(source)
    again.stop.set()
    again.thread.join(30)
    assert not again.thread.is_alive()


def test_a_kept_connection_that_died_is_not_a_fault(mps: Stack, bridge: Callable[..., Bridge]) -> None:
    link = bridge()
    source = DockerEngine(link.address)
    source.containers(project=mps.project)
    link.hang_up()
    assert len(source.containers(project=mps.project)) == 4
    link.drop_next()
    assert len(source.containers(project=mps.project)) == 4
    container = source.containers(project=mps.project)[0].id
    link.drop_next()
    with pytest.raises(SourceError, match="ended the connection"):
        source.start(container)  # an order is never given twice


def test_a_silent_stream_is_taken_up_again_where_it_ended(
    engine: Engine, run: Callable[..., str], bridge: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsconsole.sources.engine_events._QUIET_SECONDS", 0.2)
    source = DockerEngine(bridge().address)
    opened: list[str] = []
    real = source._connection.stream

    def counting(path: str, params: dict[str, Any], **words: Any) -> Any:
        opened.append(params.get("since", ""))
        return real(path, params, **words)

    monkeypatch.setattr(source._connection, "stream", counting)
    watch = Watch(source)
    wait_until(lambda: len(opened) > 2, 30, "the stream is not opened anew")
    assert opened[0] == "" and all(opened[1:])
    before = watch.calls
    run("web")
    wait_until(lambda: watch.calls > before, 30, "nothing was told")
    times = len(opened)
    wait_until(lambda: len(opened) > times + 1, 30, "the stream is not opened anew")
    assert all(opened[1:])
    watch.stop.set()
    watch.thread.join(30)
    assert watch.fault is None


def test_what_changed_while_nobody_watched_is_looked_at_again(
    engine: Engine, run: Callable[..., str], project: str, source: DockerEngine
) -> None:
    container = run("web")
    assert look(source, project)["web"].restart_policy == "no"
    engine.docker("update", "--restart", "always", container)
    assert look(source, project)["web"].restart_policy == "no"
    watch = Watch(source)
    assert look(source, project)["web"].restart_policy == "always"
    watch.stop.set()


def test_an_engine_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()  # accepts, and never answers
        source = DockerEngine(f"unix://{tmp_path}/s")
        source._connection._timeout = 0.3
        with pytest.raises(SourceError, match=r"did not answer within 0\.3 s"):
            source.containers()


@pytest.mark.parametrize(
    ("prepare", "problem", "hint"),
    [
        (lambda path: None, "There is no engine socket at", "systemctl start docker"),
        (lambda path: path.touch(), "No engine listens at", "systemctl start docker"),
    ],
)
def test_a_missing_engine_is_named(tmp_path: Path, prepare: Callable[[Path], None], problem: str, hint: str) -> None:
    prepare(tmp_path / "s")
    with pytest.raises(SourceError, match=problem) as caught:
        DockerEngine(f"unix://{tmp_path}/s").describe()
    assert hint in caught.value.hint


def test_a_closed_socket_names_its_group(engine: Engine, bridge: Callable[..., Bridge], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("another account can only be put on by root")
    link = bridge()
    path = Path(link.address.removeprefix("unix://"))
    os.chown(path, 0, 1)  # daemon: a group that every system has
    path.chmod(0o660)
    program = (
        "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from opsconsole.model import SourceError\n"
        "from opsconsole.sources.engine import DockerEngine\n"
        "try: DockerEngine(sys.argv[1]).describe()\n"
        "except SourceError as fault: print(fault.problem); print(fault.hint)"
    )
    for directory in [tmp_path, *tmp_path.parents]:
        if str(directory) not in ("/", "/tmp"):
            directory.chmod(0o755)
    done = subprocess.run(
        # The interpreter of a contributor may lie where nobody else may look: everything is imported first.
        [sys.executable, "-c", "import docker, opsconsole.sources.engine\n" + program, link.address],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": "/"},
    )
    problem, hint = done.stdout.splitlines()
    assert problem == f"nobody has no permission for the engine socket {path}: it belongs to group daemon"
    assert hint == "`sudo usermod -aG daemon nobody`, then log out and in again"


def test_tls_against_an_engine_without_it(bridge: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nowhere")
    with pytest.raises(SourceError, match="TLS with the engine at") as caught:
        DockerEngine(bridge(tcp=True).address).describe()
    assert "DOCKER_CERT_PATH" in caught.value.hint
    monkeypatch.delenv("DOCKER_TLS_VERIFY")
    monkeypatch.setenv("DOCKER_TLS", "1")
    monkeypatch.setattr("opsconsole.sources.engine_connection._tls", lambda files: True if files else None)
    with pytest.raises(SourceError, match="TLS with the engine at"):
        DockerEngine(bridge(tcp=True).address).describe()


def test_an_engine_that_is_too_old_is_named(source: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_connection, "OLDEST_API", "9.0")
    with pytest.raises(SourceError, match=r"speaks API \d\.\d+; 9\.0 .* or newer is needed"):
        source.describe()


def test_an_engine_behind_ssh_is_refused_in_words() -> None:
    with pytest.raises(SourceError, match="behind SSH") as caught:
        DockerEngine("ssh://admin@server").describe()
    assert "run opsconsole there" in caught.value.hint


def test_something_else_on_that_port_is_not_taken_for_an_engine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    with near:
                        near.recv(4096)
                        near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        threading.Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SourceError, match="is not a usable Docker engine"):
            DockerEngine(address).describe()
