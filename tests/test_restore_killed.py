"""A restore killed at every point: what is live is old or new, or somebody is told and one command makes it so."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.model import SourceError
from opsconsole.operations import chain, journal, lock, restore_state, unfinished
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Act, Plan
from opsconsole.operations.steps import DECLARED
from tests.backup_stack import BackupStack, backup_stack
from tests.parts.engine import Engine

pytestmark = pytest.mark.usefixtures("forked_operations")

FAULTS = ("ENOSPC", "EIO", "SIGTERM")
CUT_OFF = ("O06", "R01", "R02", "R05")
"""After each act, and wherever one is half done. Around them it is as with every operation."""


class Swept:
    """A stack with two backups, of the data of the first day and of the data of today, that is restored a hundred times
    from the one to the other. Small: between the two one collection changed, one came, one stays as it is."""

    def __init__(self, stack: BackupStack) -> None:
        self.stack = stack
        self.days: list[dict[str, str]] = []
        self.backups: list[str] = []
        self.plans: list[Plan] = []
        self.today = 0

    def fill(self) -> None:
        for change in (self._fewer_collections, self.stack.change):
            change()
            self.days.append(self.stack.digest())
            assert main(["backup", "create", "--yes", "--stack", str(self.stack.directory)]) == 0
            self.backups.append(self.stack.listed()[0].id)
        self.today = 1
        self.plans = [self.stack.plan("restore", restore=RestoreOrder(backup=one)) for one in self.backups]

    def _fewer_collections(self) -> None:
        with self.stack.mongo() as client:
            for name in ("messages", "auditlogs"):
                client.shop.drop_collection(name)

    @property
    def plan(self) -> Plan:
        """That of a restore of the other day."""
        return self.plans[1 - self.today]

    def run(self, **environment: str) -> tuple[Path, int]:
        return self.stack.run(self.plan, **environment)

    def answer(self, operation: str, answer: str) -> None:
        """What is half done is finished or undone."""
        assert [one.operation for one in unfinished.unfinished(self.stack.directory)] == [operation]
        assert self.stack.run(self.stack.plan(answer, operation=operation))[1] == 0

    def is_whole(self, *, restored: bool, at: object = "") -> None:
        """All of the one day or all of the other, nothing beside it, and nothing is half done."""
        self.today = 1 - self.today if restored else self.today
        assert self.stack.digest() == self.days[self.today], at
        assert self.stack.leftovers() == [] and unfinished.unfinished(self.stack.directory) == (), at
        chain.seal_left_open(self.stack.directory)  # as the next one does
        assert chain.verify(self.stack.directory) == (), at
        # Of a hundred operations each would read the journals and backups of all others.
        shutil.rmtree(self.stack.directory / ".opsconsole")
        for path in self.stack.backups.glob("2*"):
            if path.name not in self.backups:
                shutil.rmtree(path)


@pytest.fixture(scope="module")
def swept(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    with backup_stack(tmp_path_factory.mktemp("killed")) as made:
        swept = Swept(made)
        swept.fill()
        yield swept


def passings(path: Path) -> list[str]:
    """`R02.3` is the third passing of R02. Every passing of every point that is one of an operation's."""
    seen: Counter[str] = Counter()
    found = []
    for name in path.read_text().split():
        seen[name] += 1
        if name in DECLARED:
            found.append(f"{name}.{seen[name]}")
    return found


def name_of(at: str) -> str:
    return at.partition(".")[0]


@pytest.fixture(scope="module")
def points(swept: Swept, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every passing of a restore that nothing happens to."""
    seen = tmp_path_factory.mktemp("seen") / "points"
    assert swept.run(OPS_STEPS_TO=str(seen))[1] == 0
    swept.is_whole(restored=True)
    return passings(seen)


def test_the_points_of_a_restore_are_all_swept(points: list[str]) -> None:
    """R03 is on the way back, below; R06 and R07 are of a Redis that is stopped for it: see test_databases_stopped."""
    of_runs = {one for one in DECLARED if one[0] == "O"}
    assert {name_of(at) for at in points} == {*of_runs, *CUT_OFF}
    assert {one for one in DECLARED if one[0] == "R"} == {*CUT_OFF, "R03", "R06", "R07"} - of_runs


@pytest.mark.timeout(600)
def test_killed_at_every_point(swept: Swept, points: list[str]) -> None:
    answers = itertools.cycle(("finish", "undo"))
    for at in points:
        if name_of(at) not in CUT_OFF:
            continue
        place, code = swept.run(OPS_KILL_AT=at)
        assert code == -signal.SIGKILL, at
        assert lock.holder_of(swept.stack.directory) is None, at
        with pytest.raises(SourceError, match="half done"):  # nobody starts anything on what may be a mix
            swept.stack.plan("start")
        answer = "finish" if restore_state.settled(place) else next(answers)
        swept.answer(place.name, answer)
        swept.is_whole(restored=answer == "finish", at=(at, answer))


def ends_as(plan: Plan, at: str, fault: str) -> Result | None:
    """How a restore with this fault ends; None is half done."""
    name, passing = name_of(at), int(at.partition(".")[2])
    asked = fault == "SIGTERM"
    if name in ("O00", "O01", "O02", "O03", "O11"):
        return Result.CANCELLED if asked else Result.FAILED
    if name in ("R05", "O08", "O09", "O10", "O12"):
        return None if name == "O08" and not asked else Result.DONE
    if name in ("R01", "R02"):
        return Result.ROLLED_BACK
    step = plan.steps[passing - 1]
    if step.act is Act.CLEAR_BESIDE and (asked or name in ("O06", "O07")):
        return Result.DONE
    if any(one.turns_back for one in plan.steps[:passing]):
        return Result.ROLLED_BACK
    return Result.CANCELLED if asked else Result.FAILED


def is_its_turn(fault: str, number: int, *, special: bool) -> bool:
    turn = FAULTS.index(fault)
    if not special:
        return number % 3 == turn
    return fault == "SIGTERM" or number % 2 == turn


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_point(swept: Swept, points: list[str], fault: str) -> None:
    """Where a restore is something special an end is asked for and the disk fails, at every passing: by turns it is
    full and broken, which no point tells apart. At all others one of the three."""
    for number, at in enumerate(points):
        if at != "R05.1" and not is_its_turn(fault, number, special=name_of(at) in CUT_OFF):
            continue
        plan = swept.plan
        place, code = swept.run(OPS_RAISE_AT=f"{at}:{fault}")
        end, wanted = journal.read(place)[-1], ends_as(plan, at, fault)
        assert end.result is wanted, (at, end.problem)
        if wanted is None:
            swept.answer(place.name, "finish")
        elif name_of(at) not in ("O09", "O10"):  # all is said and recorded by then
            assert code == journal.exit_code(wanted, ()), at
            said = os.strerror(getattr(errno, fault)) if fault != "SIGTERM" else "SIGTERM"
            assert (said in end.problem) == (fault != "SIGTERM" or wanted is not Result.DONE), (at, end.problem)
        if left := restore_state.uncleared(swept.stack.directory):
            # It is decided that the new side stays: what cannot be removed of the old one is told, and the next restore
            # removes it.
            assert left == (place,) and name_of(at) == "R05" and swept.stack.leftovers()
            swept.today = 1 - swept.today
            assert swept.run()[1] == 0 and not restore_state.uncleared(swept.stack.directory)
        swept.is_whole(restored=wanted in (Result.DONE, None), at=(at, fault))


# --- on the way back -------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_kill_and_a_fault_at_every_point_of_the_way_back(swept: Swept, points: list[str], tmp_path: Path) -> None:
    last = [at for at in points if name_of(at) == "R02"][-1]  # every piece has changed places
    assert swept.run(OPS_RAISE_AT=f"{last}:EIO", OPS_STEPS_TO=str(tmp_path / "points"))[1] == 3
    swept.is_whole(restored=False)
    back = [at for at in passings(tmp_path / "points") if name_of(at) == "R03"]
    assert len(back) == len([at for at in points if name_of(at) == "R02"])
    for at, fault in zip(back, itertools.cycle(FAULTS), strict=False):
        place, code = swept.run(OPS_RAISE_AT=f"{last}:EIO", OPS_KILL_AT=at)
        assert code == -signal.SIGKILL and any(one.event == "way-back" for one in journal.read(place)), at
        swept.answer(place.name, "finish")
        swept.is_whole(restored=False, at=at)
        place, code = swept.run(OPS_RAISE_AT=f"{last}:EIO,{at}:{fault}")
        assert code == (3 if fault == "SIGTERM" else 4), (at, fault)
        if code == 4:
            swept.answer(place.name, "undo")
        swept.is_whole(restored=False, at=(at, fault))


def test_what_was_loaded_and_could_not_be_removed_is_half_done(swept: Swept, points: list[str], tmp_path: Path) -> None:
    """As long as it is not decided which side stays, nobody else would tidy up."""
    last = [at for at in points if name_of(at) == "O07"][-2]
    assert swept.run(OPS_RAISE_AT=f"{last}:EIO", OPS_STEPS_TO=str(tmp_path / "points"))[1] == 3
    clearing = [at for at in passings(tmp_path / "points") if name_of(at) == "O05"][-1]
    place, code = swept.run(OPS_RAISE_AT=f"{last}:EIO,{clearing}:EIO")
    assert code == 4 and swept.stack.end().by_hand == (f"opsconsole operations undo {place.name}",)
    assert swept.stack.leftovers()
    _, code = swept.stack.run(swept.stack.plan("undo", operation=place.name), OPS_RAISE_AT="O05.2:EIO")
    assert code == 1 and swept.stack.leftovers()
    (again,) = unfinished.unfinished(swept.stack.directory)
    swept.answer(again.operation, "undo")
    swept.is_whole(restored=False)


def test_where_the_way_back_fails_too_it_is_half_done_until_it_led_back(
    swept: Swept, points: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = swept.stack.directory
    last = [at for at in points if name_of(at) == "R02"][-1]
    place, code = swept.run(OPS_RAISE_AT=f"{last}:EIO,R03:EIO")
    end = swept.stack.end()
    assert code == 4 and end.by_hand == (f"opsconsole operations undo {place.name}",)
    assert [one.operation for one in unfinished.unfinished(directory)] == [place.name]
    assert main(["start", "--yes", "--stack", str(directory)]) == 2
    with monkeypatch.context() as patched:
        patched.setenv("OPS_RAISE_AT", "R03:EIO")
        assert main(["operations", "undo", place.name, "--yes", "--stack", str(directory)]) == 1
    (again,) = unfinished.unfinished(directory)
    assert again.operation != place.name
    assert main(["operations", "undo", again.operation, "--yes", "--stack", str(directory)]) == 0
    swept.is_whole(restored=False)


def test_an_undo_after_it_is_settled_is_refused(swept: Swept, capsys: pytest.CaptureFixture[str]) -> None:
    place, code = swept.run(OPS_KILL_AT="R05")
    assert code == -signal.SIGKILL
    assert main(["operations", "undo", place.name, "--yes", "--stack", str(swept.stack.directory)]) == 2
    assert "restore --undo" in capsys.readouterr().err
    assert main(["operations", "finish", place.name, "--yes", "--stack", str(swept.stack.directory)]) == 0
    swept.is_whole(restored=True)
