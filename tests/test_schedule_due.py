"""What is due, and when: over both edges of summer time, after a sleep, with a clock that was set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.config.sections import ScheduleSection
from opsconsole.schedule.due import Due, Kind, Outcome, Run, Situation, coming, credible, due, went_back

BERLIN = ZoneInfo("Europe/Berlin")
TICK = timedelta(minutes=10)
NIGHTLY = ScheduleSection(verify_days=0, incremental_hours=0)


def at(text: str, fold: int = 0) -> datetime:
    """A time of the clock in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


class Host:
    """A host whose clock is turned by hand, and that does what is due at each tick."""

    def __init__(self, settings: ScheduleSection = NIGHTLY, *, incremental: bool = False) -> None:
        self.settings = settings
        self.incremental = incremental
        self.runs: tuple[Run, ...] = ()
        self.did: list[tuple[str, str]] = []
        self.result: Callable[[Due], Outcome] = lambda one: Outcome.DONE

    def tick(self, now: datetime) -> list[str]:
        """Do what is due; the kinds of what was done."""
        kinds: list[str] = []
        self.runs = credible(self.runs, now)
        while found := due(self.settings, Situation(runs=self.runs, incremental=self.incremental), now, BERLIN):
            one = found[0]
            if one.kind.value in kinds:
                break
            run = Run(kind=one.kind, slot=one.slot, began=now, ended=now, outcome=self.result(one))
            self.runs = (*self.runs, run)
            self.did.append((f"{now.astimezone(BERLIN):%Y-%m-%d %H:%M}", one.kind.value))
            kinds.append(one.kind.value)
        return kinds

    def pass_time(self, since: datetime, until: datetime) -> None:
        """A tick every ten minutes."""
        while since <= until:
            self.tick(since)
            since += TICK

    def backups(self) -> list[str]:
        return [when for when, kind in self.did if kind == "backup"]

    def done_before(self, slot: str) -> Host:
        """This backup was made in its time."""
        run = Run(kind=Kind.BACKUP, slot=slot, began=at(slot), ended=at(slot), outcome=Outcome.DONE)
        self.runs = (*self.runs, run)
        return self


def test_a_backup_is_made_once_a_day_at_its_time() -> None:
    host = Host().done_before("2026-01-17 02:00")
    host.pass_time(at("2026-01-17 02:10"), at("2026-01-20 01:50"))
    assert host.backups() == ["2026-01-18 02:00", "2026-01-19 02:00"]


def test_the_first_run_ever_is_made_at_once_and_then_at_its_time() -> None:
    host = Host()
    host.pass_time(at("2026-01-17 15:03"), at("2026-01-18 15:03"))
    assert host.backups() == ["2026-01-17 15:03", "2026-01-18 02:03"]


def test_an_hour_that_is_left_out_is_made_up_once() -> None:
    host = Host(msgspec.structs.replace(NIGHTLY, backup="02:30")).done_before("2026-03-28 02:30")
    host.pass_time(at("2026-03-28 12:00"), at("2026-03-30 12:00"))
    assert host.backups() == ["2026-03-29 03:30", "2026-03-30 02:30"]


def test_an_hour_that_comes_twice_is_one_slot() -> None:
    host = Host(msgspec.structs.replace(NIGHTLY, backup="02:30")).done_before("2026-10-24 02:30")
    host.pass_time(at("2026-10-24 12:00"), at("2026-10-26 12:00"))
    assert host.backups() == ["2026-10-25 02:30", "2026-10-26 02:30"]
    assert at("2026-10-25 02:30", fold=0) in [run.began for run in host.runs]


def test_a_host_that_is_started_in_the_second_of_two_equal_hours_makes_it_up_once() -> None:
    host = Host(msgspec.structs.replace(NIGHTLY, backup="02:30")).done_before("2026-10-24 02:30")
    host.pass_time(at("2026-10-25 02:10", fold=1), at("2026-10-25 12:00"))
    assert len(host.backups()) == 1


def test_three_days_asleep_are_made_up_once() -> None:
    host = Host(msgspec.structs.replace(NIGHTLY, backup=("02:00", "14:00"))).done_before("2026-01-17 02:00")
    host.pass_time(at("2026-01-20 09:00"), at("2026-01-20 20:00"))
    assert host.backups() == ["2026-01-20 09:00", "2026-01-20 14:00"]


def test_a_clock_that_is_set_back_over_a_slot_does_not_double_it() -> None:
    host = Host().done_before("2026-01-17 02:00")
    host.pass_time(at("2026-01-18 01:50"), at("2026-01-18 02:20"))
    assert went_back(host.runs, at("2026-01-18 01:20")) == timedelta(minutes=40)
    host.pass_time(at("2026-01-18 01:20"), at("2026-01-18 12:00"))
    assert host.backups() == ["2026-01-18 02:00"]
    assert went_back(host.runs, at("2026-01-18 12:00")) is None


def test_a_clock_that_ran_days_ahead_and_is_set_right_leaves_no_day_out() -> None:
    host = Host().done_before("2026-01-17 02:00")
    host.pass_time(at("2026-01-20 12:00"), at("2026-01-21 03:00"))  # three days ahead
    host.pass_time(at("2026-01-18 03:00"), at("2026-01-23 03:00"))
    assert host.backups() == [
        "2026-01-20 12:00", "2026-01-21 02:00",
        "2026-01-18 03:00", "2026-01-19 02:00", "2026-01-20 02:00", "2026-01-21 02:00", "2026-01-22 02:00",
        "2026-01-23 02:00",
    ]  # fmt: skip


def test_a_backup_that_fails_is_tried_three_times_an_hour_apart() -> None:
    host = Host().done_before("2026-01-17 02:00")
    host.result = lambda one: Outcome.FAILED
    host.pass_time(at("2026-01-18 02:00"), at("2026-01-19 02:00"))
    assert host.backups() == ["2026-01-18 02:00", "2026-01-18 03:00", "2026-01-18 04:00", "2026-01-19 02:00"]


def test_that_it_is_tried_again_is_told_as_what_comes_next() -> None:
    host = Host().done_before("2026-01-17 02:00")
    host.result = lambda one: Outcome.FAILED
    for failed, now, then in (
        ("2026-01-18 02:00", "2026-01-18 02:10", "18 03:00"),
        ("2026-01-18 03:00", "2026-01-18 03:10", "18 04:00"),
        ("2026-01-18 04:00", "2026-01-18 04:10", "19 02:00"),  # the third was the last
    ):
        host.tick(at(failed))
        told = coming(host.settings, Situation(runs=host.runs), at(now), BERLIN)
        assert (told[0].kind, f"{told[0].at.astimezone(BERLIN):%d %H:%M}") == (Kind.BACKUP, then)


def test_what_was_refused_is_tried_at_every_tick_until_it_goes() -> None:
    host = Host().done_before("2026-01-17 02:00")
    host.result = lambda one: Outcome.REFUSED if len(host.runs) < 4 else Outcome.DONE
    host.pass_time(at("2026-01-18 02:00"), at("2026-01-18 12:00"))
    assert host.backups() == [f"2026-01-18 02:{minute}" for minute in ("00", "10", "20", "30")]


def test_what_was_killed_is_tried_again_and_what_was_cancelled_is_not() -> None:
    for outcome, times in ((Outcome.BEGUN, 3), (Outcome.GIVEN_UP, 1)):
        host = Host().done_before("2026-01-17 02:00")
        host.result = lambda one, outcome=outcome: outcome
        for minutes in range(0, 60, 10):
            now = at("2026-01-18 02:00") + timedelta(minutes=minutes)
            host.tick(now)
            host.runs = tuple(
                msgspec.structs.replace(run, ended=None) if run.outcome is Outcome.BEGUN else run for run in host.runs
            )
        assert len(host.backups()) == times


def test_the_test_restore_and_the_removal_follow_a_backup_that_was_made() -> None:
    host = Host(msgspec.structs.replace(NIGHTLY, verify_days=7))
    host.pass_time(at("2026-01-17 02:00"), at("2026-01-25 12:00"))
    assert [when[:10] for when, kind in host.did if kind == "verify"] == ["2026-01-17", "2026-01-24"]
    assert [kind for when, kind in host.did if when.startswith("2026-01-24")] == ["backup", "verify", "prune"]

    host = Host(msgspec.structs.replace(NIGHTLY, verify_days=1))
    host.result = lambda one: Outcome.FAILED if one.kind is Kind.BACKUP else Outcome.DONE
    host.pass_time(at("2026-01-17 02:00"), at("2026-01-18 12:00"))
    assert {kind for _, kind in host.did} == {"backup"}


def test_a_backup_that_fails_its_test_restore_is_not_restored_again_the_same_day() -> None:
    host = Host(msgspec.structs.replace(NIGHTLY, verify_days=7))
    host.result = lambda one: Outcome.FAILED if one.kind is Kind.VERIFY else Outcome.DONE
    host.pass_time(at("2026-01-17 02:00"), at("2026-01-23 12:00"))
    assert [kind for _, kind in host.did].count("verify") == 1


def test_incremental_backups_come_between_the_backups_and_only_on_a_replica_set() -> None:
    settings = ScheduleSection(verify_days=0)
    host = Host(settings, incremental=True).done_before("2026-01-17 02:00")
    host.pass_time(at("2026-01-18 01:50"), at("2026-01-19 01:50"))
    incremental = [when[11:] for when, kind in host.did if kind == "incremental"]
    assert incremental == ["01:50", "08:00", "14:00", "20:00"]  # the first is the one of 20:00 the day before
    alone = Host(settings).done_before("2026-01-17 02:00")
    alone.pass_time(at("2026-01-18 01:50"), at("2026-01-19 01:50"))
    assert {kind for _, kind in alone.did} == {"backup", "prune"}


def test_a_backup_that_is_made_up_saves_the_incremental_one_of_before() -> None:
    host = Host(ScheduleSection(verify_days=0), incremental=True).done_before("2026-01-17 02:00")
    assert host.tick(at("2026-01-20 09:00")) == ["backup", "prune"]
    host.pass_time(at("2026-01-20 09:10"), at("2026-01-20 14:00"))
    assert host.did[-1] == ("2026-01-20 14:00", "incremental")


def test_without_backups_of_our_own_the_newest_one_is_still_proven() -> None:
    host = Host(ScheduleSection(backup="", incremental_hours=0, verify_days=2))
    host.pass_time(at("2026-01-17 02:00"), at("2026-01-20 12:00"))
    assert host.did == [("2026-01-17 02:00", "verify"), ("2026-01-19 00:00", "verify")]


def test_with_everything_off_nothing_is_ever_due() -> None:
    host = Host(ScheduleSection(backup="", incremental_hours=0, verify_days=0), incremental=True)
    host.pass_time(at("2026-01-17 02:00"), at("2026-01-18 12:00"))
    assert not host.did
    assert not coming(host.settings, Situation(incremental=True), at("2026-01-17 02:00"), BERLIN)


def test_what_comes_next_is_told_before_it_comes() -> None:
    host = Host(ScheduleSection(), incremental=True)
    host.tick(at("2026-01-17 02:00"))
    there = Situation(runs=host.runs, incremental=True)
    told = coming(host.settings, there, at("2026-01-17 03:00"), BERLIN)
    assert [(one.kind.value, f"{one.at.astimezone(BERLIN):%d %H:%M}") for one in told] == [
        ("incremental", "17 08:00"), ("backup", "18 02:00"), ("prune", "18 02:00"), ("verify", "24 02:00"),
    ]  # fmt: skip


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda one: one.replace(tzinfo=UTC))
times = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda one: f"{one[0]:02}:{one[1]:02}")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Jakarta", "Australia/Lord_Howe"])
@given(
    start=moments,
    minutes=st.lists(st.integers(-119, 3000), min_size=1, max_size=40),
    daily=st.lists(times, min_size=1, max_size=3, unique=True),
)
def test_whatever_the_clock_does_no_slot_is_done_twice_and_none_before_its_time(
    zone: str, start: datetime, minutes: list[int], daily: list[str]
) -> None:
    settings = ScheduleSection(backup=tuple(daily))
    runs: tuple[Run, ...] = ()
    now = latest = start
    for passed in minutes:
        now = max(now + timedelta(minutes=passed), latest - timedelta(minutes=119))  # set back, but never by hours
        latest = max(latest, now)
        found = due(settings, Situation(runs=runs, incremental=True), now, ZoneInfo(zone))
        assert all(one.at <= now for one in found)
        runs += tuple(Run(kind=one.kind, slot=one.slot, began=now, ended=now, outcome=Outcome.DONE) for one in found)
        following = coming(settings, Situation(runs=runs, incremental=True), now, ZoneInfo(zone))
        assert next(one for one in following if one.kind is Kind.BACKUP).at > now - timedelta(days=1)
    done = [(run.kind, run.slot) for run in runs]
    assert len(done) == len(set(done))


@given(start=moments, daily=times)
def test_after_any_sleep_the_next_tick_makes_exactly_one_backup(start: datetime, daily: str) -> None:
    settings = msgspec.structs.replace(NIGHTLY, backup=daily)
    host = Host(settings)
    host.tick(start)
    woken = start + timedelta(days=3)
    assert host.tick(woken).count("backup") == 1
    assert "backup" not in host.tick(woken + timedelta(seconds=1))
