"""The simulated stack: the same every time, moved by the operator's keys, and quick at any size."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from opsconsole.demo import DemoSources, demo_sources
from opsconsole.log_levels import detect
from opsconsole.model import (
    AlertState,
    BackupState,
    Container,
    LogLevel,
    LogLine,
    MongoStatus,
    Safety,
    Snapshot,
    SourceError,
    VolumeKind,
    to_json,
)
from opsconsole.monitor import Monitor
from opsconsole.sources import LogRange, LogStream
from opsconsole.stack.drift import with_drift
from opsconsole.stack.safety import judge
from tests.parts.machine import wait_until

BEGAN = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """One read brings all there is, however slow the machine."""
    monkeypatch.setattr("opsconsole.demo.logs._MOST_SECONDS", 60.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sources(clock: Clock) -> DemoSources:
    return demo_sources(clock=clock)


def container(sources: DemoSources, service: str) -> Container:
    return next(found for found in sources.engine.containers() if found.service == service)


def everything(sources: DemoSources) -> str:
    """All that the sources say at this moment."""
    containers = sources.engine.containers()
    stack = sources.stack.look(containers)
    volumes = sources.engine.volumes(containers)
    said = [
        sources.engine.describe(),
        containers,
        stack,
        sources.engine.usage(containers),
        volumes,
        sources.engine.volume_sizes(volumes, threading.Event()),
        sources.host.sample(processes=5),
        sources.databases.look(stack, containers, collections=True),
        sources.probes.look(stack, containers),
        sources.backups.look(stack),
        sources.logs.access(containers),
        sources.past,
    ]
    lines = drain(sources.logs.open(containers, LogRange(tail=20)))
    return to_json(said) + repr(lines)


def drain(stream: LogStream) -> list[LogLine]:
    """All lines up to now."""
    lines: list[LogLine] = []
    for _ in range(5000):
        lines += stream.read()
        if stream.caught_up:
            return lines
    raise AssertionError("never caught up")


# --- the same every time ---------------------------------------------------------------------------


def test_same_seed_and_clock_say_the_same() -> None:
    first, second = Clock(), Clock()
    one, other = demo_sources(clock=first), demo_sources(clock=second)
    assert everything(one) == everything(other)
    before = everything(one)
    for clock in (first, second):
        clock.pass_by(601)
    assert everything(one) == everything(other) != before


def test_another_seed_is_another_day(clock: Clock) -> None:
    assert everything(demo_sources(seed=1, clock=clock)) != everything(demo_sources(seed=2, clock=clock))


def test_it_says_that_it_is_a_demo(sources: DemoSources) -> None:
    assert sources.demo
    assert sources.engine.describe().endpoint.startswith("demo:")


@pytest.mark.parametrize("number", [1, 2, 7, 14, 15, 60, 1000])
def test_as_many_containers_as_asked_for(number: int, clock: Clock) -> None:
    containers = demo_sources(containers=number, clock=clock).engine.containers()
    assert len(containers) == number
    assert len({found.id for found in containers}) == len({found.name for found in containers}) == number


# --- what there is to see --------------------------------------------------------------------------


def test_containers_in_every_state(sources: DemoSources) -> None:
    found = sources.engine.containers()
    assert len(found) == 14
    assert Counter(one.service for one in found)["backend"] == 3
    mailer, search = container(sources, "mailer"), container(sources, "search")
    assert mailer.restarts is not None and mailer.restarts > 100
    assert search.health == "unhealthy" and "503" in search.health_log[-1].output
    migrate, reports = container(sources, "migrate"), container(sources, "reports")
    assert (migrate.state, migrate.exit_code) == ("exited", 0)
    assert (reports.state, reports.exit_code, reports.oom_killed) == ("exited", 137, True)
    stack = sources.stack.look(found)
    assert [one.service for one in with_drift(found, stack) if one.drift] == ["worker"]


def test_the_crash_loop_goes_round(sources: DemoSources, clock: Clock) -> None:
    states, restarts = set(), set()
    for _ in range(60):
        clock.pass_by(1.7)
        mailer = container(sources, "mailer")
        states.add(mailer.state)
        restarts.add(mailer.restarts)
        assert mailer.started_at is not None and mailer.started_at <= clock.now
    assert states == {"running", "restarting"}
    assert len(restarts) in (2, 3, 4)


def test_volumes_of_every_safety(sources: DemoSources) -> None:
    containers = sources.engine.containers()
    stack = sources.stack.look(containers)
    volumes = judge(sources.engine.volumes(containers), stack, sources.backups.look(stack))
    assert {volume.safety for volume in volumes} == set(Safety)
    assert {volume.kind for volume in volumes} >= {
        VolumeKind.NAMED, VolumeKind.ANONYMOUS, VolumeKind.BIND, VolumeKind.TMPFS,
    }  # fmt: skip
    risky = [volume for volume in volumes if volume.safety is Safety.AT_RISK]
    assert [volume.used_by[0].service for volume in risky] == ["queue"]
    uploads = next(volume for volume in volumes if volume.name.endswith("/uploads"))
    assert len(uploads.used_by) == 4
    sizes = sources.engine.volume_sizes(volumes, threading.Event())
    assert {volume.key for volume in volumes if volume.kind is not VolumeKind.TMPFS} == sizes.keys()


def test_backups_of_every_state_and_the_newest_good_one_is_three_hours_old(sources: DemoSources) -> None:
    backups = sources.backups.look(sources.stack.look(()))
    assert {backup.state for backup in backups} == set(BackupState)
    assert list(backups) == sorted(backups, key=lambda backup: backup.taken_at, reverse=True)
    good = next(backup for backup in backups if backup.state is BackupState.GOOD)
    assert BEGAN - good.taken_at == timedelta(hours=3)
    for backup in backups:
        sound = backup.state in (BackupState.GOOD, BackupState.INCREMENTAL)
        assert bool(backup.problem) == (not sound)


def test_one_disk_fills_up(sources: DemoSources, clock: Clock) -> None:
    before = sources.host.sample().disks[-1]
    clock.pass_by(86_400)
    after = sources.host.sample().disks[-1]
    assert before.used_percent > 90 and after.used_bytes > before.used_bytes
    assert before.full_in_days is not None and after.full_in_days is not None
    assert before.full_in_days - after.full_in_days == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_the_host_stays_plausible_at_any_hour(sources: DemoSources, clock: Clock, hour: int) -> None:
    for minute in range(0, 180, 7):
        clock.now = BEGAN + timedelta(hours=hour, minutes=minute)
        host = sources.host.sample(processes=3)
        assert host.cpu_percent is not None and 0 < host.cpu_percent < 80
        assert host.memory_percent is not None and 50 < host.memory_percent < 80
        assert all(0 <= core <= 100 for core in host.cpu_per_core)
        assert [process.cpu_percent for process in host.processes] == sorted(
            (process.cpu_percent for process in host.processes), reverse=True
        )
        for found, used in sources.engine.usage(sources.engine.containers()).items():
            limit = used.memory_limit
            assert used.memory_bytes is not None and (limit is None or used.memory_bytes <= limit), found
            assert min(used.cpu_percent or 0, used.network_sent_rate or 0, used.block_read_rate or 0) >= 0


def test_probes_one_slow_one_failing_one_in_twelve(sources: DemoSources, clock: Clock) -> None:
    failed = asked = 0
    stack = sources.stack.look(())
    for _ in range(120):
        clock.pass_by(10)
        probes = {probe.endpoint.name: probe for probe in sources.probes.look(stack, ())}
        assert probes["website"].ok and probes["search"].ok
        average = probes["search"].average_seconds
        assert average is not None and average > 2
        failed += not probes["api"].ok
        asked += 1
        assert 2 <= probes["api"].errors <= 3 and probes["api"].requests == 30
    assert failed / asked == pytest.approx(0.083, abs=0.02)


def test_the_past_joins_the_present(sources: DemoSources) -> None:
    running = [one for one in sources.engine.containers() if one.state != "exited"]
    names = {f"{kind}.{one.id}" for kind in ("cpu", "memory") for one in running}
    names |= {
        f"host.{name}" for name in ("cpu", "memory", "disk_read", "disk_write", "network_received", "network_sent")
    }
    names |= {"mongodb.mongodb", "redis.redis", "redis.queue", "probe.website", "probe.api", "probe.search"}
    assert sources.past.keys() == names
    assert all(len(series) == 360 for series in sources.past.values())
    cpu = sources.host.sample().cpu_percent
    assert cpu is not None and abs(sources.past["host.cpu"][-1] - cpu) < 8


def firing(snapshot: Snapshot) -> set[str]:
    return {alert.rule for alert in snapshot.alerts if alert.state is AlertState.FIRING}


def test_the_monitor_shows_it_whole() -> None:
    monitor = Monitor(demo_sources())
    monitor.start()
    wanted = {"crash-loop", "container-unhealthy", "disk", "volume-risk"}
    try:
        monitor.wait_until_settled(60)
        # Of each round of 46 s the crash loop runs for 11 s and looks well.
        snapshot: Snapshot = wait_until(lambda: wanted <= firing(seen := monitor.snapshot) and seen, 90, "no alerts")
    finally:
        monitor.stop()
    assert snapshot.demo and snapshot.stack is not None and snapshot.engine is not None and snapshot.host is not None
    assert all(reading.state == "ok" for reading in snapshot.readings.values())
    assert "backup-age" not in firing(snapshot)
    mongo = next(status for status in snapshot.databases if isinstance(status, MongoStatus))
    assert mongo.reachable and len(mongo.databases[0].collections) > 10


# --- what the operator does ------------------------------------------------------------------------


def test_stop_start_and_restart_really_change_it(sources: DemoSources, clock: Clock) -> None:
    target = container(sources, "nginx")
    clock.pass_by(5)
    sources.engine.stop(target.id)
    stopped = container(sources, "nginx")
    assert (stopped.state, stopped.finished_at) == ("exited", clock.now)
    assert target.id not in sources.engine.usage(sources.engine.containers())
    stack = sources.stack.look(())
    assert not next(probe for probe in sources.probes.look(stack, ()) if probe.endpoint.name == "website").ok
    clock.pass_by(60)
    sources.engine.start(target.id)
    assert (container(sources, "nginx").state, container(sources, "nginx").health) == ("running", "starting")
    clock.pass_by(30)
    started = container(sources, "nginx")
    assert started.health == "healthy" and started.started_at == clock.now - timedelta(seconds=30)
    clock.pass_by(1)
    sources.engine.restart(target.id)
    assert container(sources, "nginx").started_at == clock.now


def test_a_database_that_was_stopped_is_unreachable(sources: DemoSources, clock: Clock) -> None:
    sources.engine.stop(container(sources, "mongodb").id)
    clock.pass_by(1)
    status = sources.databases.look(sources.stack.look(()), (), collections=False)[0]
    assert not status.reachable and "not running" in status.problem and status.hint


def test_the_crash_loop_ends_when_it_is_stopped(sources: DemoSources, clock: Clock) -> None:
    sources.engine.stop(container(sources, "mailer").id)
    clock.pass_by(500)
    assert container(sources, "mailer").state == "exited"


def test_an_unknown_container_is_named(sources: DemoSources) -> None:
    with pytest.raises(SourceError, match="no such container"):
        sources.engine.stop("0" * 64)


def test_watchers_hear_of_every_action(sources: DemoSources) -> None:
    heard, stop = threading.Event(), threading.Event()
    watcher = threading.Thread(target=sources.engine.watch, args=(heard.set, stop), daemon=True)
    watcher.start()
    sources.engine.restart(container(sources, "redis").id)
    assert heard.wait(5)
    stop.set()
    sources.engine.close()
    watcher.join(5)
    assert not watcher.is_alive()


# --- logs ------------------------------------------------------------------------------------------


def test_lines_come_in_order_and_none_twice(sources: DemoSources, clock: Clock) -> None:
    stream = sources.logs.open(sources.engine.containers(), LogRange(tail=50))
    lines = drain(stream)
    for _ in range(40):
        clock.pass_by(1.3)
        lines += stream.read()
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert len({(line.at, line.container, line.text) for line in lines}) == len(lines)
    assert lines[-1].at <= clock.now.timestamp() * 1e9
    assert {line.service for line in lines} == {one.service for one in sources.engine.containers()}
    stream.close()
    assert stream.read() == []


def test_what_was_read_live_is_what_is_read_again_later(sources: DemoSources, clock: Clock) -> None:
    began = clock.now
    live = sources.logs.open(sources.engine.containers(), LogRange(since=began))
    lines = drain(live)
    for _ in range(100):
        clock.pass_by(0.7)
        lines += live.read()
    again = drain(sources.logs.open(sources.engine.containers(), LogRange(since=began, follow=False)))
    assert [(line.at, line.text) for line in lines] == [(line.at, line.text) for line in again]
    assert len(lines) > 100


def test_ranges(sources: DemoSources) -> None:
    nginx = [container(sources, "nginx")]
    tail = drain(sources.logs.open(nginx, LogRange(tail=30)))
    assert len(tail) == 30
    assert drain(sources.logs.open(nginx, LogRange(tail=0))) == []
    whole = drain(sources.logs.open(nginx, LogRange()))
    assert [line.text for line in whole[-30:]] == [line.text for line in tail]
    head = drain(sources.logs.open(nginx, LogRange(head=12)))
    assert [line.text for line in head] == [line.text for line in whole[:12]]
    since = drain(sources.logs.open(nginx, LogRange(since=BEGAN - timedelta(minutes=1))))
    assert since == [line for line in whole if line.at >= (BEGAN - timedelta(minutes=1)).timestamp() * 1e9]


def test_a_stream_that_does_not_follow_ends(sources: DemoSources, clock: Clock) -> None:
    stream = sources.logs.open(sources.engine.containers(), LogRange(tail=5, follow=False))
    assert drain(stream)
    clock.pass_by(60)
    assert stream.read() == [] and stream.caught_up


def test_stopping_ends_the_lines_and_starting_begins_them(sources: DemoSources, clock: Clock) -> None:
    nginx = container(sources, "nginx")
    stream = sources.logs.open([nginx], LogRange(tail=5))
    drain(stream)
    clock.pass_by(1)
    sources.engine.stop(nginx.id)
    clock.pass_by(1)
    assert "shutting down" in stream.read()[-1].text
    clock.pass_by(50)
    assert stream.read() == []
    sources.engine.start(nginx.id)
    clock.pass_by(10)
    lines = [line for _ in range(3) for line in stream.read()]
    assert "ready" in lines[0].text and len(lines) > 3


def test_retarget_follows_others_from_now_on(sources: DemoSources, clock: Clock) -> None:
    stream = sources.logs.open([container(sources, "nginx")], LogRange(tail=5))
    drain(stream)
    stream.retarget([container(sources, "frontend")])
    changed = clock.now
    clock.pass_by(20)
    lines = [line for _ in range(4) for line in stream.read()]
    assert {line.service for line in lines} == {"frontend"}
    assert all(line.at >= changed.timestamp() * 1e9 for line in lines)


def test_lines_are_of_every_level_and_have_stack_traces(sources: DemoSources) -> None:
    lines = drain(sources.logs.open(sources.engine.containers(), LogRange(since=BEGAN - timedelta(minutes=30))))
    levels = Counter(detect(line.text) for line in lines)
    assert {LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARNING, LogLevel.ERROR} <= levels.keys()
    assert levels[LogLevel.INFO] > levels[LogLevel.ERROR] * 5
    assert any(line.text.startswith("Traceback") for line in lines)
    assert any(line.stderr for line in lines) and not all(line.stderr for line in lines)
    assert 4 < len(lines) / 1800 < 40


def test_access_is_what_the_lines_say(sources: DemoSources, clock: Clock) -> None:
    for _ in range(3):
        clock.pass_by(130)
        rates = {rate.service: rate for rate in sources.logs.access(sources.engine.containers())}
        nginx = rates["nginx"]
        assert nginx.requests > 300 and 0 < nginx.errors < nginx.requests * 0.05
    fresh = {rate.service: rate for rate in demo_like(clock).logs.access(sources.engine.containers())}
    assert fresh["nginx"] == rates["nginx"], "counted step by step or at once is the same"


def demo_like(clock: Clock) -> DemoSources:
    """Sources that began when the fixture's did, and have been asked nothing yet."""
    began = Clock()
    made = demo_sources(clock=began)
    began.now = clock.now
    return made


# --- size ------------------------------------------------------------------------------------------


def test_reading_logs_of_a_thousand_containers_stays_bounded(clock: Clock) -> None:
    sources = demo_sources(containers=1000, clock=clock)
    stream = sources.logs.open(sources.engine.containers(), LogRange(since=BEGAN - timedelta(minutes=2)))
    lines = drain(stream)
    assert len({line.service for line in lines}) > 20
    assert all(len(stream.read()) <= 20_000 for _ in range(3))
