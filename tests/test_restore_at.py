"""Incremental backups of a replica set by the commands, and a restore to a second in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymongo
import pytest

from opsconsole.cli import main
from opsconsole.model import BackupState
from opsconsole.operations import places
from tests.backup_stack import DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.parts.install import MONGOD
from tests.parts.machine import wait_until
from tests.parts.servers import start_mongod


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    """With two MongoDB servers: `host`, and another one that has the lines of an audit."""
    place = tmp_path_factory.mktemp("at")
    with backup_stack(place, replset=True) as made:
        second = start_mongod(place / "second", replset=True)
        made.second = second  # type: ignore[attr-defined]
        env = made.directory / ".env"
        env.write_text(f"{env.read_text()}AUDIT_URI={second.uri}\n")
        settings = made.directory / "opsconsole.toml"  # without the address of one: those of the env file are found
        settings.write_text(settings.read_text().replace('[mongodb]\nuri_env = "MONGODB_URI"\n', ""))
        try:
            yield made
        finally:
            second.stop(kill=True)


def run(stack: BackupStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def ran(stack: BackupStack) -> list[str]:
    return [place.name for place in places.existing_operations(stack.directory)]


def next_second() -> datetime:
    """This second, once it is over: nothing more is written in it."""
    now = datetime.now(UTC).replace(microsecond=0)
    wait_until(lambda: datetime.now(UTC).timestamp() >= now.timestamp() + 1, 5, "time stands still")
    return now


@contextmanager
def audit(stack: BackupStack) -> Iterator[Any]:
    """The collection of the second server."""
    with pymongo.MongoClient[Any](stack.second.uri) as client:  # type: ignore[attr-defined]
        yield client.audit.lines


def mongo(stack: BackupStack) -> dict[str, str]:
    return {name: value for name, value in stack.digest().items() if name.startswith("mongo:")}


@pytest.mark.timeout(300)
def test_to_the_second(stack: BackupStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A server beside the stack has no image: its program stands in, as it does where it is installed.
    monkeypatch.setenv("PATH", f"{MONGOD.parent}:{os.environ['PATH']}")
    assert run(stack, "backup", "create", "--incremental", "--yes") == 1
    assert "there is no full backup of host as a replica set" in capsys.readouterr().out
    with audit(stack) as lines:
        lines.insert_one({"_id": 1})
    assert run(stack, "backup", "create", "--yes") == 0
    next_second()
    with stack.mongo() as client, audit(stack) as lines:
        client[DATABASE].orders.insert_one({"_id": 1, "made": "between"})
        client[DATABASE].users.update_many({}, {"$inc": {"points": 5}})
        lines.insert_one({"_id": 2})
    moment, wanted = next_second(), mongo(stack)
    with stack.mongo() as client, audit(stack) as lines:
        client[DATABASE].orders.drop()
        client[DATABASE].users.delete_many({})
        lines.drop()
    next_second()
    assert run(stack, "backup", "create", "--incremental", "--yes") == 0
    (slice_,) = (one for one in stack.listed() if one.state is BackupState.INCREMENTAL)
    capsys.readouterr()
    assert run(stack, "backup", "list") == 0
    said = capsys.readouterr().out
    name = f"host:{stack.second.port}"  # type: ignore[attr-defined]
    assert "host: every second from" in said and f"{name}: every second from" in said
    lost = mongo(stack)
    assert lost != wanted
    assert run(stack, "restore", "--at", "2001-01-01T00:00:00Z", "--yes") == 2
    assert "cannot be restored to the second" in capsys.readouterr().err
    # Which of the two is said, or has what is chosen.
    at = ("restore", "--at", moment.isoformat())
    assert run(stack, *at, "--yes") == 2
    assert (
        f"several servers can be restored to that second: host, {name} -> Name one: --server" in capsys.readouterr().err
    )
    assert run(stack, *at, "--server", "third", "--yes") == 2
    assert f"this stack has no MongoDB third -> It has: host, {name}" in capsys.readouterr().err
    assert run(stack, *at, "--server", "host", "--yes") == 0
    assert mongo(stack) == wanted and stack.leftovers() == []
    with audit(stack) as lines:
        assert lines.count_documents({}) == 0, "the other one stays as it is"
        assert run(stack, *at, "--collection", "audit.lines", "--yes") == 0
        assert lines.count_documents({}) == 2 and mongo(stack) == wanted
        assert run(stack, "restore", "--undo", "--yes") == 0
        assert lines.count_documents({}) == 0 and mongo(stack) == wanted
    first = next(one for one in ran(stack) if "restore-" in one)
    assert run(stack, "restore", "--undo", "--operation", first, "--yes") == 0
    assert mongo(stack) == lost
    path = next(Path(slice_.path).glob("oplog*"))
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert run(stack, *at, "--server", "host", "--yes") == 1
    assert mongo(stack) == lost


def test_the_steps_for_a_standalone_server(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "backup", "replica-set", "--server", "host") == 0
    assert "is a member of the set rs0 already" in capsys.readouterr().out
    assert run(stack, "backup", "replica-set", "--server", "host", "--guide") == 0
    said = capsys.readouterr().out
    assert said.startswith("1. Take a full backup") and "replSet" in said
