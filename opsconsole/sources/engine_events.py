"""The engine's event stream: what changed, as it changes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from opsconsole.model import SourceError
from opsconsole.sources.engine_connection import EngineConnection, socket_of

# Asked of the engine by name, so that the exec_* events of every healthcheck run never leave it.
_WANTED = {
    "type": ["container", "volume", "network"],
    "event": [
        *("create", "start", "restart", "die", "stop", "kill", "oom", "pause", "unpause", "rename", "update"),
        *("destroy", "health_status", "connect", "disconnect", "mount", "unmount"),
    ],
}

# A half-open connection is silent for ever; after this much silence the stream is opened anew where it ended.
_QUIET_SECONDS = 60.0

_FIRST_DELAY, _NEXT_DELAY = 0.1, 0.5


class EventStream:
    """Follows the events of one engine. `follow` runs on the caller's thread until `stop` is set."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection
        self._closer: _Closer | None = None

    def follow(self, opened: Callable[[], None], happened: Callable[[dict[str, Any]], None], stop: Event) -> None:
        """Call `opened` once the engine sends, then `happened` with each event. Raises SourceError when it ends."""
        closer = self._closer_for(stop)
        since = ""
        while not stop.is_set():
            params = {"filters": json.dumps(_WANTED)} | ({"since": since} if since else {})
            response = self._connection.stream("/events", params, quiet_seconds=_QUIET_SECONDS)
            closer.hold(socket_of(response))
            try:
                if not since:
                    since = _begin_of(response)
                    opened()
                for event in _events(response):
                    since = _after(event) or since
                    happened(event)
                if not stop.is_set():
                    raise self._connection.fault(ConnectionResetError())
            except SourceError:
                raise
            except Exception as error:
                if stop.is_set():
                    return
                if "ReadTimeout" not in type(error).__name__:
                    raise self._connection.fault(error) from error
            finally:
                closer.hold(None)
                response.close()

    def between(self, since: float, until: float) -> list[dict[str, Any]]:
        """The events of a time (seconds since 1970), of the last 256 that the engine remembers. Raises SourceError."""
        params = {"filters": json.dumps(_WANTED), "since": f"{since:.6f}", "until": f"{until:.6f}"}
        response = self._connection.stream("/events", params, quiet_seconds=_QUIET_SECONDS)
        try:
            return list(_events(response))
        except Exception as error:
            raise self._connection.fault(error) from error
        finally:
            response.close()

    def close(self) -> None:
        """Wake the reader; it finds its stream ended."""
        if self._closer:
            self._closer.shut()

    def _closer_for(self, stop: Event) -> _Closer:
        if self._closer is None or self._closer.stop is not stop:
            self._closer = _Closer(stop)
            threading.Thread(target=self._closer.run, name="events-closer", daemon=True).start()
        return self._closer


class Folder:
    """Calls `changed` soon after a poke: bursts become one call, a flood two calls a second."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._called_at = 0.0

    def poke(self) -> None:
        with self._lock:
            if self._timer is not None:
                return
            flooded = time.monotonic() - self._called_at < 1.0
            self._timer = threading.Timer(_NEXT_DELAY if flooded else _FIRST_DELAY, self._call)
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()

    def _call(self) -> None:
        with self._lock:
            self._timer = None
            self._called_at = time.monotonic()
        self._changed()


class _Closer:
    """Waits for `stop` beside the reader, which cannot: it blocks in the socket."""

    def __init__(self, stop: Event) -> None:
        self.stop = stop
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def run(self) -> None:
        self.stop.wait()
        self.shut()

    def hold(self, held: socket.socket | None) -> None:
        with self._lock:
            self._socket = held
        if held is not None and self.stop.is_set():
            self.shut()

    def shut(self) -> None:
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


def _events(response: Any) -> Iterator[dict[str, Any]]:
    buffer = b""
    for chunk in response.raw.stream(None, decode_content=False):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event


def _begin_of(response: Any) -> str:
    """The engine's own time when the stream began: its clock may differ from ours."""
    from email.utils import parsedate_to_datetime  # 4 ms: who asks once follows no events

    try:
        return str(int(parsedate_to_datetime(response.headers["Date"]).timestamp()))
    except (KeyError, TypeError, ValueError):
        return str(int(time.time()))


def _after(event: dict[str, Any]) -> str:
    nanoseconds = event.get("timeNano")
    if not isinstance(nanoseconds, int):
        return ""
    seconds, rest = divmod(nanoseconds + 1, 1_000_000_000)
    return f"{seconds}.{rest:09d}"
