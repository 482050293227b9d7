"""One Redis (or Valkey) server, asked again and again over one kept connection.

Importing this module imports redis-py (about 0.1 s): `databases` does so on the thread that asks.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.connection import Connection as Link
from redis.connection import parse_url
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from opsconsole.database_work import View, Work
from opsconsole.model import RedisStatus
from opsconsole.sources import redis_work
from opsconsole.sources.connection import Connection
from opsconsole.sources.network import Explained, Fault, explain, fault_of, greeting, place_of, secrets_of, user_of
from opsconsole.sources.redis_clients import introduce
from opsconsole.sources.redis_parse import standing_problem, status_from_info
from opsconsole.text import mask_text, printable

CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 3.0
"""How long a connection and one answer may take. INFO takes well below a millisecond."""

_SETTINGS = ("save", "maxclients", "stop-writes-on-bgsave-error")

_NO_PASSWORD_SET = re.compile(r"without any password configured|no password is set", re.IGNORECASE)


def utc_now() -> datetime:
    return datetime.now(UTC)


class RedisServer:
    """One server behind one URI, asked from one thread at a time."""

    def __init__(self, connection: Connection, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._needless_password = False
        self._evicted: tuple[float, int | None] = (0.0, None)  # when (monotonic), and how many keys since its start

    def look(self) -> RedisStatus:
        """How the server is. Never raises: what is wrong stands in the status."""
        try:
            return self._look_with_or_without_password()
        except Explained as failure:
            found = failure
        except (RedisError, OSError, ValueError) as error:
            found = self._explain(error)
        self.close()  # whatever it was, the next look begins with a new connection
        return RedisStatus(target=self.connection.target, refused=found.refused, problem=found.problem, hint=found.hint)

    def at_work(self, view: View, collections: Sequence[tuple[str, str]] = ()) -> Work:
        """See `redis_work`; over a connection of its own, which gives bytes. Raises SourceError."""
        client: redis.Redis | None = None
        try:
            client = redis.Redis(connection_pool=self._pool(decode=False, most=1))
            client.set_response_callback("CLIENT LIST", lambda answer, **_: answer)
            for command in ("INFO", "CONFIG GET", "SLOWLOG", "SLOWLOG GET", "SCAN"):
                client.set_response_callback(command, lambda answer, **_: answer)
            return redis_work.look(client, view)
        except (RedisError, OSError, ValueError) as error:
            raise self._explain(error) from None
        finally:
            if client is not None:
                client.connection_pool.disconnect()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
            client.connection_pool.disconnect()

    # --- a look --------------------------------------------------------------------------------

    def _look_with_or_without_password(self) -> RedisStatus:
        """A password that the server does not ask for makes the login fail, and says more than that."""
        try:
            return self._look_once()
        except AuthenticationError as error:
            if not self._needless_password and not _NO_PASSWORD_SET.search(str(error)):
                raise
            self.close()
            # The server asks for none, or does so by now.
            self._needless_password = not self._needless_password
            return self._look_once()

    def _look_once(self) -> RedisStatus:
        client = self._open()
        # Opens the connection, so that INFO measures an answer alone.
        settings = self._settings(client)
        begun = time.monotonic()
        info = str(client.execute_command("INFO"))  # type: ignore[no-untyped-call]
        latency = time.monotonic() - begun
        status = status_from_info(
            self.connection.target, info, settings=settings, latency_seconds=latency, now=self._clock()
        )
        status = self._with_evictions(status)
        problem, hint = standing_problem(status, info, settings or {})
        if not problem and self._needless_password:
            origin = printable(self.connection.target.origin) or "the address"
            problem = f"Redis asks for no password, although {origin} has one: anyone who reaches it may use it"
            hint = "set requirepass in the service's command or configuration and recreate it"
        return msgspec.structs.replace(status, problem=problem, hint=hint)

    def _with_evictions(self, status: RedisStatus) -> RedisStatus:
        """How fast it evicts since the look before; unknown at the first one, and after a restart."""
        (before_at, before), now = self._evicted, (time.monotonic(), status.evicted_keys)
        self._evicted = now
        if before is None or now[1] is None or now[1] < before or now[0] <= before_at:
            return status
        return msgspec.structs.replace(status, evictions_per_second=(now[1] - before) / (now[0] - before_at))

    def _settings(self, client: redis.Redis) -> dict[str, str] | None:
        """What CONFIG GET tells; None when it is forbidden or, at a managed server, renamed away."""
        settings: dict[str, str] = {}
        for name in _SETTINGS:
            try:
                answer: Any = client.execute_command("CONFIG GET", name)  # type: ignore[no-untyped-call]
            except (NoPermissionError, ResponseError) as error:
                if _is_denied(error):
                    raise
                return None
            pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=False)
            settings.update({str(key): str(value) for key, value in pairs})
        return settings

    def _open(self) -> redis.Redis:
        with self._lock:
            if self._client is not None:
                return self._client
            pool = self._pool(decode=True, most=2)
            self._client = redis.Redis(connection_pool=pool)
            for command in ("INFO", "CONFIG GET"):
                self._client.set_response_callback(command, lambda answer, **_: answer)
            return self._client

    def _pool(self, *, decode: bool, most: int) -> redis.ConnectionPool:
        try:
            options: dict[str, Any] = dict(parse_url(self.connection.uri))  # type: ignore[no-untyped-call]
        except ValueError:
            raise self._unusable() from None
        options.pop("db", None)  # INFO tells of all of them
        if self._needless_password:
            options.pop("username", None)
            options.pop("password", None)
        return redis.ConnectionPool(
            connection_class=options.pop("connection_class", Link),
            max_connections=most,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # The protocol of every version; HELLO is unknown before Redis 6.
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=introduce,
            decode_responses=decode,
            encoding_errors="replace",
            **options,
        )

    # --- what went wrong -----------------------------------------------------------------------

    def _unusable(self) -> Explained:
        """The client's own words are not repeated: they may quote the password."""
        origin = printable(self.connection.target.origin) or "the address"
        return Explained(
            f"{origin} is not a Redis address",
            "write redis://:password@host:6379, with @ : / in the password percent-encoded",
        )

    def _said_at_the_door(self, error: Exception) -> str:
        """Why the server hung up: it says so before it is asked, and redis-py asks before it listens."""
        if isinstance(error, AuthenticationError | ResponseError) or fault_of(error) is not Fault.CLOSED:
            return ""
        host, _, port = place_of(self.connection.uri).rpartition(":")
        said = greeting(host.strip("[]"), int(port)) if host and port.isdigit() else None
        return (said or b"").decode(errors="replace")

    def _explain(self, error: Exception) -> Explained:
        origin = printable(self.connection.target.origin)
        where = f" ({origin})" if origin else ""
        text = str(error) + self._said_at_the_door(error)
        user = printable(user_of(self.connection.uri) or "default")
        if isinstance(error, AuthenticationError):
            if secrets_of(self.connection.uri):
                hint = f"compare {origin or 'the address'} with requirepass or the users of the server (ACL LIST)"
                return Explained(f"the password of user {user} was refused (WRONGPASS){where}", hint, refused=True)
            return Explained(
                "Redis wants a password and none is configured (NOAUTH)",
                "put REDIS_PASSWORD or REDIS_URL into the env file, or name it in opsconsole.toml",
                refused=True,
            )
        if isinstance(error, NoPermissionError):
            return Explained(
                f"authenticated, but user {user} may not run INFO (NOPERM)",
                f"allow it: ACL SETUSER {user} +info +config|get",
                refused=True,
            )
        if "protected mode" in text:
            return Explained(
                "Redis is in protected mode: it answers only its own host and has no password",
                "set requirepass for it, then put the password into the address",
                refused=True,
            )
        if "max number of clients" in text:
            return Explained("Redis takes no more clients (maxclients reached)", "find who holds them: CLIENT LIST")
        if isinstance(error, ResponseError):
            said = mask_text(printable(text), secrets_of(self.connection.uri))[:200]
            return Explained(f"Redis answered with an error: {said}", "see its log")
        return explain(error, "Redis", printable(place_of(self.connection.uri)), origin)


def _is_denied(error: Exception) -> bool:
    """An error that every command gets, not only CONFIG."""
    return "protected mode" in str(error) or isinstance(error, AuthenticationError)
