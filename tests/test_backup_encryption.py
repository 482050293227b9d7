"""Encrypted backups: nothing readable is in them, stock age opens them, and a wrong key is told before any work."""

from __future__ import annotations

import gzip
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymongo
import pytest
import redis

from opsconsole.backups import manifest, redis_loading, redis_planting
from opsconsole.backups.catalog import Catalog
from opsconsole.backups.config_part import ConfigSaver, read_kept, read_state
from opsconsole.backups.encryption import (
    NO_KEYS,
    NOBODY,
    Keys,
    Recipients,
    WrongKey,
    keys_in,
    recipients_of,
)
from opsconsole.backups.faults import Level
from opsconsole.backups.files_loading import extract
from opsconsole.backups.files_part import FilesSaver
from opsconsole.backups.manifest import Manifest
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_dumps import check_dump, open_dump
from opsconsole.backups.mongo_part import MongoSaver
from opsconsole.backups.packed_files import PackedFile, Packing, UnpackedFile
from opsconsole.backups.progress import Cancelled
from opsconsole.backups.publishing import BackupFailed, Order, Saver, make
from opsconsole.backups.reading import Corrupt, LimitReached
from opsconsole.backups.redis_giving import restore_keys
from opsconsole.backups.redis_saving import RedisSaver
from opsconsole.backups.verifying import verify
from opsconsole.model import BackupClass, BackupState, SourceError, Stack
from tests.backup_samples import sha256_of
from tests.children import in_a_child
from tests.mongo_zoo import connection_to
from tests.parts.servers import Server, start_mongod, start_redis

CANARY = "c4n4ry-in-the-coal-mine"
SHOP = Selection(frozenset({"shop"}))
ZIP = Packing.GZIP


def age(*words: str | Path, given: bytes = b"") -> bytes:
    """What the stock program makes of it."""
    done = subprocess.run(["age", *map(str, words)], input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Pair:
    """A key pair by age-keygen."""

    file: Path
    public: str

    @property
    def keys(self) -> Keys:
        return keys_in(self.file)

    @property
    def recipients(self) -> Recipients:
        return recipients_of([self.public])

    @property
    def secret(self) -> str:
        return self.file.read_text().splitlines()[-1]


def pair_in(directory: Path, name: str) -> Pair:
    file = directory / name
    subprocess.run(["age-keygen", "-o", str(file)], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", str(file)], check=True, capture_output=True, text=True).stdout
    return Pair(file, public.strip())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair_in(tmp_path_factory.mktemp("keys"), "key.txt")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair_in(tmp_path_factory.mktemp("keys"), "stranger.txt")


# --- a whole backup --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_redis(tmp_path_factory.mktemp("redis"), password=CANARY, options=("--save", ""))
    try:
        with redis.Redis.from_url(server.uri) as client:
            client.mset({f"session:{n}": f"{CANARY} {n}" for n in range(500)})
        yield server
    finally:
        server.stop(kill=True)


@pytest.fixture(scope="module")
def savers(redis_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Saver]]]:
    """All four kinds of parts, with secrets in each; for a list of recipients."""
    place = tmp_path_factory.mktemp("stack")
    (place / "uploads").mkdir()
    (place / "uploads" / f"{CANARY}.txt").write_text(CANARY * 10)
    (place / ".env").write_text(f"PASSWORD={CANARY}\n")
    (place / "compose.yaml").write_text(f"services: {{app: {{image: '{CANARY}'}}}}\n")
    server = start_mongod(tmp_path_factory.mktemp("mongod") / "data")

    def for_whom(to: Recipients, packing: Packing = ZIP) -> list[Saver]:
        return [
            MongoSaver("mongodb", connection_to(server.uri), packing=packing, selection=SHOP, recipients=to),
            RedisSaver("redis", redis_server.uri, recipients=to),
            FilesSaver("uploads", place / "uploads", packing=packing, recipients=to),
            ConfigSaver([place / "compose.yaml"], place / ".env", rendered=CANARY, recipients=to),
        ]

    try:
        with pymongo.MongoClient(server.uri) as client:
            client.shop.users.insert_many([{"name": f"{CANARY} {n}"} for n in range(300)])
        yield for_whom
    finally:
        server.stop(kill=True)


@pytest.fixture(scope="module")
def made(savers: Callable[..., list[Saver]], pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encrypted backup: of its directory nothing may be changed."""
    directory = tmp_path_factory.mktemp("backups")
    return directory / make(directory, order(pair.recipients), savers(pair.recipients)).id


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def order(recipients: Recipients) -> Order:
    return Order(backup_class=BackupClass.MANUAL, encrypted_to=recipients.keys)


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_nothing_can_be_read_without_the_key(made: Path, pair: Pair) -> None:
    assert names(made) == {
        "mongodb.archive.gz.age",
        "redis.rdb.age",
        "redis.settings.json.age",
        "files-uploads.tar.gz.age",
        "config/compose-1.yaml.age",
        "config/env.age",
        "config/rendered.yml.age",
        "config/state.json.age",
        "manifest.json",
        "SHA256SUMS",
    }
    for path in made.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert CANARY.encode() not in data and pair.secret.encode() not in data
            assert path.stat().st_mode & 0o777 == 0o600
            assert data.startswith(b"age-encryption.org/v1\n") or path.suffix != ".age"
    assert manifest.read(made).encrypted_to == (pair.public,)


def test_it_is_checked_without_the_key_and_read_with_it(made: Path, pair: Pair) -> None:
    assert verify(made, Level.HASHES).ok
    assert subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=made, capture_output=True).returncode == 0
    found = verify(made, Level.PARSED, keys=pair.keys, required=["shop.users"])
    assert found.ok and found.manifest is not None
    held = {part.kind: part for part in found.manifest.parts}
    assert held["mongo"].collections[0].documents == 300
    assert held["redis"].keys[0].keys == 500
    assert held["files"].members == 1
    assert [str(fault) for fault in verify(made, Level.PARSED, keys=pair.keys, required=["shop.orders"]).faults] == [
        "mongodb.archive.gz.age has no documents of shop.orders, which is required"
    ]


@pytest.mark.parametrize("packing", Packing)
def test_every_packing(packing: Packing, savers: Callable[..., list[Saver]], pair: Pair, tmp_path: Path) -> None:
    made = make(tmp_path, order(pair.recipients), savers(pair.recipients, packing))
    assert made.parts[0].files[0].path == f"mongodb.archive{packing.suffix}.age"
    assert verify(tmp_path / made.id, Level.PARSED, keys=pair.keys).ok


def test_the_catalogue_lists_it_as_good(copied: Path) -> None:
    stack = Stack(name="shop", directory="/srv/shop", backup_directory=str(copied.parent))
    (backup,) = Catalog().look(stack)
    assert (backup.state, backup.problem, backup.note) == (BackupState.GOOD, "", "encrypted")
    assert [part.kind for part in backup.parts] == ["mongo", "redis", "files", "config", "manifest"]
    (copied / "redis.rdb.age").write_bytes(b"x" * (copied / "redis.rdb.age").stat().st_size)
    (backup,) = Catalog().look(stack)
    assert (backup.state, backup.problem) == (BackupState.DAMAGED, "redis.rdb.age is not what age writes")


def test_stock_age_and_stock_tools_open_it(made: Path, pair: Pair, tmp_path: Path) -> None:
    opened = {name: age("-d", "-i", pair.file, made / name) for name in names(made) if name.endswith(".age")}
    archive = tmp_path / "mongodb.archive"
    archive.write_bytes(gzip.decompress(opened["mongodb.archive.gz.age"]))
    with open_dump(archive) as dump:
        assert [one.documents for one in check_dump(dump)] == [300]
    assert opened["redis.rdb.age"].startswith(b"REDIS") and CANARY.encode() in opened["redis.rdb.age"]
    assert opened["config/env.age"] == f"PASSWORD={CANARY}\n".encode()
    listed = subprocess.run(
        ["tar", "-tz"], input=opened["files-uploads.tar.gz.age"], capture_output=True, check=True
    ).stdout
    assert f"./{CANARY}.txt".encode() in listed or f"{CANARY}.txt".encode() in listed


def test_what_was_saved_is_given_back(made: Path, pair: Pair, tmp_path: Path, redis_server: Server) -> None:
    keys = pair.keys
    assert read_kept(made, "env", keys) == f"PASSWORD={CANARY}\n".encode()
    assert set(read_state(made, keys).files) == {"compose-1.yaml", "env"}
    extract(made / "files-uploads.tar.gz.age", tmp_path / "uploads", limit=1 << 20, keys=keys)
    assert (tmp_path / "uploads" / f"{CANARY}.txt").read_text() == CANARY * 10
    path = made / "redis.rdb.age"
    target = start_redis(tmp_path / "target", options=("--save", ""))
    try:
        with redis.Redis.from_url(target.uri) as client:
            beside = redis_loading.look(target.uri, path, "one", keys)
            redis_loading.load(target.uri, path, beside, keys=keys)
            redis_loading.swap(target.uri, path, beside, keys)
            assert client.dbsize() == 500 and client.get("session:7") == f"{CANARY} 7".encode()
            client.flushall()
            assert restore_keys(target.uri, path, lambda *_: True, replace=True, keys=keys).restored == {0: 500}
            data = tmp_path / "data"
            data.mkdir()
            (exchange,) = redis_planting.prepare(data, path, redis_planting.server_files(target.uri), "op", keys)
            assert Path(exchange.new).read_bytes().startswith(b"REDIS")
    finally:
        target.stop(kill=True)


# --- the wrong key ---------------------------------------------------------------------------------


def test_an_encrypted_backup_is_told_of_block_by_block_and_can_be_given_up(made: Path, pair: Pair) -> None:
    """It is decrypted in another thread than the one that waits."""
    heard: list[tuple[str, int, int]] = []

    def told(what: str, done: int, total: int) -> None:
        heard.append((what, done, total))

    assert verify(made, Level.PARSED, keys=pair.keys, told=told).ok
    contents = [one for one in heard if one[0].startswith("2 of 2")]
    assert max(done for _, done, _ in contents) > 0.9 * contents[0][2]

    def given_up(what: str, done: int, total: int) -> None:
        if what.startswith("2 of 2") and done:
            raise Cancelled

    with pytest.raises(Cancelled):
        verify(made, Level.PARSED, keys=pair.keys, told=given_up)


def test_a_wrong_key_is_told_before_any_work(made: Path, pair: Pair, stranger: Pair) -> None:
    heard: list[str] = []

    def told(what: str, done: int, total: int) -> None:
        heard.append(what)

    with pytest.raises(WrongKey) as caught:
        verify(made, Level.PARSED, keys=stranger.keys, told=told)
    problem = f"the identity file {stranger.file} does not open the backup {made.name} (it was encrypted to "
    assert caught.value.problem == f"{problem}{pair.public})"
    with pytest.raises(WrongKey, match="there is no key to read it with") as caught:
        verify(made, Level.PARSED, told=told)
    assert "identity_file" in caught.value.hint and "--level 1" in caught.value.hint
    assert heard == []
    assert verify(made, Level.HASHES, keys=stranger.keys).ok


def test_damage_is_not_taken_for_a_wrong_key(copied: Path, pair: Pair) -> None:
    held = manifest.read(copied)
    smallest = min((file for file in held.files if file.path.endswith(".age")), key=lambda file: file.size)
    path = copied / smallest.path
    data = path.read_bytes()
    for at in (0, 30, data.index(b"\n--- ") + 10, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert [fault.path for fault in verify(copied, Level.PARSED, keys=pair.keys).faults] == [smallest.path]


def test_a_reader_without_a_key_says_so(made: Path, stranger: Pair) -> None:
    for read in (
        lambda: UnpackedFile(made / "redis.rdb.age"),
        lambda: read_kept(made, "env"),
        lambda: extract(made / "files-uploads.tar.gz.age", made.parent / "aside", limit=1 << 20),
    ):
        with pytest.raises(WrongKey, match="encrypted, and there is no key"):
            read()
    with pytest.raises(Corrupt, match="not encrypted to the key at hand"):
        UnpackedFile(made / "redis.rdb.age", keys=stranger.keys)
    assert not (made.parent / "aside").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age1foo", "is mistyped or cut short"),
        ("", "is no public key"),
        (CANARY, "is no public key"),
        ("ssh-ed25519 AAAA", "is no ssh key that age can use"),
        (f"AGE-SECRET-KEY-1{CANARY}", "is a private key, and the public one belongs there"),
        (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}", "is a private key"),
    ],
)
def test_what_is_no_public_key(text: str, said: str, pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        recipients_of([pair.public, text])
    assert caught.value.problem.startswith("entry 2 of encrypt_to")
    assert CANARY not in caught.value.problem + caught.value.hint
    wrong = Order(backup_class=BackupClass.MANUAL, encrypted_to=(text,))
    with pytest.raises(SourceError, match=said):
        make(tmp_path / "backups", wrong, [])
    assert not (tmp_path / "backups").exists()


def test_what_is_no_identity_file(pair: Pair, tmp_path: Path) -> None:
    protected, plain = tmp_path / "protected", tmp_path / "plain"
    for path, password in ((protected, CANARY), (plain, "")):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", password, "-f", str(path)], check=True)
    for data, said in (
        (b"", "holds no private key"),
        (b"# created: today\n", "holds no private key"),
        (f"# a comment\n{pair.public}\n".encode(), "line 2 of the identity file .* is no private key of age"),
        (pair.secret[:-1].encode() + b"X" + CANARY.encode(), "line 1 of the identity file"),
        (age("-r", pair.public, given=pair.file.read_bytes()), "protected by a passphrase"),
        (protected.read_bytes(), "protected by a passphrase"),
        (plain.read_bytes()[:100] + b"\n-----END OPENSSH PRIVATE KEY-----\n", "is no private ssh key"),
        (bytes(2 << 20), "too large"),
    ):
        file = tmp_path / "identity"
        file.write_bytes(data)
        with pytest.raises(SourceError, match=said) as caught:
            keys_in(file)
        told = caught.value.problem + caught.value.hint
        assert CANARY not in told and pair.secret[20:-1] not in told
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        keys_in(tmp_path / "none")
    assert re.fullmatch(r"<1 keys of \S+>", repr(pair.keys)) and not NO_KEYS


def test_ssh_keys(tmp_path: Path) -> None:
    for kind in ("ed25519", "rsa"):
        path = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "me@host", "-f", str(path)], check=True)
        to = recipients_of([path.with_suffix(".pub").read_text()])
        assert to.keys[0].count(" ") == 1
        sealed = seal(tmp_path / f"{kind}.txt.age", b"hello" * 1000, to)
        assert age("-d", "-i", path, sealed) == b"hello" * 1000 == unseal(sealed, keys_in(path))


def test_without_the_extra(pair: Pair, made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys, to = pair.keys, pair.recipients
    monkeypatch.setitem(sys.modules, "pyrage", None)
    for needs in (
        lambda: recipients_of([pair.public]),
        lambda: keys_in(pair.file),
        lambda: verify(made, Level.PARSED, keys=keys),
        lambda: PackedFile(tmp_path / "x.age", Packing.NONE, to),
    ):
        with pytest.raises(SourceError, match="encryption needs pyrage") as caught:
            needs()
        assert "opsconsole[encryption]" in caught.value.hint
    assert os.listdir(tmp_path) == []
    assert recipients_of([]) == NOBODY and verify(made, Level.HASHES).ok


# --- files -----------------------------------------------------------------------------------------


def seal(path: Path, data: bytes, recipients: Recipients, packing: Packing = Packing.NONE) -> Path:
    file = PackedFile(path, packing, recipients)
    for at in range(0, len(data), 100_000):
        file.write(data[at : at + 100_000])
    assert file.finish() == sha256_of(path) and file.size == path.stat().st_size
    return path


def unseal(path: Path, keys: Keys) -> bytes:
    with UnpackedFile(path, keys=keys) as reader:
        data = b""
        while piece := reader.read(1 << 16):
            data += piece
        return data


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3 << 20])
def test_stock_age_and_we_read_each_other(size: int, pair: Pair, stranger: Pair, tmp_path: Path) -> None:
    data = os.urandom(size)
    ours = seal(tmp_path / "ours.age", data, recipients_of([stranger.public, pair.public]))
    assert age("-d", "-i", pair.file, ours) == age("-d", "-i", stranger.file, ours) == data
    theirs = tmp_path / "theirs.age"
    theirs.write_bytes(age("-r", pair.public, "-r", stranger.public, given=data))
    assert unseal(theirs, pair.keys) == unseal(ours, pair.keys) == unseal(ours, stranger.keys) == data


def test_every_cut_and_every_flipped_bit_is_found(pair: Pair, tmp_path: Path) -> None:
    """By age itself, where nobody compares a SHA-256 first. What came out until then is the beginning of the data."""
    content = os.urandom(150_000)
    whole = seal(tmp_path / "whole.age", content, pair.recipients).read_bytes()
    header = whole.index(b"\n--- ") + 49
    broken = tmp_path / "broken.age"
    keys = pair.keys

    def read(data: bytes) -> tuple[bytes, Corrupt | None]:
        broken.write_bytes(data)
        got = b""
        try:
            with UnpackedFile(broken, keys=keys) as reader:
                while piece := reader.read(1 << 16):
                    got += piece
        except Corrupt as fault:
            return got, fault
        return got, None

    chunks = [header + 16 + at * 65_552 for at in range(3)]
    cuts = {*range(0, header + 20, 7), *chunks, *(at + 1 for at in chunks), *(at - 1 for at in chunks), len(whole) - 1}
    for cut in sorted(cuts):
        got, fault = read(whole[:cut])
        assert fault is not None and got == content[: len(got)], cut
    assert read(whole[: chunks[1]])[1].cut  # type: ignore[union-attr]
    for at in {*range(0, header, 3), *range(header, len(whole), 5003), len(whole) - 1}:
        got, fault = read(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert fault is not None and got == content[: len(got)], at
    assert read(whole + b"x")[1] is not None
    assert read(whole) == (content, None)


def test_the_limit_counts_what_comes_out(pair: Pair, tmp_path: Path) -> None:
    bomb = seal(tmp_path / "bomb.gz.age", bytes(30 << 20), pair.recipients, ZIP)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(LimitReached), UnpackedFile(bomb, 1 << 20, pair.keys) as reader:
        while reader.read(1 << 16):
            pass
    assert_no_thread_is_left()


def test_nothing_is_left_of_what_is_abandoned(pair: Pair, tmp_path: Path) -> None:
    file = PackedFile(tmp_path / "x.age", Packing.NONE, pair.recipients)
    file.write(os.urandom(1 << 20))
    file.abandon()
    assert os.listdir(tmp_path) == []
    seal(tmp_path / "y.age", os.urandom(4 << 20), pair.recipients)
    with UnpackedFile(tmp_path / "y.age", keys=pair.keys) as reader:
        reader.read(10)
    assert_no_thread_is_left()


def assert_no_thread_is_left() -> None:
    assert not {thread.name for thread in threading.enumerate()} & {"encrypt", "decrypt", "count"}


def test_a_name_that_lies(pair: Pair, tmp_path: Path) -> None:
    """Readers go by the name."""
    with pytest.raises(ValueError, match="does not say whether it is encrypted"):
        PackedFile(tmp_path / "x", Packing.NONE, pair.recipients)
    with pytest.raises(ValueError, match="does not say whether it is encrypted"):
        PackedFile(tmp_path / "x.age")
    assert os.listdir(tmp_path) == []


def test_memory_does_not_grow_with_the_data(pair: Pair, tmp_path: Path) -> None:
    piece = os.urandom(1 << 20)
    keys, to = pair.keys, pair.recipients
    path = tmp_path / "large.age"

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def work() -> None:
        file = PackedFile(path, Packing.NONE, to)
        before = 0
        for number in range(64):
            file.write(piece)
            before = peak() if number == 8 else before
        file.finish()
        size = 0
        with UnpackedFile(path, keys=keys) as reader:
            while data := reader.read(1 << 20):
                size += len(data)
        assert size == 64 << 20
        assert peak() - before < 16 << 10  # KiB

    assert in_a_child(work) == 0


# --- making ----------------------------------------------------------------------------------------


def test_a_part_that_was_not_encrypted_is_no_part(
    savers: Callable[..., list[Saver]], pair: Pair, tmp_path: Path
) -> None:
    for number in range(4):
        mixed = savers(pair.recipients)
        mixed[number] = savers(NOBODY)[number]
        with pytest.raises(BackupFailed, match="is not encrypted"):
            make(tmp_path, order(pair.recipients), mixed)
        with pytest.raises(BackupFailed, match="is encrypted"):
            make(tmp_path, order(NOBODY), savers(pair.recipients))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root")
def test_a_full_disk(savers: Callable[..., list[Saver]], pair: Pair, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    (large / "noise").write_bytes(os.urandom(3 << 20))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        failing: list[Saver] = [FilesSaver("large", large, recipients=pair.recipients)]
        with pytest.raises(BackupFailed, match="No space left on device") as caught:
            make(small, order(pair.recipients), failing)
        assert "Free space" in caught.value.hint
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    assert_no_thread_is_left()


def test_redis_that_breaks_off(redis_server: Server, pair: Pair, tmp_path: Path) -> None:
    """What is encrypted is counted on its way: what cannot be an RDB file is a failure, and nothing stays."""
    saver = RedisSaver("redis", redis_server.uri, told=lambda done, total: interrupt(), recipients=pair.recipients)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saver.save(tmp_path)
    assert os.listdir(tmp_path) == []
    assert_no_thread_is_left()


def test_a_manifest_from_before_encryption_is_read(made: Path) -> None:
    held = manifest.read(made)
    plain = Manifest(**{**{name: getattr(held, name) for name in held.__struct_fields__}, "encrypted_to": ()})
    body = manifest.encode(plain).replace(b' "encrypted_to": [],\n', b"")
    body = body[: body.index(b' "seal"')]
    sealed = body + b' "seal": "' + manifest.sha256(body).encode() + b'"\n}\n'
    assert b"encrypted_to" not in sealed
    assert manifest.decode(sealed).encrypted_to == ()
