"""What was decided about the alerts of the simulated stack before the demo began: one is seen to, one is silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsconsole.alert_marks import ANY, Acknowledged, Marks
from opsconsole.alerts import AlertMemory, Entry
from opsconsole.demo.fleet import KILLED
from opsconsole.model import Acknowledgement, Alert, AlertState, Severity, Silence

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
