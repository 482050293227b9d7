"""What is in a MongoDB server now, to be told beside what a backup would put in its place."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from opsconsole.backups.mongo_catalog import Selection, collection_infos, database_names
from opsconsole.backups.mongo_names import is_beside
from opsconsole.backups.mongo_raw import ask
from opsconsole.model import Record
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import RawClient, bulk_client

_PATIENCE_MS = 2000
"""Of a count by index: an estimate is not worth more."""


class LiveCollection(Record, frozen=True):
    """`documents` by the server's own count. `newer`: those that were made after a moment, by the time in their _id;
    None where that cannot be told."""

    database: str
    name: str
    kind: str = "collection"
    documents: int | None = None
    newer: int | None = None


def live_collections(
    connection: Connection, databases: Collection[str] = (), since: datetime | None = None
) -> tuple[LiveCollection, ...]:
    """Of these databases, of all by default. Raises Explained, which is a SourceError."""
    found: list[LiveCollection] = []
    with bulk_client(connection) as client:
        for database in names(client, databases, connection.target.database):
            for info in collection_infos(client[database]):
                name, kind = str(info["name"]), str(info.get("type", "collection"))
                if not is_beside(name) and not name.startswith("system."):
                    found.append(_counted(client, database, name, kind, since))
    return tuple(found)


def names(client: RawClient, databases: Collection[str], own: str) -> list[str]:
    """Those of the databases that are there."""
    return database_names(client, Selection(databases=frozenset(databases)), own)


def _counted(client: RawClient, database: str, name: str, kind: str, since: datetime | None) -> LiveCollection:
    if kind == "view":
        return LiveCollection(database=database, name=name, kind=kind)
    documents: int | None = None
    newer: int | None = None
    try:
        documents = int(ask(client[database], {"count": name})["n"])
        if since is not None and kind == "collection":
            # An _id tells the second only; most of what was made in the second of the backup is in it.
            query = {"_id": {"$gte": ObjectId.from_datetime(since + timedelta(seconds=1))}}
            newer = int(ask(client[database], {"count": name, "query": query, "maxTimeMS": _PATIENCE_MS})["n"])
    except (OperationFailure, PyMongoError):
        pass  # it is an estimate: what cannot be counted is not told
    return LiveCollection(database=database, name=name, kind=kind, documents=documents, newer=newer)
