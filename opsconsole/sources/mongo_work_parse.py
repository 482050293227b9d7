"""What MongoDB says of slow operations and of indexes, as our structs. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from opsconsole.database_work import Index, SlowGroup
from opsconsole.model import RunningOperation
from opsconsole.sources.command_text import mongo_command

Document = Mapping[str, Any]

_SLOW_QUERY = 51803  # the id of such a line since 4.4
_CLOCK = timedelta(seconds=1)
"""The server tells when it was asked and how long it had run, each to its own precision."""


def is_same(known: RunningOperation, now: RunningOperation) -> bool:
    """Whether both are one operation: of the same connection, on the same data, begun at the same time."""
    if (known.opid, known.connection, known.client, known.namespace) != (
        now.opid,
        now.connection,
        now.client,
        now.namespace,
    ):
        return False
    return known.began is not None and now.began is not None and abs(known.began - now.began) <= _CLOCK


def grouped(entries: Iterable[SlowGroup]) -> tuple[SlowGroup, ...]:
    """Entries of one shape together, what took longest in all first."""
    groups: dict[tuple[str, str, str], SlowGroup] = {}
    for one in entries:
        key = (one.namespace, one.kind, one.plan)
        known = groups.get(key)
        groups[key] = one if known is None else _both(known, one)
    return tuple(sorted(groups.values(), key=lambda one: -one.total_seconds))


def _both(known: SlowGroup, one: SlowGroup) -> SlowGroup:
    longest = max(known, one, key=lambda each: each.longest_seconds)
    return msgspec.structs.replace(
        known,
        count=known.count + one.count,
        total_seconds=known.total_seconds + one.total_seconds,
        longest_seconds=longest.longest_seconds,
        newest=max((each for each in (known.newest, one.newest) if each is not None), default=None),
        example=longest.example,
    )


def profiled(document: Document) -> SlowGroup:
    """An entry of system.profile."""
    at = document.get("ts")
    return _slow(document, document.get("op", ""), document.get("millis", 0), at if isinstance(at, datetime) else None)


def from_log(lines: Iterable[str], databases: frozenset[str]) -> tuple[list[SlowGroup], int]:
    """ "Slow query" lines of the server's log about these databases, and how many could not be read."""
    found: list[SlowGroup] = []
    unread = 0
    for line in lines:
        if f'"id":{_SLOW_QUERY}' not in line:
            continue
        try:
            entry = json.loads(line)
            attributes = entry["attr"]
            at = datetime.fromisoformat(entry["t"]["$date"]).astimezone(UTC)
        except (ValueError, KeyError, TypeError):
            unread += 1
            continue
        if isinstance(attributes, dict) and str(attributes.get("ns", "")).partition(".")[0] in databases:
            found.append(_slow(attributes, attributes.get("type", ""), attributes.get("durationMillis", 0), at))
    return found, unread


def _slow(document: Document, kind: object, milliseconds: object, at: datetime | None) -> SlowGroup:
    command = document.get("command") or document.get("originatingCommand") or {}
    seconds = float(milliseconds) / 1000 if isinstance(milliseconds, int | float) else 0.0
    name = next(iter(command), "") if kind == "command" and isinstance(command, Mapping) else ""
    return SlowGroup(
        namespace=str(document.get("ns", "")),
        kind=str(name or kind),
        plan=str(document.get("planSummary", "")),
        total_seconds=seconds,
        longest_seconds=seconds,
        newest=at if at is None or at.tzinfo else at.replace(tzinfo=UTC),
        example=mongo_command(command),
    )


def index(database: str, collection: str, stats: Document, sizes: Document) -> Index:
    """A row of $indexStats."""
    spec = stats.get("spec", {})
    name = str(stats.get("name", ""))
    accesses = stats.get("accesses", {})
    uses, since, size = accesses.get("ops"), accesses.get("since"), sizes.get(name)
    needed = "_id" if name == "_id_" else "unique" if spec.get("unique") else ""
    return Index(
        database=database,
        collection=collection,
        name=name,
        keys=", ".join(f"{field}: {_direction(kind)}" for field, kind in stats.get("key", {}).items()),
        size_bytes=int(size) if isinstance(size, int | float) else None,
        uses=int(uses) if isinstance(uses, int | float) else None,
        since=(since if since.tzinfo else since.replace(tzinfo=UTC)) if isinstance(since, datetime) else None,
        needed=needed or ("TTL" if "expireAfterSeconds" in spec else ""),
        building=bool(stats.get("building")),
    )


def _direction(kind: object) -> str:
    return f"{kind:g}" if isinstance(kind, float) else str(kind)
