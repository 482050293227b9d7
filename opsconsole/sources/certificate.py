"""Until when the certificate of an https endpoint is valid, read whether it is accepted or not.

The standard library tells the fields only of certificates that it has accepted; the one date that matters stands at a
fixed place of every certificate (RFC 5280), so it is read there.
"""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def certificate_of(url: str, seconds: float) -> bytes:
    """The certificate (DER) that an https endpoint shows. Sends nothing. Raises OSError, ssl.SSLError among them."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is looked at, not trusted
    with (
        socket.create_connection((host, port), timeout=seconds) as link,
        context.wrap_socket(link, server_hostname=host or None) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def expiry(certificate: bytes) -> datetime:
    """The end of a certificate's validity. Raises ValueError for bytes that are no certificate."""
    try:
        at = _inside(certificate, _inside(certificate, 0))
        if certificate[at] == _VERSION:
            at = _after(certificate, at)
        for _ in range(3):  # serial number, algorithm, issuer
            at = _after(certificate, at)
        at = _after(certificate, _inside(certificate, at))  # the validity, and in it what it begins with
        kind = certificate[at]
        start, end = _bounds(certificate, at)
        return _time(kind, certificate[start:end].decode("ascii"))
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("no certificate") from error


def _time(kind: int, text: str) -> datetime:
    if kind == _UTC_TIME:
        year = int(text[:2])
        text = f"{2000 + year if year < 50 else 1900 + year}{text[2:]}"
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time where a certificate has one")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(data: bytes, at: int) -> int:
    """Where the content of the sequence at a place begins."""
    if data[at] != _SEQUENCE:
        raise ValueError("no certificate")
    return _bounds(data, at)[0]


def _after(data: bytes, at: int) -> int:
    return _bounds(data, at)[1]


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """First and last byte + 1 of the content of the element at a place."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        more = length & 0x7F
        if not 0 < more <= 4:
            raise ValueError("no certificate")
        length, start = int.from_bytes(data[start : start + more], "big"), start + more
    if start + length > len(data):
        raise IndexError
    return start, start + length
