"""What is done to MongoDB by hand on a bad day: end an operation, validate a collection, build an index anew.

Each asks the server again at the moment it acts: what the operator saw may be over. Importing this module imports
pymongo (about 0.1 s).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import bson.json_util
from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReadPreference
from pymongo.errors import OperationFailure, PyMongoError

from opsconsole.model import Record, RunningOperation, SourceError
from opsconsole.sources.connection import Connection
from opsconsole.sources.lane import Lane
from opsconsole.sources.mongo_bulk import RawClient, bulk_client
from opsconsole.sources.mongo_faults import explain_failure
from opsconsole.sources.mongo_work import same

Told = Callable[[str, int, int], None]
"""(what, done, of how many; 0 when that is not known)."""

_POLL_SECONDS = 0.5
_ENDS_WITHIN = 5.0
_DICTS: CodecOptions[dict[str, Any]] = CodecOptions(document_class=dict, tz_aware=True)
_NO_SUCH_INDEX, _NO_SUCH_COLLECTION = 27, 26


class Validation(Record, frozen=True):
    """What `validate` found in one collection."""

    documents: int
    indexes: int
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def abort_operation(connection: Connection, known: RunningOperation) -> str:
    """End an operation if it is still the one that was seen. Says what became of it. Raises SourceError."""
    with bulk_client(connection) as client:

        def ask(database: str, command: dict[str, Any]) -> dict[str, Any]:
            return _ask(client, database, command)

        if same(known, ask) is None:
            raise SourceError(
                f"the operation {known.opid} is over, or its number is another one's by now",
                "Nothing was ended. Look again at what runs.",
            )
        ask("admin", {"killOp": 1, "op": int(known.opid) if known.opid.isdigit() else known.opid})
        end = time.monotonic() + _ENDS_WITHIN
        while time.monotonic() < end:
            if same(known, ask) is None:
                return "it is over"
            time.sleep(_POLL_SECONDS / 5)
    return f"it was told to end and has not within {_ENDS_WITHIN:.0f} s: it does at its next safe point"


def validate(
    connection: Connection, database: str, name: str, told: Told, cancelled: Callable[[], bool]
) -> Validation | None:
    """Read a collection and its indexes as the server has them on its disk; nobody is held up. None: cancelled.

    Raises SourceError.
    """
    with bulk_client(connection, answer_seconds=None) as client:
        command = {"validate": name, "background": True}
        answer = _watched(client, connection, database, command, told, cancelled)
    return None if answer is None else validation(answer)


def validation(answer: Mapping[str, Any]) -> Validation:
    """What the answer to `validate` says. Pure; an answer that does not say that all is valid is a fault."""
    faults = [str(one) for one in answer.get("errors", ())]
    if not answer.get("valid", False) and not faults:
        faults = ["it is not valid"]
    return Validation(
        documents=int(answer.get("nrecords", 0)),
        indexes=int(answer.get("nIndexes", 0)),
        faults=tuple(faults),
        warnings=tuple(str(one) for one in answer.get("warnings", ())),
    )


def stage(message: str) -> str:
    """`Validate: scanning documents` of what the server says twice, the second time with its own percentage."""
    again = message.find(f"{message.partition(':')[0]}:", 1)
    return message[:again].strip() if again > 0 else message


def specification(connection: Connection, database: str, collection: str, name: str) -> str:
    """What an index is made of, as canonical Extended JSON: it can be built from that alone. Raises SourceError."""
    with bulk_client(connection) as client:
        found = _specifications(client, database, collection).get(name)
    if found is None:
        raise SourceError(f"{database}.{collection} has no index {name}", "Look again at its indexes.")
    return bson.json_util.dumps(found, json_options=bson.json_util.CANONICAL_JSON_OPTIONS)


def rebuild(connection: Connection, database: str, collection: str, made_of: str, told: Told) -> str:
    """Drop an index, if it is there, and build it from its specification. Says how large it was and is.

    Raises SourceError; what it says holds the way to build it by hand, as the index may be gone then.
    """
    spec: dict[str, Any] = bson.json_util.loads(made_of)
    name = str(spec["name"])
    with bulk_client(connection, answer_seconds=None) as client:
        before = _size(client, database, collection, name)
        known = _specifications(client, database, collection).get(name)
        if known is not None and known != spec:
            raise SourceError(
                f"the index {name} of {database}.{collection} is another one by now", "Make the plan anew."
            )
        if known is not None:
            _ask(client, database, {"dropIndexes": collection, "index": name})
        try:
            command = {"createIndexes": collection, "indexes": [spec]}
            _watched(client, connection, database, command, told, lambda: False)
        except SourceError as error:
            keys = bson.json_util.dumps(spec["key"])
            raise SourceError(
                f"the index {name} was dropped and could not be built: {error.problem}",
                f'By hand: db.getSiblingDB("{database}").getCollection("{collection}").createIndex({keys}); '
                "all of it stands in the plan.",
            ) from None
        after = _size(client, database, collection, name)
    return f"{_bytes(before)} before, {_bytes(after)} now"


def _specifications(client: RawClient, database: str, collection: str) -> dict[str, dict[str, Any]]:
    try:
        answer = _ask(client, database, {"listIndexes": collection, "cursor": {"batchSize": 1000}})
    except OperationFailure as error:
        if error.code == _NO_SUCH_COLLECTION:
            return {}
        raise
    return {
        str(one["name"]): {key: value for key, value in one.items() if key != "ns"}
        for one in answer["cursor"]["firstBatch"]
    }


def _size(client: RawClient, database: str, collection: str, name: str) -> int | None:
    pipeline: list[dict[str, Any]] = [{"$collStats": {"storageStats": {}}}]
    rows = _ask(client, database, {"aggregate": collection, "pipeline": pipeline, "cursor": {}})["cursor"]["firstBatch"]
    found = rows[0].get("storageStats", {}).get("indexSizes", {}).get(name) if rows else None
    return int(found) if found is not None else None


def _bytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size:,} bytes"


def _ask(client: MongoClient[Any], database: str, command: dict[str, Any]) -> dict[str, Any]:
    return client[database].command(command, codec_options=_DICTS, read_preference=ReadPreference.PRIMARY_PREFERRED)


# --- a command that takes its time -----------------------------------------------------------------


def _watched(
    client: RawClient,
    connection: Connection,
    database: str,
    command: dict[str, Any],
    told: Told,
    cancelled: Callable[[], bool],
) -> dict[str, Any] | None:
    """The answer to a command, watched meanwhile as an operation of the server. None when it was cancelled."""
    mark = f"opsconsole {uuid.uuid4()}"
    lane: Lane[dict[str, Any] | PyMongoError] = Lane("command")

    def run() -> dict[str, Any] | PyMongoError:
        try:
            return _ask(client, database, {**command, "comment": mark})
        except PyMongoError as error:
            return error

    lane.ask(run)
    ended = False
    while not lane.wait(time.monotonic() + _POLL_SECONDS):
        row = _row_of(client, mark, next(iter(command.values())))
        if row is None:
            continue
        progress: Mapping[str, Any] = row.get("progress") or {}
        told(stage(str(row.get("msg", ""))), int(progress.get("done", 0)), int(progress.get("total", 0)))
        if cancelled() and not ended:
            ended = True
            _ask(client, "admin", {"killOp": 1, "op": row["opid"]})
    answer = lane.answer
    if isinstance(answer, PyMongoError):
        if ended:
            return None
        raise explain_failure(answer, connection, client)
    return answer


def _row_of(client: RawClient, mark: str, collection: str) -> dict[str, Any] | None:
    """The operation with this mark; of an index the thread that builds it, which tells how far it is."""
    wanted = [{"command.comment": mark}, {"msg": {"$regex": "^Index Build"}, "command.createIndexes": collection}]
    pipeline = [{"$currentOp": {"allUsers": True}}, {"$match": {"$or": wanted}}, {"$sort": {"msg": -1}}]
    try:
        rows = _ask(client, "admin", {"aggregate": 1, "pipeline": pipeline, "cursor": {}})["cursor"]["firstBatch"]
    except PyMongoError:
        return None  # it may not be watched: it is waited for
    return next(iter(rows), None)
