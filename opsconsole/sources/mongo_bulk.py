"""A client for much data: the same address and errors as the one that looks, other patience.

Importing this module imports pymongo (about 0.1 s).
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, ReadPreference
from pymongo.errors import ConfigurationError, PyMongoError, ServerSelectionTimeoutError

from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_faults import explain_failure, explain_unusable
from opsconsole.sources.network import Explained, knock, place_of
from opsconsole.text import printable

RawClient = MongoClient[RawBSONDocument]

ANSWER_SECONDS = 120.0
"""How long the server may take for one answer while data is read: a batch of 1.3 MB from a slow disk takes less
than a second."""

_OPTIONS: dict[str, Any] = {
    "appname": "opsconsole backup",
    "document_class": RawBSONDocument,
    "serverSelectionTimeoutMS": 5000,
    "connectTimeoutMS": 5000,
    "maxPoolSize": 8,
    "serverMonitoringMode": "poll",
    "unicode_decode_error_handler": "replace",  # what it says of an error may quote bytes that are no text
    "retryReads": False,
    "retryWrites": False,
}


@contextlib.contextmanager
def bulk_client(connection: Connection, *, answer_seconds: float | None = ANSWER_SECONDS) -> Iterator[RawClient]:
    """A connected client whose documents stay raw bytes. `answer_seconds` None waits for ever: building an index
    takes as long as it takes, and a server that is gone is noticed by TCP's keepalive.

    Whatever the driver raises, in here and in the caller's block, comes out as Explained.
    """
    _knock(connection)
    client = _open(connection, answer_seconds)
    try:
        with explained(connection, client):
            client.admin.command("ping", read_preference=ReadPreference.PRIMARY_PREFERRED)
            yield client
    finally:
        client.close()


@contextlib.contextmanager
def explained(connection: Connection, client: RawClient | None = None) -> Iterator[None]:
    """Turns the driver's errors into Explained ones."""
    try:
        yield
    except PyMongoError as error:
        raise explain_failure(error, connection, client) from error
    except InvalidBSON as error:
        reason = f"MongoDB sent what cannot be read: {printable(str(error))[:200]}"
        raise Explained(reason, "options or indexes with bytes that are no text? See its log") from error


def _knock(connection: Connection) -> None:
    """The driver would try for 5 s before it says that nobody is there."""
    if "," in place_of(connection.uri) or not connection.uri.startswith("mongodb://"):
        return
    try:
        with contextlib.suppress(OverflowError):  # a port that is none, which the driver explains
            knock(connection.uri)
    except OSError as error:
        raise explain_failure(error, connection, None) from error


def _open(connection: Connection, answer_seconds: float | None) -> RawClient:
    uri = connection.uri.lower()
    single = "," not in place_of(connection.uri) and not uri.startswith("mongodb+srv")
    named = re.search(r"[?&]replicaset=", uri) or "directconnection=false" in uri
    if not single or not named:
        return _made(connection, answer_seconds, direct=single)
    client = _made(connection, answer_seconds, direct=False)
    try:
        client.admin.command("ping", read_preference=ReadPreference.PRIMARY_PREFERRED)
    except ServerSelectionTimeoutError:
        # The set's members go by names that this host does not know: ask the one we can reach.
        client.close()
        return _made(connection, answer_seconds, direct=True)
    except PyMongoError as error:
        client.close()
        raise explain_failure(error, connection, None) from error
    return client


def _made(connection: Connection, answer_seconds: float | None, *, direct: bool) -> RawClient:
    options = dict(_OPTIONS)
    if answer_seconds is not None:
        options["socketTimeoutMS"] = int(answer_seconds * 1000)
    if direct:
        options |= {"directConnection": True, "replicaSet": None}
    if not connection.uri:
        raise Explained(connection.problem or "MongoDB has no address", connection.hint)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MongoClient(connection.uri, **options)
    except (ConfigurationError, ValueError, TypeError) as error:
        raise explain_unusable(error, connection) from None
