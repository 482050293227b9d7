"""How far a long piece of work is, for whoever watches it, and how it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

Told = Callable[[str, int, int], None]
"""Hears of what is being read, and of bytes of how many. What it raises ends the reading."""


class Progress(msgspec.Struct, frozen=True):
    """How far saving or loading is. Totals are what the server's metadata says, so estimates; 0 when unknown."""

    collection: str
    documents: int
    bytes: int
    total_documents: int
    total_bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes per second so far."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


class Pace:
    """How quickly a piece of work goes on, in words. When its bytes begin anew, so does the time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._from = self._last = 0
        self._since: float | None = None

    def words(self, done: int, total: int) -> str:
        """`, 85.0 MB/s, about 14 s left`; "" before it can be told."""
        now = self._clock()
        if self._since is None or done < self._last:
            self._since, self._from = now, done
        self._last = done
        seconds = now - self._since
        if seconds < 1 or done <= self._from:
            return ""
        rate = (done - self._from) / seconds
        left = f", about {max(1, round((total - done) / rate)):,} s left" if total > done else ""
        return f", {rate / 1e6:,.1f} MB/s{left}"


class Counted:
    """One pass over the files of a backup: adds up the blocks that are read, and says so with each of them."""

    def __init__(self, told: Told, total: int, words: str = "") -> None:
        """`total` bytes are to be read; `words` stand before what is read."""
        self._told, self._total, self._words = told, total, words
        self._what = ""
        self._done = 0

    def at(self, what: str) -> None:
        """What is read now."""
        self._what = self._words + what
        self.went_on(0)

    def went_on(self, size: int) -> None:
        self._done = min(self._done + size, self._total)
        self._told(self._what, self._done, self._total)


class Cancelled(Exception):
    """Somebody asked to stop. Nothing is left behind."""


OnProgress = Callable[[Progress], None]
IsCancelled = Callable[[], bool]


class Watch:
    """Says how far the work is, and hears when it shall stop."""

    def __init__(self, progress: OnProgress | None, cancelled: IsCancelled | None) -> None:
        self._progress = progress
        self._cancelled = cancelled or (lambda: False)
        self._begun = time.monotonic()
        self._documents = self._bytes = 0
        self.total_documents = self.total_bytes = 0

    def begin(self, total_documents: int, total_bytes: int) -> None:
        """Start from nothing, also for a second try."""
        self._begun = time.monotonic()
        self._documents = self._bytes = 0
        self.total_documents, self.total_bytes = total_documents, total_bytes

    def went_on(self, collection: str, documents: int, size: int) -> None:
        """So many more documents and bytes. Raises Cancelled."""
        if self._cancelled():
            raise Cancelled
        self._documents += documents
        self._bytes += size
        if self._progress is not None:
            seconds = time.monotonic() - self._begun
            totals = (self.total_documents, self.total_bytes)
            self._progress(Progress(collection, self._documents, self._bytes, *totals, seconds))
