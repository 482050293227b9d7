"""Backups restored for a trial (level 3): what only that finds, and that nothing live is touched and nothing left."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pymongo
import pyrage
import pytest
import redis
from bson import Decimal128

from opsconsole.backups import manifest, marks, proving_files, verified_backups
from opsconsole.backups.bson_documents import DocumentDigest, document_ends
from opsconsole.backups.catalog import Catalog
from opsconsole.backups.config_part import ConfigSaver
from opsconsole.backups.encryption import keys_in, recipients_of
from opsconsole.backups.faults import Level
from opsconsole.backups.files_part import FilesSaver
from opsconsole.backups.manifest import HeldFile, HeldKeys, Manifest, Part
from opsconsole.backups.marks import Check
from opsconsole.backups.mongo_archive import ArchiveWriter, Entry
from opsconsole.backups.mongo_catalog import Selection, database_names
from opsconsole.backups.mongo_dumps import open_dump
from opsconsole.backups.mongo_names import PROOF
from opsconsole.backups.mongo_part import MongoSaver
from opsconsole.backups.packed_files import PackedFile, Packing
from opsconsole.backups.progress import Cancelled
from opsconsole.backups.proof import LiveServer, Trial
from opsconsole.backups.proving_mongo import MongoDump, _different, prove_mongo
from opsconsole.backups.publishing import Order, make
from opsconsole.backups.redis_saving import RedisSaver
from opsconsole.backups.verified_backups import Asked, Verification, verify_and_mark
from opsconsole.backups.verifying import verify
from opsconsole.model import Backup, BackupClass, DatabaseTarget, SourceError, Stack
from opsconsole.sources.connection import Connection
from tests import backup_samples as samples
from tests.backup_samples import sha256_of
from tests.children import in_a_child
from tests.mongo_digest import CollectionDigest, digest_mongo
from tests.mongo_zoo import fill, raw
from tests.parts.engine import Engine
from tests.parts.install import MONGOD, find
from tests.parts.machine import run
from tests.parts.servers import Server, start_mongod, start_redis
from tests.parts.stacks import Stack as MpsStack

NIGHT = "20260118_020000"
LIBRARY = "#!lua name=shop\nredis.register_function('total', function(keys, args) return 42 end)"
# Other test runs use the same engine.
OPERATION = f"proof-test-{os.getpid()}"
PROVEN = Asked(level=Level.RESTORED, operation=OPERATION)
WHOLE = Asked(level=Level.RESTORED, required=("zoo.values",), operation=OPERATION)


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The live server."""
    server = start_mongod(tmp_path_factory.mktemp("mongod") / "data")
    try:
        with pymongo.MongoClient[Any](server.uri) as client:
            fill(client)
            _fill_shop(client.shop)
        yield server
    finally:
        server.stop(kill=True)


def _fill_shop(shop: Any) -> None:
    shop.orders.insert_many([{"_id": n, "n": n, "text": "x" * 500} for n in range(3000)])
    shop.orders.create_index("n", unique=True)
    shop.users.insert_many([{"_id": n} for n in range(50)])
    shop.users.create_index("seen", expireAfterSeconds=3600)
    shop.create_collection("empty")
    shop.command({"create": "open", "viewOn": "orders", "pipeline": [{"$match": {"n": {"$gt": 5}}}]})


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The live server, with settings under which values lie there in other forms than in a new one."""
    options = ("--hash-max-listpack-entries", "4", "--rdbcompression", "no")
    server = start_redis(tmp_path_factory.mktemp("redis"), appendonly=True, options=options)
    try:
        live = redis.Redis.from_url(server.uri)
        pipe = live.pipeline(transaction=False)
        pipe.set("text", "x" * 5000).set(b"\0\xff bin", bytes(range(256))).set("soon", "x", ex=86_400)
        pipe.hset("hash", mapping={f"f{n}": "v" * n for n in range(300)}).sadd("set", *range(900), "word")
        pipe.zadd("zset", {f"m{n}": n / 3 for n in range(300)}).rpush("list", *range(3000)).xadd("stream", {"a": 1})
        pipe.xgroup_create("stream", "readers", id="0").function_load(LIBRARY)
        for n in range(600):
            pipe.set(f"cart:{n}", n, ex=3600 if n % 3 == 0 else None)
        pipe.execute()
        redis.Redis.from_url(server.uri, db=9).mset({f"job:{n}": n for n in range(40)})
        yield server
    finally:
        server.stop(kill=True)


@pytest.fixture(scope="module")
def saved(mongod: Server, redis_server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two backups, of everything and of little; tests work on copies."""
    files = tmp_path_factory.mktemp("uploads")
    (files / "deep" / "er").mkdir(parents=True)
    for n in range(20):
        (files / "deep" / f"{n}.png").write_bytes(b"PNG" * n)
    (files / "link").symlink_to("deep/3.png")
    made = {}
    for name, databases in (("everything", {"zoo", "zoo2"}), ("little", {"shop"})):
        savers = [
            MongoSaver("mongodb", connection("mongodb", mongod.uri), selection=Selection(frozenset(databases))),
            RedisSaver("redis", redis_server.uri),
            FilesSaver("uploads", files),
            ConfigSaver(rendered="services:\n  web:\n    image: web\n", images={"web": "sha256:1"}),
        ]
        place = tmp_path_factory.mktemp(name)
        made[name] = place / make(place, Order(backup_class=BackupClass.SCHEDULED), savers).id
    return made


@pytest.fixture
def everything(saved: dict[str, Path], tmp_path: Path) -> Path:
    return _copied(saved["everything"], tmp_path)


@pytest.fixture
def place(saved: dict[str, Path], tmp_path: Path) -> Path:
    """A backup of little, to change at will."""
    return _copied(saved["little"], tmp_path)


def _copied(found: Path, tmp_path: Path) -> Path:
    """By hard links: what is changed is written anew."""
    target = tmp_path / "backups" / found.name
    for path in found.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(found)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(path)
    return target


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leaves only these programs on the PATH."""

    def leave(*programs: Path | str) -> None:
        directory = tmp_path / "bin"
        directory.mkdir()
        for program in programs:
            (directory / Path(program).name).symlink_to(program)
        monkeypatch.setenv("PATH", str(directory))

    return leave


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test nothing of ours is left, on the engine or on the disk."""
    yield
    if "engine" in request.fixturenames:
        engine: Engine = request.getfixturevalue("engine")
        assert ours(engine) == []
    assert not list(Path("/tmp").glob(f".opsconsole-proof-*-{os.getpid()}-*"))


def ours(engine: Engine) -> list[str]:
    """The containers of this process and of its children."""
    label = f"label=opsconsole.throwaway={OPERATION}"
    return engine.docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def inspected(engine: Engine, name: str) -> dict[str, Any]:
    (found,) = json.loads(engine.docker("inspect", name))
    return dict(found)


def volumes_of(container: dict[str, Any]) -> set[str]:
    return {mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"}


def all_volumes(engine: Engine) -> set[str]:
    return set(engine.docker("volume", "ls", "--quiet").split())


def connection(kind: str, uri: str) -> Connection:
    return Connection(target=DatabaseTarget(kind=kind, name=kind if kind == "mongodb" else "redis"), uri=uri)


def servers(mongod: Server, redis_server: Server, *, images: bool) -> list[LiveServer]:
    return [
        LiveServer(connection("mongodb", mongod.uri), "mongo:6.0" if images else ""),
        LiveServer(connection("redis", redis_server.uri), "redis:7" if images else ""),
    ]


def live_state(mongod: Server, redis_server: Server) -> tuple[tuple[CollectionDigest, ...], set[str], dict[str, Any]]:
    with raw(mongod.uri) as client:
        names = set(client.list_database_names())
        digests = digest_mongo(client, Selection(frozenset({"zoo", "zoo2", "shop"})))
    keyspace = redis.Redis.from_url(redis_server.uri).info("keyspace")
    return digests, names, {name: one["keys"] for name, one in keyspace.items()}


def listed(place: Path) -> Backup:
    stack = Stack(name="any", directory=str(place.parent.parent), backup_directory=str(place.parent))
    (found,) = (one for one in Catalog(zone=UTC).look(stack) if one.id == place.name)
    return found


def looked_at(place: Path, known: list[LiveServer], asked: Asked = WHOLE, **options: Any) -> Verification:
    return verify_and_mark(listed(place), asked, known, **options)


def checks(place: Path) -> dict[Level, str]:
    return {check.level: check.problem for check in marks.read(place.parent, place.name).checks}


def rewritten(place: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Another manifest, whose seal fits."""
    made = change(manifest.read(place))
    sums = manifest.checksum_lines(tuple(file for part in made.parts for file in part.files))
    (place / manifest.CHECKSUMS).unlink()
    (place / manifest.CHECKSUMS).write_bytes(sums)
    held = HeldFile(path=manifest.CHECKSUMS, size=len(sums), sha256=manifest.sha256(sums))
    (place / manifest.NAME).unlink()
    (place / manifest.NAME).write_bytes(manifest.encode(msgspec.structs.replace(made, checksums=held)))


def with_part(place: Path, kind: str, change: Callable[[Part], Part]) -> None:
    rewritten(
        place,
        lambda made: msgspec.structs.replace(
            made, parts=tuple(change(part) if part.kind == kind else part for part in made.parts)
        ),
    )


def with_file(place: Path, kind: str, path: str, **changed: Any) -> None:
    """The manifest lists a file of that part as it is now."""
    size, digest = (place / path).stat().st_size, sha256_of(place / path)

    def change(part: Part) -> Part:
        files = tuple(
            HeldFile(path=path, size=size, sha256=digest) if file.path == path else file for file in part.files
        )
        return msgspec.structs.replace(part, files=files, **changed)

    with_part(place, kind, change)


# --- it is what it was -----------------------------------------------------------------------------


def test_in_containers_that_nobody_else_reaches(
    engine: Engine, mongod: Server, redis_server: Server, everything: Path
) -> None:
    before = live_state(mongod, redis_server)
    seen: dict[str, dict[str, Any]] = {}

    def told(what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        for name in ours(engine) if what in ("zoo2.other", "redis") else ():
            seen[name] = inspected(engine, name)

    found = looked_at(everything, servers(mongod, redis_server, images=True), told=told)
    assert found.ok and found.complete and found.proof is not None, found
    assert live_state(mongod, redis_server) == before
    assert found.proof.words == (
        "16 collections, 2 views, 237 documents, 32 indexes; 648 keys, 1 function library; 23 entries; 2 files"
    )
    assert [part.way for part in found.proof.parts] == [
        "restored into a container of mongo:6.0",
        "restored into a container of redis:7",
        "unpacked into a directory of its own",
        "parsed",
    ]
    assert found.proof.seconds > 0
    assert checks(everything) == {Level.RESTORED: ""}
    assert marks.read(everything.parent, everything.name).proven
    assert len(seen) == 2
    for one in seen.values():
        host = one["HostConfig"]
        assert host["NetworkMode"] == "none" and not host["PortBindings"] and not host["PublishAllPorts"]
        assert not one["NetworkSettings"]["Ports"] and set(one["NetworkSettings"]["Networks"]) <= {"none"}
        assert host["RestartPolicy"]["Name"] == "no" and host["CapDrop"] == ["ALL"] and not host["Privileged"]
        # No directory of the host but the one for its socket, and no volume that has a name.
        binds = [mount["Source"] for mount in one["Mounts"] if mount["Type"] == "bind"]
        assert len(binds) == 1 and "/.opsconsole-proof-" in binds[0]
        assert volumes_of(one) and not volumes_of(one) & all_volumes(engine)
    assert sorted(path.name for path in everything.parent.iterdir()) == [".marks", everything.name]


def test_with_programs_of_this_host(
    mongod: Server, redis_server: Server, everything: Path, only: Callable[..., None]
) -> None:
    only(MONGOD, str(find("redis-server")))
    before = live_state(mongod, redis_server)
    found = looked_at(everything, servers(mongod, redis_server, images=False))
    assert found.complete and found.proof is not None, found
    assert "mongod 6.0.5" in found.proof.parts[0].way and "redis-server 7.0.15" in found.proof.parts[1].way
    assert live_state(mongod, redis_server) == before
    assert sorted(path.name for path in everything.parent.iterdir()) == [".marks", everything.name]


# --- what only a restore finds ---------------------------------------------------------------------


def alone(place: Path, kind: str) -> None:
    """Only that part is left of the backup."""

    def change(made: Manifest) -> Manifest:
        for part in made.parts:
            for file in part.files if part.kind != kind else ():
                (place / file.path).unlink()
        return msgspec.structs.replace(made, parts=tuple(part for part in made.parts if part.kind == kind))

    rewritten(place, change)


def repacked(place: Path, path: str, change: Callable[[dict[str, Any]], object], twice: bool = False) -> None:
    """The archive with other metadata of a collection, or with its documents twice."""
    file = place / "mongodb.archive.gz"
    with open_dump(file) as dump:
        entries = tuple(changed(entry, change) if entry.path == path else entry for entry in dump.entries)
        found = [(batch.entry.path, batch.data) for batch in dump.batches() if batch.data]
    file.unlink()
    target = PackedFile(file, Packing.GZIP)
    writer = ArchiveWriter(target, entries, server_version="6.0.5", tool_version="x")
    digests = {}
    for entry in entries:
        data = b"".join(data for name, data in found if name == entry.path)
        data += data if twice and entry.path == path else b""
        digests[entry.path] = DocumentDigest()
        digests[entry.path].add(data, sum(1 for _ in document_ends(data)))
        writer.begin(entry)
        writer.add(data)
        writer.end(entry)
    target.finish()
    part = next(part for part in manifest.read(place).parts if part.kind == "mongo")
    collections = tuple(
        msgspec.structs.replace(
            one,
            documents=digests[f"{one.database}.{one.name}"].documents,
            digest=digests[f"{one.database}.{one.name}"].digest,
            indexes=len(json.loads(entry.metadata).get("indexes", ())) if entry.kind != "view" else 0,
        )
        for one, entry in ((one, entry) for one in part.collections for entry in entries)
        if entry.path == f"{one.database}.{one.name}"
    )
    with_file(place, "mongo", file.name, collections=collections)


def changed(entry: Entry, change: Callable[[dict[str, Any]], object]) -> Entry:
    metadata = json.loads(entry.metadata)
    change(metadata)
    return msgspec.structs.replace(entry, metadata=json.dumps(metadata))


def an_index_that_cannot_be(place: Path) -> None:
    spec = {"v": 2, "key": {"nowhere": 1}, "name": "nowhere_1", "unique": True}
    repacked(place, "shop.orders", lambda metadata: metadata["indexes"].append(spec))


def documents_twice(place: Path) -> None:
    repacked(place, "shop.orders", lambda metadata: None, twice=True)


def a_view_that_cannot_be_read(place: Path) -> None:
    pipeline = [{"$project": {"x": {"$divide": ["$n", 0]}}}]
    repacked(place, "shop.open", lambda metadata: metadata["options"].update(pipeline=pipeline))


def an_option_that_no_server_has(place: Path) -> None:
    repacked(place, "shop.empty", lambda metadata: metadata.update(options={"nonsense": True}))


def another_number_of_indexes(place: Path) -> None:
    def change(part: Part) -> Part:
        collections = [
            msgspec.structs.replace(one, indexes=one.indexes + (one.name == "orders")) for one in part.collections
        ]
        return msgspec.structs.replace(part, collections=tuple(collections))

    with_part(place, "mongo", change)


def a_value_broken_inside(place: Path) -> None:
    (place / "redis.rdb").unlink()
    broken = b"\xfe\0" + b"\x10\x04cart\x08ABCDEFGH"  # a hash in a list that is none
    (place / "redis.rdb").write_bytes(b"REDIS0010" + broken + b"\xff" + bytes(8))
    with_file(place, "redis", "redis.rdb", keys=(HeldKeys(database=0, keys=1),))


def a_file_below_a_file(place: Path) -> None:
    (place / "files-uploads.tar.gz").unlink()
    (place / "files-uploads.tar.gz").write_bytes(samples.tar({"a": b"A", "a/b": b"B"}))
    with_file(place, "files", "files-uploads.tar.gz", members=2, content_size=2)


def no_yaml(place: Path) -> None:
    (place / "config" / "rendered.yml").unlink()
    (place / "config" / "rendered.yml").write_text("services: [")
    with_file(place, "config", "config/rendered.yml")


FAULTS = [
    ("mongo", an_index_that_cannot_be, "mongodb.archive.gz cannot be restored: MongoDB answered with an error: "),
    ("mongo", documents_twice, "mongodb.archive.gz cannot be restored: "),
    ("mongo", an_option_that_no_server_has, "mongodb.archive.gz cannot be restored: MongoDB answered with an error: "),
    (
        "mongo",
        a_view_that_cannot_be_read,
        "mongodb.archive.gz holds the view shop.open, which cannot be read: ",
    ),
    ("mongo", another_number_of_indexes, "mongodb.archive.gz lists 2 indexes of shop.orders, the manifest says 3"),
    ("redis", a_value_broken_inside, "redis.rdb cannot be restored: Redis answered with an error: "),
    ("files", a_file_below_a_file, "files-uploads.tar.gz holds 'a/b' behind something that is no directory"),
    ("config", no_yaml, "config/rendered.yml is no YAML: "),
]


@pytest.mark.parametrize(("kind", "harm", "said"), FAULTS, ids=[harm.__name__ for _, harm, _ in FAULTS])
def test_what_only_a_restore_finds(
    kind: str, harm: Callable[[Path], None], said: str, place: Path, only: Callable[..., None]
) -> None:
    only(MONGOD, str(find("redis-server")))
    alone(place, kind)
    harm(place)
    assert verify(place, Level.PARSED).faults == ()
    found = looked_at(place, [], PROVEN)
    assert found.level is Level.RESTORED and not found.ok
    assert str(found.faults[0]).startswith(said), found.faults
    assert checks(place) == {Level.PARSED: "", Level.RESTORED: str(found.faults[0])}
    assert not marks.read(place.parent, place.name).proven
    assert sorted(path.name for path in place.parent.iterdir()) == [".marks", place.name]


# --- what could not be tried, and what goes wrong on the way -----------------------------------------


@pytest.mark.parametrize(("kind", "when"), [("mongo", "shop."), ("redis", "redis")])
def test_a_server_that_is_killed_while_it_is_loaded(
    engine: Engine, mongod: Server, redis_server: Server, place: Path, kind: str, when: str
) -> None:
    """It says nothing against the backup, and nothing for it."""
    alone(place, kind)
    killed: list[dict[str, Any]] = []

    def told(what: str, done: int, total: int) -> None:
        if what.startswith(when) and not killed and (names := ours(engine)):
            killed.extend(inspected(engine, name) for name in names)
            engine.docker("kill", *names)

    found = looked_at(place, servers(mongod, redis_server, images=True), PROVEN, told=told)
    assert killed and found.ok and not found.complete and found.proof is not None
    assert "ended while it was loaded: it was killed" in found.note
    assert checks(place) == {Level.PARSED: ""}
    assert not volumes_of(killed[0]) & all_volumes(engine)


def test_what_a_killed_run_leaves_is_removed_by_the_next(engine: Engine, place: Path, tmp_path: Path) -> None:
    alone(place, "mongo")
    known = [LiveServer(connection("mongodb", "mongodb://nowhere.invalid"), "mongo:6.0")]
    note = tmp_path / "left"

    def killed(what: str, done: int, total: int) -> None:
        if what.startswith("shop."):
            note.write_text("".join(ours(engine)))
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(lambda: looked_at(place, known, told=killed, asked=PROVEN)) == -signal.SIGKILL
    left = note.read_text()
    # Another test run may have been the next one already.
    assert left.startswith("opsconsole-proof-") and not (place.parent / ".marks").exists()
    assert looked_at(place, known, PROVEN).complete
    assert left not in engine.docker("ps", "--all", "--format", "{{.Names}}").split()
    assert not Path("/tmp", f".{left}").exists()


def test_a_program_that_a_killed_run_leaves_is_ended_by_the_next(
    place: Path, only: Callable[..., None], tmp_path: Path
) -> None:
    only(MONGOD)
    alone(place, "mongo")
    note = tmp_path / "left"

    def killed(what: str, done: int, total: int) -> None:
        if what.startswith("shop."):
            (left,) = place.parent.glob(".opsconsole-proof-*")
            found = [
                str(one.pid)
                for one in psutil.process_iter(["cmdline"])
                if f"{left}/data" in (one.info["cmdline"] or ())
            ]
            note.write_text(" ".join([str(left), *found]))
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(lambda: looked_at(place, [], told=killed, asked=PROVEN)) == -signal.SIGKILL
    left, process = note.read_text().split()
    assert Path(left).is_dir()
    assert looked_at(place, [], PROVEN).complete
    assert not Path(left).exists()
    assert not psutil.pid_exists(int(process)) or psutil.Process(int(process)).status() == psutil.STATUS_ZOMBIE


def test_cancelled_nothing_is_left_and_nothing_written_down(place: Path, only: Callable[..., None]) -> None:
    only(MONGOD)
    alone(place, "mongo")
    told: list[str] = []
    with pytest.raises(Cancelled):
        looked_at(
            place,
            [],
            PROVEN,
            told=lambda what, done, total: told.append(what),
            cancelled=lambda: any(what.startswith("shop.") for what in told),
        )
    assert [path.name for path in place.parent.iterdir()] == [place.name]


# --- where there is neither an engine nor a program ----------------------------------------------------


def test_beside_the_live_data_where_nothing_else_is_to_be_had(
    mongod: Server, redis_server: Server, everything: Path, only: Callable[..., None]
) -> None:
    """MongoDB in databases of its own there; Redis is not loaded into, and so not proven."""
    only()
    before = live_state(mongod, redis_server)
    during: set[str] = set()
    saved: set[str] = set()

    def told(what: str, done: int, total: int) -> None:
        if what == "zoo2.other":
            with raw(mongod.uri) as client:
                during.update(client.list_database_names())
                saved.update(database_names(client, Selection()))

    found = looked_at(everything, servers(mongod, redis_server, images=False), told=told)
    assert found.ok and not found.complete and found.level is Level.PARSED and found.proof is not None
    assert found.proof.parts[0].way == "restored into databases of its own on the live server"
    assert found.proof.words.startswith("16 collections, 2 views, 237 documents, 32 indexes; 23 entries")
    assert [one.name for one in found.proof.unproven] == ["redis"]
    assert found.note.startswith("redis was not restored: there is no throw-away server to be had: ")
    assert sum(name.startswith(PROOF) for name in during) == 2 and not any(name.startswith(PROOF) for name in saved)
    assert live_state(mongod, redis_server) == before
    assert checks(everything) == {Level.PARSED: ""}


def test_databases_that_a_killed_run_leaves_are_dropped_by_the_next(
    mongod: Server, redis_server: Server, place: Path, only: Callable[..., None]
) -> None:
    only()
    alone(place, "mongo")
    known = servers(mongod, redis_server, images=False)
    before = live_state(mongod, redis_server)

    def killed(what: str, done: int, total: int) -> None:
        if what == "shop.users":
            os.kill(os.getpid(), signal.SIGKILL)

    asked = PROVEN
    assert in_a_child(lambda: looked_at(place, known, asked, told=killed)) == -signal.SIGKILL
    with raw(mongod.uri) as client:
        assert any(name.startswith(PROOF) for name in client.list_database_names())
    assert looked_at(place, known, asked).complete
    assert live_state(mongod, redis_server) == before


def test_no_live_server_is_loaded_into_that_may_not_be(
    mongod: Server, redis_server: Server, place: Path, only: Callable[..., None], tmp_path: Path
) -> None:
    only()
    alone(place, "mongo")
    member = start_mongod(tmp_path / "member", replset=True)
    try:
        with pymongo.MongoClient[Any](member.uri) as client:
            client.admin.command("replSetStepDown", 120, force=True)
        asked = PROVEN
        found = looked_at(place, [LiveServer(connection("mongodb", member.uri))], asked)
        assert "MongoDB is no primary: nothing can be loaded into it" in found.note and not found.complete
    finally:
        member.stop(kill=True)
    found = looked_at(place, [LiveServer(connection("mongodb", mongod.uri), may_load=False)], asked)
    assert "this host has no mongod" in found.note and not found.complete
    trial = Trial(place.parent, servers(mongod, redis_server, images=False))
    huge = MongoDump(name="mongodb", path=place / "mongodb.archive.gz", shown="x", size=1 << 50)
    with pytest.raises(SourceError, match="would need 2,147,484,672 MiB of its disk"):
        prove_mongo(huge, trial)


def test_an_encrypted_backup_is_proven_with_its_key(
    mongod: Server, redis_server: Server, tmp_path: Path, only: Callable[..., None]
) -> None:
    """Its parts are unpacked as they are read; what was written of them in the clear is gone afterwards."""
    only(MONGOD, str(find("redis-server")))
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{key}\n")
    (tmp_path / "key.txt").chmod(0o600)
    to = recipients_of([str(key.to_public())])
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a").write_bytes(b"A" * 1000)
    place = tmp_path / "backups"
    for rendered, complaint in (("services: {web: {}}", ""), ("services: [", "config/rendered.yml.age is no YAML: ")):
        savers = [
            MongoSaver(
                "mongodb", connection("mongodb", mongod.uri), selection=Selection(frozenset({"shop"})), recipients=to
            ),
            RedisSaver("redis", redis_server.uri, recipients=to),
            FilesSaver("uploads", tmp_path / "uploads", recipients=to),
            ConfigSaver(rendered=rendered, recipients=to),
        ]
        order = Order(backup_class=BackupClass.SCHEDULED, encrypted_to=to.keys)
        made = place / make(place, order, savers).id
        found = looked_at(made, [], Asked(level=Level.RESTORED, keys=keys_in(tmp_path / "key.txt")))
        assert found.proof is not None
        assert found.proof.words == (
            "3 collections, 1 view, 3,050 documents, 5 indexes; 648 keys, 1 function library; 1 entry; 2 files"
        )
        assert [str(fault).startswith(complaint) for fault in found.faults] == ([True] if complaint else [])
    with pytest.raises(SourceError, match="is encrypted, and there is no key to read it with"):
        looked_at(made, [], PROVEN)
    assert len(list(place.iterdir())) == 3


# --- older layouts ---------------------------------------------------------------------------------


def test_what_the_mps_stack_saved_itself(mps: MpsStack, tmp_path: Path) -> None:
    """By the images that its containers run; no manifest, so what comes out is held against the dump itself."""
    (source,) = (mps.directory / "backups").glob("mps_backup_*.tar.gz")
    place = tmp_path / "backups" / source.name
    place.parent.mkdir()
    place.hardlink_to(source)
    known = [
        LiveServer(connection("mongodb", mps.mongo_uri), mps.container("mongodb")["Image"], may_load=False),
        LiveServer(connection("redis", mps.redis_url), mps.container("redis")["Image"]),
    ]
    seen: list[str] = []
    found = looked_at(place, known, PROVEN, told=lambda what, *_: seen.extend(ours(mps.engine)))
    assert found.complete and found.proof is not None, found
    assert {part.way for part in found.proof.parts} == {
        "restored into a container of mongo:6.0",
        "restored into a container of redis:7",
    }
    assert marks.read(place.parent, listed(place).id).proven
    assert seen and ours(mps.engine) == []


@pytest.mark.parametrize("packed", [True, False])
def test_directories_of_mongodump(packed: bool, tmp_path: Path, only: Callable[..., None]) -> None:
    only(MONGOD)
    place = samples.by_smokava(tmp_path / "backups", NIGHT, packed=packed)
    found = looked_at(place, [], Asked(level=Level.RESTORED, required=("users",)))
    assert found.complete and found.proof is not None
    assert found.proof.words == "3 collections, 15 documents, 3 indexes"
    file = place / "smokava" / ("users.bson.gz" if packed else "users.bson")
    twice = samples.documents(5) * 2
    file.write_bytes(gzip.compress(twice) if packed else twice)
    assert looked_at(place, [], Asked(level=Level.PARSED)).complete
    found = looked_at(place, [], PROVEN)
    assert found.level is Level.RESTORED and "cannot be restored: " in str(found.faults[0])


def test_what_backup_sh_wrote(tmp_path: Path, only: Callable[..., None]) -> None:
    only(MONGOD)
    place = samples.by_backup_sh(tmp_path / "backups", NIGHT)
    found = looked_at(place, [], Asked(level=Level.RESTORED, required=("users",)))
    assert found.complete and found.proof is not None
    assert found.proof.words == "1 file; 4 collections, 20 documents, 4 indexes; 4 entries"
    assert sorted(path.name for path in place.parent.iterdir()) == [".marks", NIGHT]
    found = looked_at(place, [], Asked(level=Level.HASHES))
    assert (found.level, found.complete) == (Level.MANIFEST, False)
    assert found.note == "it has no manifest: there are no hashes to compare"
    found = looked_at(place, [], Asked(level=Level.PARSED, required=("orders",)))
    assert found.level is Level.PARSED and "has no documents of orders" in str(found.faults[0])
    (place / f"mongodb-{NIGHT}.tar.gz").write_bytes(b"")
    assert [level for level, problem in checks(place).items() if problem] == [Level.PARSED]


# --- what is written down --------------------------------------------------------------------------


def test_each_level_is_written_down(place: Path) -> None:
    alone(place, "config")
    at = datetime(2026, 1, 18, 12, tzinfo=UTC)
    for level in (Level.MANIFEST, Level.HASHES, Level.PARSED, Level.RESTORED):
        assert looked_at(place, [], Asked(level=level), clock=lambda: at).complete
    written = marks.read(place.parent, place.name).checks
    assert written[-1].seconds is not None, "how long the test restore took"
    told = tuple(msgspec.structs.replace(one, seconds=None) for one in written)
    assert told == tuple(Check(level=level, at=at) for level in Level)
    path = place / "config" / "state.json"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data.replace(b"sha256:1", b"sha256:2"))
    found = looked_at(place, [], PROVEN)
    assert found.level is Level.HASHES and found.proof is None
    known = marks.read(place.parent, place.name)
    assert "config/state.json was changed" in known.fault and not known.proven
    path.write_bytes(data)
    assert looked_at(place, [], Asked(level=Level.HASHES)).complete
    assert marks.read(place.parent, place.name).proven


def test_marks_that_cannot_be_read_are_left_as_they_are(place: Path) -> None:
    alone(place, "config")
    (place.parent / ".marks").mkdir()
    broken = place.parent / ".marks" / f"{place.name}.json"
    broken.write_bytes(b"{")
    found = looked_at(place, [], Asked(level=Level.PARSED))
    assert found.complete and "cannot be read" in found.unrecorded
    assert broken.read_bytes() == b"{"


def test_without_room_files_are_read_through(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(place, "files")
    monkeypatch.setattr(proving_files, "_RESERVE", 1 << 60)
    found = looked_at(place, [], PROVEN)
    assert found.complete and found.proof is not None
    assert found.proof.parts[0].way.startswith("read through: there is no room to unpack ")
    with_part(place, "files", lambda part: msgspec.structs.replace(part, members=part.members + 1))
    assert not looked_at(place, [], PROVEN).ok


# --- how closely it looks ----------------------------------------------------------------------------


def test_values_that_come_back_differently_are_named(place: Path, only: Callable[..., None]) -> None:
    """Somebody changes what the throw-away Redis holds, before the second of the two ways is compared."""
    only(str(find("redis-server")))
    alone(place, "redis")
    looks: list[str] = []

    def hook() -> bool:
        sockets = list(Path("/tmp").glob(f".opsconsole-proof-*-{os.getpid()}-*/s/server.sock"))
        if not sockets:
            return False
        with (
            redis.Redis(unix_socket_path=str(sockets[0])) as zero,
            redis.Redis(unix_socket_path=str(sockets[0]), db=9) as nine,
        ):
            jobs = str(nine.dbsize())
            if looks[-1:] != [jobs]:
                looks.append(jobs)
            # Loaded by itself, given back elsewhere, in its place.
            if looks[-3:] == ["40", "0", "40"]:
                looks.append("changed")
                nine.delete("job:2")
                nine.set("job:3", "other")
                zero.expire("soon", 5000)
        return False

    found = looked_at(place, [], PROVEN, cancelled=hook)
    assert "changed" in looks
    assert {fault.problem for fault in found.faults} == {
        "holds the key job:2 in db 9, which is not there after a restore",
        "holds the key job:3 in db 9, which came back differently",
        "holds the key soon in db 0, which expires at another time",
    }


@pytest.mark.parametrize(
    ("wanted", "found", "different"),
    [
        ({"capped": True, "size": Decimal128("4096")}, {"capped": True, "size": 4096.0, "max": 5}, ""),
        ({"capped": True, "size": 4096}, {"capped": True}, "size"),
        ({"validator": {"n": {"$type": "int"}}}, {"validator": {"n": {"$type": "long"}}}, "validator"),
        ({"pipeline": [{"$match": {"n": float("nan")}}]}, {"pipeline": [{"$match": {"n": float("nan")}}]}, ""),
        ({"autoIndexId": True, "uuid": 1}, {}, ""),
    ],
)
def test_options_are_the_same_whatever_old_tools_wrote(
    wanted: dict[str, Any], found: dict[str, Any], different: str
) -> None:
    assert _different(wanted, found) == different


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_says_nothing_against_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk)
    try:
        place = samples.by_backup_sh(disk, NIGHT)
        big = samples.tar({"backend/uploads/a": bytes(3 << 20)})
        (place / f"uploads-{NIGHT}.tar.gz").write_bytes(big)
        monkeypatch.setattr(verified_backups, "_RESERVE", -(1 << 40))
        with pytest.raises(SourceError, match="No space left on device"):
            looked_at(place, [], Asked(level=Level.PARSED))
        assert [path.name for path in disk.iterdir()] == [NIGHT]
        own = tmp_path / "uploads"
        own.mkdir()
        (own / "a").write_bytes(bytes(3 << 20))
        made = disk / make(disk, Order(backup_class=BackupClass.MANUAL), [FilesSaver("uploads", own)]).id
        monkeypatch.setattr(proving_files, "_RESERVE", -(1 << 40))
        found = looked_at(made, [], PROVEN)
        assert found.ok and not found.complete and "No space left on device" in found.note
    finally:
        run("umount", disk)
