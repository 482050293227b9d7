"""Where the highlight stood on the screen at any time, read from the bytes a program wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyte

from tests.bench.terminal import COLUMNS, ROWS

# What moves the cursor, erases or styles. The rest (titles, modes, key protocols) only confuses the reader.
_KEPT = re.compile(r"\x1b\[[0-9;]*[A-HJKfm]")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[^\[\]()])", re.DOTALL)
_CUT_OFF = re.compile(r"\x1b[^\x1b]{0,40}$")


class Highlight:
    """Follows the bold row among the rows that hold `pattern` within their first `width` cells."""

    def __init__(self, pattern: str, width: int) -> None:
        self._pattern = re.compile(pattern)
        self._width = width
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        self._held = ""
        self._row = -1

    def feed(self, data: bytes) -> int:
        """The row of the highlight after these bytes, -1 when there is none."""
        text = self._held + data.decode("utf-8", "replace")
        cut = _CUT_OFF.search(text)
        self._held = ""
        if cut and not _SEQUENCE.match(text, cut.start()):
            text, self._held = text[: cut.start()], text[cut.start() :]
        self._stream.feed(_SEQUENCE.sub(lambda found: found[0] if _KEPT.fullmatch(found[0]) else "", text))
        if self._screen.dirty:
            self._row = self._find()
            self._screen.dirty.clear()
        return self._row

    def _find(self) -> int:
        for row in range(ROWS):
            cells = self._screen.buffer[row]
            found = self._pattern.search("".join(cells[column].data for column in range(self._width)))
            if found and cells[found.start()].bold:
                return row
        return -1


def moves(chunks: Sequence[tuple[float, bytes]], pressed: Sequence[float], pattern: str, width: int) -> list[float]:
    """Seconds from each key press to the moved highlight. A press that moved nothing before the next is left out."""
    highlight = Highlight(pattern, width)
    moved: list[float] = []
    row = -1
    for at, data in chunks:
        now = highlight.feed(data)
        if now not in (row, -1):
            moved.append(at)
            row = now
    found = []
    for number, press in enumerate(pressed):
        end = pressed[number + 1] if number + 1 < len(pressed) else press + 5.0
        answer = next((at for at in moved if press < at <= end), None)
        if answer is not None:
            found.append(answer - press)
    return found
