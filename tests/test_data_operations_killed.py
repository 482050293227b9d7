"""What is done to backups and databases, killed where its act begins and where it is over: the next start says that it
is half done, and finishing it ends as if nothing had happened. Restores and backups have sweeps of their own."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.model import SourceError
from opsconsole.operations import chain, lock, unfinished
from opsconsole.operations.orders import BackupOrder, DatabaseOrder, ImportOrder
from opsconsole.operations.plan import Act, Plan
from tests.backup_stack import DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.test_restore_killed import passings

SETTINGS = """
[copy]
rsync = "%s"
"""
ONE_IS_KEPT = """
[retention]
manual_last = 1
manual_days = 0
"""
AROUND_AN_ACT = ("O05", "O06")
"""The act has not begun; it is over and nobody has recorded that. Around them it is as with every operation."""


class Operation:
    """One that is killed: how it is asked for, what must be there before it, and what is when it is done."""

    def __init__(
        self,
        what: str,
        act: Act,
        *,
        before: Callable[[BackupStack], object] = lambda stack: None,
        done: Callable[[BackupStack], bool] = lambda stack: True,
        **how: Any,
    ) -> None:
        self.what = what
        self.act = act
        self.before = before
        self.done = done
        self.how = how


def _with_two_backups(stack: BackupStack) -> None:
    """The older of which goes: by settings that come after the newer, or it would go with that one's end."""
    settings = stack.directory / "opsconsole.toml"
    settings.write_text(settings.read_text().removesuffix(ONE_IS_KEPT))
    while len(stack.listed()) < 2:
        _save(stack)
    settings.write_text(settings.read_text() + ONE_IS_KEPT)


def _save(stack: BackupStack) -> None:
    assert stack.run(stack.plan("backup", backup=BackupOrder()))[1] == 0, stack.end()


def _pruned(stack: BackupStack) -> bool:
    return len(stack.listed()) == 1


def _verified(stack: BackupStack) -> bool:
    return stack.listed()[0].checked_level == 2


def _copied(stack: BackupStack) -> bool:
    return (stack.directory.parent / "copied" / stack.listed()[0].id / "manifest.json").is_file()


def _without_copies(stack: BackupStack) -> None:
    shutil.rmtree(stack.directory.parent / "copied")
    (stack.directory.parent / "copied").mkdir()


def _not_imported(stack: BackupStack) -> None:
    with stack.mongo() as client:
        client[DATABASE].drop_collection("imported")


def _imported(stack: BackupStack) -> bool:
    with stack.mongo() as client:
        return sorted(one["n"] for one in client[DATABASE].imported.find()) == [1, 2, 3]


def _indexed(stack: BackupStack) -> bool:
    with stack.mongo() as client:
        return "again_1" in client[DATABASE].orders.index_information()


def _with_a_key(stack: BackupStack) -> None:
    with stack.keys() as keys:
        keys.set("there", "1")


def _empty(stack: BackupStack) -> bool:
    with stack.keys() as keys:
        return int(keys.dbsize()) == 0


OPERATIONS = [
    Operation("verify", Act.VERIFY, done=_verified, level=2),
    Operation("copy", Act.COPY, before=_without_copies, done=_copied),
    Operation("prune", Act.PRUNE, before=_with_two_backups, done=_pruned),
    Operation("import", Act.IMPORT, before=_not_imported, done=_imported),
    Operation("validate", Act.VALIDATE, database=DatabaseOrder(kind="mongodb")),
    Operation(
        "rebuild-index",
        Act.REBUILD_INDEX,
        done=_indexed,
        database=DatabaseOrder(kind="mongodb", collections=(f"{DATABASE}.orders",), index="again_1"),
    ),
    Operation("flush", Act.FLUSH, before=_with_a_key, done=_empty, database=DatabaseOrder(kind="redis")),
]


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    place = tmp_path_factory.mktemp("data")
    copied = place / "copied"
    copied.mkdir()
    with backup_stack(place, settings=SETTINGS % copied) as made:
        (made.directory / "three.json").write_text("\n".join(json.dumps({"n": number}) for number in (1, 2, 3)))
        with made.mongo() as client:
            client[DATABASE].orders.create_index("again")
        _save(made)
        yield made


def _plan(stack: BackupStack, operation: Operation) -> Plan:
    operation.before(stack)
    how = dict(operation.how)
    if operation.what == "import":
        how["imports"] = ImportOrder(str(stack.directory / "three.json"), DATABASE, "imported")
    return stack.plan(operation.what, **how)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.what)
def test_killed_around_its_act(stack: BackupStack, operation: Operation, tmp_path: Path) -> None:
    plan = _plan(stack, operation)
    assert operation.act in [step.act for step in plan.steps]
    seen = tmp_path / "points"
    assert stack.run(plan, OPS_STEPS_TO=str(seen))[1] == 0 and operation.done(stack)
    points = [at for at in passings(seen) if at.partition(".")[0] in AROUND_AN_ACT]
    assert len(points) == len(AROUND_AN_ACT) * len(plan.steps)
    for at in points:
        place, code = stack.run(_plan(stack, operation), OPS_KILL_AT=at)
        assert code == -signal.SIGKILL, at
        assert lock.holder_of(stack.directory) is None, at
        assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name], at
        with pytest.raises(SourceError, match=r"nothing to undo|not undone by itself"):
            stack.plan("undo", operation=place.name)
        assert stack.run(stack.plan("finish", operation=place.name))[1] == 0, (at, stack.end())
        assert operation.done(stack), at
        assert unfinished.unfinished(stack.directory) == (), at
        chain.seal_left_open(stack.directory)  # as the next one does
        assert chain.verify(stack.directory) == (), at
