"""Sorting and filtering of a table's records. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from opsconsole.ui.widgets.columns import Column

R = TypeVar("R")


def sorted_rows(rows: Sequence[R], column: Column[R], reverse: bool) -> list[R]:
    """Sorted by a column, equal ones as they came. What is not known stands last in both directions."""
    known: list[tuple[Any, R]] = []
    unknown: list[R] = []
    for row in rows:
        value = _value(column, row)
        if value is None:
            unknown.append(row)
        else:
            known.append((value, row))
    known.sort(key=lambda pair: pair[0], reverse=reverse)
    return [row for _, row in known] + unknown


def matches(text: str, wanted: str) -> bool:
    """Whether `text` holds every word of `wanted` and none that is written `!word`. Case does not matter."""
    text = text.casefold()
    for word in wanted.casefold().split():
        if word.startswith("!") and len(word) > 1:
            if word[1:] in text:
                return False
        elif word not in text:
            return False
    return True


def _value(column: Column[R], row: R) -> Any:
    if column.order is not None:
        return column.order(row)
    cell = column.cell(row)
    return (cell if isinstance(cell, str) else cell[0]).casefold()
