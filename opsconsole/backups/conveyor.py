"""Work handed to another thread, a few pieces ahead, so that reading and writing go on at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Conveyor(Generic[T]):
    """One thread that does `work` with each piece in turn. Its first error comes out of `put` or `finish`."""

    def __init__(self, work: Callable[[T], None], *, depth: int = 4, name: str = "conveyor") -> None:
        self._work = work
        self._queue: queue.Queue[tuple[T] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, piece: T) -> None:
        """Hand over a piece; waits while the thread has enough to do."""
        if self._error is not None:
            raise self._error
        self._queue.put((piece,))

    def finish(self) -> None:
        """Wait until everything is done."""
        self._end()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End without doing what was not begun yet."""
        self._error = self._error or RuntimeError("abandoned")
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.abandon()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._work(item[0])
                except BaseException as error:
                    self._error = error
