"""Reading the logs of one container: what to ask the engine for next, and what its answer means.

Two requests a container. The first one reads what is written already and ends by itself: so it is known when
all of it is here. The second one follows, from the last line seen on, and is asked again after every end of
the stream: when the container was stopped, and when the engine went away. Every request overlaps what was
read before, and what was seen already is sorted out, so nothing is missing and nothing comes twice.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from enum import Enum

from opsconsole.model import Container, LogLine
from opsconsole.sources import LogRange
from opsconsole.sources.log_lines import Dechunker, LineReader, NotALogStream
from opsconsole.sources.log_order import SeenLines, Unseen
from opsconsole.sources.log_wire import AnswerHead, refusal

_OVERLAP_LINES = 500
"""Lines asked again at the end of a log when following goes on: without a limit the engine reads the whole file."""

_FIRST_RETRY, _LAST_RETRY = 0.3, 5.0


class Outcome(Enum):
    """What the end of a stream means."""

    AGAIN = "again"  # ask the next thing now
    LATER = "later"  # ask again after a pause
    OVER = "over"  # nothing more will come
    UNREACHABLE = "unreachable"  # the engine itself does not answer


class Attachment:
    """One container of a log stream."""

    def __init__(self, container: Container, wanted: LogRange, *, opened_at: int, new: bool) -> None:
        self.id = container.id
        self.service = container.service or container.name
        self.running = is_running(container)
        self.started_at = container.started_at
        self.wanted = wanted
        self.seen = SeenLines()
        self.connection: socket.socket | None = None
        self.outgoing = b""
        self.asked_at = 0.0
        self.retry_at = 0.0  # infinity: not until somebody says that it runs again
        self.leave_by: float | None = None
        self.problem = ""
        self.over = wanted.tail == 0 and not wanted.follow
        # Made after the stream was opened: all that it ever wrote is wanted.
        self._new = new
        self._opened_at = opened_at
        self.backlog_read = wanted.tail == 0 and not new
        self._whole = False  # ask without `_OVERLAP_LINES`
        self._pause = _FIRST_RETRY
        self._head_left = wanted.head
        # Of the answer being read; `_begin_answer` makes them anew.
        self._head = AnswerHead()
        self._dechunker: Dechunker | None = None
        self._error_body = b""
        self._reader = LineReader(self.service, self.id)
        self._unseen: Unseen | None = None
        self._brought = 0

    def query(self) -> Mapping[str, str]:
        """The parameters of the next request."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if self.backlog_read else "0"}
        wanted = self.wanted
        since = int(wanted.since.timestamp() * 1_000_000) * 1000 if wanted.since and not self._new else 0
        tail = None if self._new else wanted.tail
        if self.backlog_read and self.seen:
            since, tail = self.seen.since, None if self._whole else _OVERLAP_LINES
        elif self.backlog_read and tail is not None:
            # The log was empty, or only what is new is wanted.
            since, tail = (since, max(tail, _OVERLAP_LINES)) if tail else (self._opened_at, None)
        if since:
            query["since"] = f"{since // 1_000_000_000}.{since % 1_000_000_000:09d}"
        if tail is not None:
            query["tail"] = str(tail)
        return query

    def connected(self, connection: socket.socket, request: bytes, now: float) -> None:
        self.connection, self.outgoing, self.asked_at = connection, request, now
        self._begin_answer()

    def feed(self, data: bytes) -> tuple[list[LogLine], Outcome | None]:
        """The new lines in these bytes, and whether the stream is to be left now."""
        try:
            lines = self._lines_of(data)
        except (NotALogStream, ValueError):
            return [], self._refused(f"{self.service}: the answer is no log stream; is this address a Docker engine?")
        if self._unseen is not None:
            lines = self._unseen.sort_out(lines)
            if self._unseen.overlaps is False and not self._whole:
                # More was written than was asked for again.
                self._whole = True
                return [], Outcome.AGAIN
            if self._unseen.passed:
                self._unseen = None
        return self._noted(lines)

    def ended(self) -> tuple[list[LogLine], Outcome]:
        """What is left of a stream that has ended, and what to do now."""
        if not self._head.status:
            return [], Outcome.UNREACHABLE
        if self._head.status != 200:
            return [], self._refusal_outcome()
        if not self.backlog_read:
            self.backlog_read = True
            if self.wanted.follow and self.wanted.head is None and self.running:
                return [], Outcome.AGAIN
            return self._last_lines(), self._resting()
        self._whole = False
        outcome = self._resting()
        # Half a line at the end comes again with the next request, until nothing else does.
        waits = self._brought and outcome is Outcome.LATER
        return [] if waits else self._last_lines(), outcome

    @property
    def answered(self) -> bool:
        """Whether the head of the current answer has come."""
        return self._head.status != 0

    def rest(self, now: float) -> None:
        """Wait before the next request; longer each time nothing came."""
        self.retry_at = now + self._pause
        self._pause = min(self._pause * 2, _LAST_RETRY)

    def told(self, container: Container, now: float) -> None:
        """What the engine's list says of this container now."""
        started = is_running(container) and (not self.running or container.started_at != self.started_at)
        self.running, self.started_at, self.leave_by = is_running(container), container.started_at, None
        if started and self.connection is None:
            self.retry_at, self._pause = min(self.retry_at, now), _FIRST_RETRY

    def _begin_answer(self) -> None:
        self._head = AnswerHead()
        self._dechunker = None
        self._error_body = b""
        self._reader = LineReader(self.service, self.id)
        self._unseen = self.seen.unseen() if self.seen else None
        self._brought = 0

    def _lines_of(self, data: bytes) -> list[LogLine]:
        if not self._head.status:
            data = self._head.feed(data)
            if self._head.chunked:
                self._dechunker = Dechunker()
        if self._dechunker is not None:
            data = self._dechunker.feed(data)
        if self._head.status not in (0, 200):
            self._error_body = (self._error_body + data)[:8192]
            return []
        return self._reader.feed(data) if data else []

    def _noted(self, lines: list[LogLine]) -> tuple[list[LogLine], Outcome | None]:
        if lines:
            self._brought += len(lines)
            self._pause = _FIRST_RETRY
            self.problem = ""
            if self._head_left is not None:
                lines = lines[: self._head_left]
                self._head_left -= len(lines)
            self.seen.note(lines)
        if self._head_left == 0:
            self.backlog_read = self.over = True
            return lines, Outcome.OVER
        return lines, None

    def _last_lines(self) -> list[LogLine]:
        lines = self._reader.end()
        if self._unseen is not None:
            lines = self._unseen.sort_out(lines)
        return self._noted(lines)[0]

    def _resting(self) -> Outcome:
        if not self.wanted.follow or self.wanted.head is not None or self.leave_by is not None:
            self.over = True
            return Outcome.OVER
        return Outcome.LATER

    def _refusal_outcome(self) -> Outcome:
        message = refusal(self._error_body)
        status = self._head.status
        if status == 599:
            return Outcome.UNREACHABLE
        if status == 404:
            self.over = True  # removed since it was listed
            return Outcome.OVER
        if "marked for removal" in message:
            return self._resting()  # being removed at this moment: no fault to tell of
        return self._refused(
            f"{self.service}: its logs cannot be read: {message or status}", final="support reading" in message
        )

    def _refused(self, problem: str, *, final: bool = False) -> Outcome:
        self.problem = problem
        if final or not self.wanted.follow:
            self.over = True
            return Outcome.OVER
        return Outcome.LATER


def is_running(container: Container) -> bool:
    return container.state in ("running", "paused", "restarting")
