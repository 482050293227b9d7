"""How much room a directory takes on its disk, counted as `du -x` counts, without getting in anybody's way."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import TypeVar

import msgspec

Found = TypeVar("Found")

# Sizing these would be a walk over the kernel's imagination, or over the whole host.
_NOT_DATA = ("/proc", "/sys", "/dev", "/run", "/var/run")
_BREATH_EVERY = 512  # entries
_BREATH_SECONDS = 0.002


def is_walkable(path: str, *, inside_process: bool = False) -> bool:
    """Whether a path can hold data of a stack whose size can be asked: a readable directory or file, not `/`,
    not a socket, not a file system of the kernel. `inside_process` allows /proc/<pid>/root/..."""
    normal = os.path.normpath(path)
    kernels_own = any(normal == place or normal.startswith(f"{place}/") for place in _NOT_DATA)
    if normal == "/" or (kernels_own and not inside_process):
        return False
    try:
        mode = os.stat(normal).st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return os.access(normal, os.R_OK | os.X_OK)
    return stat.S_ISREG(mode)


def tree_size(path: str, stop: Event) -> int | None:
    """Bytes on disk (`st_blocks`) at and below `path` on its own file system; symbolic links are not followed and
    hard links are counted once. None when stopped, or when a part cannot be read: too small a number misleads."""
    total = 0
    linked: set[int] = set()
    try:
        top = os.stat(path)
        for number, facts in enumerate(_walk(path, top), start=1):
            if number % _BREATH_EVERY == 0:
                stop.wait(_BREATH_SECONDS)
            if stop.is_set():
                return None
            if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
                if facts.st_ino in linked:
                    continue
                linked.add(facts.st_ino)
            total += facts.st_blocks * 512
    except OSError:
        return None
    return total


class Counted(msgspec.Struct, frozen=True):
    """Files at and below a path. `cut` when there are more than were counted; then both numbers are a beginning."""

    files: int = 0
    bytes: int = 0
    cut: bool = False
    problem: str = ""


def tree_count(path: str, most: int, end: float) -> Counted:
    """Regular files and their bytes at and below `path` on its own file system, `most` files and until `end`
    (monotonic). A part that cannot be read is a problem, never zero."""
    files = size = 0
    try:
        for facts in _walk(path, os.stat(path)):
            if time.monotonic() > end or (files >= most and stat.S_ISREG(facts.st_mode)):
                return Counted(files, size, cut=True)
            if not stat.S_ISREG(facts.st_mode):
                continue
            files += 1
            size += facts.st_size
    except OSError as error:
        return Counted(files, size, problem=(error.strerror or "input/output error").lower())
    return Counted(files, size)


def _walk(path: str, top: os.stat_result) -> Iterator[os.stat_result]:
    yield top
    waiting = [path] if stat.S_ISDIR(top.st_mode) else []
    while waiting:
        try:
            listing = os.scandir(waiting.pop())
        except FileNotFoundError:
            continue  # removed while we walked
        with listing:
            for entry in listing:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if facts.st_dev != top.st_dev:
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(entry.path)
                yield facts


def in_background(work: Callable[[], Found], stop: Event) -> Found | None:
    """Run `work` on a thread of the lowest priority and wait for it; None when `stop` was set first, or when it
    failed with an OSError. A thread that is left behind does not keep the process alive."""
    results: list[Found] = []
    failures: list[Exception] = []
    done = Event()

    def run() -> None:
        # On Linux a priority belongs to a thread, and the I/O priority follows it.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        try:
            results.append(work())
        except Exception as error:
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="sizes", daemon=True).start()
    while not done.wait(0.2):
        if stop.is_set():
            return None
    if failures and not isinstance(failures[0], OSError):
        raise failures[0]
    return results[0] if results else None
