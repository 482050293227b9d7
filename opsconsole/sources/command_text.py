"""A database's command as it may be shown: its shape without values, which are somebody's data or secrets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsconsole.text import MASK, mask_text, printable

LONGEST = 240
_DEEPEST, _WIDEST = 6, 8
_KEY_CELLS = 60

_LEFT_OUT = frozenset(
    {"lsid", "$clusterTime", "$db", "$readPreference", "signature", "txnNumber", "autocommit", "cursor", "payload"}
)
_PLAIN = frozenset(
    {"sort", "$sort", "limit", "$limit", "skip", "$skip", "projection", "hint", "batchSize", "maxTimeMS"}
)
_LOGIN = frozenset({"AUTH", "HELLO", "MIGRATE", "ACL", "CONFIG"})


def mongo_command(command: object) -> str:
    """`{find: "orders", filter: {email: ?, n: {$gt: ?}}, sort: {n: -1}}`."""
    if not isinstance(command, Mapping):
        return ""
    pairs = [(str(name), value) for name, value in command.items() if name not in _LEFT_OUT]
    said = [f"{name}: {_plain(value) if at == 0 else _shape(name, value, 1)}" for at, (name, value) in enumerate(pairs)]
    return shortened("{" + ", ".join(said) + "}") if said else ""


def redis_command(words: Sequence[str]) -> str:
    """`HSET user:7 and 4 more`: the command and its key."""
    if not words:
        return ""
    head, rest = words[0].upper(), words[1:]
    if not rest:
        return shortened(head)
    first = MASK if head in _LOGIN else rest[0] if len(rest[0]) <= _KEY_CELLS else f"{rest[0][: _KEY_CELLS - 3]}..."
    return shortened(f"{head} {first}" + (f" and {len(rest) - 1} more" if len(rest) > 1 else ""))


def shortened(text: str) -> str:
    """Made printable, masked, cut."""
    text = mask_text(printable(text[: LONGEST * 4]))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _shape(name: str, value: Any, depth: int) -> str:
    if name in _PLAIN:
        return _plain(value)
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        items = [f"{each}: {_shape(str(each), inner, depth + 1)}" for each, inner in list(value.items())[:_WIDEST]]
        return "{" + ", ".join([*items, *(["..."] if len(value) > _WIDEST else [])]) + "}"
    if isinstance(value, list | tuple):
        items = [_shape("", each, depth + 1) for each in value[:2]]
        return "[" + ", ".join([*items, *([f"... {len(value)}"] if len(value) > 2 else [])]) + "]"
    return "?"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_plain(each)}" for name, each in list(value.items())[:_WIDEST]) + "}"
    if isinstance(value, str):
        return f'"{value[:120]}"'
    return str(value) if isinstance(value, int | float | bool) else "?"
