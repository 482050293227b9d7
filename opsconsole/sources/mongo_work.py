"""What MongoDB is at work on: operations, slow ones of the past, indexes and their use. Asked only while looked at.

Importing this module imports pymongo (about 0.1 s).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import OperationFailure

from opsconsole.database_work import Index, SlowGroup, View, Work
from opsconsole.model import RunningOperation, SourceError
from opsconsole.sources import mongo_parse, mongo_work_parse
from opsconsole.sources.command_text import mongo_command
from opsconsole.sources.mongo_faults import forbidden
from opsconsole.sources.mongo_operations import Ask, operation_rows

BUDGET_SECONDS = 8.0
"""Of one view: one command per collection, about 1 ms each. What is left after it is named."""

MOST_OPERATIONS = 200
_PROFILED = 500  # of the newest entries of each database
_UNKNOWN_HERE = (59, 40324, 16436, 73, 115, 166)  # command or stage; a view

GRANT = "grant its user the roles clusterMonitor and readAnyDatabase (db.grantRolesToUser)"


def look(ask: Ask, view: View, collections: Sequence[tuple[str, str]]) -> Work:
    """One view. `collections` as (database, name). Raises what pymongo raises, and SourceError."""
    end = time.monotonic() + BUDGET_SECONDS
    if view is View.OPERATIONS:
        return _operations(ask)
    if view is View.SLOW:
        return _slow(ask, sorted({database for database, _ in collections}))
    if view is View.INDEXES:
        return _indexes(ask, collections, end)
    raise SourceError(f"MongoDB has no view {view}")


def same(known: RunningOperation, ask: Ask) -> RunningOperation | None:
    """The operation as it runs now; None when it is over. An opid that another one has by now is not it."""
    found, _ = operation_rows(ask, most=MOST_OPERATIONS)
    now = next((mongo_parse.running(row) for row in found if str(row.get("opid")) == known.opid), None)
    return now if now is not None and mongo_work_parse.is_same(known, now) else None


def _operations(ask: Ask) -> Work:
    found, all_users = operation_rows(ask, most=MOST_OPERATIONS)
    said = [f"The {MOST_OPERATIONS} that run longest."] if len(found) >= MOST_OPERATIONS else []
    if not all_users:
        said.append(f"Of its own user alone: it may not see what others run; {GRANT}")
    told = [row for row in found if not mongo_parse.waits_for_news(row) and not _is_this_question(row)]
    return Work(
        view=View.OPERATIONS,
        asked_at=datetime.now(UTC),
        operations=tuple(mongo_parse.running(row) for row in told),
        commands={str(row.get("opid")): mongo_command(row.get("command")) for row in told},
        said=tuple(said),
    )


def _is_this_question(row: dict[str, Any]) -> bool:
    pipeline = row.get("command", {}).get("pipeline") or [{}]
    return "$currentOp" in pipeline[0]


# --- slow operations of the past -------------------------------------------------------------------


def _slow(ask: Ask, databases: Sequence[str]) -> Work:
    """From system.profile where the profiler is on; else from the log that the server keeps in memory."""
    on: list[str] = []
    off: list[str] = []
    said: list[str] = []
    threshold = 100
    for database in databases:
        try:
            answer = ask(database, {"profile": -1})
        except OperationFailure as error:
            if not forbidden(error):
                raise
            said.append(f"{database}: its user may not see whether the profiler is on; {GRANT}")
            continue
        threshold = int(answer.get("slowms", threshold))
        (on if answer.get("was", 0) else off).append(database)
    entries = [entry for database in on for entry in _profiled(ask, database, said)]
    if on:
        said.insert(0, f"From the profiler (system.profile) of {', '.join(on)}.")
    if off:
        logged, unread = _logged(ask, frozenset(off), said)
        entries += logged
        said.append(
            f"The profiler of {', '.join(off)} is off: from the log in the server's memory, what took {threshold} ms "
            f"and more{f'; {unread} lines are cut short there' if unread else ''}. "
            "For more: db.setProfilingLevel(1, {slowms: 50})."
        )
    groups = mongo_work_parse.grouped(entries)
    return Work(view=View.SLOW, asked_at=datetime.now(UTC), slow=groups, said=tuple(said))


def _profiled(ask: Ask, database: str, said: list[str]) -> list[SlowGroup]:
    command = {"find": "system.profile", "sort": {"$natural": -1}, "limit": _PROFILED, "batchSize": _PROFILED}
    try:
        answer = ask(database, {**command, "singleBatch": True})
    except OperationFailure as error:
        if not forbidden(error):
            raise
        said.append(f"{database}: its user may not read system.profile; {GRANT}")
        return []
    return [mongo_work_parse.profiled(document) for document in answer["cursor"]["firstBatch"]]


def _logged(ask: Ask, databases: frozenset[str], said: list[str]) -> tuple[list[SlowGroup], int]:
    try:
        lines = ask("admin", {"getLog": "global"}).get("log", ())
    except OperationFailure as error:
        if not forbidden(error):
            raise
        said.append(f"its user may not read the server's log (getLog); {GRANT}")
        return [], 0
    return mongo_work_parse.from_log(lines, databases)


# --- indexes ---------------------------------------------------------------------------------------


def _indexes(ask: Ask, collections: Iterable[tuple[str, str]], end: float) -> Work:
    found: list[Index] = []
    left, denied = 0, 0
    for database, name in collections:
        if time.monotonic() > end:
            left += 1
            continue
        try:
            found += _indexes_of(ask, database, name)
        except OperationFailure as error:
            if forbidden(error):
                denied += 1
            elif error.code not in _UNKNOWN_HERE and error.code != 26:  # dropped in between
                raise
    said = ["Uses are counted since the server's start or the making of an index, on this server alone."]
    if left:
        said.append(f"{left} collections were not asked: {BUDGET_SECONDS:.0f} s are the limit.")
    if denied:
        said.append(f"{denied} collections may not be looked at by its user; {GRANT}")
    return Work(view=View.INDEXES, asked_at=datetime.now(UTC), indexes=tuple(found), said=tuple(said))


def _indexes_of(ask: Ask, database: str, name: str) -> Iterator[Index]:
    stats = _batch(ask(database, {"aggregate": name, "pipeline": [{"$indexStats": {}}], "cursor": {}}))
    if not stats:
        return
    sizes: dict[str, Any] = {}
    storage = _batch(
        ask(database, {"aggregate": name, "pipeline": [{"$collStats": {"storageStats": {}}}], "cursor": {}})
    )
    if storage:
        sizes = storage[0].get("storageStats", {}).get("indexSizes", {})
    for one in stats:
        yield mongo_work_parse.index(database, name, one, sizes)


def _batch(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["cursor"]["firstBatch"]
    return found
