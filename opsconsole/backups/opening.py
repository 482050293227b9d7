"""A backup of any layout made ready for a restore: its parts, where each can be read, and what is in it.

What the older layouts have packed is unpacked aside; our own is read where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from opsconsole.backups import manifest, older_layouts, rdb
from opsconsole.backups.encryption import NO_KEYS, SUFFIX, Keys
from opsconsole.backups.faults import BadBackup, Fault, Level
from opsconsole.backups.manifest import HeldCollection, HeldKeys
from opsconsole.backups.progress import Counted, Told
from opsconsole.backups.reading import Corrupt, FileReader, Meter, heard_by
from opsconsole.backups.redis_checking import held_keys
from opsconsole.backups.verifying import check_keys, verify
from opsconsole.model import Backup, Record, SourceError
from opsconsole.text import printable

OWN = "opsconsole"


class OpenPart(Record, frozen=True):
    """One part that can be restored. `path`: a dump (archive or directory), an RDB file, a tar file or a directory of
    files, a directory with configuration or one env file."""

    kind: str
    name: str
    path: str
    source: str = ""  # the directory or volume that it is of
    foreign: bool = False  # nobody hashed it when it was made
    collections: tuple[HeldCollection, ...] = ()
    keys: tuple[HeldKeys, ...] = ()
    members: int = 0
    size: int = 0  # bytes unpacked
    users: bool = False  # of MongoDB, or roles: not where the server has none, nor in a dump of one database

    @property
    def expected(self) -> dict[str, tuple[int, str]]:
        """Documents and digest by "database.collection": what is loaded is compared with it."""
        return {f"{one.database}.{one.name}": (one.documents, one.digest) for one in self.collections}


class Opened(Record, frozen=True):
    """A backup that was read to its end and found right."""

    id: str
    taken_at: datetime
    identity: str = ""  # SHA-256 of its manifest, "" for a layout without one
    parts: tuple[OpenPart, ...] = ()


def open_backup(
    backup: Backup,
    scratch: Path,
    limit: int,
    *,
    check: bool = True,
    keys: Keys = NO_KEYS,
    told: Told = lambda what, done, total: None,
) -> Opened:
    """Read everything in a backup (level 2) and say what it holds. `scratch` is a directory for what has to be
    unpacked, `limit` how many bytes of each archive at most.

    `check` False trusts a manifest that was checked before; `keys` open an encrypted one. Raises SourceError that names
    the file at fault, or WrongKey before anything is read.
    """
    if backup.layout == OWN:
        return _own(backup, check, keys, told)
    return _older(backup, scratch, limit, told)


def _own(backup: Backup, check: bool, keys: Keys, told: Told) -> Opened:
    directory = Path(backup.path)
    seen = verify(directory, Level.PARSED if check else Level.MANIFEST, told=told, keys=keys)
    _refuse(backup, seen.faults)
    held = seen.manifest
    assert held is not None  # it has no faults
    if held.incremental:
        raise SourceError(
            f"{held.id} is incremental: it holds only what was written since the backup before it",
            "Restore the full backup, or a moment inside of a range that is shown.",
        )
    if not check:
        check_keys(directory, held, keys)
    return Opened(
        id=backup.id,
        taken_at=held.taken_at,
        identity=identity(directory),
        parts=tuple(_open_part(directory, one) for one in held.parts),
    )


def identity(directory: Path) -> str:
    """SHA-256 of a manifest: another one is another backup. Raises SourceError."""
    try:
        return manifest.sha256((directory / manifest.NAME).read_bytes())
    except OSError as error:
        raise SourceError(f"{manifest.NAME} cannot be read: {error.strerror}") from None


def _open_part(directory: Path, part: manifest.Part) -> OpenPart:
    files = [file.path for file in part.files]
    main = (
        next((one for one in files if one.removesuffix(SUFFIX).endswith(".rdb")), files[0])
        if part.kind == "redis"
        else files[0]
    )
    path = directory / (main.partition("/")[0] if part.kind == "config" else main)
    return OpenPart(
        kind=part.kind,
        name=part.name,
        path=str(path),
        source=part.source,
        collections=part.collections,
        keys=part.keys,
        members=part.members,
        size=part.content_size,
        users=_has_users(part.collections),
    )


def _has_users(collections: Sequence[HeldCollection]) -> bool:
    return any(one.database == "admin" and one.name in ("system.users", "system.roles") for one in collections)


def _older(backup: Backup, scratch: Path, limit: int, told: Told) -> Opened:
    parts = older_layouts.opened(backup, scratch, limit, told)
    if not parts:
        raise SourceError(f"{printable(backup.id)} holds nothing that can be restored", "Choose another backup.")
    found = []
    for part in parts:
        counted = Counted(told, older_layouts.size_of(Path(part.path)), "content of ")
        counted.at(part.name)
        try:
            with heard_by(counted.went_on):
                found.append(_described(part))
        except Corrupt as fault:
            _refuse(backup, (Fault(path=part.name, problem=fault.problem),))
        except OSError as error:
            _refuse(backup, (Fault(path=part.name, problem=f"cannot be read: {error.strerror}"),))
    return Opened(id=backup.id, taken_at=backup.taken_at, parts=tuple(found))


def _described(part: older_layouts.OlderPart) -> OpenPart:
    """What an unpacked part holds, read to its end. Raises Corrupt and OSError."""
    collections: tuple[HeldCollection, ...] = ()
    keys: tuple[HeldKeys, ...] = ()
    members = size = 0
    if part.kind == "mongo":
        collections = _collections(Path(part.path))
    elif part.kind == "redis":
        with FileReader(part.path, Meter(1 << 62)) as reader:
            keys = held_keys(rdb.count(reader))
    elif part.kind == "files":
        for one in Path(part.path).rglob("*"):
            members += 1
            size += one.lstat().st_size if one.is_file() and not one.is_symlink() else 0
    return OpenPart(
        kind=part.kind,
        name=part.name,
        path=part.path,
        foreign=True,
        collections=collections,
        keys=keys,
        members=members,
        size=size,
        users=_has_users(collections),
    )


def _collections(path: Path) -> tuple[HeldCollection, ...]:
    from opsconsole.backups.mongo_dumps import check_dump, open_dump

    with open_dump(path) as dump:
        return tuple(
            HeldCollection(
                database=one.entry.database,
                name=one.entry.name,
                kind=one.entry.kind,
                documents=one.documents,
                size=one.bytes,
                digest=one.digest,
            )
            for one in check_dump(dump)
        )


def _refuse(backup: Backup, faults: Sequence[Fault]) -> None:
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise BadBackup(
            f"the backup {printable(backup.id)} is not right: {faults[0]}{more}",
            "Nothing was changed. Choose another backup.",
        )
