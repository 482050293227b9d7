"""Which keys of an RDB file are meant: databases, and patterns as KEYS takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opsconsole.backups import rdb


def selected(databases: Iterable[int] = (), patterns: Iterable[str] = ()) -> rdb.Wanted:
    """Keys of these databases (none: of all) that match one of these patterns, as KEYS writes them (none: any)."""
    numbers = frozenset(databases)
    shapes = [re.compile(_expression(pattern.encode("utf-8", "surrogateescape")), re.DOTALL) for pattern in patterns]

    def wanted(database: int, name: bytes) -> bool:
        if numbers and database not in numbers:
            return False
        return not shapes or any(shape.fullmatch(name) for shape in shapes)

    return wanted


_PIECE = re.compile(rb"\\(?P<plain>.)|(?P<any>\*+)|(?P<one>\?)|\[(?P<set>(?:\\.|[^\]\\])*)\]?|(?P<other>.)", re.DOTALL)
_IN_SET = re.compile(rb"\\(.)|(.)-(.)|(.)", re.DOTALL)


def _expression(pattern: bytes) -> bytes:
    """Redis' glob: `*`, `?`, `[a-c]`, `[^a]`, `\\x`."""
    made = b""
    for piece in _PIECE.finditer(pattern):
        if piece["any"]:
            made += b".*"
        elif piece["one"]:
            made += b"."
        elif piece["set"] is not None:
            made += _set(piece["set"])
        else:
            made += re.escape(piece["plain"] or piece["other"])
    return made


def _set(inside: bytes) -> bytes:
    negated = inside.startswith(b"^")
    members = b""
    for found in _IN_SET.finditer(inside[negated:]):
        escaped, low, high, plain = found.groups()
        if low is not None:
            low, high = min(low, high), max(low, high)
            members += re.escape(low) + b"-" + re.escape(high)
        else:
            members += re.escape(escaped or plain)
    if not members:
        return b"." if negated else rb"(?!)"
    return (b"[^" if negated else b"[") + members + b"]"
