"""Painting for less than the framework's own way costs, for widgets that need nothing of what makes that expensive.

Most of the time that a pane takes to appear goes into its lines: for each of them the framework asks for border,
outline, tint, hatch and opacity anew, also of the containers, no line of which is seen.

Both stand last among the bases of a widget: rules and component classes come from the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from rich.style import Style as RichStyle
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region, Spacing
from textual.scrollbar import ScrollBar
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget


class _Scrolling(Widget):
    """Its scrollbar is a column of lines like any other."""

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        bar = super().vertical_scrollbar
        if not isinstance(bar._styles_cache, _PlainLines):
            bar._styles_cache = _PlainLines()
        return bar


class Hollow(_Scrolling):
    """What only holds other widgets, on a ground of one colour: a blank line is all its lines."""

    def render_lines(self, crop: Region) -> list[Strip]:
        if _has_border(self):
            return super().render_lines(crop)
        blank = _blank(crop.width, self.visual_style.rich_style)
        for line_filter in self.get_line_filters():
            blank = blank.apply_filter(line_filter, self.background_colors[1])
        return [blank] * crop.height


class Plain(_Scrolling):
    """A widget of lines with nothing but padding around them. One that has a border all the same is painted as ever."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._styles_cache = _PlainLines()


class Row(Strip):
    """A line that is left to the memory as soon as nobody holds it.

    The framework's own keeps itself among its divisions: such a ring is found only by a walk through all objects, which
    a log that floods past makes as long as a third of a second.
    """

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        cuts = [cut for cut in cuts if cut <= self.cell_length]
        return [self] if cuts == [self.cell_length] else super().divide(cuts)

    def apply_filter(self, filter: LineFilter, background: Color) -> Row:
        filtered = self._filter_cache.get((filter, background))
        if filtered is None:
            filtered = Row(filter.apply(self._segments, background), self.cell_length)
            self._filter_cache[(filter, background)] = filtered
        assert isinstance(filtered, Row)
        return filtered


class _PlainLines(StylesCache):
    """A row that the widget has kept is handed on as it is, and with it what was made of it the last time."""

    def __init__(self) -> None:
        super().__init__()
        self._made_for: tuple[object, ...] = ()

    def render_widget(self, widget: Widget, crop: Region) -> list[Strip]:
        if _has_border(widget):
            return super().render_widget(widget, crop)
        size, padding = widget.region.size, widget.styles.padding
        filters, (_, background) = widget.get_line_filters(), widget.background_colors
        made_for = (size.width, padding, background, *filters)
        if made_for != self._made_for:
            self._made_for = made_for
            self.clear()
        content, ground = size - padding.totals, Style(background=background).rich_style
        rows: list[Strip] = []
        for y in crop.line_range:
            row = None if y in self._dirty_lines else self._cache.get(y)
            if row is None:
                inside = padding.top <= y < padding.top + content.height
                line = widget.render_line(y - padding.top) if inside else _blank(content.width, ground)
                row = self._cache[y] = _row(line, content.width, padding, ground, filters, background)
            rows.append(row)
        self._dirty_lines.difference_update(crop.line_range)
        if crop.column_span != (0, size.width):
            rows = [row.crop(*crop.column_span) for row in rows]
        return rows


def _row(
    line: Strip, width: int, padding: Spacing, ground: RichStyle, filters: Sequence[LineFilter], background: Color
) -> Row:
    line = line.adjust_cell_length(width, ground)
    if padding.left or padding.right:
        line = Strip.join([_blank(padding.left, ground), line, _blank(padding.right, ground)])
    row = line if isinstance(line, Row) else Row(list(line), line.cell_length)
    for line_filter in filters:
        row = row.apply_filter(line_filter, background)
    return row


def _has_border(widget: Widget) -> bool:
    return widget.styles.gutter != widget.styles.padding


@lru_cache(256)
def _blank(width: int, style: RichStyle) -> Strip:
    return Strip.blank(width, style)
