"""A database as it was at a second: a known history, put together again and compared with what was there then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pymongo
import pyrage
import pytest

from opsconsole.backups import manifest, mongo_saving
from opsconsole.backups.encryption import keys_in, recipients_of
from opsconsole.backups.faults import Level
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_dumps import check_dump, open_dump
from opsconsole.backups.mongo_loading import load_mongo
from opsconsole.backups.mongo_names import is_beside
from opsconsole.backups.mongo_part import MongoSaver, check_mongo_part, expected_of, part_of
from opsconsole.backups.mongo_swapping import plan_swaps, put_in_place, remove_beside, take_back
from opsconsole.backups.opening import open_backup
from opsconsole.backups.oplog_ranges import chain_to, resume
from opsconsole.backups.oplog_saving import SliceSaver
from opsconsole.backups.point_in_time import Held, Materialised, materialise
from opsconsole.backups.progress import Cancelled, Progress, Watch
from opsconsole.backups.publishing import Order, make
from opsconsole.backups.reading import Corrupt
from opsconsole.backups.verifying import verify
from opsconsole.model import BackupClass, BackupState, SourceError
from opsconsole.sources.network import Explained
from tests.mongo_digest import CollectionDigest, digest_mongo
from tests.mongo_zoo import LONG_AGO, connection_to, fill, raw
from tests.parts.machine import wait_until
from tests.parts.servers import Server, start_mongod
from tests.test_oplog_saving import FULL, client_of, full, listed, oplog_of, piece, shown

OURS = ("zoo", "zoo2", "shop", "other")

Client = pymongo.MongoClient[Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A replica set of one node, with a password."""
    options = ("--setParameter", "ttlMonitorEnabled=false")
    server = start_mongod(
        tmp_path_factory.mktemp("source") / "data", auth=True, replset=True, oplog_megabytes=500, options=options
    )
    yield server
    server.stop(kill=True)


@pytest.fixture(scope="module")
def throw_away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_mongod(tmp_path_factory.mktemp("scratch") / "data")
    yield server
    server.stop(kill=True)


@pytest.fixture
def scratch(throw_away: Server) -> Server:
    """Empty."""
    with client_of(throw_away) as client:
        for name in client.list_database_names():
            if name not in ("admin", "config", "local"):
                client.drop_database(name)
    return throw_away


def digest(server: Server) -> tuple[CollectionDigest, ...]:
    with raw(server.uri) as client:
        return digest_mongo(client, Selection(frozenset(OURS)))


# --- what is written -------------------------------------------------------------------------------------


def ordinary_writes(client: Client) -> None:
    shop = client.shop
    shop.a.insert_many([{"_id": n, "n": n, "deep": {"list": [1, 2, {"x": n}], "y": "y" * n}} for n in range(200)])
    shop.a.update_many({"n": {"$lt": 50}}, {"$set": {"deep.list.2.x": "changed", "new": True}, "$unset": {"deep.y": 1}})
    shop.a.update_many({"n": {"$gt": 150}}, {"$push": {"deep.list": {"$each": [7, 8], "$position": 1}}})
    shop.a.update_one({"_id": 9}, [{"$set": {"n": {"$add": ["$n", 1000]}}}])
    shop.a.replace_one({"_id": 10}, {"replaced": True})
    shop.a.update_one({"_id": "made by an upsert"}, {"$inc": {"n": 5}}, upsert=True)
    shop.a.delete_many({"n": {"$gte": 60, "$lt": 70}})
    shop.a.find_one_and_delete({"_id": 80})
    shop.a.find_one_and_update({"_id": 81}, {"$mul": {"n": 3}})
    shop.a.update_one({"_id": 82}, {"$set": {"at": bson.Timestamp(0, 0)}})
    shop.a.insert_one({"_id": 1000, "at": bson.Timestamp(0, 0), "$odd": 1, "a.b": 2})
    client.zoo.values.delete_one({"_id": 3})
    client.zoo["odd name. with 'quotes' / and ümlaut 世界"].insert_one({"_id": 1})


def transactions(client: Client) -> None:
    client.shop.b.insert_one({"_id": 0})
    client.shop.large.insert_one({"_id": "first"})
    with client.start_session() as session:
        with session.start_transaction():
            client.shop.b.insert_one({"_id": 1}, session=session)
            client.zoo2.other.delete_many({"n": {"$lt": 5}}, session=session)
            client.shop.made_inside.insert_one({"_id": 1}, session=session)
        session.start_transaction()
        client.shop.b.insert_one({"_id": "of an aborted one"}, session=session)
        session.abort_transaction()
        with session.start_transaction():  # too large for one entry
            for number in range(10):
                client.shop.large.insert_one({"_id": number, "t": "x" * 2_000_000}, session=session)
            client.shop.large.delete_one({"_id": "first"}, session=session)


def capped_and_measured(client: Client) -> None:
    client.shop.create_collection("log", capped=True, size=4096, max=20)
    client.shop.log.insert_many([{"n": n} for n in range(50)])
    client.zoo.capped.insert_many([{"n": n, "t": "y" * 100} for n in range(60)])
    now = datetime.now(UTC)
    client.zoo.measured.insert_many(
        [{"at": now + timedelta(seconds=n), "sensor": {"id": n % 4}, "value": n} for n in range(50)]
    )
    client.shop.create_collection("weather", timeseries={"timeField": "at", "metaField": "place"})
    client.shop.weather.insert_many([{"at": now, "place": n % 3, "value": n} for n in range(30)])
    client.shop.weather.delete_many({"place": 2})


def names(client: Client) -> None:
    shop = client.shop
    shop.x.insert_many([{"_id": n, "x": True} for n in range(5)])
    shop.y.insert_many([{"_id": n, "y": True} for n in range(5)])
    shop.z.insert_one({"z": True})
    shop.x.rename("renamed")
    shop.y.rename("renamed", dropTarget=True)
    shop.renamed.insert_one({"_id": "after"})
    shop.z.drop()
    shop.z.insert_one({"_id": "another of that name"})
    client.admin.command("renameCollection", "shop.z", to="other.from shop")
    shop.to_cap.insert_many([{"_id": n} for n in range(20)])
    shop.command("convertToCapped", "to_cap", size=8192)
    client.zoo2.other.rename("moved")
    client.zoo.drop_collection("packed")


def indexes(client: Client) -> None:
    shop = client.shop
    shop.a.create_index([("n", 1), ("deep.list", -1)], name="built on documents")
    shop.a.create_index("new", unique=True, partialFilterExpression={"new": "x"}, name="unique")
    shop.create_collection("french", collation={"locale": "fr"})
    shop.french.insert_one({"_id": "é", "n": "e"})
    shop.french.create_index("n")
    shop.french.create_index("m", collation={"locale": "simple"})
    shop.nothing.create_index("n", expireAfterSeconds=3600)
    shop.command("collMod", "nothing", index={"name": "n_1", "expireAfterSeconds": 7200})
    shop.command("collMod", "a", index={"name": "built on documents", "hidden": True})
    client.zoo.indexed.drop_index("compound, multikey")
    client.zoo.indexed.drop_indexes()
    shop.command("collMod", "b", validator={"n": {"$exists": False}}, validationLevel="moderate")
    client.zoo.measured.create_index([("sensor.id", -1)], name="of a time series")
    client.zoo.command("collMod", "measured", expireAfterSeconds=10**9 + 5)
    client.zoo.command("collMod", "measured", timeseries={"granularity": "hours"})
    client.zoo.measured.drop_index("of a time series")
    shop.weather.create_index([("place", 1), ("at", 1)])


def views(client: Client) -> None:
    shop, zoo = client.shop, client.zoo
    shop.command({"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": True, "name": "by id"}})
    shop.clustered.insert_many([{"_id": n} for n in (5, 1, 3)])
    shop.clustered.delete_one({"_id": 1})
    zoo.clustered.update_one({"_id": 2}, {"$set": {"changed": True}})
    shop.command({"create": "seen", "viewOn": "a", "pipeline": [{"$match": {"n": {"$lt": 10}}}]})
    zoo.command({"collMod": "open", "viewOn": "indexed", "pipeline": [{"$limit": 1}]})
    zoo.drop_collection("a view of the view")
    shop.command({"create": "weather seen", "viewOn": "weather", "pipeline": []})
    zoo["system.js"].insert_one({"_id": "more", "value": bson.Code("function () { return 2; }")})
    zoo.validated.insert_one({"n": 5})
    shop.expiring.insert_one({"at": LONG_AGO})
    shop.expiring.create_index("at", expireAfterSeconds=1)


def whole_databases(client: Client) -> None:
    client.drop_database("other")
    client.other.again.insert_one({"_id": 1})
    client.zoo.drop_collection("measured")
    client.zoo.create_collection("measured", timeseries={"timeField": "when"})
    client.zoo.measured.insert_one({"when": LONG_AGO, "n": 1})
    client.admin.command("createUser", "newer", pwd="x", roles=[])
    client.config.mine.insert_one({"_id": "not in a backup"})


STEPS: tuple[Callable[[Client], None], ...] = (
    ordinary_writes,
    transactions,
    capped_and_measured,
    names,
    indexes,
    views,
    whole_databases,
)


@dataclass
class History:
    """What was done, what was there after each step, and the backups that were made meanwhile."""

    place: Path
    moments: list[tuple[str, datetime, tuple[CollectionDigest, ...]]] = field(default_factory=list)

    def note(self, server: Server, what: str) -> None:
        """Look at everything, and let the second pass in which the last write was done."""
        with client_of(server) as client:
            second = client.admin.command("hello")["lastWrite"]["opTime"]["ts"].time
            self.moments.append((what, datetime.fromtimestamp(second, UTC), digest(server)))
            wait_until(
                lambda: client.admin.command("hello")["localTime"].timestamp() >= second + 1.1, 10, "time stands still"
            )

    def held(self, name: str) -> Held:
        directory = self.place / name
        return Held(directory, manifest.read(directory).parts[0])

    def restored(self, moment: datetime, scratch: Server, target: Path, **options: Any) -> Materialised:
        chain = chain_to(listed(self.place), "mongodb", moment)
        assert chain is not None
        slices = [self.held(name) for name in chain.slices]
        return materialise(self.held(chain.base), slices, moment, connection_to(scratch.uri), target, **options)


@pytest.fixture(scope="module")
def history(source: Server, tmp_path_factory: pytest.TempPathFactory) -> History:
    found = History(tmp_path_factory.mktemp("backups"))
    with client_of(source) as client:
        fill(client)
        full(found.place, source.uri)
        found.note(source, "the full backup")
        for number, step in enumerate(STEPS):
            step(client)
            found.note(source, step.__name__)
            if number in (1, 4):
                piece(found.place, source.uri)
        client.clock.c.insert_one({})
        piece(found.place, source.uri)
    return found


@pytest.mark.parametrize("number", [0, 2, 4, 6, 7])
def test_after_every_step_what_was_there_then(history: History, scratch: Server, tmp_path: Path, number: int) -> None:
    what, moment, expected = history.moments[number]
    done = history.restored(moment, scratch, tmp_path / "archive")
    found = {(one.database, one.name): one for one in digest(scratch)}
    wanted = {(one.database, one.name): one for one in expected}
    assert found.keys() == wanted.keys(), what
    for name in wanted:
        assert found[name] == wanted[name], (what, name)
    assert done.saved.moment == moment and done.saved.consistency == "one point in time"
    with open_dump(tmp_path / "archive") as dump:
        held = {(one.entry.path, one.documents, one.digest) for one in check_dump(dump)}
    assert held == {(f"{one.database}.{one.name}", one.documents, one.digest) for one in done.saved.collections}
    admin = {one.name: one.documents for one in done.saved.collections if one.database == "admin"}
    assert admin == {"system.users": 1, "system.version": 2}, "the users are those of the full backup"


def test_restored_like_any_other_archive(history: History, source: Server, scratch: Server, tmp_path: Path) -> None:
    """Beside the live data, compared with what its manifest would say, put in place; and back again."""
    before = digest(source)
    _, moment, expected = history.moments[3]
    path = tmp_path / "archive"
    saved = history.restored(moment, scratch, path).saved
    part = part_of("mongodb", "archive", saved)
    assert check_mongo_part(tmp_path, part) == ()
    with raw(source.uri) as client:
        with open_dump(path) as dump:
            watch = Watch(None, None)
            staged = load_mongo(client, dump, watch=watch, selection=Selection(), expected=expected_of(part))
        names = {(one.database, one.live) for one in staged}
        there = {(one.database, one.name) for one in before}
        swaps = plan_swaps(client, staged, sorted(there - names))
        for swap in swaps:
            put_in_place(client, swap)
        assert tuple(one for one in digest(source) if not is_beside(one.name)) == expected
        for swap in reversed(swaps):
            take_back(client, swap)
        for swap in swaps:
            remove_beside(client, swap)
    assert digest(source) == before


def test_a_slice_that_is_gone_or_spoilt(history: History, scratch: Server, tmp_path: Path) -> None:
    _, moment, _ = history.moments[6]
    chain = chain_to(listed(history.place), "mongodb", moment)
    assert chain is not None and len(chain.slices) == 3
    base, slices = history.held(chain.base), [history.held(name) for name in chain.slices]

    def attempt(some: list[Held], at: datetime = moment) -> None:
        materialise(base, some, at, connection_to(scratch.uri), tmp_path / "archive")

    with pytest.raises(Explained, match=f"{chain.slices[2]} does not follow"):
        attempt([slices[0], slices[2]])
    for wrong in (moment + timedelta(hours=1), history.moments[0][1] - timedelta(seconds=5)):
        with pytest.raises(Explained, match="does not lie in what these backups hold"):
            attempt(slices, wrong)
    copy = tmp_path / "backups"
    shutil.copytree(history.place, copy)
    shutil.rmtree(copy / chain.slices[1])
    assert [one.chain.slices for one in shown(copy)] == [chain.slices[:1]]
    assert chain_to(listed(copy), "mongodb", moment) is None
    spoilt = copy / chain.slices[2] / "oplog.bson.gz"
    data = bytearray(spoilt.read_bytes())
    data[len(data) // 2] ^= 1
    spoilt.write_bytes(data)
    with pytest.raises(Corrupt, match=f"{chain.slices[2]}/oplog.bson.gz has"):
        attempt([*slices[:2], Held(copy / chain.slices[2], slices[2].part)])
    assert not (tmp_path / "archive").exists()
    with pytest.raises(Explained, match="the throw-away server is not empty"):
        attempt(slices)


def test_stopped_in_the_middle_of_replaying(history: History, scratch: Server, tmp_path: Path) -> None:
    seen: list[Progress] = []
    chain = chain_to(listed(history.place), "mongodb", history.moments[7][1])
    assert chain is not None
    slices = [history.held(name) for name in chain.slices]
    with pytest.raises(Cancelled):
        materialise(
            history.held(chain.base),
            slices,
            history.moments[7][1],
            connection_to(scratch.uri),
            tmp_path / "archive",
            progress=seen.append,
            cancelled=lambda: any(one.collection == "oplog" for one in seen),
        )
    assert seen[-1].total_documents == sum(one.oplog.entries for one in slices)
    assert not (tmp_path / "archive").exists()


def test_encrypted_all_the_way(source: Server, scratch: Server, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(str(identity))
    (tmp_path / "key").chmod(0o600)
    to, keys = recipients_of([str(identity.to_public())]), keys_in(tmp_path / "key")
    order = Order(backup_class=BackupClass.MANUAL, encrypted_to=(str(identity.to_public()),))
    found, connection = History(tmp_path / "backups"), connection_to(source.uri)
    with client_of(source) as client:
        client.secret.c.insert_one({"_id": 1})
        make(found.place, order, [MongoSaver("mongodb", connection, recipients=to)])
        client.secret.c.insert_one({"_id": 2})
        found.note(source, "two documents")
        client.secret.c.drop()
        after = resume(listed(found.place), "mongodb")
        made = make(found.place, order, [SliceSaver(connection, after, recipients=to)])
    assert [file.path for file in made.parts[0].files] == ["oplog.bson.gz.age"]
    (newest, _) = listed(found.place)
    assert newest.state is BackupState.INCREMENTAL
    assert verify(found.place / made.id, Level.PARSED, keys=keys).faults == ()
    with pytest.raises(SourceError, match="is incremental"):
        open_backup(newest, tmp_path / "scratch", 1 << 30, keys=keys)
    moment = found.moments[0][1]
    with pytest.raises(SourceError, match="key"):
        found.restored(moment, scratch, tmp_path / "archive.age")
    found.restored(moment, scratch, tmp_path / "archive.age", recipients=to, keys=keys)
    with open_dump(tmp_path / "archive.age", keys) as dump:
        held = {one.entry.path: one.documents for one in check_dump(dump)}
    assert held["secret.c"] == 2


# --- bases that were read over a time --------------------------------------------------------------------


class Writing:
    """Writes while a backup reads: `before` in each of the first tries, so that none of them can be one moment."""

    def __init__(self, client: Client, *, spoil: bool) -> None:
        self.client = client
        self.spoil = spoil
        self.tries = 0

    def __call__(self, progress: Progress) -> None:
        if progress.collection != "shop.a":
            return
        self.tries += 1
        shop = self.client.shop
        if self.spoil and self.tries <= 3:
            shop.z.drop()
            shop.z.insert_one({"try": self.tries})
            return
        # `a` was read, `b` and what follows were not.
        shop.a.update_many({"_id": {"$lt": 5}}, {"$set": {"seen.by": "nobody"}, "$inc": {"n": 1}})
        shop.a.delete_one({"_id": 6})
        shop.b.delete_one({"_id": 0})
        shop.b.insert_one({"_id": "took over", "u": 0})
        shop.b.update_one({"_id": 1}, {"$set": {"u": 100}})
        shop.b.insert_one({"_id": "took over too", "u": 1})
        for value in (200, 300):
            shop.b.update_one({"_id": 2}, {"$set": {"u": value}})
        shop.b.insert_one({"_id": "has what another had for a moment", "u": 200})
        shop.log.insert_many([{"n": n} for n in range(100, 115)])
        if self.spoil:
            # The next one is read under its old name, the new ones are not read at all.
            shop.d.insert_one({"_id": "before the rename"})
            shop.d.rename("e")
            shop.e.update_one({"_id": 3}, {"$set": {"deep": {"x": 1}}})
            shop.new.create_index("k", unique=True, name="of its own")
            shop.new.insert_one({"k": 1})
            shop.b.drop_index("unique")
            shop.b.create_index("u", unique=True, name="another")
            shop.command("collMod", "a", index={"name": "unique n", "hidden": True})
            self.client.gone.c.insert_one({})
            self.client.drop_database("gone")


@pytest.mark.parametrize("spoil", [False, True], ids=["capped", "fuzzy"])
def test_a_base_that_was_read_over_a_time(
    source: Server, scratch: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: bool
) -> None:
    """With a capped collection, which is read when its turn comes; and where no moment could be had at all."""
    found = History(tmp_path / "backups")
    with client_of(source) as client:
        client.drop_database("shop")
        shop = client.shop
        shop.create_collection("log", capped=True, size=4096, max=20)
        shop.log.insert_many([{"n": n} for n in range(30)])
        for name in ("a", "b", "d", "z"):
            shop[name].insert_many([{"_id": n, "n": -n, "u": n} for n in range(10)])
        shop.b.create_index("u", unique=True, name="unique")
        shop.a.create_index("n", unique=True, name="unique n")
        shop.d.create_index("u", unique=True, name="goes along")
        for name in ("passing", "dropped"):
            shop[name].insert_one({"_id": 1})
        writing = Writing(client, spoil=spoil)
        listing = mongo_saving.catalog

        def written_before_the_list(*args: Any) -> Any:
            """The moment from which on everything is applied again is known, what there is is not yet."""
            if spoil and writing.tries == 3:
                for name in ("passing", "dropped"):
                    shop[name].insert_one({"_id": 2})
                    shop[name].create_index("n")
                shop.passing.rename("passed")
                shop.dropped.drop()
                shop.early.create_index("n", unique=True)
            return listing(*args)

        monkeypatch.setattr(mongo_saving, "catalog", written_before_the_list)
        saver = MongoSaver("mongodb", connection_to(source.uri), progress=writing)
        made = make(found.place, FULL, [saver])
        span = oplog_of(made)
        assert span.begins < span.ends
        assert made.parts[0].consistency == "per collection" and writing.tries == (4 if spoil else 1)
        found.note(source, "the full backup")
        shop.b.insert_one({"_id": "later", "u": 50})
        found.note(source, "one write more")
        client.clock.c.insert_one({})
        piece(found.place, source.uri)
        client.drop_database("clock")
        client.drop_database("shop")
    for _, moment, expected in found.moments:
        with client_of(scratch) as there:
            for name in OURS:
                there.drop_database(name)
            there.drop_database("clock")
        found.restored(moment, scratch, tmp_path / f"{moment:%H%M%S}")
        assert {one.name: one for one in digest(scratch)} == {one.name: one for one in expected}
