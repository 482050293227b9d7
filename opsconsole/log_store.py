"""Log lines kept in memory: the newest ones, bounded by number and by size. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opsconsole.model import LogLine

# A LogLine struct, its str header, and their places in the list.
_OVERHEAD = 160


class LogStore:
    """A ring of lines with absolute numbers: the first line ever appended is 0, and a number never changes its line.

    When it is full the oldest lines fall out; `forgotten` counts them.
    """

    def __init__(self, max_lines: int = 100_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.max_lines = max_lines
        self.max_bytes = max_bytes
        self._lines: list[LogLine] = []
        self._bytes = 0
        self._first = 0

    @property
    def first(self) -> int:
        """Number of the oldest line kept."""
        return self._first

    @property
    def end(self) -> int:
        """Number that the next line will get."""
        return self._first + len(self._lines)

    @property
    def forgotten(self) -> int:
        return self._first

    @property
    def size_bytes(self) -> int:
        """What the lines take, estimated."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> LogLine:
        """The line with this absolute number; IndexError when it is not here any more, or not yet."""
        if number < self._first:
            raise IndexError(number)
        return self._lines[number - self._first]

    def between(self, start: int, end: int) -> Sequence[LogLine]:
        """Lines by absolute number, `end` not included; what is not here is left out."""
        return self._lines[max(0, start - self._first) : max(0, end - self._first)]

    def above(self, number: int) -> Iterator[LogLine]:
        """Lines above this one, nearest first."""
        for index in range(min(number - self._first, len(self._lines)) - 1, -1, -1):
            yield self._lines[index]

    def append(self, lines: Sequence[LogLine]) -> None:
        """Add lines at the end and let the oldest fall out."""
        self._lines.extend(lines)
        self._bytes += sum(map(_size, lines))
        excess = max(0, len(self._lines) - self.max_lines)
        self._bytes -= sum(map(_size, self._lines[:excess]))
        while self._bytes > self.max_bytes and excess < len(self._lines) - 1:
            self._bytes -= _size(self._lines[excess])
            excess += 1
        if excess:
            del self._lines[:excess]
            self._first += excess

    def clear(self) -> None:
        """Forget all lines. Numbers go on where they were, so nothing old can be taken for new."""
        self._first = self.end
        self._lines = []
        self._bytes = 0


def _size(line: LogLine) -> int:
    # ASCII text takes a byte a character; the widest takes four.
    text = line.text
    return _OVERHEAD + (len(text) if text.isascii() else 4 * len(text))
