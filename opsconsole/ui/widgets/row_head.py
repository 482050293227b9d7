"""The heading of a RowTable: a title over each column, with the sign of the order."""

from __future__ import annotations

from typing import Any

from rich.segment import Segment
from textual import events
from textual.strip import Strip

from opsconsole.ui.widgets.painting import Plain
from opsconsole.ui.widgets.row_lines import GUTTER, RowLines, clipped, glyphs_of


class RowHead(Plain):
    """The heading; a click on a title sorts by it."""

    DEFAULT_CSS = """
    RowHead { width: 1fr; height: 1; color: $foreground-muted; text-style: bold; }
    """

    def __init__(self, lines: RowLines[Any]) -> None:
        super().__init__()
        self._lines = lines

    def render_line(self, y: int) -> Strip:
        width, style = self.size.width, self.rich_style
        glyphs = glyphs_of(self)
        gap = " " * self._lines.gap
        titles = []
        for fitted in self._lines.fitted:
            title, right = fitted.column.title, fitted.column.align == "right"
            if fitted.column.key == self._lines.sort_key:
                sign = glyphs.descending if self._lines.reverse else glyphs.ascending
                title = sign + title if right else title + sign
            titles.append(clipped(title, fitted.width, glyphs.ellipsis, right=right))
        return Strip([Segment(clipped(" " * GUTTER + gap.join(titles), width, " "), style)])

    def on_click(self, event: events.Click) -> None:
        x = event.x - GUTTER
        gap = self._lines.gap
        for fitted in self._lines.fitted:
            if 0 <= x < fitted.width + gap:
                if fitted.column.sortable:
                    self._lines.sort_by(fitted.column.key)
                return
            x -= fitted.width + gap
