"""What sort of backup one is, and the calendar buckets that it stands for."""

from __future__ import annotations

from datetime import datetime, tzinfo
from enum import StrEnum

from opsconsole.model import Record


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


def buckets_of(taken_at: datetime, zone: tzinfo | None = None) -> Buckets:
    """The buckets of a moment, by the calendar of `zone` (None: this host's). `taken_at` must be aware."""
    local = taken_at.astimezone(zone)
    year, week, _ = local.isocalendar()
    return Buckets(day=f"{local:%Y-%m-%d}", week=f"{year:04}-W{week:02}", month=f"{local:%Y-%m}")
