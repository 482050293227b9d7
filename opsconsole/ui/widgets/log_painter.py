"""Paints the rows of a log: styles only what is asked for, and keeps what it painted.

A row has a front (time, service, level mark) that stays in place and a body that moves sideways. Selections
count characters: those of the front first, then those of the whole text of the line.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip

from opsconsole.log_filter import Pattern
from opsconsole.log_levels import level_of
from opsconsole.log_store import LogStore
from opsconsole.model import LogLevel, LogLine
from opsconsole.ui.widgets import log_rows as rows
from opsconsole.ui.widgets.log_rows import NO_INK, Inks, RowLook, ServiceColours


class RowPainter:
    """`width`, `left`, `wrap`, `search` and `hit` are set by the widget, which calls `forget` after a change."""

    def __init__(self, store: LogStore, look: RowLook) -> None:
        self.store = store
        self.look = look
        self.width = 0
        self.left = 0  # cells scrolled sideways
        self.wrap = False
        self.search = Pattern()
        self.hit: int | None = None  # number of the line where the search stands
        self._inks = NO_INK
        self._strips: LRUCache[tuple[int, int], Strip] = LRUCache(256)
        self._parts: LRUCache[int, list[str]] = LRUCache(64)
        self._services: dict[str, Style] = {}
        self._colours = ServiceColours(8)

    def ink(self, inks: Inks) -> None:
        """Take the styles of another theme. A service keeps its number, so its colour is the same kind."""
        if inks != self._inks:
            self._inks = inks
            self._services.clear()
            self.forget()

    def forget(self) -> None:
        """Something changed that every row shows."""
        self._strips.clear()
        self._parts.clear()

    @property
    def room(self) -> int:
        """Cells for the text of a line."""
        return max(0, self.width - self.look.prefix_width)

    def strip(self, number: int, part: int) -> Strip:
        """One row. IndexError when the line is not here any more."""
        strip = self._strips.get((number, part))
        if strip is None:
            front, body, _ = self._row(number, part)
            strip = self._strips[(number, part)] = rows.strip_of([*front, *body], self.width, self._inks.base)
        return strip

    def strip_for_mouse(self, number: int, part: int, y: int, span: tuple[int, int] | None) -> Strip:
        """The same row with the place of each character in it, which a selection with the mouse is made from."""
        front, body, start = self._row(number, part)
        body_at = rows.length(front) + start
        if span is not None:
            front, body = self._selected(front, 0, span), self._selected(body, body_at, span)
        base, room = self._inks.base, self.room
        return Strip.join(
            [
                rows.strip_of(front, self.width - room, base).apply_offsets(0, y),
                rows.strip_of(body, room, base).apply_offsets(body_at, y),
            ]
        )

    def row_text(self, number: int, part: int) -> tuple[str, int]:
        """The text of a row, and the number that its first character has in selections."""
        line = self.store[number]
        if not self.wrap:
            return self.whole_text(number), 0
        parts = self._parts_of(number, self.text(line))
        part = min(part, len(parts) - 1)
        front = rows.prefix_text(line, self._level(number, line), self.look)
        if part == 0:
            return front + parts[0], 0
        return parts[part], self.look.prefix_width + sum(map(len, parts[:part]))

    def whole_text(self, number: int) -> str:
        """A line as it is copied: what stands in front and the text, without wrapping."""
        line = self.store[number]
        return rows.prefix_text(line, self._level(number, line), self.look) + self.text(line)

    def text(self, line: LogLine) -> str:
        return rows.shown_text(line, ascii_only=self.look.ascii)

    def _row(self, number: int, part: int) -> tuple[list[Segment], list[Segment], int]:
        """Front and body of a row, and at which character of the text the body begins."""
        inks, line = self._inks, self.store[number]
        level = self._level(number, line)
        text = self.text(line)
        style = rows.text_style(line, level, inks)
        spans = rows.hits(text, self.search, inks.here if number == self.hit else inks.hit)
        if part:
            front = [Segment(" " * self.look.prefix_width, inks.base)]
        else:
            front = rows.prefix(line, level, self.look, inks, self.service_style(line.service))
        if not self.wrap:
            return front, *rows.seen(rows.styled(text, style, spans), self.left, self.room)
        parts = self._parts_of(number, text)
        part = min(part, len(parts) - 1)
        start = sum(map(len, parts[:part]))
        return front, rows.styled(parts[part], style, rows.shifted(spans, start)), start

    def _parts_of(self, number: int, text: str) -> list[str]:
        parts = self._parts.get(number)
        if parts is None:
            parts = self._parts[number] = rows.parts_of(text, self.room)
        return parts

    def _selected(self, segments: list[Segment], at: int, span: tuple[int, int]) -> list[Segment]:
        start, end = span
        out: list[Segment] = []
        for segment in segments:
            last = len(segment.text) if end == -1 else end - at
            style = segment.style or self._inks.base
            out.extend(rows.styled(segment.text, style, [(start - at, last, self._inks.selected)]))
            at += len(segment.text)
        return out

    def _level(self, number: int, line: LogLine) -> LogLevel:
        if line.skipped:
            return LogLevel.UNKNOWN
        above = self.store.above(number)
        return level_of(line, lambda: next(above, None))

    def service_style(self, service: str) -> Style:
        style = self._services.get(service)
        if style is None:
            colours = self._inks.services
            colour = colours[self._colours.number(service) % len(colours)]
            style = self._services[service] = self._inks.base + Style(color=colour)
        return style
