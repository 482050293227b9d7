"""MongoDB at work in the past: growth and slow operations as the collector kept them, or as a backup has them.

Blocks: never on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from opsconsole.backups.growth import growth, to_compare_with
from opsconsole.database_work import Growth, SlowGroup, View, Work
from opsconsole.metrics.records import Event, EventKind
from opsconsole.model import (
    Backup,
    BackupContents,
    DatabaseTarget,
    MongoDatabase,
    MongoStatus,
    Snapshot,
    SourceError,
)
from opsconsole.ui.panes.past_metrics import Kept
from opsconsole.ui.wording import duration

SEEN_BACK = timedelta(days=7)


def with_seen(work: Work, target: DatabaseTarget, now: datetime, reader: Kept | None) -> Work:
    """Slow operations with those that `opsconsole collect` saw run and the server itself tells no more: it forgets."""
    if work.view is not View.SLOW or target.kind != "mongodb" or reader is None:
        return work
    try:
        events = reader.events(now - SEEN_BACK, now, kinds=[EventKind.SLOW])
    except SourceError:
        return work
    # By their kind they differ: what runs is a "query", in the log it is a "find".
    there = {(one.namespace, one.plan) for one in work.slow}
    seen = [
        one
        for one in seen_groups(event for event in events if event.subject == target.name)
        if (one.namespace, one.plan) not in there
    ]
    if not seen:
        return work
    said = (
        f"{len(seen)} of them as `opsconsole collect` saw them run in the last {duration(SEEN_BACK.total_seconds())}."
    )
    return msgspec.structs.replace(work, slow=(*work.slow, *seen), said=(*work.said, said))


def seen_groups(events: Iterable[Event]) -> list[SlowGroup]:
    """Of one namespace, kind and plan each; how long they took is what was seen of it, and so at least that."""
    found: dict[tuple[str, str, str], SlowGroup] = {}
    for event in events:
        facts = event.facts
        key = facts.get("namespace", ""), facts.get("kind", ""), facts.get("plan", "")
        seconds = float(facts.get("seconds") or 0)
        one = found.get(key) or SlowGroup(namespace=key[0], kind=key[1], plan=key[2], count=0)
        longest = seconds >= one.longest_seconds
        found[key] = msgspec.structs.replace(
            one,
            count=one.count + 1,
            total_seconds=one.total_seconds + seconds,
            longest_seconds=max(one.longest_seconds, seconds),
            newest=event.at,
            example=f"seen by collect, {facts.get('application') or 'no name'}" if longest else one.example,
        )
    return sorted(found.values(), key=lambda one: -one.total_seconds)


def growth_of(
    target: DatabaseTarget, snapshot: Snapshot, look_inside: Callable[[Backup], BackupContents], reader: Kept | None
) -> Work:
    """Against what the collector kept of the last week; where that is too little, against the backup that is closest
    to a week old and tells sizes. Reads the metrics, and its manifest."""
    status = next((one for one in snapshot.databases if one.target == target), None)
    databases = status.databases if isinstance(status, MongoStatus) else ()
    if found := _growth_kept(target, databases, snapshot.sampled_at, reader):
        since = duration(max(one.seconds for one in found))
        said = f"Over {since}, by the sizes of documents that the collector keeps once an hour."
        return Work(view=View.GROWTH, asked_at=snapshot.sampled_at, growth=found, said=(said,))
    tried: tuple[Backup, ...] = to_compare_with(snapshot.backups, snapshot.sampled_at)[:8]
    for backup in tried:
        found = growth(databases, look_inside(backup), backup.taken_at, snapshot.sampled_at)
        if found:
            said = f"Since the backup {backup.id}; sizes are of documents, as the server and its manifest have them."
            return Work(view=View.GROWTH, asked_at=snapshot.sampled_at, growth=found, said=(said,))
    said = (
        "Nothing tells yet what the collections were: `opsconsole collect` has kept less than half a day of it, and no "
        "backup is good, half a day old and made by opsconsole."
    )
    return Work(view=View.GROWTH, asked_at=snapshot.sampled_at, said=(said,))


def _growth_kept(
    target: DatabaseTarget, databases: Sequence[MongoDatabase], now: datetime, reader: Kept | None
) -> tuple[Growth, ...]:
    if reader is None:
        return ()
    from opsconsole.metrics import growth as kept_growth  # with SQLite, which a console that only opens does not need

    try:
        courses = reader.courses(
            kept_growth.NAMES,
            now - kept_growth.BACK,
            now,
            steps=kept_growth.STEPS,
            among=lambda series: series.label("server") == target.name,
        )
    except SourceError:
        return ()  # the backups may know
    return kept_growth.growth(databases, courses, now)
