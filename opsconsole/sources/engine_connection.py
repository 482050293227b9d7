"""The one connection to the engine: made when first needed, dropped when it breaks, made again at the next question."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from opsconsole.model import SourceError
from opsconsole.sources import engine_plain as plain
from opsconsole.sources.engine_address import Address, TlsFiles, resolve
from opsconsole.sources.engine_faults import ConnectionLost, ContainerGone, explain, refusal, too_old

OLDEST_API = "1.41"
"""Docker Engine 20.10."""

Answer = TypeVar("Answer")


class EngineConnection:
    """Asks the engine over HTTP. Safe to share between threads; every method raises SourceError."""

    def __init__(self, docker_host: str | None = None, *, timeout: float = 5.0) -> None:
        self._docker_host = docker_host
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: Any = None
        self._attempt: Future[Any] | None = None
        self._address: Address | None = None
        self._api_version = ""  # as the last plain answer named it

    @property
    def address(self) -> Address:
        """Where the engine is looked for; asked anew after a failure, for a socket may have appeared."""
        if self._address is None:
            self._address = resolve(self._docker_host)
        return self._address

    @property
    def api_version(self) -> str:
        """The API version agreed on, "" while there is no connection."""
        client = self._client
        return self._api_version or (str(client.api_version) if client is not None else "")

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """The JSON answer of a GET, asked once more when a kept connection turns out to be dead."""
        kept = self.api_version != ""
        try:
            return self._get(path, params, timeout or self._timeout)
        except ConnectionLost:
            if not kept:
                raise
            return self._get(path, params, timeout or self._timeout)

    def post(self, path: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> None:
        """Order something. Never repeated: a lost answer does not say that nothing was done."""

        def order(client: Any) -> None:
            client._raise_for_status(client._post(client._url(path), params=params, timeout=timeout or self._timeout))

        self.ask(order)

    def stream(self, path: str, params: Mapping[str, Any], *, quiet_seconds: float) -> Any:
        """An answer that goes on, its headers read. Reading it raises after `quiet_seconds` without a byte."""

        def begin(client: Any) -> Any:
            # Not one of the pooled connections: those are few, and this one is never given back.
            response = client._get(client._url(path), params=params, stream=True, timeout=self._timeout)
            client._raise_for_status(response)
            if found := socket_of(response):
                found.settimeout(quiet_seconds)
            return response

        return self.ask(begin)

    def ask(self, question: Callable[[Any], Answer]) -> Answer:
        """What the SDK's client answers, for what has no method here."""
        client = self._connected()
        try:
            return question(client)
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status == 404:
                raise _missing(str(getattr(error, "explanation", ""))) from error
            if status is None:
                explained = explain(error, self.address, self._timeout)
                self._drop(client)
                raise explained from error
            raise explain(error, self.address, self._timeout) from error

    def fault(self, error: BaseException) -> SourceError:
        """What an error means that came out of a stream. The connection is made anew at the next question."""
        explained = explain(error, self.address, self._timeout)
        self._drop(self._client)
        return explained

    def close(self) -> None:
        self._drop(self._client)

    def _get(self, path: str, params: Mapping[str, Any] | None, timeout: float) -> Any:
        address = self.address
        if not plain.is_plain(address):
            return self.ask(lambda client: _json(client, path, params, timeout))
        try:
            answer, version = plain.get(address, path, params, timeout)
        except plain.Refused as refused:
            if refused.status_code == 404:
                raise _missing(refused.explanation) from refused
            raise explain(refused, address, timeout) from refused
        except Exception as error:
            self._address, self._api_version = None, ""
            raise explain(error, address, timeout) from error
        if version != self._api_version:
            self._check(version, address)
            self._api_version = version
        return answer

    def _check(self, version: str, address: Address) -> None:
        if _numbers(version) < _numbers(OLDEST_API):
            raise too_old(address, version, OLDEST_API)

    def _connected(self) -> Any:
        """The client. Whoever asks while somebody connects waits for that: an engine that hangs is not asked in a
        queue, where the fifth would wait five times as long."""
        with self._lock:
            if self._client is not None:
                return self._client
            attempt, others = self._attempt, self._attempt is not None
            if attempt is None:
                attempt = self._attempt = Future()
        if others:
            return attempt.result()
        try:
            self._address = None
            client = self._connect(self.address)
        except BaseException as error:
            self._attempt = None
            attempt.set_exception(error)
            raise
        with self._lock:
            self._client, self._attempt = client, None
        attempt.set_result(client)
        return client

    def _connect(self, address: Address) -> Any:
        if address.host.startswith("ssh://"):
            raise SourceError(
                f"An engine behind SSH ({address.shown}, {address.origin}) is not supported",
                "Log in to that server and run opsconsole there",
            )
        import docker

        try:
            client = docker.APIClient(
                base_url=address.host, version="auto", timeout=self._timeout, tls=_tls(address.tls) or False
            )
        except Exception as error:
            raise explain(error, address, self._timeout) from error
        try:
            self._check(client.api_version, address)
        except SourceError:
            client.close()
            raise
        return client

    def _drop(self, client: Any) -> None:
        with self._lock:
            if client is not None and self._client is client:
                self._client = None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()


def _missing(explanation: str) -> SourceError:
    """A 404 may also speak of something the container needs: a network that was removed."""
    what = explanation.lower()
    if "network" in what and "no such container" not in what:
        return refusal(explanation)
    return ContainerGone()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def socket_of(response: Any) -> socket.socket | None:
    """The socket below a streamed response, to wake its reader from another thread."""
    connection = getattr(response.raw, "connection", None)
    return getattr(connection, "sock", None)


def _json(client: Any, path: str, params: Mapping[str, Any] | None, timeout: float) -> Any:
    return client._result(client._get(client._url(path), params=params, timeout=timeout), json=True)


def _tls(files: TlsFiles | None) -> Any:
    if files is None:
        return None
    from docker.tls import TLSConfig

    certificate = (files.certificate, files.key) if files.certificate or files.key else None
    return TLSConfig(client_cert=certificate, ca_cert=files.authority or None, verify=files.verify)
