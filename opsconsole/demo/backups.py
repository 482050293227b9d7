"""The simulated backup directory: two good nights, and everything else that happens to backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsconsole.demo.roles import DIRECTORY, GB, MB
from opsconsole.model import Backup, BackupPart, BackupState, Stack

_MONGO = int(3.1 * GB)


class DemoBackups:
    """See `BackupSource`. The newest good backup was taken `newest_good_hours` before the demo began."""

    def __init__(self, began: datetime, *, newest_good_hours: float = 3.0) -> None:
        self._backups = _backups(began.replace(second=0, microsecond=0) - timedelta(hours=newest_good_hours))

    def look(self, stack: Stack) -> tuple[Backup, ...]:
        return self._backups


def _backups(newest: datetime) -> tuple[Backup, ...]:
    day = timedelta(days=1)
    empty = BackupPart(kind="mongo", path="mongo.archive.gz", size_bytes=148, note="holds no collections", ok=False)
    return (
        _good(newest, 0),
        _nightly(newest - day, 1, state=BackupState.DAMAGED, mongo=_CUT),
        _partial(newest - day - timedelta(hours=9)),
        _good(newest - 2 * day, 2),
        _nightly(newest - 3 * day, 3, without="redis"),
        _manual(newest - 3 * day - timedelta(hours=4)),
        *(_good(newest - number * day, number) for number in range(4, 8)),
        _nightly(newest - 14 * day, 14, mongo=empty),
        _good(newest - 21 * day, 21),
    )


_CUT = BackupPart(
    kind="mongo",
    path="mongo.archive.gz",
    size_bytes=412 * MB,
    note="is cut short in the middle of its gzip data",
    ok=False,
)


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d_%H%M%S}"


def _parts(days: int) -> dict[str, BackupPart]:
    """A night's parts; the further back, the smaller."""
    return {
        "mongo": BackupPart(
            kind="mongo", path="mongo.archive.gz", size_bytes=_MONGO - days * 19 * MB, note="11 collections of harbour"
        ),
        "redis": BackupPart(
            kind="redis", path="redis.rdb", size_bytes=118 * MB - days * 90_000, note="Redis 7.2.5, 48,210 keys"
        ),
        "files": BackupPart(
            kind="files",
            path="uploads.tar.gz",
            size_bytes=int(2.2 * GB) - days * 31 * MB,
            note=f"{140_233 - days * 264:,} files",
        ),
        "config": BackupPart(kind="config", path="env.production.backup", size_bytes=1_912),
        "manifest": BackupPart(kind="manifest", path="manifest.txt", size_bytes=604),
    }


def _good(moment: datetime, days: int) -> Backup:
    return _nightly(moment, days, state=BackupState.GOOD)


def _nightly(
    moment: datetime,
    days: int,
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
        layout="backup.sh",
        taken_at=moment,
        size_bytes=sum(part.size_bytes for part in parts.values()),
        state=state,
        parts=tuple(parts.values()),
        missing=(without,) if without else (),
        problem=problem or (f"lacks {without}" if without else ""),
    )


def _partial(moment: datetime) -> Backup:
    name = f".partial-{_stamp(moment)}"
    part = BackupPart(kind="mongo", path="mongo.archive.gz", size_bytes=930 * MB)
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


def _manual(moment: datetime) -> Backup:
    name = f"manual_backup_{_stamp(moment)}.archive"
    part = BackupPart(kind="mongo", path=name, size_bytes=int(9.8 * GB), note="11 collections of harbour")
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
