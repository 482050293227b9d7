"""How far the reading for a plan is, on one line of the terminal that is written over and gone at the end."""

from __future__ import annotations

import shutil
import sys
import time

from opsconsole.text import printable

_EACH_SECONDS = 0.5


class ReadingLine:
    """`hear` is a `Told` of the backups. Nothing is written where stderr is no terminal."""

    def __init__(self) -> None:
        from opsconsole.backups.progress import Pace

        self._pace = Pace()
        self._next_at = 0.0
        self._what = ""
        self._written = False

    def hear(self, what: str, done: int, total: int) -> None:
        speed, now = self._pace.words(done, total), time.monotonic()
        if not sys.stderr.isatty() or (now < self._next_at and what == self._what):
            return
        self._next_at, self._what = now + _EACH_SECONDS, what
        amount = f" {100 * done // total} %, {done / 1e6:,.1f} of {total / 1e6:,.1f} MB" if total else ""
        line = printable(f"reading{amount}{speed}: {what}")
        self._write(line[: max(20, shutil.get_terminal_size().columns - 1)])

    def end(self) -> None:
        if self._written:
            self._write("")

    def _write(self, line: str) -> None:
        self._written = bool(line)
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
