"""Signs that data is missing: what the guard of an operation found, and what is fewer now than at the last count.

A count by itself never proves a loss (somebody may have removed them on purpose): it is a sign, with its age.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from opsconsole.backups.naming import BEFORE_RESTORE
from opsconsole.model import OF_THE_SERVER, Backup, BackupState, MongoStatus, Record, RedisStatus, Sign, Snapshot

__all__ = ["Baseline", "Restored", "Sign", "good_backups", "signs"]

LEAST = 10
"""A collection that held fewer documents may be empty by nature: a list of jobs, of locks."""

LEFT = 0.1
"""A collection that holds less than this share of what it held is nearly emptied: that is no daily business."""


class Baseline(Record, frozen=True):
    """What there was at one moment: counted by the guard of an operation, or held by a backup."""

    at: datetime
    origin: str  # "the backup 20260312_020000", "the count after restart of 14:02"
    collections: dict[str, dict[str, int]] = {}  # by "<server> <database>": documents by collection
    keys: dict[str, int] = {}  # lasting keys by "<server>"
    shrinking: tuple[str, ...] = ()  # "database.collection" that loses documents by itself
    backup: str = ""  # its id, where it is one


class Restored(Record, frozen=True):
    """What is as it is meant since then: by a restore, or because somebody closed an incident knowing of it. `names`
    are collections, databases, or the lines of signs; () is everything."""

    at: datetime
    names: tuple[str, ...] = ()

    def covers(self, sign: Sign) -> bool:
        """Whether it came after that count, and put there what is fewer since."""
        if sign.at > self.at:
            return False
        said = sign.collection or sign.text
        return not self.names or any(said == name or name in said for name in self.names)


def signs(
    snapshot: Snapshot, losses: Sequence[Sign], baselines: Sequence[Baseline], restored: Sequence[Restored] = ()
) -> tuple[Sign, ...]:
    """Each missing thing once, by the newest count that knows it. What a restore has put there since is meant so."""
    known = sorted(baselines, key=lambda one: one.at, reverse=True)
    found = [
        msgspec.structs.replace(one, backup=_taken_before(snapshot, one.at))
        for one in losses
        if not any(later.covers(one) for later in restored)
    ]
    said: set[str] = set()
    for baseline in known:
        for sign in _against(snapshot, baseline):
            key = sign.collection or sign.text
            if key not in said and not any(later.covers(sign) for later in restored):
                said.add(key)
                found.append(msgspec.structs.replace(sign, backup=_holder(snapshot, known, sign)))
    return tuple(found)


def good_backups(snapshot: Snapshot) -> tuple[Backup, ...]:
    """Newest first, without what restores put aside: that is the data which was not wanted."""
    sound = (one for one in snapshot.backups if one.state is BackupState.GOOD and not one.in_future)
    own = (one for one in sound if not one.why.startswith(BEFORE_RESTORE))
    return tuple(sorted(own, key=lambda one: one.taken_at, reverse=True))


def _taken_before(snapshot: Snapshot, at: datetime) -> str:
    return next((one.id for one in good_backups(snapshot) if one.taken_at < at), "")


def _holder(snapshot: Snapshot, known: Sequence[Baseline], sign: Sign) -> str:
    """A backup that was taken after the loss holds the loss."""
    good = {one.id for one in good_backups(snapshot)}
    database, _, name = sign.collection.partition(".")
    for baseline in known:
        if baseline.backup in good:
            held = [one.get(name, 0) for key, one in baseline.collections.items() if key.endswith(f" {database}")]
            if max(held, default=0) >= LEAST or (not name and any(baseline.keys.values())):
                return baseline.backup
    return ""


def _against(snapshot: Snapshot, baseline: Baseline) -> Iterable[Sign]:
    alone = sum(isinstance(status, MongoStatus) for status in snapshot.databases) == 1
    for status in snapshot.databases:
        if not status.reachable:
            continue
        if isinstance(status, MongoStatus):
            yield from _mongo(status, baseline, alone=alone)
        else:
            yield from _redis(status, baseline)


def _mongo(status: MongoStatus, baseline: Baseline, *, alone: bool) -> Iterable[Sign]:
    if not status.listed or "may not read" in status.problem:
        return  # what was not listed is not missing
    now = {database.name: {one.name: one.documents for one in database.collections} for database in status.databases}
    for key, known in baseline.collections.items():
        server, _, database = key.partition(" ")
        if (server != status.target.name and not alone) or database in OF_THE_SERVER:
            continue
        there = now.get(database, {})
        for name, documents in known.items():
            full = f"{database}.{name}"
            if documents < LEAST or full in baseline.shrinking or name.startswith("system."):
                continue
            left = there.get(name, 0)
            if left is None:
                continue
            if left == 0:
                how = "0 now" if name in there else "gone now"
            elif left < documents * LEFT:
                how = f"{left:,} now"
            else:
                continue
            yield Sign(
                at=baseline.at,
                text=f"{full}: {documents:,} documents in {baseline.origin}, {how}",
                collection=full,
                database="mongodb",
                gone=left == 0,
            )


def _redis(status: RedisStatus, baseline: Baseline) -> Iterable[Sign]:
    before = baseline.keys.get(status.target.name, 0)
    if before < LEAST or status.loading or status.eviction_policy.startswith("allkeys"):
        return
    if not any(one.keys for one in status.keyspaces):
        yield Sign(
            at=baseline.at,
            text=f"{status.target.name}: {before:,} lasting keys in {baseline.origin}, 0 now",
            database="redis",
        )
