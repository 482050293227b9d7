"""MongoDB Extended JSON v2, relaxed or canonical, as BSON: what mongoimport reads, and what `json_writing` writes.

Own code: `bson.json_util` turns symbols into text, undefined values into null, and keeps the last of two fields of one
name. Relaxed whole numbers become the smallest type that holds them, as in mongoimport.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from struct import pack
from typing import Any

from opsconsole.backups.bson_documents import LARGEST_DOCUMENT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_INT = range(-(1 << 31), 1 << 31)
_LONG = range(-(1 << 63), 1 << 63)
_UNSIGNED = range(1 << 32)
_QUIET_NAN = (0x7FF8_0000_0000_0000).to_bytes(8, "little")


class BadJson(ValueError):
    """The text is JSON and cannot be a document. `args[0]` is a phrase that follows the number of the line."""


class ObjectIds:
    """Ids for documents that have none. The same `base` gives the same ids again: a file may be read twice."""

    def __init__(self, base: bytes = b"") -> None:
        self.base = base or int(time.time()).to_bytes(4, "big") + os.urandom(8)
        self._next = int.from_bytes(self.base[4:], "big")

    def __call__(self) -> bytes:
        self._next = (self._next + 1) % (1 << 64)
        return self.base[:4] + self._next.to_bytes(8, "big")


class JsonParser:
    """Takes documents out of text."""

    def __init__(self, ids: ObjectIds | None = None) -> None:
        self._ids = ids or ObjectIds()
        self._decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)

    def document(self, text: str, at: int = 0) -> tuple[bytes, int]:
        """The document that begins at `at`, as BSON with its _id first (a new one when it has none), and where it ends.

        Raises json.JSONDecodeError, BadJson, and RecursionError.
        """
        value, end = self._decoder.raw_decode(text, at)
        if not isinstance(value, _Pairs):
            raise BadJson("is no document, which stands in braces")
        ids = [pair for pair in value if pair[0] == "_id"]
        if not ids:
            rest: list[tuple[str, Any]] = [("_id", _Typed(0x07, self._ids())), *value]
        elif value[0][0] != "_id":
            # The server would put it there, too.
            rest = [ids[0], *(pair for pair in value if pair is not ids[0])]
        else:
            rest = value
        data = _document(rest)
        if len(data) > LARGEST_DOCUMENT:
            raise BadJson(f"is larger than a document may be ({len(data):,} bytes, {LARGEST_DOCUMENT:,} at most)")
        return data, end


class _Pairs(list[tuple[str, Any]]):
    """An object: its fields in their order, also two of one name."""


class _Typed:
    """A value of a type that JSON has not."""

    __slots__ = ("data", "kind")

    def __init__(self, kind: int, data: bytes) -> None:
        self.kind = kind
        self.data = data


def _no_constant(text: str) -> Any:
    raise BadJson(f"has {text}, which is no JSON; Extended JSON writes {{'$numberDouble': '{text}'}}".replace("'", '"'))


# --- encoding --------------------------------------------------------------------------------------


def _document(pairs: list[tuple[str, Any]]) -> bytes:
    body = b"".join([_element(name, value) for name, value in pairs])
    return pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    kind, data = _encoded(value)
    try:
        key = name.encode()
    except UnicodeEncodeError:
        raise BadJson("has a name with half of a surrogate pair, which is no text") from None
    if b"\0" in key:
        raise BadJson("has a name with a zero byte, which no field can have")
    return bytes((kind,)) + key + b"\0" + data


def _encoded(value: Any) -> tuple[int, bytes]:
    match value:
        case str():
            return 0x02, _string(value)
        case bool():
            return 0x08, b"\1" if value else b"\0"
        case int():
            if value in _INT:
                return 0x10, pack("<i", value)
            return (0x12, pack("<q", value)) if value in _LONG else (0x01, pack("<d", _float(value)))
        case float():
            if value in (float("inf"), float("-inf")):
                raise BadJson("has a number that no type holds")
            return 0x01, pack("<d", value)
        case None:
            return 0x0A, b""
        case _Typed():
            return value.kind, value.data
        case _Pairs():
            return 0x03, _document(value)
        case _:
            return 0x04, _document([(str(number), one) for number, one in enumerate(value)])


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise BadJson("has a number that no type holds") from None


def _string(value: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise BadJson("has text with half of a surrogate pair, which is no text") from None
    return pack("<i", len(data) + 1) + data + b"\0"


# --- types that JSON has not -----------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> Any:
    """An object, or the value that it stands for."""
    if pairs and pairs[0][0][:1] == "$" and len(pairs) <= 2:
        if len(pairs) == 1 and (single := _SINGLE.get(pairs[0][0])) is not None:
            return _taken(pairs[0][0], single, pairs[0][1])
        fields = dict(pairs)
        if fields.keys() == {"$code", "$scope"}:
            return _taken("$code", _scoped, fields)
    return _Pairs(pairs)


def _taken(name: str, take: Callable[[Any], _Typed], value: Any) -> _Typed:
    try:
        return take(value)
    except BadJson:
        raise
    except (ValueError, TypeError, KeyError, ArithmeticError, binascii.Error):
        raise BadJson(f"has a {name} that is none") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any, among: range) -> int:
    """A whole number in a string. Raises ValueError."""
    number = int(_text(value))
    if number not in among or not value.lstrip("+-").isascii() or "_" in value or value.strip() != value:
        raise ValueError
    return number


def _fields(value: Any, *names: str) -> list[Any]:
    """The values of an object that has exactly these fields. Raises ValueError."""
    found = dict(value) if isinstance(value, _Pairs) else {}
    if found.keys() != set(names) or len(value) != len(names):
        raise ValueError
    return [found[name] for name in names]


def _oid(value: Any) -> _Typed:
    if len(_text(value)) != 24:
        raise ValueError
    return _Typed(0x07, bytes.fromhex(value))


def _double(value: Any) -> _Typed:
    if _text(value) == "NaN":
        return _Typed(0x01, _QUIET_NAN)
    if value.lstrip("+-").lower() in ("inf", "nan") or "_" in value or value.strip() != value:
        raise ValueError
    return _Typed(0x01, pack("<d", float(value)))


def _decimal(value: Any) -> _Typed:
    from bson.decimal128 import Decimal128

    return _Typed(0x13, Decimal128(_text(value)).bid)


def _date(value: Any) -> _Typed:
    if isinstance(value, _Typed) and value.kind == 0x12:
        return _Typed(0x09, value.data)
    if isinstance(value, int) and not isinstance(value, bool) and value in _LONG:
        return _Typed(0x09, pack("<q", value))  # what version 1 wrote
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise BadJson("has a $date without a time zone")
    return _Typed(0x09, pack("<q", (moment - _EPOCH) // _MILLISECOND))


def _binary(value: Any) -> _Typed:
    encoded, subtype = _fields(value, "base64", "subType")
    content = base64.b64decode(_text(encoded), validate=True)
    kind = int(_text(subtype), 16)
    if kind not in range(256) or len(subtype) > 2:
        raise ValueError
    return _binary_of(content, kind)


def _binary_of(content: bytes, subtype: int) -> _Typed:
    if subtype == 2:
        content = pack("<i", len(content)) + content
    return _Typed(0x05, pack("<iB", len(content), subtype) + content)


def _regular_expression(value: Any) -> _Typed:
    parts = [_text(part).encode() for part in _fields(value, "pattern", "options")]
    if any(b"\0" in part for part in parts):
        raise ValueError
    return _Typed(0x0B, b"".join(part + b"\0" for part in parts))


def _pointer(value: Any) -> _Typed:
    reference, oid = _fields(value, "$ref", "$id")
    if not isinstance(oid, _Typed) or oid.kind != 0x07:
        raise ValueError
    return _Typed(0x0C, _string(_text(reference)) + oid.data)


def _scoped(fields: Any) -> _Typed:
    code, scope = _string(_text(fields["$code"])), fields["$scope"]
    if not isinstance(scope, _Pairs):
        raise ValueError
    data = code + _document(scope)
    return _Typed(0x0F, pack("<i", len(data) + 4) + data)


def _timestamp(value: Any) -> _Typed:
    seconds, increment = _fields(value, "t", "i")
    if type(seconds) is not int or type(increment) is not int:
        raise TypeError
    if seconds not in _UNSIGNED or increment not in _UNSIGNED:
        raise ValueError
    return _Typed(0x11, pack("<II", increment, seconds))


def _one(kind: int) -> Callable[[Any], _Typed]:
    def take(value: Any) -> _Typed:
        if value not in (1, True):
            raise ValueError
        return _Typed(kind, b"")

    return take


_SINGLE: dict[str, Callable[[Any], _Typed]] = {
    "$oid": _oid,
    "$symbol": lambda value: _Typed(0x0E, _string(_text(value))),
    "$numberInt": lambda value: _Typed(0x10, pack("<i", _number(value, _INT))),
    "$numberLong": lambda value: _Typed(0x12, pack("<q", _number(value, _LONG))),
    "$numberDouble": _double,
    "$numberDecimal": _decimal,
    "$binary": _binary,
    "$uuid": lambda value: _binary_of(uuid.UUID(_text(value)).bytes, 4),
    "$code": lambda value: _Typed(0x0D, _string(_text(value))),
    "$timestamp": _timestamp,
    "$regularExpression": _regular_expression,
    "$dbPointer": _pointer,
    "$date": _date,
    "$minKey": _one(0xFF),
    "$maxKey": _one(0x7F),
    "$undefined": _one(0x06),
}
