"""Which backups are kept and which may go, and why. A pure function of the list, the policy and the time.

Scheduled backups are counted as borg does: each rule takes the newest of a bucket (a day, an ISO week, a month) and
counts only backups that no earlier rule keeps, so 30 + 12 + 12 keeps 54 and reaches back a year or more; restic's
counting would keep 46 and reach 315 days. Manual and safety backups have rules of their own. Nothing but a good
backup ever counts, and an entry that is dated in the future is kept and never counted.

Incremental backups stand outside of all this: none of them fills a bucket or is the newest good one. Those of the last
days are kept, and those that a shown point-in-time range runs through, whose base is kept too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from statistics import median
from typing import Annotated

from msgspec import Meta

from opsconsole.backups.buckets import buckets_of
from opsconsole.model import Backup, BackupClass, BackupState, Buckets, Record

FUTURE = timedelta(minutes=5)
"""An entry that is dated later than this is taken for a clock that was wrong, not for the newest backup."""

_COMPARED = 5  # backups before the newest whose median size it is held against
_FEWEST = 3  # with fewer than this there is no usual size yet
_SUSPICIOUS = 0.5
_FAILED_KEPT = 3

Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]


class Policy(Record, frozen=True):
    """How many are kept. `keep_last` replaces the three calendar rules of scheduled backups."""

    daily: Count = 30
    weekly: Count = 12
    monthly: Count = 12
    keep_last: AtLeastOne | None = None
    manual_last: AtLeastOne = 10
    manual_days: Count = 14
    safety_last: AtLeastOne = 10
    safety_days: Count = 14
    point_in_time_days: Count = 14  # how far back every second can be restored, where there are incremental backups


class Candidate(Record, frozen=True):
    """What retention has to know of one backup."""

    id: str
    taken_at: datetime  # aware
    size_bytes: int
    state: BackupState = BackupState.GOOD
    backup_class: BackupClass = BackupClass.SCHEDULED
    layout: str = "opsconsole"
    whole: bool = True  # False: only some parts were asked for
    buckets: Buckets | None = None  # as its manifest says; None: by its date
    pinned: bool = False
    critical: bool = False
    undated: bool = False  # nobody knows of when it is
    proven: bool = False  # a restore of it was compared and found right (L3)
    base_of_range: bool = False  # a point-in-time range that is shown stands on it
    incremental: bool = False
    in_range: bool = False  # an incremental one that a shown range runs through

    @property
    def good(self) -> bool:
        return self.state is BackupState.GOOD and not self.incremental


def candidate(
    backup: Backup,
    *,
    pinned: bool = False,
    proven: bool = False,
    base_of_range: bool = False,
) -> Candidate:
    """What retention has to know of a backup in the catalogue, and what only its keeper knows."""
    state = backup.state
    sound = all(part.ok for part in backup.parts) and not set(backup.asked) & set(backup.missing)
    if backup.asked and state is BackupState.INCOMPLETE and sound:
        state = BackupState.GOOD  # it lacks only what was not asked for
    return Candidate(
        id=backup.id,
        taken_at=backup.taken_at,
        size_bytes=backup.size_bytes,
        state=state,
        backup_class=backup.backup_class,
        layout=backup.layout,
        whole=not backup.asked and not backup.incremental,
        buckets=backup.buckets,
        pinned=pinned,
        critical=backup.critical,
        undated=backup.undated,
        proven=proven,
        base_of_range=base_of_range,
        incremental=backup.incremental,
    )


class Decision(Record, frozen=True):
    """`reasons` are phrases that follow the backup's name: "pinned", "daily 3 of 30 (2026-01-18)"."""

    id: str
    kept: bool
    reasons: tuple[str, ...]

    @property
    def why(self) -> str:
        return "; ".join(self.reasons)


class Retention(Record, frozen=True):
    """The answer: newest first. While it is `frozen` nothing is removed, whatever the decisions say."""

    decisions: tuple[Decision, ...]
    frozen: str = ""  # one sentence: why

    @property
    def removable(self) -> tuple[str, ...]:
        """Ids that may be removed now, oldest first."""
        if self.frozen:
            return ()
        return tuple(decision.id for decision in reversed(self.decisions) if not decision.kept)


def decide(backups: Iterable[Candidate], policy: Policy, now: datetime, zone: tzinfo | None = None) -> Retention:
    """For each backup whether it is kept and why. `zone` is for those without buckets (None: this host's)."""
    listed = sorted(backups, key=lambda one: (one.taken_at, one.id), reverse=True)
    counted = [one for one in listed if one.taken_at <= now + FUTURE]
    reasons: dict[str, list[str]] = {one.id: [] for one in listed}
    _protect(listed, counted, reasons)
    good = [one for one in counted if one.good]
    for rule in _rules(good, policy, now, zone):
        for found, why in rule:
            reasons[found.id].append(why)
    since = now - timedelta(days=policy.point_in_time_days)
    for one in counted:
        if one.incremental and one.taken_at >= since:
            reasons[one.id].append(f"younger than {since:%Y-%m-%d}, from when on all incremental backups are kept")
    _keep_failed([one for one in counted if not one.incremental], reasons)
    newest_of_day = _newest_by_day(good, zone)
    decisions = [
        Decision(id=one.id, kept=True, reasons=tuple(kept))
        if (kept := reasons[one.id])
        else Decision(id=one.id, kept=False, reasons=(_why_it_goes(one, policy, newest_of_day, zone),))
        for one in listed
    ]
    return Retention(decisions=tuple(decisions), frozen=_frozen(counted))


def suspicion(size: int, earlier: Sequence[int]) -> str:
    """Why a new backup of `size` bytes is not believed, "" if it is. `earlier`: sizes of its like, newest first."""
    compared = earlier[:_COMPARED]
    if len(compared) < _FEWEST:
        return ""
    usual = median(compared)
    if size >= usual * _SUSPICIOUS:
        return ""
    return f"is suspiciously small: {size / usual:.0%} of the median of the last {len(compared)}"


# --- what no rule may touch ------------------------------------------------------------------------


def _protect(listed: Sequence[Candidate], counted: Sequence[Candidate], reasons: dict[str, list[str]]) -> None:
    known = {one.id for one in counted}
    for one in listed:
        if one.pinned:
            reasons[one.id].append("pinned")
        if one.critical:
            reasons[one.id].append("critical, kept for ever")
        if one.undated:
            reasons[one.id].append("its name has no date, so no rule decides about it")
        if one.base_of_range:
            reasons[one.id].append("a point-in-time range stands on it")
        if one.in_range:
            reasons[one.id].append("a point-in-time range runs through it")
        if one.state is BackupState.UNFINISHED:
            reasons[one.id].append("not finished, which is no matter for retention")
        if one.id not in known:
            reasons[one.id].append("dated in the future, so it is not counted")
    good = [one for one in counted if one.good]
    whole = [one for one in good if one.whole and not one.undated]
    if whole:
        reasons[whole[0].id].append("the newest good backup")
    if proven := [one for one in good if one.proven]:
        reasons[proven[0].id].append("the last one that a restore proved")
    for backup_class in BackupClass:
        first = next((one for one in whole if one.backup_class is backup_class), None)
        if first is not None and first is not whole[0]:
            reasons[first.id].append(f"the newest good {backup_class} backup")


def _keep_failed(counted: Sequence[Candidate], reasons: dict[str, list[str]]) -> None:
    """What is newer than every good one may be all there is of the last days. Older ones are only for looking into."""
    newer, older = True, 0
    for one in counted:
        if one.good:
            newer = newer and (not one.whole or one.undated)
        elif one.state is not BackupState.UNFINISHED:
            older += not newer
            if newer:
                reasons[one.id].append(f"{one.state}, but newer than every good one")
            elif older <= _FAILED_KEPT:
                reasons[one.id].append(f"{one.state}, one of the last {_FAILED_KEPT} that failed")


def _frozen(counted: Sequence[Candidate]) -> str:
    attempts = [one for one in counted if one.whole and one.backup_class is not BackupClass.SAFETY and not one.undated]
    if not attempts:
        return ""
    newest = attempts[0]
    if not newest.good:
        return f"nothing is removed: the newest backup, {newest.id}, is {newest.state}"
    like = [one.size_bytes for one in attempts[1:] if one.good and one.layout == newest.layout]
    doubt = suspicion(newest.size_bytes, like)
    return f"nothing is removed: the newest backup, {newest.id}, {doubt}" if doubt else ""


# --- rules -----------------------------------------------------------------------------------------

_Kept = list[tuple[Candidate, str]]


def _rules(good: Sequence[Candidate], policy: Policy, now: datetime, zone: tzinfo | None) -> Iterable[_Kept]:
    def of(backup_class: BackupClass) -> list[Candidate]:
        return [one for one in good if one.whole and one.backup_class is backup_class and not one.undated]

    scheduled = of(BackupClass.SCHEDULED)
    if policy.keep_last is not None:
        yield _last(scheduled, policy.keep_last, "backups")
    else:
        yield _calendar(scheduled, policy, zone)
    manual, safety = timedelta(days=policy.manual_days), timedelta(days=policy.safety_days)
    yield _last(of(BackupClass.MANUAL), policy.manual_last, "manual backups", now - manual)
    yield _last(of(BackupClass.SAFETY), policy.safety_last, "safety backups", now - safety)
    some = [one for one in good if not one.whole]
    yield _last(some, policy.manual_last, "backups of single parts", now - manual)


def _last(newest_first: Sequence[Candidate], number: int, noun: str, since: datetime | None = None) -> _Kept:
    kept = [(one, f"{place} of the last {number} {noun}") for place, one in enumerate(newest_first[:number], 1)]
    if since is not None:
        young = (one for one in newest_first[number:] if one.taken_at >= since)
        kept += [(one, f"younger than {since:%Y-%m-%d}, from when on all {noun} are kept") for one in young]
    return kept


def _calendar(newest_first: Sequence[Candidate], policy: Policy, zone: tzinfo | None) -> _Kept:
    kept: _Kept = []
    taken: set[str] = set()
    for rule, field, number in (
        ("daily", "day", policy.daily),
        ("weekly", "week", policy.weekly),
        ("monthly", "month", policy.monthly),
    ):
        found = _one_rule(newest_first, rule, field, number, taken, zone)
        kept += found
        taken.update(one.id for one, _ in found)
    return kept


def _one_rule(
    newest_first: Sequence[Candidate], rule: str, field: str, number: int, taken: set[str], zone: tzinfo | None
) -> _Kept:
    kept: _Kept = []
    seen: set[str] = set()
    for one in newest_first:
        if len(kept) == number:
            return kept
        bucket = _bucket(one, field, zone)
        if bucket not in seen:
            seen.add(bucket)
            if one.id not in taken:
                kept.append((one, f"{rule} {len(kept) + 1} of {number} ({bucket})"))
    oldest = newest_first[-1] if newest_first and len(kept) < number else None
    if oldest is not None and oldest.id not in taken and all(one is not oldest for one, _ in kept):
        kept.append((oldest, f"the oldest, as the {rule} rule has room"))
    return kept


def _bucket(one: Candidate, field: str, zone: tzinfo | None) -> str:
    bucket: str = getattr(one.buckets or buckets_of(one.taken_at, zone), field)
    return bucket


# --- words -----------------------------------------------------------------------------------------


def _newest_by_day(good: Sequence[Candidate], zone: tzinfo | None) -> dict[str, str]:
    scheduled = (one for one in good if one.whole and one.backup_class is BackupClass.SCHEDULED and not one.undated)
    newest: dict[str, str] = {}
    for one in scheduled:
        newest.setdefault(_bucket(one, "day", zone), one.id)
    return newest


def _why_it_goes(one: Candidate, policy: Policy, newest_of_day: dict[str, str], zone: tzinfo | None) -> str:
    if one.incremental:
        return f"older than {policy.point_in_time_days} days, and no point-in-time range runs through it"
    if not one.good:
        return f"{one.state}, and there are newer good ones"
    if not one.whole:
        return f"older than the last {policy.manual_last} backups of single parts and {policy.manual_days} days"
    match one.backup_class:
        case BackupClass.MANUAL:
            return f"older than the last {policy.manual_last} manual backups and {policy.manual_days} days"
        case BackupClass.SAFETY:
            return f"older than the last {policy.safety_last} safety backups and {policy.safety_days} days"
    if policy.keep_last is not None:
        return f"older than the last {policy.keep_last} backups"
    day = _bucket(one, "day", zone)
    newest = newest_of_day.get(day, one.id)
    if newest != one.id:
        return f"{newest} of the same day is newer"
    return f"no daily, weekly or monthly rule ({policy.daily}, {policy.weekly}, {policy.monthly}) needs it"
