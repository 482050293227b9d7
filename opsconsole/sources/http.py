"""The stack's health addresses, asked by us: each on a thread of its own, a fresh connection each time.

A fresh connection is what a visitor makes: a kept one would go on working while the server accepts no more.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from opsconsole import __version__
from opsconsole.model import Container, Endpoint, Probe, Stack
from opsconsole.sources.absence import why_not_running
from opsconsole.sources.certificate import certificate_of, expiry
from opsconsole.sources.lane import Lane
from opsconsole.sources.network import Fault, certificate_problem, fault_of, greeting
from opsconsole.text import mask_uri, printable

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

NEWEST = 30  # answers that are told one by one
WINDOW_SECONDS = 300.0
"""Averages and error shares are over this long."""

LONGEST_BODY = 64 * 1024
CONNECT_SECONDS = 3.0

GUESSED_PATHS = ("/api/health", "/health", "/healthz", "/")
"""Asked in this order at a published port until one answers."""

_ASK_AGAIN_SECONDS = 300.0
"""A published port that does not speak HTTP is left alone for so long."""

_CERTIFICATE_SECONDS = 600.0
"""A certificate is read again after so long."""

_MONGODB_OVER_HTTP = b"access MongoDB over HTTP"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Answer:
    """What one request brought. `status` None: no HTTP answer, `problem` says why."""

    url: str
    ok: bool
    status: int | None = None
    seconds: float | None = None
    problem: str = ""
    foreign: bool = False  # something answers there, and it does not speak HTTP


class HttpProbes:
    """Implements `ProbeSource`."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now, window_seconds: float = WINDOW_SECONDS) -> None:
        self._clock = clock
        self._window = window_seconds
        self._asker = Asker()
        self._watched: dict[tuple[str, str], _Watched] = {}

    def look(self, stack: Stack, containers: Sequence[Container]) -> tuple[Probe, ...]:
        """Ask every endpoint at once; returns when all have answered or run out of time."""
        keys = {(endpoint.name, endpoint.url): endpoint for endpoint in stack.endpoints}
        self._watched = {
            key: self._watched.get(key) or _Watched(endpoint, self._asker, self._window)
            for key, endpoint in keys.items()
        }
        for key, endpoint in keys.items():
            self._watched[key].ask(endpoint)
        begun = time.monotonic()
        now = self._clock()
        found = [one.probe(begun, now, containers) for one in self._watched.values()]
        return tuple(probe for probe in found if probe is not None)

    def close(self) -> None:
        """Let go of every connection."""
        self._watched = {}
        self._asker.close()


class _Watched:
    """One endpoint: its lane, the path that answers, and its last five minutes."""

    def __init__(self, endpoint: Endpoint, asker: Asker, window_seconds: float) -> None:
        self.endpoint = endpoint
        self._asker = asker
        self._window_seconds = window_seconds
        self._lane: Lane[Answer] = Lane(f"probe-{endpoint.name}")
        self._path = ""  # of a published port: the one that answered
        self._spoke_http = False
        self._left_alone_until = 0.0
        self._window: deque[tuple[float, bool, float | None]] = deque()
        self._certificate_ends: datetime | None = None
        self._certificate_due = 0.0

    def ask(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        if time.monotonic() >= self._left_alone_until:
            self._lane.ask(self._answer)

    def probe(self, begun: float, now: datetime, containers: Sequence[Container]) -> Probe | None:
        """The probe with its window; None for a port where something else than HTTP listens."""
        if time.monotonic() < self._left_alone_until:
            return None
        timeout = self.endpoint.timeout_seconds
        answered = self._lane.wait(begun + timeout + 0.5)
        answer = self._lane.answer
        if not answered or answer is None:
            answer = Answer(self.endpoint.url, ok=False, problem=f"no answer within {timeout:g} s")
        if answer.foreign:
            self._left_alone_until = time.monotonic() + _ASK_AGAIN_SECONDS
            return None
        problem = answer.problem
        if answer.status is None:
            problem = why_not_running(self.endpoint.service, containers, now)[0] or problem
        self._window.append((time.monotonic(), answer.ok, answer.seconds))
        return self._summed(answer, problem, now)

    def _summed(self, answer: Answer, problem: str, now: datetime) -> Probe:
        while self._window[0][0] < time.monotonic() - self._window_seconds:
            self._window.popleft()
        times = sorted(seconds for _, _, seconds in self._window if seconds is not None)
        return Probe(
            endpoint=msgspec.structs.replace(self.endpoint, url=mask_uri(answer.url)),
            ok=answer.ok,
            status=answer.status,
            latency_seconds=answer.seconds,
            problem=problem,
            asked_at=now,
            requests=len(self._window),
            errors=sum(not ok for _, ok, _ in self._window),
            average_seconds=sum(times) / len(times) if times else None,
            p50_seconds=percentile(times, 50),
            p95_seconds=percentile(times, 95),
            p99_seconds=percentile(times, 99),
            newest=tuple(seconds if ok else None for _, ok, seconds in islice(reversed(self._window), NEWEST)),
            certificate_ends_at=self._certificate_ends,
        )

    # --- on the lane's thread ------------------------------------------------------------------

    def _answer(self) -> Answer:
        try:
            answer = self._asked()
            if answer.status is not None or _NOT_ACCEPTED in answer.problem:
                self._read_certificate()
            return answer
        except Exception as error:  # a fault of ours must not end the lane
            log.exception("probe %s", self.endpoint.name)
            return Answer(self.endpoint.url, ok=False, problem=f"unexpected {type(error).__name__}")

    def _asked(self) -> Answer:
        if self.endpoint.origin == "published port":
            return self._guessed()
        answer = self._asker.get(self.endpoint, self.endpoint.url, self.endpoint.timeout_seconds)
        return replace(answer, foreign=False)  # somebody said that it speaks HTTP: that it does not is a failure

    def _read_certificate(self) -> None:
        """Seldom, and by a connection of its own: the one that is not accepted is the one to know about."""
        if not self.endpoint.url.startswith("https://") or time.monotonic() < self._certificate_due:
            return
        with contextlib.suppress(OSError, ValueError):  # then what was known of it stays
            self._certificate_ends = expiry(certificate_of(self.endpoint.url, CONNECT_SECONDS))
            self._certificate_due = time.monotonic() + _CERTIFICATE_SECONDS

    def _guessed(self) -> Answer:
        """Ask the path that answered last time; else find one. 4xx means alive, 5xx means broken."""
        end = time.monotonic() + self.endpoint.timeout_seconds
        answer: Answer | None = None
        for path in (self._path,) if self._path else GUESSED_PATHS:
            url = self.endpoint.url.rstrip("/") + path
            answer = self._asker.get(self.endpoint, url, max(0.1, end - time.monotonic()))
            if answer.status is None:
                self._path = ""
                return self._checked(answer)
            self._spoke_http = True
            if answer.status >= 500:
                self._path = ""  # to be found anew once it is well
                return answer
            if answer.status < 400:
                break
        assert answer is not None
        # Where every path is 4xx, the last one asked ("/") is kept.
        self._path = urlsplit(answer.url).path
        return answer

    def _checked(self, answer: Answer) -> Answer:
        """No HTTP from a port that never spoke any: is it down, or does it speak something else?"""
        if self._spoke_http:
            return replace(answer, foreign=False)
        if answer.foreign:
            return answer
        parts = urlsplit(self.endpoint.url)
        if answer.problem.endswith(_CUT) or "no answer" in answer.problem:
            said = greeting(parts.hostname or "", parts.port or 80)
            # It speaks first, or it waits for us and hangs up on HTTP. Docker's own proxy with nobody behind
            # it hangs up before we say anything: that one is down.
            if said or (said is not None and answer.problem.endswith(_CUT)):
                return Answer(answer.url, ok=False, foreign=True)
        return answer


_CUT = "closed the connection without an answer"
_NOT_ACCEPTED = "is not accepted"


def percentile(times: Sequence[float], share: float) -> float | None:
    """Of sorted times the one that `share` percent of them do not exceed (nearest rank); None of none."""
    return times[max(0, math.ceil(len(times) * share / 100) - 1)] if times else None


class Asker:
    """Makes single GET requests, each over a connection of its own; used by many threads."""

    def __init__(self) -> None:
        self._transport: httpx.HTTPTransport | None = None
        self._lock = threading.Lock()

    def get(self, endpoint: Endpoint, url: str, seconds: float) -> Answer:
        """Ask once. Follows no redirect, sends no cookie, reads at most 64 KiB."""
        import httpx

        begun = time.monotonic()
        try:
            request = httpx.Request("GET", url, headers=_headers(url))
        except (httpx.InvalidURL, ValueError):
            return Answer(url, ok=False, problem="the address cannot be used: host or port is malformed")
        connect = min(CONNECT_SECONDS, seconds)
        request.extensions["timeout"] = {"connect": connect, "read": seconds, "write": seconds, "pool": seconds}
        try:
            response = self._opened().handle_request(request)
            try:
                body = _start_of(response, begun + seconds)
            finally:
                response.close()
        except httpx.RemoteProtocolError as error:
            cut = "disconnected" in str(error) or "closed connection" in str(error)
            return _failed(url, error, seconds) if cut else Answer(url, ok=False, problem=_not_http(url), foreign=True)
        except (httpx.HTTPError, OSError) as error:
            return _failed(url, error, seconds)
        if _MONGODB_OVER_HTTP in body:
            return Answer(url, ok=False, problem=_not_http(url), foreign=True)
        ok = _is_good(endpoint, response.status_code)
        wanted = f", expected {endpoint.expect_status}" if endpoint.expect_status else ""
        problem = "" if ok else f"answers {response.status_code} {printable(response.reason_phrase)}".rstrip() + wanted
        return Answer(url, ok, response.status_code, time.monotonic() - begun, problem)

    def close(self) -> None:
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _opened(self) -> httpx.HTTPTransport:
        import httpx

        with self._lock:
            if self._transport is None:
                # Bare: no proxy of the environment, no cookie jar, no redirect between us and the service.
                limits = httpx.Limits(max_keepalive_connections=0)
                self._transport = httpx.HTTPTransport(trust_env=False, limits=limits)
            return self._transport


def _is_good(endpoint: Endpoint, status: int) -> bool:
    if endpoint.expect_status is not None:
        return status == endpoint.expect_status
    # A guessed path may be unknown to the application: any answer below 500 proves that it is alive.
    return 200 <= status < (500 if endpoint.origin == "published port" else 400)


def _headers(url: str) -> dict[str, str]:
    headers = {"User-Agent": f"opsconsole/{__version__}", "Accept": "*/*", "Connection": "close"}
    parts = urlsplit(url)
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return headers


def _start_of(response: httpx.Response, deadline: float) -> bytes:
    """The first 64 KiB of the body. Raises ReadTimeout when even they take longer than allowed."""
    import httpx

    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) >= LONGEST_BODY:
            break
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("timed out in the body")
    return bytes(body[:LONGEST_BODY])


def _failed(url: str, error: Exception, seconds: float) -> Answer:
    place = _place(url)
    said = {
        Fault.REFUSED: f"{place} refuses connections: nothing listens there",
        Fault.TIMED_OUT: f"{place} gives no answer within {seconds:.2g} s",
        Fault.UNKNOWN_NAME: f"this host does not know the name {place.partition(':')[0]}",
        Fault.NO_ROUTE: f"no network route to {place}",
        Fault.CERTIFICATE: f"the TLS certificate of {place} {_NOT_ACCEPTED}: {certificate_problem(error)}",
        Fault.TLS: f"the TLS handshake with {place} failed: it may speak plain HTTP",
        Fault.CLOSED: f"{place} {_CUT}",
    }.get(fault_of(error), f"the connection to {place} failed")
    return Answer(url, ok=False, problem=said)


def _not_http(url: str) -> str:
    return f"{_place(url)} does not speak HTTP"


def _place(url: str) -> str:
    return printable(urlsplit(url).netloc.rpartition("@")[2])
