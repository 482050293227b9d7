"""A block of lines that a pure function lays out for the width there is.

The function gets the width and gives the lines; the widget asks again when the width or the data
changes and is always as high as the lines are. So what is painted can be tested without a screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from opsconsole.text import printable
from opsconsole.ui.widgets.lines import cut
from opsconsole.ui.wording import UNICODE, Tone

Painter = Callable[[int], Sequence[Content]]
"""Lines for a width in cells. A line that is longer is cut with an ellipsis, never wrapped."""


class Sheet(Widget):
    DEFAULT_CSS = """
    Sheet { width: 1fr; height: auto; text-wrap: nowrap; }
    """

    def __init__(self, painter: Painter | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._painter: Painter = painter or (lambda width: ())
        self._lines: tuple[int, Sequence[Content]] | None = None
        self._drawn: list[Content] = []

    def paint(self, painter: Painter) -> None:
        """Show other lines. Costs a repaint when they differ, a layout only when their number does."""
        self._painter = painter
        before, self._lines = self._drawn, None
        width = self.content_size.width
        if not width:
            if self.display:  # one that is hidden is laid out when it is shown
                self.refresh(layout=True)
            return
        lines = self._at(width)
        if len(lines) != len(before):
            self.refresh(layout=True)
        elif any(not new.is_same(old) for new, old in zip(lines, before, strict=True)):
            self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._at(width)) if width else 0

    def render(self) -> Content:
        lines = self._at(self.content_size.width)
        self._drawn = list(lines)
        return Content("\n").join(lines)

    def _at(self, width: int) -> Sequence[Content]:
        if self._lines is None or self._lines[0] != width:
            self._lines = (width, self._ask(width) if width else [])
        return self._lines[1]

    def _ask(self, width: int) -> list[Content]:
        """The painter's lines. It runs inside the layout, where an exception would end the whole console."""
        try:
            return [self._cut(line, width) for line in self._painter(width)]
        except Exception as fault:
            faults = getattr(self.app, "faults", [])
            if repr(fault) not in map(repr, faults):
                faults.append(fault)
                self.log.error(fault)
            said = f"This part cannot be shown ({type(fault).__name__}: {printable(str(fault))}). Please report it."
            return [self._cut(Content.styled(said, Tone.BAD), width)]

    def _cut(self, line: Content, width: int) -> Content:
        return cut(line, width, getattr(self.app, "glyphs", UNICODE))
