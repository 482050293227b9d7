"""Operations that stop a database on a real stack: a standalone MongoDB becomes a replica set of one node and back; a
Redis without a free database is restored through its data directory. Killed in between, each is finished or undone.
"""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, lock, places, set_plans, unfinished
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.steps import DECLARED
from tests.converting_stack import PASSWORD, ConvertingStack, converting_stack
from tests.parts.engine import Engine
from tests.parts.machine import wait_until


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvertingStack]:
    with converting_stack(engine, tmp_path_factory.mktemp("stopped")) as made:
        yield made


def ops(stack: ConvertingStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def killed(stack: ConvertingStack, at: str, answer: str, what: str, **how: Any) -> None:
    """Kill the operation there and give the answer to what is half done."""
    place, code = stack.run(stack.plan(what, **how), OPS_KILL_AT=at)
    assert code == -signal.SIGKILL, at
    wait_until(lambda: lock.holder_of(stack.directory) is None, 30, f"{at}: the lock is still held")
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name], at
    assert ops(stack, "operations", answer, place.name, "--yes") == 0, (at, answer)
    assert unfinished.unfinished(stack.directory) == (), (at, answer)
    assert chain.verify(stack.directory) == ()


# --- MongoDB ---------------------------------------------------------------------------------------


def is_whole(stack: ConvertingStack, what: str, before: str) -> None:
    """Server, compose file and key file say the same, and all data is there. A standalone server that still remembers
    its set would never remove what expires."""
    with stack.mongo() as client:
        hello = client.admin.command("hello")
        assert client.shop.orders.count_documents({}) == 500 and "name_1" in client.shop.users.index_information()
        assert client.admin.command("usersInfo", "root")["users"][0]["roles"] == [{"role": "root", "db": "admin"}]
        warnings = client.admin.command("getLog", "startupWarnings")["log"]
    if what == "set":
        assert hello["isWritablePrimary"] and hello["hosts"] == ["mongodb:27017"]
    else:
        assert "setName" not in hello and not any("system.replset" in one for one in warnings)
    assert (stack.directory / "mongo-keyfile").exists() == (what == "set")
    assert (stack.file.read_text() == before) == (what == "standalone")
    assert not list(stack.directory.glob(".*.opsconsole-new"))


def test_a_replica_set_of_one_node_and_back(
    stack: ConvertingStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, others = stack.file.read_text(), stack.started()
    assert ops(stack, "backup", "replica-set", "--plan") == 0
    said = capsys.readouterr().out
    assert "+    command: mongod --wiredTigerCacheSizeGB 0.25 --replSet rs0 --keyFile /etc/mongo-keyfile" in said
    assert "MONGODB_URI of service web: works as it is" in said and "adds directConnection=true" in said
    assert PASSWORD not in said
    # Where SELinux is on, the key is labelled for the container; the engine minds nothing of it elsewhere.
    with monkeypatch.context() as patched:
        (tmp_path / "enforce").write_text("1")
        patched.setattr(set_plans, "_ENFORCES", tmp_path / "enforce")
        assert "./mongo-keyfile:/etc/mongo-keyfile:ro,z" in "\n".join(stack.plan("replica-set").keys)
    # It is initiated, and something is wrong: all of it goes back by itself.
    seen = tmp_path / "points"
    _, code = stack.run(stack.plan("replica-set"), OPS_RAISE_AT="V02:EIO", OPS_STEPS_TO=str(seen))
    assert code == 3
    assert {one for one in DECLARED if one[0] == "V"} | {"T04", "T05", "T06"} <= set(seen.read_text().split())
    is_whole(stack, "standalone", before)
    # The compose file is new, the container is not; it is gone on with.
    killed(stack, "T05.1", "finish", "replica-set")
    is_whole(stack, "set", before)
    assert "all 2 collections are there, 500 documents (500 before)" in capsys.readouterr().out
    found = (stack.directory / "mongo-keyfile").stat()
    assert stat.S_IMODE(found.st_mode) == 0o400 and (found.st_uid, found.st_gid) == (999, 999)
    kept = [one for one in stack.file.read_text().splitlines() if one in before.splitlines()]
    assert len(kept) == len(before.splitlines()) - 1, "but for the command every line is as it was"
    assert len(others.items() & stack.started().items()) == 2, "web and Redis went on"
    key = (stack.directory / "mongo-keyfile").read_text().strip()
    written = [path for path in (stack.directory / ".opsconsole").rglob("*") if path.is_file()]
    assert not [path for path in written if key in path.read_text("latin-1")]
    assert ops(stack, "backup", "replica-set", "--yes") == 0
    assert "member of the set rs0 already" in capsys.readouterr().out
    # It has forgotten its set, and was not started anew.
    killed(stack, "V03.1", "finish", "undo-replica-set")
    is_whole(stack, "standalone", before)
    assert ops(stack, "backup", "replica-set", "--undo", "--yes") == 2
    assert "no conversion by opsconsole" in capsys.readouterr().err


# --- Redis -----------------------------------------------------------------------------------------


def saved(stack: ConvertingStack) -> tuple[str, str, dict[str, Any]]:
    """Digests of what is live and of what is in a backup, and the order to restore that."""
    stack.fill("old")
    old = stack.digest()
    assert ops(stack, "backup", "create", "--part", "redis", "--yes") == 0
    records = journal.read(places.existing_operations(stack.directory)[-1])
    backup = next(one.backup for one in records if one.backup)
    stack.fill("new")
    return stack.digest(), old, {"restore": RestoreOrder(backup=backup, parts=("redis",))}


def is_settled(stack: ConvertingStack, digest: str) -> None:
    """What is live, and nothing lies beside it."""
    assert stack.digest() == digest
    names = stack.compose("exec", "-T", "redis", "ls", "-a", "/data").split()
    assert not [name for name in names if "opsconsole" in name], names


def test_a_redis_without_a_free_database(stack: ConvertingStack, capsys: pytest.CaptureFixture[str]) -> None:
    new, old, order = saved(stack)
    words = ("restore", order["restore"].backup, "--part", "redis")
    assert ops(stack, *words, "--plan") == 0
    said = capsys.readouterr().out
    assert "Redis is stopped for about 3 s" in said and "by its data directory: all of its databases are in use" in said
    mongo = stack.started()
    # Its files have changed places, and it was not started yet.
    killed(stack, "R07.1", "finish", "restore", **order)
    is_settled(stack, old)
    assert "614 keys, the values of 614 compared; Redis was away for" in capsys.readouterr().out
    with stack.keys() as client:
        assert client.config_get("appendonly")["appendonly"] == "yes" and client.ttl("lives") > 80_000
    assert len(mongo.items() & stack.started().items()) == 1, "MongoDB went on"
    assert ops(stack, "restore", "--undo", "--yes") == 0
    is_settled(stack, new)
    # It is stopped, and its files have not changed places.
    killed(stack, "R06.1", "undo", "restore", **order)
    is_settled(stack, new)


def test_without_an_append_only_file(stack: ConvertingStack, tmp_path: Path) -> None:
    stack.file.write_text(stack.file.read_text().replace("appendonly yes", "appendonly no"))
    stack.up()
    new, _, order = saved(stack)
    seen = tmp_path / "points"
    for fault in ("R01:ENOSPC", "R06:ENOSPC", "R07:SIGTERM", "R07:EIO"):
        seen.unlink(missing_ok=True)
        place, code = stack.run(stack.plan("restore", **order), OPS_RAISE_AT=fault, OPS_STEPS_TO=str(seen))
        end = journal.read(place)[-1]
        assert code == 3 and end.result is Result.ROLLED_BACK, (fault, end)
        is_settled(stack, new)
    assert {one for one in DECLARED if one[0] == "R"} - {"R02"} <= set(seen.read_text().split())
    # It is on its way back, and Redis runs on the files of before.
    place, code = stack.run(stack.plan("restore", **order), OPS_RAISE_AT="R07:EIO", OPS_KILL_AT="R03.1")
    assert code == -signal.SIGKILL
    assert ops(stack, "operations", "finish", place.name, "--yes") == 0
    is_settled(stack, new)
    # What came back is what is there after the next start, too.
    stack.compose("restart", "--timeout", "5", "redis")
    wait_until(lambda: stack.digest() == new, 30, "Redis came back with other keys")
