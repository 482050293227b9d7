"""Painting for less than the framework's own way costs, for widgets that need nothing of what makes that expensive.

Most of the time that a pane takes to appear goes into its lines: for each of them the framework asks for border,
outline, tint, hatch and opacity anew, also of the containers, no line of which is seen.

Both stand last among the bases of a widget: rules and component classes come from the first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rich.style import Style as RichStyle
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.css.styles import StylesBase
from textual.geometry import Region, Size, Spacing
from textual.scrollbar import ScrollBar
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget


class _Scrolling(Widget):
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


class _PlainLines(StylesCache):
    """A strip that the widget has kept is handed on as it is, and with it what was made of it the last time."""

    def render_widget(self, widget: Widget, crop: Region) -> list[Strip]:
        self._plain = not _has_border(widget)
        return super().render_widget(widget, crop)

    def render_line(
        self,
        styles: StylesBase,
        y: int,
        size: Size,
        content_size: Size,
        padding: Spacing,
        base_background: Color,
        background: Color,
        render_content_line: Any,
        *more: Any,
    ) -> Strip:
        if not self._plain:
            return super().render_line(
                styles, y, size, content_size, padding, base_background, background, render_content_line, *more
            )
        ground = _ground(base_background, background)
        y -= padding.top
        if not 0 <= y < content_size.height:
            return _blank(size.width, ground)
        line: Strip = render_content_line(y).adjust_cell_length(content_size.width, ground)
        if padding.left or padding.right:
            line = Strip.join([_blank(padding.left, ground), line, _blank(padding.right, ground)])
        return line


def _has_border(widget: Widget) -> bool:
    return widget.styles.gutter != widget.styles.padding


@lru_cache(256)
def _blank(width: int, style: RichStyle) -> Strip:
    return Strip.blank(width, style)


@lru_cache(256)
def _ground(base_background: Color, background: Color) -> RichStyle:
    return Style(background=base_background + background).rich_style
