"""The backup catalogue: what it finds in the five layouts, and what it never believes."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsconsole.backups import catalog as catalog_module
from opsconsole.backups.catalog import Catalog, expected_parts
from opsconsole.backups.contents import read_file
from opsconsole.backups.moments import moment_of
from opsconsole.model import Backup, BackupState, DatabaseTarget, SourceError, Stack
from tests import backup_samples as samples
from tests.parts.servers import Server

NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)
NIGHT = "20260118_020000"
MONGO = DatabaseTarget(kind="mongodb", name="host", database="thynk")
MPS_MONGO = DatabaseTarget(kind="mongodb", name="mongodb", database="mps_db_unified")
SMOKAVA_MONGO = DatabaseTarget(kind="mongodb", name="mongodb", database="smokava")
REDIS = DatabaseTarget(kind="redis", name="redis")


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory


def thynk(backups: Path) -> Stack:
    uploads = samples.write(backups.parent / "backend" / "uploads", {"a.png": b"PNG"})
    return Stack(
        name="thynk",
        directory=str(backups.parent),
        env_file=".env.production.local",
        databases=(MONGO,),
        data_directories=(str(uploads),),
        backup_directory=str(backups),
    )


def mps(backups: Path) -> Stack:
    return Stack(
        name="mps",
        directory=str(backups.parent),
        env_file=".env",
        databases=(MPS_MONGO, REDIS),
        backup_directory=str(backups),
    )


def smokava(backups: Path) -> Stack:
    return Stack(
        name="smokava", directory=str(backups.parent), databases=(SMOKAVA_MONGO,), backup_directory=str(backups)
    )


def look(stack: Stack) -> tuple[Backup, ...]:
    return Catalog(clock=lambda: NOW, zone=UTC).look(stack)


def only(stack: Stack) -> Backup:
    (backup,) = look(stack)
    return backup


def part(backup: Backup, kind: str) -> tuple[str, bool, str]:
    (found,) = [part for part in backup.parts if part.kind == kind]
    return found.path, found.ok, found.note


# --- layouts ---------------------------------------------------------------------------------------


def test_each_server_of_a_stack_has_a_part_of_its_own(backups: Path) -> None:
    """What the second one holds is not the application's database."""
    dumps = {
        "mongodb.archive": samples.mongo_archive("mps_db_unified"),
        "mongodb-audit.archive": samples.mongo_archive("audit"),
    }
    samples.write(backups / NIGHT, {**dumps, "redis.rdb": samples.redis_dump()})
    two = msgspec.structs.replace(
        mps(backups), databases=(MPS_MONGO, REDIS, DatabaseTarget(kind="mongodb", name="audit"))
    )
    assert [one.ok for one in only(two).parts if one.kind == "mongo"] == [True, True]
    assert only(two).state is BackupState.GOOD
    (backups / NIGHT / "mongodb.archive").unlink()
    assert only(two).state is not BackupState.GOOD and "not mps_db_unified" in only(two).problem


def test_backup_sh_directory(backups: Path) -> None:
    samples.by_backup_sh(backups, NIGHT)
    backup = only(thynk(backups))
    assert (backup.id, backup.layout, backup.state) == (NIGHT, "backup.sh", BackupState.GOOD)
    assert backup.taken_at == datetime(2026, 1, 18, 2, 0, tzinfo=UTC)
    assert {part.kind for part in backup.parts} == {"mongo", "files", "config", "manifest"}
    assert part(backup, "mongo") == (f"mongodb-{NIGHT}.tar.gz", True, "4 collections of thynk")
    assert part(backup, "files")[2] == "2 files"
    assert backup.missing == () and backup.problem == ""
    assert backup.size_bytes == sum(item.stat().st_size for item in (backups / NIGHT).iterdir())


def test_backup_sh_without_mongodump_installed(backups: Path) -> None:
    """The script prints a yellow line and says "completed successfully"."""
    samples.by_backup_sh(backups, NIGHT, leave_out=("mongo",))
    backup = only(thynk(backups))
    assert (backup.state, backup.missing, backup.problem) == (BackupState.INCOMPLETE, ("mongo",), "lacks mongo")


@pytest.mark.parametrize("left_out", ["files", "config"])
def test_backup_sh_without_a_part(backups: Path, left_out: str) -> None:
    samples.by_backup_sh(backups, NIGHT, leave_out=(left_out,))
    backup = only(thynk(backups))
    assert (backup.state, backup.missing) == (BackupState.INCOMPLETE, (left_out,))


def test_uploads_are_not_asked_for_while_there_are_none(backups: Path) -> None:
    samples.by_backup_sh(backups, NIGHT, leave_out=("files",))
    stack = thynk(backups)
    (backups.parent / "backend" / "uploads" / "a.png").unlink()
    assert only(stack).state is BackupState.GOOD
    assert expected_parts(stack) == ("mongo", "config")


def test_backup_sh_stopped_before_its_manifest(backups: Path) -> None:
    samples.by_backup_sh(backups, "20260117_020000")
    samples.set_age(samples.by_backup_sh(backups, NIGHT, leave_out=("manifest",)), 36_000)
    newest, older = look(thynk(backups))
    assert (newest.state, older.state) == (BackupState.UNFINISHED, BackupState.GOOD)
    assert "manifest" in newest.problem


def test_a_script_that_never_writes_a_manifest_is_no_failure(backups: Path) -> None:
    samples.by_backup_sh(backups, NIGHT, leave_out=("manifest",))
    assert only(thynk(backups)).state is BackupState.GOOD


def test_mongodump_directory_inside_a_backup_sh_directory(backups: Path) -> None:
    samples.by_backup_sh(backups, NIGHT, leave_out=("mongo",))
    samples.write(backups / NIGHT / "mongodb", samples.mongo_dump())
    backup = only(thynk(backups))
    assert backup.state is BackupState.GOOD
    assert part(backup, "mongo") == ("mongodb/thynk", True, "4 collections of thynk")


def test_mps_tar_file(backups: Path) -> None:
    path = samples.by_mps(backups, NIGHT)
    backup = only(mps(backups))
    assert (backup.id, backup.layout, backup.state) == (path.name, "mps", BackupState.GOOD)
    assert part(backup, "mongo") == ("mongo.archive", True, "4 collections of mps_db_unified")
    said = "Redis 7.0.15, 12 keys in database 0, saved 2025-09-18 16:22 UTC"
    assert part(backup, "redis") == ("redis_dump.rdb", True, said)
    assert len(backup.parts) == 2, "what macOS leaves in tar files is no part"
    assert backup.missing == (), "the layout has no place for an env file"


@pytest.mark.parametrize(("argument", "kind"), [("archive", "mongo"), ("redis", "redis")])
def test_mps_tar_file_without_a_part(backups: Path, argument: str, kind: str) -> None:
    samples.by_mps(backups, NIGHT, **{argument: b"-"})
    backup = only(mps(backups))
    assert (backup.state, backup.missing) == (BackupState.INCOMPLETE, (kind,))


def test_mps_directory_beside_its_tar_file(backups: Path) -> None:
    samples.write(
        backups / NIGHT,
        {"mongo.archive": samples.mongo_archive("mps_db_unified"), "redis_dump.rdb": samples.redis_dump()},
    )
    backup = only(mps(backups))
    assert (backup.layout, backup.state) == ("mps", BackupState.GOOD)


def test_manual_archive_lacks_redis(backups: Path) -> None:
    (backups / "manual_backup_20250918_162120.archive").write_bytes(samples.mongo_archive("mps_db_unified"))
    backup = only(mps(backups))
    assert (backup.layout, backup.state, backup.missing) == ("archive", BackupState.INCOMPLETE, ("redis",))
    assert part(backup, "mongo")[1:] == (True, "4 collections of mps_db_unified")


def test_pre_migration_directory_of_other_databases(backups: Path) -> None:
    root = backups / "pre-migration-20250918_000408"
    samples.write(root / "backup_mps_db", samples.mongo_dump("mps_db"))
    samples.write(root / "backup_mps_db_dev", samples.mongo_dump("mps_db_dev", each=0))
    samples.write(root, {"backup_metadata.txt": b"Backup Created"})
    backup = only(mps(backups))
    assert (backup.layout, backup.state) == ("mongodump", BackupState.INCOMPLETE)
    assert backup.problem == "pre-migration-20250918_000408 holds mps_db, mps_db_dev, not mps_db_unified"


@pytest.mark.parametrize("packed", [False, True])
def test_smokava_directory(backups: Path, packed: bool) -> None:
    samples.by_smokava(backups, NIGHT, packed=packed)
    backup = only(smokava(backups))
    assert (backup.layout, backup.state) == ("mongodump", BackupState.GOOD)
    assert part(backup, "mongo") == ("smokava", True, "3 collections of smokava")


@pytest.mark.parametrize("name", [f"{NIGHT}.tar.gz", f"backup_{NIGHT}.tar.gz", f"{NIGHT}.tar"])
def test_smokava_tar_file(backups: Path, name: str) -> None:
    files = samples.mongo_dump("smokava")
    (backups / name).write_bytes(samples.tar(files, prefix=f"{NIGHT}/", packed=name.endswith("gz")))
    backup = only(smokava(backups))
    assert (backup.layout, backup.state) == ("mongodump", BackupState.GOOD)
    assert part(backup, "mongo") == (f"{NIGHT}/smokava", True, "4 collections of smokava")


@pytest.mark.parametrize("name", [f"smokava_backup_{NIGHT}.gz", f"dump-{NIGHT}.archive.gz", f"dump-{NIGHT}.archive"])
def test_packed_archive(backups: Path, name: str) -> None:
    (backups / name).write_bytes(gzip.compress(samples.mongo_archive("smokava")))
    backup = only(smokava(backups))
    assert (backup.layout, backup.state) == ("archive", BackupState.GOOD)
    assert part(backup, "mongo") == (name, True, "4 collections of smokava")


def test_own_layout_and_its_partial_directory(backups: Path) -> None:
    samples.by_opsconsole(backups, NIGHT)
    samples.set_age(samples.by_opsconsole(backups, "20260118_080000", finished=False), 14_400)
    partial, finished = look(thynk(backups))
    assert (partial.state, partial.id) == (BackupState.UNFINISHED, ".partial-20260118_080000")
    assert "left by a run that was stopped" in partial.problem
    assert (finished.layout, finished.missing) == ("opsconsole", ("files",))
    assert part(finished, "mongo") == ("mongodb.archive.gz", True, "2 collections of thynk")
    assert part(finished, "redis") == ("redis.rdb", True, "3 keys")
    (backups / NIGHT / "manifest.json").write_bytes(b'{"version":')
    assert look(thynk(backups))[1].state is BackupState.DAMAGED


def test_own_layout_is_held_against_its_manifest(backups: Path) -> None:
    place = samples.by_opsconsole(backups, NIGHT)
    stack = Stack(name="thynk", directory=str(backups.parent), databases=(MONGO,), backup_directory=str(backups))
    assert only(stack).state is BackupState.GOOD
    (place / "redis.rdb").write_bytes(samples.redis_dump() + b"x")
    assert "redis.rdb is too long" in only(stack).problem
    (place / "redis.rdb").unlink()
    assert only(stack).problem == "redis.rdb is missing"
    (place / "redis.rdb").write_bytes(samples.redis_dump())
    (place / "more.gz").write_bytes(gzip.compress(b"x"))
    damaged = only(stack)
    assert (damaged.state, damaged.problem) == (BackupState.DAMAGED, "more.gz is not in the manifest")
    place.rename(backups / "20260119_020000")
    assert "is that of the backup 20260118_020000" in only(stack).problem


def test_what_is_no_backup_is_left_out(backups: Path) -> None:
    samples.write(
        backups,
        {
            "backup.log": b"x",
            "last_backup.txt": b"x",
            "backup.log.1.gz": gzip.compress(b"x"),
            "._mps_backup_20260118_020000.tar.gz": b"x",
            ".DS_Store": b"x",
            "photos.gz": gzip.compress(b"holiday" * 100),
            "scripts/run.sh": b"#!/bin/sh",
        },
    )
    (backups / "latest").symlink_to(backups / "scripts")
    assert look(thynk(backups)) == ()


# --- dates and order -------------------------------------------------------------------------------


def test_newest_first_and_the_future_is_flagged(backups: Path) -> None:
    for stamp in ("20260117_020000", "20300101_000000", NIGHT):
        samples.by_smokava(backups, stamp)
    found = look(smokava(backups))
    assert [backup.id for backup in found] == ["20300101_000000", NIGHT, "20260117_020000"]
    assert [backup.in_future for backup in found] == [True, False, False]


def test_names_say_local_time(backups: Path) -> None:
    samples.by_smokava(backups, NIGHT)
    (backup,) = Catalog(clock=lambda: NOW, zone=ZoneInfo("Asia/Jakarta")).look(smokava(backups))
    assert backup.taken_at == datetime(2026, 1, 17, 19, 0, tzinfo=UTC)


def test_a_touched_file_keeps_its_date(backups: Path) -> None:
    path = samples.by_mps(backups, NIGHT)
    os.utime(path, (0, 0))
    backup = only(mps(backups))
    assert backup.taken_at == datetime(2026, 1, 18, 2, 0, tzinfo=UTC) and backup.note == ""


def test_a_name_without_a_date_says_so(backups: Path) -> None:
    path = backups / "before-the-move.archive"
    path.write_bytes(samples.mongo_archive())
    samples.set_age(path, 3600)
    backup = only(thynk(backups))
    assert backup.taken_at == NOW - timedelta(hours=1)
    assert "file time" in backup.note


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("backup-2026-01-18T02:03:04Z.tar.gz", datetime(2026, 1, 18, 2, 3, 4, tzinfo=UTC)),
        ("dump_2026-01-18_02-03-04", datetime(2026, 1, 18, 2, 3, 4, tzinfo=UTC)),
        ("20260118-0203.archive", datetime(2026, 1, 18, 2, 3, tzinfo=UTC)),
        ("2026-01-18.tar.gz", datetime(2026, 1, 18, tzinfo=UTC)),
        ("20261399_020000", None),
        ("v1.2.3", None),
        ("mps_backup_9920260118_0200001", None),
    ],
)
def test_moments_in_names(name: str, moment: datetime | None) -> None:
    assert moment_of(name, UTC) == moment


@given(st.text(max_size=60))
def test_no_name_breaks_the_reading_of_dates(name: str) -> None:
    found = moment_of(name)
    assert found is None or found.tzinfo is UTC


# --- faults ----------------------------------------------------------------------------------------


def archive_file(backups: Path, data: bytes, name: str = f"dump_{NIGHT}.archive") -> Backup:
    path = backups / name
    path.write_bytes(data)
    samples.set_age(path, 36_000)
    return only(thynk(backups)) if "rdb" not in name else only(mps(backups))


@pytest.mark.parametrize(
    ("data", "state", "words"),
    [
        (b"", BackupState.INCOMPLETE, "is empty (0 bytes)"),
        (samples.mongo_archive(collections=()), BackupState.INCOMPLETE, "holds no collections"),
        (samples.mongo_archive(each=0), BackupState.INCOMPLETE, "no documents"),
        (b"not a dump at all" * 100, BackupState.DAMAGED, "is not a mongodump archive"),
        (bytes(4096), BackupState.DAMAGED, "is not a mongodump archive"),
        (samples.mongo_archive()[:-1], BackupState.DAMAGED, "is cut short"),
        (samples.mongo_archive()[:100], BackupState.DAMAGED, "is cut short"),
        (gzip.compress(samples.mongo_archive())[:-9], BackupState.DAMAGED, "is cut short"),
        (gzip.compress(samples.mongo_archive())[:5], BackupState.DAMAGED, "is cut short"),
        (gzip.compress(b""), BackupState.INCOMPLETE, "is empty"),
        (b"\x1f\x8b" + bytes(200), BackupState.DAMAGED, "has broken gzip data"),
    ],
)
def test_archive_that_is_none(backups: Path, data: bytes, state: BackupState, words: str) -> None:
    backup = archive_file(backups, data)
    assert backup.state is state and words in backup.problem, backup


def test_an_archive_is_never_good_wherever_it_breaks_off(backups: Path) -> None:
    """Between two blocks, too, where everything that is there is right."""
    data = samples.mongo_archive(each=1)
    whole = archive_file(backups, data)
    assert whole.parts[0].ok
    ends = [at + 4 for at in range(len(data)) if data.startswith(samples.TERMINATOR, at)]
    assert len(ends) == 9 and ends.pop() == len(data)
    for end in ends:
        assert archive_file(backups, data[:end]).state is BackupState.DAMAGED, end


def test_archive_of_another_database(backups: Path) -> None:
    backup = archive_file(backups, samples.mongo_archive("test"))
    assert backup.state is BackupState.INCOMPLETE
    assert "holds test, not thynk" in backup.problem


def test_long_archive_is_judged_by_its_list_and_its_end(backups: Path) -> None:
    data = samples.mongo_archive(each=3000, text="x" * 400)
    assert len(data) > 4 << 20
    samples.write(backups.parent / "backend" / "uploads", {})
    assert "4 collections of thynk" in archive_file(backups, data).parts[0].note
    cut = archive_file(backups, data[:-30])
    assert cut.state is BackupState.DAMAGED and "the end of the archive is missing" in cut.problem


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"", BackupState.INCOMPLETE),
        (b"REDIS0010", BackupState.DAMAGED),
        (b"REDIX0010" + bytes(100), BackupState.DAMAGED),
        (samples.redis_dump()[:-9], BackupState.DAMAGED),
        (samples.redis_dump()[:40], BackupState.DAMAGED),
    ],
)
def test_redis_part_that_is_none(backups: Path, data: bytes, state: BackupState) -> None:
    samples.write(backups / NIGHT, {"mongo.archive": samples.mongo_archive("mps_db_unified"), "redis_dump.rdb": data})
    samples.set_age(backups / NIGHT, 36_000)
    backup = only(mps(backups))
    assert backup.state is state and "redis_dump.rdb" in backup.problem, backup


def test_redis_dump_of_a_real_server(backups: Path, host_redis: Callable[..., Server]) -> None:
    import redis

    server = host_redis()
    with redis.Redis(port=server.port) as client:
        client.mset({f"key:{at}": "v" * 50 for at in range(1204)})
        client.save()
        directory = client.config_get("dir")["dir"]
    dump = (Path(directory) / "dump.rdb").read_bytes()
    samples.by_mps(backups, NIGHT, redis=dump)
    backup = only(mps(backups))
    assert backup.state is BackupState.GOOD
    assert "1,204 keys" in part(backup, "redis")[2] and "Redis 7." in part(backup, "redis")[2]


def test_tar_file_that_breaks_off(backups: Path) -> None:
    path = samples.by_mps(backups, NIGHT)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples.set_age(path, 36_000)
    backup = only(mps(backups))
    assert backup.state is BackupState.DAMAGED and "cut short" in backup.problem
    assert backup.layout == "mps"


def test_a_file_that_is_growing_is_not_called_damaged(backups: Path) -> None:
    path = samples.by_mps(backups, "20260118_115950")
    path.write_bytes(path.read_bytes()[:300])
    samples.set_age(path, 5)
    assert (only(mps(backups)).state, only(mps(backups)).problem) == (BackupState.UNFINISHED, "is still being written")


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"\x05\0\0\0", BackupState.DAMAGED),
        (samples.documents(5)[:-7], BackupState.DAMAGED),
        (b"junk" * 9, BackupState.DAMAGED),
    ],
)
def test_bson_file_that_is_none(backups: Path, data: bytes, state: BackupState) -> None:
    samples.by_smokava(backups, NIGHT)
    (backups / NIGHT / "smokava" / "users.bson").write_bytes(data)
    samples.set_age(backups / NIGHT, 36_000)
    backup = only(smokava(backups))
    assert backup.state is state and "users.bson" in backup.problem


def test_empty_collections_are_fine_and_empty_dumps_are_not(backups: Path) -> None:
    samples.by_smokava(backups, NIGHT)
    (backups / NIGHT / "smokava" / "users.bson").write_bytes(b"")
    assert only(smokava(backups)).state is BackupState.GOOD
    for file in (backups / NIGHT / "smokava").glob("*.bson"):
        file.write_bytes(b"")
    assert only(smokava(backups)).state is BackupState.INCOMPLETE


def test_an_empty_directory_is_no_good_backup(backups: Path) -> None:
    (backups / NIGHT).mkdir()
    backup = only(smokava(backups))
    assert (backup.state, backup.missing) == (BackupState.INCOMPLETE, ("mongo",))


# --- hostile input ---------------------------------------------------------------------------------


def test_nothing_is_followed_or_waited_for(backups: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.archive"
    secret.write_bytes(samples.mongo_archive())
    (backups / NIGHT).mkdir()
    (backups / NIGHT / "mongo.archive").symlink_to(secret)
    (backups / NIGHT / "loop").symlink_to(backups)
    os.mkfifo(backups / NIGHT / "redis.rdb")
    os.mkfifo(backups / f"pipe_{NIGHT}.archive")
    (backups / f"link_{NIGHT}.archive").symlink_to(secret)
    states = {backup.id: (backup.state, backup.parts) for backup in look(thynk(backups))}
    assert states.pop(NIGHT) == (BackupState.INCOMPLETE, ())
    assert [state for state, _ in states.values()] == [BackupState.INCOMPLETE]


def test_paths_in_tar_files_are_only_text(backups: Path) -> None:
    files = {"../mongo.archive": samples.mongo_archive(), "/abs/redis_dump.rdb": samples.redis_dump()}
    (backups / f"{NIGHT}.tar.gz").write_bytes(samples.tar(files))
    before = sorted(backups.parent.rglob("*"))
    assert {part.kind for part in only(mps(backups)).parts} == {"mongo", "redis"}
    assert sorted(backups.parent.rglob("*")) == before


def test_a_bomb_costs_no_more_than_its_allowance(backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowance = 1 << 20
    monkeypatch.setattr(catalog_module, "_DEEP", allowance)
    bombs = {
        f"mongo_{NIGHT}.archive.gz": gzip.compress(gzip.compress(bytes(400 << 20), 9), 9),
        f"members_{NIGHT}.tar.gz": gzip.compress(b"") * 200_000,
        f"files_{NIGHT}.tar.gz": samples.tar({f"{at}.archive": b"" for at in range(20_000)}),
    }
    for name, data in bombs.items():
        (backups / name).write_bytes(data)
        _, spent = read_file(str(backups / name), name, allowance)
        assert spent <= allowance, name
    assert all(backup.state is not BackupState.GOOD for backup in look(thynk(backups)))


def test_a_long_tar_file_says_that_only_its_beginning_was_read(backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "_DEEP", 1 << 20)
    path = samples.by_mps(backups, NIGHT, archive=samples.mongo_archive("mps_db_unified", each=9000, text="x" * 200))
    assert path.exists()
    backup = only(mps(backups))
    assert backup.state is BackupState.GOOD and backup.missing == ()
    assert "only its beginning was read" in backup.note


@pytest.mark.parametrize("mode", ["directory", "file"])
def test_what_may_not_be_read_is_named(backups: Path, mode: str) -> None:
    samples.by_smokava(backups, NIGHT)
    for parent in [backups, *backups.parents][:5]:
        parent.chmod(0o755)  # pytest keeps its directories to their owner
    target = backups if mode == "directory" else backups / NIGHT / "smokava" / "users.bson"
    target.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        if mode == "directory":
            with pytest.raises(SourceError, match="permission denied"):
                look(smokava(backups))
        else:
            backup = only(smokava(backups))
            assert backup.state is BackupState.INCOMPLETE and "permission denied" in backup.problem
    finally:
        os.seteuid(user)
        target.chmod(0o755)


def test_a_backup_directory_that_is_none(backups: Path) -> None:
    stack = smokava(backups)
    backups.rmdir()
    assert look(stack) == ()
    backups.write_text("a file")
    with pytest.raises(SourceError, match="is a file"):
        look(stack)
    assert look(Stack(name="none", directory="/")) == ()


def test_a_second_look_reads_nothing(backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.by_backup_sh(backups, NIGHT)
    samples.by_mps(backups, "20260117_020000")
    catalog = Catalog(clock=lambda: NOW, zone=UTC)
    first = catalog.look(thynk(backups))

    def read_again(*_: object) -> None:
        raise AssertionError("read twice")

    with monkeypatch.context() as patch:
        patch.setattr(catalog_module, "read_file", read_again)
        assert catalog.look(thynk(backups)) == first
    (backups / NIGHT / f"mongodb-{NIGHT}.tar.gz").write_bytes(b"broken")
    assert catalog.look(thynk(backups)) != first


def test_what_one_look_cannot_afford_the_next_one_reads(backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "_PER_LOOK", 1)
    monkeypatch.setattr(catalog_module, "_SHALLOW", 1 << 12)
    for stamp in ("20260117_020000", NIGHT):
        samples.by_mps(backups, stamp, archive=samples.mongo_archive("mps_db_unified", each=100))
    catalog = Catalog(clock=lambda: NOW, zone=UTC)
    newest, older = catalog.look(mps(backups))
    assert (newest.note, older.note) == ("", "only its beginning was read")
    newest, older = catalog.look(mps(backups))
    assert (newest.note, older.note) == ("", "")


SAMPLES = {
    f"dump_{NIGHT}.archive": samples.mongo_archive("thynk"),
    f"dump_{NIGHT}.archive.gz": gzip.compress(samples.mongo_archive("thynk")),
    f"redis_{NIGHT}.rdb": samples.redis_dump(),
    f"mps_backup_{NIGHT}.tar.gz": samples.tar(
        {"mongo.archive": samples.mongo_archive("thynk"), "redis_dump.rdb": samples.redis_dump()}
    ),
    f"{NIGHT}.tar": samples.tar(samples.mongo_dump(), packed=False),
}
FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def judged(backups: Path, name: str, data: bytes) -> Backup:
    (backups / name).write_bytes(data)
    try:
        samples.set_age(backups / name, 36_000)
        return only(Stack(name="x", directory="/", databases=(MONGO,), backup_directory=str(backups)))
    finally:
        (backups / name).unlink()


@FUZZ
@given(name=st.sampled_from(sorted(SAMPLES)), data=st.binary(max_size=2000))
def test_garbage_is_never_good(backups: Path, name: str, data: bytes) -> None:
    assert judged(backups, name, data).state is not BackupState.GOOD


@FUZZ
@given(
    name=st.sampled_from(sorted(SAMPLES)),
    head=st.sampled_from([b"\x1f\x8b\x08\0", b"REDIS0010\xfa", samples.ARCHIVE_MAGIC]),
    data=st.binary(max_size=1000),
)
def test_garbage_behind_a_right_beginning_is_never_good(backups: Path, name: str, head: bytes, data: bytes) -> None:
    assert judged(backups, name, head + data).state is not BackupState.GOOD


@FUZZ
@given(name=st.sampled_from(sorted(SAMPLES)), share=st.floats(0, 1, exclude_max=True))
def test_a_cut_off_file_is_never_good(backups: Path, name: str, share: float) -> None:
    data = SAMPLES[name]
    tar_padding = 1024 if name.endswith(".tar") else 0  # zeros that close a tar file; more of them say nothing
    cut = int((len(data.rstrip(b"\0") if tar_padding else data)) * share)
    assert judged(backups, name, data[:cut]).state is not BackupState.GOOD


@FUZZ
@given(name=st.sampled_from(sorted(SAMPLES)), at=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_never_breaks_the_look(backups: Path, name: str, at: int, bit: int) -> None:
    data = bytearray(SAMPLES[name])
    data[at % len(data)] ^= 1 << bit
    assert judged(backups, name, bytes(data)).state in BackupState


# --- as the stacks' own scripts leave them ---------------------------------------------------------


@pytest.mark.parametrize("name", ["thynk", "mps"])
def test_backups_of_real_databases(name: str, request: pytest.FixtureRequest) -> None:
    """mongodump's formats filled with what a real MongoDB holds, and Redis's own dump."""
    running = request.getfixturevalue(name)
    stack = {"thynk": thynk, "mps": mps}[name](running.directory / "backups")
    found = Catalog(zone=UTC).look(stack)
    assert found and {backup.state for backup in found} == {BackupState.GOOD}
    assert all("collections of" in part(backup, "mongo")[2] for backup in found)
