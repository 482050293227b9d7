"""What the proof of persistence stands on, gathered before anything is judged. Plain data; `gathering` fills it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from opsconsole.backups.keeping import Keeping
from opsconsole.backups.twin import Twin
from opsconsole.model import Backup, Mount, Record

MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
"""File systems that are gone after a reboot."""


class Home(StrEnum):
    """Where a server runs."""

    CONTAINER = "container"  # of the stack
    HOST = "host"  # a program of this host
    ELSEWHERE = "elsewhere"


class Database(Record, frozen=True):
    """One server of the stack."""

    kind: str  # "mongodb" or "redis"
    name: str
    home: Home = Home.CONTAINER
    cache: bool = False  # the settings say that its data may be lost
    keeping: Keeping = Keeping()
    mounts: tuple[Mount, ...] = ()  # of its container
    memory_volumes: tuple[str, ...] = ()  # volumes among them that their driver's options keep in memory
    filesystem: str = ""  # that the directory lies on, where this host can tell
    twin: Twin = Twin()


class Took(Record, frozen=True):
    """How long a restore took."""

    seconds: float
    at: datetime
    how: str  # "level 3 of 20260118_020000", "the restore of 2026-01-18"


class Facts(Record, frozen=True):
    stack: str
    databases: tuple[Database, ...] = ()
    files: tuple[str, ...] = ()  # directories and volumes with data, besides those of databases
    backups: tuple[Backup, ...] = ()  # newest first
    took: Took | None = None
    max_age_hours: float = 26.0
    proven_days: int = 31
    backups_problem: str = ""  # why the backups could not be looked at
