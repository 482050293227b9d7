"""What MongoDB's and its driver's errors mean to an operator, with no password in any word."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from opsconsole.sources.connection import Connection
from opsconsole.sources.network import Explained, explain, place_of, secrets_of, user_of
from opsconsole.text import mask_text, printable

NO_CREDENTIALS_HINT = (
    "put an address with user and password into MONGODB_URI of the env file, or name it in opsconsole.toml"
)

_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18


def cut_off(error: Exception) -> bool:
    """Whether a kept connection was cut, so that a new one may do."""
    return isinstance(error, AutoReconnect) and not isinstance(
        error, NetworkTimeout | NotPrimaryError | WaitQueueTimeoutError
    )


def forbidden(error: Exception) -> bool:
    """Whether the user lacks the privilege for what was asked."""
    return getattr(error, "code", None) == _UNAUTHORIZED


def explain_failure(error: Exception, connection: Connection, client: MongoClient[Any] | None) -> Explained:
    """A look that failed, in one line and with what to do."""
    code = getattr(error, "code", None)
    origin = printable(connection.target.origin)
    if code == _AUTHENTICATION_FAILED:
        return _password_refused(connection, origin)
    if code == _UNAUTHORIZED and user_of(connection.uri):
        return _right_missing(error, connection)
    if code == _UNAUTHORIZED:
        return Explained("MongoDB wants a password and none is configured", NO_CREDENTIALS_HINT, refused=True)
    beneath = _server_error(client) if isinstance(error, ServerSelectionTimeoutError) else None
    if isinstance(beneath, OperationFailure):
        return explain_failure(beneath, connection, None)
    if isinstance(beneath, ConfigurationError):
        return Explained(_clean(beneath, connection), f"correct {origin}")
    if isinstance(error, ExecutionTimeout) or (isinstance(error, OperationFailure) and error.timeout):
        error = TimeoutError("timed out")
    if isinstance(error, OperationFailure):
        return Explained(f"MongoDB answered with an error: {_clean(error, connection)}", "see its log")
    if isinstance(error, ConnectionFailure | OSError | ConfigurationError) or beneath is not None:
        return explain(beneath or error, "MongoDB", printable(place_of(connection.uri)), origin)
    return Explained(f"MongoDB: {_clean(error, connection)}", "see its log")


def explain_unusable(error: Exception, connection: Connection) -> Explained:
    """An address that the driver does not take. Its own words are not repeated: they may quote the password."""
    text = str(error)
    origin = printable(connection.target.origin) or "the address"
    if re.search(r"\bDNS\b|resolution lifetime", text):
        return explain(error, "MongoDB", printable(place_of(connection.uri)), origin)
    if "escaped" in text:
        reason = "user and password must be percent-encoded (@ is %40, : is %3A, / is %2F)"
    elif "scheme" in text:
        reason = "it must begin with mongodb:// or mongodb+srv://"
    elif "ort" in text:
        reason = "its port must be a number from 1 to 65535"
    else:
        reason = "one of its options has a value that the driver does not take"
    return Explained(
        f"{origin} is not a MongoDB address: {reason}", "correct it, as the application cannot use it either"
    )


def _password_refused(connection: Connection, origin: str) -> Explained:

    user = printable(user_of(connection.uri))
    where = f" ({origin})" if origin else ""
    looked_up = printable(_authentication_database(connection.uri))
    hint = f'the user is looked up in database "{looked_up}" (authSource); root users live in admin'
    return Explained(f"the password of user {user} was refused{where}", hint, refused=True)


def _right_missing(error: Exception, connection: Connection) -> Explained:
    """The server says it with the whole command, which may hold data."""
    user = printable(user_of(connection.uri))
    found = re.match(r"not authorized on (\S+) to execute command \{ (\w+):", str(error))
    what = f"may not {found[2]} in database {printable(found[1])}" if found else "may not do this, or not any more"
    hint = "grant it the roles backup and restore in admin (db.grantRolesToUser)"
    return Explained(f"authenticated, but user {user} {what}", hint, refused=True)


def _authentication_database(uri: str) -> str:
    """Where the server looks the user up: authSource, else the database of the address, else admin."""
    if found := re.search(r"[?&]authSource=([^&#]+)", uri, re.IGNORECASE):
        return unquote(found[1])
    path = uri.rpartition("@")[2].partition("?")[0].partition("/")[2]
    return unquote(path) or "admin"


def _server_error(client: MongoClient[Any] | None) -> BaseException | None:
    """The error that the driver met at a server: the selection error itself only says that it waited."""
    if client is None:
        return None
    servers = client.topology_description.server_descriptions().values()
    return next((server.error for server in servers if server.error is not None), None)


def _clean(error: BaseException, connection: Connection) -> str:
    text = str(error).partition(", full error:")[0].partition(", Timeout:")[0]
    return mask_text(printable(text), secrets_of(connection.uri))[:200]
