"""Attached to one operation: what it records and what its commands write, read on a thread as it comes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from opsconsole.model import LogLevel, LogLine, SourceError
from opsconsole.operations import journal, past
from opsconsole.operations.course import Course, course
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.past import Expected
from opsconsole.operations.plan import Plan

POLL_SECONDS = 0.15
NO_BEGIN_SECONDS = 20.0
"""A process that has written nothing by then never will."""

_FIRST_BYTES, _READ_BYTES = 4 << 20, 1 << 20
"""Of output that was written before: the end of it. Then so much at a time."""

_MOST_LINES = 50_000


class Standing(StrEnum):
    """Whether the operation goes on."""

    BEGINNING = "beginning"
    RUNNING = "running"
    ENDED = "ended"
    HALF_DONE = "half done"
    NOTHING_DONE = "nothing done"  # its process ended before any step


class Attached:
    """`start` it, read `course`, `standing` and `take()`; `close` lets go. The operation goes on without it."""

    def __init__(self, place: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.place = place
        self.course = Course()
        self.standing = Standing.BEGINNING
        self.expected = Expected()
        self.problem = ""  # why something of it cannot be read
        self.cancel_asked = ""
        self._process = process
        self._records = journal.Follower(place)
        self._entries: list[Entry] = []
        self._plan: Plan | None = None
        self._lines: deque[LogLine] = deque(maxlen=_MOST_LINES)
        self._output_at = -1  # -1: not looked yet
        self._torn = b""
        self._step = ""
        self._closing = threading.Event()
        self._since = time.monotonic()

    def start(self, ready: Callable[[], None] = lambda: None) -> None:
        """`ready` is called on the thread when all that was there already has been read."""
        threading.Thread(target=self._follow, args=(ready,), name="operation-watch", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def take(self) -> list[LogLine]:
        """Lines of output that have come since the last call. `service` is the step that wrote them."""
        found = []
        while self._lines:
            found.append(self._lines.popleft())
        return found

    # --- on the thread -----------------------------------------------------------------------------

    def _follow(self, ready: Callable[[], None]) -> None:
        try:
            self._plan = journal.read_plan(self.place)
        except SourceError as error:
            self.problem = str(error)
        self._read()
        if self._plan is not None:
            try:
                self.expected = past.expected(self.place.parents[2], self._plan, self.place.name)
            except SourceError as error:
                self.problem = str(error)
        ready()
        while self.standing in (Standing.BEGINNING, Standing.RUNNING) and not self._closing.wait(POLL_SECONDS):
            self._read()

    def _read(self) -> None:
        # Asked before the records are read: what ends in between has its last records read all the same.
        gone = self._process.poll() is not None if self._process is not None else not journal.is_alive(self.place)
        new = self._records.read()
        for entry, end in zip(new, journal.output_ends(new), strict=True):
            if entry.event == "progress" and self._entries and self._entries[-1].event == "progress":
                self._entries.pop()  # only the last one says how far it is
            self._entries.append(entry)
            self._tell(entry, end)
        if new or not self.course.plan:
            self.course = course(self._plan, self._entries)
        self._copy_output()
        self.cancel_asked = journal.cancel_asked(self.place)
        self.standing = self._stands(gone)

    def _tell(self, entry: Entry, end: int | None) -> None:
        """Where a step begins and what became of it stands among the output, in its place: `end`."""
        if entry.event == "step":
            self._copy_output(end)
            self._step = entry.title
            self._line(f"=== {entry.title}")
        elif entry.event == "step-end" and (entry.text or entry.problem):
            self._copy_output(entry.output_to if end is None else end)
            bad = LogLevel.UNKNOWN if entry.result is Result.DONE else LogLevel.ERROR
            self._line(f"=== {entry.result}: {entry.text or entry.problem}", bad)
        elif entry.event == "way-back":
            self._copy_output(end)
            self._line(f"=== WAY BACK, {entry.text}: {entry.problem}", LogLevel.ERROR)

    def _line(self, text: str, level: LogLevel = LogLevel.UNKNOWN) -> None:
        self._lines.append(LogLine(at=time.time_ns(), service=self._step, container="", text=text, level=level))

    def _stands(self, gone: bool) -> Standing:
        if self.course.end is not None:
            return Standing.ENDED
        begun = self.course.begin is not None
        if not gone:
            return Standing.RUNNING if begun else Standing.BEGINNING
        if begun and any(entry.event == "step" for entry in self._entries):
            return Standing.HALF_DONE
        if begun or self._process is not None or time.monotonic() - self._since > NO_BEGIN_SECONDS:
            return Standing.NOTHING_DONE
        return Standing.BEGINNING

    def _copy_output(self, until: int | None = None) -> None:
        """Whole lines, to the end of what is there or to this place in output.log."""
        while not self._closing.is_set():
            try:
                with (self.place / "output.log").open("rb") as file:
                    if self._output_at < 0:
                        self._output_at = max(0, file.seek(0, 2) - _FIRST_BYTES)
                    most = _READ_BYTES if until is None else min(_READ_BYTES, until - self._output_at)
                    file.seek(self._output_at)
                    text = file.read(most) if most > 0 else b""
            except OSError:
                return
            self._output_at += len(text)
            *lines, self._torn = (self._torn + text).split(b"\n")
            for line in lines:
                self._line(line.decode(errors="replace"))
            if not text:
                return


def last_words(place: Path) -> str:
    """What the process of an operation said before it ended without a record, "" when nothing."""
    try:
        lines = (place / "runner.log").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
