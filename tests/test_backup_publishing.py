"""A backup is published whole or not at all: killed and failed at every point, and every kind of damage is named."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsconsole.backups import publishing
from opsconsole.backups.catalog import Catalog
from opsconsole.backups.faults import Level
from opsconsole.backups.manifest import HeldFile, HeldKeys, Manifest, Part, PartKind, sha256
from opsconsole.backups.publishing import DECLARED, BackupFailed, Order, Surroundings, make, remove, sweep
from opsconsole.backups.verifying import verify
from opsconsole.model import BackupClass, BackupState, SourceError, Stack
from opsconsole.steps import Steps
from tests import backup_samples as samples
from tests.children import in_a_child

START = datetime(2026, 1, 18, 2, 0, tzinfo=UTC)
SAFETY = Order(backup_class=BackupClass.SAFETY, why="before restore of 20260117_020000", stack="shop")


class Written:
    """A part with these files."""

    def __init__(self, kind: PartKind, name: str, files: dict[str, bytes], meanwhile: Callable[[], object] = list):
        self.kind: PartKind = kind
        self.name = name
        self._files = files
        self._meanwhile = meanwhile

    def save(self, place: Path) -> Part:
        held = []
        for path, data in self._files.items():
            (place / path).parent.mkdir(exist_ok=True)
            (place / path).write_bytes(data[: len(data) // 2])
            self._meanwhile()
            with (place / path).open("ab") as file:
                file.write(data[len(data) // 2 :])
            held.append(HeldFile(path=path, size=len(data), sha256=sha256(data)))
        keys = (HeldKeys(database=0, keys=3),) if self.kind == "redis" else ()
        return Part(kind=self.kind, name=self.name, files=tuple(held), keys=keys)


def savers() -> list[Written]:
    return [
        Written("redis", "redis", {"redis.rdb": samples.redis_dump()}),
        Written("config", "config", {"config/env": b"A=1\n", "config/empty": b""}),
        Written("files", "uploads", {"uploads.tar": samples.tar({"a.png": b"PNG"})}),
        Written("mongo", "mongodb", {"mongodb.archive": samples.mongo_archive("shop")}),
    ]


class Place:
    """A backup directory with a clock of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._now = START - timedelta(minutes=1)

    def around(self) -> Surroundings:
        self._now += timedelta(minutes=1)
        return Surroundings(clock=lambda: self._now, wait=self._wait, zone=UTC)

    def _wait(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def make(self) -> Manifest:
        return make(self.directory, SAFETY, savers(), self.around())

    def good(self) -> set[str]:
        stack = Stack(name="shop", directory="/srv/shop", backup_directory=str(self.directory))
        found = Catalog(clock=lambda: START, zone=UTC).look(stack)
        return {backup.id for backup in found if backup.state is BackupState.GOOD}

    def names(self) -> set[str]:
        return set(os.listdir(self.directory))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """With one good backup in it, and no point passed yet."""
    made = Place(tmp_path / "backups")
    made.make()
    monkeypatch.setattr(publishing, "step", Steps(DECLARED))
    return made


def test_what_is_made(place: Place, tmp_path: Path) -> None:
    made = place.make()
    path = place.directory / made.id
    assert (made.id, made.why, made.backup_class) == ("20260118_020100", SAFETY.why, "safety")
    assert [part.kind for part in made.parts] == ["mongo", "redis", "files", "config"]
    assert place.good() == {"20260118_020000", made.id} == place.names()
    assert {oct(item.stat().st_mode & 0o777) for item in path.rglob("*") if item.is_file()} == {"0o600"}
    assert {oct(item.stat().st_mode & 0o777) for item in (path, path / "config", place.directory)} == {"0o700"}
    assert verify(path, Level.HASHES).ok
    assert subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=path, capture_output=True).returncode == 0


# --- killed and failed -----------------------------------------------------------------------------


def test_every_declared_point_is_in_the_code_and_is_passed(place: Place, tmp_path: Path) -> None:
    source = ast.parse(Path(publishing.__file__).read_text())
    written = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant) and node.value in DECLARED}
    assert written == DECLARED.keys()
    seen = tmp_path / "points"
    assert in_a_child(place.make, OPS_STEPS_TO=str(seen)) == 0
    assert seen.read_text().split() == list(DECLARED)


def whole(place: Place, before: set[str]) -> None:
    """What must hold whenever, wherever it ended."""
    good = place.good()
    assert before <= good
    for name in good:
        assert verify(place.directory / name, Level.HASHES).ok, name


@pytest.mark.parametrize("point", DECLARED)
def test_killed(place: Place, point: str) -> None:
    before = place.good()
    assert in_a_child(place.make, OPS_KILL_AT=point) == -signal.SIGKILL
    whole(place, before)
    assert (len(place.good()) > len(before)) == (point >= "B11")
    place.make()
    place.make()
    whole(place, before)
    assert place.names() == place.good()  # nothing is left lying about


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EACCES"])
@pytest.mark.parametrize("point", DECLARED)
def test_failed(place: Place, point: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.good()
    monkeypatch.setenv("OPS_RAISE_AT", f"{point}:{fault}")
    with pytest.raises((BackupFailed, OSError)) as caught:
        place.make()
    whole(place, before)
    assert place.names() == place.good()
    if "B02" <= point < "B13":
        assert (isinstance(caught.value, BackupFailed) and os.strerror(28) in caught.value.problem) or fault != "ENOSPC"
        assert place.good() == before
    assert (len(place.good()) > len(before)) == (point >= "B13")
    monkeypatch.delenv("OPS_RAISE_AT")
    place.make()
    assert place.names() == place.good()


@pytest.mark.parametrize("point", DECLARED)
def test_interrupted(place: Place, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.good()

    def interrupted(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.make()
    whole(place, before)
    assert place.names() == place.good()


def test_killed_while_a_part_is_written(place: Place) -> None:
    before = place.good()
    dying = Written("redis", "redis", {"redis.rdb": b"x" * 100}, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert in_a_child(lambda: make(place.directory, SAFETY, [dying], place.around())) == -signal.SIGKILL
    assert place.good() == before
    assert {".partial-20260118_020100"} == place.names() - before
    place.make()
    assert place.names() == place.good()


@pytest.mark.parametrize("kind", ["mongo", "redis", "files", "config"])
def test_a_part_that_cannot_be_saved(place: Place, kind: PartKind) -> None:
    before = place.names()

    def refuse() -> None:
        raise SourceError("the password was refused", "see the env file")

    failing = [saver if saver.kind != kind else Written(kind, "x", {"x": b"x"}, refuse) for saver in savers()]
    with pytest.raises(BackupFailed, match=f"the {kind} part x could not be saved: the password was refused") as caught:
        make(place.directory, SAFETY, failing, place.around())
    assert caught.value.hint == "see the env file"
    assert place.names() == before


def test_empty_parts_are_failures(place: Place) -> None:
    for parts, said in (
        ([], "there is nothing to back up"),
        ([Written("mongo", "mongodb", {"mongodb.archive": b""})], "is empty"),
        ([Written("mongo", "mongodb", {})], "nothing was written"),
    ):
        with pytest.raises(BackupFailed, match=said):
            make(place.directory, SAFETY, parts, place.around())
    assert place.names() == place.good()


def test_a_file_that_is_not_what_was_written(place: Place) -> None:
    """A disk that lies, or somebody else in the directory."""
    for path, said in (("redis.rdb", "redis.rdb is not what was written"), ("more", "more is not what was written")):

        def touch(path: str = path) -> None:
            (partial,) = place.directory.glob(".partial-*")
            (partial / path).open("ab").write(b"x")

        late = Written("config", "config", {"config/env": b"A=1\n"}, touch)
        with pytest.raises(BackupFailed, match=said):
            make(place.directory, SAFETY, [*savers()[:1], late], place.around())
    assert place.names() == place.good()


def test_what_does_not_read_back_is_not_published(place: Place) -> None:
    class Lying(Written):
        def save(self, place: Path) -> Part:
            part = super().save(place)
            (place / "redis.rdb").write_bytes(bytes(len(samples.redis_dump())))
            return part

    with pytest.raises(BackupFailed, match=r"does not read back: redis\.rdb was changed"):
        make(place.directory, SAFETY, [Lying("redis", "redis", {"redis.rdb": samples.redis_dump()})], place.around())
    assert place.names() == place.good()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        place = Place(small / "backups")
        place.make()
        large = Written("mongo", "mongodb", {"mongodb.archive": bytes(1 << 20)})
        with pytest.raises(BackupFailed, match="No space left") as caught:
            make(place.directory, SAFETY, [large], place.around())
        assert "Free space" in caught.value.hint
        assert place.names() == place.good() == {"20260118_020000"}
        place.make()
        assert len(place.good()) == 2
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


# --- removing --------------------------------------------------------------------------------------


def test_killed_while_removing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    second = place.make().id

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def half(path: Path) -> None:
        (path / "redis.rdb").unlink()
        die()

    for where, what, dying in (
        (publishing, "sync_directory", die),
        (publishing, "_delete", die),
        (shutil, "rmtree", half),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(where, what, dying)
            assert in_a_child(lambda: remove(place.directory / "20260118_020000")) == -signal.SIGKILL
        assert place.good() == {second}
        assert ".removed-20260118_020000" in place.names()
        assert sweep(place.directory) == (".removed-20260118_020000",)
        shutil.copytree(place.directory / second, place.directory / "20260118_020000")
        assert verify(place.directory / "20260118_020000").faults[0].path == "manifest.json"
    archive = samples.by_mps(place.directory, "20260118_010000")
    remove(archive)
    assert not archive.exists()


def test_a_link_is_removed_and_not_followed(place: Place, tmp_path: Path) -> None:
    other = samples.write(tmp_path / "other", {"a": b"a"})
    (place.directory / ".partial-20260118_010000").symlink_to(other)
    (place.directory / ".partial-mine").mkdir()
    assert sweep(place.directory) == (".partial-20260118_010000",)
    assert (other / "a").exists() and (place.directory / ".partial-mine").exists()


# --- damage ----------------------------------------------------------------------------------------


def test_every_flipped_byte_is_named(place: Place) -> None:
    path = place.directory / "20260118_020000"
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        data = file.read_bytes()
        name = str(file.relative_to(path))
        for at in range(len(data)):
            file.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
            found = verify(path)
            assert [fault.path for fault in found.faults] == [name], (name, at)
        for wrong in (data[:-1], data + b"\n"):
            file.write_bytes(wrong)
            if wrong != data:
                assert verify(path, Level.MANIFEST).faults[0].path == name
        file.write_bytes(data)
    assert verify(path).ok


def test_missing_extra_swapped_and_odd_files_are_named(place: Place, tmp_path: Path) -> None:
    path = place.directory / "20260118_020000"

    def faults() -> list[str]:
        return [str(fault) for fault in verify(path).faults]

    (path / "redis.rdb").rename(tmp_path / "aside")
    assert faults() == ["redis.rdb is missing"]
    (path / "redis.rdb").symlink_to(tmp_path / "aside")
    assert faults() == ["redis.rdb is a symbolic link"]
    (path / "redis.rdb").unlink()
    (tmp_path / "aside").rename(path / "redis.rdb")
    (path / "config" / "more").write_bytes(b"")
    assert faults() == ["config/more is not in the manifest"]
    (path / "config" / "more").unlink()
    os.mkfifo(path / "pipe")
    assert faults() == ["pipe is no regular file"]
    (path / "pipe").unlink()
    (path / ".DS_Store").write_bytes(b"x")
    assert faults() == []
    one, two = path / "redis.rdb", path / "mongodb.archive"
    aside, other = one.read_bytes(), two.read_bytes()
    one.write_bytes(other)
    two.write_bytes(aside)
    assert {fault.split()[0] for fault in faults()} == {"redis.rdb", "mongodb.archive"}
    (path / "manifest.json").unlink()
    assert faults() == ["manifest.json is missing"]
