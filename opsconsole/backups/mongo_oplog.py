"""The oplog of a replica set: who the set is, how far its majority has come, and what its oplog still holds."""

from __future__ import annotations

from typing import Any

import bson
import msgspec
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from opsconsole.backups.bson_documents import TIMESTAMP, find_element
from opsconsole.backups.mongo_raw import DECODED, ask, raw_batches
from opsconsole.model import OplogTime
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.sources.mongo_faults import forbidden

OPLOG = "oplog.rs"  # in the database local

_Filter = dict[str, Any]


class ReplicaSet(msgspec.Struct, frozen=True):
    """`id` is made when the set is, in hex; "" when this user may not read it: the role `backup` may not."""

    name: str
    id: str = ""


def replica_set(client: RawClient) -> ReplicaSet | None:
    """The set that this server belongs to; None for a standalone one. Raises the driver's errors."""
    name = str(ask(client.admin, {"hello": 1}).get("setName", ""))
    if not name:
        return None
    try:
        made = ask(client.admin, {"replSetGetConfig": 1})["config"].get("settings", {}).get("replicaSetId")
    except OperationFailure as error:
        if not forbidden(error):
            raise
        made = None
    return ReplicaSet(name, str(made) if isinstance(made, bson.ObjectId) else "")


def committed(client: RawClient) -> Timestamp:
    """The newest moment that the majority has: nothing before it is missing or will be taken back."""
    moment: Timestamp = ask(client.admin, {"hello": 1})["lastWrite"]["majorityOpTime"]["ts"]
    return moment


def applied(client: RawClient) -> Timestamp:
    """The newest moment that this server has: whatever it has answered so far was written by then."""
    moment: Timestamp = ask(client.admin, {"hello": 1})["lastWrite"]["opTime"]["ts"]
    return moment


def oldest_entry(client: RawClient) -> Timestamp | None:
    """The oldest moment that the oplog still holds."""
    return _entry(client, {}, 1)


def has_entry(client: RawClient, moment: Timestamp) -> bool:
    """Whether something was written at that moment, and the oplog still holds it."""
    return _entry(client, {"ts": {"$gte": moment, "$lte": moment}}, 1) is not None


def may_read_oplog(client: RawClient) -> bool:
    """Whether this user may: the role `backup` may, those of one database may not."""
    try:
        oldest_entry(client)
    except OperationFailure as error:
        if not forbidden(error):
            raise
        return False
    return True


def before_open_transactions(client: RawClient, moment: Timestamp) -> Timestamp:
    """`moment`, or the entry before the first one of a transaction that was on its way then.

    Large transactions take several entries of the oplog and are there from the last of them on.
    """
    states: _Filter = {"state": {"$in": ["prepared", "inProgress"]}}
    try:
        found = _documents(client, "config", {"find": "transactions", "filter": states})
    except OperationFailure as error:
        if not forbidden(error):
            raise
        return moment
    begun = [one["startOpTime"]["ts"] for one in found if "startOpTime" in one]
    first = min((one for one in begun if one <= moment), default=None)
    if first is None:
        return moment
    return _entry(client, {"ts": {"$lt": first}}, -1) or first


def _entry(client: RawClient, wanted: _Filter, direction: int) -> Timestamp | None:
    """The moment of the first entry in one direction."""
    find: _Filter = {"find": OPLOG, "filter": wanted, "projection": {"ts": 1}, "limit": 1}
    if direction < 0 or not wanted:
        find["sort"] = {"$natural": direction}
    found = _documents(client, "local", find)
    moment: Timestamp | None = found[0]["ts"] if found else None
    return moment


def _documents(client: RawClient, database: str, find: _Filter) -> list[dict[str, Any]]:
    return [one for data, _ in raw_batches(client[database], find) for one in bson.decode_all(data, DECODED)]


# --- moments ---------------------------------------------------------------------------------------


def moment_of_entry(entry: bytes) -> OplogTime | None:
    """When an entry was written; None for a document that is no entry. Raises Corrupt when it is no document."""
    place = find_element(entry, b"ts")
    if place is None or place[0] != TIMESTAMP:
        return None
    return OplogTime(
        time=int.from_bytes(entry[place[1] + 4 : place[2]], "little"),
        increment=int.from_bytes(entry[place[1] : place[1] + 4], "little"),
    )


def oplog_time(moment: Timestamp) -> OplogTime:
    return OplogTime(time=moment.time, increment=moment.inc)


def timestamp(moment: OplogTime) -> Timestamp:
    return Timestamp(moment.time, moment.increment)
