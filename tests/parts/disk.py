"""A disk of one's own that is full in a moment. Needs root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.parts.machine import run


@contextlib.contextmanager
def small_disk(place: Path, *, size: str = "1m") -> Iterator[None]:
    """Mounted at a directory that is made for it; gone afterwards, with all it holds."""
    place.mkdir(mode=0o700)
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", place)
    try:
        yield
    finally:
        run("umount", "--lazy", place)


def fill(place: Path, *, leave: int = 0) -> Path:
    """Until nothing can be written there, or only so many bytes. The file that takes the room."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(filler, filler.stat().st_size - leave)
    return filler
