"""Backups of the older layouts made ready for a restore: what is packed is unpacked aside, and read to its end.

They have no manifest, so there is nothing to hold their bytes against: what can be said is that everything in them
can be read as what it is. Archives of unknown origin are unpacked as such (`files_loading`, `foreign`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from opsconsole.backups import rdb
from opsconsole.backups.faults import BadBackup, Fault
from opsconsole.backups.files_loading import extract
from opsconsole.backups.mongo_dump import is_dump_file
from opsconsole.backups.packed_files import Packing, UnpackedFile
from opsconsole.backups.progress import Counted, Told
from opsconsole.backups.reading import Corrupt, FileReader, LimitReached, Meter, heard_by, up_to
from opsconsole.backups.tarball import BLOCK, looks_like_tar
from opsconsole.durable import open_private, write_all
from opsconsole.model import Backup, Record, SourceError

_CHUNK = 1 << 20
_DEEPEST = 4  # tar files in tar files
_DATA = ("mongo", "redis", "files", "config")


class OlderPart(Record, frozen=True):
    """One part, ready to be read: a dump (archive or directory), an RDB file, a directory of files, an env file."""

    kind: str
    name: str  # as the catalogue calls it
    path: str


def opened(
    backup: Backup, scratch: Path, limit: int, told: Told = lambda what, done, total: None
) -> tuple[OlderPart, ...]:
    """The parts of a backup, unpacked below `scratch` (an empty directory that the caller removes) where needed.

    `limit`: unpacked bytes of one archive at most. Raises SourceError that names the file at fault.
    """
    opening = _Opening(Path(backup.path), scratch, limit, told)
    try:
        return tuple(opening.part(part.kind, part.path) for part in backup.parts if part.kind in _DATA)
    except (Corrupt, LimitReached) as fault:
        problem = fault.problem if isinstance(fault, Corrupt) else "unpacks to more than it may"
        raise BadBackup(f"{opening.at} {problem}", "Choose another backup.") from None
    except OSError as error:
        raise SourceError(f"{opening.at} cannot be read: {error.strerror}") from None


def check(parts: Sequence[OlderPart], required: Sequence[str] = ()) -> tuple[tuple[Fault, ...], dict[str, int]]:
    """Read everything to its end: what is wrong, named, and the documents by "database.collection". `required`:
    collections that must have documents."""
    faults: list[Fault] = []
    counts: dict[str, int] = {}
    for part in parts:
        try:
            if part.kind == "mongo":
                counts |= _counts(Path(part.path))
            elif part.kind == "redis":
                with FileReader(part.path, Meter(1 << 62)) as reader:
                    rdb.count(reader)
        except Corrupt as fault:
            faults.append(Fault(path=part.name, problem=fault.problem))
        except OSError as error:
            faults.append(Fault(path=part.name, problem=f"cannot be read: {error.strerror}"))
    full = {form for path, documents in counts.items() if documents for form in (path, path.partition(".")[2])}
    if not faults:
        name = next((part.name for part in parts if part.kind == "mongo"), "the backup")
        faults = [
            Fault(path=name, problem=f"has no documents of {one}, which is required")
            for one in required
            if one not in full
        ]
    return tuple(faults), counts


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a directory. Raises OSError."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())


def _counts(path: Path) -> dict[str, int]:
    from opsconsole.backups.mongo_dumps import check_dump, open_dump

    with open_dump(path) as dump:
        return {one.entry.path: one.documents for one in check_dump(dump)}


class _Opening:
    def __init__(self, backup: Path, scratch: Path, limit: int, told: Told) -> None:
        self._told = told
        self._backup = backup
        self._scratch = scratch
        self._limit = limit
        self._unpacked: dict[Path, Path] = {}
        self.at = backup.name

    def part(self, kind: str, name: str) -> OlderPart:
        self.at = name
        if self._backup.is_dir():
            inner = [] if name == "." else name.split("/")
            path = self._backup
        else:
            inner = [] if name == self._backup.name else name.split("/")
            path = self._backup
        for _ in range(_DEEPEST):
            path, inner = _down(path, inner)
            if path.is_dir() or not self._is_tar(path):
                break
            path = self._extracted(path)
        if inner:
            raise Corrupt(f"is not in {path.name}")
        if kind == "mongo" and path.is_dir():
            path = _dump_root(path)
        if kind == "redis":
            path = self._plain(path)
        return OlderPart(kind=kind, name=name, path=str(path))

    def _is_tar(self, path: Path) -> bool:
        try:
            with UnpackedFile(path, 1 << 20) as reader:
                return looks_like_tar(up_to(reader, BLOCK), empty=False)
        except (LimitReached, Corrupt):
            return False

    def _extracted(self, path: Path) -> Path:
        if path not in self._unpacked:
            target = self._scratch / str(len(self._unpacked))
            counted = Counted(self._told, size_of(path), "unpacking ")
            counted.at(path.name)
            with heard_by(counted.went_on):
                extract(path, target, limit=self._limit, foreign=True)
            self._unpacked[path] = target
        return self._unpacked[path]

    def _plain(self, path: Path) -> Path:
        """An RDB file is read as it is; a packed one is unpacked."""
        with UnpackedFile(path, self._limit) as reader:
            if reader.packing is Packing.NONE:
                return path
            target = self._scratch / f"{len(self._unpacked)}.rdb"
            self._unpacked[path] = target
            fd = open_private(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                while data := reader.read(_CHUNK):
                    write_all(fd, data)
            finally:
                os.close(fd)
        return target


def _down(path: Path, inner: list[str]) -> tuple[Path, list[str]]:
    """As far down as there are directories, without following a link."""
    while inner and path.is_dir():
        path, inner = path / inner[0], inner[1:]
        if path.is_symlink() or not path.exists():
            raise Corrupt("is not there")
    return path, inner


def _dump_root(path: Path) -> Path:
    """The directory that holds the dump: of one database, or of several."""
    holding = [
        directory
        for directory, names, files in os.walk(path)
        if any(is_dump_file(name) and name.removesuffix(".gz") != "prelude.json" for name in files)
    ]
    return Path(os.path.commonpath(holding)) if holding else path
