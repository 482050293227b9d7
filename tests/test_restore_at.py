"""Incremental backups of a replica set by the commands, and a restore to a second in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.model import BackupState
from tests.backup_stack import DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.parts.install import MONGOD
from tests.parts.machine import wait_until


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    with backup_stack(tmp_path_factory.mktemp("at"), replset=True) as made:
        yield made


def run(stack: BackupStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def next_second() -> datetime:
    """This second, once it is over: nothing more is written in it."""
    now = datetime.now(UTC).replace(microsecond=0)
    wait_until(lambda: datetime.now(UTC).timestamp() >= now.timestamp() + 1, 5, "time stands still")
    return now


def mongo(stack: BackupStack) -> dict[str, str]:
    return {name: value for name, value in stack.digest().items() if name.startswith("mongo:")}


@pytest.mark.timeout(300)
def test_to_the_second(stack: BackupStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A server beside the stack has no image: its program stands in, as it does where it is installed.
    monkeypatch.setenv("PATH", f"{MONGOD.parent}:{os.environ['PATH']}")
    assert run(stack, "backup", "create", "--incremental", "--yes") == 1
    assert "there is no full backup of host as a replica set" in capsys.readouterr().out
    assert run(stack, "backup", "create", "--yes") == 0
    next_second()
    with stack.mongo() as client:
        client[DATABASE].orders.insert_one({"_id": 1, "made": "between"})
        client[DATABASE].users.update_many({}, {"$inc": {"points": 5}})
    moment, wanted = next_second(), mongo(stack)
    with stack.mongo() as client:
        client[DATABASE].orders.drop()
        client[DATABASE].users.delete_many({})
    next_second()
    assert run(stack, "backup", "create", "--incremental", "--yes") == 0
    (slice_,) = (one for one in stack.listed() if one.state is BackupState.INCREMENTAL)
    capsys.readouterr()
    assert run(stack, "backup", "list") == 0
    assert "host: every second from" in capsys.readouterr().out
    lost = mongo(stack)
    assert lost != wanted
    assert run(stack, "restore", "--at", "2001-01-01T00:00:00Z", "--yes") == 2
    assert "cannot be restored to the second" in capsys.readouterr().err
    assert run(stack, "restore", "--at", moment.isoformat(), "--yes") == 0
    assert mongo(stack) == wanted and stack.leftovers() == []
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert mongo(stack) == lost
    path = next(Path(slice_.path).glob("oplog*"))
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert run(stack, "restore", "--at", moment.isoformat(), "--yes") == 1
    assert mongo(stack) == lost


def test_the_steps_for_a_standalone_server(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "backup", "replica-set") == 0
    assert "is a member of the set rs0 already" in capsys.readouterr().out
    assert run(stack, "backup", "replica-set", "--guide") == 0
    said = capsys.readouterr().out
    assert said.startswith("1. Take a full backup") and "replSet" in said
