"""Why an address did not answer: the same few causes, whatever client library met them.

pymongo, redis-py and httpx each wrap the system's errors in exceptions of their own. What an operator does
next depends on the cause only, so the cause is looked for in the chain of exceptions, then in their text
(pymongo keeps nothing else).
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import unquote

from opsconsole.model import SourceError


class Fault(StrEnum):
    """What went wrong between this host and a server."""

    REFUSED = "refused"  # the host answers, nothing listens on the port
    TIMED_OUT = "timed out"
    UNKNOWN_NAME = "unknown name"  # DNS does not know the host
    NO_ROUTE = "no route"
    CERTIFICATE = "certificate"
    TLS = "tls"  # one side speaks TLS, the other does not
    CLOSED = "closed"  # the connection was made and cut
    NO_SOCKET = "no socket"  # a Unix socket that is not there, or not for us
    OTHER = "other"


_BY_ERRNO = {
    errno.ECONNREFUSED: Fault.REFUSED,
    errno.ETIMEDOUT: Fault.TIMED_OUT,
    errno.EHOSTUNREACH: Fault.NO_ROUTE,
    errno.ENETUNREACH: Fault.NO_ROUTE,
    errno.EHOSTDOWN: Fault.NO_ROUTE,
    errno.ECONNRESET: Fault.CLOSED,
    errno.ECONNABORTED: Fault.CLOSED,
    errno.EPIPE: Fault.CLOSED,
    errno.ENOENT: Fault.NO_SOCKET,
    errno.EACCES: Fault.NO_SOCKET,
    socket.EAI_NONAME: Fault.UNKNOWN_NAME,
    socket.EAI_AGAIN: Fault.UNKNOWN_NAME,
    socket.EAI_FAIL: Fault.UNKNOWN_NAME,
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): Fault.UNKNOWN_NAME,
}

_BY_TEXT = (
    (re.compile(r"certificate verify failed", re.IGNORECASE), Fault.CERTIFICATE),
    (re.compile(r"SSL|TLS|handshake", re.IGNORECASE), Fault.TLS),
    (re.compile(r"connection refused", re.IGNORECASE), Fault.REFUSED),
    (re.compile(r"name or service not known|name resolution|nodename nor servname|DNS", re.I), Fault.UNKNOWN_NAME),
    (re.compile(r"no route to host|network is unreachable", re.IGNORECASE), Fault.NO_ROUTE),
    # "found yet": pymongo gave up choosing a server before its first greeting was answered or had failed.
    (re.compile(r"timed out|timeout connecting|timeout reading|servers found yet", re.I), Fault.TIMED_OUT),
    (re.compile(r"connection closed|closed by server|reset by peer|broken pipe|disconnected", re.I), Fault.CLOSED),
)
_ERRNO = re.compile(r"\[?Err(?:no|or) (-?\d+)\b")
_CERTIFICATE = re.compile(r"certificate verify failed: ([^(\n]+)", re.IGNORECASE)


class Explained(SourceError):
    """A failure in the operator's words. `refused`: the server answers and does not let us in."""

    def __init__(self, problem: str, hint: str = "", *, refused: bool = False) -> None:
        super().__init__(problem, hint)
        self.refused = refused


def fault_of(error: BaseException) -> Fault:
    """The cause of a failed connection, from the exception, its causes and their words."""
    import ssl  # 4 ms, for what fails only

    links = tuple(_chain(error))
    for link in links:
        if isinstance(link, ssl.SSLCertVerificationError):
            return Fault.CERTIFICATE
        if isinstance(link, ssl.SSLError):
            return Fault.TLS
        if isinstance(link, TimeoutError):
            return Fault.TLS if "handshake" in str(link) else Fault.TIMED_OUT
        if isinstance(link, OSError) and link.errno in _BY_ERRNO:
            return _BY_ERRNO[link.errno]
    # Certificate and TLS come first: their texts also hold an errno-like number or "closed".
    text = " ".join(str(link) for link in links)
    for pattern, fault in _BY_TEXT[:2]:
        if pattern.search(text):
            return fault
    if (found := _ERRNO.search(text)) and int(found[1]) in _BY_ERRNO:
        return _BY_ERRNO[int(found[1])]
    return next((fault for pattern, fault in _BY_TEXT if pattern.search(text)), Fault.OTHER)


def certificate_problem(error: BaseException) -> str:
    """What is wrong with the server's certificate, in OpenSSL's words; "" when it does not say."""
    import ssl

    for link in _chain(error):
        if isinstance(link, ssl.SSLCertVerificationError) and link.verify_message:
            return str(link.verify_message)
    found = _CERTIFICATE.search(" ".join(str(link) for link in _chain(error)))
    return found[1].strip() if found else ""


def explain(error: BaseException, product: str, place: str, origin: str) -> Explained:
    """What a failed connection to a server of `product` at `place` (host:port) means, and what to do."""
    fault = fault_of(error)
    mend = f"or correct {origin}" if origin else "or correct its address"
    server = f"{product} at {place}"
    if fault is Fault.REFUSED:
        return Explained(f"{server} refuses connections: nothing listens there", f"start it, {mend}")
    if fault is Fault.TIMED_OUT:
        return Explained(f"{server} does not answer in time", "it hangs, is overloaded or a firewall drops packets")
    if fault is Fault.UNKNOWN_NAME:
        names = ", ".join(part.rsplit(":", 1)[0] for part in place.split(","))
        return Explained(f"{product}: this host does not know the name {names}", f"use one that resolves here, {mend}")
    if fault is Fault.NO_ROUTE:
        return Explained(f"no network route to {server}", f"check the network of this host, {mend}")
    if fault is Fault.CERTIFICATE:
        detail = certificate_problem(error)
        said = f": {detail}" if detail else ""
        return Explained(f"the TLS certificate of {server} is not accepted{said}", "renew it, or name its CA")
    if fault is Fault.TLS:
        return Explained(f"the TLS handshake with {server} failed", "if it speaks no TLS, take TLS out of the address")
    if fault is Fault.NO_SOCKET:
        return Explained(f"{product}'s socket {place} cannot be opened", f"start the server, {mend}")
    if fault is Fault.CLOSED:
        return Explained(f"{server} closed the connection", "it may want TLS, or is shutting down: see its log")
    return Explained(f"{server} does not answer as {product} does", f"another program has this port? Stop it, {mend}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


# --- what may be said of a URI ---------------------------------------------------------------------

_SECRET_OPTION = re.compile(r"[?&][^=&]*password=([^&#]+)", re.IGNORECASE)


def _userinfo(uri: str) -> tuple[str, str]:
    """User and password as they stand in the URI. The last @ counts: unescaped passwords hold some, too."""
    rest = uri.partition("://")[2]
    if "@" not in rest:
        return "", ""
    user, _, password = rest.rpartition("@")[0].partition(":")
    return user, password


def user_of(uri: str) -> str:
    """The user that a URI names; "" when none."""
    return unquote(_userinfo(uri)[0])


def secrets_of(uri: str) -> tuple[str, ...]:
    """Every text that must never be shown because it is a password in this URI, as written and decoded."""
    written = [_userinfo(uri)[1], *_SECRET_OPTION.findall(uri)]
    found = {form for secret in written if secret for form in (secret, unquote(secret))}
    return tuple(sorted(found, key=len, reverse=True))


def place_of(uri: str) -> str:
    """Host and port (several, comma-separated) or socket path of a URI: nothing of the credentials."""
    rest = uri.partition("://")[2]
    rest = rest.rpartition("@")[2]
    if rest.startswith("/"):
        return rest.partition("?")[0]
    return unquote(re.split(r"[/?]", rest, maxsplit=1)[0])


def knock(uri: str, default_port: int = 27017, seconds: float = 2.0) -> None:
    """Open and close a TCP connection to the URI's only host; raises OSError at once when nobody listens.

    pymongo would try again for its whole 2 s before it says so, and keeps only the text of the error.
    """
    place = place_of(uri)
    host, _, port = place.rpartition(":") if re.search(r":\d+$", place) else (place, "", str(default_port))
    if not host or host.startswith("/"):
        return  # a Unix socket
    socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()


def greeting(host: str, port: int, seconds: float = 0.3) -> bytes | None:
    """What a server says to somebody who connects and says nothing; None when it hangs up or is not there."""
    try:
        with socket.create_connection((host, port), timeout=2.0) as link:
            link.settimeout(seconds)
            return link.recv(64) or None
    except TimeoutError:
        return b""
    except OSError:
        return None
