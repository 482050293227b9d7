"""BSON documents as the text that mongoexport writes: MongoDB Extended JSON v2, relaxed or canonical.

Own code: `bson.json_util` decodes first, and loses duplicate fields, undefined values, symbols and pointers on the way.
Numbers, dates and escapes look as the Go driver prints them (bson/bsonrw, extjson_writer.go).
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct

from opsconsole.backups.bson_documents import elements
from opsconsole.backups.reading import Corrupt

# fmt: off
WRAPPERS = frozenset((
    "$oid", "$symbol", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$binary", "$uuid", "$code",
    "$timestamp", "$regularExpression", "$dbPointer", "$date", "$minKey", "$maxKey", "$undefined",
))
# fmt: on
"""What a field of a stored document cannot be called without being taken for something else in JSON."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_MS = 253_402_300_800_000
_DEEPEST = 200  # the server takes 180 levels
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_SEPARATORS = re.compile("[\u2028\u2029]")

_double_at = Struct("<d").unpack_from
_int_at = Struct("<i").unpack_from
_long_at = Struct("<q").unpack_from
_stamp_at = Struct("<II").unpack_from
_QUIET_NAN = (0x7FF8_0000_0000_0000).to_bytes(8, "little")

_quoted = json.encoder.encode_basestring  # the JSON text of a string, all but control characters as they are


class JsonWriter:
    """Turns documents into text. `inexact` counts those that JSON cannot say exactly: two fields of one name, text
    that is no UTF-8, a NaN with a payload, a field that is called like a type of Extended JSON."""

    def __init__(self, *, canonical: bool = False) -> None:
        self._canonical = canonical
        self._exact = True
        self.inexact = 0

    def text(self, data: bytes, start: int = 0) -> str:
        """The document at `start` as one line. Raises Corrupt."""
        self._exact = True
        text = self._document(data, start, 0)
        self.inexact += not self._exact
        return text

    def _document(self, data: bytes, start: int, depth: int) -> str:
        if depth > _DEEPEST:
            raise Corrupt("has a document that is nested too deeply")
        pieces = []
        names = set()
        for kind, name, begin, end in elements(data, start):
            pieces.append(f"{self._string(name)}:{self._value(data, kind, begin, end, depth)}")
            names.add(name)
            if name[:1] == b"$" and name.decode("ascii", "replace") in WRAPPERS:
                self._exact = False
        if len(names) < len(pieces):
            self._exact = False
        return "{" + ",".join(pieces) + "}"

    def _array(self, data: bytes, start: int, depth: int) -> str:
        if depth > _DEEPEST:
            raise Corrupt("has a document that is nested too deeply")
        values = []
        for number, (kind, name, begin, end) in enumerate(elements(data, start)):
            values.append(self._value(data, kind, begin, end, depth))
            if name != b"%d" % number:
                self._exact = False
        return "[" + ",".join(values) + "]"

    def _value(self, data: bytes, kind: int, begin: int, end: int, depth: int) -> str:
        match kind:
            case 0x02:
                return self._text(data, begin, end)
            case 0x10:
                number = _int_at(data, begin)[0]
                return f'{{"$numberInt":"{number}"}}' if self._canonical else str(number)
            case 0x12:
                number = _long_at(data, begin)[0]
                return f'{{"$numberLong":"{number}"}}' if self._canonical else str(number)
            case 0x01:
                return self._double(data, begin, end)
            case 0x03:
                return self._document(data, begin, depth + 1)
            case 0x04:
                return self._array(data, begin, depth + 1)
            case 0x07:
                return f'{{"$oid":"{data[begin:end].hex()}"}}'
            case 0x08:
                return "true" if data[begin] else "false"
            case 0x09:
                return self._date(_long_at(data, begin)[0])
            case 0x0A:
                return "null"
        return self._rare(data, kind, begin, end, depth)

    def _rare(self, data: bytes, kind: int, begin: int, end: int, depth: int) -> str:
        match kind:
            case 0x05:
                return self._binary(data, begin, end)
            case 0x06:
                return '{"$undefined":true}'
            case 0x0B:
                pattern, options = data[begin : end - 1].split(b"\0", 1)
                inner = f'"pattern":{self._string(pattern)},"options":{self._string(options)}'
                return f'{{"$regularExpression":{{{inner}}}}}'
            case 0x0C:
                reference = self._text(data, begin, end - 12)
                return f'{{"$dbPointer":{{"$ref":{reference},"$id":{{"$oid":"{data[end - 12 : end].hex()}"}}}}}}'
            case 0x0D:
                return f'{{"$code":{self._text(data, begin, end)}}}'
            case 0x0E:
                return f'{{"$symbol":{self._text(data, begin, end)}}}'
            case 0x0F:
                scope = begin + 8 + _int_at(data, begin + 4)[0]
                if not begin + 8 < scope < end:
                    raise Corrupt("has a broken document")
                code, inner = self._text(data, begin + 4, scope), self._document(data, scope, depth + 1)
                return f'{{"$code":{code},"$scope":{inner}}}'
            case 0x11:
                increment, seconds = _stamp_at(data, begin)
                return f'{{"$timestamp":{{"t":{seconds},"i":{increment}}}}}'
            case 0x13:
                from bson.decimal128 import Decimal128

                number = Decimal128.from_bid(data[begin:end])
                if Decimal128(str(number)).bid != number.bid:
                    self._exact = False  # another form of the same number
                return f'{{"$numberDecimal":"{number}"}}'
            case 0xFF:
                return '{"$minKey":1}'
            case _:
                return '{"$maxKey":1}'

    def _text(self, data: bytes, begin: int, end: int) -> str:
        """A string as it is stored: behind its length, before a zero."""
        if data[end - 1]:
            raise Corrupt("has a broken document")
        return self._string(data[begin + 4 : end - 1])

    def _string(self, data: bytes) -> str:
        try:
            text = _quoted(data.decode())
        except UnicodeDecodeError:
            self._exact = False
            text = _BAD_BYTE.sub(r"\\ufffd", _quoted(data.decode("utf-8", "surrogateescape")))
        if "\u2028" in text or "\u2029" in text:
            text = _SEPARATORS.sub(lambda found: f"\\u{ord(found[0]):x}", text)
        return text

    def _double(self, data: bytes, begin: int, end: int) -> str:
        value = _double_at(data, begin)[0]
        if value != value and data[begin:end] != _QUIET_NAN:
            self._exact = False
        text = double_text(value)
        return f'{{"$numberDouble":"{text}"}}' if self._canonical or text[-1] in "yN" else text

    def _date(self, milliseconds: int) -> str:
        if self._canonical or not 0 <= milliseconds < _YEAR_10000_MS:
            return f'{{"$date":{{"$numberLong":"{milliseconds}"}}}}'
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
        part = f".{moment.microsecond // 1000:03}".rstrip("0") if moment.microsecond else ""
        return f'{{"$date":"{moment:%Y-%m-%dT%H:%M:%S}{part}Z"}}'

    def _binary(self, data: bytes, begin: int, end: int) -> str:
        subtype, content = data[begin + 4], data[begin + 5 : end]
        if subtype == 2:
            if len(content) < 4 or _int_at(content)[0] != len(content) - 4:
                self._exact = False
            content = content[4:]  # an old binary has its length twice
        encoded = base64.b64encode(content).decode()
        return f'{{"$binary":{{"base64":"{encoded}","subType":"{subtype:02x}"}}}}'


def double_text(value: float) -> str:
    """The shortest digits that mean this number, as Go prints them: `1.5`, `1.0`, `1E+06`, `NaN`, `-Infinity`."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return repr(value)
    sign, digits, _ = (number := Decimal(repr(value))).as_tuple()
    exponent = number.adjusted()
    written = "".join(map(str, digits)).rstrip("0") or "0"
    point = f"{written[0]}.{written[1:]}" if len(written) > 1 else written
    return f"{'-' if sign else ''}{point}E{'-' if exponent < 0 else '+'}{abs(exponent):02}"
