"""Which moments can be restored to the second, and from what: full backups and the slices of the oplog after them.

A full backup is a state of the database at one moment of the oplog, slices are what was written from then on. Where
they follow each other without a gap, every second can be restored. Pure functions over the catalogue's backups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from opsconsole.backups.retention import Candidate, Policy, candidate
from opsconsole.model import Backup, BackupState, OplogSpan, OplogTime, Record


class Chain(Record, frozen=True):
    """A full backup and the slices that have to be applied to it, oldest first; ids."""

    base: str
    slices: tuple[str, ...]


class Range(Record, frozen=True):
    """Every second from `first` to `last`, both included, can be restored."""

    part: str  # the service
    first: datetime
    last: datetime
    chain: Chain


class Resume(Record, frozen=True):
    """Where a new slice begins: after `after`, the end of the backup `continues`, in the same replica set."""

    continues: str
    part: str
    replica_set: str
    set_id: str
    server: str
    after: OplogTime


def ranges(backups: Iterable[Backup], since: datetime | None = None) -> tuple[Range, ...]:
    """The ranges that are shown, oldest first. One that ends before `since` is not, and one that began long before
    begins at the newest full backup from which everything after `since` can be reached.

    The backups are those of the catalogue: what is damaged, or was found to be later, ends a range.
    """
    by_end: dict[tuple[str, str, OplogTime], list[_Walked]] = {}
    for walked in _walks(backups):
        by_end.setdefault((walked.base.part, walked.base.replica_set, walked.reach), []).append(walked)
    found = []
    for unbroken in by_end.values():
        unbroken.sort(key=lambda one: (one.base.ends, one.chain.base))
        last = unbroken[0].last
        if since is not None and last < since:
            continue
        usable = [one for one in unbroken if one.first <= last]
        older = [one for one in usable if since is not None and one.first <= since]
        for one in (older[-1:] or usable)[:1]:
            found.append(Range(part=one.base.part, first=one.first, last=last, chain=one.chain))
    return tuple(sorted(found, key=lambda one: (one.first, one.last, one.part)))


def chain_to(backups: Iterable[Backup], part: str, moment: datetime) -> Chain | None:
    """What has to be applied to restore the whole second of `moment`: the newest full backup before it, and the slices
    up to it. None outside of every range."""
    usable = [one for one in _walks(backups) if one.base.part == part and one.first <= moment < one.last + _SECOND]
    best = max(usable, key=lambda one: (one.base.ends, one.chain.base), default=None)
    return best.through(moment) if best is not None else None


def resume(backups: Iterable[Backup], part: str) -> tuple[Resume, ...]:
    """Where the next slice of a service may begin, best first: at the end of the newest slice, so that the range goes
    on; when the oplog does not reach back to it, at the newest full backup. Empty when there is none."""
    walks = [one for one in _walks(backups) if one.base.part == part]
    going_on = max((one for one in walks if one.slices), key=lambda one: one.reach, default=None)
    newest = max(walks, key=lambda one: (one.base.begins, one.chain.base), default=None)
    found = [one.resume for one in (going_on, newest) if one is not None]
    return tuple(dict.fromkeys(found))


def held(shown: Sequence[Range]) -> tuple[frozenset[str], frozenset[str]]:
    """The full backups and the slices without which a shown range would be shorter."""
    bases = frozenset(one.chain.base for one in shown)
    return bases, frozenset(name for one in shown for name in one.chain.slices)


def with_ranges(
    candidates: Iterable[Candidate], backups: Sequence[Backup], policy: Policy, now: datetime
) -> list[Candidate]:
    """The candidates of retention, told which of them a shown range needs."""
    bases, slices = held(ranges(backups, now - timedelta(days=policy.point_in_time_days)))
    return [
        msgspec.structs.replace(one, base_of_range=one.id in bases, in_range=one.id in slices) for one in candidates
    ]


# --- walking from slice to slice -------------------------------------------------------------------

_SECOND = timedelta(seconds=1)


class _Walked:
    """How far one comes from a full backup."""

    def __init__(self, name: str, base: OplogSpan, slices: Sequence[tuple[str, OplogSpan]]) -> None:
        self.base = base
        self.slices = _unbroken(base, slices)
        self.chain = Chain(base=name, slices=tuple(one for one, _ in self.slices))
        self.reach = self.slices[-1][1].ends if self.slices else base.begins

    @property
    def first(self) -> datetime:
        return datetime.fromtimestamp(self.base.ends.time, UTC)

    @property
    def last(self) -> datetime:
        """The last second of which everything is there: in the one at whose middle a slice ends more was written."""
        return datetime.fromtimestamp(self.reach.time, UTC) - _SECOND

    @property
    def resume(self) -> Resume:
        name, span = self.slices[-1] if self.slices else (self.chain.base, self.base)
        ids = [one.set_id for one in (self.base, *(one for _, one in self.slices)) if one.set_id]
        return Resume(
            continues=name,
            part=span.part,
            replica_set=span.replica_set,
            set_id=ids[0] if ids else "",
            server=span.server,
            after=self.reach,
        )

    def through(self, moment: datetime) -> Chain:
        """The slices that are needed for one second: up to the first that ends after it."""
        needed = []
        for name, span in self.slices:
            needed.append(name)
            if datetime.fromtimestamp(span.ends.time, UTC) > moment:
                break
        return Chain(base=self.chain.base, slices=tuple(needed))


def _walks(backups: Iterable[Backup]) -> list[_Walked]:
    bases: list[tuple[str, OplogSpan]] = []
    slices: list[tuple[str, OplogSpan]] = []
    for backup in backups:
        if backup.incremental and backup.state is BackupState.INCREMENTAL:
            slices += [(backup.id, span) for span in backup.oplog if span.continues]
        elif not backup.incremental and candidate(backup).good:
            bases += [(backup.id, span) for span in backup.oplog]
    return [_Walked(name, span, slices) for name, span in bases]


def _unbroken(base: OplogSpan, slices: Sequence[tuple[str, OplogSpan]]) -> list[tuple[str, OplogSpan]]:
    """Slice after slice, each beginning no later than the one before ends, and reaching farther."""
    reach, set_id = base.begins, base.set_id
    found: list[tuple[str, OplogSpan]] = []
    # A hostile list of thousands is still quick: what begins later is looked at later.
    waiting = sorted((one for one in slices if _alike(base, one[1])), key=lambda one: (one[1].begins, one[0]))
    at = 0
    best: tuple[str, OplogSpan] | None = None
    while True:
        while at < len(waiting) and waiting[at][1].begins <= reach:
            one = waiting[at]
            at += 1
            same = not set_id or not one[1].set_id or one[1].set_id == set_id
            if same and (best is None or one[1].ends > best[1].ends):
                best = one
        if best is None or best[1].ends <= reach:
            return found
        found.append(best)
        reach, set_id = best[1].ends, set_id or best[1].set_id


def _alike(base: OplogSpan, other: OplogSpan) -> bool:
    """Whether a slice may be of the same server. Another release of it may write other kinds of entries."""
    names = (base.part, base.replica_set, _release(base.server))
    return names == (other.part, other.replica_set, _release(other.server))


def _release(server: str) -> str:
    """`MongoDB 6.0` of `MongoDB 6.0.5`."""
    return ".".join(server.split(".")[:2])
