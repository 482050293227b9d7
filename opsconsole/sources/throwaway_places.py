"""Directories of a throw-away server, for its maker's eyes only, and the removal of those that a killed maker left."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from opsconsole.model import SourceError
from opsconsole.sources.throwaway_maker import MAKER, is_gone, mine

PREFIX = "opsconsole-proof-"
_NAMED = re.compile(rf"\.?{PREFIX}({MAKER})-.*")
_LONGEST_SOCKET = 100  # bytes: sun_path takes 107


@contextlib.contextmanager
def private_directory(parent: Path) -> Iterator[Path]:
    """A new hidden directory below `parent`, gone afterwards with all that is in it. Raises SourceError."""
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}{mine()}-", dir=parent))
    except OSError as error:
        raise SourceError(f"nothing can be written to {parent}: {error.strerror}", f"ls -ld {parent}") from None
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def socket_directory() -> Iterator[Path]:
    """A directory that a server of any user may put its socket in, below one that only we may enter. It is short."""
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) + len(PREFIX) + 64 > _LONGEST_SOCKET:
        parent = Path("/tmp")
    with private_directory(parent) as outer:
        inner = outer / "s"
        inner.mkdir()
        inner.chmod(0o777)
        yield inner


def sweep_directories(parents: Sequence[Path]) -> tuple[str, ...]:
    """End the servers of makers that are gone, and remove their directories. Returns those that are gone now."""
    removed = []
    for parent in sorted({Path(tempfile.gettempdir()), Path("/tmp"), *parents}):
        for path in _left_over(parent):
            end_processes_below(path)
            shutil.rmtree(path, ignore_errors=True)
            if not os.path.lexists(path):
                removed.append(str(path))
    return tuple(removed)


def end_processes_below(directory: Path) -> None:
    """End processes of ours that name this directory on their command line."""
    import psutil

    below = f"{directory}/"
    for process in psutil.process_iter(["cmdline", "uids"]):
        uids, words = process.info["uids"], process.info["cmdline"] or []
        if uids is not None and uids.effective == os.geteuid() and any(below in word for word in words):
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(30)


def _left_over(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as items:
            found = [item for item in items if item.is_dir(follow_symlinks=False)]
            own = [item for item in found if item.stat(follow_symlinks=False).st_uid == os.geteuid()]
    except OSError:
        return
    for item in own:
        named = _NAMED.fullmatch(item.name)
        if named and is_gone(named[1]):
            yield Path(item.path)
