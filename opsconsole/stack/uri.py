"""Database URIs taken apart and put together again, passwords with any character in them. Pure."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from opsconsole.roles import MONGODB, REDIS

SCHEMES = {
    "mongodb": MONGODB,
    "mongodb+srv": MONGODB,
    "redis": REDIS,
    "rediss": REDIS,
    "unix": REDIS,
}


class Uri(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a database URI. Holds the password, so its text form is the kind only."""

    scheme: str
    user: str = ""  # decoded
    password: str | None = None  # decoded; None: none given
    hosts: tuple[tuple[str, int], ...] = ()  # port 0: not given
    path: str = ""  # without the leading slash
    options: tuple[tuple[str, str], ...] = ()  # decoded, in order

    def __repr__(self) -> str:
        return f"Uri({self.scheme})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What a pretty-printed traceback shows."""
        return [("scheme", self.scheme)]

    @property
    def kind(self) -> str:
        """ "mongodb" or "redis"."""
        return SCHEMES[self.scheme]

    @property
    def database(self) -> str:
        """The database that is named in the path; "" for MongoDB's `admin`, which is no application's."""
        if self.scheme == "unix":
            return dict(self.options).get("db", "")
        return "" if self.kind == MONGODB and self.path == "admin" else self.path

    @property
    def has_credentials(self) -> bool:
        return self.password is not None or "password" in dict(self.options)

    def text(self) -> str:
        """The URI again, everything escaped that has to be."""
        authority = ",".join(_host_text(host, port) for host, port in self.hosts)
        options = "&".join(f"{quote(name, safe='')}={quote(value, safe=_OPTION_SAFE)}" for name, value in self.options)
        userinfo = ""
        if self.user or self.password is not None:
            userinfo = quote(self.user, safe="") + (
                ":" + quote(self.password, safe="") if self.password is not None else ""
            )
            userinfo += "@"
        slash = "/" if self.path or options or self.scheme == "unix" else ""
        return (
            f"{self.scheme}://{userinfo}{authority}{slash}{quote(self.path, safe='/')}{'?' if options else ''}{options}"
        )


_OPTION_SAFE = "/:,@"
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_uri(text: str) -> Uri | None:
    """The parts of a database URI, None for anything else. Forgives a password that was not escaped."""
    scheme, separator, rest = text.strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES or any(character.isspace() for character in rest):
        return None
    userinfo, tail = _split_credentials(rest)
    location, _, query = tail.partition("?")
    authority, _, path = location.partition("/")
    user, colon, password = userinfo.partition(":")
    hosts = tuple(_host_parts(one) for one in authority.split(",") if one)
    if any(port is None for _, port in hosts) or not (hosts or scheme == "unix"):
        return None
    return Uri(
        scheme=scheme,
        user=_decoded(user),
        password=_decoded(password) if colon else None,
        hosts=tuple((host, port or 0) for host, port in hosts),
        path=unquote(path),
        options=tuple(parse_qsl(query, keep_blank_values=True)),
    )


# What may follow the credentials: hosts, a database (which has no colon in its name), options.
_BEHIND_CREDENTIALS = re.compile(r"[\w.,:%\[\]-]*(?:/[^:?@]*)?(?:\?.*)?", re.DOTALL)


def _split_credentials(rest: str) -> tuple[str, str]:
    """Credentials and what follows them. A password may hold every sign that separates the parts."""
    options = rest.find("?")
    places = [found.start() for found in re.finditer("@", rest)]
    # The last "@" before the options; one behind the first "?" only if nothing else makes sense.
    for at in sorted(places, key=lambda at: (at > options >= 0, -at)):
        if _BEHIND_CREDENTIALS.fullmatch(rest, at + 1):
            return rest[:at], rest[at + 1 :]
    return "", rest


def _decoded(text: str) -> str:
    """Percent escapes resolved; a password with a stray `%` was never escaped and is taken as it is."""
    return text if _STRAY_PERCENT.search(text) else unquote(text)


def _host_parts(text: str) -> tuple[str, int | None]:
    """Host and port; port 0 when not given, None when it is no number."""
    if "%2f" in text.lower():
        return unquote(text), 0  # a socket file
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not port:
        return host, 0
    return host, int(port) if port.isdigit() and 0 < int(port) < 65536 else None


def _host_text(host: str, port: int) -> str:
    if host.startswith("/"):
        return quote(host, safe="")
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if port else shown
