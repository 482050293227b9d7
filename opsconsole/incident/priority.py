"""P1 to P4 as the runbook means them, which one fits what is ill, and when a P2 should become a P1."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from opsconsole.incident.evidence import Evidence
from opsconsole.incident.symptoms import FAILING, Ill

ESCALATES_AFTER = timedelta(minutes=30)
"""A P2 that is not resolved by then becomes a P1: it is shown, and somebody confirms it."""


class Priority(StrEnum):
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


MEANING = {
    Priority.P1: ("Critical", "system down, data loss"),
    Priority.P2: ("High", "major functionality impaired"),
    Priority.P3: ("Medium", "minor functionality issues"),
    Priority.P4: ("Low", "cosmetic issues, feature requests"),
}


def words(priority: Priority) -> str:
    """`P2 High: major functionality impaired`."""
    name, meaning = MEANING[priority]
    return f"{priority} {name}: {meaning}"


def fitting(evidence: Evidence) -> Priority:
    """What the runbook's words say about what is ill now. A proposal."""
    if evidence.data or any(one.ill is Ill.ENGINE for one in evidence.symptoms) or _all_down(evidence):
        return Priority.P1
    if any(one.critical for one in evidence.symptoms):
        return Priority.P2
    return Priority.P3 if evidence.symptoms or evidence.unreadable else Priority.P4


def _all_down(evidence: Evidence) -> bool:
    """Nothing answers from outside, or nothing runs."""
    probes = [one for one in evidence.snapshot.probes if one.ok is not None]
    if probes and all(one.ok is False for one in probes):
        return True
    own = evidence.snapshot.containers
    return (
        bool(own)
        and any(one.ill in FAILING for one in evidence.symptoms)
        and not any(one.state == "running" for one in own)
    )


def escalates_at(priority: Priority, since: datetime) -> datetime | None:
    """When an incident that has this priority since then should be escalated; None: never by the clock."""
    return since + ESCALATES_AFTER if priority is Priority.P2 else None


def next_higher(priority: Priority) -> Priority | None:
    """None for P1."""
    order = list(Priority)
    at = order.index(priority)
    return order[at - 1] if at else None
