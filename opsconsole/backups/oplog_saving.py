"""An incremental backup of MongoDB: a slice of the oplog of its replica set, from where the last backup ends.

The file holds the entries as the server has them, end to end, as the oplog.bson of mongodump does: unpacked with
`gunzip` it is what `mongorestore --oplogReplay --oplogFile` takes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo.errors import OperationFailure

from opsconsole.backups.encryption import NOBODY, Recipients
from opsconsole.backups.manifest import HeldFile, HeldOplog, Part, PartKind
from opsconsole.backups.mongo_oplog import (
    OPLOG,
    ReplicaSet,
    committed,
    has_entry,
    oldest_entry,
    oplog_time,
    replica_set,
    timestamp,
)
from opsconsole.backups.mongo_raw import answers, ask, raw_batches
from opsconsole.backups.oplog_ranges import Resume
from opsconsole.backups.packed_files import PackedFile, Packing
from opsconsole.backups.progress import IsCancelled, OnProgress, Watch
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import ANSWER_SECONDS, RawClient, bulk_client
from opsconsole.sources.mongo_faults import forbidden
from opsconsole.sources.network import Explained
from opsconsole.text import printable

SLICE = "oplog.bson.gz"
"""The file of the part, before the suffix of its encryption. Always gzip, whatever the archives are packed with:
everything that reads dumps takes it."""

FULL_BACKUP = "take a full backup: the incremental ones go on from there"
_POSITION_LOST = 136  # CappedPositionLost: what we were about to read was removed


class RangeEnded(Explained):
    """What was written since the last backup cannot be told any more: only a full backup begins a new range."""


class SliceSaver:
    """Saves what was written since the last backup, for `publishing.make`."""

    kind: PartKind = "mongo"

    def __init__(
        self,
        connection: Connection,
        after: Sequence[Resume],
        *,
        file: str = SLICE,
        recipients: Recipients = NOBODY,
        progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`after` is what `oplog_ranges.resume` found, not empty: the first that the oplog still reaches back to is
        continued. `file` is another one where a stack has two servers."""
        self.name = after[0].part
        self._connection = connection
        self._after = after
        self._file = file + recipients.suffix
        self._recipients = recipients
        self._watching = (progress, cancelled)
        self._answer_seconds = answer_seconds

    def save(self, place: Path) -> Part:
        """Raises RangeEnded and other Explained, which are SourceErrors, and Cancelled. No file is left then."""
        path = place / self._file
        try:
            with bulk_client(self._connection, answer_seconds=self._answer_seconds) as client:
                return self._slice(client, path)
        except OSError as error:
            reason = f"{path} cannot be written: {error.strerror or error}"
            raise Explained(reason, "make room or name another place; nothing was kept of this backup") from error

    def _slice(self, client: RawClient, path: Path) -> Part:
        begun = time.monotonic()
        server = f"MongoDB {ask(client.admin, {'buildInfo': 1})['version']}"
        found = replica_set(client)
        if found is None:
            raise Explained(
                "this MongoDB is not a replica set, so nothing tells what was written since the last backup",
                "make it a replica set of one node, then take a full backup",
            )
        after = _reached(client, found, self._after)
        # A secondary may be behind.
        ends = max(committed(client), timestamp(after.after))
        watch = Watch(*self._watching)
        watch.begin(0, _estimate(client, after))
        file = PackedFile(path, Packing.GZIP, self._recipients)
        try:
            entries, size = _copy(client, after, ends, file, watch)
            sha256 = file.finish()
        except BaseException:
            file.abandon()
            raise
        return Part(
            kind="mongo",
            name=self.name,
            files=(HeldFile(path=self._file, size=file.size, sha256=sha256),),
            consistency="one point in time",
            server=server,
            seconds=time.monotonic() - begun,
            oplog=HeldOplog(
                replica_set=after.replica_set,
                set_id=found.id,
                begins=after.after,
                ends=oplog_time(ends),
                continues=after.continues,
                entries=entries,
            ),
            content_size=size,
        )


def _copy(client: RawClient, after: Resume, ends: Any, file: PackedFile, watch: Watch) -> tuple[int, int]:
    """Number and bytes of the entries. Those that say nothing but that time goes on are left out."""
    wanted = {"ts": {"$gt": timestamp(after.after), "$lte": ends}, "op": {"$ne": "n"}}
    entries = size = 0
    checked = False
    try:
        with contextlib.closing(raw_batches(client["local"], {"find": OPLOG, "filter": wanted})) as batches:
            for data, count in batches:
                if not checked:
                    # Only now is it sure that nothing was removed between our first look and the reading.
                    _check_reach(client, after)
                    checked = True
                file.write(data)
                entries += count
                size += len(data)
                watch.went_on("oplog", count, len(data))
    except OperationFailure as error:
        if error.code == _POSITION_LOST:
            raise _rolled_over(after) from error
        raise
    if not checked:
        _check_reach(client, after)
    return entries, size


def _check_set(found: ReplicaSet, after: Resume) -> None:
    if found.name != after.replica_set or (found.id and after.set_id and found.id != after.set_id):
        raise RangeEnded(
            f"this is not the replica set of the last backup ({printable(after.replica_set)}): it was set up anew, or "
            "the address leads to another one",
            FULL_BACKUP,
        )


def _reached(client: RawClient, found: ReplicaSet, after: Sequence[Resume]) -> Resume:
    """The first of these that the oplog reaches back to."""
    for one in after:
        try:
            _check_set(found, one)
            _check_reach(client, one)
        except RangeEnded:
            if one is after[-1]:
                raise
        else:
            return one
    raise AssertionError("there is nothing to continue")


def _check_reach(client: RawClient, after: Resume) -> None:
    try:
        oldest = oldest_entry(client)
        known = has_entry(client, timestamp(after.after))
    except OperationFailure as error:
        if forbidden(error):
            raise Explained(
                "this user may not read the oplog (the collection oplog.rs of the database local)",
                "grant it the role backup in admin (db.grantRolesToUser)",
                refused=True,
            ) from error
        raise
    if oldest is None or oplog_time(oldest) > after.after:
        raise _rolled_over(after)
    if not known:
        raise RangeEnded(
            f"the oplog does not know the end of the backup {after.continues}: the database was put back to an "
            "earlier state in another way than through the console",
            FULL_BACKUP,
        )


def _rolled_over(after: Resume) -> RangeEnded:
    since = datetime.fromtimestamp(after.after.time, UTC)
    return RangeEnded(
        f"the oplog has rolled over since {since:%Y-%m-%d %H:%M:%S} UTC, the end of the backup {after.continues}",
        f"{FULL_BACKUP}. So that it does not happen again: a larger oplog (replSetResizeOplog), or slices more often",
    )


def _estimate(client: RawClient, after: Resume) -> int:
    """Bytes that are to be read, as if the same had been written in every second; 0 when that is not known."""
    pipeline: list[dict[str, Any]] = [{"$collStats": {"storageStats": {}}}]
    try:
        (stats,) = answers(client["local"], {"aggregate": OPLOG, "pipeline": pipeline})
        size = int(stats["storageStats"]["size"])
    except (OperationFailure, KeyError, ValueError):
        return 0
    oldest, newest = oldest_entry(client), committed(client)
    if oldest is None or newest.time <= oldest.time:
        return 0
    return int(size * min(1.0, max(0, newest.time - after.after.time) / (newest.time - oldest.time)))
