"""The alerts of a collector: kept with each sample that it stores, and told to whom `[notify]` names.

    watch = AlertWatch(directory, config, store, monitor.alerts)
    Recording(monitor, store, watchers=(watch.sampled,), ...)
    watch.close()                                      # waits for a message that is under way

Only a collector sends: a console that somebody opens tells nobody anything. What is due stands in the database and is
held there while it is sent, so that two collectors do not both send it. One that is killed while it sends leaves the
message to the next, which sends it again: better twice than not at all. Where nothing can be stored (a full disk is an
alert, too), `unstored` decides by what this process remembers.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsconsole import alert_telling, applied, notifying
from opsconsole.alert_keeper import AlertKeeper
from opsconsole.alert_keeping import TELLING, KeptAlerts
from opsconsole.alert_telling import Change, Notice, Telling
from opsconsole.collecting.recording import holder_name
from opsconsole.config import Config
from opsconsole.metrics import Event, EventKind, MetricsStore, Writing
from opsconsole.model import Alert, Severity, Snapshot, SourceError
from opsconsole.schedule import records

log = logging.getLogger(__name__)

_EVENTS = {
    Change.FIRING: notifying.Event.ALERT_FIRING,
    Change.WORSE: notifying.Event.ALERT_WORSE,
    Change.RESOLVED: notifying.Event.ALERT_RESOLVED,
}
_SCHEDULE_TICKS = timedelta(minutes=30)
"""The job of `schedule` looks every ten minutes. One that did lately tells of old and failed backups itself."""

_TOLD_BY_SCHEDULE = frozenset({"backup-age", "backup-failed"})


def _now() -> datetime:
    return datetime.now(UTC)


class AlertWatch:
    """See above. Messages are sent on a thread of their own."""

    def __init__(
        self,
        directory: Path,
        config: Config,
        store: MetricsStore,
        keeper: AlertKeeper,
        *,
        stack: str = "",
        clock: Callable[[], datetime] = _now,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._config = config
        self._store = store
        self._keeper = keeper
        self._stack = stack or config.stack.name
        self._clock = clock
        self._environment = environment
        self._cooldown = applied.cooldown(config)
        self._ways = notifying.ways(config.notify)
        self._holder = holder_name()
        self._sender: threading.Thread | None = None
        self._known = Telling()  # as it was last stored, or as it became since nothing could be
        self._ahead = False  # of what is stored

    def sampled(self, writing: Writing, snapshot: Snapshot, now: datetime) -> None:
        """Within the transaction of a sample: keep what changed, decide who is told, and begin to send. Where the
        sample is not stored, nothing of it is, nothing is sent, and the next one makes up for it."""
        if not isinstance(self._keeper, KeptAlerts):
            return  # of a monitor that keeps nothing
        if not self._stack and snapshot.stack is not None:
            self._stack = snapshot.stack.name
        found = self._keeper.keep(writing, snapshot, now)
        if self._ahead and self._sends:
            return  # what it comes to is not known yet
        telling = self._known if self._ahead else writing.state(TELLING, Telling) or Telling()
        decided = self._decide(telling, found, now)
        if decided != telling or self._ahead:
            writing.set_state(TELLING, decided, now)
        self._known, self._ahead = decided, False
        if decided.notices:
            self._begin(self._send_all)  # it waits for the end of this transaction

    def unstored(self, snapshot: Snapshot, now: datetime) -> None:
        """The same where nothing can be stored. Another collector that cannot either tells it, too."""
        if not isinstance(self._keeper, KeptAlerts) or self._sends:
            return
        self._known, self._ahead = self._decide(self._known, self._keeper.decided(now), now), True
        if self._known.notices:
            self._begin(self._send_unstored)

    def _decide(self, telling: Telling, found: Sequence[Alert], now: datetime) -> Telling:
        return alert_telling.decide(telling, found, self._ways, self._cooldown, now, self._worth_telling(now))

    @property
    def _sends(self) -> bool:
        return self._sender is not None and self._sender.is_alive()

    def _begin(self, work: Callable[[], None]) -> None:
        if not self._sends:
            self._sender = threading.Thread(target=work, name="alerts-sender", daemon=True)
            self._sender.start()

    def close(self, seconds: float = 30.0) -> None:
        """Wait for messages that are under way, for so long at the most; what is left is sent by the next collector."""
        if self._sender is not None:
            self._sender.join(seconds)

    def _worth_telling(self, now: datetime) -> Callable[[Alert], bool]:
        """What the settings want to be told, and nobody else tells."""
        least = self._config.alerts.tell
        ticked = records.read(self._directory).ticked
        scheduled = ticked is not None and timedelta(0) <= now - ticked < _SCHEDULE_TICKS
        elsewhere = _TOLD_BY_SCHEDULE if scheduled else frozenset()

        def worth(alert: Alert) -> bool:
            wanted = least == "warning" or (least == "critical" and alert.severity is Severity.CRITICAL)
            return wanted and alert.rule not in elsewhere

        return worth

    # --- sending -----------------------------------------------------------------------------------

    def _send_all(self) -> None:
        """Everything that is due, one after the other. Never raises."""
        down: dict[str, str] = {}
        try:
            while batch := self._take():
                self._done(batch, self._send(batch, down))
        except SourceError as error:
            log.warning("alerts are not told now: %s", error.problem)

    def _send_unstored(self) -> None:
        down: dict[str, str] = {}
        while True:
            batch, self._known = alert_telling.take(self._known, self._holder, self._clock(), self._hold)
            if not batch:
                return
            problems = self._send(batch, down)
            self._known = alert_telling.delivered(self._known, batch, problems, self._clock())

    def _send(self, batch: Sequence[Notice], down: dict[str, str]) -> Mapping[str, str]:
        """What went wrong, by the way that it went wrong on. A way that is `down` is not tried again in this round: one
        that does not answer would hold up the messages that the others take."""
        ways = [way for way in batch[0].ways if way not in down]
        try:
            failed = notifying.send_by(ways, self._message(batch), self._config, self._directory, self._environment)
        except Exception as error:  # a fault of ours: said like any other, and tried again
            log.exception("an alert was not told")
            failed = dict.fromkeys(ways, f"unexpected {type(error).__name__}")
        down.update(failed)
        return {way: down[way] for way in batch[0].ways if way in down}

    @property
    def _hold(self) -> timedelta:
        """Each way may take its time once; then nobody sends it any more."""
        return timedelta(seconds=3 * self._config.notify.timeout_seconds + 30)

    def _take(self) -> Sequence[Notice]:
        now = self._clock()
        with self._store.writing() as writing:
            telling = writing.state(TELLING, Telling) or Telling()
            batch, taken = alert_telling.take(telling, self._holder, now, self._hold)
            if batch:
                writing.set_state(TELLING, taken, now)
        return batch

    def _done(self, batch: Sequence[Notice], problems: Mapping[str, str]) -> None:
        now = self._clock()
        with self._store.writing() as writing:
            telling = writing.state(TELLING, Telling) or Telling()
            writing.set_state(TELLING, alert_telling.delivered(telling, batch, problems, now), now)
            told = [_told(notice, way, problems.get(way, ""), now) for notice in batch for way in notice.ways]
            writing.add_events(told)

    def _message(self, batch: Sequence[Notice]) -> notifying.Message:
        """One alert with all its facts; of several the facts of the worst, and each in a line."""
        first, host = batch[0], socket.gethostname()
        alert, stack = first.alert, self._stack or self._directory.name
        rest = f" (and {len(batch) - 1} more)" if len(batch) > 1 else ""
        return notifying.message(
            _EVENTS[first.change],
            f"{stack} on {host}: {_word(first)}: {alert.message}{rest}",
            hint="" if first.change is Change.RESOLVED else alert.action,
            alerts=[one.alert for one in batch],
            stack=stack,
            directory=str(self._directory),
            host=host,
            at=first.at,
            rule=alert.rule,
            subject=alert.subject,
            severity=alert.severity.value,
        )


def _word(notice: Notice) -> str:
    severity = notice.alert.severity.value
    return {Change.FIRING: severity, Change.WORSE: f"now {severity}", Change.RESOLVED: "over"}[notice.change]


def _told(notice: Notice, way: str, problem: str, now: datetime) -> Event:
    alert = notice.alert
    return Event(
        at=now,
        kind=EventKind.ALERT_TOLD,
        subject=f"{alert.rule} {alert.subject}",
        text=problem or f"told by {way} ({notice.change})",
        facts={
            "rule": alert.rule,
            "subject": alert.subject,
            "change": notice.change.value,
            "way": way,
            "problem": problem,
        },
    )
