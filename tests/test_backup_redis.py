"""Redis saved and given back, on real servers: with and without an append-only file, whole and in parts."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from opsconsole.backups import rdb, redis_planting, swapping
from opsconsole.backups.config_part import ConfigSaver
from opsconsole.backups.encryption import NO_KEYS
from opsconsole.backups.faults import Level
from opsconsole.backups.files_part import FilesSaver
from opsconsole.backups.manifest import HeldFile, Part, sha256
from opsconsole.backups.publishing import Order, make
from opsconsole.backups.rdb_bytes import lzf
from opsconsole.backups.reading import Corrupt
from opsconsole.backups.redis_comparing import Comparison, compare_file
from opsconsole.backups.redis_crc64 import crc64
from opsconsole.backups.redis_giving import now_ms, restore_keys
from opsconsole.backups.redis_link import linked
from opsconsole.backups.redis_loading import drop, is_swapped, load, look, swap, undo
from opsconsole.backups.redis_patterns import selected
from opsconsole.backups.redis_saving import RedisSaver, counted
from opsconsole.backups.verifying import verify
from opsconsole.model import BackupClass, SourceError
from tests.children import in_a_child
from tests.parts.install import find
from tests.parts.machine import wait_until
from tests.parts.servers import Server, start_redis

PASSWORD = "c4n4ry:p@ss/word"
DEBUG = ("--enable-debug-command", "yes", "--save", "")
LIBRARY = "#!lua name=shop\nredis.register_function('total', function(keys, args) return 42 end)"
LONG = b"session:" + b"ab" * 200  # long enough to be packed in the file


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_redis(tmp_path_factory.mktemp("source"), password=PASSWORD, appendonly=True, options=DEBUG)
    try:
        fill(client(server))
        yield server
    finally:
        server.stop(kill=True)


@pytest.fixture(scope="module")
def saved(source: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Part]:
    place = tmp_path_factory.mktemp("saved")
    return place / "redis.rdb", RedisSaver("redis", source.uri).save(place)


Start = Callable[..., Server]


def client(server: Server, database: int = 0) -> Any:
    return redis.Redis.from_url(server.uri, db=database)


def fill(server: Any) -> None:
    """Every type in its small and its large form, in two databases."""
    pipe = server.pipeline(transaction=False)
    pipe.set("text", "value").set("number", 12345).set(b"\0\xff bin \r\n", bytes(range(256)))
    pipe.set("large", "x" * 100_000).set(LONG, "y").setbit("bits", 7, 1).pfadd("visitors", *range(500))
    pipe.set("noisy", os.urandom(300_000))
    for size, name in ((3, "small"), (700, "big")):
        pipe.rpush(f"list:{name}", *(f"item {n}" for n in range(size))).sadd(f"set:{name}", *range(size))
        pipe.sadd(f"words:{name}", *(f"word{n}" for n in range(size)))
        pipe.hset(f"hash:{name}", mapping={f"field{n}": "v" * n for n in range(size)})
        pipe.zadd(f"zset:{name}", {f"m{n}": n / 3 for n in range(size)} | {"inf": float("inf")})
        for n in range(size):
            pipe.xadd(f"stream:{name}", {"n": n}, id=f"{n + 1}-1")
        pipe.xgroup_create(f"stream:{name}", "readers", id="0")
    pipe.rpush("list:huge", "z" * 20_000, "a", 7).geoadd("places", (13.4, 52.5, "Berlin"))
    pipe.set("soon", "x", px=3_600_000).set("at", "x", pxat=4_000_000_000_123).function_load(LIBRARY)
    for n in range(300):
        pipe.set(f"cart:{n}", n, ex=86_400 if n % 3 == 0 else None)
    pipe.execute()
    server.xreadgroup("readers", "anna", {"stream:big": ">"}, count=20)
    server.xdel("stream:big", "5-1")
    other = redis.Redis(connection_pool=redis.ConnectionPool(**{**server.connection_pool.connection_kwargs, "db": 5}))
    other.mset({f"job:{n}": n for n in range(50)})


def digest(server: Server) -> str:
    return str(client(server).execute_command("DEBUG", "DIGEST"))


def keys_of(part: Part) -> dict[int, tuple[int, int]]:
    return {one.database: (one.keys, one.expiring) for one in part.keys}


# --- saving ----------------------------------------------------------------------------------------


def test_save(source: Server, saved: tuple[Path, Part]) -> None:
    path, part = saved
    keyspace = client(source).info("keyspace")
    assert keys_of(part) == {
        number: (keyspace[f"db{number}"]["keys"], keyspace[f"db{number}"]["expires"]) for number in (0, 5)
    }
    assert (part.consistency, part.server) == ("one point in time", "Redis 7.0.15")
    checked = subprocess.run([str(find("redis-check-rdb")), str(path)], capture_output=True, text=True)
    assert checked.returncode == 0 and f"{sum(one.keys for one in part.keys)} keys read" in checked.stdout
    assert {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {"0o600"}
    settings = (path.parent / "redis.settings.json").read_text()
    assert '"appendonly": "yes"' in settings and "user default on #" in settings and PASSWORD not in settings
    data = path.read_bytes()
    assert crc64(data[:-8]) == int.from_bytes(data[-8:], "little") and crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert counted(path).functions == [LIBRARY.encode()]


def test_save_without_password_and_append_only_file(host_redis: Start, tmp_path: Path) -> None:
    server = host_redis()
    client(server).set("a", 1)
    part = RedisSaver("cache", server.uri.replace("redis://", "redis://:needless@")).save(tmp_path)
    assert [file.path for file in part.files] == ["redis-cache.rdb", "redis-cache.settings.json"]
    assert keys_of(part) == {0: (1, 0)}


def test_sync_refused(host_redis: Start, tmp_path: Path) -> None:
    server = host_redis(password="secret")
    client(server).mset({"a": 1, "b": 2})
    client(server).execute_command("ACL SETUSER limited on >secret ~* +@all -sync -psync")
    uri = server.uri.replace("redis://:", "redis://limited:")
    with pytest.raises(SourceError, match="does not allow SYNC") as caught:
        RedisSaver("redis", uri).save(tmp_path)
    assert "+sync" in caught.value.hint
    (tmp_path / "second").mkdir()
    part = RedisSaver("redis", uri, data_directory=server.directory).save(tmp_path / "second")
    assert keys_of(part) == {0: (2, 0)} and "copied" in part.notes[0]


def test_password_refused(source: Server, tmp_path: Path) -> None:
    for uri in (f"redis://:wrong@127.0.0.1:{source.port}", f"redis://127.0.0.1:{source.port}"):
        with pytest.raises(SourceError) as caught:
            RedisSaver("redis", uri).save(tmp_path)
        assert "wrong" not in f"{caught.value} {caught.value.hint}" and list(tmp_path.iterdir()) == []


def test_server_dies_while_it_sends(host_redis: Start, tmp_path: Path) -> None:
    server = host_redis()
    client(server).mset({f"k{n}": os.urandom(1 << 20) for n in range(24)})

    def kill(done: int, total: int) -> None:
        server.stop(kill=True)

    with pytest.raises(SourceError, match="closed the connection"):
        RedisSaver("redis", server.uri, told=kill).save(tmp_path)


def test_a_whole_backup_is_read_to_its_end(source: Server, tmp_path: Path) -> None:
    """Redis, files and configuration together; each kind of nonsense under a right hash is named by its file."""
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a.png").write_bytes(b"PNG")
    savers = [
        RedisSaver("redis", source.uri),
        FilesSaver("uploads", tmp_path / "uploads"),
        ConfigSaver(rendered="name: shop\n"),
    ]
    order = Order(backup_class=BackupClass.MANUAL)
    made = make(tmp_path / "backups", order, savers)
    place = tmp_path / "backups" / made.id
    assert verify(place, Level.PARSED).faults == ()
    required = verify(place, Level.PARSED, required=["users"]).faults
    assert str(required[0]) == f"{made.id} has no MongoDB part, and users is required"
    for number, (name, nonsense) in enumerate(
        (
            ("redis.rdb", b"REDIS0010\xff" + bytes(8)),
            ("redis.rdb", b"nonsense"),
            ("files-uploads.tar.gz", gzip.compress(bytes(1024))),
            ("files-uploads.tar.gz", b"nonsense"),
            ("config/state.json", b"nonsense"),
        )
    ):
        wrong = [Wrong(saver, name, nonsense) for saver in savers]
        place = tmp_path / f"wrong-{number}"
        place /= make(place, order, wrong).id
        assert verify(place, Level.HASHES).ok
        faults = verify(place, Level.PARSED).faults
        assert [fault.path for fault in faults] == [name]


class Wrong:
    """Saves something else than it should, and says so in the manifest."""

    def __init__(self, saver: Any, path: str, data: bytes) -> None:
        self.kind, self.name = saver.kind, saver.name
        self._saver, self._path, self._data = saver, path, data

    def save(self, place: Path) -> Part:
        part: Part = self._saver.save(place)
        held = []
        for file in part.files:
            if file.path == self._path:
                (place / file.path).write_bytes(self._data)
                file = HeldFile(path=file.path, size=len(self._data), sha256=sha256(self._data))
            held.append(file)
        return msgspec.structs.replace(part, files=tuple(held))


# --- the file --------------------------------------------------------------------------------------


def test_cut_anywhere_and_flipped_the_file_is_refused_or_read(saved: tuple[Path, Part], tmp_path: Path) -> None:
    """Counted in leaps over small keys, it says the same as when each key is looked at."""
    data = saved[0].read_bytes()
    assert found_in(data) == found_in(data, leap=False)
    assert rdb.count(io.BytesIO(data)).expiring
    for at in [*range(0, 150), *range(150, len(data) - 1, len(data) // 50)]:
        with pytest.raises(Corrupt):
            rdb.count(io.BytesIO(data[:at]))
        flipped = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        assert found_in(flipped) == found_in(flipped, leap=False)


def test_keys_that_come_in_two_pieces_are_counted_once() -> None:
    one = b"\0\5short\xc1\1\1" + b"\0\4long\x53\x88" + bytes(5000)
    data = b"REDIS0009\xfe\0" + one * 40 + b"\xff" + bytes(8)
    for size in (90, 700, 5019, 7777):
        pieces = io.BytesIO(data)
        pieces.read = lambda wanted, read=pieces.read, size=size: read(min(size, wanted))  # type: ignore[method-assign]
        assert rdb.count(pieces).keys == {0: 80}
    assert "cut short" in found_in(data[:-100])


def found_in(data: bytes, *, leap: bool = True) -> str:
    """What is found in a file, or what is wrong with it."""
    tally = rdb.Tally()
    try:
        if leap:
            tally = rdb.count(io.BytesIO(data))
        else:
            list(rdb.keys(io.BytesIO(data), tally))
    except Corrupt as fault:
        assert fault.problem.startswith(("is ", "has ", "goes "))
        return fault.problem
    return str(tally)


def test_lzf_bombs() -> None:
    assert lzf(b"\x01ab\x20\x01", 5) == b"ababa"
    for data, size in ((b"\x01ab", 1 << 30), (b"\x20\x05", 3), (b"\xff", 9), (b"\x1fa", 1), (b"\x01ab", 3)):
        with pytest.raises(Corrupt):
            lzf(data, size)


PATTERNS = (
    "*", "cart:1?", "cart:[12]*", "cart:[^12]?", "cart:[a-z1-3]*", "h*llo", r"a\*b", "set:*", "[", "[]", "[^]",
    "cart:[9-7]", "*:*", "?", "a[[]", "li[st", "list:{small}", "places", r"cart:\1", "**", "[^a]ext", "cart:[1-",
    "x|y", "a.c", r"[\]]",
)  # fmt: skip


def test_patterns_are_those_of_keys(source: Server) -> None:
    server = client(source, 9)
    names = [
        "cart:1",
        "cart:12",
        "cart:9",
        "cart:z",
        "cart:9",
        "hello",
        "a*b",
        "axb",
        "[",
        "]",
        "a[",
        "list:small",
        "text",
    ]
    server.mset(dict.fromkeys([*names, "places", "list:{small}", "x|y", "a.c", "abc", "^", "cart:-", "li[st"], 1))
    everything = {name for name in server.keys("*")}
    for pattern in PATTERNS:
        wanted = selected(patterns=[pattern])
        assert {name for name in everything if wanted(0, name)} == set(server.keys(pattern)), pattern
    server.flushdb()


# --- giving back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("appendonly", [True, False])
def test_all_of_it_and_back(
    source: Server, saved: tuple[Path, Part], host_redis: Start, appendonly: bool, tmp_path: Path
) -> None:
    path, _ = saved
    options = {"password": PASSWORD, "appendonly": appendonly, "options": (*DEBUG[:2], "--save", "1 1")}
    server = host_redis(**options)
    mine, third = client(server), client(server, 3)
    mine.mset({"text": "another", "only live": 1})
    third.set("kept aside", 1)
    mine.function_load("#!lua name=mine\nredis.register_function('one', function(keys, args) return 1 end)")
    before, functions = digest(server), mine.function_list()

    beside = look(server.uri, path, "op1")
    assert beside.pairs == ((0, 1), (3, 2), (5, 4))
    loaded = load(server.uri, path, beside)
    assert sum(loaded.restored.values()) == sum(client(source).info("keyspace")[f"db{n}"]["keys"] for n in (0, 5))
    assert mine.get("text") == b"another" and not is_swapped(server.uri, beside)

    swap(server.uri, path, beside)
    swap(server.uri, path, beside)
    assert is_swapped(server.uri, beside) and mine.fcall("total", 0) == 42
    assert mine.get("text") == b"value" and third.dbsize() == 0
    assert mine.xpending("stream:big", "readers")["pending"] == 20
    assert mine.pexpiretime("at") == 4_000_000_000_123

    undo(server.uri, beside)
    undo(server.uri, beside)
    assert mine.get("text") == b"another" and mine.function_list() == functions
    swap(server.uri, path, beside)
    drop(server.uri, beside)
    assert digest(server) == digest(source) != before

    if not appendonly:
        mine.save()  # that the old ones were dropped
    server.stop(kill=not appendonly)
    again = host_redis(**options, directory=server.directory, port=server.port)
    assert digest(again) == digest(source)


def test_killed_while_loading(saved: tuple[Path, Part], host_redis: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = saved
    server = host_redis(options=DEBUG)
    client(server).set("live", 1)
    before = digest(server)
    beside = look(server.uri, path, "op2")

    def dying() -> None:
        load(server.uri, path, beside, told=lambda keys: os.kill(os.getpid(), signal.SIGKILL))

    assert in_a_child(dying) == -signal.SIGKILL
    assert client(server, beside.pairs[0][1]).dbsize() > 1 and not is_swapped(server.uri, beside)
    with pytest.raises(SourceError, match="is not loaded"):
        swap(server.uri, path, beside)
    load(server.uri, path, beside)
    drop(server.uri, beside)
    assert digest(server) == before
    # A database that somebody else began to use meanwhile is never emptied.
    client(server, beside.pairs[0][1]).set("theirs", 1)
    with pytest.raises(SourceError, match="another program uses it"):
        load(server.uri, path, beside)
    assert client(server, beside.pairs[0][1]).get("theirs") == b"1"


def test_refused_before_anything_is_touched(saved: tuple[Path, Part], host_redis: Start, tmp_path: Path) -> None:
    path, _ = saved
    few = host_redis(options=("--databases", "5"))
    with pytest.raises(SourceError, match="has a database 5 and this Redis has 5"):
        look(few.uri, path, "op")
    full = host_redis(options=("--databases", "6", "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"))
    with pytest.raises(SourceError, match="the backup needs about"):
        look(full.uri, path, "op")
    for database in range(4):
        client(full, database).set("a", 1)
    with pytest.raises(SourceError, match="no room to load"):
        look(full.uri, path, "op")
    (tmp_path / "cut.rdb").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"cut\.rdb is cut short"):
        look(full.uri, tmp_path / "cut.rdb", "op")


def test_a_redis_that_has_no_memory_left_says_so(saved: tuple[Path, Part], host_redis: Start) -> None:
    server = host_redis(options=("--maxmemory", "1500000"))
    with pytest.raises(SourceError, match="no memory left for the backup") as refused:
        restore_keys(server.uri, saved[0], selected([0, 5]), replace=True)
    assert "Raise maxmemory" in refused.value.hint


def test_some_keys(
    source: Server,
    host_redis: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    client(source, 7).set("gone", 1, px=400)
    client(source, 7).set("stays", 1)
    request.addfinalizer(client(source, 7).flushdb)
    part = RedisSaver("redis", source.uri).save(tmp_path)
    assert keys_of(part)[7] == (2, 1)
    path = tmp_path / "redis.rdb"
    server = host_redis()
    mine = client(server)
    mine.set("cart:1", "mine")
    wanted = selected([0], ["cart:1*", "stream:big"])
    loaded = restore_keys(server.uri, path, wanted, replace=False)
    assert (loaded.restored, loaded.existing) == ({0: 111}, {0: 1})
    assert mine.get("cart:1") == b"mine" and 0 < mine.ttl("cart:12") <= 86_400
    assert restore_keys(server.uri, path, wanted, replace=True).restored == {0: 112}
    assert mine.get("cart:1") == b"1" and mine.dbsize() == 112
    wait_until(lambda: client(source, 7).get("gone") is None, 10, "the key does not expire", interval=0.05)
    gone = restore_keys(server.uri, path, selected([7]), replace=True, into={7: 2})
    assert (gone.restored, gone.expired) == ({7: 1}, {7: 1})
    assert client(server, 2).keys() == [b"stays"]

    monkeypatch.setattr(rdb, "_OLDEST", 60)
    with pytest.raises(SourceError, match=r"'cart:1.*older than the one that the backup is of"):
        restore_keys(server.uri, path, wanted, replace=True)


@pytest.mark.parametrize("appendonly", [True, False])
def test_planted(source: Server, saved: tuple[Path, Part], host_redis: Start, appendonly: bool) -> None:
    options = {"appendonly": appendonly, "options": DEBUG[:2]}
    server = host_redis(**options)
    client(server).set("live", 1)
    client(server).save()
    before = digest(server)
    files = redis_planting.server_files(server.uri)
    server.stop()
    wanted = redis_planting.prepare(server.directory, saved[0], files, "op3")
    assert not swapping.is_new(wanted)
    for turn in (swapping.forward, swapping.back, swapping.forward):
        turn(wanted)
        turn(wanted)
        server = host_redis(**options, directory=server.directory, port=server.port)
        assert digest(server) == (digest(source) if turn is swapping.forward else before)
        assert swapping.is_new(wanted) == (turn is swapping.forward)
        server.stop()


def test_what_came_back_is_compared(saved: tuple[Path, Part], host_redis: Start) -> None:
    """Every type in both forms is found the same, with other settings of the server, too; and each difference is."""
    path, part = saved
    server = host_redis(options=("--rdbcompression", "no", "--set-max-intset-entries", "1"))
    restore_keys(server.uri, path, lambda *_: True, replace=True)
    total = sum(one.keys for one in part.keys)

    def compared() -> int:
        with linked(server.uri) as link:
            return compare_file(link, path, total, b"scratch", NO_KEYS)[1].compared

    assert compared() == total
    live = client(server)
    changes: list[tuple[str, Callable[[], Any], Callable[[], Any], str]] = [
        ("text", lambda: live.set("text", "valuE"), lambda: live.set("text", "value"), "with another value"),
        ("set:big", lambda: live.srem("set:big", 5), lambda: live.sadd("set:big", 5), "with another value"),
        ("hash:big", lambda: live.hset("hash:big", "field9", "w"), lambda: live.hset("hash:big", "field9", "v" * 9),
         "with another value"),
        ("at", lambda: live.persist("at"), lambda: live.pexpireat("at", 4_000_000_000_123), "at another time"),
        ("number", lambda: live.delete("number"), lambda: live.set("number", 12345), "is not there"),
        ("noisy", lambda: (live.rename("noisy", "kept"), live.rpush("noisy", 1)),
         lambda: live.rename("kept", "noisy"), "as a list"),
    ]  # fmt: skip
    for name, change, mend, said in changes:
        change()
        with pytest.raises(SourceError, match=rf"key '{name}' of database 0 .*{said}"):
            compared()
        mend()
    assert compared() == total and not live.exists("scratch")


def test_a_sample_of_many_keys_is_spread_over_all() -> None:
    keys = [rdb.Key(0, b"%d" % number, 0, None, b"") for number in range(10_000)]
    comparison = Comparison(None, len(keys), b"")  # type: ignore[arg-type]
    chosen = [key for at in range(0, len(keys), 300) for key in comparison.chosen(keys[at : at + 300])]
    assert chosen == keys[::5]


def test_tallies_of_keys_that_expire() -> None:
    tally = rdb.Tally(keys={0: 5})
    tally.expiring[0] = rdb.array("q", [30, 10, 20])
    assert [tally.alive(0, now) for now in (0, 10, 11, 30, 31)] == [5, 5, 4, 3, 2]
    assert tally.alive(3, 0) == 0
    assert now_ms() > 1_700_000_000_000
