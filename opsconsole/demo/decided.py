"""What the alerts of the simulated stack did before the demo began, and what was decided about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsconsole.alert_marks import ANY, Acknowledged, Marks
from opsconsole.alerts import AlertMemory, Entry
from opsconsole.demo.fleet import KILLED
from opsconsole.metrics.records import Event, EventKind
from opsconsole.model import Acknowledgement, Alert, AlertState, Severity, Silence

_HOUR = timedelta(hours=1)
_FIRED, _SEEN, _SILENCED, _SILENT = (timedelta(hours=hours) for hours in (5.4, 4.9, 26, 44))


def decided(began: float) -> tuple[Marks, AlertMemory]:
    """`began`: seconds since 1970."""
    now = datetime.fromtimestamp(began, UTC)
    down = Alert(
        rule="container-down",
        subject=KILLED,
        severity=Severity.CRITICAL,
        state=AlertState.FIRING,
        since=now - _FIRED,
        message=f"{KILLED} was killed: out of memory (exit code 137)",
    )
    seen = Acknowledgement(
        who="mina from 10.0.0.7", at=now - _SEEN, note="the month's report is too large for its limit, see #812"
    )
    silence = Silence(
        rule="volume-risk",
        subject=ANY,
        until=(now + _SILENT).replace(minute=0, second=0, microsecond=0),
        who="jonas",
        at=now - _SILENCED,
        note="the queue may be lost, it moves to redis on Saturday",
    )
    acknowledged = Acknowledged(rule=down.rule, subject=down.subject, severity=down.severity, said=seen)
    memory = AlertMemory(entries={(down.rule, down.subject): Entry(alert=down, hold_seconds=0.0)})
    return Marks(acknowledged=(acknowledged,), silences=(silence,)), memory


def past_alerts(began: float) -> tuple[Event, ...]:
    """The last days as a collector would have kept them, oldest first."""
    now = datetime.fromtimestamp(began, UTC)
    marks, memory = decided(began)
    (seen,), (silence,) = marks.acknowledged, marks.silences
    (down,) = (entry.alert for entry in memory.entries.values())
    slow, disk = "search answers in 3.1 s on average (limit 2 s)", "disk /srv at 91 % (limit 90 %), 18.2 GiB free"

    def event(hours: float, kind: EventKind, subject: str, text: str, **facts: str) -> Event:
        return Event(at=now - timedelta(hours=hours), kind=kind, subject=subject, text=text, facts=facts)

    found = (
        event(44.2, EventKind.ALERT_FIRING, "disk /srv", disk, severity="critical"),
        event(44.2, EventKind.ALERT_TOLD, "disk /srv", "", way="webhook", problem="the address answered 503"),
        event(44.1, EventKind.ALERT_TOLD, "disk /srv", "told by webhook (firing)", way="webhook"),
        event(31.0, EventKind.ALERT_FIRING, "response-time search", slow, severity="warning"),
        event(29.5, EventKind.ALERT_RESOLVED, "response-time search", slow, severity="warning"),
        event(_SILENCED / _HOUR, EventKind.ALERT_SILENCED, "volume-risk *", silence.note, who=silence.who,
              note=silence.note, until=f"{silence.until:%Y-%m-%dT%H:%M:%SZ}"),
        event(_FIRED / _HOUR, EventKind.ALERT_FIRING, f"{down.rule} {down.subject}", down.message, severity="critical"),
        event(_FIRED / _HOUR, EventKind.ALERT_TOLD, f"{down.rule} {down.subject}", "told by webhook (firing)",
              way="webhook"),
        event(_SEEN / _HOUR, EventKind.ALERT_ACKNOWLEDGED, f"{down.rule} {down.subject}", seen.said.note,
              who=seen.said.who, note=seen.said.note),
    )  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.at))
