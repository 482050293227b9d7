"""Retention: the numbers that were measured for borg's counting, and the laws that hold for any list."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.backups.buckets import buckets_of
from opsconsole.backups.retention import Candidate, Policy, Retention, candidate, decide, suspicion
from opsconsole.model import Backup, BackupClass, BackupState

NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
THREE = Policy(daily=3, weekly=2, monthly=2, manual_last=2, manual_days=3, safety_last=2, safety_days=3)


def at(moment: datetime, **fields: object) -> Candidate:
    given = {"id": f"{moment:%Y%m%d_%H%M%S}", "taken_at": moment, "size_bytes": 1000, **fields}
    return Candidate(**given)  # type: ignore[arg-type]


def nightly(days: int, until: datetime = datetime(2026, 1, 18, 2, 0, tzinfo=UTC)) -> list[Candidate]:
    return [at(until - timedelta(days=age)) for age in range(days)]


def ids(found: Retention) -> set[str]:
    return {decision.id for decision in found.decisions if decision.kept}


def why(found: Retention, name: str) -> str:
    return next(decision.why for decision in found.decisions if decision.id == name)


# --- the numbers -----------------------------------------------------------------------------------


def test_the_numbers_of_borgs_counting() -> None:
    backups = nightly(800)
    found = decide(backups, Policy(), NOW, UTC)
    kept = [one for one in backups if one.id in ids(found)]
    assert len(kept) == 54
    assert kept[-1].id == "20241130_020000"  # twelve months before the weeks, and the weeks before the days
    for day in range(1, 400):  # pruned every day it stays so
        now = NOW + timedelta(days=day)
        backups = survivors([at(backups[0].taken_at + timedelta(days=1)), *backups], Policy(), now)
        assert len(backups) == 54
        assert 360 <= (now - backups[-1].taken_at).days <= 425


def test_an_outage_costs_nothing() -> None:
    before = nightly(710, datetime(2025, 10, 10, 2, 0, tzinfo=UTC))
    assert len(ids(decide([*nightly(10), *before], Policy(), NOW, UTC))) == 54


def test_a_file_whose_name_has_no_date_is_kept_and_pushes_nothing_out() -> None:
    """A copy changes its time: put there today, it is not the backup of today."""
    backups = nightly(40)
    before = ids(decide(backups, THREE, NOW, UTC))
    for state in (BackupState.GOOD, BackupState.DAMAGED):
        copied = at(NOW - timedelta(hours=1), id="mongo.archive", undated=True, size_bytes=10, state=state)
        found = decide([copied, *backups], THREE, NOW, UTC)
        assert ids(found) == {*before, "mongo.archive"} and not found.frozen
        assert "no date" in why(found, "mongo.archive")
        assert "the newest good backup" in why(found, "20260118_020000")


def test_a_future_dated_entry_is_kept_and_pushes_nothing_out() -> None:
    backups = nightly(800)
    without = decide(backups, Policy(), NOW, UTC)
    future = at(datetime(2030, 1, 1, tzinfo=UTC))
    found = decide([future, *backups], Policy(), NOW, UTC)
    assert ids(found) == ids(without) | {future.id}
    assert why(found, future.id) == "dated in the future, so it is not counted"
    assert "the newest good backup" in why(found, backups[0].id)


def test_ten_manual_backups_in_one_day_push_nothing_out() -> None:
    backups = nightly(100)
    manual = [at(NOW - timedelta(minutes=age), backup_class=BackupClass.MANUAL) for age in range(1, 13)]
    assert ids(decide([*manual, *backups], Policy(), NOW, UTC)) - {one.id for one in manual} == ids(
        decide(backups, Policy(), NOW, UTC)
    )
    keep_seven = Policy(keep_last=7)
    assert len(ids(decide([*manual, *backups], keep_seven, NOW, UTC)) - {one.id for one in manual}) == 7


def test_twenty_failed_attempts_remove_nothing() -> None:
    failed = [at(NOW - timedelta(minutes=age), state=BackupState.INCOMPLETE) for age in range(20)]
    found = decide([*failed, *nightly(800)], Policy(), NOW, UTC)
    assert found.removable == ()
    assert found.frozen == f"nothing is removed: the newest backup, {failed[0].id}, is incomplete"
    assert {one.id for one in failed} <= ids(found)


@pytest.mark.parametrize(("size", "frozen"), [(499, True), (500, False), (0, True)])
def test_a_suspiciously_small_backup_freezes(size: int, frozen: bool) -> None:
    today = at(NOW - timedelta(hours=1), size_bytes=size)
    assert bool(decide([today, *nightly(60)], Policy(), NOW, UTC).frozen) is frozen


def test_suspicion_is_against_the_last_five_of_its_like() -> None:
    assert suspicion(40, [100, 100, 100, 10, 10, 10_000]) == ("is suspiciously small: 40% of the median of the last 5")
    assert suspicion(1, [100, 100]) == ""  # no usual size yet
    old_layout = [msgspec.structs.replace(one, layout="backup.sh", size_bytes=9000) for one in nightly(60)]
    assert decide([at(NOW), *old_layout], Policy(), NOW, UTC).frozen == ""


def test_words() -> None:
    backups = [*nightly(60), at(datetime(2026, 1, 18, 1, 0, tzinfo=UTC))]
    backups[5] = msgspec.structs.replace(backups[5], pinned=True, proven=True)
    found = decide(backups, THREE, NOW, UTC)
    assert why(found, "20260118_020000") == "the newest good backup; daily 1 of 3 (2026-01-18)"
    assert why(found, "20260118_010000") == "20260118_020000 of the same day is newer"
    assert why(found, "20260113_020000") == "pinned; the last one that a restore proved"
    assert why(found, "20260111_020000") == "weekly 1 of 2 (2026-W02)"
    assert why(found, "20260110_020000") == "no daily, weekly or monthly rule (3, 2, 2) needs it"


def test_a_backup_of_single_parts_has_a_rule_of_its_own() -> None:
    asked = Backup(
        id="20260118_100000",
        path="/b",
        layout="opsconsole",
        taken_at=NOW,
        size_bytes=1,
        state=BackupState.INCOMPLETE,
        missing=("mongo", "files"),
        asked=("redis",),
    )
    some = candidate(asked)
    assert some.good and not some.whole
    found = decide([some, *nightly(3)], Policy(), NOW, UTC)
    assert found.frozen == "" and why(found, some.id) == "1 of the last 10 backups of single parts"
    assert not candidate(msgspec.structs.replace(asked, missing=("redis",))).good
    assert not candidate(msgspec.structs.replace(asked, asked=())).good


# --- the calendar ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "week"), [("2026-01-04", "2026-W01"), ("2024-12-30", "2025-W01"), ("2027-01-01", "2026-W53")]
)
def test_iso_weeks_and_years(day: str, week: str) -> None:
    assert buckets_of(datetime.fromisoformat(f"{day}T12:00:00+00:00"), UTC).week == week


def test_a_week_is_never_taken_for_a_month() -> None:
    """kopia's shared set of ids lets the month 2026-01 take the place of the week 2026-01."""
    backups = nightly(400)
    found = decide(backups, Policy(daily=0, weekly=60, monthly=0), NOW, UTC)
    assert len([one for one in found.decisions if one.why.startswith(("weekly", "the newest"))]) == 58


@pytest.mark.parametrize("edge", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_both_edges_of_summer_time(edge: datetime) -> None:
    """Every half hour for two days around the edge: one backup for each local day, its last one."""
    backups = [at(edge - timedelta(days=1) + timedelta(minutes=30 * number)) for number in range(96)]
    found = decide(backups, Policy(daily=10, weekly=0, monthly=0), backups[-1].taken_at, BERLIN)
    kept = sorted(one.taken_at.astimezone(BERLIN) for one in backups if one.id in ids(found))
    days = {moment.date() for moment in kept[1:]}  # the first is the oldest, kept as there is room
    assert [moment.strftime("%H:%M") for moment in kept[1:-1]] == ["23:30"] * (len(days) - 1)
    assert len(days) == len(kept) - 1


def test_buckets_written_down_outlive_a_change_of_zone() -> None:
    backups = [
        msgspec.structs.replace(one, buckets=buckets_of(one.taken_at, BERLIN))
        for one in nightly(90, datetime(2026, 1, 17, 23, 30, tzinfo=UTC))
    ]
    in_berlin = decide(backups, Policy(), NOW, BERLIN)
    assert in_berlin == decide(backups, Policy(), NOW, ZoneInfo("Asia/Tehran"))
    assert "2026-01-18" in why(in_berlin, backups[0].id)


# --- laws ------------------------------------------------------------------------------------------

moments = st.integers(-90 * 24 * 60, 60 * 24).map(lambda minutes: NOW + timedelta(minutes=minutes))
candidates = st.builds(
    at,
    moments,
    size_bytes=st.integers(900, 1100),
    state=st.sampled_from([BackupState.GOOD] * 5 + list(BackupState)),
    backup_class=st.sampled_from([BackupClass.SCHEDULED] * 3 + list(BackupClass)),
    whole=st.sampled_from([True, True, True, False]),
    pinned=st.sampled_from([False] * 9 + [True]),
    critical=st.sampled_from([False] * 19 + [True]),
    proven=st.sampled_from([False] * 9 + [True]),
    base_of_range=st.sampled_from([False] * 19 + [True]),
)
lists = st.lists(candidates, max_size=60, unique_by=lambda one: one.id)
small = st.integers(0, 6)
policies = st.builds(
    Policy,
    daily=small,
    weekly=small,
    monthly=small,
    keep_last=st.none() | st.integers(1, 5),
    manual_last=st.integers(1, 4),
    manual_days=small,
    safety_last=st.integers(1, 4),
    safety_days=small,
)
BIGGER = ("daily", "weekly", "monthly", "manual_last", "manual_days", "safety_last", "safety_days")


def survivors(backups: list[Candidate], policy: Policy, now: datetime = NOW) -> list[Candidate]:
    kept = ids(decide(backups, policy, now, UTC))
    return [one for one in backups if one.id in kept]


@given(lists, policies, st.randoms(use_true_random=False))
def test_every_backup_is_decided_once_and_the_order_does_not_matter(
    backups: list[Candidate], policy: Policy, shuffle: random.Random
) -> None:
    found = decide(backups, policy, NOW, UTC)
    assert sorted(one.id for one in found.decisions) == sorted(one.id for one in backups)
    assert all(one.reasons and all(one.reasons) for one in found.decisions)
    assert set(found.removable) == (set() if found.frozen else {one.id for one in backups} - ids(found))
    mixed = list(backups)
    shuffle.shuffle(mixed)
    assert decide(mixed, policy, NOW, UTC) == found


@given(lists, policies, st.sampled_from([timedelta(0), timedelta(days=5 * 365), timedelta(days=-1)]))
def test_what_is_never_removed(backups: list[Candidate], policy: Policy, leap: timedelta) -> None:
    now = NOW + leap
    kept = ids(decide(backups, policy, now, UTC))
    past = sorted(
        (one for one in backups if one.taken_at <= now + timedelta(minutes=5) and one.good),
        key=lambda one: (one.taken_at, one.id),
    )
    for one in backups:
        if (
            one.pinned
            or one.critical
            or one.base_of_range
            or one.state is BackupState.UNFINISHED
            or one.taken_at > now + timedelta(minutes=5)
        ):
            assert one.id in kept
    for select in (
        lambda one: one.whole,
        lambda one: one.proven,
        *(lambda one, each=each: one.whole and one.backup_class is each for each in BackupClass),
    ):
        chosen = [one for one in past if select(one)]
        assert not chosen or chosen[-1].id in kept


@given(lists, policies)
def test_a_second_prune_removes_nothing_more(backups: list[Candidate], policy: Policy) -> None:
    once = survivors(backups, policy)
    assert survivors(once, policy) == once


@given(lists, policies, st.sampled_from(BIGGER), st.integers(1, 5))
def test_a_bigger_policy_keeps_a_superset(backups: list[Candidate], policy: Policy, field: str, more: int) -> None:
    bigger = msgspec.structs.replace(policy, **{field: getattr(policy, field) + more})
    assert ids(decide(backups, policy, NOW, UTC)) <= ids(decide(backups, bigger, NOW, UTC))


@given(lists, policies, st.lists(moments, max_size=20))
def test_failed_backups_change_nothing_for_good_ones(
    backups: list[Candidate], policy: Policy, when: list[datetime]
) -> None:
    failed = [at(moment, id=f"failed-{number}", state=BackupState.DAMAGED) for number, moment in enumerate(when)]
    good = {one.id for one in backups if one.good}
    alone = decide(backups, policy, NOW, UTC)
    with_failed = decide([*backups, *failed], policy, NOW, UTC)
    assert ids(alone) & good == ids(with_failed) & good
    if not alone.frozen:
        assert set(with_failed.removable) & good <= set(alone.removable)


@given(lists, policies)
def test_no_more_is_kept_than_the_rules_allow(backups: list[Candidate], policy: Policy) -> None:
    scheduled = [
        one
        for one in backups
        if one.good and one.whole and one.backup_class is BackupClass.SCHEDULED and one.taken_at <= NOW
    ]
    free = [one for one in scheduled if not (one.pinned or one.critical or one.proven or one.base_of_range)]
    kept = [one for one in free if one.id in ids(decide(backups, policy, NOW, UTC))]
    most = policy.keep_last or policy.daily + policy.weekly + policy.monthly
    assert len(kept) <= most + 1  # the newest good one, where the rules keep none


@given(lists, policies, st.integers(0, 30))
@settings(max_examples=50)
def test_pruned_every_day_the_newest_stays(backups: list[Candidate], policy: Policy, days: int) -> None:
    left = [one for one in backups if one.taken_at < NOW - timedelta(hours=1)]
    for day in range(days):
        now = NOW + timedelta(days=day)
        left = survivors([*left, at(now - timedelta(hours=1), id=f"night-{day}")], policy, now)
        assert any(one.id == f"night-{day}" for one in left)
