"""A pipe between two threads, for a library that wants to read by itself what is written here, or the other way round.

The pieces in the pipe are few and bounded, so memory stays constant, and whoever is faster waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from opsconsole.backups.reading import Reader
from opsconsole.durable import write_all

T = TypeVar("T")

_ROOM = 1 << 20  # bytes in the pipe; a system may allow less
_PIECE = 1 << 16


class Sink(Protocol):
    def write(self, data: bytes) -> int: ...

    def flush(self) -> None: ...


class Fed(Generic[T]):
    """What is written here is read by `work` in a thread of its own. Its error comes out of `write` or `finish`."""

    def __init__(self, work: Callable[[Reader], T], name: str) -> None:
        reading, self._writing = _pipe()
        self._source = os.fdopen(reading, "rb", buffering=_PIECE)
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Hand over data; waits while there is enough to do."""
        try:
            write_all(self._writing, data)
        except BrokenPipeError:
            self._thread.join()
            if self._error is not None:
                raise self._error from None

    def finish(self) -> T:
        """There is no more data: what `work` makes of all that was written."""
        self._end()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def abandon(self) -> None:
        """There is no more data, and nobody wants to know."""
        self._end()

    def _end(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._source:
                self._result.append(self._work(self._source))
        except BaseException as error:
            self._error = error


class Drawn:
    """A reader of what `work` writes into a sink, in a thread of its own. Its error comes out of the last `read`."""

    def __init__(self, work: Callable[[Sink], object], name: str) -> None:
        self._reading, writing = _pipe()
        self._sink = _Gathered(writing)
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, b"" when `work` has come to a good end."""
        data = os.read(self._reading, size)
        if not data and size:
            self._thread.join()
            if self._error is not None:
                raise self._error
        return data

    def close(self) -> None:
        """Nobody reads any more, and the thread is over."""
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self._sink)
            self._sink.settle()
        except BaseException as error:
            self._error = error
        finally:
            self._sink.close()


class _Gathered:
    """Many small pieces become fewer large ones: each passes from thread to thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        if len(self._held) >= _PIECE:
            self.settle()
        return len(data)

    def flush(self) -> None:
        """Libraries say it after every piece."""

    def settle(self) -> None:
        held, self._held = self._held, bytearray()
        write_all(self._descriptor, bytes(held))

    def close(self) -> None:
        os.close(self._descriptor)


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _ROOM)
    return reading, writing
