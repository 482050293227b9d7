"""The alerts of one stack, judged with each Snapshot, and what operators decide about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from opsconsole import alert_marks, alerts
from opsconsole.alert_findings import Rule, Thresholds
from opsconsole.alert_happenings import Happening
from opsconsole.alert_marks import Marks
from opsconsole.alerts import AlertMemory
from opsconsole.model import Acknowledgement, Alert, Record, Silence, Snapshot


class Decision(Record, frozen=True):
    """What an operator decided, as it is recorded."""

    kind: str  # "acknowledged" or "silenced"
    rule: str
    subject: str
    who: str
    at: datetime
    note: str = ""
    until: datetime | None = None
    withdrawn: bool = False  # the opposite


class AlertKeeper:
    """Keeps nothing beyond this process: for the demo. `alert_keeping.KeptAlerts` does.

    Safe to share between threads. `judge` never waits; what operators do may wait for a disk.
    """

    def __init__(
        self,
        thresholds: Thresholds | None = None,
        rules: Sequence[Rule] = alerts.RULES,
        marks: Marks | None = None,
        memory: AlertMemory | None = None,
    ) -> None:
        self._thresholds = thresholds or Thresholds()
        self._rules = tuple(rules)
        self._lock = threading.Lock()
        self._memory = memory or AlertMemory()
        self._marks = marks or Marks()
        self._heard: tuple[Happening, ...] = ()

    def judge(self, snapshot: Snapshot, now: datetime) -> tuple[Alert, ...]:
        """The alerts of this moment, worst first, with what was decided about each."""
        with self._lock:
            found, self._memory = alerts.evaluate(
                self._thresholds, self._memory, snapshot, now, rules=self._rules, heard=self._heard
            )
            self._heard = ()
            return alert_marks.marked(found, self._marks, now)

    @property
    def memory(self) -> AlertMemory:
        with self._lock:
            return self._memory

    def start(self, changed: Callable[[], None]) -> None:
        """Begin to follow what others keep; `changed` is called when something of it did."""

    def stop(self) -> None: ...

    def acknowledge(self, alert: Alert, said: Acknowledgement) -> None:
        """Somebody sees to it. Raises SourceError when that cannot be kept."""
        self._mark(
            lambda marks: alert_marks.acknowledge(marks, alert, said),
            _about(alert, "acknowledged", said.who, said.at, note=said.note),
        )

    def withdraw(self, alert: Alert, who: str, at: datetime) -> None:
        """Nobody sees to it any more."""
        self._mark(
            lambda marks: alert_marks.withdrawn(marks, alert.rule, alert.subject),
            _about(alert, "acknowledged", who, at, withdrawn=True),
        )

    def silence(self, one: Silence) -> None:
        """Nobody is told until then."""
        said = _about(one, "silenced", one.who, one.at, note=one.note, until=one.until)
        self._mark(lambda marks: alert_marks.silence(marks, one), said)

    def end_silence(self, one: Silence, who: str, at: datetime) -> None:
        """Whoever is named is told again."""
        said = _about(one, "silenced", who, at, withdrawn=True)
        self._mark(lambda marks: alert_marks.ended(marks, one.rule, one.subject), said)

    def _mark(self, change: Callable[[Marks], Marks], decision: Decision) -> None:
        with self._lock:
            self._marks = change(self._marks)


def _about(of: Alert | Silence, kind: str, who: str, at: datetime, **more: Any) -> Decision:
    return Decision(kind=kind, rule=of.rule, subject=of.subject, who=who, at=at, **more)
