"""The manifest of a backup: what is in it, how sure that is, and how it came to be.

It is the last file that is written: a directory without it is no backup. Its last line but one is a seal, the SHA-256
of everything before that line, so damage to the manifest itself is found too:

    head -n -2 manifest.json | sha256sum

Reading is strict. A backup may be copied from anywhere, so nothing in the file is believed before its form is right:
sizes and counts have bounds, and a path leads nowhere but down into the backup's own directory.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from opsconsole.backups.reading import FileReader, LimitReached, Meter, up_to
from opsconsole.model import BackupClass, Buckets, OplogTime, SourceError

NAME = "manifest.json"
CHECKSUMS = "SHA256SUMS"
VERSION = 1
LARGEST = 16 << 20
"""Bytes: 60,000 collections. A larger file is no manifest."""

_ID = re.compile(r"\d{8}_\d{6}", re.ASCII)
_SEAL = re.compile(rb'^ "seal": "([0-9a-f]{64})"\n\}\n\Z', re.MULTILINE)
_SEAL_LENGTH = len(b' "seal": ""\n}\n') + 64
_MOST_FILES = 10_000
_LONGEST_PATH = 1024
_DEEPEST_PATH = 8

Count = Annotated[int, Meta(ge=0, le=1 << 62)]
Text = Annotated[str, Meta(max_length=1024)]
Name = Annotated[str, Meta(max_length=512)]
Digest = Annotated[str, Meta(pattern=r"^(?:[a-z0-9-]{1,40}:)?[0-9a-f]{0,128}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]

Consistency = Literal["", "one point in time", "per collection", "per file"]
ONE_POINT: Consistency = "one point in time"
PER_COLLECTION: Consistency = "per collection"
PER_FILE: Consistency = "per file"
PartKind = Literal["mongo", "redis", "files", "config"]


class ManifestError(SourceError):
    """The manifest cannot be believed. `problem` begins with the name of the file."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class HeldFile(_Strict, frozen=True, kw_only=True):
    """One file of a backup, by its path below the backup's directory."""

    path: Annotated[str, Meta(min_length=1, max_length=_LONGEST_PATH)]
    size: Count
    sha256: Sha256


class HeldCollection(_Strict, frozen=True, kw_only=True):
    """One collection, view or time series of a MongoDB part."""

    database: Name
    name: Name
    kind: Name = "collection"  # "collection", "view" or "timeseries"
    documents: Count = 0
    size: Count = 0  # bytes of BSON
    digest: Digest = ""  # of all its documents, in the order in which they were read
    indexes: Count = 0


class HeldKeys(_Strict, frozen=True, kw_only=True):
    """The keys of one Redis database at the moment of the backup."""

    database: Count
    keys: Count
    expiring: Count = 0  # those that have a time to live


class HeldOplog(_Strict, frozen=True, kw_only=True):
    """Where a MongoDB part stands in the oplog of its replica set.

    A full one was read between the two moments: what was written after `begins` has to be applied again, and from
    `ends` on the result is a state that there was. With `continues` the part is a slice: the entries of the oplog after
    `begins`, up to and including `ends`.
    """

    replica_set: Name
    set_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{0,64}\Z")] = ""  # "" where this user may not read it
    begins: OplogTime
    ends: OplogTime
    continues: Annotated[str, Meta(pattern=r"^(?:\d{8}_\d{6})?\Z")] = ""  # the backup at whose end a slice begins
    entries: Count = 0  # of a slice


class Part(_Strict, frozen=True, kw_only=True):
    """What was saved of one database server, one directory, or the configuration."""

    kind: PartKind
    name: Name  # of the service, the directory or the volume
    files: tuple[HeldFile, ...] = ()
    consistency: Consistency = ""
    server: Name = ""  # "MongoDB 6.0.5"
    source: Text = ""  # the directory or volume that was saved
    seconds: Seconds = 0.0
    collections: tuple[HeldCollection, ...] = ()
    keys: tuple[HeldKeys, ...] = ()
    oplog: HeldOplog | None = None  # of a MongoDB replica set whose oplog may be read
    members: Count = 0  # files, directories and links in a tar file
    content_size: Count = 0  # bytes before packing
    changed: tuple[Text, ...] = ()  # files that changed while they were read, at most a hundred
    notes: tuple[Text, ...] = ()

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def is_slice(self) -> bool:
        """Whether it holds entries of an oplog and no collections."""
        return self.oplog is not None and bool(self.oplog.continues)


class Manifest(_Strict, frozen=True, kw_only=True):
    """One recovery point."""

    format: Literal["opsconsole backup"] = "opsconsole backup"
    version: Literal[1] = 1
    id: Annotated[str, Meta(pattern=r"^\d{8}_\d{6}\Z")]
    taken_at: Annotated[datetime, Meta(tz=True)]  # when it was begun
    utc_offset_seconds: Annotated[int, Meta(ge=-86_400, le=86_400)]  # of the clock that the id was read from
    buckets: Buckets
    backup_class: BackupClass
    why: Text = ""  # "before restore of 20260117_020000"
    critical: bool = False  # kept for ever
    asked: tuple[PartKind, ...] = ()  # () when everything that the stack has was asked for
    stack: Name = ""
    host: Name = ""
    release: Name = ""  # "r4"
    opsconsole: Name = ""  # the version that made it
    duration_seconds: Seconds = 0.0
    encrypted_to: tuple[Text, ...] = ()  # the public keys that its parts were encrypted to; () when they are not
    parts: tuple[Part, ...] = ()
    checksums: HeldFile | None = None  # the same sums for `sha256sum -c`

    @property
    def files(self) -> tuple[HeldFile, ...]:
        """Every file that the backup has, besides the manifest."""
        held = tuple(file for part in self.parts for file in part.files)
        return held if self.checksums is None else (*held, self.checksums)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def incremental(self) -> bool:
        """Whether it is of use only together with the backup that it continues."""
        return any(part.is_slice for part in self.parts)


def is_id(name: str) -> bool:
    """Whether a name is that of a backup directory: `20260118_020000`."""
    return _ID.fullmatch(name) is not None


# --- writing ---------------------------------------------------------------------------------------


def encode(manifest: Manifest) -> bytes:
    """The file, with its seal. Raises ManifestError for one that `decode` would refuse."""
    _check(manifest)
    every_field = {field: getattr(manifest, field) for field in manifest.__struct_fields__}
    text = msgspec.json.format(msgspec.json.encode(every_field), indent=1)
    body = text.removesuffix(b"\n}") + b",\n"
    data = body + b' "seal": "' + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'
    if len(data) > LARGEST:
        raise ManifestError(f"{NAME} would be larger than {LARGEST >> 20} MiB")
    return data


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def checksum_lines(files: tuple[HeldFile, ...]) -> bytes:
    """The same sums as `sha256sum` writes and `sha256sum -c` reads."""
    return b"".join(f"{file.sha256}  {file.path}\n".encode() for file in files)


# --- reading ---------------------------------------------------------------------------------------


def read(directory: Path) -> Manifest:
    """The manifest of a backup directory. Raises ManifestError."""
    try:
        with FileReader(str(directory / NAME), Meter(LARGEST)) as reader:
            data = up_to(reader, LARGEST + 1)
    except FileNotFoundError:
        raise ManifestError(f"{NAME} is missing", "The backup was never finished; it cannot be trusted.") from None
    except LimitReached:
        raise ManifestError(f"{NAME} is larger than {LARGEST >> 20} MiB") from None
    except OSError as error:
        raise ManifestError(f"{NAME} cannot be read: {(error.strerror or str(error)).lower()}") from None
    manifest = decode(data)
    # A partial directory carries the id behind a mark of its own.
    if not directory.name.endswith(manifest.id):
        raise ManifestError(f"{NAME} is that of the backup {manifest.id}, not of {directory.name}")
    return manifest


def decode(data: bytes) -> Manifest:
    """Raises ManifestError, whatever the bytes are."""
    version = _version(data)
    if version is not None and version > VERSION:
        raise ManifestError(
            f"{NAME} has version {version} and this opsconsole reads up to {VERSION}", "Use a newer opsconsole."
        )
    seal = _SEAL.match(data, max(0, len(data) - _SEAL_LENGTH))
    if seal is None:
        raise ManifestError(f"{NAME} is cut short or was changed: it has no seal at its end")
    body = data[:-_SEAL_LENGTH]
    if hashlib.sha256(body).hexdigest().encode() != seal[1]:
        raise ManifestError(f"{NAME} was changed: its seal does not fit")
    try:
        manifest = msgspec.json.decode(body.removesuffix(b",\n") + b"\n}", type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ManifestError(f"{NAME} is no manifest: {_first_line(error)}") from None
    _check(manifest)
    return manifest


class _Head(msgspec.Struct):
    version: int


def _version(data: bytes) -> int | None:
    try:
        return msgspec.json.decode(data, type=_Head).version
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _first_line(error: Exception) -> str:
    from opsconsole.text import printable

    return printable(str(error).splitlines()[0] if str(error) else "not readable")[:200]


def _check(manifest: Manifest) -> None:
    """What types alone do not say."""
    files = manifest.files
    for part in manifest.parts:
        if part.oplog is not None and (part.kind != "mongo" or part.oplog.ends < part.oplog.begins):
            raise ManifestError(f"{NAME} lists a place in an oplog that there is not")
    if len(files) > _MOST_FILES:
        raise ManifestError(f"{NAME} lists more than {_MOST_FILES:,} files")
    seen: set[str] = {NAME}
    for file in files:
        if not _is_below(file.path):
            raise ManifestError(f"{NAME} lists a path that no backup has: {ascii(file.path)[:80]}")
        if file.path in seen:
            raise ManifestError(f"{NAME} lists {file.path} twice")
        seen.add(file.path)
    for path in seen:
        if any(other in seen for other in _above(path)):
            raise ManifestError(f"{NAME} lists {path} below a file")


def _is_below(path: str) -> bool:
    steps = path.split("/")
    return (
        len(steps) <= _DEEPEST_PATH
        and not any(step in ("", ".", "..") for step in steps)
        and "\\" not in path
        and path.isprintable()
    )


def _above(path: str) -> list[str]:
    steps = path.split("/")
    return ["/".join(steps[:end]) for end in range(1, len(steps))]
