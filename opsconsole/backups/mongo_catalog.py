"""What a MongoDB server holds, as a dump lists it: collections, views and time series with options and indexes.

What mongodump leaves out is left out here: `local`, what the server keeps for itself in `config`, and `system.`
collections but for stored JavaScript, users and roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from bson import json_util
from bson.binary import Binary
from pymongo.errors import OperationFailure

from opsconsole.backups.mongo_archive import BUCKETS, Entry
from opsconsole.backups.mongo_names import PROOF, STAGED
from opsconsole.backups.mongo_raw import DECODED, RawDatabase, answers, ask
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.sources.mongo_faults import forbidden
from opsconsole.sources.network import Explained

_OF_CONFIG = frozenset({"chunks", "collections", "databases", "settings", "shards", "tags", "version"})
_OF_ADMIN = ("system.users", "system.roles", "system.version")
_EXTENDED_JSON = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL,
    document_class=dict,
    tz_aware=False,
    datetime_conversion=DECODED.datetime_conversion,
    uuid_representation=DECODED.uuid_representation,
)

Document = dict[str, Any]


class Selection(msgspec.Struct, frozen=True):
    """Which part of a server or of a dump is meant; both empty means everything."""

    databases: frozenset[str] = frozenset()
    collections: frozenset[str] = frozenset()  # "database.collection"

    @property
    def everything(self) -> bool:
        return not self.databases and not self.collections

    def takes(self, database: str, name: str) -> bool:
        return self.everything or database in self.databases or f"{database}.{name}" in self.collections

    def touches(self, database: str) -> bool:
        """Whether anything of a database may be meant."""
        return (
            self.everything
            or database in self.databases
            or any(path.startswith(f"{database}.") for path in self.collections)
        )


class Metadata(msgspec.Struct, frozen=True):
    """What a dump says of a collection beside its documents."""

    options: Document = {}
    indexes: tuple[Document, ...] = ()


class Listed(msgspec.Struct, frozen=True):
    """One entry of a server's list, and how its documents are read."""

    entry: Entry
    uuid: Binary | None = None  # of the collection that holds the documents; None for a view
    capped: bool = False
    indexes: int = 0


class Catalog(msgspec.Struct, frozen=True):
    listed: tuple[Listed, ...]
    left_out: tuple[str, ...] = ()  # what this user may not read, and why that may be missing

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(one.entry for one in self.listed)


def database_names(client: RawClient, selection: Selection, own: str = "") -> list[str]:
    """The databases that a dump of everything holds, or those selected; `own` when this user may not list any."""
    try:
        reply = ask(client.admin, {"listDatabases": 1, "nameOnly": True})
        names = [str(one["name"]) for one in reply["databases"]]
    except OperationFailure as error:
        if not forbidden(error):
            raise
        names = sorted({*selection.databases, *(path.partition(".")[0] for path in selection.collections)})
        names = names or ([own] if own else [])
        if not names:
            raise
    return sorted(
        name
        for name in names
        if name != "local" and not name.startswith(("__mdb_internal", PROOF)) and selection.touches(name)
    )


def catalog(client: RawClient, selection: Selection, own: str = "") -> Catalog:
    """Everything that is to be saved, users and roles first, then by name."""
    listed: list[Listed] = []
    left_out: list[str] = []
    for name in database_names(client, selection, own):
        for info in collection_infos(client[name]):
            if not selection.takes(name, str(info["name"])) or not is_kept(name, str(info["name"])):
                continue
            found = _listed(client[name], info)
            if name == "admin" and found.entry.name in _OF_ADMIN and not _readable(client, found):
                left_out.append(f"admin.{found.entry.name}")
            else:
                listed.append(found)
    listed.sort(key=lambda one: (_rank(one.entry), one.entry.database, one.entry.name))
    return Catalog(tuple(listed), tuple(left_out))


def collection_infos(database: RawDatabase) -> list[Document]:
    """What the server lists for a database, by name. A time series is listed once, with the UUID of its buckets."""
    infos = answers(database, {"listCollections": 1})
    by_name = {str(info["name"]): info for info in infos}
    for name, info in by_name.items():
        if info.get("type") == "timeseries":
            buckets = by_name.get(BUCKETS + name)
            if buckets is None:
                raise Explained(
                    f"the time series {database.name}.{name} is stored in a way that is unknown here",
                    "leave it out of the backup and save it with mongodump; MongoDB before 8.3 is understood",
                )
            info["info"] = buckets["info"]
    return [by_name[name] for name in sorted(by_name)]


def is_kept(database: str, name: str) -> bool:
    """Whether a collection belongs into a dump."""
    if database == "config":
        return name in _OF_CONFIG
    if database == "admin" and name in _OF_ADMIN:
        return True
    if name.endswith(STAGED):
        return False  # a shadow that a restore did not get to put in place: it is in the backup it came from
    return not name.startswith("system.") or name == "system.js"


def is_of_users(entry: Entry) -> bool:
    """Whether a collection holds users or roles, or in which form the server keeps them."""
    return entry.database == "admin" and entry.name in _OF_ADMIN


def _rank(entry: Entry) -> int:
    return _OF_ADMIN.index(entry.name) if entry.database == "admin" and entry.name in _OF_ADMIN else len(_OF_ADMIN)


def _readable(client: RawClient, listed: Listed) -> bool:
    try:
        ask(client.admin, {"find": listed.entry.name, "limit": 1})
    except OperationFailure as error:
        if not forbidden(error):
            raise
        return False
    return True


def _listed(database: RawDatabase, info: Document) -> Listed:
    name, kind = str(info["name"]), str(info.get("type", "collection"))
    options: Document = info.get("options", {})
    uuid = info.get("info", {}).get("uuid")
    indexes = index_specs(database, name) if kind != "view" else []
    written: Document = {"options": options} if options else {}
    written["indexes"] = indexes
    if uuid is not None and kind == "collection":
        written["uuid"] = bytes(uuid).hex()
    written |= {"collectionName": name, "type": kind}
    entry = Entry(database.name, name, kind, to_json(written))
    return Listed(entry, uuid, bool(options.get("capped")), len(indexes))


def index_specs(database: RawDatabase, name: str) -> list[Document]:
    """The indexes of a collection as the server describes them; none when it is gone."""
    try:
        return answers(database, {"listIndexes": name})
    except OperationFailure as error:
        if error.code == 26:  # NamespaceNotFound: dropped since it was listed, which reading it will find out
            return []
        raise


def to_json(document: Document) -> str:
    """Canonical Extended JSON, byte for byte as mongodump writes it."""
    return json_util.dumps(document, json_options=_EXTENDED_JSON, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str) -> Document:
    """Extended JSON of any age, canonical or relaxed. Raises ValueError."""
    try:
        found = json_util.loads(text, json_options=_EXTENDED_JSON)
    except (TypeError, KeyError, RecursionError, ArithmeticError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, dict):
        raise ValueError("is no document")
    return found


def metadata_of(entry: Entry) -> Metadata:
    """Options and indexes that a dump lists for a collection. Raises ValueError when they cannot be read."""
    if not entry.metadata:
        return Metadata()
    found = from_json(entry.metadata)
    options, indexes = found.get("options") or {}, found.get("indexes") or []
    if not isinstance(options, dict) or not _documents(indexes):
        raise ValueError("options or indexes are not what they should be")
    return Metadata(options, tuple(indexes))


def _documents(values: object) -> bool:
    return isinstance(values, Sequence) and isinstance(values, Iterable) and all(isinstance(v, dict) for v in values)
