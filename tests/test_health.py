"""`opsconsole health`: every thing has a line with its number and its limit, and what was not seen is not well."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pymongo
import pytest

from opsconsole.alert_findings import Thresholds
from opsconsole.alert_settings import BUILT_IN
from opsconsole.demo import demo_sources
from opsconsole.health import AREAS, COULD_NOT_LOOK, Health, HealthLine, Verdict, check
from opsconsole.health.checking import LOOKED_AT
from opsconsole.health.latencies import with_kept
from opsconsole.health.lines import ALL_WELL, NEEDS_ATTENTION
from opsconsole.health.page import as_text
from opsconsole.metrics import MetricsStore, Value, metrics_file
from opsconsole.model import (
    Alert,
    AlertState,
    BackupState,
    Container,
    DatabaseTarget,
    Endpoint,
    MongoStatus,
    Probe,
    Proof,
    Reading,
    RedisStatus,
    ReplicaMember,
    RunningOperation,
    Schedule,
    ScheduledRun,
    Severity,
    Silence,
    Snapshot,
    SourceState,
    Stack,
)
from opsconsole.monitor import Monitor
from opsconsole.sources.certificate import expiry
from opsconsole.sources.http import HttpProbes, percentile
from opsconsole.sources.mongo_parse import running_from
from tests import pane_samples
from tests.pane_samples import NOW, ago, console, painted
from tests.parts.servers import Server
from tests.test_http import Site
from tests.test_mongo import asked
from tests.test_redis import asked as redis_asked
from tests.test_redis import client_of

LIMITS = Thresholds()
MONGO = DatabaseTarget(kind="mongodb", name="mongodb", service="mongodb")
REDIS = DatabaseTarget(kind="redis", name="redis", service="redis")
CALM = MongoStatus(
    target=MONGO,
    reachable=True,
    version="6.0.5",
    topology="replica set rs0",
    member_state="PRIMARY",
    members=(ReplicaMember(name="a:27017", state="PRIMARY"),),
    uptime_seconds=9e5,
    connections=20,
    connections_available=800,
    latency_seconds=0.001,
    oplog_seconds=4e5,
    slow=(),
    sampled_at=NOW,
)
CACHE = RedisStatus(
    target=REDIS,
    reachable=True,
    memory_used=50,
    memory_limit=100,
    eviction_policy="noeviction",
    evicted_keys=0,
    evictions_per_second=0.0,
    clients=3,
    clients_limit=1000,
    rdb_enabled=True,
    aof_enabled=True,
    rdb_last_status="ok",
    aof_last_status="ok",
    latency_seconds=0.001,
    sampled_at=NOW,
)
SCHEDULE = Schedule(
    installed=("crontab",),
    ticked=ago(minutes=5),
    next_kind="backup",
    next_at=NOW + timedelta(hours=3),
    last=(ScheduledRun(kind="backup", began=ago(hours=12), outcome="done"),),
    proof=Proof(at=ago(days=3), percent=100),
)


def calm(**other: Any) -> Snapshot:
    """A stack that is well in every part."""
    names = ("stack", "engine", "usage", "volumes", "host", "databases", "probes", "access", "backups", "schedule")
    sample = pane_samples.well()
    assert sample.host is not None and sample.stack is not None
    backup = msgspec.structs.replace(
        sample.backups[0],
        state=BackupState.GOOD,
        taken_at=ago(hours=4),
        missing=(),
        problem="",
        checked_level=3,
        checked_at=ago(days=2),
    )
    api = Endpoint(name="api", url="https://shop.example/health", service="api")
    found = Snapshot(
        sampled_at=NOW,
        stack=Stack(name="shop", directory="/srv/shop", databases=(MONGO, REDIS)),
        containers=(Container(id="1" * 64, name="shop-api-1", service="api", state="running", health="healthy"),),
        host=msgspec.structs.replace(sample.host, disks=sample.host.disks[:1], cpu_percent=20.0, memory_percent=40.0),
        databases=(CALM, CACHE),
        probes=(
            Probe(
                endpoint=api,
                ok=True,
                status=200,
                latency_seconds=0.046,
                requests=30,
                average_seconds=0.05,
                p50_seconds=0.045,
                p95_seconds=0.08,
                p99_seconds=0.2,
                certificate_ends_at=NOW + timedelta(days=60),
            ),
        ),
        backups=(backup,),
        schedule=SCHEDULE,
        readings={name: Reading(source=name, state=SourceState.OK, sampled_at=NOW) for name in names},
    )
    assert found.host is not None
    disk = msgspec.structs.replace(found.host.disks[0], used_percent=50.0, full_in_days=None)
    found = msgspec.structs.replace(found, host=msgspec.structs.replace(found.host, disks=(disk,)))
    return msgspec.structs.replace(found, **other)


def lines_of(snapshot: Snapshot, area: str = "") -> list[HealthLine]:
    return [line for line in check(snapshot, LIMITS).lines if area in ("", line.area)]


def loud(snapshot: Snapshot) -> list[HealthLine]:
    return [line for line in lines_of(snapshot) if line.verdict not in (Verdict.WELL, Verdict.NOTHING)]


# --- what is well --------------------------------------------------------------------------------------


def test_a_calm_stack_is_well_in_every_area_and_each_line_has_its_number_and_its_limit() -> None:
    found = check(calm(), LIMITS)
    assert (found.exit_code, found.verdict) == (0, Verdict.WELL)
    assert {line.area for line in found.lines} == set(AREAS) - {"alerts"}
    assert all(line.looked_at and line.number and not line.action for line in found.lines)
    assert all(line.limit for line in found.lines if line.area not in ("engine", "services"))
    numbers = "\n".join(line.number for line in found.lines)
    for said in (
        "200 in 46 ms; p50 45 ms, p95 80 ms, p99 200 ms; 0 of 30 failed in 5 min",
        "60 days left",
        "primary: a:27017",
        "reaches back 5 days",
        "20 of 820 connections (2 %)",
        "50 B of 100 B (50 %)",
        "was restored for a test 48 h ago",
        "100 % proven 3 days ago",
        "crontab, ticked 5 min ago; next backup in 3 h",
        "backup: done 12 h ago",
    ):
        assert said in numbers, said


def test_what_scripts_read_keeps_its_names() -> None:
    fields = ["area", "subject", "verdict", "looked_at", "number", "limit", "action", "silenced_until"]
    assert list(HealthLine.__struct_fields__) == fields
    assert list(Health.__struct_fields__) == ["stack", "sampled_at", "verdict", "exit_code", "lines"]
    assert [verdict.value for verdict in Verdict] == ["critical", "attention", "not known", "well", "nothing there"]
    assert (ALL_WELL, NEEDS_ATTENTION, COULD_NOT_LOOK) == (0, 1, 2)


# --- what is not ---------------------------------------------------------------------------------------

_SLOW = RunningOperation(opid="7", seconds=42, kind="find", namespace="shop.orders", plan="COLLSCAN")


def mongo(**other: Any) -> dict[str, Any]:
    return {"databases": (msgspec.structs.replace(CALM, **other), CACHE)}


def redis(**other: Any) -> dict[str, Any]:
    return {"databases": (CALM, msgspec.structs.replace(CACHE, **other))}


def probe(**other: Any) -> dict[str, Any]:
    return {"probes": (msgspec.structs.replace(calm().probes[0], **other),)}


def container(**other: Any) -> dict[str, Any]:
    return {"containers": (msgspec.structs.replace(calm().containers[0], **other),)}


def schedule(**other: Any) -> dict[str, Any]:
    return {"schedule": msgspec.structs.replace(SCHEDULE, **other)}


def backup(**other: Any) -> dict[str, Any]:
    return {"backups": (msgspec.structs.replace(calm().backups[0], **other),)}


@pytest.mark.parametrize(
    ("parts", "area", "verdict", "said"),
    [
        (container(state="exited", exit_code=1), "services", Verdict.CRITICAL, "exited, exit code 1"),
        (container(health="unhealthy"), "services", Verdict.CRITICAL, "unhealthy"),
        (container(state="restarting", restarts=9), "services", Verdict.CRITICAL, "9 restarts"),
        (probe(ok=False, status=502, problem="answers 502"), "endpoints", Verdict.CRITICAL, "answers 502"),
        (probe(errors=3), "endpoints", Verdict.ATTENTION, "3 of 30 failed"),
        (probe(average_seconds=2.5), "endpoints", Verdict.ATTENTION, "p99"),
        (probe(certificate_ends_at=NOW + timedelta(days=20)), "certificates", Verdict.ATTENTION, "20 days left"),
        (probe(certificate_ends_at=NOW + timedelta(hours=30)), "certificates", Verdict.CRITICAL, "30 h left"),
        (probe(certificate_ends_at=ago(days=9)), "certificates", Verdict.CRITICAL, "ended 9 days ago"),
        (probe(certificate_ends_at=None), "certificates", Verdict.UNKNOWN, "not read"),
        (mongo(reachable=False, problem="refuses"), "mongodb", Verdict.CRITICAL, "refuses"),
        (mongo(reachable=False, refused=True, problem="wants a password"), "mongodb", Verdict.UNKNOWN, "a password"),
        (mongo(members=(), member_state="SECONDARY"), "mongodb", Verdict.CRITICAL, "has no primary"),
        (mongo(oplog_seconds=3600.0), "mongodb", Verdict.ATTENTION, "reaches back 60 min"),
        (mongo(oplog_seconds=None), "mongodb", Verdict.UNKNOWN, "does not tell"),
        (mongo(slow=(_SLOW,)), "mongodb", Verdict.ATTENTION, "find of shop.orders for 42 s, COLLSCAN"),
        (mongo(slow=None), "mongodb", Verdict.UNKNOWN, "does not tell"),
        (mongo(connections=700, connections_available=100), "mongodb", Verdict.ATTENTION, "700 of 800"),
        (redis(memory_used=95), "redis", Verdict.CRITICAL, "then writes fail"),
        (redis(evictions_per_second=2.0, evicted_keys=7), "redis", Verdict.ATTENTION, "2.0 a second now"),
        (redis(aof_last_status="err"), "redis", Verdict.CRITICAL, "cannot be written"),
        (redis(rdb_enabled=None, aof_enabled=None), "redis", Verdict.UNKNOWN, "does not tell"),
        (backup(taken_at=ago(hours=30)), "backups", Verdict.ATTENTION, "30 h old"),
        (backup(checked_level=1), "backups", Verdict.ATTENTION, "ever restored"),
        (backup(checked_at=ago(days=40)), "backups", Verdict.ATTENTION, "40 days ago"),
        ({"backups": ()}, "backups", Verdict.CRITICAL, "no good backup"),
        (schedule(problems=("it has not ticked for 3 hours",)), "schedule", Verdict.ATTENTION, "not ticked"),
        (
            schedule(last=(ScheduledRun(kind="backup", began=ago(hours=2), outcome="failed", problem="disk full"),)),
            "schedule",
            Verdict.ATTENTION,
            "failed 2 h ago: disk full",
        ),
    ],
)
def test_one_thing_that_is_not_well_is_one_line_that_says_what_to_do(
    parts: dict[str, Any], area: str, verdict: Verdict, said: str
) -> None:
    snapshot = calm(**parts)
    found = loud(snapshot)
    assert [(line.area, line.verdict) for line in found] == [(area, verdict)], found
    assert said in found[0].number and found[0].action
    assert check(snapshot, LIMITS).exit_code == 1


def test_a_young_oplog_and_a_cache_that_evicts_are_well() -> None:
    assert not loud(calm(**mongo(oplog_seconds=650.0, oplog_used_percent=3.0)))
    assert loud(calm(**mongo(oplog_seconds=650.0, oplog_used_percent=99.0)))
    assert not loud(calm(**redis(eviction_policy="allkeys-lru", memory_used=100, evictions_per_second=9.0)))


def test_no_schedule_is_not_wrong_by_itself() -> None:
    assert not loud(calm(schedule=Schedule()))


@pytest.mark.parametrize("source", ["host", "databases", "probes", "backups", "schedule", "usage", "access"])
@pytest.mark.parametrize("state", [SourceState.FAILED, SourceState.WAITING])
def test_what_could_not_be_looked_at_is_never_well(source: str, state: SourceState) -> None:
    if state is SourceState.WAITING and source in ("usage", "access"):
        return
    readings = calm().readings | {source: Reading(source=source, state=state, problem="no answer at all")}
    found = check(calm(readings=readings), LIMITS)
    unknown = [line for line in found.lines if line.verdict is Verdict.UNKNOWN]
    assert unknown and all(line.action for line in unknown)
    assert found.exit_code == 1
    areas = {line.area for line in unknown}
    if source not in ("usage", "access"):
        assert not any(line.verdict is Verdict.WELL for line in found.lines if line.area in areas)


@pytest.mark.parametrize("source", ["engine", "stack"])
def test_without_engine_or_stack_nothing_can_be_said(source: str) -> None:
    failed = calm().readings | {source: Reading(source=source, state=SourceState.FAILED, problem="gone")}
    parts: dict[str, Any] = {"stack": None} if source == "stack" else {}
    found = check(calm(readings=failed, **parts), LIMITS)
    assert found.exit_code == 2
    assert any(line.verdict is Verdict.UNKNOWN for line in found.lines)
    assert check(pane_samples.first_second(), LIMITS).exit_code == 2


def test_an_alert_is_told_once_whether_its_thing_has_a_line_or_not() -> None:
    def alert(rule: str, subject: str) -> Alert:
        return Alert(
            rule=rule, subject=subject, severity=Severity.CRITICAL, state=AlertState.FIRING, since=NOW, message="bad"
        )

    about_keys = calm(alerts=(alert("redis-keys", "redis"),))
    assert len(loud(about_keys)) == 1, "a rule of the settings"
    assert len(lines_of(about_keys, "redis")) == len(lines_of(calm(), "redis")) + 1, "and no other line is lost"
    named = msgspec.structs.replace(alert("volume-risk", "uploads"), message="uploads is at risk: anonymous")
    assert [line.number for line in loud(calm(alerts=(named,)))] == ["is at risk: anonymous"]
    (own,) = loud(calm(alerts=(alert("volume-risk", "uploads"),)))
    assert (own.area, own.subject, own.verdict) == ("alerts", "uploads", Verdict.CRITICAL)
    down = calm(alerts=(alert("container-down", "api"),), **container(state="exited", exit_code=1))
    assert [line.area for line in loud(down)] == ["services"]
    (loop,) = loud(calm(alerts=(alert("crash-loop", "api"),)))
    assert (loop.area, loop.subject) == ("services", "api")
    assert loop.number == "bad; at this look: running and healthy", "an alert ends later than what it is about"
    disk = calm().host.disks[0]  # type: ignore[union-attr]
    full = msgspec.structs.replace(
        calm().host,  # type: ignore[arg-type]
        disks=(msgspec.structs.replace(disk, used_percent=99.0),),
    )
    silent = msgspec.structs.replace(
        alert("disk", disk.mount),
        silenced=Silence(rule="disk", subject="*", until=NOW + timedelta(hours=2), who="ina", at=NOW),
    )
    (line,) = loud(calm(host=full, alerts=(silent,)))
    assert line.silenced_until is not None and check(calm(host=full, alerts=(silent,)), LIMITS).exit_code == 0
    assert check(calm(host=full), LIMITS).exit_code == 1
    both = (silent, alert("disk-full-soon", disk.mount))
    assert check(calm(host=full, alerts=both), LIMITS).exit_code == 1, "of two alerts about it one is not silenced"
    resolved = msgspec.structs.replace(alert("volume-risk", "uploads"), state=AlertState.RESOLVED)
    assert not loud(calm(alerts=(resolved,)))


def test_an_alert_is_about_one_of_the_lines_of_its_subject_and_silences_no_other() -> None:
    known = {line.looked_at for line in lines_of(calm())} | {"the newest backup", "answers 5xx in its access log"}
    assert set(LOOKED_AT.values()) <= known and LOOKED_AT.keys() <= BUILT_IN
    short = Alert(
        rule="mongo-oplog",
        subject="mongodb",
        severity=Severity.WARNING,
        state=AlertState.FIRING,
        since=NOW,
        message="m",
    )
    (told,) = loud(calm(alerts=(short,)))
    assert told.subject == "mongodb" and told.number.startswith("m; at this look: oplog reaches back")
    assert any(line.looked_at == "ping" and line.subject == "mongodb" for line in lines_of(calm(alerts=(short,))))
    silence = Silence(rule="mongo-oplog", subject="*", until=NOW + timedelta(hours=1), who="ina", at=NOW)
    silent = msgspec.structs.replace(short, silenced=silence)
    found = check(calm(alerts=(silent,), **mongo(slow=(_SLOW,))), LIMITS)
    assert [line.looked_at for line in found.lines if line.counts] == ["slow operations that run now"]
    assert found.exit_code == 1


# --- on paper and on the screen ------------------------------------------------------------------------


def test_the_page_says_worst_first_and_what_is_well_in_short() -> None:
    bad = calm(**mongo(slow=(_SLOW,)))
    page = as_text(check(bad, LIMITS), bad)
    assert page.splitlines()[1] == "1 attention, 21 well."
    assert "attention  mongodb      mongodb: find of shop.orders for 42 s" in page
    assert "limit: 10 s" in page and "-> see it in Databases" in page
    assert "well       disks" in page and "oplog window" not in page
    assert "oplog window; limit: 24 h" in as_text(check(bad, LIMITS), bad, verbose=True)
    assert "All well." in as_text(check(calm(), LIMITS), calm())


def test_hostile_text_stays_text() -> None:
    snapshot = pane_samples.hostile()
    page = as_text(check(snapshot, LIMITS), snapshot, verbose=True)
    assert "\x1b" not in page and "\u202e" not in page


async def test_the_pane_shows_worst_first_with_what_to_do() -> None:
    snapshot = calm(**mongo(slow=(_SLOW,)))
    async with console(snapshot, pane="health", size=(120, 40)) as (app, pilot):
        lines = painted(app)
        text = "\n".join(lines)
        first = next(line for line in lines if "find of shop.orders" in line)
        assert "▲ attention" in first and "MongoDB" in first
        assert lines.index(first) < next(at for at, line in enumerate(lines) if "✓ well " in line and "engine" in line)
        assert "→ see it in Databases" in text and "▲ 1 attention" in text
        await pilot.press("slash", *"oplog", "enter")
        await pilot.pause()
        assert "oplog reaches back 5 days" in "\n".join(painted(app))
        await pilot.press("V")
        await pilot.pause()
        assert "This is the demo" in app.messages[-1].text, "a plan would be shown"


def test_the_demo_is_looked_at_whole() -> None:
    monitor = Monitor(demo_sources())
    monitor.start()
    snapshot = monitor.wait_until_settled(20)
    monitor.stop()
    found = check(snapshot, monitor.thresholds)
    assert found.exit_code == 1
    assert {line.area for line in found.lines} >= set(AREAS) - {"alerts"}
    assert not any(line.verdict is Verdict.UNKNOWN for line in found.lines)


# --- real things ---------------------------------------------------------------------------------------


def self_signed(directory: Path, days: int) -> ssl.SSLContext:
    """A certificate made now that ends in so many days."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out"]
    command += [
        str(certificate),
        "-days",
        str(days),
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_days_left_are_read_from_a_real_tls_endpoint_that_is_not_even_trusted(tmp_path: Path) -> None:
    site = Site(context=self_signed(tmp_path, 9))
    endpoint = Endpoint(name="shop", url=f"{site.url}/health", origin="config")
    probes = HttpProbes()
    try:
        (found,) = probes.look(Stack(name="shop", directory="/", endpoints=(endpoint,)), ())
    finally:
        probes.close()
        site.server.shutdown()
        site.server.server_close()
    assert found.certificate_ends_at is not None
    left = found.certificate_ends_at - datetime.now(UTC)
    assert timedelta(days=8, hours=23) < left <= timedelta(days=9)
    assert found.ok is False and "is not accepted" in found.problem
    (line,) = lines_of(calm(probes=(found,), sampled_at=datetime.now(UTC)), "certificates")
    assert line.verdict is Verdict.ATTENTION and "9 days left" in line.number


@pytest.mark.parametrize("cut", [0, 1, 7, 40, 200])
def test_what_is_no_certificate_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ValueError, match="certificate"):
        expiry(b"\x30\x82\x03\x05\x30\x82"[:cut] + b"\xff" * cut)


def test_percentiles_are_of_answers_that_were_given() -> None:
    times = [float(number) for number in range(1, 101)]
    assert (percentile(times, 50), percentile(times, 95), percentile(times, 99)) == (50.0, 95.0, 99.0)
    assert percentile([3.0], 99) == 3.0
    assert percentile([], 50) is None


def test_one_look_takes_its_percentiles_from_what_the_collector_kept(tmp_path: Path) -> None:
    with MetricsStore(metrics_file(tmp_path), clock=lambda: NOW) as store, store.writing() as writing:
        for number in range(100):
            labels = (("endpoint", "api"),)
            value = Value(name="endpoint_latency_seconds", value=(number + 1) / 1000, labels=labels)
            assert writing.add_sample(NOW - timedelta(seconds=10 * (number + 1)), [value], spacing=10)
    once = calm(**probe(requests=1, p50_seconds=0.9, p95_seconds=0.9, p99_seconds=0.9))
    (line,) = lines_of(with_kept(once, tmp_path), "endpoints")
    assert "p50 50 ms, p95 95 ms, p99 99 ms in 60 min; 0 of 1 failed in 5 min" in line.number
    assert "p50" not in lines_of(with_kept(once, tmp_path / "nothing kept"), "endpoints")[0].number, "of one answer"
    assert with_kept(calm(), tmp_path) == calm(), "it has enough of its own"
    assert with_kept(once, tmp_path / "nothing kept") == once


def test_one_look_takes_its_errors_from_what_the_collector_kept(tmp_path: Path) -> None:
    labels = (("endpoint", "api"),)
    with MetricsStore(metrics_file(tmp_path), clock=lambda: NOW) as store, store.writing() as writing:
        for number in range(60):  # of the last five minutes half, and every third of them failed
            up = Value(name="endpoint_up", value=float(number % 3 > 0), labels=labels)
            slow = Value(name="endpoint_latency_seconds", value=4.0, labels=labels)
            assert writing.add_sample(NOW - timedelta(seconds=10 * (number + 1)), [up, slow], spacing=10)
    (line,) = lines_of(with_kept(calm(**probe(requests=1, errors=0)), tmp_path), "endpoints")
    assert "10 of 31 failed in 5 min (32 %)" in line.number and line.verdict is Verdict.ATTENTION
    seen = with_kept(calm(**probe(requests=1, errors=0)), tmp_path).probes[0]
    assert seen.average_seconds is not None and 3.8 < seen.average_seconds < 3.9


def test_a_moment_of_a_busy_cpu_is_not_five_minutes_of_it() -> None:
    host = calm().host
    assert host is not None

    def line(load: float) -> HealthLine:
        busy = msgspec.structs.replace(host, cpu_percent=97.0, cpus=2, load=(2.0, load, 0.5))
        return next(line for line in lines_of(calm(host=busy), "host") if line.looked_at == "CPU")

    assert line(0.4).verdict is Verdict.WELL and line(1.9).verdict is Verdict.ATTENTION
    assert line(0.4).number == "CPU at 97 %; load 0.4 on 2 CPUs over 5 min" and line(0.4).limit == "80 % for 5 min"


def test_persistence_that_is_not_proven_or_was_not_lately_needs_somebody() -> None:
    def line(proof: Proof | None) -> HealthLine:
        (found,) = lines_of(calm(schedule=msgspec.structs.replace(SCHEDULE, proof=proof)), "persistence")
        return found

    assert line(Proof(at=ago(days=3), percent=100)).verdict is Verdict.WELL
    assert line(Proof(at=ago(days=32), percent=100)).verdict is Verdict.ATTENTION
    lacking = line(Proof(at=ago(hours=3), percent=60, missing=("a twin of Redis keeps its data", "a", "b")))
    assert lacking.verdict is Verdict.ATTENTION and "opsconsole verify-persistence" in lacking.action
    assert lacking.number == "60 % proven 3 h ago; not that a twin of Redis keeps its data, and 2 more"
    assert line(None).verdict is Verdict.NOTHING and line(None).action == "opsconsole verify-persistence"


def test_a_slow_operation_and_the_oplog_of_a_real_replica_set(host_mongod: Callable[..., Server]) -> None:
    mongod = host_mongod(replset=True)
    with asked(mongod.uri) as server, pymongo.MongoClient[Any](mongod.uri) as client:
        client.shop.orders.insert_one({"n": 1})
        assert server.look().slow == ()

        def read_slowly() -> None:
            list(client.shop.orders.find({"$where": "sleep(1800) || true"}))

        reader = threading.Thread(target=read_slowly, daemon=True)
        reader.start()
        end = time.monotonic() + 10
        while not (status := server.look()).slow and time.monotonic() < end:
            time.sleep(0.1)
        reader.join()
        assert status.oplog_seconds is not None and 0 <= status.oplog_seconds < 600
        assert status.oplog_used_percent is not None and 0 < status.oplog_used_percent < 50
        assert status.slow is not None
        (slow,) = status.slow
    assert (slow.kind, slow.namespace, slow.plan) == ("query", "shop.orders", "COLLSCAN")
    assert slow.seconds >= 1 and slow.client.startswith("127.0.0.1:") and slow.connection is not None


def test_what_waits_for_news_is_not_slow() -> None:
    base = {"opid": 1, "op": "command", "microsecs_running": 9_000_000, "ns": "a.b"}
    rows = [base | {"command": {"hello": 1}}, base | {"cursor": {"tailable": True, "awaitData": True}}]
    assert running_from(rows) == ()
    (kept,) = running_from([base | {"command": {"aggregate": "b"}}])
    assert (kept.kind, kept.seconds) == ("aggregate", 9.0)


def test_evictions_of_a_real_redis_are_counted_from_look_to_look(host_redis: Callable[..., Server]) -> None:
    server = host_redis(options=("--maxmemory", "3mb", "--maxmemory-policy", "volatile-lru"))
    with redis_asked(server.uri) as watched:
        assert watched.look().evictions_per_second is None
        with client_of(server) as client:
            for number in range(400):
                client.set(f"key:{number}", "x" * 10_000, ex=1000)
        status = watched.look()
        assert status.evictions_per_second is not None and status.evictions_per_second > 0
        assert watched.look().evictions_per_second == 0.0
