"""What MongoDB's clients have it run now: of all users, or of our own where more is not allowed.

The stack's own user is mostly the application's, so its operations are most of what there is to see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.errors import NotPrimaryError, OperationFailure

from opsconsole.model import RunningOperation
from opsconsole.sources import mongo_parse
from opsconsole.sources.mongo_faults import forbidden

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
"""(database, command) -> answer."""

SLOW_SECONDS = 1.0
"""What runs for less is no reason to look; the limit of an alarm is the settings'."""

_MOST_SLOW = 20
_NO_ANSWER = (16436, 40324, 73, 115)  # a server that does not know the stage, or not here


def operation_rows(
    ask: Ask, *, most: int, least_seconds: float = 0.0, commands: bool = True
) -> tuple[list[dict[str, Any]], bool]:
    """Rows of $currentOp, what runs longest first, and whether they are of all users. Raises what pymongo raises."""
    try:
        return _rows(ask, most, least_seconds, commands, all_users=True), True
    except OperationFailure as error:
        if not forbidden(error):
            raise
    return _rows(ask, most, least_seconds, commands, all_users=False), False


def slow_operations(ask: Ask) -> tuple[RunningOperation, ...] | None:
    """What runs for a second and more; None where the server does not tell."""
    try:
        rows, _ = operation_rows(ask, most=_MOST_SLOW, least_seconds=SLOW_SECONDS, commands=False)
    except OperationFailure as error:
        if not forbidden(error) and error.code not in _NO_ANSWER:
            raise
        return None
    except NotPrimaryError:  # a member that holds no data, or not yet
        return None
    return mongo_parse.running_from(rows)


def _rows(ask: Ask, most: int, least_seconds: float, commands: bool, *, all_users: bool) -> list[dict[str, Any]]:
    of_clients = {"active": True, "desc": {"$regex": "^conn"}, "microsecs_running": {"$gte": least_seconds * 1e6}}
    pipeline = [
        {"$currentOp": {"allUsers": all_users, "idleConnections": False, "truncateOps": not commands}},
        {"$match": of_clients},
        {"$sort": {"microsecs_running": -1}},
        {"$limit": most},
    ]
    answer = ask("admin", {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": most}})
    found: list[dict[str, Any]] = answer["cursor"]["firstBatch"]
    return found
