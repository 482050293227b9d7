"""Encrypted backups made, verified and restored as operations: with the right key as any other, with a wrong one not
begun."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.backups import manifest
from opsconsole.cli import main
from tests.backup_stack import CANARY, BackupStack, backup_stack
from tests.parts.engine import Engine


def public_of(file: Path) -> str:
    """Of a pair that is made there."""
    subprocess.run(["age-keygen", "-o", str(file)], check=True, capture_output=True)
    made = subprocess.run(["age-keygen", "-y", str(file)], check=True, capture_output=True, text=True)
    return made.stdout.strip()


@pytest.fixture(scope="module")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    place = tmp_path_factory.mktemp("encrypted")
    public = public_of(place / "key.txt")
    settings = f'[backups]\nencrypt_to = ["{public}"]\nidentity_file = "../key.txt"\n'
    with backup_stack(place, settings=settings) as made:
        yield made


@pytest.fixture
def stack(shared: BackupStack) -> BackupStack:
    """With the data of the first day and one encrypted backup of it."""
    shared.reset()
    assert run(shared, "backup", "create", "--yes") == 0
    return shared


def run(stack: BackupStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def test_it_is_verified_restored_and_undone_as_any_other(stack: BackupStack) -> None:
    (backup,) = stack.good()
    held = manifest.read(stack.backups / backup)
    assert held.encrypted_to and all(file.path.endswith(".age") for part in held.parts for file in part.files)
    assert run(stack, "backup", "verify", "latest", "--level", "2") == 0
    first = stack.digest()
    stack.change()
    changed = stack.digest()
    assert run(stack, "restore", "latest", "--yes") == 0
    assert stack.digest() == first and stack.leftovers() == []
    assert run(stack, "restore", "--undo", "--yes") == 0
    assert stack.digest() == changed
    assert run(stack, "restore", backup, "--redis-key", "gree*", "--yes") == 0
    key = "redis:0:b'greeting'"
    assert stack.digest() == {**changed, key: first[key]}


def test_the_env_file_comes_back(stack: BackupStack) -> None:
    path = stack.directory / ".env"
    before = path.read_bytes()
    path.write_bytes(before + b"MORE=1\n")
    try:
        assert run(stack, "restore", "latest", "--part", "config", "--yes") == 0
        assert path.read_bytes() == before
    finally:
        path.write_bytes(before)


def test_nothing_is_begun_with_a_wrong_key(
    stack: BackupStack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = stack.directory.parent / "key.txt"
    right = key.read_bytes()
    stack.change()
    changed = stack.digest()
    key.unlink()
    public_of(key)
    try:
        capsys.readouterr()
        assert run(stack, "restore", "latest", "--yes") == 1
        assert "does not open the backup" in capsys.readouterr().err
        assert run(stack, "backup", "verify", "latest", "--level", "2") != 0
        said = "".join(capsys.readouterr())
        assert "does not open the backup" in said and "it was encrypted to age1" in said
        assert run(stack, "backup", "verify", "latest", "--level", "1") == 0
        # The key was at fault, and not the backup.
        assert len(stack.good()) == 1 and stack.digest() == changed
    finally:
        key.write_bytes(right)


def test_no_backup_is_begun_for_a_key_that_is_none(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    settings = stack.directory / "opsconsole.toml"
    before = settings.read_text()
    secret = (stack.directory.parent / "key.txt").read_text().splitlines()[-1]
    settings.write_text(before.replace("encrypt_to = [", f'encrypt_to = ["{secret}", '))
    try:
        capsys.readouterr()
        assert run(stack, "backup", "create", "--yes") == 2
        said = "".join(capsys.readouterr())
        assert "entry 1 of encrypt_to in [backups] is a private key" in said and secret not in said
        assert len(stack.good()) == 1
    finally:
        settings.write_text(before)


def test_no_secret_is_written_anywhere(stack: BackupStack) -> None:
    """Not into the backup, not into the journals and what operations keep."""
    assert run(stack, "backup", "verify", "latest", "--level", "2") == 0
    assert run(stack, "restore", "latest", "--yes") == 0
    secret = (stack.directory.parent / "key.txt").read_bytes().splitlines()[-1]
    for place in (stack.backups, stack.directory / ".opsconsole"):
        for path in place.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert secret not in data and CANARY.encode() not in data, path
