"""The alert rules and what time makes of them: a clock that the tests hold, Snapshots of plain data."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.alerts import AlertMemory, Thresholds, evaluate
from opsconsole.model import (
    AccessRate,
    Alert,
    AlertState,
    Backup,
    BackupState,
    Container,
    DatabaseTarget,
    Disk,
    Endpoint,
    HealthCheck,
    HostSample,
    MongoStatus,
    Port,
    Probe,
    Reading,
    RedisStatus,
    ReplicaMember,
    Safety,
    Service,
    Severity,
    Snapshot,
    SourceState,
    Stack,
    Usage,
    Volume,
    VolumeKind,
    has_recovered,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOURCES = ("stack", "engine", "usage", "volumes", "host", "databases", "probes", "access", "backups")
FIRING, PENDING, RESOLVED = AlertState.FIRING, AlertState.PENDING, AlertState.RESOLVED
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def fresh(now: datetime, **states: Reading) -> dict[str, Reading]:
    return {**{name: Reading(source=name, state=SourceState.OK, sampled_at=now) for name in SOURCES}, **states}


def failed(source: str, sampled_at: datetime, since: datetime) -> Reading:
    return Reading(
        source=source, state=SourceState.FAILED, sampled_at=sampled_at, failing_since=since, problem="it broke"
    )


def snapshot(now: datetime, **parts: Any) -> Snapshot:
    return Snapshot(sampled_at=now, **{"readings": fresh(now), **parts})


class Watch:
    """Evaluates one Snapshot after the other and remembers, as the monitor does."""

    def __init__(self, **limits: Any) -> None:
        self.thresholds = Thresholds(**limits)
        self.memory = AlertMemory()
        self.alerts: tuple[Alert, ...] = ()

    def see(self, seconds: float, **parts: Any) -> dict[str, Alert]:
        """The alerts by rule, `seconds` after the start."""
        return self.feed(snapshot(at(seconds), **parts), at(seconds))

    def feed(self, seen: Snapshot, now: datetime) -> dict[str, Alert]:
        self.alerts, self.memory = evaluate(self.thresholds, self.memory, seen, now)
        return {alert.rule: alert for alert in self.alerts}


def once(seconds: float = 0, **parts: Any) -> dict[str, Alert]:
    return Watch().see(seconds, **parts)


def busy(percent: float | None) -> HostSample:
    return HostSample(name="srv", cpu_percent=percent)


# --- what time makes of a condition --------------------------------------------------------------------


def test_pending_firing_resolved_gone() -> None:
    watch = Watch()
    first = watch.see(0, host=busy(93))["cpu"]
    assert (first.state, first.since, first.value, first.limit) == (PENDING, at(0), 93, 80)
    for seconds in range(10, 300, 10):
        assert watch.see(seconds, host=busy(93))["cpu"].state is PENDING
    fired = watch.see(300, host=busy(95))["cpu"]
    assert (fired.state, fired.since) == (FIRING, at(300))
    assert fired.message == "CPU at 95 % (limit 80 %)"
    assert watch.see(400, host=busy(97))["cpu"].since == at(300)
    assert watch.see(410, host=busy(20))["cpu"].state is FIRING, "one sample below the limit is not the end"
    resolved = watch.see(480, host=busy(20))["cpu"]
    assert (resolved.state, resolved.since) == (RESOLVED, at(480))
    assert "cpu" in watch.see(480 + 899, host=busy(20))
    assert "cpu" not in watch.see(480 + 900, host=busy(20))


def test_a_sample_below_the_limit_begins_the_wait_anew() -> None:
    watch = Watch()
    for seconds in range(0, 300, 10):
        watch.see(seconds, host=busy(93 if seconds != 290 else 79))
    assert "cpu" not in watch.see(290, host=busy(79))
    for seconds in range(300, 600, 10):
        assert watch.see(seconds, host=busy(93))["cpu"].state is PENDING


def test_swinging_around_the_limit_is_one_alert() -> None:
    watch = Watch()
    for seconds in range(0, 310, 10):
        watch.see(seconds, host=busy(93))
    assert {watch.see(s, host=busy(79 if s % 20 else 81))["cpu"].since for s in range(310, 900, 10)} == {at(300)}


def test_it_fires_again_after_it_was_resolved() -> None:
    watch = Watch()
    full = Disk(mount="/", used_percent=91, free_bytes=5 * 2**30)
    assert watch.see(0, host=HostSample(disks=(full,)))["disk"].state is FIRING
    watch.see(10, host=HostSample())
    assert watch.see(80, host=HostSample())["disk"].state is RESOLVED
    again = watch.see(90, host=HostSample(disks=(full,)))["disk"]
    assert (again.state, again.since) == (FIRING, at(90))


def test_one_missing_sample_keeps_the_state_and_proves_nothing() -> None:
    watch = Watch()
    for seconds in range(0, 200, 10):
        watch.see(seconds, host=busy(93))
    broken = fresh(at(200), host=failed("host", at(190), at(200)))
    kept = watch.see(200, host=busy(93), readings=broken)["cpu"]
    assert (kept.state, kept.since) == (PENDING, at(0))
    for seconds in range(210, 320, 10):
        assert watch.see(seconds, host=busy(93))["cpu"].state is PENDING, "190 to 210 was not seen"
    assert watch.see(320, host=busy(93))["cpu"].state is FIRING
    watch.see(330, host=busy(None))
    assert watch.see(340, host=busy(93))["cpu"].since == at(320), "a value that is unknown ends nothing"


def test_a_stale_value_never_counts() -> None:
    watch = Watch()
    watch.see(0, host=busy(93))
    hung = {**fresh(at(0))}
    for seconds in range(10, 4000, 10):
        assert watch.see(seconds, host=busy(93), readings=hung)["cpu"].state is PENDING
    assert watch.see(4000, host=busy(93))["cpu"].state is PENDING, "nobody knows what was in the gap"


def test_a_firing_alert_survives_its_silent_source() -> None:
    watch = Watch()
    for seconds in range(0, 310, 10):
        watch.see(seconds, host=busy(93))
    for seconds in range(310, 2000, 100):
        silent = fresh(at(seconds), host=failed("host", at(300), at(310)))
        assert watch.see(seconds, host=None, readings=silent)["cpu"].state is FIRING


def test_a_clock_that_jumps() -> None:
    watch = Watch()
    watch.see(0, host=busy(93))
    assert watch.see(3600, host=busy(93))["cpu"].state is PENDING
    assert watch.see(-3600, host=busy(93))["cpu"].state is PENDING
    assert watch.see(-3590, host=busy(93))["cpu"].state is PENDING


def test_samples_too_far_apart_prove_nothing_however_many_there_are() -> None:
    watch = Watch()
    for seconds in range(0, 4000, 100):
        assert watch.see(seconds, host=busy(93))["cpu"].state is PENDING


def test_a_clock_set_back_ends_what_is_over_and_keeps_nothing_for_a_day() -> None:
    watch, day = Watch(), -86_400
    for seconds in range(0, 310, 10):
        watch.see(seconds, host=busy(93))
    watch.see(310, host=busy(20))
    for seconds in range(day, day + 61, 10):
        over = watch.see(seconds, host=busy(20))["cpu"]
    assert (over.state, over.since) == (RESOLVED, at(day + 60))
    assert "cpu" not in watch.see(day + 60 + 900, host=busy(20))
    looping = Watch()
    for seconds, count in ((0, 0), (10, 5)):
        looping.see(seconds, containers=(running("web", restarts=count),))
    for seconds in range(day, day + 130, 60):
        found = looping.see(seconds, containers=(running("web", restarts=5),))
    assert found["crash-loop"].state is RESOLVED
    still = Watch()
    for seconds in (*range(0, 310, 10), day):
        firing = still.see(seconds, host=busy(93))["cpu"]
    assert (firing.state, firing.since) == (FIRING, at(day)), "nothing began in the future"


@settings(max_examples=100, deadline=None)
@given(
    samples=st.lists(
        st.tuples(
            st.sampled_from([10, 10, 30, 60, 60, 90, 91, 400, 9000, -1, -500, -100_000]),  # the clock goes so far
            st.sampled_from([10.0, 95.0, 95.0, 95.0, 95.0, 95.0]),  # CPU
        ),
        min_size=5,
        max_size=60,
    )
)
def test_only_time_between_two_samples_that_follow_each_other_proves_anything(samples: list[tuple[int, float]]) -> None:
    """Whatever the clock does: gaps, restarts long after, set back and forth."""
    watch, seconds, proven, above = Watch(), 0, 0.0, False
    for step, percent in samples:
        seconds += step
        before = {alert.rule: alert for alert in watch.alerts}.get("cpu")
        alert = watch.see(seconds, host=busy(percent)).get("cpu")
        if percent <= 80:
            proven, above = 0.0, False
            continue
        if above and abs(step) > 300:
            proven = 0.0
        elif above and 0 < step <= 90:
            proven += step
        above = True
        assert alert is not None
        fired = alert.state is FIRING and (before is None or before.state is not FIRING)
        assert not fired or proven >= 300
        if before is None or before.state is not FIRING:
            assert (alert.state is FIRING) == (proven >= 300), "and what is proven fires"


@settings(max_examples=60, deadline=None)
@given(
    samples=st.lists(
        st.tuples(
            st.floats(min_value=0.5, max_value=100),  # seconds since the last one; more than 90 prove nothing
            st.sampled_from([None, 10.0, 95.0, 95.0, 95.0, 95.0, 95.0, 95.0]),  # CPU
            st.sampled_from(["fresh", "fresh", "fresh", "failed", "stale"]),
        ),
        min_size=10,
        max_size=60,
    )
)
def test_never_firing_before_its_time(samples: list[tuple[float, float | None, str]]) -> None:
    watch = Watch()
    elapsed, sampled = 0.0, 0.0
    last: float | None = None
    above_since: float | None = None
    last_above = 0.0  # the last fresh sample above the limit
    for step, percent, kind in samples:
        elapsed += step
        reading = Reading(source="host", state=SourceState.OK, sampled_at=at(sampled))
        if kind == "fresh":
            sampled, last = elapsed, percent
            reading = Reading(source="host", state=SourceState.OK, sampled_at=at(sampled))
            if percent is not None:
                above_since = (above_since if above_since is not None else elapsed) if percent > 80 else None
        elif kind == "failed":
            reading = failed("host", at(sampled), at(elapsed))
        unseen = sampled - last_above > 300
        if kind == "fresh" and percent is not None and percent > 80:
            last_above = sampled
        before = {alert.rule: alert for alert in watch.alerts}.get("cpu")
        alert = watch.see(elapsed, host=busy(last), readings=fresh(at(elapsed), host=reading)).get("cpu")
        if alert and alert.state is FIRING and (before is None or before.state is not FIRING):
            assert above_since is not None and elapsed - above_since >= 300 - 1e-3
        if before and alert and before.state is alert.state and not (alert.state is PENDING and unseen):
            assert alert.since == before.since


# --- the whole picture ---------------------------------------------------------------------------------


def service(name: str, **more: Any) -> Service:
    return Service(name=name, **more)


def running(web: str, **more: Any) -> Container:
    """A container of the service `web`: running, unless told otherwise."""
    values = {"id": web, "name": f"s-{web}-1", "state": "running", "restarts": 0, **more}
    return Container(service=web, **values)


def stack(*services: Service, **more: Any) -> Stack:
    return Stack(name="shop", directory="/srv/shop", services=services, backup_directory="/srv/shop/backups", **more)


def good_backup(now: datetime, hours: float = 2, **more: Any) -> Backup:
    values = {"id": "b", "path": "/b", "layout": "mps", "size_bytes": 9, "state": BackupState.GOOD, **more}
    return Backup(taken_at=now - timedelta(hours=hours), **values)


def quiet(now: datetime) -> dict[str, Any]:
    """A stack in which all is well."""
    mongo = DatabaseTarget(kind="mongodb", name="mongodb", service="mongodb")
    return {
        "stack": stack(
            service("mongodb", role="mongodb"),
            service("redis", role="redis"),
            service("backend", has_healthcheck=True),
            service("migrate", one_shot=True),
            service("tools", active=False, profiles=("tools",)),
            databases=(mongo,),
        ),
        "containers": (
            running("mongodb"),
            running("redis"),
            running("backend", health="healthy"),
            running("migrate", state="exited", exit_code=0, finished_at=now - timedelta(hours=1)),
            running("tools", state="exited", exit_code=143, finished_at=now - timedelta(days=9)),
        ),
        "host": HostSample(cpu_percent=30, memory_percent=60, disks=(Disk(mount="/", used_percent=50),)),
        "databases": (
            MongoStatus(target=mongo, reachable=True, topology="standalone", sampled_at=now),
            RedisStatus(target=DatabaseTarget(kind="redis", name="redis"), reachable=True, sampled_at=now),
        ),
        "probes": (Probe(endpoint=Endpoint(name="backend", url="u"), ok=True, requests=30, average_seconds=0.1),),
        "access": (AccessRate(service="backend", requests=1000, errors=3),),
        "backups": (good_backup(now),),
        "volumes": (Volume(key="volume:m", kind=VolumeKind.NAMED, name="m", database="mongodb"),),
    }


def test_a_quiet_stack_raises_nothing() -> None:
    watch = Watch()
    for seconds in range(0, 1200, 15):
        assert watch.see(seconds, **quiet(at(seconds))) == {}


def test_nothing_is_known_yet() -> None:
    waiting = {name: Reading(source=name) for name in SOURCES}
    assert once(readings=waiting) == {}
    assert evaluate(Thresholds(), AlertMemory(), Snapshot(sampled_at=START), START)[0] == ()


def troubled(now: datetime) -> dict[str, Any]:
    """A stack in which nothing is well."""
    parts = quiet(now)
    redis = DatabaseTarget(kind="redis", name="redis")
    parts["host"] = HostSample(
        cpu_percent=99,
        memory_percent=99,
        disks=tuple(Disk(mount=f"/{n}", used_percent=90 + n, inodes_total=9, inodes_free=0) for n in range(1, 5)),
    )
    parts["containers"] = (
        running("mongodb", state="exited", exit_code=137, oom_killed=True),
        running("redis", state="restarting", exit_code=1),
        running("backend", health="unhealthy"),
        running("backend", id="backend2", name="s-backend-2", state="dead"),
    )
    parts["databases"] = (
        MongoStatus(target=DatabaseTarget(kind="mongodb", name="mongodb"), problem="refused"),
        RedisStatus(target=redis, reachable=True, rdb_last_status="err", aof_last_status="err"),
    )
    parts["probes"] = tuple(
        # Two of them have the same name.
        Probe(endpoint=Endpoint(name=f"p{n % 3}", url="u"), ok=False, requests=30, errors=n + 9, average_seconds=9)
        for n in range(4)
    )
    parts["backups"] = (good_backup(now, 100), good_backup(now, 1, id="x", state=BackupState.DAMAGED))
    parts["volumes"] = tuple(
        Volume(key=f"{n}", kind=VolumeKind.TMPFS, name=f"v{n}", safety=Safety.AT_RISK) for n in range(4)
    )
    return parts


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_things_does_not_matter(shuffler: random.Random) -> None:
    ordered, mixed = Watch(), Watch()
    for seconds in (0, 60, 120, 180):
        parts = troubled(at(seconds))
        ordered.see(seconds, **parts)
        shuffled = {
            name: tuple(shuffler.sample(part, len(part))) if isinstance(part, tuple) else part
            for name, part in parts.items()
        }
        shuffled["host"] = msgspec.structs.replace(parts["host"], disks=tuple(shuffler.sample(parts["host"].disks, 4)))
        mixed.see(seconds, **shuffled)
        assert mixed.alerts == ordered.alerts
    assert len(ordered.alerts) > 20


def test_the_worst_come_first() -> None:
    watch = Watch()
    watch.see(0, **troubled(at(0)))
    ranks = [([FIRING, PENDING, RESOLVED].index(alert.state), alert.severity is WARNING) for alert in watch.alerts]
    assert ranks == sorted(ranks)
    for alert in watch.alerts:
        assert alert.message and alert.action and "\n" not in alert.message


def answering(**answers: Any) -> dict[str, Any]:
    return {"probes": (Probe(endpoint=Endpoint(name="backend", url="u"), **answers),)}


def test_what_looks_back_five_minutes_says_how_many_of_the_newest_answers_are_good() -> None:
    """Errors and averages stay red for so long after a mend: whoever mended it must see that it is."""
    failing = once(**answering(ok=False, requests=30, errors=9, newest=(None, 0.1)))["error-rate"].message
    assert failing == "backend: 30 % errors, 9 of 30 probes in 5 minutes (limit 5 %)"
    for newest, said in (((0.1, None), "answer is good"), ((0.1, 9.0, None), "2 answers are good")):
        message = once(**answering(ok=True, requests=30, errors=9, newest=newest))["error-rate"].message
        assert message == f"{failing}; the newest {said}"
    slow = {"ok": True, "requests": 30, "average_seconds": 4.2}
    for newest, end in (((2.1, 0.1), "(limit 2 s)"), ((2.0, 0.1, 9.0), "(limit 2 s); the newest 2 answers are quick")):
        assert once(**answering(**slow, newest=newest))["response-time"].message.endswith(end)


@pytest.mark.parametrize(("newest", "recovered"), [
    ("", False), ("+", True), ("-", False), ("-++++", False),
    ("+-", False), ("++++++++++++-", False),  # it may be one in so many
    ("++" + "-" * 12, False), ("+++" + "-" * 12, True), ("+++++-+++++", False),
])  # fmt: skip
def test_a_run_of_good_answers_long_enough_is_a_recovery(newest: str, recovered: bool) -> None:
    one = Probe(endpoint=Endpoint(name="x", url="u"), newest=tuple(0.1 if each == "+" else None for each in newest))
    assert has_recovered(one) == recovered
    slow = msgspec.structs.replace(one, newest=tuple(0.1 if each == "+" else 2.5 for each in newest))
    assert has_recovered(slow, 2.0) == recovered and has_recovered(slow) == bool(newest)


def test_an_alert_that_lasts_says_since_when_nobody_has_seen_what_it_is_about() -> None:
    watch = Watch(cpu_minutes=0)
    assert watch.see(0, host=busy(95))["cpu"].unseen_since is None
    assert watch.see(10, host=busy(20))["cpu"].unseen_since == at(10)
    lasting = watch.see(40, host=busy(20))["cpu"]
    assert (lasting.state, lasting.unseen_since) == (FIRING, at(10))
    assert watch.see(50, host=busy(95))["cpu"].unseen_since is None
    watch.see(60, host=busy(20))
    over = watch.see(120, host=busy(20))["cpu"]
    assert (over.state, over.unseen_since) == (RESOLVED, None)


# --- host ----------------------------------------------------------------------------------------------


def test_memory_waits_five_minutes_and_disk_does_not() -> None:
    disks = (
        Disk(mount="/", used_percent=90.5, free_bytes=3 * 2**30, inodes_total=1000, inodes_free=10, full_in_days=0.4),
        Disk(mount="/snap/core", filesystem="squashfs", used_percent=100),
        Disk(mount="/ok", used_percent=90.0, full_in_days=3.0),
    )
    watch = Watch()
    found = watch.see(0, host=HostSample(memory_percent=85.5, memory_available=2**30, disks=disks))
    assert found["memory"].state is PENDING
    assert found["memory"].message == "memory at 86 % (limit 85 %), 1.0 GiB available"
    assert {alert.subject for alert in watch.alerts if alert.rule != "memory"} == {"/"}
    assert (found["disk"].state, found["disk"].severity) == (FIRING, CRITICAL)
    assert found["disk"].message == "disk / at 90 % (limit 90 %), 3.0 GiB free"
    assert found["inodes"].message == "inodes of / at 99 % (limit 90 %), 10 free"
    assert found["disk-full-soon"].message.startswith("disk / is full in about 10 hours")


def test_limits_can_be_set() -> None:
    watch = Watch(cpu_percent=10, cpu_minutes=0)
    assert watch.see(0, host=busy(11))["cpu"].state is FIRING


# --- answers -------------------------------------------------------------------------------------------


def probe(**values: Any) -> Probe:
    return Probe(endpoint=Endpoint(name="api", url="http://x/health", service="backend"), **{"ok": True, **values})


def test_error_rate_over_enough_requests_or_enough_time() -> None:
    assert once(probes=(probe(requests=20, errors=1),)) == {}, "5 % is the limit, not over it"
    many = once(probes=(probe(requests=30, errors=3),))["error-rate"]
    assert (many.state, many.value, many.limit) == (FIRING, 10.0, 5.0)
    assert many.message == "api: 10 % errors, 3 of 30 probes in 5 minutes (limit 5 %)"
    watch = Watch()
    for seconds in range(0, 300, 30):
        assert watch.see(seconds, probes=(probe(requests=10, errors=2),))["error-rate"].state is PENDING
    assert watch.see(300, probes=(probe(requests=10, errors=2),))["error-rate"].state is FIRING


def test_error_rate_of_access_logs() -> None:
    found = once(access=(AccessRate(service="nginx", requests=1000, errors=60), AccessRate(service="quiet")))
    assert found["access-errors"].subject == "nginx"
    assert found["access-errors"].message.startswith("nginx: 6 % errors, 60 of 1000 requests in its access log")


def test_response_time() -> None:
    assert once(probes=(probe(requests=30, average_seconds=2.0),)) == {}
    slow = once(probes=(probe(requests=30, average_seconds=2.4),))["response-time"]
    assert (slow.state, slow.message) == (FIRING, "api answers in 2.4 s on average (limit 2 s)")
    assert once(probes=(probe(requests=3, average_seconds=2.4),))["response-time"].state is PENDING


def test_an_address_that_fails() -> None:
    down = once(probes=(probe(ok=False, requests=1, errors=1, problem="refuses connections"),))["endpoint-down"]
    assert (down.state, down.severity, down.message) == (FIRING, CRITICAL, "api fails: refuses connections")
    assert once(probes=(probe(ok=False, requests=30, errors=1, status=503),))["endpoint-down"].state is PENDING
    assert once(probes=(probe(ok=None),)) == {}


# --- containers ----------------------------------------------------------------------------------------


def seen(container: Container, wanted: Service | None = None, after: float = 0) -> Alert | None:
    """The alert that a container raises, in a stack that wants `wanted` (by default, its service)."""
    wanted = wanted or service(container.service)
    services = stack(wanted, service("other"))
    found = once(after, stack=services, containers=(container, running("other")))
    return next((alert for alert in found.values() if alert.rule.startswith(("container", "crash"))), None)


def ended(code: int, seconds_ago: float = 3600, **more: Any) -> Container:
    return running("web", state="exited", exit_code=code, finished_at=at(-seconds_ago), **more)


def test_a_crash_is_said_at_once() -> None:
    alert = seen(ended(1, 0))
    assert alert is not None
    assert (alert.rule, alert.state, alert.severity) == ("container-down", FIRING, CRITICAL)
    assert alert.message == "web ended with exit code 1"


def test_out_of_memory() -> None:
    limited = Usage(sampled_at=START, memory_limit=256 * 2**20)
    alert = seen(ended(137, 0, oom_killed=True, usage=limited))
    assert alert is not None
    assert (alert.severity, alert.message) == (
        CRITICAL,
        "web was killed: out of memory (limit 256.0 MiB) (exit code 137)",
    )
    child = seen(running("web", oom_killed=True))
    assert child is not None and child.rule == "container-oom"


@pytest.mark.parametrize("code", [0, 137, 143])
def test_stopped_by_somebody(code: int) -> None:
    wanted = service("web", ports=(Port(container_port=80),))
    just = seen(ended(code, 5, restart_policy="unless-stopped"), wanted)
    assert just is not None and (just.state, just.severity) == (PENDING, WARNING), "it may be on its way up again"
    long_ago = seen(ended(code, 61), wanted)
    assert long_ago is not None and long_ago.state is FIRING
    assert long_ago.message == f"web is stopped (exit code {code}) and should run"


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        (ended(0), service("web", one_shot=True)),
        (ended(0, restart_policy="no"), service("web")),
        (ended(0, restart_policy="on-failure:3"), service("web")),
        (ended(143), service("web", active=False)),
        (ended(143), service("web", replicas=0)),
        (ended(143), service("another")),
        (ended(1, labels=(("com.docker.compose.oneoff", "True"),)), service("web", one_shot=True)),
        (running("web", health="starting"), service("web")),
        (running("web", restart_policy="always"), service("web")),
    ],
)
def test_what_is_as_it_should_be(container: Container, wanted: Service) -> None:
    assert seen(container, wanted) is None


def test_a_database_that_was_stopped_is_critical() -> None:
    alert = seen(ended(0, restart_policy="no"), service("web", role="redis"))
    assert alert is not None and alert.severity is CRITICAL


def test_a_job_that_failed() -> None:
    alert = seen(ended(2), service("web", one_shot=True))
    assert alert is not None and alert.state is FIRING
    inactive = seen(ended(2), service("web", active=False))
    assert inactive is not None and inactive.severity is WARNING


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (running("web", state="created", created_at=at(-99)), "web was created and never started"),
        (running("web", state="created", error="port is taken\nx"), "web could not be started: port is taken"),
        (running("web", state="paused"), "web is paused"),
        (running("web", state="dead"), "web ended with exit code None"),
    ],
)
def test_other_ways_of_not_running(container: Container, message: str) -> None:
    alert = seen(container)
    assert alert is not None and alert.message == message


def test_unhealthy_since_its_first_failed_check() -> None:
    checks = tuple(
        HealthCheck(started_at=at(-30 * n), exit_code=code, output=f"curl: (7) failed {n}\nmore")
        for n, code in ((4, 0), (3, 1), (2, 1), (1, 1))
    )
    alert = seen(running("web", health="unhealthy", health_log=checks))
    assert alert is not None
    assert (alert.rule, alert.state, alert.severity) == ("container-unhealthy", FIRING, CRITICAL)
    assert alert.message == "web is unhealthy: curl: (7) failed 1"
    lately = seen(running("web", health="unhealthy", health_log=checks[-1:]))
    assert lately is not None and lately.state is PENDING


def test_a_crash_loop() -> None:
    watch = Watch()
    assert "crash-loop" not in watch.see(0, containers=(running("web", restarts=40),))
    assert "crash-loop" not in watch.see(60, containers=(running("web", restarts=42),))
    looping = watch.see(120, containers=(running("web", restarts=43),))["crash-loop"]
    assert (looping.state, looping.severity, looping.value) == (FIRING, CRITICAL, 3.0)
    assert looping.message == "web crashes again and again: 3 restarts in 10 minutes (limit 3)"
    for seconds in range(180, 781, 60):
        last = watch.see(seconds, containers=(running("web", restarts=43),))["crash-loop"]
    assert last.state is RESOLVED


def test_slow_restarts_are_no_loop_and_a_new_container_counts_anew() -> None:
    watch = Watch()
    for count, seconds in enumerate(range(0, 3000, 400)):
        assert "crash-loop" not in watch.see(seconds, containers=(running("web", restarts=count),))
    assert "crash-loop" not in watch.see(3010, containers=(running("web", id="new", restarts=0),))
    assert "crash-loop" not in watch.see(3020, containers=(running("web", id="new", restarts=2),))
    assert (
        watch.see(3030, containers=(running("web", state="restarting", restarts=None),))["crash-loop"].state is FIRING
    )


def test_services_without_containers() -> None:
    services = stack(service("a"), service("b", replicas=3), service("job", one_shot=True))
    watch = Watch()
    watch.see(0, stack=services, containers=(running("b"),))
    assert {alert.subject: alert.message for alert in watch.alerts} == {
        "a": "a has no container",
        "b": "b has 1 of 3 containers",
    }
    down = once(stack=services, containers=())["service-missing"]
    assert (down.subject, down.severity) == ("shop", CRITICAL)
    assert down.message == "the stack is down: none of its 2 services has a container"


def test_containers_of_one_service_are_told_apart() -> None:
    watch = Watch()
    pair = tuple(running("web", id=str(n), name=f"s-web-{n}", state="exited", exit_code=1) for n in (1, 2))
    watch.see(0, stack=stack(service("web", replicas=2)), containers=pair)
    assert [alert.subject for alert in watch.alerts] == ["s-web-1", "s-web-2"]


def test_container_memory() -> None:
    tight = Usage(sampled_at=START, memory_bytes=95, memory_limit=100)
    found = once(containers=(running("web", usage=tight),))["container-memory"]
    assert (found.state, found.value) == (PENDING, 95.0)


# --- databases -----------------------------------------------------------------------------------------

MONGO = DatabaseTarget(kind="mongodb", name="mongodb", service="mongodb")
REDIS = DatabaseTarget(kind="redis", name="redis", service="redis")


def test_a_database_that_cannot_be_reached() -> None:
    never = once(databases=(MongoStatus(target=MONGO, problem="refuses connections"),))["database-down"]
    assert (never.state, never.severity, never.message) == (FIRING, CRITICAL, "mongodb: refuses connections")
    blip = MongoStatus(target=MONGO, problem="timed out", sampled_at=at(-5))
    assert once(databases=(blip,))["database-down"].state is PENDING
    assert once(20, databases=(blip,))["database-down"].state is FIRING
    refused = RedisStatus(target=REDIS, refused=True, problem="NOAUTH", sampled_at=at(-5))
    assert once(databases=(refused,))["database-refused"].severity is WARNING


def test_a_database_with_a_problem() -> None:
    limited = MongoStatus(target=MONGO, reachable=True, problem="may not read serverStatus")
    assert once(databases=(limited,))["database-problem"].severity is WARNING


def test_replica_sets() -> None:
    members = (ReplicaMember(name="a:1", state="SECONDARY"), ReplicaMember(name="b:1", state="down", health=False))
    lost = MongoStatus(
        target=MONGO, reachable=True, topology="replica set rs0", member_state="SECONDARY", members=members
    )
    found = once(databases=(lost,))
    assert found["mongo-no-primary"].severity is CRITICAL
    assert found["mongo-no-primary"].message == "mongodb: replica set rs0 has no primary: nothing can be written"
    assert found["mongo-member"].subject == "mongodb b:1"
    well = msgspec.structs.replace(lost, member_state="PRIMARY", members=(ReplicaMember(name="a:1", state="PRIMARY"),))
    assert once(databases=(well,)) == {}


def test_redis_persistence_and_memory() -> None:
    failed_save = RedisStatus(target=REDIS, reachable=True, rdb_last_status="err", problem="the last save failed")
    found = once(databases=(failed_save,))
    assert set(found) == {"redis-save"}, "one fault is one alert"
    assert found["redis-save"].severity is CRITICAL
    assert "redis-aof" in once(databases=(RedisStatus(target=REDIS, reachable=True, aof_last_status="err"),))
    full = RedisStatus(target=REDIS, reachable=True, memory_used=95, memory_limit=100, eviction_policy="noeviction")
    assert once(databases=(full,))["redis-memory"].severity is CRITICAL
    evicts = msgspec.structs.replace(full, eviction_policy="volatile-lru")
    assert once(databases=(evicts,))["redis-memory"].severity is WARNING
    cache = msgspec.structs.replace(full, eviction_policy="allkeys-lru")
    assert once(databases=(cache,)) == {}, "a cache is full on purpose"


# --- backups, volumes, sources -------------------------------------------------------------------------


def with_backups(*backups: Backup, **parts: Any) -> dict[str, Alert]:
    return once(stack=stack(databases=(MONGO,)), backups=backups, **parts)


def test_the_age_of_the_newest_good_backup() -> None:
    assert with_backups(good_backup(START, 25.9)) == {}
    old = with_backups(good_backup(START, 27))["backup-age"]
    assert (old.state, old.severity) == (FIRING, WARNING)
    assert old.message == "the newest good backup is 27 hours old (limit 26 hours)"
    assert with_backups(good_backup(START, 24 * 9))["backup-age"].message.startswith("the newest good backup is 9 days")
    assert with_backups(good_backup(START, 79))["backup-age"].severity is CRITICAL


def test_no_good_backup() -> None:
    none = with_backups()["backup-age"]
    assert (none.severity, none.message) == (CRITICAL, "there is no good backup in /srv/shop/backups")
    absent = fresh(START, backups=Reading(source="backups", state=SourceState.ABSENT))
    assert "backup-age" in with_backups(readings=absent), "no backup directory is no backup"
    assert "backup-age" in with_backups(good_backup(START, -2, in_future=True)), "one from the future is none"
    assert once(stack=stack()) == {}, "a stack without data needs none"


def test_the_newest_backup_is_bad() -> None:
    bad = good_backup(START, 1, id="new", state=BackupState.INCOMPLETE, missing=("mongo",))
    found = with_backups(good_backup(START, 20), bad)
    assert set(found) == {"backup-failed"}
    assert found["backup-failed"].message == "the newest backup new is incomplete, it lacks mongo"
    # A restore of MongoDB alone puts aside MongoDB alone: that is no failed backup.
    part = msgspec.structs.replace(bad, asked=("mongo",), missing=("redis", "config"))
    assert with_backups(good_backup(START, 20), part) == {}
    writing = good_backup(START, 0.01, id="now", state=BackupState.UNFINISHED)
    assert with_backups(good_backup(START, 20), writing) == {}


def test_a_volume_at_risk() -> None:
    risky = Volume(key="t", kind=VolumeKind.TMPFS, name="/data/db", safety=Safety.AT_RISK, reason="in memory only")
    assert once(volumes=(risky,))["volume-risk"].message == "/data/db is at risk: in memory only"
    database = msgspec.structs.replace(risky, database="mongodb")
    assert once(volumes=(database,))["volume-risk"].severity is CRITICAL
    assert once(volumes=(msgspec.structs.replace(risky, safety=Safety.NOT_IN_BACKUP),)) == {}


def test_sources_that_fail() -> None:
    gone = {name: failed(name, at(-90), at(-1)) for name in ("engine", "usage", "volumes", "access", "host")}
    found = once(readings=fresh(START, **gone))
    assert (found["engine-unreachable"].state, found["engine-unreachable"].severity) == (FIRING, CRITICAL)
    assert (found["source-failing"].subject, found["source-failing"].state) == ("host", PENDING)
    watch = Watch()
    watch.see(0, readings=fresh(START, probes=failed("probes", at(-90), at(-61))))
    assert [(alert.subject, alert.state) for alert in watch.alerts] == [("probes", FIRING)]
    assert watch.see(1)["source-failing"].state is RESOLVED


# --- costs ---------------------------------------------------------------------------------------------


def test_the_memory_does_not_grow() -> None:
    watch = Watch()
    for minute in range(120):
        churn: Iterable[Container] = (
            running("web", id=f"{minute}", name=f"run-{minute}", state="exited", exit_code=1),
        )
        watch.see(minute * 60, stack=stack(service("web")), containers=tuple(churn))
    assert len(watch.memory.entries) < 25
    assert len(watch.memory.restarts) == 1


def test_the_same_look_twice_changes_nothing() -> None:
    watch = Watch()
    watch.see(0, **troubled(at(0)))
    watch.see(30, **troubled(at(30)))
    before = watch.alerts
    watch.see(30, **troubled(at(30)))
    assert watch.alerts == before


def test_nothing_is_called_stopped_before_the_files_say_what_should_run() -> None:
    job = Container(
        id="a", name="shop-migrate-1", service="migrate", state="exited", exit_code=0, finished_at=at(-3600)
    )
    unread = {**fresh(at(0)), "stack": Reading(source="stack")}
    assert "container-down" not in once(containers=(job,), readings=unread)
    assert "container-down" in once(
        containers=(job,), readings={**fresh(at(0)), "stack": failed("stack", at(-9), at(0))}
    )
    crashed = msgspec.structs.replace(job, exit_code=1)
    assert "container-down" in once(containers=(crashed,), readings=unread), "a crash needs no file to be one"


# --- what will stop a service before long ----------------------------------------------------------------


def test_a_certificate_that_ends_soon_or_has_ended() -> None:
    def ends_in(days: float) -> dict[str, Alert]:
        endpoint = Endpoint(name="shop", url="https://shop.example/")
        probe = Probe(endpoint=endpoint, ok=True, certificate_ends_at=at(0) + timedelta(days=days))
        return once(probes=(probe,))

    assert ends_in(22) == {}
    assert ends_in(20)["certificate"].severity is WARNING and "20 days" in ends_in(20)["certificate"].message
    assert ends_in(1)["certificate"].severity is CRITICAL and "24 hours" in ends_in(1)["certificate"].message
    assert "has ended" in ends_in(-1)["certificate"].message


def test_connections_that_run_out_and_an_oplog_that_is_too_short() -> None:
    well = MongoStatus(target=MONGO, reachable=True, connections=10, connections_available=90, oplog_seconds=3600.0)
    assert once(databases=(well,)) == {}, "whether the oplog is only young is not known"
    full = msgspec.structs.replace(well, connections=85, connections_available=15, oplog_used_percent=99.0)
    assert {*once(databases=(full,))} == {"mongo-connections", "mongo-oplog"}
    young = msgspec.structs.replace(well, oplog_used_percent=4.0)
    assert once(databases=(young,)) == {}
    clients = RedisStatus(target=REDIS, reachable=True, clients=99, clients_limit=100)
    assert once(databases=(clients,))["redis-connections"].severity is CRITICAL
