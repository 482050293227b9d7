"""Sheets beside each other, each as high as its lines."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import Horizontal

from opsconsole.ui.widgets.painting import Hollow
from opsconsole.ui.widgets.sheet import Painter, Sheet


class SideBySide(Horizontal, Hollow):
    """Up to `most` columns. Each is one sheet for all of its parts: a widget of its own for each part costs as much
    as the part itself every time the pane is shown."""

    DEFAULT_CSS = """
    SideBySide { height: auto; }
    """

    def __init__(self, most: int, *, gap: int = 2) -> None:
        """`gap` is the cells between two columns."""
        self._sheets = [Sheet() for _ in range(most)]
        super().__init__(*self._sheets)
        for sheet in self._sheets[1:]:
            sheet.styles.margin = (0, 0, 0, gap)

    def paint(self, columns: Sequence[Sequence[Painter]], gap: int = 0) -> None:
        """Show these columns of equal width; `gap` blank lines stand under each part of one."""
        for place, sheet in enumerate(self._sheets):
            sheet.display = place < len(columns)
            sheet.paint(*(columns[place] if sheet.display else ()), gap=gap)
