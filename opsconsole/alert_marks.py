"""What operators decided about alerts: who has seen one, and of which nobody is told for a while. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import msgspec

from opsconsole.model import Acknowledgement, Alert, AlertState, Record, Severity, Silence

ANY = "*"
LONGEST_SILENCE = timedelta(days=30)


class Acknowledged(Record, frozen=True):
    rule: str
    subject: str
    severity: Severity  # it was no worse then
    said: Acknowledgement


class Marks(Record, frozen=True):
    acknowledged: tuple[Acknowledged, ...] = ()
    silences: tuple[Silence, ...] = ()


def marked(alerts: Iterable[Alert], marks: Marks, now: datetime) -> tuple[Alert, ...]:
    """The same alerts with what was decided about each."""
    if not marks.acknowledged and not marks.silences:
        return tuple(alerts)
    return tuple(_marked(alert, marks, now) for alert in alerts)


def _marked(alert: Alert, marks: Marks, now: datetime) -> Alert:
    seen = next((one.said for one in marks.acknowledged if _is_of(one, alert)), None)
    return msgspec.structs.replace(alert, acknowledged=seen, silenced=silence_of(marks, alert, now))


def _is_of(one: Acknowledged, alert: Alert) -> bool:
    same = (one.rule, one.subject) == (alert.rule, alert.subject) and alert.state is AlertState.FIRING
    return same and (one.severity is Severity.CRITICAL or alert.severity is Severity.WARNING)


def silence_of(marks: Marks, alert: Alert, now: datetime) -> Silence | None:
    """The silence that lasts longest of those that cover it now."""
    covering = (one for one in marks.silences if now < one.until and covers(one, alert.rule, alert.subject))
    return max(covering, key=lambda one: one.until, default=None)


def covers(silence: Silence, rule: str, subject: str) -> bool:
    return fnmatchcase(rule, silence.rule) and (silence.subject == subject or fnmatchcase(subject, silence.subject))


def acknowledge(marks: Marks, alert: Alert, said: Acknowledgement) -> Marks:
    """In place of what was said of it before."""
    one = Acknowledged(rule=alert.rule, subject=alert.subject, severity=alert.severity, said=said)
    return msgspec.structs.replace(marks, acknowledged=(*withdrawn(marks, alert.rule, alert.subject).acknowledged, one))


def withdrawn(marks: Marks, rule: str, subject: str) -> Marks:
    """Nobody sees to it any more."""
    rest = tuple(one for one in marks.acknowledged if (one.rule, one.subject) != (rule, subject))
    return msgspec.structs.replace(marks, acknowledged=rest)


def silence(marks: Marks, one: Silence) -> Marks:
    """In place of one that covers exactly the same."""
    return msgspec.structs.replace(marks, silences=(*ended(marks, one.rule, one.subject).silences, one))


def ended(marks: Marks, rule: str, subject: str) -> Marks:
    """Without the silence of exactly this rule and subject."""
    rest = tuple(one for one in marks.silences if (one.rule, one.subject) != (rule, subject))
    return msgspec.structs.replace(marks, silences=rest)


def pruned(marks: Marks, alerts: Iterable[Alert], now: datetime) -> Marks:
    """Without silences that are over, and without acknowledgements of alerts that are over or got worse."""
    firing = [alert for alert in alerts if alert.state is AlertState.FIRING]
    kept = tuple(one for one in marks.acknowledged if any(_is_of(one, alert) for alert in firing))
    silences = tuple(one for one in marks.silences if now < one.until)
    if (kept, silences) == (marks.acknowledged, marks.silences):
        return marks
    return Marks(acknowledged=kept, silences=silences)
