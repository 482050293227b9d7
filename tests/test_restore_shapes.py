"""On stacks of the three shapes: what their own scripts left is restored, what we made comes back, undone by a command.

MongoDB beside the stack with uploads (THYNK), MongoDB and Redis with passwords in containers (MPS), and MongoDB without
one (Smokava). The applications run throughout and are as well afterwards as before.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import bson
import pymongo
import pytest
import redis
from bson.raw_bson import RawBSONDocument

from opsconsole.cli import main
from opsconsole.operations import unfinished
from tests.conftest import StackFactory
from tests.parts import legacy
from tests.parts.stacks import Stack


def run(stack: Stack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def digest(stack: Stack) -> dict[str, str]:
    """Documents and indexes of each collection of the application, keys of Redis, uploaded files."""
    found: dict[str, str] = {}
    with pymongo.MongoClient[RawBSONDocument](stack.mongo_uri, document_class=RawBSONDocument) as client:
        database = client[stack.database]
        for name in database.list_collection_names():
            indexes = sorted(bson.encode(one) for one in database[name].list_indexes())
            documents = sorted(one.raw for one in database[name].find())
            found[name] = hashlib.sha256(b"".join([*documents, *indexes])).hexdigest()
    if stack.redis_url:
        for number in (0, 1):
            with contextlib.closing(redis.Redis.from_url(stack.redis_url, db=number)) as keys:
                found |= {f"redis {number} {key!r}": str(keys.type(key)) for key in keys.keys("*")}
    uploads = stack.directory / "backend" / "uploads"
    found |= {str(path): path.read_bytes().hex() for path in uploads.rglob("*") if path.is_file()}
    return found


def change(stack: Stack) -> None:
    with pymongo.MongoClient(stack.mongo_uri) as client:
        client[stack.database].users.delete_many({"classId": 1})
        client[stack.database].later.insert_one({"made": "later"})
    if stack.redis_url:
        with contextlib.closing(redis.Redis.from_url(stack.redis_url)) as keys:
            keys.delete("greeting")
            keys.set("later", "1")
    uploads = stack.directory / "backend" / "uploads"
    if uploads.is_dir():
        (uploads / "big.bin").unlink()
        (uploads / "later.txt").write_text("later\n")


def as_scripts_do(stack: Stack) -> str:
    """The id of a backup in the system's own layout."""
    if stack.name != "smokava":
        return legacy.NEW if stack.name == "thynk" else f"mps_backup_{legacy.NEW}"
    place = stack.directory / "backups" / legacy.NEW / stack.database
    place.mkdir(parents=True)
    for name, content in legacy.dump_files(stack.mongo_uri, stack.database).items():
        (place / name).write_bytes(content)
    return legacy.NEW


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["thynk", "mps", "smokava"])
def test_old_layout_and_ours_there_and_back(stack_factory: StackFactory, name: str) -> None:
    stack = stack_factory(name)
    old = as_scripts_do(stack)
    first = digest(stack)
    assert run(stack, "backup", "create", "--yes") == 0
    for backup in (old, "latest"):
        change(stack)
        changed = digest(stack)
        assert changed != first
        words = ("rollback", "last-backup") if backup == "latest" else ("restore", backup)
        assert run(stack, *words, "--yes") == 0, backup
        assert digest(stack) == first, backup
        stack.wait_ready()
        if backup == "latest":
            assert run(stack, "restore", "--undo", "--yes") == 0
            assert digest(stack) == changed
    states = {container["State"]["Status"] for container in stack.containers()}
    assert states == {"running"}
    assert not [path for path in Path(stack.directory).rglob(".opsconsole-*")]


@pytest.mark.timeout(300)
def test_a_container_that_is_gone_by_then_is_no_obstacle(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut off while the application was stopped, which somebody then removed: the data is put right all the same."""
    stack = stack_factory("smokava")
    first = digest(stack)
    assert run(stack, "backup", "create", "--yes") == 0
    change(stack)
    changed = digest(stack)
    for verb, expected in (("undo", changed), ("finish", first)):
        with monkeypatch.context() as around:
            around.setenv("OPS_KILL_AT", "R02")
            assert run(stack, "restore", "latest", "--yes") == 1
        name = stack.container("backend")["Name"].removeprefix("/")
        stack.engine.docker("rm", "--force", name)
        (left,) = unfinished.unfinished(stack.directory)
        capsys.readouterr()
        assert run(stack, "operations", verb, left.operation, "--yes") == 0
        assert f"{name} is gone: `docker compose up -d` makes it anew" in capsys.readouterr().out
        assert digest(stack) == expected and unfinished.unfinished(stack.directory) == ()
        stack.compose("up", "--detach")
        stack.wait_ready()
