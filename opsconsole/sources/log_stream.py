"""The log lines of any number of containers as one stream, read by one thread."""

from __future__ import annotations

import errno
import math
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event, Thread

from opsconsole.model import Container, LogLine
from opsconsole.sources import LogRange
from opsconsole.sources.log_attach import Attachment, Outcome
from opsconsole.sources.log_order import WINDOW, LineQueue, TimeOrder
from opsconsole.sources.log_wire import Dialer

_CHUNK = 256 * 1024
_MOST_HELD_BYTES = 24 * 1024 * 1024  # of lines that wait for older ones of other containers
_PATIENCE = 3.0  # seconds that the others wait for a container whose backlog brings nothing
_NO_ANSWER = 10.0  # seconds until an engine that accepts and says nothing is called silent
_LEAVE = 2.0  # seconds in which the rest of a container that is gone is still read
_LITTLE, _GATHER = 1024, 0.01  # bytes gathered that long: a wake-up a line would cost 15 % of a core at 5,000 lines/s


class DockerLogStream:
    """See `LogStream`. The thread is a daemon and ends within a few milliseconds of `close`."""

    def __init__(
        self,
        dialer: Dialer,
        containers: Sequence[Container],
        wanted: LogRange,
        *,
        now: Callable[[], int] = time.time_ns,
        queue: LineQueue | None = None,
    ) -> None:
        self._dialer = dialer
        self._wanted = wanted
        self._opened_at = now()
        self._queue = queue or LineQueue()
        self._order = TimeOrder()
        self._attachments: dict[str, Attachment] = {}
        self._given: Sequence[Container] | None = None
        self._head_left = wanted.head
        self._backlog_end: int | None = None  # how many lines the backlog had, once it is complete
        self._engine_problem = ""
        self._engine_retry_at = 0.0
        self._engine_pause = 0.25
        self._problem = ""
        self._closed = Event()
        self._ended = False
        self._paused = False
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        for container in containers:
            self._attach(container, new=False)
        self._thread = Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    # --- for the consumer, on any thread ---

    def read(self) -> list[LogLine]:
        return self._queue.take()

    def retarget(self, containers: Sequence[Container]) -> None:
        self._given = tuple(containers)
        self._wake()

    @property
    def problem(self) -> str:
        return self._problem

    @property
    def caught_up(self) -> bool:
        end = self._backlog_end
        return end is not None and self._queue.taken_count >= end

    def close(self) -> None:
        self._closed.set()
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_out.send(b"!")

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._closed.is_set() and not self._ended:
                self._turn(time.monotonic())
        except Exception as error:  # what would else be silence must be said
            self._problem = f"reading logs stopped: {error!r}; choose a range to start again"
        finally:
            self._backlog_end = self._queue.put_count
            for attachment in self._attachments.values():
                self._hang_up(attachment)
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def _turn(self, now: float) -> None:
        self._take_new_targets(now)
        self._ask_due(now)
        paused = self._choose_whom_to_read()
        received = 0
        for key, events in self._selector.select(self._timeout(now, paused)):
            if key.data is None:
                with suppress(BlockingIOError):
                    self._wake_in.recv(4096)
            elif key.data.connection is key.fileobj:
                received += self._serve(key.data, events)
        now = time.monotonic()
        self._lose_patience(now)
        self._hand_over(now)
        self._say_problem(now)
        if 0 < received < _LITTLE:
            self._closed.wait(_GATHER)

    def _take_new_targets(self, now: float) -> None:
        given, self._given = self._given, None
        if given is None:
            return
        for container in given:
            attachment = self._attachments.get(container.id)
            if attachment is None:
                self._attach(container, new=self._is_new(container))
            else:
                attachment.told(container, now)
        listed = {container.id for container in given}
        for attachment in self._attachments.values():
            if attachment.id not in listed and attachment.leave_by is None:
                # Its stream ends by itself when the rest has been read, unless it is only not wanted any more.
                attachment.leave_by = now + _LEAVE
                if attachment.connection is None:
                    attachment.retry_at = now  # what it wrote after its last stream ended

    def _is_new(self, container: Container) -> bool:
        created = container.created_at
        # The engine's list gives whole seconds.
        return created is not None and created >= datetime.fromtimestamp(self._opened_at // 1_000_000_000, UTC)

    def _attach(self, container: Container, *, new: bool) -> None:
        attachment = Attachment(container, self._wanted, opened_at=self._opened_at, new=new)
        self._attachments[container.id] = attachment
        if not attachment.backlog_read:
            self._order.catch_up(container.id)

    def _ask_due(self, now: float) -> None:
        for attachment in list(self._attachments.values()):
            if attachment.leave_by is not None and now >= attachment.leave_by:
                self._let_go(attachment)
            elif attachment.over:
                if attachment.leave_by is not None:
                    self._let_go(attachment)
            elif attachment.connection is None and attachment.retry_at <= now and self._engine_retry_at <= now:
                self._ask(attachment, now)
        # One container needs no order among containers; two do.
        self._order.window = WINDOW if len(self._attachments) > 1 else 0.0

    def _ask(self, attachment: Attachment, now: float) -> None:
        try:
            connection, request = self._dialer.dial(attachment.id, attachment.query())
        except InterruptedError:
            attachment.retry_at = now + 0.02
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                attachment.problem = f"{attachment.service}: too many open files for its logs; raise `ulimit -n`"
                attachment.rest(now)
                self._order.live(attachment.id)
            else:
                self._engine_lost(error, now)
        else:
            attachment.connected(connection, request, now)
            self._selector.register(connection, selectors.EVENT_WRITE, attachment)

    def _serve(self, attachment: Attachment, events: int) -> int:
        """Write the request or read a chunk; how many bytes were read."""
        connection = attachment.connection
        assert connection is not None
        try:
            if events & selectors.EVENT_WRITE:
                # The error of a connect that was in progress comes out here.
                attachment.outgoing = attachment.outgoing[connection.send(attachment.outgoing) :]
                if not attachment.outgoing:
                    self._selector.modify(connection, selectors.EVENT_READ, attachment)
                return 0
            data = connection.recv(_CHUNK)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._hang_up(attachment)
            self._engine_lost(error, time.monotonic())
            return 0
        lines, outcome = attachment.feed(data) if data else attachment.ended()
        now = time.monotonic()
        attachment.asked_at = now
        self._engine_answered(attachment)
        self._order.add(attachment.id, lines, now)
        if outcome is not None:
            self._hang_up(attachment)
            self._act(attachment, outcome, now)
        return len(data)

    def _act(self, attachment: Attachment, outcome: Outcome, now: float) -> None:
        if outcome is Outcome.UNREACHABLE:
            self._engine_lost(ConnectionResetError("it closed the connection"), now)
            return
        if attachment.backlog_read or attachment.problem or attachment.over:
            self._order.live(attachment.id)
        if outcome is Outcome.LATER:
            if attachment.running or attachment.leave_by is not None:
                attachment.rest(now)
            else:
                attachment.retry_at = math.inf

    def _engine_lost(self, error: OSError, now: float) -> None:
        reason = _reason(error)
        self._engine_problem = f"no logs: the engine at {self._dialer.endpoint} {reason}; trying again"
        self._engine_retry_at = now + self._engine_pause
        self._engine_pause = min(self._engine_pause * 2, 5.0)
        for attachment in self._attachments.values():
            self._order.live(attachment.id)  # what is here is shown now

    def _engine_answered(self, attachment: Attachment) -> None:
        if self._engine_problem and attachment.answered:
            self._engine_problem = ""
            self._engine_pause = 0.25
            for other in self._attachments.values():
                if not other.backlog_read and not other.over:
                    self._order.catch_up(other.id)

    def _choose_whom_to_read(self) -> bool:
        """Stop reading where more would only fill memory; whether anything is held back."""
        full = self._wanted.keep_all and self._queue.full
        crowded = self._order.held_bytes > _MOST_HELD_BYTES
        if not (full or crowded or self._paused):
            return False
        self._paused = False
        for attachment in self._attachments.values():
            connection = attachment.connection
            if connection is None or attachment.outgoing:
                continue
            wait = full or (crowded and self._order.is_ahead(attachment.id))
            registered = connection in self._selector.get_map()
            if wait and registered:
                self._selector.unregister(connection)
            elif not wait and not registered:
                self._selector.register(connection, selectors.EVENT_READ, attachment)
            self._paused = self._paused or wait
        return self._paused

    def _timeout(self, now: float, paused: bool) -> float:
        if paused:
            return 0.01
        due = now + (0.03 if self._order.held else 1.0)
        if self._order.due is not None:
            due = min(due, self._order.due)
        for attachment in self._attachments.values():
            if attachment.connection is None and not attachment.over:
                due = min(due, max(attachment.retry_at, self._engine_retry_at))
            if attachment.leave_by is not None:
                due = min(due, attachment.leave_by)
        return max(0.0, due - now)

    def _lose_patience(self, now: float) -> None:
        if self._wanted.keep_all:
            return
        for key in self._order.waits_for():
            attachment = self._attachments.get(str(key))
            if attachment is None or (attachment.connection and now - attachment.asked_at > _PATIENCE):
                self._order.live(key)

    def _hand_over(self, now: float) -> None:
        # Asked before the lines are taken: what is released after the end of the backlog may be newer.
        complete = all(attachment.backlog_read or attachment.over for attachment in self._attachments.values())
        lines = self._order.release(now)
        if self._head_left is not None:
            lines = lines[: self._head_left]
            self._head_left -= len(lines)
        if lines:
            self._queue.put(lines, drop=not self._wanted.keep_all)
        follows = self._wanted.follow and self._wanted.head is None
        if self._head_left == 0 or (not follows and complete and not self._order.held and self._all_over()):
            self._ended = True
        if complete and self._backlog_end is None and follows and not self._order.catching_up:
            self._backlog_end = self._queue.put_count

    def _all_over(self) -> bool:
        return all(attachment.over for attachment in self._attachments.values())

    def _say_problem(self, now: float) -> None:
        if self._engine_problem:
            self._problem = self._engine_problem
            return
        for attachment in self._attachments.values():
            if attachment.problem:
                self._problem = attachment.problem
                return
            if attachment.connection and not attachment.answered and now - attachment.asked_at > _NO_ANSWER:
                waited = f"{now - attachment.asked_at:.0f} s"
                self._problem = f"no logs: the engine at {self._dialer.endpoint} has not answered for {waited}"
                return
        self._problem = ""

    def _let_go(self, attachment: Attachment) -> None:
        self._hang_up(attachment)
        self._order.live(attachment.id)
        del self._attachments[attachment.id]

    def _hang_up(self, attachment: Attachment) -> None:
        connection, attachment.connection = attachment.connection, None
        if connection is None:
            return
        with suppress(KeyError, ValueError):  # not registered while it is held back
            self._selector.unregister(connection)
        self._dialer.hang_up(connection)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "refuses this user (join its socket's group, usually `docker`)"
    if isinstance(error, FileNotFoundError):
        return "is not there (is Docker running?)"
    if isinstance(error, ConnectionRefusedError):
        return "does not answer (connection refused)"
    return f"does not answer ({error.strerror or error})"
