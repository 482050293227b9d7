"""Users and roles of MongoDB out of a dump: only when somebody asks for them.

The server merges them itself, passwords and all, from collections that we fill. Whoever does this stays as he is: a
restore never locks out the one who runs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import bson
import msgspec
from pymongo.errors import PyMongoError

from opsconsole.backups.bson_documents import document_ends
from opsconsole.backups.mongo_dumps import Dump
from opsconsole.backups.mongo_inserting import insert_documents
from opsconsole.backups.mongo_loading import SURE, drop
from opsconsole.backups.mongo_raw import DECODED, ask, raw_batches
from opsconsole.backups.reading import Corrupt
from opsconsole.sources.mongo_bulk import RawClient

_USERS, _ROLES = "opsconsole.users", "opsconsole.roles"  # in admin, while the server merges them


class RestoredUsers(msgspec.Struct, frozen=True):
    """Names as "name@database"."""

    users: tuple[str, ...]
    roles: tuple[str, ...]
    left_alone: tuple[str, ...]  # whoever is logged in here


def restore_users(client: RawClient, dump: Dump) -> RestoredUsers:
    """Users and roles of the dump are as they were then; others stay as they are.

    The dump is read to its end. Raises Corrupt when it has no users, and the driver's errors.
    """
    documents: dict[str, bytes] = {"system.users": b"", "system.roles": b""}
    found = False
    for batch in dump.batches():
        if batch.entry.database == "admin" and batch.entry.name in documents:
            documents[batch.entry.name] += batch.data
            found = True
    if not found:
        raise Corrupt("holds no users and roles")
    logged_in = _logged_in(client)
    users = {name: one for name, one in _named(documents["system.users"], "user") if name not in logged_in}
    roles = dict(_named(documents["system.roles"], "role"))
    _merge(
        client,
        {**_present(client, "system.users", "user"), **users},
        {**_present(client, "system.roles", "role"), **roles},
    )
    return RestoredUsers(tuple(users), tuple(roles), tuple(sorted(logged_in)))


def _merge(client: RawClient, users: Mapping[str, bytes], roles: Mapping[str, bytes]) -> None:
    """Let these be all users and roles. (Without `drop` the server would skip those that it has.)"""
    try:
        for collection, listed in ((_USERS, users), (_ROLES, roles)):
            drop(client.admin, collection)
            insert_documents(client.admin, collection, b"".join(listed.values()))
        merge = {"tempUsersCollection": f"admin.{_USERS}", "tempRolesCollection": f"admin.{_ROLES}"}
        ask(client.admin, {"_mergeAuthzCollections": 1, **merge, "drop": True, "db": "", "writeConcern": SURE})
    finally:
        for collection in (_USERS, _ROLES):
            with contextlib.suppress(PyMongoError):
                drop(client.admin, collection)


def _logged_in(client: RawClient) -> set[str]:
    status = ask(client.admin, {"connectionStatus": 1})
    return {f"{one['user']}@{one['db']}" for one in status["authInfo"]["authenticatedUsers"]}


def _present(client: RawClient, collection: str, field: str) -> dict[str, bytes]:
    return {
        name: one for data, _ in raw_batches(client.admin, {"find": collection}) for name, one in _named(data, field)
    }


def _named(documents: bytes, field: str) -> Iterator[tuple[str, bytes]]:
    """Each document with the name that it is known by."""
    at = 0
    for end in document_ends(documents):
        one = documents[at:end]
        at = end
        try:
            told = bson.decode(one, DECODED)
        except Exception:
            raise Corrupt("has a user or role that cannot be read") from None
        yield f"{told.get(field)}@{told.get('db')}", one
