"""Unpacking a files part beside the live directory, to change places with it by `swapping`.

A member is made below directories that were opened one by one without following a link, so no archive can write
outside its directory: not by `..`, not through a symbolic link that it brings itself, not by a hard link.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opsconsole.backups import tar_format
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.faults import BadBackup
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt, LimitReached, Reader
from opsconsole.backups.tar_format import Item, Kind
from opsconsole.model import Record, SourceError
from opsconsole.text import printable

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID

Told = Callable[[str, int, int], None]
"""Hears of the member that is made, and of members and bytes so far."""


def _silent(path: str, members: int, size: int) -> None:
    """Nobody listens."""


class Extracted(Record, frozen=True):
    """What was made."""

    members: int
    size: int  # bytes of files


def extract(
    archive: Path,
    target: Path,
    *,
    limit: int,
    foreign: bool = False,
    keys: Keys = NO_KEYS,
    told: Told = _silent,
) -> Extracted:
    """Unpack into `target`, which is made anew (what a cut-off attempt left there is removed).

    `limit`: unpacked bytes at most. `foreign`: an archive that this console did not make and nobody hashed: links that
    lead out of the directory are refused and special permission bits dropped. `keys`: of an encrypted one. Raises
    SourceError; nothing else is touched then, and `target` is removed.
    """
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.mkdir(mode=0o700)
    fd = os.open(target, _DIRECTORY)
    try:
        made = _Extraction(fd, foreign, told).all(archive, limit, keys)
        os.sync()  # one call for any number of files; what they are exchanged for must be on the disk
        return made
    except BaseException as error:
        with suppress(OSError):
            shutil.rmtree(target)
        raise _said(error, archive) from None
    finally:
        os.close(fd)


def _said(error: BaseException, archive: Path) -> BaseException:
    if isinstance(error, LimitReached):
        return BadBackup(f"{archive.name} unpacks to more than it may", "Verify the backup; is the disk large enough?")
    if isinstance(error, Corrupt):
        return BadBackup(f"{archive.name} {error.problem}", "Nothing of it was put in place.")
    if isinstance(error, OSError):
        return SourceError(f"{archive.name} cannot be unpacked: {error.strerror}", "Nothing of it was put in place.")
    return error


class _Extraction:
    def __init__(self, root: int, foreign: bool, told: Told) -> None:
        self._root = root
        self._foreign = foreign
        self._told = told
        self._files: set[bytes] = set()
        self._directories: list[Item] = []
        self._as_root = os.geteuid() == 0
        self._members = self._size = 0

    def all(self, archive: Path, limit: int, keys: Keys) -> Extracted:
        with UnpackedFile(archive, limit, keys) as reader:
            for item, content in tar_format.items(reader):
                self._make(item, content)
                self._members += bool(item.path)
                self._size += item.stored
                self._told(printable(item.path.decode("utf-8", "replace")), self._members, self._size)
        # Last and deepest first: making a file in a directory changes its time, and its mode may forbid it.
        for item in sorted(self._directories, key=lambda one: one.path, reverse=True):
            with self._parent(item.path) as (parent, name):
                fd = _open_directory(name or b".", parent, item.path)
                try:
                    self._settle(fd, item)
                finally:
                    os.close(fd)
        return Extracted(members=self._members, size=self._size)

    def _make(self, item: Item, content: Reader) -> None:
        if item.kind is Kind.DIRECTORY:
            self._directories.append(item)
            if not item.path:
                return
        with self._parent(item.path) as (parent, name):
            try:
                self._make_in(parent, name, item, content)
            except FileExistsError:
                raise Corrupt(f"holds {_shown(item.path)} twice") from None

    def _make_in(self, parent: int, name: bytes, item: Item, content: Reader) -> None:
        match item.kind:
            case Kind.DIRECTORY:
                with suppress(FileExistsError):  # made for a member that came first; a link there is refused later
                    os.mkdir(name, 0o700, dir_fd=parent)
            case Kind.FILE:
                self._file(parent, name, item, content)
                self._files.add(item.path)
            case Kind.HARDLINK:
                if item.link not in self._files:
                    raise Corrupt(f"holds {_shown(item.path)} as another name of a file that it does not hold")
                with self._parent(item.link) as (source, other):
                    os.link(other, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
                self._files.add(item.path)
            case Kind.SYMLINK:
                if self._foreign and _leads_out(item):
                    raise Corrupt(f"holds {_shown(item.path)}, a link that leads out of its directory")
                os.symlink(item.link, name, dir_fd=parent)
                self._own(name, parent, item)
            case Kind.FIFO:
                os.mkfifo(name, 0o600, dir_fd=parent)
                self._own(name, parent, item)
                os.chmod(name, self._mode(item), dir_fd=parent)

    def _file(self, parent: int, name: bytes, item: Item, content: Reader) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            for offset, length in item.pieces if item.pieces is not None else ((0, item.size),):
                end = offset + length
                while offset < end:
                    data = content.read(min(_CHUNK, end - offset))
                    if not data:
                        raise Corrupt("is cut short", cut=True)
                    rest = memoryview(data)
                    while rest:
                        written = os.pwrite(fd, rest, offset)
                        rest = rest[written:]
                        offset += written
            if item.pieces is not None:
                os.ftruncate(fd, item.size)
            self._settle(fd, item)
        finally:
            os.close(fd)

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """The directory that a member lies in, open, and its name there."""
        steps = path.split(b"/")
        fd = os.dup(self._root)
        try:
            for step in steps[:-1]:
                with suppress(FileExistsError):
                    os.mkdir(step, 0o700, dir_fd=fd)
                below = _open_directory(step, fd, path)
                os.close(fd)
                fd = below
            yield fd, steps[-1]
        finally:
            os.close(fd)

    def _settle(self, fd: int, item: Item) -> None:
        """Owner first: changing it takes the special bits away."""
        if self._as_root:
            os.fchown(fd, item.uid, item.gid)
        os.fchmod(fd, self._mode(item))
        os.utime(fd, ns=(item.mtime_ns, item.mtime_ns))

    def _own(self, name: bytes, parent: int, item: Item) -> None:
        if self._as_root:
            os.chown(name, item.uid, item.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(item.mtime_ns, item.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _mode(self, item: Item) -> int:
        return item.mode & ~_SPECIAL_BITS if self._foreign else item.mode


def _open_directory(name: bytes, parent: int, path: bytes) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except NotADirectoryError:
        raise Corrupt(f"holds {_shown(path)} behind something that is no directory") from None


def _leads_out(item: Item) -> bool:
    depth = item.path.count(b"/")
    for step in item.link.split(b"/"):
        depth += -1 if step == b".." else step not in (b"", b".")
        if depth < 0:
            return True
    return item.link.startswith(b"/")


def _shown(path: bytes) -> str:
    return ascii(path[:120].decode("utf-8", "replace"))
