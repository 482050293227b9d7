"""Room kept back on the stack's disk: when that fills up, an operation can still come to its own end and record it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from opsconsole.durable import open_private, sync_directory
from opsconsole.operations.places import state_directory

BYTES = 128 << 10
"""The last records of an operation, the output of its way back and the release that it returns to take some 30 KiB."""


def keep(directory: Path) -> None:
    """Fill the reserve of this stack. Where there is no room for it none is kept, and nothing is said."""
    with suppress(OSError):
        path = state_directory(directory) / "reserve"
        fd = open_private(path, os.O_WRONLY | os.O_CREAT)
        try:
            if os.fstat(fd).st_blocks * 512 < BYTES:
                os.posix_fallocate(fd, 0, BYTES)
        except OSError:
            path.unlink()
        finally:
            os.close(fd)


def is_needed(directory: Path) -> bool:
    """Whether so little is left on the disk that the next step may not be recorded."""
    try:
        found = os.statvfs(directory / ".opsconsole")
    except OSError:
        return False
    free = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return free * found.f_frsize < BYTES // 4


def give_up(directory: Path) -> bool:
    """Let what is written next have the room; False when there was none."""
    try:
        path = state_directory(directory) / "reserve"
        path.unlink()
        sync_directory(path.parent)
    except OSError:
        return False
    return True
