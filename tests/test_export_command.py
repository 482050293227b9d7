"""Collections as JSON by the commands: out of a backup and the live database, and back with a safety backup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from tests.backup_stack import DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine


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
