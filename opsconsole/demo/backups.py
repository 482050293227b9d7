"""The simulated backup directory: good nights, and everything else that happens to backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from opsconsole.backups.catalog import with_reasons
from opsconsole.backups.retention import Policy
from opsconsole.demo.databases import COLLECTIONS
from opsconsole.demo.roles import DIRECTORY, GB, MB, NAME
from opsconsole.model import (
    Backup,
    BackupCheck,
    BackupClass,
    BackupContents,
    BackupCopy,
    BackupPart,
    BackupState,
    HeldCollection,
    HeldFile,
    HeldKeys,
    HeldPart,
    OplogSpan,
    OplogTime,
    Stack,
)

_MONGO = int(3.1 * GB)
_OFF_SITE = "offsite:harbour"
_DAY = timedelta(days=1)
_SERVER = "MongoDB 6.0.19"


class DemoBackups:
    """See `BackupSource`. The newest good backup was taken `newest_good_hours` before the demo began."""

    def __init__(self, began: datetime, *, newest_good_hours: float = 3.0) -> None:
        self._newest = began.replace(second=0, microsecond=0) - timedelta(hours=newest_good_hours)
        self._backups = with_reasons(_backups(self._newest), Policy(daily=5, weekly=4, monthly=6), began, UTC)

    def look(self, stack: Stack) -> tuple[Backup, ...]:
        return self._backups

    def look_inside(self, backup: Backup) -> BackupContents:
        return _inside(backup, (self._newest - backup.taken_at) / _DAY)


def _backups(newest: datetime) -> tuple[Backup, ...]:
    empty = BackupPart(kind="mongo", path="mongo.archive.gz", size_bytes=148, note="holds no collections", ok=False)
    update = _safety(newest - timedelta(hours=19), 0.8, "before the update of the stack harbour")
    kept = _manual(newest - 10 * _DAY + timedelta(hours=6), 9.7, "before the move to MongoDB 6")
    return (
        _slice(newest, newest + timedelta(hours=2)),
        _followed(_good(newest, 0, copied=True)),
        update,
        _nightly(newest - _DAY, 1, state=BackupState.DAMAGED, mongo=_CUT),
        _partial(newest - _DAY - timedelta(hours=9)),
        _good(newest - 2 * _DAY, 2, level=3, copied=True),
        _nightly(newest - 3 * _DAY, 3, without="redis"),
        _by_hand(newest - 3 * _DAY - timedelta(hours=4)),
        *(_good(newest - number * _DAY, number, level=2, copied=number < 6) for number in range(4, 8)),
        kept,
        _nightly(newest - 14 * _DAY, 14, mongo=empty),
        _script(newest - 21 * _DAY, 21),
    )


_CUT = BackupPart(
    kind="mongo",
    path="mongodb.archive.gz",
    size_bytes=412 * MB,
    note="is cut short in the middle of its gzip data",
    ok=False,
)


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d_%H%M%S}"


def _parts(days: float) -> dict[str, BackupPart]:
    """A night's parts; the further back, the smaller."""
    return {
        "mongo": BackupPart(
            kind="mongo",
            path="mongodb.archive.gz",
            size_bytes=int(_MONGO - days * 19 * MB),
            note=f"11 collections of {NAME}",
        ),
        "redis": BackupPart(
            kind="redis", path="redis.rdb", size_bytes=int(118 * MB - days * 90_000), note=f"{_keys(days):,} keys"
        ),
        "files": BackupPart(
            kind="files",
            path="uploads.tar.gz",
            size_bytes=int(2.2 * GB - days * 31 * MB),
            note=f"{_members(days):,} entries",
        ),
        "config": BackupPart(kind="config", path="config/env", size_bytes=14_912, note="5 files"),
        "manifest": BackupPart(kind="manifest", path="manifest.json", size_bytes=0),
    }


def _keys(days: float) -> int:
    return int(48_522 - days * 160)


def _members(days: float) -> int:
    return int(140_233 - days * 264)


def _good(moment: datetime, days: float, *, level: int = 1, copied: bool = False) -> Backup:
    looked = {1: timedelta(minutes=4), 2: timedelta(minutes=40), 3: timedelta(hours=30)}[level]
    copies = (BackupCopy(place=_OFF_SITE, at=moment + timedelta(minutes=21), verified=True),) if copied else ()
    return msgspec.structs.replace(
        _nightly(moment, days, state=BackupState.GOOD),
        checked_level=level,
        checked_at=moment + looked,
        copies=copies,
    )


def _nightly(
    moment: datetime,
    days: float,
    *,
    state: BackupState = BackupState.INCOMPLETE,
    mongo: BackupPart | None = None,
    without: str = "",
    problem: str = "",
) -> Backup:
    parts = _parts(days)
    if mongo is not None:
        parts["mongo"] = mongo
        problem = f"{mongo.path} {mongo.note}"
    parts.pop(without, None)
    name = _stamp(moment)
    return Backup(
        id=name,
        path=f"{DIRECTORY}/backups/{name}",
        layout="opsconsole",
        taken_at=moment,
        size_bytes=sum(part.size_bytes for part in parts.values()),
        state=state,
        parts=tuple(parts.values()),
        missing=(without,) if without else (),
        problem=problem or (f"lacks {without}" if without else ""),
    )


def _safety(moment: datetime, days: float, why: str) -> Backup:
    return msgspec.structs.replace(_good(moment, days), backup_class=BackupClass.SAFETY, why=why)


def _manual(moment: datetime, days: float, why: str) -> Backup:
    return msgspec.structs.replace(
        _good(moment, days, level=3, copied=True), backup_class=BackupClass.MANUAL, why=why, pinned=True
    )


def _script(moment: datetime, days: float) -> Backup:
    """Of the time before opsconsole."""
    one = _nightly(moment, days, state=BackupState.GOOD)
    return msgspec.structs.replace(one, layout="backup.sh")


def _followed(backup: Backup) -> Backup:
    """A full backup that knows where it stands in the oplog, so that slices can follow it."""
    moment = OplogTime(time=int(backup.taken_at.timestamp()), increment=1)
    return msgspec.structs.replace(
        backup,
        oplog=(OplogSpan(part="mongodb", replica_set="rs0", set_id="", server=_SERVER, begins=moment, ends=moment),),
    )


def _slice(base: datetime, moment: datetime) -> Backup:
    """What the replica set wrote since a backup."""
    name = _stamp(moment)
    part = BackupPart(kind="mongo", path="oplog.bson.gz", size_bytes=31 * MB, note="38,114 changes")
    span = OplogSpan(
        part="mongodb",
        replica_set="rs0",
        set_id="",
        server=_SERVER,
        begins=OplogTime(time=int(base.timestamp()), increment=1),
        ends=OplogTime(time=int(moment.timestamp()), increment=1),
        continues=_stamp(base),
    )
    return Backup(
        id=name,
        path=f"{DIRECTORY}/backups/{name}",
        layout="opsconsole",
        taken_at=moment,
        size_bytes=part.size_bytes,
        state=BackupState.INCREMENTAL,
        parts=(part, BackupPart(kind="manifest", path="manifest.json", size_bytes=0)),
        checked_level=1,
        checked_at=moment + timedelta(minutes=1),
        oplog=(span,),
    )


def _partial(moment: datetime) -> Backup:
    name = f".partial-{_stamp(moment)}"
    part = BackupPart(kind="mongo", path="mongodb.archive.gz", size_bytes=930 * MB)
    return Backup(
        id=name,
        path=f"{DIRECTORY}/backups/{name}",
        layout="opsconsole",
        taken_at=moment,
        size_bytes=part.size_bytes,
        state=BackupState.UNFINISHED,
        parts=(part,),
        missing=("redis", "files", "config"),
        problem="was never finished: being written, or left by a run that was stopped",
    )


def _by_hand(moment: datetime) -> Backup:
    name = f"by_hand_{moment.astimezone(UTC):%Y%m%d}.archive"
    part = BackupPart(kind="mongo", path=name, size_bytes=int(9.8 * GB), note=f"11 collections of {NAME}")
    return Backup(
        id=name,
        path=f"{DIRECTORY}/backups/{name}",
        layout="archive",
        taken_at=moment,
        size_bytes=part.size_bytes,
        state=BackupState.INCOMPLETE,
        parts=(part,),
        missing=("redis", "files"),
        problem="lacks redis and files",
    )


# --- what is inside --------------------------------------------------------------------------------


def _inside(backup: Backup, days: float) -> BackupContents:
    if backup.layout != "opsconsole":
        return BackupContents(problem="This layout has no manifest: what is in it is read when it is restored.")
    if backup.state is BackupState.UNFINISHED:
        return BackupContents(problem="It has no manifest yet: that is written last.")
    return BackupContents(
        parts=tuple(_held(part, days) for part in backup.parts if part.kind != "manifest"),
        checks=tuple(_checks(backup)),
        pinned_why=backup.why if backup.pinned else "",
        host="harbour-prod-1",
        release="r7",
        made_by="0.1.0",
        seconds=round(192 - days * 1.3, 1),
    )


def _checks(backup: Backup) -> list[BackupCheck]:
    if backup.checked_level is None or backup.checked_at is None:
        return []
    first = BackupCheck(level=1, at=backup.taken_at + timedelta(minutes=4))
    later = BackupCheck(level=backup.checked_level, at=backup.checked_at)
    return [first] if backup.checked_level == 1 else [first, later]


def _held(part: BackupPart, days: float) -> HeldPart:
    files = (HeldFile(path=part.path, size=part.size_bytes),)
    match part.kind:
        case "mongo":
            return HeldPart(
                kind="mongo",
                name="mongodb",
                files=files,
                consistency="one point in time",
                server="MongoDB 6.0.19",
                seconds=131.0,
                collections=_collections(days) if part.ok and days >= 0 else (),
                content_size=int(part.size_bytes * 2.9),
            )
        case "redis":
            keys = (
                HeldKeys(database=0, keys=_keys(days) - 312, expiring=(_keys(days) - 312) * 7 // 9),
                HeldKeys(database=1, keys=312),
            )
            return HeldPart(
                kind="redis",
                name="redis",
                files=files,
                consistency="one point in time",
                server="Redis 7.2.5",
                seconds=2.4,
                keys=keys,
            )
        case "files":
            return HeldPart(
                kind="files",
                name="uploads",
                files=files,
                consistency="per file",
                source=f"{DIRECTORY}/uploads",
                seconds=57.0,
                members=_members(days),
                content_size=int(part.size_bytes * 1.1),
                changed=("2026/03/scan-8841.pdf",) if days == 0 else (),
            )
    names = ("config/compose-1.yml", "config/env", "config/rendered.yml", "config/images.json", "config/stack.json")
    return HeldPart(kind="config", name="config", files=tuple(HeldFile(path=one, size=2_982) for one in names))


def _collections(days: float) -> tuple[HeldCollection, ...]:
    found = []
    for name, documents, size, indexes, grown in COLLECTIONS:
        then = max(0, documents - int(grown * (24 * days + 3)))
        found.append(HeldCollection(database=NAME, name=name, documents=then, size=then * size, indexes=indexes))
    return (*found, HeldCollection(database=NAME, name="open_bookings", kind="view"))
