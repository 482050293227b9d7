"""Histories as characters: one-line sparklines for rows, filled areas for the large measurements.

The newest value is always at the right edge and one cell is one sample, so a history moves to the left
by one cell per sample and nothing shimmers. Cells without a sample yet stay empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from opsconsole.ui.wording import Tone

INK = "$accent 65%"
"""Histories stand behind the numbers: the same colour, quieter."""

EIGHTHS = " ▁▂▃▄▅▆▇█"
STEPS = " .:-=+*#@"
"""The same nine heights in ASCII, by how much ink a character has."""


def sparkline(
    values: Sequence[float], width: int, *, high: float | None = None, low: float = 0.0, ascii: bool = False
) -> str:
    """The newest `width` values as one row of exactly `width` characters.

    `high` is the value of a full cell; without it the largest value shown is. A value that is there is
    always seen: the smallest mark, never a blank.
    """
    return area(values, width, 1, high=high, low=low, ascii=ascii)[0]


def area(
    values: Sequence[float],
    width: int,
    height: int,
    *,
    high: float | None = None,
    low: float = 0.0,
    ascii: bool = False,
) -> list[str]:
    """The newest `width` values as `height` rows of exactly `width` characters, top row first."""
    marks = STEPS if ascii else EIGHTHS
    top = _top(values, width, high)
    levels = [_level(value, low, top, height * 8) for value in _newest(values, width)]
    padding = " " * (width - len(levels))
    rows = []
    for row in range(height - 1, -1, -1):
        rows.append(padding + "".join(marks[min(8, max(0, level - row * 8))] for level in levels))
    return rows


def painted(
    values: Sequence[float],
    width: int,
    height: int = 1,
    *,
    high: float | None = None,
    limit: float | None = None,
    style: str = INK,
    ascii: bool = False,
) -> list[Content]:
    """`area` in colour: columns whose value is over `limit` stand out in the warning colour."""
    rows = [Content.styled(row, style) for row in area(values, width, height, high=high, ascii=ascii)]
    if limit is None:
        return rows
    newest = _newest(values, width)
    offset = width - len(newest)
    over = [offset + column for column, value in enumerate(newest) if math.isfinite(value) and value > limit]
    for column in over:
        rows = [row.stylize(Tone.WARNING, column, column + 1) for row in rows]
    return rows


def inked(values: Sequence[float], width: int, *, high: float | None = None, ascii: bool = False) -> Content:
    """`sparkline` in the colour of histories. Its top stays a little below the line above."""
    if high is None:
        high = _top(values, width, None) * 8 / 7
    return Content.styled(sparkline(values, width, high=high, ascii=ascii), INK)


def _newest(values: Sequence[float], width: int) -> Sequence[float]:
    return values[-width:] if width > 0 else ()


def _top(values: Sequence[float], width: int, high: float | None) -> float:
    if high is not None:
        return high
    return max((value for value in _newest(values, width) if math.isfinite(value)), default=0.0)


def _level(value: float, low: float, high: float, steps: int) -> int:
    """How many of `steps` the value fills; at least one for any value that is known."""
    if not math.isfinite(value):
        return 0
    if high <= low:
        return 1
    return min(steps, max(1, round((value - low) / (high - low) * steps)))
