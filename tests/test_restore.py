"""A restore puts back what a backup holds, all of it or nothing, and one command brings back what was there before."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import redis

from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.cli import main
from opsconsole.model import SourceError
from opsconsole.operations import journal, places, restore_state, unfinished
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.restore_files import file_targets
from tests.backup_stack import DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.parts.servers import start_redis

pytestmark = pytest.mark.usefixtures("forked_operations")


@pytest.fixture(scope="module")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    with backup_stack(tmp_path_factory.mktemp("restore")) as made:
        yield made


@pytest.fixture
def stack(shared: BackupStack) -> BackupStack:
    """With the data of the first day and one backup of it."""
    shared.reset()
    assert run(shared, "backup", "create", "--yes") == 0
    return shared


def run(stack: BackupStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def test_everything_comes_back_and_the_undo_brings_back_what_was_there(stack: BackupStack) -> None:
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    assert changed != first
    assert run(stack, "restore", "latest", "--yes") == 0
    assert stack.digest() == first and stack.leftovers() == []
    safety = next(one for one in stack.listed() if one.backup_class.value == "safety")
    assert safety.id in " ".join(
        entry.backup for entry in journal.read(places.existing_operations(stack.directory)[-1])
    )
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert stack.digest() == changed and stack.leftovers() == []
    assert unfinished.unfinished(stack.directory) == () and restore_state.uncleared(stack.directory) == ()


def test_the_plan_says_what_goes(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    (backup,) = stack.listed()
    # What is made in the second of the backup counts as part of it.
    wait_until(lambda: datetime.now(UTC) >= backup.taken_at + timedelta(seconds=1), 5, "the clock stands still")
    stack.change()
    capsys.readouterr()
    assert run(stack, "restore", "latest", "--plan") == 0
    said = capsys.readouterr().out
    assert "4 collections of shop with 294 documents come in place of 4 collections with 294" in said
    assert f"only live, and only in the safety backup afterwards: {DATABASE}.invoices" in said
    assert "about 1 document newer than the backup would go" in said
    assert str(stack.directory / "uploads") in said and "28 keys of the backup" in said
    assert "also in the backup and left alone: config" in said


def test_users_that_the_backup_does_not_have_are_refused_before_anything(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.change()
    changed = stack.digest()
    assert run(stack, "restore", "latest", "--users", "--yes") == 2
    assert "holds no users and roles -> Leave them out" in capsys.readouterr().err
    assert stack.digest() == changed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--redis-db", "9"), "no keys of the Redis database 9 -> It has: 0, 1."),
        (("--db", DATABASE, "--to", "admin"), "into admin -> admin belongs to the server"),
        (("--db", DATABASE, "--to", "two words"), "into two words -> No database can be called so"),
    ],
)
def test_a_choice_that_cannot_be_had_is_refused_before_anything(
    stack: BackupStack, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(stack, "restore", "latest", *words, "--yes") == 2
    assert said in capsys.readouterr().err
    (only,) = stack.listed()
    assert only.backup_class.value == "manual", "no safety backup was taken for it"


def test_without_a_backup_goes_only_what_would_take_one(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("last-backup", "restart-all", "previous-image", "emergency-stop"):
        assert run(stack, "rollback", target, "--no-backup", "--yes") == 2
        assert f"--no-backup does not belong to {target}" in capsys.readouterr().err


def test_a_collection_alone(stack: BackupStack) -> None:
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    assert run(stack, "restore", "latest", "--collection", f"{DATABASE}.users", "--yes") == 0
    assert stack.digest() == {**changed, f"mongo:{DATABASE}.users": first[f"mongo:{DATABASE}.users"]}
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert stack.digest() == changed


def test_into_another_database(stack: BackupStack) -> None:
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    assert run(stack, "restore", "latest", "--db", DATABASE, "--to", "copy", "--yes") == 0
    copies = {name.replace(f":{DATABASE}.", ":copy."): value for name, value in first.items() if name[:5] == "mongo"}
    assert stack.digest() == {**changed, **copies}
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert stack.digest() == changed


def test_a_collection_into_another_database_leaves_the_live_one(stack: BackupStack) -> None:
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    chosen = ["--collection", f"{DATABASE}.users", "--to", f"{DATABASE}=copy"]
    assert run(stack, "restore", "latest", *chosen, "--yes") == 0
    assert stack.digest() == {**changed, "mongo:copy.users": first[f"mongo:{DATABASE}.users"]}
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert stack.digest() == changed


def test_some_keys_of_redis(stack: BackupStack) -> None:
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    assert run(stack, "restore", "latest", "--redis-key", "gree*", "--redis-key", "queue", "--yes") == 0
    given = {name: value for name, value in first.items() if name in ("redis:0:b'greeting'", "redis:0:b'queue'")}
    assert len(given) == 2 and stack.digest() == {**changed, **given}
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert stack.digest() == changed


def test_each_of_two_redis_gets_its_own_back(stack: BackupStack, tmp_path: Path) -> None:
    """Beside the stack the second is called by its port; no file of it is, as tar would ask that host for it."""
    settings, env = (stack.directory / name for name in ("opsconsole.toml", ".env"))
    before = {path: path.read_text() for path in (settings, env)}
    second = start_redis(tmp_path)
    with contextlib.closing(redis.Redis.from_url(second.uri)) as sessions:
        settings.write_text(before[settings].replace('[redis]\nurl_env = "REDIS_URL"\n', ""))
        env.write_text(f"{before[env]}SESSIONS_URL={second.uri}\n")
        try:
            sessions.set("session:1", "Ana")
            assert run(stack, "backup", "create", "--yes") == 0
            newest = max(stack.good())
            assert not [path.name for path in (stack.backups / newest).iterdir() if ":" in path.name]
            first = stack.digest()
            stack.change()
            sessions.set("session:1", "changed")
            assert run(stack, "restore", newest, "--yes") == 0
            assert stack.digest() == first and sessions.get("session:1") == b"Ana"
            assert run(stack, "restore", "--undo", "--yes") == 0
            assert sessions.get("session:1") == b"changed"
        finally:
            second.stop(kill=True)
            for path, text in before.items():
                path.write_text(text)


def test_a_redis_without_room_that_is_in_no_container_is_refused_with_what_to_do(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(16):
        with stack.keys(number) as client:
            client.set("in use", "1")
    before = stack.digest()
    assert run(stack, "restore", "latest", "--part", "redis", "--yes") == 2
    said = capsys.readouterr().err
    assert "all databases of the Redis host are in use" in said and "not run in one container of this stack" in said
    assert "--databases 64" in said and stack.digest() == before


def test_only_files(stack: BackupStack) -> None:
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    assert run(stack, "restore", "latest", "--part", "files", "--yes") == 0
    now = stack.digest()
    assert {name: value for name, value in now.items() if name[:5] == "files"} == {
        name: value for name, value in first.items() if name[:5] == "files"
    }
    assert {name: value for name, value in now.items() if name[:5] != "files"} == {
        name: value for name, value in changed.items() if name[:5] != "files"
    }


def test_files_that_have_no_place_any_more_can_be_left_out(stack: BackupStack) -> None:
    found = stack.site.scope()
    bare = msgspec.structs.replace(found.stack, data_directories=())
    nowhere = msgspec.structs.replace(found, places=(), stack=bare)
    files, mongo = (OpenPart(kind=kind, name=f"{kind}-part", path="/b") for kind in ("files", "mongo"))
    for parts, said in (((files, mongo), r"without files \(--part mongo\)"), ((files,), "or unpack it by hand")):
        with pytest.raises(SourceError, match="no directory of this stack is the place of files-part") as refused:
            file_targets(Opened(id="x", taken_at=datetime.now(UTC), parts=parts), nowhere, RestoreOrder(backup="x"))
        assert re.search(said, refused.value.hint)


def test_the_env_file_comes_back_when_it_is_asked_for(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    path = stack.directory / ".env"
    before = path.read_bytes()
    path.write_bytes(before + b"MORE=1\n")
    assert run(stack, "restore", "latest", "--part", "config", "--yes") == 0
    assert path.read_bytes() == before
    # An undo is of the last restore, and never of one before it.
    assert run(stack, "restore", "--undo", "--yes") == 2
    assert "put only configuration in place" in capsys.readouterr().err


def test_nothing_is_touched_when_a_byte_is_wrong(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    (backup,) = stack.good()
    archive = stack.backups / backup / "mongodb.archive.gz"
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    stack.change()
    changed = stack.digest()
    good = archive.read_bytes()
    archive.write_bytes(data)
    assert run(stack, "restore", backup, "--yes") == 1
    assert "mongodb.archive.gz" in capsys.readouterr().err and stack.digest() == changed
    archive.write_bytes(good)
    plan = stack.plan("restore", restore=_order(backup))
    archive.write_bytes(data)  # after the plan was made
    _, code = stack.run(plan)
    end = stack.end()
    assert code == 1 and end.result is Result.FAILED and "mongodb.archive.gz" in end.problem
    assert stack.digest() == changed and stack.leftovers() == []


def test_a_backup_that_was_exchanged_for_another_is_refused(stack: BackupStack) -> None:
    (backup,) = stack.good()
    plan = stack.plan("restore", restore=_order(backup))
    stack.change()
    changed = stack.digest()
    assert run(stack, "backup", "create", "--yes") == 0
    other = next(name for name in stack.good() if name != backup)
    place = stack.backups / backup
    shutil.rmtree(place)
    shutil.copytree(stack.backups / other, place)
    text = (place / "manifest.json").read_bytes().replace(other.encode(), backup.encode())
    (place / "manifest.json").write_bytes(text)
    _, code = stack.run(plan)
    assert code == 1 and stack.digest() == changed


def test_a_load_that_fails_is_undone(stack: BackupStack) -> None:
    """Redis takes no more memory than it has: that is known after MongoDB was loaded beside."""
    stack.change()
    changed = stack.digest()
    plan = stack.plan("restore", restore=_order("latest"))
    with stack.keys() as client:
        client.config_set("maxmemory", "1mb")
    try:
        _, code = stack.run(plan)
    finally:
        with stack.keys() as client:
            client.config_set("maxmemory", "0")
    end = stack.end()
    assert code == 3 and end.result is Result.ROLLED_BACK and "MiB" in end.problem
    assert stack.digest() == changed and stack.leftovers() == []


def _order(backup: str):  # type: ignore[no-untyped-def]
    from opsconsole.operations.orders import RestoreOrder

    return RestoreOrder(backup=backup)
