"""Incremental backups of a real replica set: nothing is left out, and where something would be, they refuse."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import msgspec
import pymongo
import pytest
from bson.raw_bson import RawBSONDocument

from opsconsole.backups import manifest
from opsconsole.backups.catalog import Catalog
from opsconsole.backups.faults import Level
from opsconsole.backups.manifest import HeldOplog, Manifest
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_oplog import timestamp
from opsconsole.backups.mongo_part import MongoSaver
from opsconsole.backups.oplog_ranges import Range, Resume, ranges, resume
from opsconsole.backups.oplog_saving import SliceSaver
from opsconsole.backups.oplog_slices import check_slice, entries
from opsconsole.backups.progress import Cancelled, Progress
from opsconsole.backups.publishing import BackupFailed, Order, make
from opsconsole.backups.retention import candidate
from opsconsole.backups.verifying import verify
from opsconsole.model import Backup, BackupClass, BackupState, DatabaseTarget, OplogTime, Stack
from tests.mongo_zoo import connection_to
from tests.parts.machine import wait_until
from tests.parts.servers import Server, start_mongod
from tests.test_mongo_backup import full_disk

FULL = Order(backup_class=BackupClass.SCHEDULED)
PIECE = Order(backup_class=BackupClass.SCHEDULED, asked=("mongo",))

EACH_SECOND = ("--syncdelay", "1")  # a checkpoint


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of one node, with a password."""
    server = start_mongod(tmp_path_factory.mktemp("set") / "data", auth=True, replset=True)
    yield server
    server.stop(kill=True)


@pytest.fixture
def small_set(tmp_path: Path) -> Iterator[Server]:
    """Another one, to be restarted and filled: its oplog holds 4 MB, and what the last checkpoint does not hold."""
    server = start_mongod(tmp_path / "small" / "data", replset=True, oplog_megabytes=4, options=EACH_SECOND)
    yield server
    server.stop(kill=True)


def client_of(server: Server) -> pymongo.MongoClient[Any]:
    return pymongo.MongoClient(server.uri, serverSelectionTimeoutMS=30_000)


def full(place: Path, uri: str, database: str = "") -> Manifest:
    return make(place, FULL, [MongoSaver("mongodb", connection_to(uri, database))])


def piece(place: Path, uri: str, after: tuple[Resume, ...] | None = None, **options: Any) -> Manifest:
    after = resume(listed(place), "mongodb") if after is None else after
    return make(place, PIECE, [SliceSaver(connection_to(uri), after, **options)])


def listed(place: Path) -> tuple[Backup, ...]:
    target = DatabaseTarget(kind="mongodb", name="mongodb")
    return Catalog().look(Stack(name="shop", directory=str(place), backup_directory=str(place), databases=(target,)))


def shown(place: Path) -> tuple[Range, ...]:
    return ranges(listed(place))


def oplog_of(made: Manifest) -> HeldOplog:
    found = made.parts[0].oplog
    assert found is not None
    return found


def tick(server: Server) -> None:
    """Let the server come into the next second: ranges end with whole ones."""
    with client_of(server) as client:

        def later() -> bool:
            client.clock.c.insert_one({})
            return client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"].time > begun

        begun = client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"].time
        wait_until(later, 10, "time stands still", interval=0.2)


def let_roll_over(server: Server, past: OplogTime) -> None:
    """Write until the oplog has forgotten a moment."""
    with client_of(server) as client:

        def forgotten() -> bool:
            client.heavy.c.insert_many([{"t": "x" * 1_000_000} for _ in range(8)])
            client.heavy.c.delete_many({})
            oldest = client.local["oplog.rs"].find_one({}, sort=[("$natural", 1)])
            return oldest is not None and oldest["ts"] > timestamp(past)

        wait_until(forgotten, 60, "the oplog does not roll over")


# --- a range grows -------------------------------------------------------------------------------------


def test_a_slice_holds_everything_since_the_last_backup(replica_set: Server, tmp_path: Path) -> None:
    with client_of(replica_set) as client:
        client.shop.a.insert_many([{"n": n} for n in range(10)])
        base = full(tmp_path, replica_set.uri)
        client.shop.a.update_many({}, {"$inc": {"n": 1}})
        client.admin.command("appendOplogNote", 1, data={"says": "nothing"})
        tick(replica_set)
        first = piece(tmp_path, replica_set.uri)
        client.shop.b.insert_one({"_id": "after the first"})
        second = piece(tmp_path, replica_set.uri)
        settings = client.admin.command("replSetGetConfig")["config"]["settings"]
        assert oplog_of(base).set_id == str(settings["replicaSetId"])
        held = oplog_of(base), oplog_of(first), oplog_of(second)
        assert held[0].begins == held[0].ends == held[1].begins < held[1].ends == held[2].begins
        assert [one.continues for one in held] == ["", base.id, first.id]
        raw = client.local.get_collection("oplog.rs", codec_options=bson.CodecOptions(RawBSONDocument))
        for made, one in ((first, held[1]), (second, held[2])):
            wanted = {"ts": {"$gt": timestamp(one.begins), "$lte": timestamp(one.ends)}, "op": {"$ne": "n"}}
            path = tmp_path / made.id / "oplog.bson.gz"
            assert gzip.decompress(path.read_bytes()) == b"".join(entry.raw for entry in raw.find(wanted))
            assert path.stat().st_mode & 0o777 == 0o600
            assert verify(tmp_path / made.id, Level.PARSED).faults == ()
    (found,) = shown(tmp_path)
    assert found.chain.base == base.id and found.chain.slices == (first.id, second.id)
    assert found.first == datetime.fromtimestamp(held[0].ends.time, UTC)


def test_it_is_never_taken_for_a_whole_backup(replica_set: Server, tmp_path: Path) -> None:
    base = full(tmp_path, replica_set.uri)
    # Asked for in whatever way: the slice itself says what it is.
    after = resume(listed(tmp_path), "mongodb")
    made = make(tmp_path, FULL, [SliceSaver(connection_to(replica_set.uri), after)])
    newest, older = listed(tmp_path)
    assert (newest.id, newest.state, newest.incremental) == (made.id, BackupState.INCREMENTAL, True)
    assert (older.id, older.state, older.incremental) == (base.id, BackupState.GOOD, False)
    assert not candidate(newest).whole and not candidate(newest).good
    assert newest.missing == () and newest.problem == ""
    assert [part.note for part in newest.parts if part.kind == "mongo"] == ["0 changes in 0 h 0 min"]


def test_a_slice_without_entries_is_fine(replica_set: Server, tmp_path: Path) -> None:
    base = full(tmp_path, replica_set.uri)
    with client_of(replica_set) as client:
        client.admin.command("appendOplogNote", 1, data={"time": "goes on"})
    made = piece(tmp_path, replica_set.uri)
    assert oplog_of(made).entries == 0 and oplog_of(made).ends > oplog_of(base).ends
    assert verify(tmp_path / made.id, Level.PARSED).faults == ()


def test_capped_collections_are_read_later_and_the_manifest_tells(replica_set: Server, tmp_path: Path) -> None:
    with client_of(replica_set) as client:
        client.shop.create_collection("log", capped=True, size=4096)
        seen: list[Progress] = []

        def write(progress: Progress) -> None:
            if not seen:
                client.shop.log.insert_one({"written": "while others are read"})
            seen.append(progress)

        made = make(tmp_path, FULL, [MongoSaver("mongodb", connection_to(replica_set.uri), progress=write)])
        client.shop.log.drop()
    assert seen and oplog_of(made).begins < oplog_of(made).ends
    assert resume(listed(tmp_path), "mongodb")[0].after == oplog_of(made).begins


def test_the_role_backup_is_enough_and_less_is_not(replica_set: Server, tmp_path: Path) -> None:
    with client_of(replica_set) as client:
        client.admin.command("createUser", "saver", pwd="x", roles=["backup"])
        client.admin.command("createUser", "app", pwd="x", roles=[{"role": "read", "db": "shop"}])
        saver = replica_set.uri.replace("root:secret", "saver:x")
        app = replica_set.uri.replace("root:secret", "app:x")
        first = full(tmp_path, saver)
        assert (oplog_of(first).replica_set, oplog_of(first).set_id) == ("rs0", "")
        assert oplog_of(piece(tmp_path, saver)).continues == first.id
        assert full(tmp_path, app, "shop").parts[0].oplog is None
        with pytest.raises(BackupFailed, match="this user may not read the oplog") as refused:
            piece(tmp_path, app)
        assert "role backup" in refused.value.hint
        some = MongoSaver("mongodb", connection_to(saver), selection=Selection(frozenset({"shop"})))
        assert make(tmp_path, PIECE, [some]).parts[0].oplog is None, "a part of a server is no base"
        client.admin.command("dropUser", "saver")
        client.admin.command("dropUser", "app")


def test_a_standalone_server_is_told_what_it_takes(tmp_path: Path) -> None:
    server = start_mongod(tmp_path / "data")
    try:
        assert full(tmp_path / "b", server.uri).parts[0].oplog is None
        assert resume(listed(tmp_path / "b"), "mongodb") == ()
        after = Resume(
            continues="20260118_020000",
            part="mongodb",
            replica_set="rs0",
            set_id="",
            server="",
            after=OplogTime(time=1, increment=1),
        )
        with pytest.raises(BackupFailed, match="is not a replica set") as failure:
            piece(tmp_path / "b", server.uri, (after,))
        assert "make it a replica set of one node" in failure.value.hint
    finally:
        server.stop(kill=True)


# --- a range ends ------------------------------------------------------------------------------------------


def test_a_killed_server_goes_on_and_an_oplog_that_rolled_over_does_not(small_set: Server, tmp_path: Path) -> None:
    place = tmp_path / "b"
    base = full(place, small_set.uri)
    tick(small_set)
    small_set.stop(kill=True)
    server = start_mongod(small_set.directory, replset=True, port=small_set.port, options=EACH_SECOND)
    try:
        tick(server)
        first = piece(place, server.uri)
        (before,) = shown(place)
        assert before.chain.slices == (first.id,) and before.chain.base == base.id
        let_roll_over(server, oplog_of(first).ends)
        names = sorted(path.name for path in place.iterdir())
        with pytest.raises(BackupFailed, match="the oplog has rolled over since") as failure:
            piece(place, server.uri)
        assert first.id in failure.value.problem and "take a full backup" in failure.value.hint
        assert sorted(path.name for path in place.iterdir()) == names
        assert shown(place) == (before,), "what could be restored can be restored"
        again = full(place, server.uri)
        tick(server)
        second = piece(place, server.uri)
        assert oplog_of(second).continues == again.id
        after = shown(place)
        assert after[0] == before and after[1].chain == msgspec.structs.replace(
            before.chain, base=again.id, slices=(second.id,)
        )
        assert after[1].first > before.last
    finally:
        server.stop(kill=True)


def test_an_oplog_that_rolls_over_while_it_is_read(small_set: Server, tmp_path: Path) -> None:
    place = tmp_path / "b"
    base = full(place, small_set.uri)
    with client_of(small_set) as client:
        client.shop.a.insert_many([{"t": "x" * 5000} for n in range(500)])
    seen: list[Progress] = []

    def roll_over(progress: Progress) -> None:
        if not seen:
            seen.append(progress)
            with client_of(small_set) as client:
                newest = client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"]
            let_roll_over(small_set, OplogTime(time=newest.time, increment=newest.inc))

    with pytest.raises(BackupFailed, match="the oplog has rolled over since"):
        piece(place, small_set.uri, progress=roll_over)
    assert [path.name for path in place.iterdir()] == [base.id]


def test_another_set_of_the_same_name_is_not_continued(replica_set: Server, small_set: Server, tmp_path: Path) -> None:
    full(tmp_path / "b", small_set.uri)
    with pytest.raises(BackupFailed, match="this is not the replica set of the last backup"):
        piece(tmp_path / "b", replica_set.uri)


def test_a_server_that_was_put_back_is_not_continued(small_set: Server, tmp_path: Path) -> None:
    """A copy of its files from yesterday knows yesterday's moments, and not that of the last slice."""
    place = tmp_path / "b"
    full(place, small_set.uri)
    small_set.stop(kill=True)
    shutil.copytree(small_set.directory, tmp_path / "yesterday")
    server = start_mongod(small_set.directory, replset=True, port=small_set.port, options=EACH_SECOND)
    try:
        tick(server)
        piece(place, server.uri)
        server.stop(kill=True)
        shutil.rmtree(server.directory)
        shutil.copytree(tmp_path / "yesterday", server.directory)
        server = start_mongod(server.directory, replset=True, port=server.port)
        tick(server)
        going_on = resume(listed(place), "mongodb")[:1]
        with pytest.raises(BackupFailed, match="put back to an earlier state"):
            piece(place, server.uri, going_on)
    finally:
        server.stop(kill=True)


# --- when it goes wrong ------------------------------------------------------------------------------------


def test_killed_cancelled_or_full_nothing_is_left(small_set: Server, tmp_path: Path) -> None:
    place = tmp_path / "b"
    base = full(place, small_set.uri)
    with client_of(small_set) as client:
        client.shop.a.insert_many([{"t": "x" * 2000, "n": n} for n in range(1000)])
    tick(small_set)  # how much there is to read is told from how many seconds have passed
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        piece(place, small_set.uri, progress=seen.append, cancelled=lambda: len(seen) >= 2)
    assert seen[-1].bytes > 0 and seen[-1].total_bytes > 0, "an estimate, which may be less than it turns out"
    with full_disk(5000), pytest.raises(BackupFailed, match="cannot be written"):
        piece(place, small_set.uri)
    after = resume(listed(place), "mongodb")

    def stop(progress: Progress) -> None:
        small_set.stop(kill=True)

    with pytest.raises(BackupFailed, match="MongoDB"):
        piece(place, small_set.uri, after, progress=stop)
    assert [path.name for path in place.iterdir()] == [base.id]


def spoilt(data: bytes) -> Iterator[tuple[str, bytes, str]]:
    """What, the slice afterwards, and what is said of it."""
    ends, at = [], 0
    while at < len(data):
        at += int.from_bytes(data[at : at + 4], "little")
        ends.append(at)
    yield "cut at an entry", data[: ends[-2]], f"has {len(ends) - 1} entries and the manifest says {len(ends)}"
    yield "cut in an entry", data[:-3], "is cut short in the middle of an entry"
    yield "cut in a length", data[: ends[-2] + 2], "is cut short in the middle of an entry|has a broken entry"
    yield "swapped", data[ends[0] : ends[1]] + data[: ends[0]] + data[ends[1] :], "not in the order of time"
    yield "twice", data[: ends[0]] + data, "not in the order of time"
    yield "of another time", data[: ends[0]] + bson.encode({"ts": bson.Timestamp(2**32 - 1, 1)}), "from a time"
    yield "no entry", bson.encode({"a": 1}) + data, "has an entry without a time"
    yield "no documents", b"\xff" * 100, "has a broken entry"
    yield "broken inside", data[: ends[0]] + bson.encode({"ts": bson.Timestamp(2**31, 1), "o": {}})[:-3] + b"\7\0\0", ""


def test_what_is_wrong_with_a_slice_is_found(replica_set: Server, tmp_path: Path) -> None:
    full(tmp_path, replica_set.uri)
    with client_of(replica_set) as client:
        for n in range(5):
            client.shop.a.insert_one({"n": n})
    made = piece(tmp_path, replica_set.uri)
    part, place = made.parts[0], tmp_path / made.id
    path = place / "oplog.bson.gz"
    data = gzip.decompress(path.read_bytes())
    assert len(list(entries(path))) == oplog_of(made).entries >= 5

    def faults() -> list[str]:
        return [str(fault) for fault in check_slice(place, part, oplog_of(made))]

    assert faults() == []
    for what, changed, said in spoilt(data):
        path.write_bytes(gzip.compress(changed))
        (found,) = faults()
        assert re.search(said, found), (what, found)
        assert found.startswith("oplog.bson.gz ")
    path.write_bytes(gzip.compress(data)[:-5])
    assert faults() == ["oplog.bson.gz is cut short in the middle of its gzip data"]
    assert listed(tmp_path)[0].state is BackupState.DAMAGED and shown(tmp_path) == ()
    path.unlink()
    assert "cannot be read" in faults()[0]


def test_a_manifest_with_an_oplog_that_cannot_be_is_refused(replica_set: Server, tmp_path: Path) -> None:
    made = full(tmp_path, replica_set.uri)
    assert manifest.decode(manifest.encode(made)) == made
    one = oplog_of(made)
    later = OplogTime(time=one.ends.time + 1, increment=1)
    for wrong in (
        msgspec.structs.replace(one, begins=later),
        msgspec.structs.replace(one, continues="../x"),
        msgspec.structs.replace(one, set_id="x"),
        msgspec.structs.replace(one, ends=OplogTime(time=1 << 32, increment=0)),
    ):
        part = msgspec.structs.replace(made.parts[0], oplog=wrong)
        with pytest.raises(manifest.ManifestError):
            manifest.decode(manifest.encode(msgspec.structs.replace(made, parts=(part,))))
