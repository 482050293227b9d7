"""Text from outside, made safe to show: no control sequence acts, no secret is readable.

Names, labels, log lines, error messages and health output are written by programs that we do not
trust. `printable` is what stands between them and the operator's terminal; `mask_*` is what stands
between secrets and every screen, file and pipe. Markup is not handled here: whoever builds widgets
passes plain text with `markup=False` or a `Text`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "********"

# Colour codes are what dev loggers write all day: they are dropped. Every other sequence is shown.
_COLOUR = re.compile(r"(?:\x1b\[|\x9b)[0-9;:]*m")

# Controls that act on a terminal or reorder what is read: C0, DEL, C1, bidi embeddings, overrides,
# isolates and marks, line and paragraph separator, BOM, tag characters, lone surrogates. Joiners
# (U+200C, U+200D) stay: Persian, Hindi and emoji need them.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # a picture such as ␛
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"


def printable(text: str, *, lines: bool = False) -> str:
    """Text that can only be read: control characters become pictures, colour codes go, tabs become spaces.

    One line, unless `lines` keeps the line feeds (for a health output or a panel).
    """
    if text.isascii() and text.isprintable():
        return text  # nearly every line: no regular expression is run
    if lines:
        return "\n".join(printable(line) for line in text.splitlines())
    return _ACTING.sub(_shown, _COLOUR.sub("", text).expandtabs())


# --- secrets ---------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(
    r"pass(?!ive|enger|age)|pwd|secret|token|credential|private|api_?key|access_?key|auth_?key|encrypt"
    r"|signing|salt|cookie|basicauth|(?:^|_)key(?:_|$)|(?:^|_)auth(?:_|$)|dsn|webhook",
    re.IGNORECASE,
)
_NAMES_A_FILE = re.compile(r"_(?:file|path|dir)$", re.IGNORECASE)
_USERINFO = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s:/@]*):(?P<secret>[^\s]+)@(?=[^\s@]*)", re.IGNORECASE
)
_ARGUMENT = re.compile(
    r"(?P<flag>--?(?:requirepass|masterauth|password|passwd|pass|auth|token|secret|api-?key)(?:=|\s+))(?P<secret>'[^']*'|\"[^\"]*\"|\S+)",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    r"(?P<name>\b[\w.-]*(?:password|passwd|secret|token|api_?key|access_?key)[\w.-]*[\"']?\s*[=:]\s*)(?P<secret>'[^']*'|\"[^\"]*\"|[^\s,;&]+)",
    re.IGNORECASE,
)
# What HTTP clients are given on their command line and write into their errors.
_AUTHORIZATION = re.compile(
    r"(?P<start>\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|token|digest)\s+)?|\bbearer\s+)"
    r"(?P<secret>[^\s\"',;]{4,})",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(?P<start>(?:^|\s)(?:-u|--user|--proxy-user)(?:=|\s+)['\"]?[^\s:'\"]+:)(?P<secret>[^\s'\"]+)")


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is taken to hold a secret. `..._FILE` names a file and is shown."""
    return bool(_SECRET_NAME.search(name)) and not _NAMES_A_FILE.search(name)


def mask_uri(uri: str) -> str:
    """`mongodb://admin:hunter2@db/` -> `mongodb://admin:********@db/`. Anything without userinfo is untouched."""
    return _USERINFO.sub(lambda found: f"{found['scheme']}{found['user']}:{MASK}@", uri)


def mask_value(name: str, value: str) -> str:
    """The value of an environment variable or label as it may be shown."""
    if value and is_secret_name(name):
        return MASK
    return mask_text(value)


def secrets_in(text: str) -> tuple[str, ...]:
    """The passwords that a command line or an address spells out."""
    found = [*_ARGUMENT.finditer(text), *_USERINFO.finditer(text), *_LOGIN.finditer(text)]
    return tuple(match["secret"].strip("'\"") for match in found)


def mask_text(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Free text (an error, a command line) with credentials in URIs, options and assignments masked.

    `secrets` are known values to hide wherever they stand; shorter than 4 characters they are left,
    because they would mask ordinary words.
    """
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, MASK)
    text = mask_uri(text)
    text = _ARGUMENT.sub(lambda found: found["flag"] + MASK, text)
    for pattern in (_AUTHORIZATION, _LOGIN):
        text = pattern.sub(lambda found: found["start"] + MASK, text)
    return _ASSIGNMENT.sub(lambda found: found["name"] + MASK, text)


def known_secrets(*environments: Mapping[str, str]) -> tuple[str, ...]:
    """Values of variables whose names say that they are secret, longest first; each line of those with several."""
    found = {
        line.strip()
        for environment in environments
        for name, value in environment.items()
        if is_secret_name(name)
        for line in value.splitlines()
    }
    return tuple(sorted((one for one in found if len(one) >= 6), key=len, reverse=True))


def without_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """PWD, SSH_AUTH_SOCK and their like name places, and would mask them wherever they stand."""
    return {name: value for name, value in environment.items() if not value.startswith("/")}
