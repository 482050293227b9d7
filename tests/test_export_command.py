"""Collections as JSON by the commands: out of a backup and the live database, and back with a safety backup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from opsconsole.cli import main
from opsconsole.config import Config
from opsconsole.model import DatabaseTarget, SourceError, Stack
from opsconsole.operations import exporting
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.exporting import Wanted, export, server
from opsconsole.sources.connection import Connection
from tests.backup_stack import DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.parts.servers import Server, start_mongod
from tests.test_restore_servers import BACKUP


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    with backup_stack(tmp_path_factory.mktemp("export")) as made:
        yield made


def run(stack: BackupStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def test_out_of_a_backup_and_of_what_is_live_and_back(
    stack: BackupStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = f"{DATABASE}.users"
    before = stack.digest()[f"mongo:{users}"]
    assert run(stack, "backup", "create", "--yes") == 0
    file = tmp_path / "users.json.gz"
    assert run(stack, "backup", "export", "latest", "--collection", users, "--canonical", "--out", str(file)) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(stack, "backup", "export", "latest", "--collection", users, "--out", str(file)) == 2
    assert "is there already" in capsys.readouterr().err
    assert run(stack, "backup", "import", str(file), "--collection", users, "--yes") == 1
    assert "has documents already" in capsys.readouterr().out
    with stack.mongo() as client:
        client[DATABASE].users.delete_many({"classId": 1})
        client[DATABASE].users.update_one({"classId": 2}, {"$set": {"points": -1}})
    assert run(stack, "backup", "import", str(file), "--collection", users, "--mode", "upsert", "--yes") == 0
    assert stack.digest()[f"mongo:{users}"] == before
    assert any(one.backup_class.value == "safety" for one in stack.listed())
    whole = tmp_path / "live"
    whole.mkdir()
    assert run(stack, "backup", "export", "live", "--collection", users, "--json-array", "--out", str(whole)) == 0
    assert len(json.loads((whole / f"{users}.json").read_text())) == 14
    assert run(stack, "backup", "export", "live", "--collection", f"{DATABASE}.nothing", "--out", str(whole)) == 2
    assert "there is no collection" in capsys.readouterr().err


def test_a_broken_line_changes_nothing(stack: BackupStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{"_id": 1}\n{"_id": 2,}\n')
    before = stack.digest()
    assert run(stack, "backup", "import", str(file), "--collection", f"{DATABASE}.fresh", "--yes") == 1
    assert "broken.json line 2" in capsys.readouterr().out and stack.digest() == before


def test_the_plan_of_an_import_says_what_of_and_where_to(
    stack: BackupStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "users.json"
    file.write_text('{"_id": 1}\n')
    words = ("backup", "import", str(file), "--plan", "--collection")
    assert run(stack, *words, f"{DATABASE}.fresh") == 0
    said = capsys.readouterr().out
    assert f"import of users.json into {DATABASE}.fresh" in said
    assert f"has 11 bytes; {DATABASE}.fresh is not there yet" in said
    assert run(stack, *words, f"{DATABASE}.users") == 0
    assert f"{DATABASE}.users has 14 documents now" in capsys.readouterr().out
    file.unlink()
    assert run(stack, *words, f"{DATABASE}.users") == 2
    assert "is no file" in capsys.readouterr().err


# --- several servers -------------------------------------------------------------------------------


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Server]:
    """With a database of its own, and one that the first has, too."""
    server = start_mongod(tmp_path / "second")
    with pymongo.MongoClient[Any](server.uri) as client:
        client.audit.lines.insert_many([{"_id": number} for number in range(3)])
        client[DATABASE].users.insert_one({"_id": "of the second"})
    try:
        yield server
    finally:
        server.stop(kill=True)


def test_the_server_is_the_one_that_has_the_database_or_is_named(
    stack: BackupStack, second: Server, tmp_path: Path
) -> None:
    to = {"first": stack.mongod, "second": second}
    both = Scope(
        look=None,  # type: ignore[arg-type]  # nothing of it is asked
        stack=Stack(name="shop", directory=str(tmp_path)),
        connections=tuple(
            Connection(target=DatabaseTarget(kind="mongodb", name=name), uri=one.uri) for name, one in to.items()
        ),
    )
    assert server(both, databases=("audit",)).target.name == "second"
    assert server(both, "first", ("audit",)).target.name == "first"
    for name, databases, said in (
        ("", (DATABASE,), "has 2 MongoDB servers, and 2 of them have all"),
        ("", ("new",), "and none of them has all"),
        ("third", (), "has no MongoDB server third"),
    ):
        with pytest.raises(SourceError, match=said) as caught:
            server(both, name, databases)
        assert "first, second" in caught.value.hint
    place = tmp_path / "out"
    place.mkdir()
    export(both, Config(), Wanted(backup="", paths=("audit.lines",)), place)
    assert (place / "audit.lines.json").read_text().count("\n") == 3
    export(both, Config(), Wanted(backup="", paths=(f"{DATABASE}.users",), server="second"), place)
    assert json.loads((place / f"{DATABASE}.users.json").read_text()) == {"_id": "of the second"}


@pytest.mark.parametrize(
    ("wanted", "server_", "found"),
    [
        ("orders.c", "", "/b/shop"),
        ("log.c", "", "/b/audit"),
        ("users.c", "audit", "/b/audit"),
        ("users.c", "", "2 of them have all"),
        ("nowhere.c", "", "none of them has all"),
        ("users.c", "stock", "has no MongoDB server stock"),
    ],
)
def test_the_part_of_a_backup_is_the_one_that_has_the_collection(wanted: str, server_: str, found: str) -> None:
    order = Wanted(backup=BACKUP.id, paths=(wanted,), server=server_)
    if found.startswith("/"):
        assert exporting._part(BACKUP, order) == found
    else:
        with pytest.raises(SourceError, match=found):
            exporting._part(BACKUP, order)
