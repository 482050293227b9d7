"""The alerts of a collector: kept with each sample that it stores, and told to whom `[notify]` names.

    watch = AlertWatch(directory, config, store, monitor.alerts)
    Recording(monitor, store, watchers=(watch.sampled,), ...)
    watch.close()                                      # waits for a message that is under way

Only a collector sends: a console that somebody opens tells nobody anything. What is due stands in the database and is
held there while it is sent, so that two collectors do not both send it. One that is killed while it sends leaves the
message to the next, which sends it again: better twice than not at all.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping
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

    def sampled(self, writing: Writing, snapshot: Snapshot, now: datetime) -> None:
        """Within the transaction of a sample: keep what changed, decide who is told, and begin to send. Where the
        sample is not stored, nothing of it is, nothing is sent, and the next one makes up for it."""
        if not isinstance(self._keeper, KeptAlerts):
            return  # of a monitor that keeps nothing
        if not self._stack and snapshot.stack is not None:
            self._stack = snapshot.stack.name
        found = self._keeper.keep(writing, snapshot, now)
        telling = writing.state(TELLING, Telling) or Telling()
        decided = alert_telling.decide(telling, found, self._ways, self._cooldown, now, self._worth_telling(now))
        if decided != telling:
            writing.set_state(TELLING, decided, now)
        if decided.notices and not (self._sender and self._sender.is_alive()):
            self._sender = threading.Thread(target=self._send_all, name="alerts-sender", daemon=True)
            self._sender.start()  # it waits for the end of this transaction

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
        try:
            while notice := self._take():
                problems = notifying.send_by(
                    notice.ways, self._message(notice), self._config, self._directory, self._environment
                )
                self._done(notice, problems)
        except SourceError as error:
            log.warning("alerts are not told now: %s", error.problem)
        except Exception:
            log.exception("alerts are not told now")

    def _take(self) -> Notice | None:
        now = self._clock()
        # Each way may take its time once; then nobody sends it any more.
        hold = timedelta(seconds=3 * self._config.notify.timeout_seconds + 30)
        with self._store.writing() as writing:
            telling = writing.state(TELLING, Telling) or Telling()
            notice, taken = alert_telling.take(telling, self._holder, now, hold)
            if notice is not None:
                writing.set_state(TELLING, taken, now)
        return notice

    def _done(self, notice: Notice, problems: Mapping[str, str]) -> None:
        now = self._clock()
        with self._store.writing() as writing:
            telling = writing.state(TELLING, Telling) or Telling()
            writing.set_state(TELLING, alert_telling.delivered(telling, notice.number, problems, now), now)
            writing.add_events([_told(notice, way, problems.get(way, ""), now) for way in notice.ways])

    def _message(self, notice: Notice) -> notifying.Message:
        alert, host, stack = notice.alert, socket.gethostname(), self._stack or self._directory.name
        words = {
            Change.FIRING: alert.severity.value,
            Change.WORSE: f"now {alert.severity.value}",
            Change.RESOLVED: "over",
        }[notice.change]
        return notifying.message(
            _EVENTS[notice.change],
            f"{stack} on {host}: {words}: {alert.message}",
            hint="" if notice.change is Change.RESOLVED else alert.action,
            stack=stack,
            directory=str(self._directory),
            host=host,
            at=notice.at,
            rule=alert.rule,
            subject=alert.subject,
            severity=alert.severity.value,
        )


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
