"""What alerts do and what operators decide about them, as events of the store; its events as rules count them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from opsconsole.alert_happenings import Happening
from opsconsole.alert_keeper import Decision
from opsconsole.alerts import AlertMemory
from opsconsole.metrics import Event, EventKind
from opsconsole.model import Alert, AlertState

LONG_PENDING = 30.0
"""Seconds after which what is pending is worth an event: a processor is busy for a moment many times a day."""

_KINDS = {
    AlertState.PENDING: EventKind.ALERT_PENDING,
    AlertState.FIRING: EventKind.ALERT_FIRING,
    AlertState.RESOLVED: EventKind.ALERT_RESOLVED,
}
HEARD = {
    EventKind.DIED: "die",
    EventKind.OOM: "oom",
    EventKind.STARTED: "start",
    EventKind.HEALTH: "unhealthy",
}


def changes(before: AlertMemory, after: AlertMemory, now: datetime) -> list[Event]:
    """What changed between two memories, as events that are stored once, whoever saw them."""
    found = []
    for key, entry in after.entries.items():
        known = before.entries.get(key)
        alert = entry.alert
        state_is_new = known is None or (known.alert.state, known.alert.since) != (alert.state, alert.since)
        worse = known is not None and known.alert.severity is not alert.severity and alert.state is AlertState.FIRING
        if alert.state is AlertState.PENDING:
            if entry.held_seconds >= LONG_PENDING and (known is None or known.held_seconds < LONG_PENDING):
                found.append(_changed(alert, now))
        elif state_is_new or worse:
            found.append(_changed(alert, now if worse and not state_is_new else min(alert.since, now)))
    for key, entry in before.entries.items():
        if key not in after.entries and entry.alert.state is AlertState.FIRING:  # its rule is gone
            over = msgspec.structs.replace(entry.alert, state=AlertState.RESOLVED, since=now)
            found.append(_changed(over, now))
    return found


def _changed(alert: Alert, at: datetime) -> Event:
    names = (alert.rule, alert.subject, alert.state.value, alert.severity.value, alert.since.isoformat())
    return Event(
        at=at,
        kind=_KINDS[alert.state],
        subject=f"{alert.rule} {alert.subject}",
        text=alert.message,
        facts={
            "rule": alert.rule,
            "subject": alert.subject,
            "severity": alert.severity.value,
            "message": alert.message,
        },
        key="alert " + "\n".join(names),
    )


def decided(one: Decision) -> Event:
    """What an operator decided, and who it was."""
    facts = {
        "rule": one.rule,
        "subject": one.subject,
        "who": one.who,
        "note": one.note,
        "until": f"{one.until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if one.until else "",
        "withdrawn": "yes" if one.withdrawn else "",
    }
    return Event(
        at=one.at,
        kind=EventKind.ALERT_ACKNOWLEDGED if one.kind == "acknowledged" else EventKind.ALERT_SILENCED,
        subject=f"{one.rule} {one.subject}",
        text="taken back" if one.withdrawn else one.note,
        facts={name: value for name, value in facts.items() if value},
    )


def words(event: Event, local: Callable[[datetime], str]) -> tuple[str, str]:
    """What an alert's event says in a word, and in a line. `local` writes a moment as the reader wants it."""
    word, facts = event.kind.value.removeprefix("alert-"), event.facts
    if problem := facts.get("problem"):
        return "not told", f"by {facts.get('way', '')}: {problem}"
    if not (who := facts.get("who")):
        return word, event.text
    until = f" until {local(datetime.fromisoformat(facts['until']))}" if facts.get("until") else ""
    note = f": {facts['note']}" if facts.get("note") else ""
    return word, f"{'taken back ' if facts.get('withdrawn') else ''}by {who}{until}{note}"


ALERT_KINDS = tuple(kind for kind in EventKind if kind.value.startswith("alert-"))


def heard_of(event: Event) -> Happening | None:
    """An event that the collector stored, as the rules count it."""
    if event.kind is EventKind.HEALTH and event.facts.get("health") != "unhealthy":
        return None
    code = event.facts.get("exit_code", "")
    return Happening(
        at=event.at,
        kind=HEARD[event.kind],
        container=event.facts.get("container", event.subject),
        service=event.subject,
        exit_code=int(code) if code.isdigit() else None,
        heard=True,
    )
