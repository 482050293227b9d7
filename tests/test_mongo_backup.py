"""MongoDB saved and loaded, on real servers: without a difference, and without harm when something goes wrong."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bson
import msgspec
import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsconsole.backups import gzip_packing, manifest, mongo_inserting, mongo_loading, mongo_raw, mongo_swapping
from opsconsole.backups.bson_documents import DocumentDigest
from opsconsole.backups.mongo_archive import ArchiveWriter
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_dumps import check_dump, open_dump
from opsconsole.backups.mongo_loading import Staged, load_mongo
from opsconsole.backups.mongo_names import STAGED, is_beside
from opsconsole.backups.mongo_part import MongoSaver, check_mongo_part, expected_of
from opsconsole.backups.mongo_saving import Consistency, SavedDump, save_mongo
from opsconsole.backups.mongo_swapping import leftovers, plan_swaps, put_in_place, remove_beside, take_back
from opsconsole.backups.mongo_users import restore_users
from opsconsole.backups.packed_files import Packing
from opsconsole.backups.progress import Cancelled, Progress, Watch
from opsconsole.backups.publishing import Order, make
from opsconsole.backups.reading import Corrupt
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.sources.network import Explained
from tests import stock_archive
from tests.backup_samples import sha256_of
from tests.mongo_digest import CollectionDigest, digest_mongo
from tests.mongo_zoo import connection_to, document, element, fill, id_element, raw
from tests.parts.servers import Server, start_mongod

ZOO = Selection(frozenset({"zoo", "zoo2"}))
EVERYTHING = Selection()


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a zoo in it."""
    yield from started(tmp_path_factory, "standalone")


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of one node, with a password and a zoo in it."""
    yield from started(tmp_path_factory, "set", auth=True, replset=True)


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """To load into."""
    yield from started(tmp_path_factory, "empty", zoo=False)


def started(factory: pytest.TempPathFactory, name: str, *, zoo: bool = True, **options: Any) -> Iterator[Server]:
    server = start_mongod(factory.mktemp(name) / "data", **options)
    try:
        if zoo:
            with client_of(server) as client:
                fill(client)
        yield server
    finally:
        server.stop(kill=True)


def client_of(server: Server) -> pymongo.MongoClient[Any]:
    return pymongo.MongoClient(server.uri, serverSelectionTimeoutMS=5000)


@pytest.fixture(params=["standalone", "replica_set"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def scratch(server: Server) -> Iterator[pymongo.database.Database[Any]]:
    """An empty database of the test's own."""
    with client_of(server) as client:
        client.drop_database("scratch")
        yield client.scratch
        client.drop_database("scratch")


SCRATCH = Selection(frozenset({"scratch"}))


def digest(server: Server, selection: Selection = ZOO) -> tuple[CollectionDigest, ...]:
    with raw(server.uri) as client:
        return digest_mongo(client, selection)


def live(server: Server, selection: Selection = ZOO) -> tuple[CollectionDigest, ...]:
    """Without what stands beside."""
    return tuple(one for one in digest(server, selection) if not is_beside(one.name))


def save(server: Server, path: Path, selection: Selection = ZOO, **options: Any) -> SavedDump:
    return save_mongo(connection_to(server.uri), path, selection=selection, **options)


def load(client: RawClient, path: Path, **options: Any) -> tuple[Staged, ...]:
    with open_dump(path) as dump:
        return load_mongo(client, dump, watch=Watch(None, None), **{"selection": EVERYTHING, **options})


def restore(server: Server, path: Path, **options: Any) -> None:
    """Load and put in place all of it."""
    with raw(server.uri) as client:
        for swap in plan_swaps(client, load(client, path, **options)):
            put_in_place(client, swap)
            remove_beside(client, swap)


def contents(path: Path) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Documents and metadata by collection, without the UUIDs."""
    with open_dump(path) as dump:
        found: dict[str, bytes] = {}
        for batch in dump.batches():
            found[batch.entry.path] = found.get(batch.entry.path, b"") + batch.data
        told = {entry.path: json.loads(entry.metadata) for entry in dump.entries}
    return {name: (data, {**told[name], "uuid": ""}) for name, data in found.items()}


# --- nothing is lost -------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", list(Packing))
def test_what_is_loaded_is_what_was_saved(
    server: Server, empty_server: Server, packing: Packing, tmp_path: Path
) -> None:
    """Every kind of value, index and option, to the byte; loaded into another server and saved again from there."""
    first, second = tmp_path / "first", tmp_path / "second"
    saved = save(server, first, packing=packing)
    assert saved.sha256 == sha256_of(first) and saved.size == first.stat().st_size
    assert first.stat().st_mode & 0o777 == 0o600
    with open_dump(first) as dump:
        checked = check_dump(dump)
    assert {(one.entry.path, one.documents, one.digest) for one in checked} == {
        (f"{one.database}.{one.name}", one.documents, one.digest) for one in saved.collections
    }
    expected = {f"{one.database}.{one.name}": (one.documents, one.digest) for one in saved.collections}
    restore(empty_server, first, expected=expected)
    assert digest(empty_server) == digest(server)
    save(empty_server, second)
    before, after = contents(first), contents(second)
    assert before.keys() == after.keys() and len(before) >= 18
    for name in before:
        assert before[name] == after[name], name


def test_a_restore_over_the_live_data_and_back(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    save(server, path)
    original = digest(server)
    with client_of(server) as client:
        client.zoo.indexed.delete_many({"n": {"$lt": 10}})
        client.zoo.values.drop()
        client.zoo.measured.drop()
        client.zoo.command({"collMod": "open", "viewOn": "empty", "pipeline": []})
        client.zoo["system.js"].delete_many({})
        client.zoo.later.insert_one({"made": "after the backup"})
        changed = digest(server)
        with raw(server.uri) as bulk:
            staged = load(bulk, path)
            swaps = plan_swaps(bulk, staged, [("zoo", "later")])
            assert digest(server) == changed, "loading touches nothing"
            for swap in swaps:
                put_in_place(bulk, swap)
            assert live(server) == original
            with pytest.raises(Explained, match="left from an earlier restore"):
                plan_swaps(bulk, staged)
            for name in leftovers(bulk, ["zoo", "zoo2"]):
                assert name[1].endswith((".__old", ".__stg"))
            for swap in reversed(swaps):
                take_back(bulk, swap)
            assert live(server) == changed
            for swap in swaps:
                put_in_place(bulk, swap)
                remove_beside(bulk, swap)
            assert leftovers(bulk, ["zoo", "zoo2"]) == ()
    assert digest(server) == original


def test_without_the_drivers_own_ways_it_goes_on_all_the_same(
    standalone: Server, empty_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What saving and loading take from inside the driver may be gone one day: slower, and the same bytes."""
    assert mongo_inserting._CHUNKS_WORK and mongo_raw._end_to_end is not mongo_raw._stripped
    save(standalone, tmp_path / "fast")
    monkeypatch.setattr(mongo_inserting, "_CHUNKS_WORK", False)
    monkeypatch.setattr(mongo_raw, "_end_to_end", mongo_raw._stripped)
    save(standalone, tmp_path / "slow")
    restore(empty_server, tmp_path / "slow")
    assert contents(tmp_path / "slow") == contents(tmp_path / "fast")
    assert digest(empty_server) == digest(standalone)


bson_text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
bson_name = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0$"), max_size=8)
bson_value = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(2**63), 2**63 - 1)
    | bson_text
    | st.binary(max_size=20)
    | st.binary(min_size=12, max_size=12).map(bson.ObjectId)
    | st.builds(bson.Binary, st.binary(max_size=20), st.sampled_from([0, 1, 3, 4, 5, 6, 128, 255]))
    | st.builds(bson.Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
    | st.binary(min_size=16, max_size=16).map(bson.Decimal128.from_bid)
    | st.integers(-(2**63), 2**63 - 1).map(bson.datetime_ms.DatetimeMS)
    | st.sampled_from([bson.MinKey(), bson.MaxKey(), bson.Regex("a", "i"), bson.Code("x", {"y": 1})]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(bson_name, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(bson_name.filter(lambda name: name != "_id"), bson_value, max_size=6), max_size=8))
def test_any_document_comes_back_byte_for_byte(
    empty_server: Server, tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, Any]]
) -> None:
    given_bytes = b"".join(bson.encode({"_id": number, **one}) for number, one in enumerate(documents))
    path = tmp_path_factory.mktemp("any")
    (path / "any").mkdir()
    (path / "any" / "c.bson").write_bytes(given_bytes)
    restore(empty_server, path)
    save(empty_server, path / "archive", Selection(frozenset({"any"})), packing=Packing.NONE)
    assert contents(path / "archive")["any.c"][0] == given_bytes


def test_a_hundred_collections(server: Server, scratch: Any, empty_server: Server, tmp_path: Path) -> None:
    for number in range(100):
        scratch[f"c{number}"].insert_one({"_id": number})
    saved = save(server, tmp_path / "archive", SCRATCH)
    assert len(saved.collections) == 100 and sum(one.documents for one in saved.collections) == 100
    with raw(empty_server.uri) as client:
        assert len(load(client, tmp_path / "archive")) == 100
        for name in leftovers(client, ["scratch"]):
            mongo_loading.drop(client.scratch, name[1])
        assert leftovers(client, ["scratch"]) == ()


def test_users_are_saved_and_left_alone_by_a_restore(replica_set: Server, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    saved = save(replica_set, path, EVERYTHING)
    names = [f"{one.database}.{one.name}" for one in saved.collections]
    assert names[:2] == ["admin.system.users", "admin.system.version"], "in the order that mongorestore wants"
    assert not [name for name in names if name.startswith(("local.", "config."))]
    with client_of(replica_set) as client:
        client.admin.command("createUser", "newer", pwd="x", roles=[])
        restore(replica_set, path)
        assert client.admin.command("usersInfo", "newer")["users"]
        client.admin.command("dropUser", "newer")


def test_users_and_roles_when_asked_for(replica_set: Server, tmp_path: Path) -> None:
    def may_log_in(user: str, password: str) -> bool:
        uri = replica_set.uri.replace("root:secret", f"{user}:{password}")
        with pymongo.MongoClient[Any](uri) as client:
            try:
                return bool(client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"])
            except pymongo.errors.OperationFailure:
                return False

    with client_of(replica_set) as client, raw(replica_set.uri) as bulk:
        client.admin.command("createRole", "own role", privileges=[], roles=[{"role": "read", "db": "zoo"}])
        client.admin.command("createUser", "app", pwd="one", roles=["own role"], mechanisms=["SCRAM-SHA-256"])
        save(replica_set, tmp_path / "archive", EVERYTHING)
        client.admin.command("updateUser", "app", pwd="two", roles=[])
        client.admin.command("dropRole", "own role")
        client.admin.command("createUser", "newer", pwd="x", roles=[])
        with open_dump(tmp_path / "archive") as dump:
            done = restore_users(bulk, dump)
        assert (done.users, done.roles, done.left_alone) == (("app@admin",), ("own role@admin",), ("root@admin",))
        assert may_log_in("app", "one") and not may_log_in("app", "two") and may_log_in("root", "secret")
        assert may_log_in("newer", "x")
        assert client.admin.command("usersInfo", "app")["users"][0]["roles"] == [{"role": "own role", "db": "admin"}]
        assert "opsconsole.users" not in client.admin.list_collection_names()
        client.admin.command("dropUser", "app")
        client.admin.command("dropRole", "own role")
        client.admin.command("dropUser", "newer")


def test_chosen_collections_and_another_database(server: Server, empty_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    save(server, path)
    some = Selection(frozenset({"zoo2"}), frozenset({"zoo.values", "zoo.measured"}))
    with raw(empty_server.uri) as client:
        client.drop_database("copy")
    restore(empty_server, path, selection=some, renamed={"zoo": "copy", "zoo2": "copy"})
    found = {one.name: (one.documents, one.digest) for one in digest(empty_server, Selection(frozenset({"copy"})))}
    wanted = {one.name: (one.documents, one.digest) for one in digest(server, some)}
    assert found == wanted and set(found) == {"measured", "other", "values"}


# --- as mongodump leaves it ------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_directories_of_mongodump(standalone: Server, empty_server: Server, packed: bool, tmp_path: Path) -> None:
    archive, directory = tmp_path / "archive", tmp_path / "dump"
    save(standalone, archive)
    as_directory(archive, directory, packed=packed)
    with raw(empty_server.uri) as client:
        client.drop_database("zoo")
        client.drop_database("zoo2")
    restore(empty_server, directory)
    assert digest(empty_server) == digest(standalone)
    victim = next(directory.rglob("indexed.bson*"))
    victim.write_bytes(victim.read_bytes()[:-3])
    with pytest.raises(Corrupt), open_dump(directory) as dump:
        list(dump.batches())
    victim.unlink()
    with pytest.raises(Corrupt, match=r"indexed\.bson is missing"), open_dump(directory):
        pass


def as_directory(archive: Path, directory: Path, *, packed: bool) -> None:
    """Lay an archive out as `mongodump --out` does."""
    import base64
    import gzip
    import hashlib
    from urllib.parse import quote_plus

    def put(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if packed:
            path = path.with_name(path.name + ".gz")
        path.write_bytes(gzip.compress(data, 1) if packed else data)

    def stem(name: str) -> str:
        plain = quote_plus(name, safe="")
        if len(plain) <= 238:
            return plain
        return plain[:208] + "%24" + base64.urlsafe_b64encode(hashlib.sha1(name.encode()).digest()).decode().rstrip("=")

    with open_dump(archive) as dump:
        documents = {entry: b"" for entry in dump.entries}
        for batch in dump.batches():
            documents[batch.entry] += batch.data
    for entry, data in documents.items():
        put(directory / entry.database / f"{stem(entry.name)}.metadata.json", entry.metadata.encode())
        if entry.kind != "view":
            put(directory / entry.database / f"{stem(entry.stored_as)}.bson", data)
    put(directory / "prelude.json", b'{"ServerVersion":"6.0.5","ToolVersion":"100.12.0"}')
    (directory / "oplog.bson").write_bytes(b"")


def test_metadata_of_old_tools(empty_server: Server, tmp_path: Path) -> None:
    """Numbers of any kind where whole ones belong, the collection's name in each index, options nobody knows now."""
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "._old.bson").write_bytes(b"Mac OS X")
    (directory / "old.bson").write_bytes(bson.encode({"_id": 1, "n": 1}))
    metadata = {
        "options": {"autoIndexId": True},
        "indexes": [
            {"v": {"$numberDecimal": "2"}, "key": {"_id": 1}, "name": "_id_", "ns": "shop.old"},
            {"v": 1, "key": {"n": 1.0}, "name": "n_1", "ns": "shop.old", "background": True, "dropDups": True},
        ],
    }
    (directory / "old.metadata.json").write_text(json.dumps(metadata))
    with raw(empty_server.uri) as client:
        (staged,) = load(client, directory)
        assert staged.changed_indexes == ("n_1",)
        (swap,) = plan_swaps(client, [staged])
        put_in_place(client, swap)
    with client_of(empty_server) as plain:
        assert plain.shop.old.index_information()["n_1"]["key"] == [("n", 1)]
        plain.drop_database("shop")


def test_a_second_reader_finds_what_is_live(server: Server, tmp_path: Path) -> None:
    """One as strict as mongorestore, that shares nothing with what wrote it: the format is what it is meant to be."""
    save(server, tmp_path / "archive.gz", EVERYTHING, packing=Packing.GZIP)
    data = stock_archive.unpacked(tmp_path / "archive.gz")
    found = {one.path: one for one in stock_archive.read(data)}
    with raw(server.uri) as client:
        for path, one in found.items():
            source = client[one.database][f"system.buckets.{one.name}" if one.kind == "timeseries" else one.name]
            if one.kind != "view":
                assert one.documents == [held.raw for held in source.find()], path
                names = {str(index["name"]) for index in client[one.database][one.name].list_indexes()}
                assert {str(index["name"]) for index in one.metadata["indexes"]} == names, path
        live = {f"zoo.{name}" for name in client.zoo.list_collection_names() if not name.startswith("system.buckets")}
    assert live - {"zoo.system.views"} == {path for path in found if path.startswith("zoo.")}


def test_the_second_reader_is_strict(standalone: Server, tmp_path: Path) -> None:
    """What is changed, left out, in another order or more than there should be."""
    with client_of(standalone) as client:
        client.drop_database("scratch")
        client.scratch.create_collection("empty")
        client.scratch.full.insert_many([{"n": n} for n in range(3)])
        save(standalone, tmp_path / "archive.gz", SCRATCH, packing=Packing.GZIP)
        client.drop_database("scratch")
    data = stock_archive.unpacked(tmp_path / "archive.gz")
    assert [(one.path, len(one.documents)) for one in stock_archive.read(data)] == [
        ("scratch.empty", 0), ("scratch.full", 3)
    ]  # fmt: skip
    stop, empty = data[-4:], {"db": "scratch", "collection": "empty"}
    block, end = stock_archive.header(**empty, EOF=False, CRC=0), stock_archive.header(**empty, EOF=True, CRC=0)
    version = b"server_version\0\x06\0\0\0"
    for broken in (
        data[:-4],
        data + stop,
        data + end + stop,
        data + block + stop,
        data.replace(end + stop, b""),
        data.replace(end + stop, end),
        data.replace(b"\x10n\0\2", b"\x10n\0\3"),
        data.replace(end, stock_archive.header(**empty, EOF=True, CRC=1)),
        data.replace(end, stock_archive.header(**empty, EOF=True, CRC=0, more=1)),
        data.replace(block, stock_archive.header(**empty, EOF=False, CRC=1)),
        data.replace(version + b"6.0.5", version + b"6.0-5"),
        data.replace(b'"collectionName":"full"', b'"collectionName":"fuel"'),
        data.replace(b'{"$numberInt":"2"}', b"                  2"),
    ):
        assert broken != data
        with pytest.raises(stock_archive.Refused):
            stock_archive.read(broken)
    (tmp_path / "twice.gz").write_bytes((tmp_path / "archive.gz").read_bytes() * 2)
    with pytest.raises(stock_archive.Refused):
        stock_archive.unpacked(tmp_path / "twice.gz")


@pytest.mark.skipif(shutil.which("mongorestore") is None, reason="MongoDB's own tools are not here")
def test_mongorestore_and_mongodump_understand_us(standalone: Server, empty_server: Server, tmp_path: Path) -> None:
    """They lose a document that its validator refuses, and say so in their log only: that collection is left out."""

    def tool(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, timeout=120)

    def documents(server: Server) -> set[tuple[str, int, str]]:
        return {(one.name, one.documents, one.digest) for one in digest(server) if one.name != "validated"}

    save(standalone, tmp_path / "ours.gz", packing=Packing.GZIP)
    with raw(empty_server.uri) as client:
        client.drop_database("zoo")
        client.drop_database("zoo2")
    tool("mongorestore", f"--uri={empty_server.uri}", f"--archive={tmp_path / 'ours.gz'}", "--gzip")
    assert documents(empty_server) == documents(standalone)
    for number, words in enumerate((["--archive"], ["--archive", "--gzip"], ["--out"], ["--out", "--gzip"])):
        path = tmp_path / f"theirs-{number}"
        tool("mongodump", f"--uri={standalone.uri}", f"{words[0]}={path}", *words[1:])
        restore(empty_server, path, selection=ZOO)
        assert digest(empty_server) == digest(standalone)


# --- while others write ----------------------------------------------------------------------------


class WhileReading:
    """Does something once, when the saving has come to a collection."""

    def __init__(self, name: str, action: Any) -> None:
        self.name, self.action, self.times = name, action, 0

    def __call__(self, progress: Progress) -> None:
        if progress.collection == self.name:
            self.times += 1
            if self.times == 1:
                self.action()


def pairs(database: Any, start: int, number: int = 50) -> None:
    """Documents that belong together, in one collection each."""
    for name in ("a", "b"):
        database[name].insert_many([{"_id": n} for n in range(start, start + number)])


def test_a_replica_set_is_saved_as_it_was_at_one_moment(replica_set: Server, tmp_path: Path) -> None:
    with client_of(replica_set) as client:
        client.drop_database("scratch")
        pairs(client.scratch, 0)
        client.scratch.create_collection("capped", capped=True, size=4096)

        def write() -> None:
            pairs(client.scratch, 50)
            client.scratch.b.update_one({"_id": 7}, {"$set": {"changed": True}})
            client.scratch.b.delete_one({"_id": 8})
            client.scratch.new.insert_one({"made": "later"})

        watch = WhileReading("scratch.a", write)
        saved = save(replica_set, tmp_path / "archive", SCRATCH, progress=watch)
        client.drop_database("scratch")
    assert watch.times == 1
    found = {one.name: one for one in saved.collections}
    assert {name: one.documents for name, one in found.items()} == {"a": 50, "b": 50, "capped": 0}
    assert found["a"].digest == found["b"].digest, "neither the change nor the deletion is in it"
    assert saved.moment is not None
    assert found["b"].consistency is Consistency.ONE_POINT
    assert found["capped"].consistency is Consistency.PER_COLLECTION
    assert saved.consistency is Consistency.PER_COLLECTION, "the weakest of them"


def test_a_standalone_server_says_that_it_was_not_one_moment(standalone: Server, tmp_path: Path) -> None:
    with client_of(standalone) as client:
        client.drop_database("scratch")
        pairs(client.scratch, 0)
        watch = WhileReading("scratch.a", lambda: pairs(client.scratch, 50))
        saved = save(standalone, tmp_path / "archive", SCRATCH, progress=watch)
        client.drop_database("scratch")
    assert [one.documents for one in saved.collections] == [50, 100]
    assert saved.consistency is Consistency.PER_COLLECTION and saved.moment is None


def test_collections_that_are_dropped_or_renamed_meanwhile(server: Server, scratch: Any, tmp_path: Path) -> None:
    pairs(scratch, 0)
    saved = save(server, tmp_path / "dropped", SCRATCH, progress=WhileReading("scratch.a", scratch.b.drop))
    assert [one.name for one in saved.collections] == ["a"], "begun again, as if it had never been there"
    pairs(scratch, 50)
    saved = save(
        server, tmp_path / "renamed", SCRATCH, progress=WhileReading("scratch.a", lambda: scratch.b.rename("c"))
    )
    found = {one.name: one.documents for one in saved.collections}
    assert found in ({"a": 100, "b": 50}, {"a": 100, "c": 50}), "never silently empty"


def test_a_collection_that_is_dropped_again_and_again_fails_in_the_end(standalone: Server, tmp_path: Path) -> None:
    with client_of(standalone) as client:
        client.drop_database("scratch")

        def replace(progress: Progress) -> None:
            if progress.collection == "scratch.a":
                client.scratch.b.drop()
                client.scratch.b.insert_one({})

        pairs(client.scratch, 0)
        with pytest.raises(Explained, match="dropped and made again and again"):
            save(standalone, tmp_path / "archive", SCRATCH, progress=replace)
        client.drop_database("scratch")
    assert not list(tmp_path.iterdir())


def test_several_threads_read_with_one_client(standalone: Server) -> None:
    """Each cursor goes on in its own session, whatever the others do meanwhile."""
    fill_pages(standalone, 4000)
    with raw(standalone.uri) as client:

        def read(number: int) -> int:
            return sum(count for _ in range(5) for _, count in mongo_raw.raw_batches(client.large, {"find": "a"}))

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(read, range(4))) == [5 * 4000] * 4
        client.drop_database("large")


# --- when it goes wrong ----------------------------------------------------------------------------


def fill_pages(server: Server, number: int = 20_000) -> None:
    with client_of(server) as client:
        client.large.a.insert_many([{"n": n, "t": "x" * 500} for n in range(number)])
        client.large.b.insert_one({})


def test_the_server_dies_or_hangs_in_the_middle(tmp_path: Path) -> None:
    server = start_mongod(tmp_path / "data")
    try:
        fill_pages(server)
        hang = WhileReading("large.a", lambda: server.process.send_signal(signal.SIGSTOP))
        with pytest.raises(Explained, match=r"does not answer in time \(while large\.a was saved\)"):
            save(server, tmp_path / "archive", EVERYTHING, progress=hang, answer_seconds=0.5)
        server.process.send_signal(signal.SIGCONT)
        die = WhileReading("large.a", lambda: server.stop(kill=True))
        with pytest.raises(Explained, match=r"\(while large\.a was saved\)"):
            save(server, tmp_path / "archive", EVERYTHING, progress=die)
        with pytest.raises(Explained, match="nothing listens there"):
            save(server, tmp_path / "archive", EVERYTHING)
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.stop(kill=True)
    assert not (tmp_path / "archive").exists()


def test_a_user_who_loses_his_rights_in_the_middle(replica_set: Server, tmp_path: Path) -> None:
    fill_pages(replica_set)
    with client_of(replica_set) as client:
        client.admin.command("createUser", "saver", pwd="canary-secret", roles=["backup"])
        uri = replica_set.uri.replace("root:secret", "saver:canary-secret")
        whole = save_mongo(connection_to(uri), tmp_path / "whole", selection=EVERYTHING)
        assert whole.left_out == ()
        lose = WhileReading("large.a", lambda: client.admin.command("dropUser", "saver"))
        with pytest.raises(Explained) as failure:
            save_mongo(connection_to(uri), tmp_path / "archive", selection=EVERYTHING, progress=lose)
        with pytest.raises(Explained, match="the password of user saver was refused") as refused:
            save_mongo(connection_to(uri), tmp_path / "archive", selection=EVERYTHING)
        client.drop_database("large")
    assert refused.value.refused
    for error in (failure.value, refused.value):
        assert "canary" not in f"{error} {error.problem} {error.hint}"
    assert not (tmp_path / "archive").exists()


def test_a_user_of_one_database_saves_that(replica_set: Server, tmp_path: Path) -> None:
    with client_of(replica_set) as client:
        client.admin.command("createUser", "reader", pwd="x", roles=[{"role": "read", "db": "zoo2"}])
        uri = replica_set.uri.replace("root:secret", "reader:x")
        saved = save_mongo(connection_to(uri, "zoo2"), tmp_path / "archive")
        client.admin.command("dropUser", "reader")
    assert [one.name for one in saved.collections] == ["other"]


def test_cancelled_or_full_nothing_is_left(standalone: Server, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        save(standalone, path, progress=seen.append, cancelled=lambda: len(seen) >= 3)
    assert len(seen) == 3 and seen[-1].total_documents > seen[-1].documents > 0 and seen[-1].rate > 0
    assert not path.exists()
    with full_disk(100_000), pytest.raises(Explained, match="cannot be written"):
        save(standalone, path, packing=Packing.NONE)
    assert not path.exists()
    path.write_bytes(b"an older one")
    with pytest.raises(Explained, match="cannot be written: File exists"):
        save(standalone, path)
    assert path.read_bytes() == b"an older one"


@pytest.mark.parametrize("thread", ["digest", "save", "gzip"])
def test_what_goes_wrong_in_any_thread_ends_it_with_its_own_error(
    standalone: Server, thread: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As memory that is used up does it in whichever thread asks for more."""

    def fail(*_: object) -> Any:
        assert threading.current_thread().name.startswith(thread)
        raise MemoryError(thread)

    owner, name = {
        "digest": (DocumentDigest, "add"),
        "save": (ArchiveWriter, "add"),
        "gzip": (gzip_packing, "_deflated"),
    }[thread]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(MemoryError, match=thread):
        save(standalone, tmp_path / "archive")
    assert not list(tmp_path.iterdir())
    assert not [one for one in threading.enumerate() if one.name in ("digest", "save")]


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Files of this process grow to `size` bytes and no further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_broken_or_wrong_archive_changes_nothing(standalone: Server, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    saved = save(standalone, path, packing=Packing.NONE)
    before, data = digest(standalone), path.read_bytes()
    at = data.rindex(b"wort 7")
    path.write_bytes(data[:at] + b"W" + data[at + 1 :])
    expected = {f"{one.database}.{one.name}": (one.documents, one.digest) for one in saved.collections}
    wrong = {**expected, "zoo.empty": (1, "")}
    with raw(standalone.uri) as client:
        with pytest.raises(Corrupt, match="do not match their checksum"):
            load(client, path)
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(Corrupt, match="cut short"):
            load(client, path)
        path.write_bytes(data)
        with pytest.raises(Corrupt, match=r"0 documents of zoo\.empty, its manifest says 1"):
            load(client, path, expected=wrong)
        assert leftovers(client, ["zoo", "zoo2"]) == ()
    assert digest(standalone) == before


def test_what_others_write_into_a_shadow_is_found(
    standalone: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read back is what counts, not what the server said while it took it."""
    path = tmp_path / "archive"
    save(standalone, path)
    insert = mongo_loading.insert_documents
    odd = document(id_element(99_999), element(0x0A, "slipped in", b"")).raw

    def insert_more(database: Any, collection: str, data: bytes) -> None:
        insert(database, collection, data)
        if collection.startswith("empty") or collection.startswith("indexed"):
            insert(database, collection, odd)

    monkeypatch.setattr(mongo_loading, "insert_documents", insert_more)
    with raw(standalone.uri) as client:
        with pytest.raises(Explained, match=r"zoo\.indexed was loaded and reads back differently"):
            load(client, path)
        assert leftovers(client, ["zoo", "zoo2"]) == ()


def test_what_the_server_refuses_is_said_even_when_it_is_no_text(standalone: Server, tmp_path: Path) -> None:
    """Two documents with one key, which is no UTF-8: the server quotes it."""
    twice = document(element(0x02, "_id", (3).to_bytes(4, "little") + b"\xff\xfe\0")).raw * 2
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "c.bson").write_bytes(twice)
    with raw(standalone.uri) as client:
        with pytest.raises(Explained, match=r"MongoDB refused documents of scratch\.c.*duplicate key"):
            load(client, tmp_path)
        assert leftovers(client, ["scratch"]) == ()


# --- ended anywhere between --------------------------------------------------------------------------


class Ended(BaseException):
    """As if the process had been killed: nothing that we wrote comes after it."""


class EndedAt:
    """Lets so many commands through, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 10**9
        for module in (mongo_loading, mongo_swapping):
            monkeypatch.setattr(module, "ask", self._counted(module.ask))
        monkeypatch.setattr(mongo_swapping, "insert_documents", self._counted(mongo_swapping.insert_documents))

    def _counted(self, function: Any) -> Any:
        def counted(*args: Any) -> Any:
            if self.left <= 0:
                raise Ended
            self.left -= 1
            return function(*args)

        return counted


@pytest.mark.parametrize(("server", "finish"), [("standalone", False), ("replica_set", True)], indirect=["server"])
def test_ended_at_any_command_of_the_swap_it_is_finished_or_undone(
    server: Server, scratch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: bool
) -> None:
    some = Selection(
        frozenset(), frozenset(f"zoo.{name}" for name in ("indexed", "open", "measured", "system.js", "clustered"))
    )
    save(server, tmp_path / "archive", some)
    scratch.indexed.insert_one({"live": 1})
    scratch.create_collection("measured", timeseries={"timeField": "at"})
    scratch.measured.insert_one({"at": bson.datetime_ms.DatetimeMS(10**12), "live": 2})
    scratch.command({"create": "open", "viewOn": "indexed", "pipeline": [{"$match": {"live": 1}}]})
    scratch["system.js"].insert_one({"_id": "live", "value": 3})
    scratch.gone.insert_one({"only": "live"})
    old = digest(server, SCRATCH)
    wanted = {(one.name, one.digest, one.metadata) for one in digest(server, some)}
    ended = EndedAt(monkeypatch)
    with raw(server.uri) as client:
        staged = load(client, tmp_path / "archive", renamed={"zoo": "scratch"})
        commands = 0
        while True:
            swaps = plan_swaps(client, staged, [("scratch", "gone")])
            ended.left = commands
            try:
                for swap in swaps:
                    put_in_place(client, swap)
                done = True
            except Ended:
                done = False
            ended.left = 10**9
            if finish:
                for swap in swaps:
                    put_in_place(client, swap)
                now = live(server, SCRATCH)
                assert {(one.name, one.digest, one.metadata) for one in now} == wanted, commands
            for swap in reversed(swaps):
                take_back(client, swap)
                if not finish:
                    take_back(client, swap)
            assert live(server, SCRATCH) == old, commands
            for _, name in leftovers(client, ["scratch"]):
                if not name.endswith(STAGED):
                    mongo_loading.drop(client.scratch, name)
            if done:
                break
            commands += 1
        assert commands > 20
        for swap in swaps:
            remove_beside(client, swap)
        assert leftovers(client, ["scratch"]) == ()


def test_what_something_else_made_in_the_meantime_is_not_covered(standalone: Server, tmp_path: Path) -> None:
    save(standalone, tmp_path / "archive", Selection(frozenset({"zoo2"})))
    with client_of(standalone) as plain, raw(standalone.uri) as client:
        plain.drop_database("scratch")
        (staged,) = load(client, tmp_path / "archive", renamed={"zoo2": "scratch"})
        (swap,) = plan_swaps(client, [staged])
        plain.scratch.other.insert_one({"an": "application"})
        with pytest.raises(Explained, match=r"scratch\.other was made by something else"):
            put_in_place(client, swap)
        take_back(client, swap)
        assert plain.scratch.other.count_documents({}) == 1
        plain.drop_database("scratch")


# --- as a part of a backup ---------------------------------------------------------------------------


def test_as_a_part_of_a_backup(server: Server, tmp_path: Path) -> None:
    saver = MongoSaver("mongodb", connection_to(server.uri), packing=Packing.ZSTD, selection=ZOO)
    made = make(tmp_path, Order(backup_class="manual"), [saver])
    place = tmp_path / made.id
    (part,) = manifest.read(place).parts
    assert [file.path for file in part.files] == ["mongodb.archive.zst"] and part.server == "MongoDB 6.0.5"
    assert part.consistency == "per collection"
    assert bool(part.notes) is ("oplogSize" in str(server.process.args))
    assert check_mongo_part(place, part, required=("zoo.values", "other")) == ()
    (fault,) = check_mongo_part(place, part, required=("empty",))
    assert str(fault) == "mongodb.archive.zst has no documents of empty, which is required"
    with raw(server.uri) as client:
        load(client, place / "mongodb.archive.zst", expected=expected_of(part))
        for database, name in leftovers(client, ["zoo", "zoo2"]):
            mongo_loading.drop(client[database], name)
    other = msgspec.structs.replace(part.collections[0], documents=99)
    changed = msgspec.structs.replace(part, collections=(other, *part.collections[2:]))
    assert [fault.problem.partition(" ")[0] for fault in check_mongo_part(place, changed)] == ["holds", "holds"]
    path = place / "mongodb.archive.zst"
    path.write_bytes(path.read_bytes()[:-9])
    (fault,) = check_mongo_part(place, part)
    assert str(fault).startswith("mongodb.archive.zst is cut short")
