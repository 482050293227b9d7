"""The older layouts, unpacked aside and read to their end."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsconsole.backups import older_layouts
from opsconsole.backups.catalog import Catalog
from opsconsole.backups.faults import BadBackup, Level
from opsconsole.backups.older_layouts import OlderPart
from opsconsole.backups.verified_backups import Asked, verify_and_mark
from opsconsole.model import Backup, SourceError, Stack
from tests import backup_samples as samples

NIGHT = "20260118_020000"
LARGE = 1 << 30


def found(place: Path) -> Backup:
    stack = Stack(name="any", directory=str(place.parent), backup_directory=str(place))
    (backup,) = Catalog(clock=lambda: datetime(2026, 1, 18, 12, tzinfo=UTC), zone=UTC).look(stack)
    return backup


def opened(place: Path, scratch: Path) -> dict[str, OlderPart]:
    scratch.mkdir(exist_ok=True)
    return {part.kind: part for part in older_layouts.opened(found(place), scratch, LARGE)}


def test_backup_sh(tmp_path: Path) -> None:
    samples.by_backup_sh(tmp_path / "b", NIGHT)
    parts = opened(tmp_path / "b", tmp_path / "s")
    assert sorted(parts) == ["config", "files", "mongo"]
    assert Path(parts["mongo"].path).name == "thynk"
    assert (Path(parts["files"].path) / "backend" / "uploads" / "a.png").read_bytes() == b"PNG"
    assert Path(parts["config"].path).read_bytes().startswith(b"MONGODB_URI=")
    assert older_layouts.check(list(parts.values()), ["users"])[0] == ()
    assert str(older_layouts.check(list(parts.values()), ["orders"])[0][0]) == (
        f"mongodb-{NIGHT}.tar.gz has no documents of orders, which is required"
    )


def test_mps(tmp_path: Path) -> None:
    samples.by_mps(tmp_path / "b", NIGHT)
    parts = opened(tmp_path / "b", tmp_path / "s")
    assert sorted(parts) == ["mongo", "redis"]
    assert Path(parts["mongo"].path).name == "mongo.archive"
    assert older_layouts.check(list(parts.values()))[0] == ()
    broken = bytearray(samples.mongo_archive("mps"))
    broken[-40] ^= 1
    samples.by_mps(tmp_path / "c", NIGHT, archive=bytes(broken))
    parts = opened(tmp_path / "c", tmp_path / "t")
    assert older_layouts.check(list(parts.values()))[0][0].path == "mongo.archive"


@pytest.mark.parametrize("packed", [True, False])
def test_smokava(tmp_path: Path, packed: bool) -> None:
    samples.by_smokava(tmp_path / "b", NIGHT, packed=packed)
    parts = opened(tmp_path / "b", tmp_path / "s")
    assert list(parts) == ["mongo"] and list((tmp_path / "s").iterdir()) == []
    assert older_layouts.check(list(parts.values()), ["smokava.users"])[0] == ()


@pytest.mark.parametrize("packed", [True, False])
def test_of_a_directory_with_many_files_the_one_that_is_cut_is_named(tmp_path: Path, packed: bool) -> None:
    place = samples.by_smokava(tmp_path / "b", NIGHT, packed=packed)
    (cut,) = [path for path in place.rglob("*.bson*") if path.name.startswith("users.")]
    backup = found(tmp_path / "b")
    cut.write_bytes(cut.read_bytes()[:-3])
    (tmp_path / "s").mkdir()
    (fault,), _ = older_layouts.check(older_layouts.opened(backup, tmp_path / "s", LARGE))
    assert str(fault).endswith(f", in {cut.name}") and "cut short" in str(fault)


def test_single_files(tmp_path: Path) -> None:
    place = tmp_path / "b"
    place.mkdir()
    (place / f"backup_{NIGHT}.archive.gz").write_bytes(gzip.compress(samples.mongo_archive("smokava")))
    parts = opened(place, tmp_path / "s")
    assert older_layouts.check(list(parts.values()), ["smokava.users"])[0] == ()
    (place / f"backup_{NIGHT}.archive.gz").rename(tmp_path / "aside")
    (place / f"redis_{NIGHT}.rdb.gz").write_bytes(gzip.compress(samples.redis_dump()))
    parts = opened(place, tmp_path / "s")
    assert Path(parts["redis"].path).parent == tmp_path / "s"
    assert older_layouts.check(list(parts.values()))[0] == ()


def test_hostile_and_broken_ones_are_named(tmp_path: Path) -> None:
    place = samples.by_backup_sh(tmp_path / "b", NIGHT)
    backup = found(tmp_path / "b")
    scratch = tmp_path / "s"
    (place / f"uploads-{NIGHT}.tar.gz").write_bytes(samples.tar({"../../evil": b"x"}))
    scratch.mkdir()
    with pytest.raises(BadBackup, match=rf"uploads-{NIGHT}\.tar\.gz holds .* leads out"):
        older_layouts.opened(backup, scratch, LARGE)
    (place / f"uploads-{NIGHT}.tar.gz").write_bytes(samples.tar({"a.bin": os.urandom(5000)})[:2000])
    with pytest.raises(BadBackup, match=rf"uploads-{NIGHT}\.tar\.gz is cut short"):
        older_layouts.opened(backup, scratch, LARGE)
    (place / f"uploads-{NIGHT}.tar.gz").write_bytes(samples.tar({"a.bin": bytes(5 << 20)}))
    with pytest.raises(BadBackup, match=rf"uploads-{NIGHT}\.tar\.gz unpacks to more than it may"):
        older_layouts.opened(backup, scratch, 1 << 20)
    assert not list(tmp_path.rglob("evil"))
    (place / f"uploads-{NIGHT}.tar.gz").unlink()
    with pytest.raises(SourceError, match=rf"uploads-{NIGHT}\.tar\.gz is not there"):
        older_layouts.opened(backup, samples.write(tmp_path / "s2", {"x": b""}), LARGE)


def test_the_documents_of_each_collection_are_told_to_whoever_verifies(tmp_path: Path) -> None:
    samples.by_mps(tmp_path / "b", NIGHT)
    backup = found(tmp_path / "b")
    seen = verify_and_mark(backup, Asked(level=Level.PARSED))
    assert seen.ok and sum(seen.counts.values()) == 20 and all("." in path for path in seen.counts)
    assert verify_and_mark(backup, Asked(level=Level.MANIFEST)).counts == {}
