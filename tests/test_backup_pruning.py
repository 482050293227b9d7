"""What is known beside a backup, and retention applied to real directories."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.backups import marks, pruning
from opsconsole.backups.catalog import Catalog
from opsconsole.backups.faults import Level
from opsconsole.backups.marks import Check, Copy, Marks
from opsconsole.backups.retention import Policy, Retention
from opsconsole.model import DatabaseTarget, SourceError, Stack
from tests import backup_samples as samples

NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)
NIGHTS = [f"202601{day:02}_020000" for day in range(18, 8, -1)]
THREE = Policy(daily=3, weekly=0, monthly=0)


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    for night in NIGHTS:
        samples.by_opsconsole(tmp_path / "backups", night)
    return tmp_path / "backups"


def planned(backups: Path, policy: Policy = THREE) -> Retention:
    stack = Stack(
        name="thynk",
        directory=str(backups.parent),
        backup_directory=str(backups),
        databases=(DatabaseTarget(kind="mongodb", name="host", database="thynk"),),
    )
    found = Catalog(clock=lambda: NOW, zone=UTC).look(stack)
    return pruning.plan(backups, found, policy, NOW, UTC)


def names(backups: Path) -> list[str]:
    return sorted((path.name for path in backups.iterdir() if path.name != marks.DIRECTORY), reverse=True)


def test_removed_as_planned_and_no_more(backups: Path) -> None:
    marks.write(backups, NIGHTS[8], Marks(pinned=True, pinned_why="before the move"))
    marks.write(backups, NIGHTS[5], Marks(copies=(Copy(place="rclone:far", at=NOW, verified=True),)))
    first = planned(backups)
    assert first.removable == (NIGHTS[9], *NIGHTS[7:2:-1])
    marks.write(backups, NIGHTS[4], Marks(pinned=True))  # by somebody else, after the plan was shown
    told: list[str] = []
    gone = pruning.apply(backups, first.removable, planned(backups), told.append)
    assert gone == tuple(told) == tuple(name for name in first.removable if name != NIGHTS[4])
    assert names(backups) == [*NIGHTS[:3], NIGHTS[4], NIGHTS[8]]
    assert sorted(os.listdir(backups / marks.DIRECTORY)) == [f"{NIGHTS[8]}.json", f"{NIGHTS[4]}.json"]
    assert planned(backups).removable == ()
    assert pruning.apply(backups, (), planned(backups, Policy(keep_last=1))) == ()


def test_damage_that_verify_found_counts(backups: Path) -> None:
    """The newest is damaged: it does not count as the newest good one, and nothing is removed."""
    marks.write(backups, NIGHTS[0], Marks(checks=(Check(level=Level.HASHES, at=NOW, problem="redis.rdb was changed"),)))
    found = planned(backups)
    assert found.removable == () and NIGHTS[0] in found.frozen
    assert "the newest good backup" in found.decisions[1].why


def test_a_proven_one_is_kept_and_a_small_one_freezes(backups: Path) -> None:
    marks.write(backups, NIGHTS[6], Marks(checks=(Check(level=Level.RESTORED, at=NOW),)))
    found = planned(backups)
    assert found.decisions[6].why == "the last one that a restore proved"
    assert NIGHTS[6] not in found.removable and NIGHTS[7] in found.removable


def test_what_cannot_be_removed_is_said(backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pruning, "remove", refuse)
    with pytest.raises(SourceError, match=f"{NIGHTS[9]} cannot be removed: Permission denied") as caught:
        pruning.apply(backups, NIGHTS, planned(backups))
    assert "0 of 10 were removed" in caught.value.hint and names(backups) == NIGHTS


def test_marks_are_read_back_and_never_cost_a_backup(backups: Path) -> None:
    known = Marks(pinned=True, misdated=True, checks=(Check(level=Level.PARSED, at=NOW),))
    marks.write(backups, NIGHTS[0], known)
    assert marks.read(backups, NIGHTS[0]) == known and marks.read(backups, "none") == Marks()
    path = backups / marks.DIRECTORY / f"{NIGHTS[0]}.json"
    assert marks.misdated(backups) == {NIGHTS[0]} and marks.misdated(backups / "none") == frozenset()
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    for data in (b"{", b"[]", b"\xff", b'{"pinned": 3}', bytes(2 << 20)):
        path.write_bytes(data)
        assert marks.read(backups, NIGHTS[0]).keeps
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert marks.read(backups, NIGHTS[0]).keeps
    with pytest.raises(SourceError, match="cannot be written"):
        marks.write(backups / "none", "x", known)


def test_which_level_holds() -> None:
    known = Marks()
    assert known.best is None and not known.proven and known.fault == ""
    later = NOW + timedelta(hours=1)
    known = marks.checked(known, Check(level=Level.RESTORED, at=NOW))
    known = marks.checked(known, Check(level=Level.HASHES, at=NOW, problem="a was changed"))
    assert known.fault == "a was changed" and not known.proven
    known = marks.checked(known, Check(level=Level.PARSED, at=later))
    assert known.fault == "" and known.proven
    assert known.best is not None and known.best.level is Level.RESTORED
    known = marks.checked(known, Check(level=Level.HASHES, at=later))
    assert [check.level for check in known.checks] == [1, 2, 3]
    assert msgspec.json.decode(msgspec.json.encode(known), type=Marks) == known
