"""Files that are ours alone and that survive a power cut once we say that they are written."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def open_private(path: Path, flags: int) -> int:
    """A file that only its owner reads; a link that somebody put there is not followed."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def write_all(fd: int, data: bytes) -> None:
    """Write everything: one write may take less than it was given. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_private(path: Path, data: bytes) -> None:
    """A new file with this content, on the disk when this returns. Raises OSError, FileExistsError among them."""
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_private(path: Path, data: bytes) -> None:
    """The file has the old content or the new one, whenever the power goes. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # left by one that was killed here
    write_private(new, data)
    new.replace(path)
    sync_directory(path.parent)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on this file now. The kernel answers, no process number is trusted; looking
    makes nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
