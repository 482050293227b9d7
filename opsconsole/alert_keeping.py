"""The alerts of one stack as a console or a collector has them: judged with each Snapshot, kept beside the metrics.

Whoever stores the samples (`collecting.recording`: a collector, or a console while none runs) judges for all. The
others show what it found. So that a restart forgets nothing, the memory of `alerts.evaluate` is kept with each sample,
what operators decided (`alert_marks`) too, and each change is an event.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole import alert_marks, alert_telling, alerts
from opsconsole.alert_findings import Restarts, Rule, Thresholds
from opsconsole.alert_happenings import Happened, Happening
from opsconsole.alert_keeper import AlertKeeper, Decision
from opsconsole.alert_marks import Marks
from opsconsole.alert_telling import Telling
from opsconsole.alerts import AlertMemory, Entry
from opsconsole.model import Alert, AlertState, Record, Snapshot, SourceError

if TYPE_CHECKING:
    from opsconsole.metrics import Lease, MetricsReader, Writing  # with SQLite: 40 ms, in which the screen is painted

log = logging.getLogger(__name__)

MEMORY, MARKS, TELLING = "alerts.memory", "alerts.marks", "alerts.telling"
"""Names of what is kept."""

LOOK_SECONDS = 2.0


class Kept(Record, frozen=True):
    """`AlertMemory` as JSON can hold it."""

    entries: tuple[Entry, ...] = ()
    restarts: Restarts = {}
    happened: Happened = Happened()
    at: datetime | None = None  # when it was kept ...
    by: str = ""  # ... by whom

    @property
    def memory(self) -> AlertMemory:
        entries = {(entry.alert.rule, entry.alert.subject): entry for entry in self.entries}
        return AlertMemory(entries=entries, restarts=self.restarts, happened=self.happened)


def kept(memory: AlertMemory, now: datetime, by: str) -> Kept:
    return Kept(
        entries=tuple(memory.entries.values()), restarts=memory.restarts, happened=memory.happened, at=now, by=by
    )


class KeptAlerts(AlertKeeper):
    """Keeps them in the stack's `metrics.sqlite`: `keep` is called with each sample that this process stores. With
    `writes` False nothing can be decided."""

    def __init__(
        self,
        directory: Path,
        clock: Callable[[], datetime],
        *,
        thresholds: Thresholds | None = None,
        rules: Sequence[Rule] = alerts.RULES,
        writes: bool = True,
        holder: str = "",
    ) -> None:
        """`directory` is the stack's. `holder`: this process, as the lease of the store names it."""
        super().__init__(thresholds, rules)
        self._directory = directory
        self._clock = clock
        self._named = holder
        self._writes = writes
        self._watched: tuple[AlertMemory, datetime] | None = None  # what another found, and until when that holds
        self._untold: Alert | None = None
        self._seeded = False
        self._heard_to: datetime | None = None
        self._stopping = threading.Event()

    @cached_property
    def _holder(self) -> str:
        from opsconsole.collecting.recording import holder_name

        return self._named or holder_name()

    @cached_property
    def _path(self) -> Path:
        from opsconsole.metrics import metrics_file

        return metrics_file(self._directory)

    @cached_property
    def _reader(self) -> MetricsReader:
        from opsconsole.metrics import MetricsReader

        return MetricsReader(self._path)

    def start(self, changed: Callable[[], None]) -> None:
        threading.Thread(target=self._follow, args=(changed,), name="alerts", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def judge(self, snapshot: Snapshot, now: datetime) -> tuple[Alert, ...]:
        with self._lock:
            watched, marks, untold = self._watched, self._marks, self._untold
        if watched is not None and timedelta(0) < watched[1] - now <= timedelta(hours=2):
            found = alert_marks.marked(alerts.alerts_of(watched[0]), marks, now)
        else:
            found = super().judge(snapshot, now)
        return found if untold is None else (*found, *alert_marks.marked([untold], marks, now))

    # --- what others keep --------------------------------------------------------------------------

    def _follow(self, changed: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                if self.look(self._clock()):
                    changed()
            except SourceError as error:
                log.debug("alerts: %s", error.problem)
            except Exception:  # never take the console with it
                log.exception("alerts")
            self._stopping.wait(LOOK_SECONDS)

    def look(self, now: datetime) -> bool:
        """See what others keep. True when something is new."""
        before = self._shown()
        self._read(now)
        return before != self._shown()

    def _shown(self) -> tuple[object, ...]:
        return self._watched and self._watched[0], self._marks, self._untold

    def _read(self, now: datetime) -> None:
        try:
            lease = self._reader.lease()
            there = self._reader.state(MEMORY, Kept) or Kept()
            marks = self._reader.state(MARKS, Marks) or Marks()
            telling = self._reader.state(TELLING, Telling) or Telling()
            heard = self._newly_heard(now)
        except SourceError as error:
            if not error.absent:
                raise
            self._seeded = True
            return
        with self._lock:
            self._marks, self._untold = marks, alert_telling.untold(telling)
            if lease is not None and lease.holder != self._holder and judges(lease, there, now):
                self._watched = (there.memory, lease.expires_at)
                self._memory, self._seeded, self._heard = there.memory, True, ()
                return
            self._watched, self._heard = None, (*self._heard, *heard)
            if not self._seeded:
                # What was seen in the first moments stands: it is younger.
                known = there.memory
                self._memory = AlertMemory(
                    entries={**known.entries, **_younger(self._memory.entries, known.entries)},
                    restarts={**known.restarts, **self._memory.restarts},
                    happened=known.happened,
                )
                self._seeded = True

    def _newly_heard(self, now: datetime) -> Sequence[Happening]:
        """What the collector heard from the engine since the last look, as far back as a rule counts."""
        keep = max((rule.within_seconds for rule in self._rules), default=0.0)
        if not keep:
            return ()
        from opsconsole import alert_events

        since = self._heard_to or now - timedelta(seconds=keep)
        events = self._reader.events(since, now, kinds=tuple(alert_events.HEARD))
        self._heard_to = events[-1].at if events else since
        return [happening for event in events if (happening := alert_events.heard_of(event)) is not None]

    def keep(self, writing: Writing, snapshot: Snapshot, now: datetime) -> tuple[Alert, ...]:
        """Keep what is known, and what changed, with a sample. The alerts with what was decided about each."""
        return keep(writing, self.memory, now, self._holder)

    def decided(self, now: datetime) -> tuple[Alert, ...]:
        """The alerts with what was decided about each, where nothing can be kept."""
        with self._lock:
            return alert_marks.marked(alerts.alerts_of(self._memory), self._marks, now)

    # --- what operators do ------------------------------------------------------------------------

    def _mark(self, change: Callable[[Marks], Marks], decision: Decision) -> None:
        if not self._writes:
            raise SourceError("this console is read-only", "Start opsconsole without --read-only.")
        from opsconsole import alert_events
        from opsconsole.metrics import MetricsStore

        with MetricsStore(self._path) as store, store.writing() as writing:
            marks = change(writing.state(MARKS, Marks) or Marks())
            writing.set_state(MARKS, marks, decision.at)
            writing.add_events([alert_events.decided(decision)])
        with self._lock:
            self._marks = marks


def keep(writing: Writing, memory: AlertMemory, now: datetime, by: str) -> tuple[Alert, ...]:
    """Keep a memory and what changed against the one before. The alerts with what was decided about them."""
    from opsconsole import alert_events

    before = writing.state(MEMORY, Kept) or Kept()
    writing.add_events(alert_events.changes(before.memory, memory, now))
    writing.set_state(MEMORY, kept(memory, now, by), now)
    found = alerts.alerts_of(memory)
    marks = writing.state(MARKS, Marks) or Marks()
    untold = alert_telling.untold(writing.state(TELLING, Telling) or Telling())
    if (left := alert_marks.pruned(marks, (*found, untold) if untold else found, now)) is not marks:
        writing.set_state(MARKS, left, now)
    return alert_marks.marked(found, left, now)


def judges(lease: Lease, there: Kept, now: datetime) -> bool:
    """Whether what is kept was found a moment ago by one that still goes on."""
    from opsconsole.collecting.recording import is_gone

    return there.by == lease.holder and now < lease.expires_at and not is_gone(lease.holder)


def _younger(ours: dict[tuple[str, str], Entry], kept: dict[tuple[str, str], Entry]) -> dict[tuple[str, str], Entry]:
    """Entries that were made here and are no step back: what was kept as firing is not pending again."""
    return {
        key: entry
        for key, entry in ours.items()
        if key not in kept
        or (entry.alert.state is AlertState.FIRING and kept[key].alert.state is not AlertState.FIRING)
    }
