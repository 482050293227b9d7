"""Alerts in a real `metrics.sqlite`: what a restart remembers, who judges, what is recorded, who is told and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from opsconsole import applied
from opsconsole.alert_events import heard_of
from opsconsole.alert_happenings import Happening
from opsconsole.alert_keeping import MARKS, MEMORY, TELLING, Kept, KeptAlerts
from opsconsole.alert_marks import Marks
from opsconsole.alert_own_rules import rules_of
from opsconsole.alert_settings import RuleSettings
from opsconsole.alert_telling import Telling
from opsconsole.alert_watch import AlertWatch
from opsconsole.config import Config
from opsconsole.config.sections import AlertsSection, NotifySection
from opsconsole.metrics import COLLECTOR, CONSOLE, Event, EventKind, MetricsReader, MetricsStore, metrics_file
from opsconsole.model import Acknowledgement, Alert, Disk, HostSample, Silence, Snapshot, SourceError
from tests.test_alerts import FIRING, PENDING, RESOLVED, at, busy, snapshot
from tests.test_notifying import Hook


class Clock:
    """Stands where the test puts it."""

    def __init__(self) -> None:
        self.now = at(0)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return metrics_file(tmp_path)


def console(path: Path, clock: Clock, holder: str = "console", **more: Any) -> KeptAlerts:
    return KeptAlerts(path.parent.parent, clock, holder=holder, **more)


def see(keeper: KeptAlerts, clock: Clock, seconds: float, percent: float) -> dict[str, Alert]:
    """One Snapshot, one sample as a console stores it where nobody else does, one look at what others keep."""
    clock.now = at(seconds)
    seen = snapshot(clock.now, host=busy(percent))
    found = keeper.judge(seen, clock.now)
    if keeper._writes:
        with MetricsStore(keeper._path) as store:
            record(store, keeper._holder, CONSOLE, keeper.keep, seen, clock.now)
    keeper.look(clock.now)
    return {alert.rule: alert for alert in found}


def record(store: MetricsStore, holder: str, rank: int, watcher: Any, seen: Snapshot, now: datetime) -> None:
    """As `Recording` does it."""
    if store.take_lease(holder, now, seconds=30, rank=rank):
        with store.writing() as writing:
            watcher(writing, seen, now)


def events(path: Path, *kinds: EventKind) -> list[Event]:
    return list(MetricsReader(path).events(at(-1e6), at(1e6), kinds=kinds))


# --- a restart -----------------------------------------------------------------------------------------


def test_a_restart_goes_on_where_the_last_one_ended(path: Path, clock: Clock) -> None:
    first = console(path, clock)
    for seconds in range(0, 205, 10):
        assert see(first, clock, seconds, 93)["cpu"].state is PENDING
    second = console(path, clock, "the next one")
    for seconds in range(240, 340, 10):  # 200 to 240 was seen by nobody that lives, and is no gap yet
        clock.now = at(seconds)
        if seconds == 240:
            second.look(clock.now)
        alert = see(second, clock, seconds, 93)["cpu"]
    assert (alert.state, alert.since) == (FIRING, at(300))
    third = console(path, clock, "and the next")
    clock.now = at(99_000)
    third.look(clock.now)
    later = see(third, clock, 99_000, 93)["cpu"]
    assert (later.state, later.since) == (FIRING, at(300)), "it fired when nobody looked, as far as anybody knows"


def test_what_was_pending_long_ago_begins_anew(path: Path, clock: Clock) -> None:
    first = console(path, clock)
    for seconds in range(0, 290, 10):
        see(first, clock, seconds, 93)
    second = console(path, clock, "the next one")
    clock.now = at(9000)
    second.look(clock.now)
    for seconds in range(9000, 9300, 10):
        alert = see(second, clock, seconds, 93)["cpu"]
        assert (alert.state, alert.since) == (PENDING, at(9000))
    assert see(second, clock, 9300, 93)["cpu"].state is FIRING


def test_changes_are_recorded_once(path: Path, clock: Clock) -> None:
    keeper = console(path, clock)
    for seconds in range(0, 400, 10):
        see(keeper, clock, seconds, 93)
    for seconds in range(400, 480, 10):
        see(keeper, clock, seconds, 12)
    assert [(event.kind, event.subject, event.at) for event in events(path)] == [
        (EventKind.ALERT_PENDING, "cpu host", at(30)),
        (EventKind.ALERT_FIRING, "cpu host", at(300)),
        (EventKind.ALERT_RESOLVED, "cpu host", at(460)),
    ]
    assert events(path)[1].facts == {
        "rule": "cpu",
        "subject": "host",
        "severity": "warning",
        "message": "CPU at 93 % (limit 80 %)",
    }


def test_a_console_that_only_looks_makes_no_file(path: Path, clock: Clock) -> None:
    reader = console(path, clock, writes=False)
    see(reader, clock, 10, 93)
    assert not path.exists()


# --- several who look ----------------------------------------------------------------------------------


def test_one_judges_and_the_others_show_what_it_found(path: Path, clock: Clock) -> None:
    first, second = console(path, clock, "one"), console(path, clock, "two")
    for seconds in range(0, 320, 10):
        see(first, clock, seconds, 93)
        shown = see(second, clock, seconds, 10)  # it sees another number, and does not count
    assert shown["cpu"].state is FIRING
    assert {event.kind for event in events(path)} == {EventKind.ALERT_PENDING, EventKind.ALERT_FIRING}
    clock.now = at(351)  # the first one is gone
    second.look(clock.now)
    for seconds in range(360, 430, 10):
        shown = see(second, clock, seconds, 10)
    assert shown["cpu"].state is RESOLVED


def test_a_console_that_only_looks_changes_nothing(path: Path, clock: Clock) -> None:
    first, reader = console(path, clock, "one"), console(path, clock, "two", writes=False)
    see(first, clock, 0, 93)
    kept = path.read_bytes(), MetricsReader(path).state(MEMORY, Kept)
    assert see(reader, clock, 100, 10) is not None
    assert (path.read_bytes(), MetricsReader(path).state(MEMORY, Kept)) == kept
    with pytest.raises(SourceError, match="read-only"):
        reader.acknowledge(next(iter(see(first, clock, 110, 93).values())), Acknowledgement(who="x", at=at(0)))


def test_what_was_decided_is_seen_by_all_and_recorded(path: Path, clock: Clock) -> None:
    first, second = console(path, clock, "one"), console(path, clock, "two")
    for seconds in range(0, 310, 10):
        firing = see(first, clock, seconds, 93)["cpu"]
    second.look(clock.now)
    second.acknowledge(firing, Acknowledgement(who="mina from 10.0.0.7", at=at(305), note="the report runs"))
    second.silence(Silence(rule="cpu", subject="*", until=at(3600), who="mina", at=at(306), note="until noon"))
    for keeper in (first, second):
        keeper.look(at(307))
        seen = see(keeper, clock, 310, 93)["cpu"]
        assert seen.acknowledged is not None and seen.acknowledged.note == "the report runs"
        assert seen.silenced is not None and seen.silenced.until == at(3600)
    recorded = events(path, EventKind.ALERT_ACKNOWLEDGED, EventKind.ALERT_SILENCED)
    assert [(event.facts["who"], event.facts["note"]) for event in recorded] == [
        ("mina from 10.0.0.7", "the report runs"),
        ("mina", "until noon"),
    ]
    assert recorded[1].facts["until"] == f"{at(3600):%Y-%m-%dT%H:%M:%SZ}"
    for seconds in range(320, 400, 10):  # over: the acknowledgement goes with it, the silence stays
        see(first, clock, seconds, 10)
    see(first, clock, 410, 10)
    kept = MetricsReader(path).state(MARKS, Marks)
    assert kept is not None and kept.acknowledged == () and len(kept.silences) == 1


def test_two_who_decide_at_once_both_are_kept(path: Path, clock: Clock) -> None:
    keepers = [console(path, clock, f"{number}") for number in range(4)]

    def decide(number: int) -> None:
        for step in range(10):
            keepers[number].silence(
                Silence(rule=f"r{number}", subject=f"{step}", until=at(99), who=f"{number}", at=at(step))
            )

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = MetricsReader(path).state(MARKS, Marks)
    assert kept is not None and len(kept.silences) == 40


def test_what_the_collector_heard_counts_in_a_console_too(path: Path, clock: Clock) -> None:
    own = RuleSettings(name="killed", event="die", exit_codes=(137,), threshold=3, within="1h")
    facts = {"container": "s-web-1", "exit_code": "137"}
    with MetricsStore(path) as store:
        dies = [
            Event(at=at(second), kind=EventKind.DIED, subject="web", facts=facts, key=f"{second}")
            for second in (1, 2, 3)
        ]
        store.add_events(dies)
    keeper = console(path, clock, rules=rules_of([own]))
    clock.now = at(10)
    keeper.look(clock.now)
    found = see(keeper, clock, 20, 10)
    assert found["killed"].message == "web ended with exit code 137 3 times within 1h (limit: >= 3)"
    assert heard_of(dies[0]) == Happening(
        at=at(1), kind="die", container="s-web-1", service="web", exit_code=137, heard=True
    )
    assert heard_of(Event(at=at(0), kind=EventKind.HEALTH, subject="web", facts={"health": "healthy"})) is None


# --- a collector ---------------------------------------------------------------------------------------


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.hangs.set()
    server.shutdown()
    server.server_close()


class Collector:
    """Judges, stores and tells as `opsconsole collect` does, with a clock that stands where the test puts it."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        hook: Hook,
        holder: str = "collector",
        command: tuple[str, ...] = (),
        **alerts: Any,
    ) -> None:
        address = f"http://127.0.0.1:{hook.server_address[1]}/x"
        config = Config(
            notify=NotifySection(webhook=address, command=command, timeout_seconds=5),
            alerts=AlertsSection(**alerts),
        )
        self.clock = clock
        self.holder = holder
        self.store = MetricsStore(metrics_file(directory))
        self.keeper = KeptAlerts(
            directory,
            clock,
            thresholds=applied.thresholds(config),
            rules=applied.rules(config),
            holder=holder,
        )
        self.watch = AlertWatch(directory, config, self.store, self.keeper, stack="shop", clock=clock)

    def see(self, seconds: float, percent: float = 10, disk: float | None = None, **parts: Any) -> Snapshot:
        """One Snapshot, judged."""
        self.clock.now = at(seconds)
        disks = (Disk(mount="/", used_percent=disk),) if disk else ()
        seen = snapshot(self.clock.now, host=HostSample(cpu_percent=percent, disks=disks), **parts)
        self.keeper.look(self.clock.now)
        self.keeper.judge(seen, self.clock.now)
        return seen

    def sample(self, seconds: float, percent: float = 10, disk: float | None = None, **parts: Any) -> None:
        """... and stored; what is due is sent when this returns."""
        self.store_and_send(self.see(seconds, percent, disk, **parts))

    def store_and_send(self, seen: Snapshot) -> None:
        record(self.store, self.holder, COLLECTOR, self.watch.sampled, seen, self.clock.now)
        self.watch.close()


def told(hook: Hook) -> list[tuple[str, str]]:
    return [(facts["event"], facts["rule"]) for _, facts in hook.got]


def test_each_change_is_told_once_and_survives_a_restart(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    one = Collector(tmp_path, clock, hook)
    for seconds in range(0, 310, 10):
        one.sample(seconds, 93)
    for seconds in range(310, 330, 10):
        Collector(tmp_path, clock, hook, f"restarted at {seconds}").sample(seconds, 93)
    assert told(hook) == [("alert-firing", "cpu")]
    facts = hook.got[0][1]
    assert facts["title"].startswith("shop on ") and facts["title"].endswith(": warning: CPU at 93 % (limit 80 %)")
    assert (facts["subject"], facts["severity"], facts["stack"]) == ("host", "warning", "shop")
    for seconds in range(330, 420, 10):
        Collector(tmp_path, clock, hook, f"restarted at {seconds}").sample(seconds, 10)
    assert told(hook)[1:] == [("alert-resolved", "cpu")]
    kinds = [event.kind for event in events(metrics_file(tmp_path), EventKind.ALERT_TOLD)]
    assert len(kinds) == 2


def test_two_collectors_and_a_console_tell_once(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    collectors = [Collector(tmp_path, clock, hook, f"{number}") for number in range(2)]
    keeper = console(metrics_file(tmp_path), clock)
    for seconds in range(0, 60, 10):
        for one in collectors:
            one.sample(seconds, disk=95)
        see(keeper, clock, seconds, 10)
    assert told(hook) == [("alert-firing", "disk")]


def test_two_who_send_at_the_same_moment_send_once(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    first, second = (Collector(tmp_path, clock, hook, name) for name in ("one", "two"))
    barrier = threading.Barrier(2)
    seen = [one.see(10, disk=95) for one in (first, second)]

    def run(one: Collector, its: Snapshot) -> None:
        barrier.wait()
        with one.store.writing() as writing:  # as if both had the lease
            one.watch.sampled(writing, its, clock.now)
        one.watch.close()

    threads = [threading.Thread(target=run, args=both) for both in zip((first, second), seen, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(hook) == [("alert-firing", "disk")]


def test_who_does_not_answer_is_told_later_and_that_is_an_alert(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    hook.status = 503
    one = Collector(tmp_path, clock, hook)
    one.sample(0, disk=95)
    keeper = console(metrics_file(tmp_path), clock)
    keeper.look(clock.now)
    shown = see(keeper, clock, 5, 10)["notify-failing"]
    assert shown.state is FIRING and "a message could not be told: " in shown.message
    keeper.acknowledge(shown, Acknowledgement(who="mina", at=at(6)))
    one.sample(30, disk=95)
    assert len(hook.got) == 1, "not yet tried again"
    keeper.look(clock.now)
    seen = see(keeper, clock, 31, 10)["notify-failing"]
    assert seen.acknowledged is not None and seen.acknowledged.who == "mina"
    hook.status = 200
    one.sample(61, disk=95)
    one.sample(70, disk=95)
    assert len(hook.got) == 2
    kept = MetricsReader(metrics_file(tmp_path)).state(TELLING, Telling)
    assert kept is not None and kept.notices == ()
    problems = [event.facts.get("problem", "") for event in events(metrics_file(tmp_path), EventKind.ALERT_TOLD)]
    assert bool(problems[0]) and not problems[1]
    keeper.look(clock.now)
    assert "notify-failing" not in see(keeper, clock, 75, 10)


def test_a_way_that_is_down_is_tried_once_in_a_round_and_the_others_take_all(
    tmp_path: Path, clock: Clock, hook: Hook
) -> None:
    program, heard = tmp_path / "tell.sh", tmp_path / "heard"
    program.write_text(f'#!/bin/sh\necho "$OPSCONSOLE_RULE" >> {heard}\n')
    program.chmod(0o700)
    hook.status = 503
    one = Collector(tmp_path, clock, hook, command=(str(program),), cpu_minutes=0, memory_minutes=0)
    one.sample(0, 99)
    for seconds in range(60, 130, 10):  # it is over when it was well for a minute
        one.sample(seconds, disk=95 if seconds == 120 else None)
    assert heard.read_text().split() == ["cpu", "disk", "cpu"] and len(hook.got) == 3, "at 0, at 60 and at 120"
    kept = MetricsReader(metrics_file(tmp_path)).state(TELLING, Telling)
    assert kept is not None and [(one.ways, one.tries) for one in kept.notices] == [(("webhook",), 1)] * 2
    hook.status = 200
    one.sample(181, disk=95)
    assert len(hook.got) == 5 and len(heard.read_text().split()) == 3


def test_what_changes_in_one_sample_is_one_message_with_a_line_for_each(
    tmp_path: Path, clock: Clock, hook: Hook
) -> None:
    program, heard = tmp_path / "tell.sh", tmp_path / "heard"
    program.write_text(f'#!/bin/sh\necho "$OPSCONSOLE_RULE: $OPSCONSOLE_ALERTS" >> {heard}\n')
    program.chmod(0o700)
    one = Collector(tmp_path, clock, hook, command=(str(program),), cpu_minutes=0)
    one.sample(0, 99, disk=95)
    assert told(hook) == [("alert-firing", "disk")], "the facts are those of the worst"
    facts = hook.got[0][1]
    assert facts["title"].endswith(" (and 1 more)")
    lines = [line.split("\t") for line in facts["alerts"].splitlines()]
    assert [line[:3] for line in lines] == [["critical", "disk", "/"], ["warning", "cpu", "host"]]
    assert "- warning: CPU at 99 % (limit 80 %) -> " in facts["text"] and lines[1][3] == "CPU at 99 % (limit 80 %)"
    assert heard.read_text() == f"disk: {facts['alerts']}\n"
    kinds = events(metrics_file(tmp_path), EventKind.ALERT_TOLD)
    assert {event.subject for event in kinds} == {"disk /", "cpu host"} and len(kinds) == 4


def test_what_is_silenced_in_a_console_is_not_told(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    console(metrics_file(tmp_path), clock).silence(
        Silence(rule="disk", subject="*", until=at(100), who="mina", at=at(0), note="known")
    )
    one = Collector(tmp_path, clock, hook)
    one.sample(0, disk=95)
    one.sample(50, disk=95)
    assert told(hook) == []
    one.sample(101, disk=95)
    assert told(hook) == [("alert-firing", "disk")]


def test_only_what_the_settings_want_is_told(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    for tell, expected in (("critical", [("alert-firing", "disk")]), ("nothing", [])):
        hook.got.clear()
        directory = tmp_path / tell
        directory.mkdir()
        one = Collector(directory, clock, hook, tell=tell, cpu_minutes=0)
        one.sample(0, 99, disk=95)
        one.sample(10, 99, disk=95)
        assert told(hook) == expected


def test_what_the_schedule_tells_is_not_told_twice(tmp_path: Path, clock: Clock, hook: Hook) -> None:
    from opsconsole.model import DatabaseTarget, Stack
    from opsconsole.schedule import records

    (tmp_path / ".opsconsole").mkdir(mode=0o700)
    records.write(tmp_path, records.Records(ticked=at(-60)))
    stack = Stack(name="shop", directory=str(tmp_path), databases=(DatabaseTarget(kind="mongodb", name="m"),))
    one = Collector(tmp_path, clock, hook)
    for seconds in (0, 3600):  # while the schedule ticks, and when it has stopped
        seen = one.see(seconds, stack=stack)
        assert "backup-age" in {alert.rule for alert in one.keeper.judge(seen, clock.now)}
        one.store_and_send(seen)
        assert told(hook) == ([] if seconds == 0 else [("alert-firing", "backup-age")])


def test_where_nothing_can_be_stored_it_is_told_all_the_same_and_once(
    tmp_path: Path, clock: Clock, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Collector(tmp_path, clock, hook)
    one.sample(0, 99, disk=50)
    monkeypatch.setattr(MetricsStore, "_ready", _full)
    for seconds in range(10, 60, 10):
        seen = one.see(seconds, disk=100)
        with pytest.raises(SourceError):
            one.store_and_send(seen)
        one.watch.unstored(seen, clock.now)  # as `Recording` does it
        one.watch.close()
    assert told(hook) == [("alert-firing", "disk")]
    monkeypatch.undo()
    for seconds in range(60, 200, 10):
        one.sample(seconds, disk=100 if seconds < 100 else 50)
    assert told(hook)[1:] == [("alert-resolved", "disk")], "what was told meanwhile is known, and its end is told"


def _full(self: MetricsStore) -> Any:
    raise SourceError("the disk is full")
