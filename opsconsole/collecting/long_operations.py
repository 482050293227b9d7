"""What MongoDB was at work on for too long, as events: an operation is told once, when it is seen no more. Pure.

An operation has its number, connection and beginning; its command was never read, and so holds nobody's data here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from opsconsole.health.databases import operation_words
from opsconsole.metrics import Event, EventKind
from opsconsole.model import MongoStatus, RunningOperation, Snapshot
from opsconsole.text import mask_text


class Seen(msgspec.Struct, frozen=True):
    """An operation as it was when it was seen last."""

    server: str
    operation: RunningOperation
    at: datetime


def long_operations(
    before: Mapping[str, Seen], snapshot: Snapshot, least_seconds: float, now: datetime
) -> tuple[list[Event], dict[str, Seen]]:
    """Those of at least so many seconds that have ended since `before`, and those that run now."""
    running: dict[str, Seen] = {}
    told: set[str] = set()
    for status in snapshot.databases:
        if isinstance(status, MongoStatus) and status.slow is not None and status.sampled_at is not None:
            server = status.target.name
            told.add(server)
            for one in status.slow:
                if one.seconds >= least_seconds:
                    running[_key(server, one)] = Seen(server=server, operation=one, at=status.sampled_at)
    ended = [_event(key, seen) for key, seen in before.items() if key not in running and seen.server in told]
    # Of a server that does not answer nothing is known: it may go on there.
    kept = {key: seen for key, seen in before.items() if seen.server not in told}
    return ended, {**kept, **running}


def _key(server: str, one: RunningOperation) -> str:
    began = one.began.replace(microsecond=0).isoformat() if one.began is not None else ""
    return f"slow:{server}:{one.opid}:{one.connection}:{began}"


def _event(key: str, seen: Seen) -> Event:
    one = seen.operation
    return Event(
        at=seen.at,
        kind=EventKind.SLOW,
        subject=seen.server,
        text=mask_text(f"{seen.server}: {operation_words(one)} and more"),
        facts={
            "seconds": f"{one.seconds:.0f}",
            "kind": one.kind,
            "namespace": one.namespace,
            "plan": one.plan,
            "application": mask_text(one.application),
        },
        key=key,
    )
