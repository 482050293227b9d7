"""Which columns of a table are shown in the width there is, and how wide each is. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

R = TypeVar("R")

CellText = str | tuple[str, str]
"""What stands in a cell: text, or text and its `Tone`. Outside text is made printable by the table."""


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column over records of type R.

    `width` is the least it needs; `grow` lets it become as wide as its longest text (or `most`) when there is
    room. `priority` says who leaves when there is not: 0 stays always, the largest number leaves first.
    `order` gives the value to sort by (None sorts last); without it rows are sorted by the shown text.
    """

    key: str
    title: str
    width: int
    cell: Callable[[R], CellText]
    priority: int = 0
    align: Literal["left", "right"] = "left"
    grow: bool = False
    most: int = 60
    order: Callable[[R], Any] | None = None
    sortable: bool = True
    descending: bool = False  # the order that is wanted first: the largest CPU, not the smallest
    squeezes: bool = False  # worth narrower gaps between all columns, where it has no room otherwise


@dataclass(frozen=True, slots=True)
class Fitted(Generic[R]):
    column: Column[R]
    width: int


GAP = 2
NARROW_GAP = 1
NARROW = 72
SHORTEST = 6  # a growing column is cut down to this before anything overflows


def gap_for(width: int) -> int:
    return GAP if width > NARROW else NARROW_GAP


def laid_out(columns: Sequence[Column[R]], width: int, natural: Mapping[str, int]) -> tuple[list[Fitted[R]], int]:
    """The columns as `fit` has them, and the gap between them: a narrow one where that makes room for one that is worth
    it, as long names would take it otherwise."""
    gap = gap_for(width)
    wide, close = fit(columns, width, natural, gap), fit(columns, width, natural, NARROW_GAP)
    shown = {each.column.key for each in wide}
    gained = any(each.column.squeezes and each.column.key not in shown for each in close)
    return (close, NARROW_GAP) if gained else (wide, gap)


def fit(
    columns: Sequence[Column[R]], width: int, natural: Mapping[str, int], gap: int | None = None
) -> list[Fitted[R]]:
    """The columns that have room in `width` cells, in their own order, with their widths.

    `natural` is the width of each growing column's longest text.
    """
    gap = gap_for(width) if gap is None else gap
    wanted = {column.key: _start_width(column, natural) for column in columns}
    chosen: set[str] = set()
    used = -gap
    for column in sorted(columns, key=lambda each: each.priority):
        if used + gap + wanted[column.key] > width and column.priority > 0:
            break  # what is less important than the one that had no room does not jump the queue
        chosen.add(column.key)
        used += gap + wanted[column.key]
    shown = [column for column in columns if column.key in chosen]
    spare = width - used
    for column in sorted((each for each in shown if each.grow), key=lambda each: each.priority):
        if spare >= 0:
            more = min(spare, max(0, min(column.most, natural.get(column.key, 0)) - wanted[column.key]))
        else:
            more = max(spare, SHORTEST - wanted[column.key], -wanted[column.key])
            more = min(0, more)
        wanted[column.key] += more
        spare -= more
    return [Fitted(column, wanted[column.key]) for column in shown]


def _start_width(column: Column[Any], natural: Mapping[str, int]) -> int:
    title = len(column.title) + column.sortable  # the sign of the order stands beside it
    least = max(column.width, title)
    if column.grow and column.key in natural:
        # A column whose texts are all short gives its room to the others.
        return max(title, min(least, natural[column.key]))
    return least
