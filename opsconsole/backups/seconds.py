"""The second that MongoDB is restored to: as it is typed, stepped, and placed in the ranges that can be had. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from opsconsole.backups.oplog_ranges import Range
from opsconsole.model import SourceError

SHAPE = "%Y-%m-%d %H:%M:%S"
STEPS = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1),
}
_TIME_ALONE = re.compile(r"\d{1,2}:\d\d(:\d\d)?")
_HOW = "Write 2026-01-31 14:05:00, or 14:05:00 alone for the same day; with Z or +01:00 for another zone."


def typed(text: str, day: datetime, zone: tzinfo | None = None) -> datetime:
    """A whole second in UTC: with a date or of the `day` that is shown, by the clock of `zone` (this host's) unless an
    offset is written. Raises SourceError that says what is wrong, also for what that clock shows twice or never."""
    plain = text.strip()
    if _TIME_ALONE.fullmatch(plain):
        plain = f"{day.astimezone(zone):%Y-%m-%d} {plain.zfill(5) if plain.count(':') == 1 else plain.zfill(8)}"
    try:
        at = datetime.fromisoformat(plain)
    except ValueError:
        raise SourceError(f"{text.strip() or 'nothing'} is no time", _HOW) from None
    at = at.replace(microsecond=0)
    try:
        return at.astimezone(UTC) if at.tzinfo is not None else _by_the_clock(at, zone)
    except OverflowError:
        raise SourceError(f"{text.strip()} is no time", _HOW) from None


def _by_the_clock(at: datetime, zone: tzinfo | None) -> datetime:
    first, second = (
        (at.replace(tzinfo=zone, fold=fold) if zone else at.replace(fold=fold)).astimezone(UTC) for fold in (0, 1)
    )
    if first == second:
        return first
    if first.astimezone(zone).replace(tzinfo=None) != at:
        raise SourceError(f"{at:{SHAPE}} was never: the clock is set forward there", "Choose a second before or after.")
    both = " or ".join(f"{one.astimezone(zone).isoformat(sep=' ')}" for one in (first, second))
    raise SourceError(f"{at:{SHAPE}} was twice: the clock is set back there", f"Write {both}.")


def range_of(at: datetime, shown: Sequence[Range]) -> int | None:
    """The number of the newest range that holds this second."""
    return next(
        (number for number in reversed(range(len(shown))) if shown[number].first <= at <= shown[number].last), None
    )


def held(at: datetime, within: Range) -> datetime:
    """The same second, or the edge of the range that it passed."""
    return max(within.first, min(within.last, at))


def why_not(at: datetime, shown: Sequence[Range], zone: tzinfo | None = None) -> str:
    """Why a second outside of every range cannot be had, in a sentence."""
    before = [one.last for one in shown if one.last < at]
    after = [one.first for one in shown if one.first > at]
    if not before and not after:
        return "No second can be had."
    if not after:
        return f"That is after the last second that can be had, {local(max(before), zone)}."
    if not before:
        return f"That is before the first second that can be had, {local(min(after), zone)}."
    edges = f"{local(max(before), zone)} and {local(min(after), zone)}"
    return f"That lies in a gap: nothing holds what was written between {edges}."


def local(at: datetime, zone: tzinfo | None = None) -> str:
    """`2026-01-31 14:05:00`, by the clock of this host."""
    return at.astimezone(zone).strftime(SHAPE)


def zone_said(at: datetime, zone: tzinfo | None = None) -> str:
    """`CET, UTC+01:00`; `UTC`."""
    there = at.astimezone(zone)
    offset, name = there.isoformat()[19:], there.tzname() or ""
    if offset in ("+00:00", ""):
        return "UTC" if name in ("UTC", "") else f"{name}, UTC"
    return f"{name}, UTC{offset}" if name[:1].isalpha() and not name.startswith("UTC") else f"UTC{offset}"
