"""Backups as the scripts of these systems left them: what opsconsole finds on a server on its first day.

There is no mongodump here, so its two formats are written from their description; the Redis file is Redis's own.
"""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pymongo
from bson import json_util
from bson.raw_bson import RawBSONDocument

OLD, NEW = "20250917_020000", "20250918_162232"

MAGIC = 0x8199E26D
TERMINATOR = b"\xff\xff\xff\xff"


def write_deploy_backup(directory: Path, uri: str, database: str, timestamp: str, title: str = "THYNK") -> Path:
    """What THYNK's and English Chat's backup.sh leaves below `backups/`."""
    backup = directory / "backups" / timestamp
    backup.mkdir(parents=True)
    with tarfile.open(backup / f"mongodb-{timestamp}.tar.gz", "w:gz") as archive:
        for name, content in dump_files(uri, database).items():
            _add(archive, f"mongodb/{database}/{name}", content)
    with tarfile.open(backup / f"uploads-{timestamp}.tar.gz", "w:gz") as archive:
        archive.add(directory / "backend" / "uploads", "backend/uploads")
    environment = (directory / ".env.production.local").read_bytes()
    (backup / "env.production.local.backup").write_bytes(environment)
    rule = "=" * 41
    listing = "".join(f"  - {path.name} ({path.stat().st_size})\n" for path in sorted(backup.iterdir()))
    (backup / "manifest.txt").write_text(
        f"{title} Application - Backup Manifest\n{rule}\nBackup Date: Thu Sep 18 16:22:32 UTC 2025\n"
        f"Database: {database}\nTimestamp: {timestamp}\n\nContents:\n{listing}"
    )
    return backup


def write_mps_backup(directory: Path, uri: str, database: str, rdb: bytes, timestamp: str) -> Path:
    """What MPS's backup.sh leaves: one archive with a mongodump archive and Redis's own dump in it."""
    backup = directory / "backups" / f"mps_backup_{timestamp}.tar.gz"
    backup.parent.mkdir(exist_ok=True)
    with tarfile.open(backup, "w:gz") as archive:
        _add(archive, "mongo.archive", dump_archive(uri, database))
        _add(archive, "redis_dump.rdb", rdb)
    return backup


def dump_files(uri: str, database: str) -> dict[str, bytes]:
    """`mongodump --out`: for each collection its documents end to end, and its options and indexes as JSON."""
    files = {}
    for name, metadata, documents in _collections(uri, database):
        files[f"{name}.bson"] = b"".join(documents)
        files[f"{name}.metadata.json"] = metadata.encode()
    return files


def dump_archive(uri: str, database: str) -> bytes:
    """`mongodump --archive`: a prelude that lists the collections, then blocks, each closed by its checksum."""
    collections = list(_collections(uri, database))
    header = {"concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.9.4"}
    archive = io.BytesIO()
    archive.write(struct.pack("<I", MAGIC) + bson.encode(header))
    for name, metadata, _ in collections:
        entry = {"db": database, "collection": name, "metadata": metadata, "size": 0, "type": "collection"}
        archive.write(bson.encode(entry))
    archive.write(TERMINATOR)
    for name, _, documents in collections:
        where = {"db": database, "collection": name}
        body = b"".join(documents)
        archive.write(bson.encode({**where, "EOF": False, "CRC": bson.Int64(0)}) + body + TERMINATOR)
        archive.write(bson.encode({**where, "EOF": True, "CRC": bson.Int64(_signed(crc64(body)))}) + TERMINATOR)
    return archive.getvalue()


def crc64(data: bytes) -> int:
    """CRC-64/XZ, the checksum of mongodump's archives; of nothing it is 0."""
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFFFFFFFFFF


def _crc_table() -> Iterator[int]:
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (0xC96C5795D7870F42 if entry & 1 else 0)
        yield entry


_CRC_TABLE = tuple(_crc_table())


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _collections(uri: str, database: str) -> Iterator[tuple[str, str, list[bytes]]]:
    """Each collection's name, its metadata as mongodump writes it, and its documents as they lie in the server."""
    with pymongo.MongoClient[Any](uri, document_class=RawBSONDocument, serverSelectionTimeoutMS=10000) as raw:
        documents = {
            name: [document.raw for document in raw[database][name].find(sort=[("_id", 1)])]
            for name in sorted(raw[database].list_collection_names())
        }
    with pymongo.MongoClient[Any](uri, serverSelectionTimeoutMS=10000) as client:
        listing = {entry["name"]: entry for entry in client[database].list_collections()}
        for name, found in documents.items():
            metadata = {
                "indexes": [dict(index) for index in client[database][name].list_indexes()],
                "uuid": listing[name]["info"]["uuid"].hex(),
                "collectionName": name,
                "type": "collection",
            }
            yield name, json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS), found


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
