"""Rules of the settings over Snapshots: metrics, what happened to containers, log lines; the tests hold the clock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.alert_happenings import MOST, Happened, Happening, remember
from opsconsole.alert_own_rules import rules_of
from opsconsole.alert_settings import RuleSettings, metrics
from opsconsole.alerts import AlertMemory, Thresholds, evaluate
from opsconsole.metrics.measuring import measure
from opsconsole.model import (
    Alert,
    AlertState,
    Container,
    DatabaseTarget,
    Disk,
    HostSample,
    LogRate,
    MongoStatus,
    Reading,
    Severity,
    SourceState,
    Usage,
)
from tests.test_alerts import PENDING, RESOLVED, at, fresh, running, snapshot, troubled

FIRING = AlertState.FIRING


class Watch:
    """Evaluates one Snapshot after the other with rules of the settings alone."""

    def __init__(self, *own: RuleSettings) -> None:
        self.rules = rules_of(own)
        self.memory = AlertMemory()

    def see(self, seconds: float, heard: Sequence[Happening] = (), **parts: Any) -> dict[str, Alert]:
        now = at(seconds)
        found, self.memory = evaluate(
            Thresholds(), self.memory, snapshot(now, **parts), now, rules=self.rules, heard=heard
        )
        return {alert.subject: alert for alert in found}


def rule(**keys: Any) -> RuleSettings:
    return RuleSettings(**{"name": "mine", "threshold": 50, **keys})


# --- metrics -------------------------------------------------------------------------------------------


def test_a_metric_over_its_limit_for_its_time() -> None:
    watch = Watch(rule(metric="host_cpu_percent", hold="2m", severity="critical", action="look at it"))
    for seconds in range(0, 120, 30):
        assert watch.see(seconds, host=HostSample(cpu_percent=60))["host"].state is PENDING
    fired = watch.see(120, host=HostSample(cpu_percent=61.5))["host"]
    assert (fired.state, fired.severity, fired.rule, fired.action) == (FIRING, Severity.CRITICAL, "mine", "look at it")
    assert fired.message == "host cpu percent is 62 % (limit: > 50 %)"
    watch.see(150, host=HostSample(cpu_percent=50))
    assert watch.see(210, host=HostSample(cpu_percent=50))["host"].state is RESOLVED


@pytest.mark.parametrize(
    ("comparison", "fires"),
    [(">", [51]), (">=", [50, 51]), ("<", [49]), ("<=", [49, 50]), ("==", [50]), ("!=", [49, 51])],
)
def test_each_comparison(comparison: Any, fires: list[int]) -> None:
    for value in (49, 50, 51):
        found = Watch(rule(metric="host_cpu_percent", comparison=comparison)).see(0, host=HostSample(cpu_percent=value))
        assert bool(found) == (value in fires)


def used(service: str, name: str, memory: int) -> Container:
    usage = Usage(sampled_at=at(0), memory_bytes=memory, memory_limit=100)
    return running(service, id=name, name=name, usage=usage)


def test_only_what_it_is_about_by_the_name_of_a_service_a_container_or_a_pattern() -> None:
    fleet = (
        used("web", "s-web-1", 90),
        used("web", "s-web-2", 90),
        used("api", "s-api-1", 90),
        used("db", "s-db-1", 1),
    )
    for of, subjects in (
        ((), {"s-web-1", "s-web-2", "api"}),
        ("web", {"s-web-1", "s-web-2"}),
        (("s-web-2", "api"), {"s-web-2", "api"}),
        ("s-*-1", {"s-web-1", "api"}),
        ("nothing", set()),
    ):
        assert set(Watch(rule(metric="container_memory_percent", of=of)).see(0, containers=fleet)) == subjects


def test_numbers_are_said_in_their_unit() -> None:
    host = HostSample(disks=(Disk(mount="/srv", free_bytes=3 * 2**30),))
    found = Watch(rule(metric="host_disk_free_bytes", comparison="<", threshold=5 * 2**30)).see(0, host=host)
    assert found["/srv"].message == "/srv: host disk free bytes is 3.0 GiB (limit: < 5.0 GiB)"


def test_a_server_that_does_not_answer_ends_nothing() -> None:
    target = DatabaseTarget(kind="mongodb", name="mongodb")
    watch = Watch(rule(metric="mongodb_connections"))
    busy = MongoStatus(target=target, reachable=True, connections=99)
    assert watch.see(0, databases=(busy,))["mongodb"].state is FIRING
    for seconds in range(10, 600, 10):
        found = watch.see(seconds, databases=(MongoStatus(target=target, problem="refused"),))
        assert found["mongodb"].state is FIRING
    for seconds in (600, 660):
        found = watch.see(seconds, databases=(msgspec.structs.replace(busy, connections=3),))
    assert found["mongodb"].state is RESOLVED


def test_every_metric_can_be_ruled() -> None:
    """Each has a source that tells how fresh it is, and each that is measured here is found."""
    parts = troubled(at(0))
    values = {value.name for value in measure(snapshot(at(0), **parts))} - {"alerts_firing"}
    assert len(values) > 15
    for name in metrics():
        found = Watch(rule(metric=name, comparison=">=", threshold=-1)).see(0, **parts)
        assert bool(found) == (name in values), name


def test_a_silent_source_advances_nothing() -> None:
    watch = Watch(rule(metric="host_cpu_percent", hold="1m"))
    watch.see(0, host=HostSample(cpu_percent=60))
    silent = Reading(source="host", state=SourceState.FAILED, sampled_at=at(0))
    for seconds in range(10, 300, 10):
        now = at(seconds)
        found = watch.see(seconds, host=HostSample(cpu_percent=60), readings=fresh(now, host=silent))
        assert found["host"].state is PENDING


# --- log lines -----------------------------------------------------------------------------------------


def test_lines_that_match_in_a_minute() -> None:
    watch = Watch(rule(log="login failed", threshold=5))
    rates = (LogRate(rule="mine", service="web", lines=5), LogRate(rule="mine", service="api", lines=4))
    found = watch.see(0, log_rates=(*rates, LogRate(rule="other", service="db", lines=99)))
    assert set(found) == {"web"}
    assert found["web"].message == 'web wrote 5 lines in a minute that match "login failed" (limit: >= 5)'
    quiet = Watch(rule(log="heartbeat", comparison="<", threshold=1))
    assert set(quiet.see(0, log_rates=(LogRate(rule="mine", service="web", lines=0),))) == {"web"}


# --- what happened to containers -----------------------------------------------------------------------


def ended(code: int, seconds: float, **more: Any) -> Container:
    values = {"state": "exited", "exit_code": code, "started_at": at(-9000), "finished_at": at(seconds), **more}
    return running("web", **values)


def test_ends_with_an_exit_code_are_counted_over_their_time() -> None:
    watch = Watch(rule(event="die", exit_codes=(137,), threshold=3, within="10m", severity="critical"))
    assert watch.see(0, containers=(ended(137, 0),)) == {}
    assert watch.see(60, containers=(ended(1, 60),)) == {}, "another exit code"
    assert watch.see(120, containers=(ended(137, 120),)) == {}
    for _ in range(3):
        found = watch.see(240, containers=(ended(137, 240),))
    assert (found["web"].state, found["web"].value) == (FIRING, 3.0)
    assert found["web"].message == "web ended with exit code 137 3 times within 10m (limit: >= 3)"
    assert watch.see(599, containers=(ended(137, 240),))["web"].state is FIRING
    assert watch.see(602, containers=(ended(137, 240),))["web"].state is RESOLVED, "the first one is too long ago"


def test_an_end_that_is_long_over_does_not_count_and_one_that_was_not_seen_live_does() -> None:
    watch = Watch(rule(event="die", threshold=1, within="10m"))
    assert watch.see(0, containers=(ended(1, -700),)) == {}
    assert set(Watch(rule(event="die", threshold=1, within="10m")).see(0, containers=(ended(1, -500),))) == {"web"}


def test_out_of_memory_starts_and_failing_checks() -> None:
    for event, before, after in (
        ("oom", running("web"), ended(137, 10, oom_killed=True)),
        ("oom", running("web"), running("web", oom_killed=True)),
        ("start", running("web", started_at=at(-99)), running("web", started_at=at(9))),
        ("unhealthy", running("web", health="healthy"), running("web", health="unhealthy")),
    ):
        watch = Watch(rule(event=event, threshold=1, within="1m"))
        assert watch.see(0, containers=(before,)) == {}, event
        assert set(watch.see(10, containers=(after,))) == {"web"}, event


def test_what_was_seen_and_heard_is_one_and_what_was_only_heard_counts() -> None:
    watch = Watch(rule(event="die", exit_codes=(1,), threshold=2, within="10m"))

    def told(seconds: float) -> Happening:
        return Happening(at=at(seconds), kind="die", container="s-web-1", service="web", exit_code=1, heard=True)

    assert watch.see(10, [told(10.2)], containers=(ended(1, 10),)) == {}
    assert watch.see(20, [told(10.2)], containers=(ended(1, 10),)) == {}, "told twice is once"
    # It ran again when it was looked at: only the engine's event knows the exit code.
    again = running("web", started_at=at(31), finished_at=at(30))
    assert set(watch.see(35, [told(30.1)], containers=(again,))) == {"web"}


def test_one_kill_for_memory_counts_once() -> None:
    def told(seconds: float) -> Happening:
        return Happening(at=at(seconds), kind="oom", container="s-web-1", service="web", heard=True)

    watch = Watch(rule(event="oom", threshold=2, within="10m"))
    assert watch.see(10, [told(9 + part / 10) for part in range(8)], containers=(running("web"),)) == {}
    assert set(watch.see(20, [told(19)], containers=(running("web"),))) == {"web"}


def test_of_a_silent_engine_nothing_is_said() -> None:
    watch = Watch(rule(event="die", threshold=1, within="10m"))
    watch.see(0, containers=(running("web"),))
    gone = Reading(source="engine", state=SourceState.FAILED, sampled_at=at(0))
    assert watch.see(10, readings=fresh(at(10), engine=gone), containers=()) == {}
    assert set(watch.see(20, containers=(ended(1, 5),))) == {"web"}, "the engine is back and names the moment"


@settings(max_examples=80, deadline=None)
@given(
    ends=st.lists(st.integers(min_value=1, max_value=2000), unique=True, max_size=25),
    looks=st.lists(st.integers(min_value=1, max_value=2600), min_size=1, max_size=40),
    seed=st.integers(0, 99),
)
def test_each_end_is_counted_once_whoever_looks_and_however_often(ends: list[int], looks: list[int], seed: int) -> None:
    """Several observers share one memory, look when they like, and hear some of it as well."""
    dice, happened, told = random.Random(seed), Happened(), set[int]()
    for look in sorted(looks):
        past = [end for end in ends if end <= look]
        containers = (ended(1, max(past)),) if past else (running("web", started_at=at(-9)),)
        new = [end for end in past if dice.random() < 0.5]
        told |= set(new) | ({max(past)} if past else set())
        heard = [
            Happening(at=at(end), kind="die", container="s-web-1", service="web", exit_code=1, heard=True)
            for end in new
        ]
        happened = remember(happened, snapshot(at(look), containers=containers), at(look), 600, heard)
        dies = [event for event in happened.events if event.kind == "die"]
        expected = {end for end in told if look - end <= 600}
        # An end that is seen, and another within two seconds that is only heard, may be taken for one.
        crowded = any(abs(one - other) <= 2 for one in ends for other in ends if one != other)
        assert len(dies) <= len(expected)
        assert crowded or {round((event.at - at(0)).total_seconds()) for event in dies} == expected


def test_the_memory_of_a_flood_is_bounded_and_a_clock_set_back_leaves_nothing_from_the_future() -> None:
    flood = [
        Happening(at=at(second / 10), kind="die", container=f"c{second}", heard=True) for second in range(3 * MOST)
    ]
    happened = remember(Happened(), snapshot(at(300)), at(300), 3600, flood)
    assert len(happened.events) == MOST and happened.events[-1].at == flood[-1].at
    assert remember(happened, snapshot(at(-900)), at(-900), 3600).events == ()


def test_without_such_a_rule_nothing_is_remembered() -> None:
    watch = Watch(rule(metric="host_cpu_percent"))
    watch.see(0, containers=(ended(1, 0),))
    assert watch.memory.happened == Happened()


def test_a_rule_that_is_gone_leaves_nothing_behind() -> None:
    watch = Watch(rule(metric="host_cpu_percent"))
    assert watch.see(0, host=HostSample(cpu_percent=60))
    watch.rules = ()
    assert watch.see(10, host=HostSample(cpu_percent=60)) == {}
    assert watch.memory.entries == {}
