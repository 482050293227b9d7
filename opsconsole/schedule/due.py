"""What is due now: a pure function of the settings, of what was done, of the time and of the zone.

Everything has a slot, and a slot is done once. The slot of a backup is a time of day on a date of the host's calendar
(`2026-03-29 02:00`): an hour that comes twice when summer time ends is one slot, an hour that is left out is made up
when it would have been over. Only the newest slot counts, so what was missed is made up once, however long the host was
away. A clock that is set back by an hour or two doubles nothing; what was done by one that ran further ahead does not
count. Incremental backups have slots so many hours after that of the backup; the test restore and the removal of old
backups follow a backup that was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

import msgspec

from opsconsole.config.sections import ScheduleSection
from opsconsole.model import Record

FUTURE = timedelta(minutes=5)
"""What is dated later than this was dated by a clock that was wrong."""

_WRONG = timedelta(hours=2)  # further ahead than this, a clock was not corrected but wrong
_DAY = timedelta(days=1)
_AGAIN_AFTER = timedelta(hours=1)
_ATTEMPTS = 3
_MIDNIGHT = "00:00"


class Kind(StrEnum):
    BACKUP = "backup"
    INCREMENTAL = "incremental"
    VERIFY = "verify"  # the newest backup restored for a test and compared
    PRUNE = "prune"


_SAVING = (Kind.BACKUP, Kind.INCREMENTAL)


class Outcome(StrEnum):
    BEGUN = "begun"  # runs, or was killed
    DONE = "done"
    REFUSED = "refused"  # nothing was done: it can be tried again at once
    FAILED = "failed"
    GIVEN_UP = "given up"  # somebody cancelled it


class Run(Record, frozen=True):
    """One attempt at a slot."""

    kind: Kind
    slot: str
    began: datetime
    ended: datetime | None = None
    outcome: Outcome = Outcome.BEGUN
    problem: str = ""  # one line; also of a backup that was made and whose copy failed
    backup: str = ""  # id of the backup that it made


class Due(Record, frozen=True):
    """Something to do. `at` is when its slot began."""

    kind: Kind
    slot: str
    at: datetime


class Situation(Record, frozen=True):
    """What is known besides the settings. `incremental`: the database is a replica set with a backup to stand on."""

    runs: tuple[Run, ...] = ()
    incremental: bool = False


def due(settings: ScheduleSection, there: Situation, now: datetime, zone: tzinfo | None = None) -> tuple[Due, ...]:
    """What is to be done now, in this order. `zone`: of the host's calendar; None is this host's own."""
    there = msgspec.structs.replace(there, runs=credible(there.runs, now))
    wanted = _wanted(settings, there, now, zone)
    return tuple(one for one in wanted if one.at <= now and _open(one, there.runs, now))


def coming(settings: ScheduleSection, there: Situation, now: datetime, zone: tzinfo | None = None) -> tuple[Due, ...]:
    """For each kind what comes next: what is due now, what failed and is tried again, or else its next slot. Soonest
    first."""
    there = msgspec.structs.replace(there, runs=credible(there.runs, now))
    found = {one.kind: one for one in reversed(due(settings, there, now, zone))}
    for one in _wanted(settings, there, now, zone):
        if one.at <= now and (again := _again_at(_failed(one, there.runs), now)):
            found.setdefault(one.kind, msgspec.structs.replace(one, at=again))
    for one in _later(settings, there, now, zone):
        found.setdefault(one.kind, one)
    return tuple(sorted(found.values(), key=lambda one: one.at))


def credible(runs: Iterable[Run], now: datetime) -> tuple[Run, ...]:
    """Without those that a clock dated which ran far ahead of now: their slots are still to come."""
    return tuple(run for run in runs if run.began <= now + _WRONG)


def went_back(runs: Iterable[Run], now: datetime) -> timedelta | None:
    """By how much the clock lies behind the latest run; None when it does not."""
    latest = max((run.began for run in runs), default=now)
    return latest - now if latest > now + FUTURE else None


# --- slots -----------------------------------------------------------------------------------------


def _wanted(settings: ScheduleSection, there: Situation, now: datetime, zone: tzinfo | None) -> Iterator[Due]:
    """The newest slot of each kind, whether it was done or not."""
    base = _base(settings, now, zone)
    if settings.times:
        yield Due(kind=Kind.BACKUP, slot=base.slot, at=base.at)
    if one := _incremental(settings, there, base, now):
        yield one
    if settings.times and not _done(there.runs, Kind.BACKUP, base.slot):
        return  # what follows a backup waits for it
    if settings.verify_days and _days_since(there.runs, base) >= settings.verify_days:
        yield Due(kind=Kind.VERIFY, slot=base.slot, at=base.at)
    if settings.times:
        yield Due(kind=Kind.PRUNE, slot=base.slot, at=base.at)


def _later(settings: ScheduleSection, there: Situation, now: datetime, zone: tzinfo | None) -> Iterator[Due]:
    """The next slot of each kind that is not there yet."""
    base = _base(settings, now, zone)
    following = [slot for slot in _slots(settings, now, zone, ahead=max(1, settings.verify_days)) if slot.at > now]
    if following and settings.times:
        yield Due(kind=Kind.BACKUP, slot=following[0].slot, at=following[0].at)
        yield Due(kind=Kind.PRUNE, slot=following[0].slot, at=following[0].at)
    if settings.verify_days:
        fit = (slot for slot in following if _days_since(there.runs, slot) >= settings.verify_days)
        if one := next(fit, None):
            yield Due(kind=Kind.VERIFY, slot=one.slot, at=one.at)
    if settings.incremental_hours and there.incremental:
        step = timedelta(hours=settings.incremental_hours)
        at = base.at + step * ((now - base.at) // step + 1)
        if not following or at < following[0].at:
            yield Due(kind=Kind.INCREMENTAL, slot=_after(base, at), at=at)
        else:
            yield Due(
                kind=Kind.INCREMENTAL, slot=_after(following[0], following[0].at + step), at=following[0].at + step
            )


class _Slot(Record, frozen=True):
    """A time of day on a date."""

    slot: str
    day: date
    at: datetime


def _base(settings: ScheduleSection, now: datetime, zone: tzinfo | None) -> _Slot:
    """The newest slot that has begun: of the backup, or the beginning of the day where no backup is made."""
    return [one for one in _slots(settings, now, zone) if one.at <= now][-1]


def _slots(settings: ScheduleSection, now: datetime, zone: tzinfo | None, ahead: int = 1) -> list[_Slot]:
    """Those of two days before today up to so many days after it, in the order of time."""
    today = now.astimezone(zone).date()
    found = [
        _slot(today + _DAY * days, at, zone) for days in range(-2, ahead + 1) for at in settings.times or (_MIDNIGHT,)
    ]
    return sorted(found, key=lambda one: (one.at, one.slot))


def _slot(day: date, at: str, zone: tzinfo | None) -> _Slot:
    # The first of two equal hours; an hour that is left out is taken as if it had not been.
    moment = datetime.combine(day, time.fromisoformat(at), tzinfo=zone).astimezone(UTC)
    return _Slot(slot=f"{day:%Y-%m-%d} {at}", day=day, at=moment)


def _incremental(settings: ScheduleSection, there: Situation, base: _Slot, now: datetime) -> Due | None:
    if not settings.incremental_hours or not there.incremental:
        return None
    step = timedelta(hours=settings.incremental_hours)
    steps = (now - base.at) // step
    at = base.at + step * steps
    made_since = any(run.kind in _SAVING and run.outcome is Outcome.DONE and run.began >= at for run in there.runs)
    return Due(kind=Kind.INCREMENTAL, slot=_after(base, at), at=at) if steps and not made_since else None


def _after(base: _Slot, at: datetime) -> str:
    return f"{base.slot} +{(at - base.at) // timedelta(hours=1)}h"


def _days_since(runs: Sequence[Run], slot: _Slot) -> int:
    """Days of the calendar from the last test restore to a slot; more than any setting when there was none."""
    days = [date.fromisoformat(run.slot[:10]) for run in runs if run.kind is Kind.VERIFY and _over(run)]
    before = [day for day in days if day <= slot.day]
    return (slot.day - max(before)).days if before else 1 << 30


# --- what was done ---------------------------------------------------------------------------------


def _done(runs: Sequence[Run], kind: Kind, slot: str) -> bool:
    return any(run.kind is kind and run.slot == slot and run.outcome is Outcome.DONE for run in runs)


def _over(run: Run) -> bool:
    """Whether nothing more is to be done about its slot, as far as this one attempt tells."""
    if run.outcome in (Outcome.DONE, Outcome.GIVEN_UP):
        return True
    # A backup that failed the test restore is not better an hour later; and what cannot be removed stays.
    return run.outcome is Outcome.FAILED and run.kind in (Kind.VERIFY, Kind.PRUNE)


def _open(one: Due, runs: Sequence[Run], now: datetime) -> bool:
    """Whether a slot is to be done now: it was not, or failed a while ago and not too often."""
    failed = _failed(one, runs)
    return failed is not None and _again_at(failed, now) is None


def _failed(one: Due, runs: Sequence[Run]) -> list[Run] | None:
    """The attempts at a slot that failed; None when nothing more is to be done about it."""
    tried = [run for run in runs if run.kind is one.kind and run.slot == one.slot]
    failed = [run for run in tried if run.outcome is not Outcome.REFUSED]
    return None if any(_over(run) for run in tried) or len(failed) >= _ATTEMPTS else failed


def _again_at(failed: Sequence[Run] | None, now: datetime) -> datetime | None:
    """Until when the next attempt waits after those that failed; None when it does not."""
    ended = failed[-1].ended if failed else None
    # A clock that was set back must not keep it waiting.
    waits = ended is not None and timedelta() <= now - ended < _AGAIN_AFTER
    return ended + _AGAIN_AFTER if ended is not None and waits else None
