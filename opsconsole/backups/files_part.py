"""Directories as parts of a backup: bind mounts and the directories of named volumes, each in one packed tar file.

Owners, permissions, times, symbolic and hard links and holes are kept, members come in the order of their names, and
stock tar unpacks it. The directory is in use meanwhile: a file that changed while it was read is named in the manifest.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opsconsole.backups import tar_format
from opsconsole.backups.encryption import NO_KEYS, NOBODY, Keys, Recipients
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import PER_FILE, HeldFile, Part, PartKind
from opsconsole.backups.naming import file_word
from opsconsole.backups.packed_files import PackedFile, Packing, UnpackedFile
from opsconsole.backups.reading import Corrupt, LimitReached
from opsconsole.backups.tar_format import Item, Kind, Piece
from opsconsole.backups.tarball import BLOCK
from opsconsole.model import SourceError
from opsconsole.text import printable

_CHUNK = 1 << 20
_DEEPEST = 200  # each level keeps a directory open
_NAMED_AT_MOST = 100
_ZEROS = bytes(_CHUNK)

Told = Callable[[str, int, int], None]
"""Hears of the file that is saved, and of members and bytes so far."""


@dataclass(frozen=True)
class FilesSaver:
    """Saves one directory. `left_out` are directories below it that are no data, such as that of the backups."""

    name: str
    directory: Path
    left_out: Collection[Path] = ()
    packing: Packing = Packing.GZIP
    recipients: Recipients = NOBODY
    told: Told = lambda path, members, size: None
    kind: PartKind = "files"

    def save(self, place: Path) -> Part:
        """Raises SourceError or OSError when something cannot be read: no part is better than half of one."""
        begun = time.monotonic()
        target = PackedFile(place / file_name(self.name, self.packing, self.recipients), self.packing, self.recipients)
        try:
            saving = _Saving(target, _identities(self.left_out), self.told)
            saving.all(self.directory)
            target.write(tar_format.END)
            digest = target.finish()
        except BaseException:
            target.abandon()
            raise
        return Part(
            kind="files",
            name=self.name,
            files=(HeldFile(path=target.path.name, size=target.size, sha256=digest),),
            consistency=PER_FILE,
            source=str(self.directory),
            seconds=time.monotonic() - begun,
            members=saving.members,
            content_size=saving.size,
            changed=tuple(saving.changed[:_NAMED_AT_MOST]),
            notes=tuple(saving.notes()),
        )


def file_name(name: str, packing: Packing, recipients: Recipients = NOBODY) -> str:
    """`files-uploads.tar.gz`."""
    return f"files-{file_word(name)}.tar{packing.suffix}{recipients.suffix}"


def _identities(directories: Collection[Path]) -> frozenset[tuple[int, int]]:
    found = set()
    for directory in directories:
        try:
            status = directory.stat()
        except FileNotFoundError:
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


class _Saving:
    """Walks by open directories, so that nobody can put a link in the way between a look and a read."""

    def __init__(self, target: PackedFile, left_out: frozenset[tuple[int, int]], told: Told) -> None:
        self._target = target
        self._left_out = left_out
        self._told = told
        self._seen: dict[tuple[int, int], bytes] = {}  # files that have further names
        self._special = 0
        self._skipped = 0
        self.members = 0
        self.size = 0
        self.changed: list[str] = []

    def notes(self) -> Iterator[str]:
        if len(self.changed) > _NAMED_AT_MOST:
            yield f"{len(self.changed):,} files changed while they were read"
        if self._special:
            yield f"{self._special:,} sockets and devices were left out"
        if self._skipped:
            yield f"{self._skipped:,} directories were left out on purpose"

    def all(self, directory: Path) -> None:
        with _opened(os.fsencode(directory), None, directory=True) as fd:
            self._target.write(tar_format.header(_item(b"", Kind.DIRECTORY, os.fstat(fd))))
            self._directory(fd, b"", 0)

    def _directory(self, fd: int, path: bytes, depth: int) -> None:
        if depth > _DEEPEST:
            raise SourceError(f"{_text(path)} lies more than {_DEEPEST} directories deep", "is it a loop of mounts?")
        for name in sorted(os.fsencode(entry) for entry in os.listdir(fd)):
            below = path + b"/" + name if path else name
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                self._entry(fd, name, below, status, depth)
            except FileNotFoundError:
                self.changed.append(_text(below))  # removed since the directory was listed
            except PermissionError as error:
                raise SourceError(
                    f"{_text(below)} cannot be read: {error.strerror}", "run as root, or as the owner of these files"
                ) from None

    def _entry(self, fd: int, name: bytes, path: bytes, status: os.stat_result, depth: int) -> None:
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            if identity in self._left_out:
                self._skipped += 1
                return
            with _opened(name, fd, directory=True) as below:
                self._member(_item(path, Kind.DIRECTORY, os.fstat(below)))
                self._directory(below, path, depth + 1)
        elif stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1 and identity in self._seen:
                self._member(_item(path, Kind.HARDLINK, status, self._seen[identity]))
                return
            with _opened(name, fd) as file:
                self._file(file, path)
            if status.st_nlink > 1:
                self._seen[identity] = path
        elif stat.S_ISLNK(status.st_mode):
            self._member(_item(path, Kind.SYMLINK, status, os.readlink(name, dir_fd=fd)))
        elif stat.S_ISFIFO(status.st_mode):
            self._member(_item(path, Kind.FIFO, status))
        else:
            self._special += 1

    def _member(self, item: Item) -> None:
        self._target.write(tar_format.header(item))
        self.members += 1
        self._told(_text(item.path), self.members, self.size)

    def _file(self, fd: int, path: bytes) -> None:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise FileNotFoundError  # something else has its name now
        pieces = _pieces(fd, before)
        item = _item(path, Kind.FILE, before, pieces=pieces)
        self._member(item)
        for offset, length in pieces if pieces is not None else ((0, before.st_size),):
            self._copy(fd, offset, length)
        self._target.write(bytes(-item.stored % BLOCK))
        self.size += item.stored
        after = os.fstat(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            self.changed.append(_text(path))

    def _copy(self, fd: int, offset: int, length: int) -> None:
        """What the header promised, whatever became of the file: zeros stand for what is not there any more."""
        end = offset + length
        while offset < end:
            data = os.pread(fd, min(_CHUNK, end - offset), offset) or _ZEROS[: end - offset]
            self._target.write(data)
            offset += len(data)


@contextmanager
def _opened(name: bytes, at: int | None, *, directory: bool = False) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_DIRECTORY if directory else 0)
    if directory and at is None:
        flags &= ~os.O_NOFOLLOW  # the directory itself may be reached by a link: the operator named it
    try:
        fd = os.open(name, flags, dir_fd=at)
    except OSError as error:
        if at is not None and error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise FileNotFoundError from None  # something else has its name now
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def _item(
    path: bytes, kind: Kind, status: os.stat_result, link: bytes = b"", pieces: tuple[Piece, ...] | None = None
) -> Item:
    return Item(
        path=path,
        kind=kind,
        size=status.st_size if kind is Kind.FILE else 0,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        link=link,
        pieces=pieces,
    )


def _pieces(fd: int, status: os.stat_result) -> tuple[Piece, ...] | None:
    """Where a file has data, None when it has no holes worth the trouble."""
    if status.st_blocks * 512 >= status.st_size:
        return None
    pieces = []
    at = 0
    try:
        while at < status.st_size:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = min(os.lseek(fd, start, os.SEEK_HOLE), status.st_size)
            if start < at:
                pieces.append((start, at - start))
    except OSError as error:
        if error.errno != errno.ENXIO:  # no data behind `at`
            return None
    return None if pieces == [(0, status.st_size)] else tuple(pieces)  # a file system that packs has no holes


def _text(path: bytes) -> str:
    return printable(path.decode("utf-8", "replace"))[:1000]


# --- checking --------------------------------------------------------------------------------------


def check_files_part(directory: Path, part: Part, keys: Keys = NO_KEYS) -> tuple[Fault, ...]:
    """Read every member and add up: what differs from the manifest. Never raises for what the file holds."""
    for file in part.files:
        problem = _check(directory / file.path, part, keys)
        if problem:
            return (Fault(path=file.path, problem=problem),)
    return ()


def _check(path: Path, part: Part, keys: Keys) -> str:
    members = size = 0
    # Headers of a member take at most two blocks and what names and the list of holes need; that leaves a bomb no room.
    limit = 2 * part.content_size + part.members * (1 << 17) + (1 << 20)
    try:
        with UnpackedFile(path, limit, keys) as reader:
            for item, content in tar_format.items(reader):
                members += bool(item.path)
                size += item.stored
                while content.read(_CHUNK):
                    pass
    except LimitReached:
        return "unpacks to more than the manifest says"
    except Corrupt as fault:
        return fault.problem
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if members != part.members:
        return f"holds {members:,} members, the manifest says {part.members:,}"
    return (
        "" if size == part.content_size else f"holds {size:,} bytes of files, the manifest says {part.content_size:,}"
    )
