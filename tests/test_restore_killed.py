"""A restore killed at every point: what is live is old or new, or somebody is told and one command makes it so."""

from __future__ import annotations

import errno
import itertools
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, lock, restore_state, unfinished
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.steps import DECLARED
from tests.backup_stack import BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.parts.machine import wait_until


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    """With two backups, of the data of the first day and of the data of today."""
    with backup_stack(tmp_path_factory.mktemp("killed")) as made:
        made.first = made.digest()  # type: ignore[attr-defined]
        assert main(["backup", "create", "--yes", "--stack", str(made.directory)]) == 0
        made.change()
        made.second = made.digest()  # type: ignore[attr-defined]
        assert main(["backup", "create", "--yes", "--stack", str(made.directory)]) == 0
        yield made


def sides(stack: BackupStack) -> tuple[dict[str, str], dict[str, str], str]:
    """What is live, what it is to be, and the backup of that."""
    first, second = stack.first, stack.second  # type: ignore[attr-defined]
    newer, older = sorted(
        (one for one in stack.listed() if one.backup_class.value == "manual"), key=lambda one: one.id
    )[::-1]
    live = stack.digest()
    assert live in (first, second)
    return (live, second, newer.id) if live == first else (live, first, older.id)


def points(path: Path) -> list[str]:
    """Where it is killed: an act is over and not recorded, a piece has changed places, before anything is loaded."""
    seen: Counter[str] = Counter()
    found = []
    for name in path.read_text().split():
        seen[name] += 1
        if name.startswith("R") or name == "O06":
            found.append(f"{name}.{seen[name]}")
    return found


@pytest.mark.timeout(600)
def test_killed_at_every_point(stack: BackupStack, tmp_path: Path) -> None:
    seen = tmp_path / "points"
    old, new, backup = sides(stack)
    place, code = stack.run(stack.plan("restore", restore=RestoreOrder(backup=backup)), OPS_STEPS_TO=str(seen))
    assert code == 0 and stack.digest() == new
    passed = points(seen)
    assert {at.partition(".")[0] for at in passed} == {"O06", "R01", "R02", "R05"}
    answers = itertools.cycle(("finish", "undo"))
    for at in passed:
        old, new, backup = sides(stack)
        place, code = stack.run(stack.plan("restore", restore=RestoreOrder(backup=backup)), OPS_KILL_AT=at)
        assert code == -signal.SIGKILL, at
        wait_until(lambda: lock.holder_of(stack.directory) is None, 30, f"{at}: the lock is still held")
        left = [one.operation for one in unfinished.unfinished(stack.directory)]
        assert left == [place.name], at
        # Nobody starts anything on what may be a mix.
        assert main(["start", "--yes", "--stack", str(stack.directory)]) == 2, at
        answer = "finish" if restore_state.settled(place) else next(answers)
        assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 0, (at, answer)
        assert stack.digest() == (new if answer == "finish" else old), (at, answer)
        assert stack.leftovers() == [] and unfinished.unfinished(stack.directory) == (), (at, answer)
    assert chain.verify(stack.directory) == ()


@pytest.mark.timeout(600)
def test_a_full_disk_a_broken_one_and_an_end_asked_for_at_every_point(stack: BackupStack, tmp_path: Path) -> None:
    """Each fault at each point: of those that are passed often at the first, a middle and the last passing."""
    seen = tmp_path / "points"
    old, new, backup = sides(stack)
    _, code = stack.run(stack.plan("restore", restore=RestoreOrder(backup=backup)), OPS_STEPS_TO=str(seen))
    assert code == 0 and stack.digest() == new
    passed: dict[str, list[str]] = {}
    for at in points(seen):
        passed.setdefault(at.partition(".")[0], []).append(at)
    assert passed.keys() == {"O06", "R01", "R02", "R05"}
    for name, all_of in passed.items():
        if name == "O06":  # the last one is over and settled, the first ones touch nothing live
            all_of = all_of[-5:-1]
        passings = (all_of[0], all_of[len(all_of) // 2], all_of[-1])
        for at, fault in zip(passings, ("ENOSPC", "EIO", "SIGTERM"), strict=True):
            old, new, backup = sides(stack)
            plan = stack.plan("restore", restore=RestoreOrder(backup=backup))
            _, code = stack.run(plan, OPS_RAISE_AT=f"{at}:{fault}")
            # Once it is decided that the new side stays, what cannot be removed of the old one is told.
            settled = name == "R05"
            assert code == (0 if settled else 3), (at, fault, stack.end())
            assert stack.end().result is (Result.DONE if settled else Result.ROLLED_BACK)
            assert unfinished.unfinished(stack.directory) == (), (at, fault)
            if settled and fault != "SIGTERM":
                assert os.strerror(getattr(errno, fault)) in stack.end().problem
                assert new.items() <= stack.digest().items() and stack.leftovers()
                _, code = stack.run(plan)  # the next restore removes it
                assert code == 0 and restore_state.uncleared(stack.directory) == ()
            assert stack.digest() == (new if settled else old), (at, fault)
            assert stack.leftovers() == [], (at, fault)
    assert chain.verify(stack.directory) == ()


@pytest.mark.timeout(300)
def test_killed_on_the_way_back_it_is_finished_backwards(stack: BackupStack, tmp_path: Path) -> None:
    seen = tmp_path / "points"
    old, _, backup = sides(stack)
    plan = stack.plan("restore", restore=RestoreOrder(backup=backup))
    _, code = stack.run(plan, OPS_RAISE_AT="R02.6:EIO", OPS_STEPS_TO=str(seen))
    assert code == 3 and stack.digest() == old
    back = [name for name in seen.read_text().split() if name == "R03"]
    assert back
    for number in {1, len(back)}:
        plan = stack.plan("restore", restore=RestoreOrder(backup=backup))
        place, code = stack.run(plan, OPS_RAISE_AT="R02.6:EIO", OPS_KILL_AT=f"R03.{number}")
        assert code == -signal.SIGKILL
        assert any(one.event == "way-back" for one in journal.read(place))
        assert main(["operations", "finish", place.name, "--yes", "--stack", str(stack.directory)]) == 0
        assert stack.digest() == old and stack.leftovers() == []


def test_where_the_way_back_fails_too_it_is_half_done_until_it_led_back(
    stack: BackupStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, _, backup = sides(stack)
    plan = stack.plan("restore", restore=RestoreOrder(backup=backup))
    place, code = stack.run(plan, OPS_RAISE_AT="R02.6:EIO,R03:EIO")
    end = stack.end()
    assert code == 4 and end.by_hand == (f"opsconsole operations undo {place.name}",)
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name]
    assert main(["start", "--yes", "--stack", str(stack.directory)]) == 2
    with monkeypatch.context() as patched:
        patched.setenv("OPS_RAISE_AT", "R03:EIO")
        assert main(["operations", "undo", place.name, "--yes", "--stack", str(stack.directory)]) == 1
    (again,) = unfinished.unfinished(stack.directory)
    assert again.operation != place.name
    assert main(["operations", "undo", again.operation, "--yes", "--stack", str(stack.directory)]) == 0
    assert stack.digest() == old and stack.leftovers() == [] and unfinished.unfinished(stack.directory) == ()


def test_an_undo_after_it_is_settled_is_refused(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    _, new, backup = sides(stack)
    plan = stack.plan("restore", restore=RestoreOrder(backup=backup))
    place, code = stack.run(plan, OPS_KILL_AT="R05")
    assert code == -signal.SIGKILL
    assert main(["operations", "undo", place.name, "--yes", "--stack", str(stack.directory)]) == 2
    assert "restore --undo" in capsys.readouterr().err
    assert main(["operations", "finish", place.name, "--yes", "--stack", str(stack.directory)]) == 0
    assert stack.digest() == new and stack.leftovers() == []


def test_the_points_of_a_restore_are_all_swept() -> None:
    # R06 and R07 are of a Redis that is stopped for it: see test_databases_stopped.
    assert {name for name in DECLARED if name.startswith("R")} == {"R01", "R02", "R03", "R05", "R06", "R07"}
