"""Files of JSON documents, one after the other or in one array, read in pieces whatever their size."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator

from opsconsole.backups.json_reading import BadJson, JsonParser
from opsconsole.backups.reading import Corrupt, Reader
from opsconsole.text import printable

_READ = 1 << 20
_BATCH = 1 << 20
_LARGEST = 128 << 20  # characters: 16 MiB of control characters, each of which takes six
_NEAR_END = 16  # the longest piece of JSON that can be cut in two and then be taken for a fault: "\ud83d\ude00"
_blank = re.compile(r"[ \t\r\n]*").match


class JsonFile:
    """Documents of one file. Raises Corrupt that names the line, whatever the bytes are."""

    def __init__(self, source: Reader, parser: JsonParser) -> None:
        self._source = source
        self._parser = parser
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._line = 1  # in which `_text` begins
        self._ended = False

    def batches(self) -> Iterator[tuple[bytes, int]]:
        """Documents as BSON, end to end, about a MiB at a time, and how many."""
        held, size = [], 0
        for document in self._documents():
            held.append(document)
            size += len(document)
            if size >= _BATCH:
                yield b"".join(held), len(held)
                held, size = [], 0
        if held:
            yield b"".join(held), len(held)

    def _documents(self) -> Iterator[bytes]:
        array = self._next() == "["
        if array:
            self._at += 1
            if self._next() == "]":
                self._at += 1
                return self._nothing_more()
        while self._next():
            yield self._document()
            if array:
                if (found := self._next()) not in (",", "]") or not found:
                    raise self._fault("lacks a comma or the ] that ends the array" if found else "ends in the array")
                self._at += 1
                if found == "]":
                    return self._nothing_more()
                if not self._next():
                    raise self._fault("ends in the array")
        if array:
            raise self._fault("ends in the array")

    def _nothing_more(self) -> None:
        if self._next():
            raise self._fault("goes on behind the array")

    def _document(self) -> bytes:
        wanted = _READ
        while True:
            try:
                data, self._at = self._parser.document(self._text, self._at)
                return data
            except json.JSONDecodeError as error:
                if self._ended or not self._may_be_cut(error):
                    cut = self._may_be_cut(error)
                    raise self._fault(_words(error), min(error.pos, len(self._text)), cut=cut) from None
            except BadJson as error:
                raise self._fault(str(error.args[0])) from None
            except RecursionError:
                raise self._fault("is nested too deeply") from None
            except ValueError:
                raise self._fault("has a number that no type holds") from None
            if len(self._text) - self._at > _LARGEST:
                raise self._fault("is larger than a document may be")
            self._more(wanted)
            wanted *= 2  # else a large document would be parsed once for every piece of it

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether there is no fault but the end of what was read so far."""
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END

    def _next(self) -> str:
        """The next character that is no blank, "" at the end."""
        while True:
            found = _blank(self._text, self._at)
            assert found is not None  # the pattern matches nothing, too
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more(_READ)

    def _more(self, size: int) -> None:
        """Read on; what was used up is forgotten."""
        self._line += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :]
        self._at = 0
        pieces = []
        while size > 0 and (data := self._source.read(min(size, _READ))):
            size -= len(data)
            pieces.append(data)
        self._ended = size > 0
        joined = b"".join(pieces)
        try:
            self._text += self._decoder.decode(joined, self._ended)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode("utf-8", "replace")
            self._text += good
            raise self._fault("is no UTF-8 text", len(self._text)) from None

    def _fault(self, problem: str, at: int | None = None, *, cut: bool = False) -> Corrupt:
        at = self._at if at is None else at
        line = self._line + self._text.count("\n", 0, at)
        return Corrupt(f"line {line:,}: {problem}", cut=cut)


def _words(error: json.JSONDecodeError) -> str:
    """`is no JSON: expecting ',' delimiter, column 17, near '"b" 2'`."""
    near = printable(error.doc[error.pos : error.pos + 20].splitlines()[0]) if error.doc[error.pos :].strip() else ""
    said = error.msg[:1].lower() + error.msg[1:]
    return f"is no JSON: {said}, column {error.colno}" + (f", at {near!r}" if near else "")
