"""For a terminal that shows ASCII only: whatever else is about to be painted is painted as the nearest of it.

The console's own signs are ASCII already (`wording.ASCII`). This is for text from outside, log lines above
all, and for what the framework draws itself: on such a terminal their bytes would be garbage, or commands.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_ALIKE = {
    **dict.fromkeys("\u2500\u2501\u2574\u2576\u2578\u257a\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u2502\u2503\u2575\u2577\u2579\u257b", "|"),
    **dict.fromkeys("\u250c\u2510\u2514\u2518\u251c\u2524\u252c\u2534\u253c\u256d\u256e\u256f\u2570", "+"),
    **dict.fromkeys("\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588\u2589\u258a\u258b\u258c\u258d\u258e\u258f", "#"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    "\u00a0": " ",
    "\u00b7": ".",
    "\u2026": ".",
    "\u2192": ">",
    "\u2190": "<",
}


@lru_cache(4096)
def ascii_text(text: str) -> str:
    """The text in as many cells as before, every one of them ASCII: `?` where nothing is alike."""
    if text.isascii():
        return text
    letters = [letter if letter.isascii() else _ALIKE.get(letter) or "?" * max(0, cell_len(letter)) for letter in text]
    said = "".join(letters)
    # A cluster of several characters may be narrower than they are one by one.
    return said[: cell_len(text)].ljust(cell_len(text))


class AsciiLines(LineFilter):
    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else Segment(ascii_text(segment.text), segment.style, segment.control)
            for segment in segments
        ]
