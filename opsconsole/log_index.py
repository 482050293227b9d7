"""Which stored lines are shown, and on which rows of the screen each one stands. Pure.

An index is built in slices of time, so that filtering or wrapping 100,000 lines never holds up the
screen, and grows the same way when lines arrive. Rows are counted from the oldest line kept.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from time import perf_counter

from opsconsole.log_filter import LogFilter
from opsconsole.log_store import LogStore
from opsconsole.model import LogLine

_SLICE = 256  # lines between two looks at the clock: at most 2 ms


class LogIndex:
    """The shown lines of a store under one filter, each as high as `height` says (None: one row each)."""

    def __init__(
        self, store: LogStore, shown: LogFilter | None = None, height: Callable[[LogLine], int] | None = None
    ) -> None:
        self.store = store
        self._shows = shown.reader() if shown else None
        self._height = height
        self._next = store.first  # number of the first line not looked at yet
        self._numbers = array("q")  # of the shown lines; unused while every line is shown
        self._rows = array("q")  # first row of each shown line, from the index's own zero; unused without heights
        self._rows_end = 0
        self._rows_gone = 0  # rows that left at the top
        self._gone = 0  # those of them that `forget` has not told yet
        self._plain_first = store.first  # without a filter: the first number

    @property
    def complete(self) -> bool:
        """Whether every stored line has been looked at."""
        return self._next >= self.store.end

    @property
    def lines(self) -> int:
        """How many lines are shown."""
        return len(self._numbers) if self._shows else max(0, self._next - self._plain_first)

    @property
    def height(self) -> int:
        """How many rows they take."""
        return self._rows_end - self._rows_gone if self._height else self.lines

    def advance(self, seconds: float = 0.01) -> bool:
        """Look at lines that were not looked at yet, for about this long. True when none is left."""
        self._drop()
        if self._shows is None and self._height is None:
            self._next = self.store.end
            return True
        until = perf_counter() + seconds
        while self._next < self.store.end:
            for line in self.store.between(self._next, self._next + _SLICE):
                if self._shows is None or self._shows(line):
                    if self._shows is not None:
                        self._numbers.append(self._next)
                    if self._height is not None:
                        self._rows.append(self._rows_end)
                        self._rows_end += self._height(line)
                self._next += 1
            if perf_counter() > until:
                break
        return self.complete

    def forget(self) -> int:
        """Leave out what the store has forgotten; how many rows went at the top since this was last asked."""
        self._drop()
        gone, self._gone = self._gone, 0
        return gone

    def _drop(self) -> None:
        first = self.store.first
        if self._shows is not None:
            gone = bisect_left(self._numbers, first)
            del self._numbers[:gone]
        else:
            gone = max(0, min(first, self._next) - self._plain_first)
            self._plain_first = max(self._plain_first, first)
        self._next = max(self._next, first)
        if self._height is not None:
            del self._rows[:gone]
            before = self._rows_gone
            self._rows_gone = self._rows[0] if self._rows else self._rows_end
            gone = self._rows_gone - before
        self._gone += gone

    def at(self, row: int) -> tuple[int, int]:
        """The number of the line on a row, and which of the line's own rows that is. IndexError beyond the end."""
        if not 0 <= row < self.height:
            raise IndexError(row)
        position, part = row, 0
        if self._height is not None:
            absolute = row + self._rows_gone
            position = bisect_right(self._rows, absolute) - 1
            part = absolute - self._rows[position]
        return (self._numbers[position] if self._shows is not None else self._plain_first + position), part

    def row_of(self, number: int) -> int:
        """The first row of this line, or of the next shown one after it; the end when there is none."""
        if self._shows is not None:
            position = bisect_left(self._numbers, number)
        else:
            position = min(max(0, number - self._plain_first), self.lines)
        if self._height is None:
            return position
        return (self._rows[position] if position < len(self._rows) else self._rows_end) - self._rows_gone

    def number_at(self, position: int) -> int:
        """The number of the nth shown line."""
        return self._numbers[position] if self._shows is not None else self._plain_first + position

    def position_of(self, number: int) -> int:
        """How many shown lines stand above this one."""
        if self._shows is not None:
            return bisect_left(self._numbers, number)
        return min(max(0, number - self._plain_first), self.lines)
