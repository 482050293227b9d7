"""The calendar buckets that a backup stands for."""

from __future__ import annotations

from datetime import datetime, tzinfo

from opsconsole.model import Buckets


def buckets_of(taken_at: datetime, zone: tzinfo | None = None) -> Buckets:
    """The buckets of a moment, by the calendar of `zone` (None: this host's). `taken_at` must be aware."""
    local = taken_at.astimezone(zone)
    year, week, _ = local.isocalendar()
    return Buckets(day=f"{local:%Y-%m-%d}", week=f"{year:04}-W{week:02}", month=f"{local:%Y-%m}")
