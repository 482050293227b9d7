"""Stores what a monitor sees, slot by slot. One of those who could do it does: whoever has the lease."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from opsconsole.collecting.long_operations import Seen, long_operations
from opsconsole.collecting.occurrences import Operations, container_events, probe_events, unheard
from opsconsole.metrics import Event, MetricsStore, Value, Writing
from opsconsole.metrics.catalogue import MEASURES
from opsconsole.metrics.measuring import measure
from opsconsole.metrics.openmetrics import exposition, write
from opsconsole.model import Snapshot, SourceError, SourceState
from opsconsole.monitor import Monitor
from opsconsole.operations.lock import start_ticks
from opsconsole.sources.happenings import Happening
from opsconsole.text import mask_text, printable

log = logging.getLogger(__name__)

Watcher = Callable[[Writing, Snapshot, datetime], object]
"""Called within the transaction of each sample that we store, as the alerts are: what it writes is there with the
sample, or neither is. It raises nothing and is quick."""

_PROBES, _HEARD, _HOURLY, _RUNNING = "probes", "events-heard", "hourly", "long-operations"
_MOST_WAITING = 1000
_LONGEST_PAST = timedelta(hours=12)
_SHORTEST_LEASE = 30.0
_OPERATIONS_EVERY = timedelta(seconds=30)


class Outcome(StrEnum):
    STORED = "stored"
    TAKEN = "stored by another"
    FAILED = "not stored"
    TOO_EARLY = "no source has answered yet"


def holder_name() -> str:
    """Of this process: no other that has the same number later is taken for it."""
    return f"{socket.gethostname()} pid {os.getpid()}.{start_ticks(os.getpid())}"


def is_gone(holder: str) -> bool:
    """Whether this was a process of this host that is there no more."""
    host, _, process = holder.rpartition(" pid ")
    pid, _, started = process.partition(".")
    return host == socket.gethostname() and pid.isdigit() and str(start_ticks(int(pid))) != started.split()[0]


def _split(values: Sequence[Value], last: datetime | None, now: datetime) -> tuple[Sequence[Value], Sequence[Value]]:
    """What each sample has, and what one in each hour of the clock has: () when that has been."""
    hourly = [value for value in values if MEASURES[value.name].hourly]
    if not hourly:
        return values, ()
    always = [value for value in values if not MEASURES[value.name].hourly]
    been = last is not None and last.timestamp() // 3600 == now.timestamp() // 3600
    return always, () if been else hourly


class Recording:
    """One that stores. `run` does so until it is told to stop; `tick` does it once.

    `every`: seconds from one sample to the next. `say` gets one line for the operator when something begins to go
    wrong and when that is over. `unstored` is called in place of `watchers` when a sample could not be stored. Needs a
    monitor that was started.
    """

    def __init__(
        self,
        monitor: Monitor,
        store: MetricsStore,
        *,
        directory: Path,
        every: int,
        rank: int,
        watchers: Sequence[Watcher] = (),
        unstored: Callable[[Snapshot, datetime], None] = lambda snapshot, now: None,
        text_file: Path | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.monitor = monitor
        self.store = store
        self.every = every
        self.rank = rank
        self.holder = holder_name()
        self.problem = ""  # why the last sample was not stored
        self._watchers = watchers
        self._unstored = unstored
        self._text_file = text_file
        self.text_problem = ""
        self._say = say
        self._waiting: deque[Happening] = deque(maxlen=_MOST_WAITING)
        self._operations = Operations(directory)
        self._operations_at: datetime | None = None
        self._dropped = 0
        self._catches_up = True
        monitor.sources.engine.listen(self._waiting.append)

    def run(self, stop: threading.Event) -> None:
        """A sample in each slot, until `stop` is set; the lease is given back then."""
        while not stop.wait(self._until_next_slot()):
            try:
                self.tick()
            except Exception as error:  # a fault of ours costs a sample, not all that come after it
                log.exception("tick")
                self._say(f"unexpected {type(error).__name__}: {mask_text(printable(str(error)))}")
        with contextlib.suppress(SourceError):  # it runs out by itself
            self.store.give_lease_back(self.holder)
        self.store.close()

    def tick(self) -> Outcome:
        """Store the sample of now, and what happened since the last one. Never raises."""
        snapshot, now = self.monitor.snapshot, self.monitor.clock()
        values = measure(snapshot)
        if not values:
            return Outcome.TOO_EARLY  # a hole, not a sample of nothing
        self._write_text(snapshot, values, now)
        try:
            if not self.store.take_lease(self.holder, now, seconds=self._lease_seconds(), rank=self.rank, gone=is_gone):
                self._waiting.clear()  # the other hears them, too
                self._catches_up = True
                return Outcome.TAKEN
            stored = self._store(snapshot, values, now)
        except SourceError as error:
            self._failed(error)
            self._unstored(snapshot, now)
            return Outcome.FAILED
        for notice in self.store.take_notices():
            self._say(notice)
        if self.problem:
            self._say(f"metrics are stored again; {self._dropped} samples were not")
        self._dropped, self.problem = 0, ""
        return Outcome.STORED if stored else Outcome.TAKEN

    # --- one sample ------------------------------------------------------------------------------

    def _store(self, snapshot: Snapshot, values: Sequence[Value], now: datetime) -> bool:
        happenings = self._happenings(snapshot, now)
        events = container_events(happenings, snapshot.stack.name if snapshot.stack else "")
        events += self._operation_events(now)
        try:
            with self.store.writing() as writing:
                due, hourly = _split(values, writing.state(_HOURLY, datetime), now)
                stored = writing.add_sample(now, [*due, *hourly], spacing=self.every, writer=self.holder)
                if hourly and stored:
                    writing.set_state(_HOURLY, now, now)
                changed, answers = probe_events(writing.state(_PROBES, dict[str, bool]) or {}, snapshot.probes)
                long, running = long_operations(
                    writing.state(_RUNNING, dict[str, Seen]) or {},
                    snapshot,
                    self.monitor.thresholds.slow_operation_seconds,
                    now,
                )
                writing.add_events([*events, *changed, *long])
                writing.set_state(_RUNNING, running, now)
                writing.set_state(_PROBES, answers, now)
                writing.set_state(_HEARD, now, now)
                if stored:
                    for watcher in self._watchers:
                        watcher(writing, snapshot, now)
                writing.tidy(now, max_bytes=self.store.max_bytes)
        except SourceError:
            self._waiting.extendleft(reversed(happenings))  # they are kept for the next time
            self._operations_at = None
            raise
        self.store.give_room_back()
        return stored

    def _happenings(self, snapshot: Snapshot, now: datetime) -> list[Happening]:
        """What was heard since the last sample, and before it what nobody heard: we were not there, or the engine was
        not. What comes twice has the same key."""
        missed: tuple[Happening, ...] = ()
        reading = snapshot.readings.get("engine")
        answers = reading is not None and reading.state is SourceState.OK
        if answers and self._catches_up:
            since = max(self.store.state(_HEARD, datetime) or now, now - _LONGEST_PAST)
            with contextlib.suppress(SourceError):
                missed = self.monitor.sources.engine.happened(since, now)
            missed = (*missed, *unheard(snapshot.containers, [*missed, *self._waiting], since))
        self._catches_up = not answers
        heard = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return [*missed, *heard]

    def _operation_events(self, now: datetime) -> list[Event]:
        if self._operations_at is not None and timedelta(0) <= now - self._operations_at < _OPERATIONS_EVERY:
            return []
        self._operations_at = now
        try:
            return self._operations.events(now)
        except SourceError:
            return []  # `opsconsole history` says why they cannot be read

    def _write_text(self, snapshot: Snapshot, values: Sequence[Value], now: datetime) -> None:
        if self._text_file is None:
            return
        problem = ""
        try:
            write(self._text_file, exposition(values, snapshot.stack.name if snapshot.stack else "", now))
        except SourceError as error:
            problem = f"{error.problem}. {error.hint}"
        if problem != self.text_problem:
            self._say(problem or f"{self._text_file} is written again")
        self.text_problem = problem

    def _failed(self, error: SourceError) -> None:
        """Said once, not with each sample."""
        self._dropped += 1
        for notice in self.store.take_notices():
            self._say(notice)
        if error.problem != self.problem:
            self._say(f"this sample is not stored: {error.problem}. {error.hint}")
        self.problem = error.problem

    def _lease_seconds(self) -> float:
        return max(_SHORTEST_LEASE, 3.0 * self.every)

    def _until_next_slot(self) -> float:
        at = self.monitor.clock().timestamp()
        return self.every - at % self.every + 0.01
