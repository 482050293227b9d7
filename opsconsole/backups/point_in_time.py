"""A database as it was at a second: a full backup and slices of the oplog, put together in a throw-away server.

What comes out is an archive like any other, so it is restored as any other is: compared, journalled, beside the live
data. The live server never sees the replaying.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from pymongo.errors import OperationFailure

from opsconsole.backups.encryption import NO_KEYS, NOBODY, Keys, Recipients
from opsconsole.backups.manifest import HeldOplog, Part
from opsconsole.backups.mongo_archive import Batch, Entry
from opsconsole.backups.mongo_catalog import Selection, database_names, is_of_users
from opsconsole.backups.mongo_dumps import Dump, open_dump
from opsconsole.backups.mongo_loading import load_mongo
from opsconsole.backups.mongo_part import expected_of
from opsconsole.backups.mongo_raw import answers, ask
from opsconsole.backups.mongo_saving import EVERYTHING, Consistency, Given, SavedDump, save_mongo
from opsconsole.backups.mongo_swapping import plan_swaps, put_in_place, remove_beside
from opsconsole.backups.oplog_replaying import Replayed, replay
from opsconsole.backups.oplog_slices import entries
from opsconsole.backups.packed_files import Packing
from opsconsole.backups.progress import IsCancelled, OnProgress, Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.model import OF_THE_SERVER, OplogTime
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import RawClient, bulk_client
from opsconsole.sources.network import Explained


class Held(msgspec.Struct, frozen=True):
    """A MongoDB part and the directory of the backup that it lies in."""

    directory: Path
    part: Part

    @property
    def path(self) -> Path:
        return self.directory / self.part.files[0].path

    @property
    def oplog(self) -> HeldOplog:
        if self.part.oplog is None:
            raise Explained(f"{self.directory.name} does not say where it stands in the oplog", "choose another moment")
        return self.part.oplog


class Materialised(msgspec.Struct, frozen=True):
    saved: SavedDump
    replayed: Replayed


def materialise(
    base: Held,
    slices: Sequence[Held],
    moment: datetime,
    scratch: Connection,
    target: Path,
    *,
    packing: Packing = Packing.GZIP,
    recipients: Recipients = NOBODY,
    keys: Keys = NO_KEYS,
    progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
) -> Materialised:
    """Write an archive of what the database held at the end of the second of `moment`; users are those of the base.

    `scratch` is an empty server of the same release that nobody else uses, with the right to do anything on it; what
    it holds afterwards, also after a failure, is for whoever started it to remove. `target` must not exist; `keys` are
    those of encrypted backups, and where it is to be encrypted to `recipients` its name ends with .age.

    Raises Explained, Corrupt (the name of the file first), WrongKey, Cancelled or OSError.
    """
    second = int(moment.timestamp())
    _check_chain(base, slices, second)
    with bulk_client(scratch, answer_seconds=None) as client:
        _check_scratch(client)
        users = _load(client, base, keys, Watch(progress, cancelled))
        watch = Watch(progress, cancelled)
        watch.begin(sum(one.oplog.entries for one in slices), sum(one.part.content_size for one in slices))
        done = replay(
            client,
            _entries(slices, keys),
            after=base.oplog.begins,
            tolerant=base.oplog.ends,
            second=second,
            watch=watch,
        )
    saved = save_mongo(
        scratch,
        target,
        packing=packing,
        recipients=recipients,
        progress=progress,
        cancelled=cancelled,
        users=users,
        answer_seconds=3600,
    )
    # Nothing else writes to it, so it is one moment although no replica set vouches for it.
    one_point = tuple(msgspec.structs.replace(one, consistency=Consistency.ONE_POINT) for one in saved.collections)
    saved = msgspec.structs.replace(
        saved,
        consistency=Consistency.ONE_POINT,
        moment=datetime.fromtimestamp(second, UTC),
        collections=one_point,
        oplog=None,
    )
    return Materialised(saved, done)


def _check_chain(base: Held, slices: Sequence[Held], second: int) -> None:
    """Nothing may be missing, whoever put the chain together."""
    reach: OplogTime = base.oplog.begins
    for one in slices:
        if not one.oplog.begins <= reach < one.oplog.ends or not one.part.is_slice:
            raise Explained(f"{one.directory.name} does not follow what comes before it", "choose another moment")
        reach = one.oplog.ends
    if not base.oplog.ends.time <= second < reach.time:
        raise Explained(
            f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S} UTC does not lie in what these backups hold",
            "choose a moment inside of a range that is shown",
        )


def _check_scratch(client: RawClient) -> None:
    found = [name for name in database_names(client, EVERYTHING) if name not in OF_THE_SERVER]
    names = answers(client.admin, {"listCollections": 1, "nameOnly": True})
    found += [f"admin.{one['name']}" for one in names if not str(one["name"]).startswith("system.")]
    if found:
        raise Explained(
            f"the throw-away server is not empty: it holds {found[0]}", "start a new one; nothing was changed on this"
        )
    try:
        # Old documents would go while they are being looked at.
        ask(client.admin, {"setParameter": 1, "ttlMonitorEnabled": False})
    except OperationFailure as error:
        raise Explained("the throw-away server does not let its TTL monitor be turned off", "see its log") from error


def _load(client: RawClient, base: Held, keys: Keys, watch: Watch) -> list[Given]:
    """Put the base in place under the real names; returns its users and roles."""
    try:
        with open_dump(base.path, keys) as dump:
            keeping = _Users(dump)
            watch.begin(sum(one.documents for one in base.part.collections), base.part.content_size)
            loaded = load_mongo(client, keeping, watch=watch, selection=Selection(), expected=expected_of(base.part))
    except Corrupt as fault:
        raise Corrupt(f"{base.directory.name}/{base.path.name} {fault.problem}", cut=fault.cut) from fault
    for swap in plan_swaps(client, loaded):
        put_in_place(client, swap)
        remove_beside(client, swap)
    return keeping.given


class _Users:
    """A dump, which can be read only once, that keeps a copy of its users and roles."""

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self.server_version, self.tool_version, self.entries = dump.server_version, dump.tool_version, dump.entries
        self._kept: dict[Entry, tuple[bytes, int]] = {one: (b"", 0) for one in dump.entries if is_of_users(one)}

    def batches(self) -> Iterator[Batch]:
        for batch in self._dump.batches():
            if batch.entry in self._kept:
                data, documents = self._kept[batch.entry]
                self._kept[batch.entry] = (data + batch.data, documents + batch.documents)
            yield batch

    @property
    def given(self) -> list[Given]:
        return [Given(entry, data, documents) for entry, (data, documents) in self._kept.items()]


def _entries(slices: Sequence[Held], keys: Keys) -> Iterator[tuple[OplogTime, bytes]]:
    for one in slices:
        try:
            yield from entries(one.path, keys)
        except Corrupt as fault:
            raise Corrupt(f"{one.directory.name}/{one.path.name} {fault.problem}", cut=fault.cut) from fault
