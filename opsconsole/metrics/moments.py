"""Moments as the tables hold them."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds_of(at: datetime) -> int:
    """Whole seconds since 1970."""
    return int(at.timestamp())


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def from_seconds(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
