"""Where data is safe and where it is not: every rule, every combination, one sentence each."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from opsconsole.model import (
    Backup,
    BackupPart,
    BackupState,
    Mount,
    Safety,
    Service,
    Stack,
    Volume,
    VolumeKind,
    VolumeUse,
)
from opsconsole.stack.safety import judge

NOW = datetime(2026, 1, 10, tzinfo=UTC)
PATHS = {"mongodb": "/data/db", "redis": "/data", "": "/app/uploads"}
STACK = Stack(
    name="shop",
    directory="/srv/shop",
    services=(
        Service(name="mongodb", role="mongodb", mounts=(Mount(kind="volume", destination="/data/db", name="shop_m"),)),
        Service(name="redis", role="redis"),
        Service(name="backend"),
    ),
    data_directories=("/srv/shop/backend/uploads",),
    outside_binds=("/srv/shared",),
)


def use(service: str = "backend", destination: str = "/app/uploads", **more: bool) -> VolumeUse:
    return VolumeUse(service=service, container=f"shop-{service}-1", destination=destination, **more)


def volume(kind: VolumeKind, name: str = "shop_m", *uses: VolumeUse, database: str = "") -> Volume:
    path = name if kind is VolumeKind.BIND else ""
    return Volume(key=f"{kind}:{name}", kind=kind, name=name, path=path, used_by=uses, database=database)


def backup(*kinds: str, state: BackupState = BackupState.GOOD, age_days: int = 1, **more: bool) -> Backup:
    return Backup(
        id=f"backup-{age_days}",
        path="/b",
        layout="mps",
        taken_at=NOW - timedelta(days=age_days),
        size_bytes=10,
        state=state,
        parts=tuple(BackupPart(kind=kind, path=kind, size_bytes=10) for kind in kinds),
        **more,
    )


def verdict(one: Volume, *backups: Backup, stack: Stack = STACK) -> Volume:
    return judge([one], stack, backups)[0]


EVERYTHING = backup("mongo", "redis", "files")


# --- at risk ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["mongodb", "redis"])
@pytest.mark.parametrize("kind", [VolumeKind.ANONYMOUS, VolumeKind.LAYER, VolumeKind.TMPFS])
def test_a_database_on_something_that_goes_away_is_at_risk_whatever_backups_exist(
    kind: VolumeKind, database: str
) -> None:
    found = verdict(volume(kind, "v", use(database, PATHS[database]), database=database), EVERYTHING)
    assert found.safety is Safety.AT_RISK
    assert {"mongodb": "MongoDB", "redis": "Redis"}[database] in found.reason


def test_a_database_is_recognised_by_its_service_and_path_too() -> None:
    found = verdict(volume(VolumeKind.ANONYMOUS, "f" * 64, use("mongodb", "/data/db")), EVERYTHING)
    assert (found.safety, found.database) == (Safety.AT_RISK, "mongodb")


def test_the_empty_volume_that_the_image_of_mongodb_declares_is_no_alarm() -> None:
    found = verdict(volume(VolumeKind.ANONYMOUS, "f" * 64, use("mongodb", "/data/configdb")))
    assert found.safety is Safety.PERSISTENT
    assert "config servers only" in found.reason


def test_a_relative_path_out_of_the_stack_is_at_risk_only_where_it_is_written() -> None:
    assert verdict(volume(VolumeKind.BIND, "/srv/shared", use()), EVERYTHING).safety is Safety.AT_RISK
    assert verdict(volume(VolumeKind.BIND, "/srv/shared", use(read_only=True))).safety is Safety.PERSISTENT
    assert verdict(volume(VolumeKind.BIND, "/srv/other", use())).safety is Safety.PERSISTENT


@pytest.mark.parametrize(
    ("destination", "safety"),
    [
        ("/tmp", Safety.PERSISTENT),
        ("/run", Safety.PERSISTENT),
        ("/var/run/nginx", Safety.PERSISTENT),
        ("/dev/shm", Safety.PERSISTENT),
        ("/app/.cache", Safety.PERSISTENT),
        ("/var/cache/nginx", Safety.PERSISTENT),
        ("/app/uploads", Safety.AT_RISK),
        ("/runtime", Safety.AT_RISK),
    ],
)
def test_memory_is_at_risk_unless_it_is_scratch_space(destination: str, safety: Safety) -> None:
    found = verdict(volume(VolumeKind.TMPFS, f"shop-backend-1:{destination}", use(destination=destination)))
    assert found.safety is safety
    assert "memory" in found.reason


# --- orphaned --------------------------------------------------------------------------------------


def test_a_volume_that_nobody_mounts_is_orphaned_unless_the_compose_file_names_it() -> None:
    assert verdict(volume(VolumeKind.NAMED, "shop_old"), EVERYTHING).safety is Safety.ORPHANED
    assert verdict(volume(VolumeKind.NAMED, "shop_m", database="mongodb"), EVERYTHING).safety is Safety.PERSISTENT
    assert verdict(volume(VolumeKind.BIND, "/srv/shop/x")).safety is not Safety.ORPHANED


# --- in a backup or not ----------------------------------------------------------------------------


@pytest.mark.parametrize(("database", "part"), [("mongodb", "mongo"), ("redis", "redis")])
def test_a_database_needs_a_good_backup_with_its_own_part(database: str, part: str) -> None:
    one = volume(VolumeKind.NAMED, "v", use(database, PATHS[database]), database=database)
    others = {"mongo", "redis", "files", "config"} - {part}
    assert verdict(one).safety is Safety.NOT_IN_BACKUP
    assert verdict(one, backup(*others)).safety is Safety.NOT_IN_BACKUP
    for state in set(BackupState) - {BackupState.GOOD}:
        assert verdict(one, backup(part, state=state)).safety is Safety.NOT_IN_BACKUP
    kept = verdict(one, backup(part))
    assert kept.safety is Safety.PERSISTENT
    assert kept.reason.endswith("in backup backup-1")


@pytest.mark.parametrize("named", ["pg", "shop_pg"])
def test_a_volume_that_the_settings_name_is_in_the_backups_that_hold_it(named: str) -> None:
    one = volume(VolumeKind.NAMED, "shop_pg", use("postgres", "/var/lib/postgresql/data"))
    uploads, held = (
        msgspec.structs.replace(
            backup("files", age_days=age), parts=(BackupPart(kind="files", path=f"files-{name}.tar.gz", size_bytes=9),)
        )
        for age, name in ((1, "pg_old"), (2, named))
    )
    without = verdict(one, uploads)
    assert without.safety is Safety.NOT_IN_BACKUP and "[backups] volumes" in without.reason
    assert verdict(one, uploads, held).reason.endswith("in backup backup-2")


def test_a_part_that_is_empty_or_broken_is_no_backup() -> None:
    one = volume(VolumeKind.NAMED, "v", use("redis", "/data"), database="redis")
    whole = backup("redis")
    for part in (
        BackupPart(kind="redis", path="r", size_bytes=0),
        BackupPart(kind="redis", path="r", size_bytes=9, ok=False),
    ):
        assert verdict(one, msgspec.structs.replace(whole, parts=(part,))).safety is Safety.NOT_IN_BACKUP


def test_the_newest_backup_is_named_and_one_from_the_future_only_if_there_is_no_other() -> None:
    one = volume(VolumeKind.NAMED, "v", use("redis", "/data"), database="redis")
    future = backup("redis", age_days=-400, in_future=True)
    assert "backup-2" in verdict(one, backup("redis", age_days=9), future, backup("redis", age_days=2)).reason
    assert "backup--400" in verdict(one, future).reason


def test_a_bind_mount_with_data_needs_a_backup_with_files() -> None:
    for path in ("/srv/shop/backend/uploads", "/srv/shop/backend/uploads/avatars"):
        one = volume(VolumeKind.BIND, path, use())
        assert verdict(one, backup("mongo")).safety is Safety.NOT_IN_BACKUP
        assert verdict(one, backup("files")).safety is Safety.PERSISTENT
    assert verdict(volume(VolumeKind.BIND, "/srv/shop/backend/uploads2", use())).safety is Safety.PERSISTENT


def test_a_bind_mount_under_a_database_needs_that_databases_part() -> None:
    one = volume(VolumeKind.BIND, "/srv/shop/mongo", use("mongodb", "/data/db"))
    assert verdict(one, backup("files")).safety is Safety.NOT_IN_BACKUP
    assert verdict(one, backup("mongo")).safety is Safety.PERSISTENT


@pytest.mark.parametrize("path", ["/var/run/docker.sock", "/etc/localtime", "/proc", "/srv/shop/nginx.conf"])
def test_what_holds_no_data_needs_no_backup(path: str) -> None:
    found = verdict(volume(VolumeKind.BIND, path, use(destination=path)))
    assert found.safety is Safety.PERSISTENT
    assert "not" in found.reason


def test_a_named_volume_without_a_database_is_in_no_backup() -> None:
    found = verdict(volume(VolumeKind.NAMED, "uploads", use()), EVERYTHING)
    assert found.safety is Safety.NOT_IN_BACKUP


# --- every combination -----------------------------------------------------------------------------

RANKS = [Safety.AT_RISK, Safety.ORPHANED, Safety.NOT_IN_BACKUP, Safety.PERSISTENT]

COMBINATIONS = list(
    itertools.product(
        VolumeKind, ["mongodb", "redis", ""], [True, False], [True, False], ["/srv/shared", "shop_m", "/tmp"]
    )
)


@pytest.mark.parametrize(("kind", "database", "mounted", "read_only", "name"), COMBINATIONS)
def test_every_combination_has_one_sentence_and_backups_never_make_it_worse(
    kind: VolumeKind, database: str, mounted: bool, read_only: bool, name: str
) -> None:
    uses = (use(database or "backend", PATHS[database], read_only=read_only),) if mounted else ()
    one = volume(kind, name, *uses, database=database)
    without, with_all = verdict(one), verdict(one, EVERYTHING)
    for found in (without, with_all):
        assert found.reason
        assert "\n" not in found.reason
        assert msgspec.structs.replace(found, safety=one.safety, reason="", database=database) == one
    assert RANKS.index(with_all.safety) >= RANKS.index(without.safety)
    assert (without.safety is Safety.AT_RISK) == (with_all.safety is Safety.AT_RISK)
    assert (without.safety is Safety.ORPHANED) == (with_all.safety is Safety.ORPHANED)
    if kind in (VolumeKind.ANONYMOUS, VolumeKind.LAYER, VolumeKind.TMPFS) and database and mounted:
        assert without.safety is Safety.AT_RISK
