"""One Snapshot from many sources: what fails or hangs ages alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from opsconsole.demo import demo_sources
from opsconsole.model import Container, HostSample, Snapshot, SourceError, SourceState
from opsconsole.monitor import Monitor
from opsconsole.monitor.paces import Pace
from tests.parts.machine import wait_until

FAST = {
    name: Pace(focused=0.05, background=0.05) for name in ("usage", "host", "databases", "probes", "backups", "stack")
}


class Faulty:
    """A source that answers as the one behind it until it is told to fail or to hang."""

    def __init__(self, real: Any, *methods: str) -> None:
        self._real = real
        self._methods = methods
        self.error: Exception | None = None
        self.release: threading.Event | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name not in self._methods:
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            if self.release is not None:
                self.release.wait(30)
            if self.error is not None:
                raise self.error
            return method(*arguments, **options)

        return call


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    watching = Monitor(demo_sources(), paces=FAST)
    yield watching
    watching.stop()


def until(monitor: Monitor, condition: Callable[[Snapshot], Any], message: str) -> Snapshot:
    wait_until(lambda: condition(monitor.snapshot), 10, message)
    return monitor.snapshot


def test_a_snapshot_has_every_part(monitor: Monitor) -> None:
    monitor.start()
    snapshot = monitor.wait_until_settled(60)
    assert snapshot.demo
    assert snapshot.stack and snapshot.engine and snapshot.host
    assert snapshot.containers and snapshot.volumes and snapshot.databases and snapshot.probes and snapshot.backups
    assert snapshot.alerts
    assert all(reading.state is SourceState.OK for reading in snapshot.readings.values()), snapshot.readings


def test_rates_are_known_after_settling(monitor: Monitor) -> None:
    monitor.start()
    snapshot = monitor.wait_until_settled(60)
    running = [container for container in snapshot.containers if container.state == "running"]
    assert running
    assert all(container.usage and container.usage.cpu_percent is not None for container in running)
    assert snapshot.host and snapshot.host.cpu_percent is not None


def test_a_failing_source_keeps_its_last_data_and_says_why(monitor: Monitor) -> None:
    host = monitor.sources.host = Faulty(monitor.sources.host, "sample")  # type: ignore[assignment]
    monitor.start()
    before = until(monitor, lambda snapshot: snapshot.host, "no first sample")
    host.error = SourceError("the counters cannot be read", "mount /proc")
    failed = until(monitor, lambda snapshot: snapshot.readings["host"].state is SourceState.FAILED, "not failed")
    reading = failed.readings["host"]
    assert isinstance(failed.host, HostSample)
    assert reading.problem == "the counters cannot be read" and reading.hint == "mount /proc"
    assert reading.sampled_at is not None and reading.sampled_at >= before.sampled_at.replace(year=2000)
    assert reading.failing_since is not None and reading.retry_at is not None
    assert failed.readings["usage"].state is SourceState.OK
    host.error = None
    recovered = until(monitor, lambda snapshot: snapshot.readings["host"].state is SourceState.OK, "not recovered")
    assert recovered.readings["host"].problem == ""


def test_a_fault_of_ours_does_not_blind_the_rest(monitor: Monitor) -> None:
    broken = Faulty(monitor.sources.probes, "look")
    broken.error = KeyError("password=hunter2 \x1b[2J")
    monitor.sources.probes = broken  # type: ignore[assignment]
    monitor.start()
    snapshot = until(monitor, lambda seen: seen.readings["probes"].state is SourceState.FAILED, "not failed")
    problem = snapshot.readings["probes"].problem
    assert "KeyError" in problem and "hunter2" not in problem and "\x1b" not in problem
    until(monitor, lambda seen: seen.containers and seen.host, "the others do not go on")


def test_a_hanging_source_ages_alone(monitor: Monitor) -> None:
    hanging = Faulty(monitor.sources.databases, "look")
    hanging.release = threading.Event()
    monitor.sources.databases = hanging  # type: ignore[assignment]
    monitor.start()
    first = until(monitor, lambda seen: seen.host and seen.containers and seen.backups, "the others wait for it")
    assert first.readings["databases"].state is SourceState.WAITING
    later = until(
        monitor,
        lambda seen: seen.readings["host"].sampled_at > first.readings["host"].sampled_at,
        "the others stopped",
    )
    assert later.readings["databases"].state is SourceState.WAITING
    began = time.monotonic()
    monitor.stop()
    assert time.monotonic() - began < 15, "stop waits for a source that hangs"
    hanging.release.set()


def test_a_hanging_engine_does_not_keep_files_from_being_read(monitor: Monitor) -> None:
    hanging = Faulty(monitor.sources.engine, "containers", "describe", "usage", "volumes", "watch")
    hanging.release = threading.Event()
    monitor.sources.engine = hanging  # type: ignore[assignment]
    monitor.start()
    snapshot = until(monitor, lambda seen: seen.stack and seen.backups and seen.host, "waits for the engine")
    assert snapshot.containers == ()
    hanging.release.set()
    until(monitor, lambda seen: seen.containers, "the engine's answer is lost")


def test_an_event_is_seen_before_the_next_look_is_due(monitor: Monitor) -> None:
    monitor.start()
    snapshot = until(monitor, lambda seen: any(c.state == "running" for c in seen.containers), "nothing runs")
    target = next(container for container in snapshot.containers if container.state == "running")
    monitor.sources.engine.stop(target.id)

    def stopped(seen: Snapshot) -> bool:
        return any(container.id == target.id and container.state == "exited" for container in seen.containers)

    until(monitor, stopped, "the stop was not seen")


def test_the_usage_of_a_stopped_container_is_not_shown(monitor: Monitor) -> None:
    monitor.start()
    snapshot = monitor.wait_until_settled(60)
    for container in snapshot.containers:
        assert container.usage is None or container.state in ("running", "paused")


def test_what_is_focused_is_asked_more_often() -> None:
    sources = demo_sources()
    asked: list[float] = []
    sample = sources.host.sample

    def counted(**options: Any) -> HostSample:
        asked.append(time.monotonic())
        return sample(**options)

    sources.host.sample = counted  # type: ignore[method-assign]
    monitor = Monitor(sources, paces={"host": Pace(focused=0.02, background=60)})
    try:
        monitor.start()
        wait_until(lambda: len(asked) == 1, 30, "not asked at the start")
        monitor.focus(frozenset({"host"}))
        wait_until(lambda: len(asked) > 5, 30, "not asked more often")
        monitor.focus(frozenset())
        wait_until(lambda: time.monotonic() - asked[-1] > 0.3, 30, "still asked often")
    finally:
        monitor.stop()


def test_subscribers_get_each_new_snapshot_and_can_leave(monitor: Monitor) -> None:
    seen: list[Snapshot] = []
    leave = monitor.subscribe(seen.append)
    monitor.start()
    wait_until(lambda: len(seen) > 3, 30, "no Snapshots")
    leave()
    count = len(seen)
    last = monitor.snapshot
    until(monitor, lambda snapshot: snapshot is not last, "no later Snapshot")
    assert len(seen) <= count + 1


def test_a_subscriber_that_fails_does_not_stop_the_others(monitor: Monitor) -> None:
    def broken(snapshot: Snapshot) -> None:
        raise RuntimeError("gone")

    seen: list[Snapshot] = []
    monitor.subscribe(broken)
    monitor.subscribe(seen.append)
    monitor.start()
    wait_until(lambda: len(seen) > 1, 30, "no Snapshots")


def test_history_grows_and_forgets_removed_containers(monitor: Monitor) -> None:
    engine = Faulty(monitor.sources.engine)
    monitor.sources.engine = engine  # type: ignore[assignment]
    monitor.start()
    snapshot = monitor.wait_until_settled(60)
    gone = snapshot.containers[0].id
    assert f"cpu.{gone}" in snapshot.history
    real = engine._real

    def without(*, project: str = "", directory: str = "") -> Sequence[Container]:
        return tuple(c for c in real.containers(project=project, directory=directory) if c.id != gone)

    engine.containers = without
    monitor.refresh()
    until(monitor, lambda seen: f"cpu.{gone}" not in seen.history, "its history stays")
