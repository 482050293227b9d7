"""What the collector has written down while nobody looked: deaths, health, endpoints and alerts, as changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from opsconsole.incident.evidence import Change, What
from opsconsole.metrics import Event, EventKind, MetricsReader, metrics_file
from opsconsole.model import SourceError

_MOST = 2000
_KINDS = (
    EventKind.DIED, EventKind.OOM, EventKind.HEALTH, EventKind.PROBE, EventKind.ALERT_FIRING, EventKind.ALERT_RESOLVED,
    EventKind.NOTE,
)  # fmt: skip


def happenings(directory: Path, since: datetime, until: datetime) -> tuple[Change, ...]:
    """Oldest first; nothing where nothing is collected. Raises SourceError when the file cannot be read."""
    try:
        events = MetricsReader(metrics_file(directory)).events(since, until, kinds=_KINDS, most=_MOST)
    except SourceError as error:
        if error.absent:
            return ()
        raise
    return tuple(_folded([change for event in events if (change := _change(event)) is not None]))


def _change(event: Event) -> Change | None:
    subject, facts = event.subject, event.facts
    match event.kind:
        case EventKind.DIED:
            code = facts.get("exit_code", "")
            if code in ("0", "143"):
                return None  # somebody stopped it, or it was done
            name = facts.get("container") or subject
            ended = f"{name} ended: exit code {code}" if code else f"{name} ended"
            return Change(at=event.at, what=What.DEATH, text=ended, services=(subject,), bad=True)
        case EventKind.OOM:
            text = f"{facts.get('container') or subject}: out of memory, a process was killed"
            return Change(at=event.at, what=What.DEATH, text=text, services=(subject,), bad=True)
        case EventKind.HEALTH:
            health = facts.get("health", "")
            text = f"{facts.get('container') or subject} is {health}"
            bad = health == "unhealthy"
            return None if health == "starting" else Change(
                at=event.at, what=What.HEALTH, text=text, services=(subject,), bad=bad
            )  # fmt: skip
        case EventKind.PROBE:
            return Change(
                at=event.at, what=What.HEALTH, text=event.text or subject, services=(subject,),
                bad=facts.get("ok") == "no",
            )  # fmt: skip
        case EventKind.ALERT_FIRING | EventKind.ALERT_RESOLVED:
            fires = event.kind is EventKind.ALERT_FIRING
            return Change(
                at=event.at,
                what=What.ALERT if fires else What.OVER,
                text=facts.get("message") or event.text or subject,
                services=(facts.get("subject") or subject,),
                rule=facts.get("rule", ""),
                bad=fires,
            )
        case _:
            return Change(at=event.at, what=What.INCIDENT, text=event.text)


def _folded(changes: list[Change]) -> Iterator[Change]:
    """What happens again and again in the same way is one line: when it began, when it was last, how often. A crash
    loop would push everything else off the screen."""
    count: dict[str, int] = {}
    first: dict[str, Change] = {}
    for one in changes:
        if one.what not in (What.DEATH, What.HEALTH):
            yield one
            continue
        count[one.text] = count.get(one.text, 0) + 1
        first[one.text] = msgspec.structs.replace(first.get(one.text, one), until=one.at)
    for text, one in first.items():
        times = f", {count[text]} times since" if count[text] > 1 else ""
        yield msgspec.structs.replace(one, text=f"{text}{times}")
