"""How far a long piece of work is, for whoever watches it, and how it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec


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

    @property
    def seconds_left(self) -> float | None:
        if not self.bytes or self.total_bytes < self.bytes:
            return None
        return (self.total_bytes - self.bytes) / self.rate


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
