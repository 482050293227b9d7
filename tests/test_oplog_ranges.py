"""Which moments can be restored: laws of ranges and chains, and what retention does not touch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.backups import marks, pruning
from opsconsole.backups.faults import Level
from opsconsole.backups.marks import Check, Marks
from opsconsole.backups.oplog_ranges import chain_to, held, ranges, resume
from opsconsole.backups.retention import Policy
from opsconsole.model import Backup, BackupState, OplogSpan, OplogTime

START = 1_768_700_000
"""2026-01-18 01:33:20 UTC."""


def second(number: int) -> datetime:
    """So many seconds after the start."""
    return datetime.fromtimestamp(START + number, UTC)


def time(number: float) -> OplogTime:
    """2.5 is the second 2, and half of what was written in it."""
    return OplogTime(time=START + int(number), increment=int(number * 10) % 10 + 1)


def span(begins: float, ends: float, continues: str = "", **fields: str) -> OplogSpan:
    given = {"part": "mongodb", "replica_set": "rs0", "set_id": "ab", "server": "MongoDB 6.0.5", **fields}
    return OplogSpan(begins=time(begins), ends=time(ends), continues=continues, **given)


def backup(name: str, one: OplogSpan, state: BackupState | None = None, **fields: object) -> Backup:
    sound = BackupState.INCREMENTAL if one.continues else BackupState.GOOD
    taken = datetime.fromtimestamp(one.ends.time, UTC)
    given = {"path": "", "layout": "opsconsole", "taken_at": taken, "size_bytes": 1000, **fields}
    return Backup(id=name, state=state or sound, oplog=(one,), **given)  # type: ignore[arg-type]


def full(name: str, begins: float, ends: float | None = None, **fields: str) -> Backup:
    return backup(name, span(begins, begins if ends is None else ends, **fields))


def piece(name: str, begins: float, ends: float, after: str = "before", **fields: str) -> Backup:
    return backup(name, span(begins, ends, after, **fields))


def shown(backups: list[Backup]) -> list[tuple[int, int, str]]:
    """First and last second of each range and the full backup it stands on."""
    found = ranges(backups)
    return [(int(one.first.timestamp()) - START, int(one.last.timestamp()) - START, one.chain.base) for one in found]


# --- what is shown -----------------------------------------------------------------------------------


def test_a_full_backup_and_the_slices_after_it() -> None:
    chain = [full("f", 10), piece("a", 10, 20.5, "f"), piece("b", 20.5, 30.5, "a")]
    assert shown(chain) == [(10, 29, "f")], "more may have been written in the second 30"
    assert shown(chain[:1]) == [], "a full backup alone is one moment, and not a whole second"
    found = chain_to(chain, "mongodb", second(20))
    assert found is not None and found.slices == ("a", "b"), "in the second 20 more was written than a has"
    found = chain_to(chain, "mongodb", second(19))
    assert found is not None and (found.base, found.slices) == ("f", ("a",))
    for outside in (second(9), second(30), second(1000)):
        assert chain_to(chain, "mongodb", outside) is None
    assert chain_to(chain, "other", second(19)) is None


def test_what_was_not_read_at_one_moment_can_be_restored_from_its_end_on() -> None:
    chain = [full("f", 10, 15.5), piece("a", 10, 20, "f")]
    assert shown(chain) == [(15, 19, "f")]
    assert shown([full("f", 10, 15.5), piece("a", 12, 20, "f")]) == [], "what was written while it was read is missing"


def test_a_gap_in_the_slices_ends_the_range() -> None:
    chain = [full("f", 10), piece("a", 10, 20, "f"), piece("c", 30, 40, "b")]
    assert shown(chain) == [(10, 19, "f")]
    assert shown([*chain, full("g", 35)]) == [(10, 19, "f"), (35, 39, "g")]
    assert shown([*chain, piece("again", 20, 45, "a")]) == [(10, 44, "f")], "saved again from where it broke off"


@pytest.mark.parametrize(
    "other", [{"set_id": "cd"}, {"replica_set": "rs1"}, {"part": "other"}, {"server": "MongoDB 7.0.1"}]
)
def test_another_set_or_release_ends_the_range(other: dict[str, str]) -> None:
    chain = [full("f", 10), piece("a", 10, 20, "f"), piece("b", 20, 30, "a", **other)]
    assert shown(chain) == [(10, 19, "f")]


def test_a_set_whose_id_may_not_be_read_goes_by_its_name() -> None:
    chain = [full("f", 10, set_id=""), piece("a", 10, 20, "f"), piece("b", 20, 30, "a", set_id="cd")]
    assert shown(chain) == [(10, 19, "f")], "the first id that is known is the one"
    assert shown([full("f", 10, set_id=""), piece("a", 10, 20, "f", server="MongoDB 6.0.9")]) == [(10, 19, "f")]


@pytest.mark.parametrize("state", [BackupState.DAMAGED, BackupState.UNFINISHED, BackupState.INCOMPLETE])
def test_a_damaged_slice_or_base_does_not_count(state: BackupState) -> None:
    chain = [full("f", 10), piece("a", 10, 20, "f"), piece("b", 20, 30, "a")]
    broken = [chain[0], chain[1], msgspec.structs.replace(chain[2], state=state)]
    assert shown(broken) == [(10, 19, "f")]
    broken = [msgspec.structs.replace(chain[0], state=state), *chain[1:]]
    assert shown(broken) == []


def test_a_backup_of_mongodb_alone_is_a_base_too() -> None:
    alone = backup("f", span(10, 10), BackupState.INCOMPLETE, asked=("mongo",), missing=("redis",))
    assert shown([alone, piece("a", 10, 20, "f")]) == [(10, 19, "f")]


def test_since_when() -> None:
    """Nightly full backups with slices in between: the range stands on the newest from which all of it is reached."""
    chain = [full("f", 10), full("g", 25), full("h", 55)]
    chain += [piece(f"s{n}", n, n + 10, f"s{n - 10}") for n in range(10, 100, 10)]
    for since, base in ((0, "f"), (24, "f"), (25, "g"), (54, "g"), (55, "h"), (98, "h")):
        (found,) = ranges(chain, second(since))
        assert found.chain.base == base and found.last == second(99)
    assert ranges(chain, second(100)) == (), "what ends before is not shown"


# --- where the next one begins ---------------------------------------------------------------------------


def test_the_next_slice_goes_on_where_the_newest_ends() -> None:
    assert resume([], "mongodb") == ()
    assert resume([piece("a", 10, 20)], "mongodb") == (), "without a base it leads nowhere"
    (first,) = resume([full("f", 10, 15)], "mongodb")
    assert (first.continues, first.after, first.set_id) == ("f", time(10), "ab"), "from before it was read"
    chain = [full("f", 10), piece("a", 10, 20, "f")]
    (going_on,) = resume([*chain, full("g", 18)], "mongodb")[:1]
    assert (going_on.continues, going_on.after) == ("a", time(20))
    later = resume([*chain, full("g", 50)], "mongodb")
    assert [one.continues for one in later] == ["a", "g"], "the new one, if the oplog does not reach back"
    broken = [*chain, piece("c", 30, 40, "b")]
    assert resume(broken, "mongodb")[0].continues == "a", "so that the gap is closed"


# --- laws --------------------------------------------------------------------------------------------------

moments = st.integers(0, 300).map(lambda number: number / 2)
few = {"set_id": st.sampled_from(["ab", "ab", "ab", "", "cd"]), "server": st.sampled_from(["MongoDB 6.0.5"] * 4 + [""])}
sound = st.sampled_from([None] * 6 + [BackupState.DAMAGED])


@st.composite
def histories(draw: st.DrawFn) -> list[Backup]:
    """Full backups and slices as they come to lie there: mostly one after the other, some lost, damaged or doubled."""
    found: list[Backup] = []
    at = 0.0
    for number in range(draw(st.integers(1, 12))):
        ends = at + draw(st.integers(0, 30)) / 2
        found.append(backup(f"s{number}", span(at, ends, "x", **_drawn(draw)), draw(sound)))
        at = ends + draw(st.sampled_from([0.0] * 8 + [0.5, -0.5, 2.0]))
    for number in range(draw(st.integers(1, 4))):
        begins = draw(moments)
        ends = begins + draw(st.sampled_from([0.0, 0.0, 0.5, 4.0]))
        found.append(backup(f"f{number}", span(begins, ends, **_drawn(draw)), draw(sound)))
    kept = [one for one in found if draw(st.sampled_from([True] * 9 + [False]))]
    return draw(st.permutations(kept))


def _drawn(draw: st.DrawFn) -> dict[str, str]:
    return {name: draw(values) for name, values in few.items()}


def unbroken(backups: list[Backup], base: str, slices: tuple[str, ...], moment: datetime) -> bool:
    """Looked at step by step, in another way than the code does it: nothing is missing up to the end of a second."""
    by_id = {one.id: one for one in backups}
    start = by_id[base].oplog[0]
    assert by_id[base].state is BackupState.GOOD and start.ends.time <= moment.timestamp()
    at, known = start.begins, {start.set_id} - {""}
    for name in slices:
        one = by_id[name].oplog[0]
        assert by_id[name].state is BackupState.INCREMENTAL and one.server == start.server
        assert one.begins <= at < one.ends
        at, known = one.ends, known | ({one.set_id} - {""})
    return at.time > moment.timestamp() and len(known) <= 1


@given(histories(), st.integers(-5, 200))
def test_a_moment_inside_a_shown_range_always_has_an_unbroken_chain(backups: list[Backup], number: int) -> None:
    moment = second(number)
    chain = chain_to(backups, "mongodb", moment)
    inside = [one for one in ranges(backups) if one.first <= moment <= one.last]
    assert (chain is not None) is bool(inside)
    if chain is not None:
        assert unbroken(backups, chain.base, chain.slices, moment)
    for one in ranges(backups):
        assert one.first <= one.last
        for edge in (one.first, one.last):
            assert unbroken(backups, one.chain.base, one.chain.slices, edge)


@given(histories(), st.data())
def test_without_one_slice_the_range_ends_there(backups: list[Backup], data: st.DataObject) -> None:
    found = [one for one in ranges(backups) if one.chain.slices]
    if not found:
        return
    (one, lost) = data.draw(st.sampled_from([(one, name) for one in found for name in one.chain.slices]))
    spans = {each.id: each.oplog[0] for each in backups}
    before = one.chain.slices[: one.chain.slices.index(lost)]
    at = spans[before[-1]].ends if before else spans[one.chain.base].begins
    if any(each.begins <= at < each.ends for name, each in spans.items() if each.continues and name != lost):
        return  # another one fills the gap
    left = [each for each in backups if each.id != lost]
    edge = datetime.fromtimestamp(at.time, UTC)
    while edge <= one.last:
        chain = chain_to(left, "mongodb", edge)
        assert chain is None or chain.base != one.chain.base
        edge += timedelta(seconds=1)
    last = datetime.fromtimestamp(at.time - 1, UTC)
    assert last < one.first or chain_to(left, "mongodb", last) is not None


@pytest.mark.parametrize("lost", range(8))
def test_in_a_plain_chain_every_lost_slice_ends_the_range(lost: int) -> None:
    chain = [piece(f"p{n}", n * 10, n * 10 + 10, "x") for n in range(8)]
    del chain[lost]
    assert shown([full("base", 0), *chain]) == ([(0, lost * 10 - 1, "base")] if lost else [])


@given(histories(), st.integers(0, 200), st.integers(0, 20))
def test_a_range_that_is_shown_survives_every_prune(backups: list[Backup], now: int, days: int) -> None:
    """A day of retention is ten seconds here: what is shown before is shown after, whatever else goes."""
    scaled = [msgspec.structs.replace(one, taken_at=second(0) + (one.taken_at - second(0)) * 8640) for one in backups]
    policy = Policy(daily=0, weekly=0, monthly=0, manual_last=1, manual_days=0, safety_days=0, point_in_time_days=days)
    at = second(0) + timedelta(seconds=now * 8640)
    since = at - timedelta(days=days)
    found = pruning.plan(Path("/nowhere"), scaled, policy, at, UTC)
    left = [one for one in scaled if one.id not in found.removable]
    before, after = ranges(scaled, since), ranges(left, since)
    assert before == after
    bases, slices = held(before)
    assert not (bases | slices) & set(found.removable)
    assert all(decision.kept for decision in found.decisions if decision.id in bases | slices)


# --- retention ---------------------------------------------------------------------------------------------


def nightly(nights: int) -> list[Backup]:
    """A full backup each night at two and a slice every six hours; the newest of them ends at the last night."""
    found: list[Backup] = []
    hour = 3600
    for number in range(nights):
        night = number * 24 * hour
        found.append(backup(f"f{number:03}", span(night, night)))
        found += [
            backup(f"s{number:03}-{part}", span(night + part * 6 * hour, night + (part + 1) * 6 * hour, "x"))
            for part in range(4)
        ]
    return found


def test_two_weeks_of_seconds_and_older_slices_go(tmp_path: Path) -> None:
    backups = nightly(60)
    now = second(60 * 24 * 3600)
    policy = Policy()
    found = pruning.plan(tmp_path, backups, policy, now, UTC)
    kept = {decision.id: decision.why for decision in found.decisions if decision.kept}
    assert sum(1 for name in kept if name.startswith("s")) == 14 * 4 + 1
    (one,) = ranges(backups, now - timedelta(days=14))
    assert one.chain.base == "f046" and one.first == second(46 * 24 * 3600)
    assert "a point-in-time range stands on it" in kept["f046"]
    assert "a point-in-time range runs through it" in kept["s046-0"] and "younger than" in kept["s059-3"]
    gone = {decision.id: decision.why for decision in found.decisions if not decision.kept}
    assert gone["s010-0"] == "older than 14 days, and no point-in-time range runs through it"
    assert "f000" in kept, "full ones have rules of their own"


def test_what_a_later_look_found_damaged_ends_a_range_and_is_not_gone_at_once(tmp_path: Path) -> None:
    backups = nightly(3)
    now = second(3 * 24 * 3600)
    marks.write(tmp_path, "s001-1", Marks(checks=(Check(level=Level.HASHES, at=now, problem="was changed"),)))
    spoilt = [msgspec.structs.replace(one, state=BackupState.DAMAGED) if one.id == "s001-1" else one for one in backups]
    assert [one.chain.base for one in ranges(spoilt)] == ["f000", "f002"]
    found = pruning.plan(tmp_path, backups, Policy(), now, UTC)
    assert found.removable == () and found.frozen == ""


def test_incremental_backups_never_count_as_backups(tmp_path: Path) -> None:
    """Neither as the newest good one nor as one of single parts, and small as they are they freeze nothing."""
    backups = nightly(10)
    small = [msgspec.structs.replace(one, size_bytes=1) if one.incremental else one for one in backups]
    for policy in (Policy(), Policy(keep_last=3)):
        found = pruning.plan(tmp_path, small, policy, second(10 * 24 * 3600), UTC)
        assert found.frozen == ""
        words = " ".join(decision.why for decision in found.decisions if decision.id.startswith("s"))
        assert "single parts" not in words and "newest" not in words and "incomplete" not in words
        newest = next(one for one in found.decisions if "the newest good backup" in one.why)
        assert newest.id == "f009"
