"""Backups: what was found, what is in one, what became known of it since."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from opsconsole.model.record import Record


class BackupState(StrEnum):
    GOOD = "good"  # every expected part is there and plausible; deeper levels come with `verify`
    INCOMPLETE = "incomplete"  # a part that this stack needs is missing or empty
    DAMAGED = "damaged"  # a part is there and cannot be what it says it is
    UNFINISHED = "unfinished"  # a partial directory: being written, or left by a killed run
    INCREMENTAL = "incremental"  # sound, and of use only together with the backup that it continues


class BackupClass(StrEnum):
    """Each class has its own retention rule, so that one never pushes out another."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    SAFETY = "safety"  # taken by an operation before it changes data


class Buckets(Record, frozen=True):
    """The day, the ISO week and the month that a backup stands for. Written down when it is taken, so that a
    change of the host's time zone moves no backup into another bucket."""

    day: str  # 2026-01-18
    week: str  # 2026-W03: ISO year and week, so 2024-12-30 lies in 2025-W01
    month: str  # 2026-01


class BackupPart(Record, frozen=True):
    kind: str  # "mongo", "redis", "files", "config", "manifest"
    path: str  # relative to the backup
    size_bytes: int
    note: str = ""  # e.g. "42 collections", "empty"
    ok: bool = True


class BackupCopy(Record, frozen=True):
    """Where else a backup lies."""

    place: str
    at: datetime
    verified: bool = False  # it was compared there


class OplogTime(Record, frozen=True, order=True):
    """A moment in the oplog of a MongoDB replica set: seconds since 1970, and the count within the second."""

    time: Annotated[int, Meta(ge=0, lt=1 << 32)]
    increment: Annotated[int, Meta(ge=0, lt=1 << 32)]


class OplogSpan(Record, frozen=True):
    """Where a backup of MongoDB stands in the oplog of its replica set.

    A full one was read between the two moments and is whole at `ends`; an incremental one holds what was written
    after `begins`, up to and including `ends`.
    """

    part: str  # of which service
    replica_set: str
    set_id: str  # hex; "" where it could not be read
    server: str  # "MongoDB 6.0.5"
    begins: OplogTime
    ends: OplogTime
    continues: str = ""  # the id of the backup at whose end it begins; "" for a full one


class Backup(Record, frozen=True):
    id: str  # directory or file name
    path: str
    layout: str  # "backup.sh", "mps", "mongodump", "archive", "opsconsole"
    taken_at: datetime
    size_bytes: int
    state: BackupState
    parts: tuple[BackupPart, ...] = ()
    missing: tuple[str, ...] = ()  # kinds of parts that this stack needs and that are not in it
    problem: str = ""  # one sentence; "" when good
    in_future: bool = False  # dated later than now + 5 min: shown, never counted as the newest
    undated: bool = False  # its name has no date: `taken_at` is its file time, which a copy changes
    note: str = ""  # what else to know: dated by its file time, only its beginning was read ...
    backup_class: BackupClass = BackupClass.SCHEDULED  # older layouts do not tell: a script took them
    # As its manifest says; older layouts have none of these.
    why: str = ""  # "before restore of 20260117_020000"
    critical: bool = False  # kept for ever
    asked: tuple[str, ...] = ()  # the kinds of parts that were asked for; () for all that the stack has
    buckets: Buckets | None = None
    oplog: tuple[OplogSpan, ...] = ()  # one for each MongoDB server that is a replica set
    # What became known of it since.
    pinned: bool = False
    checked_level: int | None = None  # the highest level on which it was found right, 0 to 3
    checked_at: datetime | None = None
    check_problem: str = ""  # what the last look found wrong
    copies: tuple[BackupCopy, ...] = ()
    kept: str = ""  # why retention keeps it
    goes: str = ""  # why it may go, when no rule keeps it

    @property
    def incremental(self) -> bool:
        return any(span.continues for span in self.oplog)


class HeldFile(Record, frozen=True):
    path: str  # relative to the backup
    size: int


class HeldCollection(Record, frozen=True):
    database: str
    name: str
    kind: str = "collection"  # collection, view, timeseries
    documents: int = 0
    size: int = 0  # bytes of BSON
    indexes: int = 0


class HeldKeys(Record, frozen=True):
    """The keys of one Redis database."""

    database: int
    keys: int
    expiring: int = 0


class HeldPart(Record, frozen=True):
    """What a manifest says of one part."""

    kind: str  # "mongo", "redis", "files", "config"
    name: str  # of the service, the directory or the volume
    files: tuple[HeldFile, ...] = ()
    consistency: str = ""  # "one point in time", "per collection", "per file"
    server: str = ""  # "MongoDB 6.0.5"
    source: str = ""  # the directory or volume that was saved
    seconds: float = 0.0
    collections: tuple[HeldCollection, ...] = ()
    keys: tuple[HeldKeys, ...] = ()
    members: int = 0  # files, directories and links
    content_size: int = 0  # bytes before packing
    changed: tuple[str, ...] = ()  # files that changed while they were read
    notes: tuple[str, ...] = ()


class BackupCheck(Record, frozen=True):
    """The last time that a backup was looked at on one level."""

    level: int
    at: datetime
    problem: str = ""  # "" when all was right


class BackupContents(Record, frozen=True):
    """What is known of one backup besides what the list shows: read from its manifest and the marks beside it."""

    parts: tuple[HeldPart, ...] = ()
    checks: tuple[BackupCheck, ...] = ()  # lowest level first
    pinned_why: str = ""
    host: str = ""
    release: str = ""
    made_by: str = ""  # the version of opsconsole
    seconds: float | None = None  # it took so long
    encrypted_to: tuple[str, ...] = ()  # public keys
    problem: str = ""  # why there is no manifest to tell from
