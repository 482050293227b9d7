"""Sample backups in the layouts of the five systems, written byte by byte as the tools write them.

Made for a tmp_path; nothing here needs a server. `break_*` make the faults that backups are found with.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import tarfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from opsconsole.backups.buckets import buckets_of
from opsconsole.backups.crc64 import crc64, signed
from opsconsole.backups.manifest import (
    CHECKSUMS,
    HeldCollection,
    HeldFile,
    HeldKeys,
    Manifest,
    Part,
    checksum_lines,
    encode,
)
from opsconsole.model import BackupClass

COLLECTIONS = ("users", "discussions", "messages", "auditlogs")
ARCHIVE_MAGIC = b"\x6d\xe2\x99\x81"
TERMINATOR = b"\xff\xff\xff\xff"


def bson(fields: Mapping[str, str | int | bool]) -> bytes:
    """A BSON document of strings, 64-bit numbers and booleans."""
    body = b""
    for name, value in fields.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + key + bytes([value])
        elif isinstance(value, int):
            body += b"\x12" + key + struct.pack("<q", value)
        else:
            text = value.encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def documents(number: int, text: str = "sample") -> bytes:
    return b"".join(bson({"_id": at, "text": text, "active": True}) for at in range(number))


def mongo_archive(
    database: str = "thynk", collections: Sequence[str] = COLLECTIONS, *, each: int = 5, text: str = "sample"
) -> bytes:
    """What `mongodump --archive` writes: prelude, then per collection a block, an end and its checksum."""
    versions = {"version": "0.1", "server_version": "6.0.5", "tool_version": "100.13.0"}
    out = ARCHIVE_MAGIC + bson({"concurrent_collections": 4, **versions})
    checksum = signed(crc64(documents(each, text) if each else b""))
    for name in collections:
        out += bson({"db": database, "collection": name, "metadata": "{}", "size": 0, "type": "collection"})
    out += TERMINATOR
    for name in collections:
        where: dict[str, str | int | bool] = {"db": database, "collection": name}
        if each:
            out += bson({**where, "EOF": False, "CRC": 0}) + documents(each, text) + TERMINATOR
        out += bson({**where, "EOF": True, "CRC": checksum}) + TERMINATOR
    return out


def mongo_dump(
    database: str = "thynk", collections: Sequence[str] = COLLECTIONS, *, each: int = 5, packed: bool = False
) -> dict[str, bytes]:
    """What `mongodump --out` writes, as file contents by path."""
    files = {}
    for name in collections:
        metadata = f'{{"indexes":[],"collectionName":"{name}","type":"collection"}}'.encode()
        for path, data in ((f"{name}.bson", documents(each)), (f"{name}.metadata.json", metadata)):
            files[f"{database}/{path}" + (".gz" if packed else "")] = gzip.compress(data) if packed else data
    return files


def redis_dump(keys: int = 12, *, version: str = "7.0.15", saved_at: int = 1_758_212_552) -> bytes:
    """An RDB file of small strings in database 0; its checksum is left out (zero: not checked)."""
    out = b"REDIS0010"
    for name, value in (("redis-ver", version), ("redis-bits", "64"), ("ctime", str(saved_at))):
        out += b"\xfa" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    if keys:
        out += b"\xfe\x00\xfb" + bytes([keys, 0])
        for at in range(keys):
            name = f"key:{at}"
            out += b"\x00" + bytes([len(name)]) + name.encode() + b"\x05value"
    return out + b"\xff" + bytes(8)


def tar(files: Mapping[str, bytes], *, packed: bool = True, prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(prefix + path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    data = buffer.getvalue()
    return gzip.compress(data, 1) if packed else data


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


# --- the five systems ------------------------------------------------------------------------------


def by_backup_sh(root: Path, stamp: str, *, database: str = "thynk", leave_out: Sequence[str] = ()) -> Path:
    """THYNK and English Chat: a directory with the database, the uploads, the env file and a manifest."""
    parts = {
        "mongo": (f"mongodb-{stamp}.tar.gz", tar(mongo_dump(database), prefix="mongodb/")),
        "files": (f"uploads-{stamp}.tar.gz", tar({"backend/uploads/a.png": b"PNG", "backend/uploads/mongo.gz": b"x"})),
        "config": ("env.production.local.backup", b"MONGODB_URI=mongodb://localhost:27017/thynk\n"),
        "manifest": ("manifest.txt", f"Backup Manifest\nTimestamp: {stamp}\n".encode()),
    }
    return write(root / stamp, dict(part for kind, part in parts.items() if kind not in leave_out))


def by_mps(root: Path, stamp: str, *, archive: bytes | None = None, redis: bytes | None = None) -> Path:
    """MPS: mongo.archive and redis_dump.rdb packed together, with what macOS leaves beside them."""
    files = {
        "./._mongo.archive": b"\0\5\x16\7" + bytes(100),
        "./mongo.archive": mongo_archive("mps_db_unified") if archive is None else archive,
        "./redis_dump.rdb": redis_dump() if redis is None else redis,
    }
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"mps_backup_{stamp}.tar.gz"
    path.write_bytes(tar({name: data for name, data in files.items() if data != b"-"}))
    return path


def by_smokava(root: Path, stamp: str, *, packed: bool = False) -> Path:
    """Smokava: a mongodump directory."""
    return write(root / stamp, mongo_dump("smokava", ("users", "packages", "transactions"), packed=packed))


def by_opsconsole(root: Path, stamp: str, *, finished: bool = True) -> Path:
    """The console's own layout, with a manifest that fits."""
    files = {"mongodb.archive.gz": gzip.compress(mongo_archive()), "redis.rdb": redis_dump(), "config/env": b"A=1\n"}
    held = {path: HeldFile(path=path, size=len(data), sha256=sha256(data)) for path, data in files.items()}
    collections = tuple(HeldCollection(database="thynk", name=name, documents=1) for name in ("users", "posts"))
    parts = (
        Part(kind="mongo", name="mongodb", files=(held["mongodb.archive.gz"],), collections=collections),
        Part(kind="redis", name="redis", files=(held["redis.rdb"],), keys=(HeldKeys(database=0, keys=3),)),
        Part(kind="config", name="config", files=(held["config/env"],)),
    )
    files[CHECKSUMS] = checksum_lines(tuple(held.values()))
    taken_at = datetime.strptime(stamp, "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
    made = Manifest(
        id=stamp,
        taken_at=taken_at,
        utc_offset_seconds=0,
        buckets=buckets_of(taken_at, UTC),
        backup_class=BackupClass.SCHEDULED,
        parts=parts,
        checksums=HeldFile(path=CHECKSUMS, size=len(files[CHECKSUMS]), sha256=sha256(files[CHECKSUMS])),
    )
    if finished:
        files["manifest.json"] = encode(made)
    return write(root / (stamp if finished else f".partial-{stamp}"), files)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def set_age(path: Path, seconds: float) -> Path:
    """Make a file or directory, and all in it, look last written that long before 2026-01-18 12:00 UTC."""
    moment = 1_768_737_600 - seconds
    for item in [path, *(path.rglob("*") if path.is_dir() else ())]:
        os.utime(item, (moment, moment), follow_symlinks=False)
    return path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex: counted by nothing of ours."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
