"""What sees: asks every source on a thread of its own and publishes one Snapshot.

A source that hangs or fails ages alone: its last data stays, its Reading says what is wrong, and it is
asked again with backoff. Nothing here knows a screen; whoever subscribes is called on the publisher's
thread. All threads are daemons, so the end of the program never waits for a source.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from opsconsole.alert_findings import Thresholds
from opsconsole.alert_keeper import AlertKeeper
from opsconsole.model import Project, Snapshot, SourceError, SourceState
from opsconsole.monitor.board import Awaits, Board
from opsconsole.monitor.looks import Looks
from opsconsole.monitor.paces import DEFAULT_PACES, LONGEST_NEED_WAIT, NEEDS, Pace
from opsconsole.sources import Sources
from opsconsole.text import mask_text, printable

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0
"""Seconds until a source that failed is asked again: twice as long each time."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Monitor:
    """Watches one stack. `start` it, `subscribe`, read `snapshot`; `stop` lets go of everything.

    `directory` is the stack's; `project` narrows the first look at the engine when it is known already.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        directory: str = "",
        project: str = "",
        thresholds: Thresholds | None = None,
        paces: dict[str, Pace] | None = None,
        clock: Callable[[], datetime] = utc_now,
        keeper: AlertKeeper | None = None,
    ) -> None:
        self.sources = sources
        self.directory = directory
        self.clock = clock
        self.thresholds = thresholds or Thresholds()
        self.alerts: AlertKeeper = keeper or getattr(sources, "keeper", None) or AlertKeeper(self.thresholds)
        self._paces = {**DEFAULT_PACES, **(paces or {})}
        if sources.counts is None:
            self._paces.pop("counts", None)
        past = getattr(sources, "past", None)
        self._board = Board(self._paces, demo=sources.demo, past=past, alerts=self.alerts, clock=clock)
        self._started = threading.Event()
        self._looks = Looks(sources, self._board, directory=directory, project=project, started=self._started)
        self._begun = False

    @property
    def snapshot(self) -> Snapshot:
        """The last one that was published."""
        return self._board.snapshot

    # --- what the faces call -------------------------------------------------------------------

    def begin(self) -> None:
        """Ask the engine for the containers and for nothing more yet: while a screen is being made, each other source
        would take its time. `start` does the rest."""
        if not self._begun:
            self._begun = True
            self._thread("engine", lambda: self._poll("engine", self._looks.engine))
            self._thread("publisher", self._board.publish_changes)

    def start(self) -> None:
        """Watch all there is."""
        if self._started.is_set():
            return
        self.begin()
        self._started.set()
        for name, look in self._looks.others().items():
            if name in self._paces:
                self._thread(name, lambda name=name, look=look: self._poll(name, look))  # type: ignore[misc]
        self._thread("events", self._follow_events)
        self.alerts.start(self._board.publish_soon)

    def stop(self) -> None:
        """Tell every thread to end and close the sources. Returns at once; a hung source is left behind."""
        self._board.stopping.set()
        self.alerts.stop()
        for wake in self._board.wake.values():
            wake.set()
        with self._board.lock:
            self._board.lock.notify_all()
        self._thread("closer", self.sources.close)

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `callback` with each new Snapshot, on the publisher's thread. Returns what unsubscribes it."""
        return self._board.subscribe(callback)

    def focus(self, topics: frozenset[str]) -> None:
        """Sample these sources at their focused pace: a visible pane shows them."""
        gained = topics - self._board.focus
        self._board.focus = topics
        for name in gained & self._board.wake.keys():
            self._board.wake[name].set()

    def refresh(self) -> None:
        """Ask every source now, whatever its backoff; sizes stay rare."""
        self._board.ask_all()

    def publish_soon(self) -> None:
        """Something besides the sources changed: what was decided about an alert."""
        self._board.publish_soon()

    def projects(self) -> tuple[Project, ...]:
        """The Compose projects on the engine. Blocks; raises SourceError."""
        return self.sources.engine.projects()

    def wait_until_settled(self, seconds: float, *, sizes_seconds: float = 3.0) -> Snapshot:
        """Block until every source has answered or failed once and CPU rates are known, `seconds` at most."""
        end = time.monotonic() + seconds
        for name, settled in self._board.settled.items():
            if name != "sizes":
                settled.wait(max(0.0, end - time.monotonic()))
        self._board.settled["sizes"].wait(max(0.0, min(sizes_seconds, end - time.monotonic())))
        while self._board.rates_unknown and time.monotonic() < end:
            self._board.wake["usage"].set()
            self._board.wake["host"].set()
            self._board.stopping.wait(0.25)
        with self._board.lock:
            self._board.publish()
            return self.snapshot

    # --- threads -------------------------------------------------------------------------------

    def _thread(self, name: str, body: Callable[[], object]) -> None:
        threading.Thread(target=body, name=f"monitor-{name}", daemon=True).start()

    def _poll(self, name: str, look: Callable[[], object]) -> None:
        """Single flight: the next look begins only after the last one ended."""
        end = time.monotonic() + LONGEST_NEED_WAIT
        for need in NEEDS.get(name, ()):
            self._board.settled[need].wait(max(0.0, end - time.monotonic()))
        backoff = FIRST_BACKOFF
        while not self._board.stopping.is_set():
            self._board.wake[name].clear()
            try:
                part = look()
            except SourceError as error:
                wait = 1.0 if isinstance(error, Awaits) else self._pause(name) if error.absent else backoff
                self._board.fail(name, error, wait)
                backoff = FIRST_BACKOFF if error.absent else min(backoff * 2, LONGEST_BACKOFF)
            except Exception as error:  # a fault of ours must not blind the operator to everything else
                log.exception("source %s", name)
                unexpected = SourceError(f"unexpected {type(error).__name__}: {mask_text(printable(str(error)))}")
                self._board.fail(name, unexpected, backoff)
                wait, backoff = backoff, min(backoff * 2, LONGEST_BACKOFF)
            else:
                backoff = FIRST_BACKOFF
                self._board.accept(name, part)
                wait = self._pause(name)
            self._board.wake[name].wait(wait)

    def _pause(self, name: str) -> float:
        pace = self._paces[name]
        if name in self._board.focus:
            return pace.focused
        absent = self._board.readings[name].state is SourceState.ABSENT
        if absent and name in ("stack", "databases", "backups", "probes", "counts"):
            return 1.0  # waits for the stack, which a moment may bring
        return pace.background

    def _follow_events(self) -> None:
        """Wake the engine's look after each event. While the stream is broken the poll goes on alone."""
        backoff = FIRST_BACKOFF
        while not self._board.stopping.is_set():
            began = time.monotonic()
            try:
                self.sources.engine.watch(self._engine_changed, self._board.stopping)
            except Exception as error:
                log.debug("event stream: %s", error)
            self._board.wake["engine"].set()  # find out at once whether the engine is gone
            if time.monotonic() - began > LONGEST_BACKOFF:
                backoff = FIRST_BACKOFF
            self._board.stopping.wait(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)

    def _engine_changed(self) -> None:
        for name in ("engine", "usage", "volumes"):
            self._board.wake[name].set()
