"""A block of lines that pure functions lay out for the width there is.

A function gets the width and gives the lines; the widget asks again when the width or the data
changes and is always as high as the lines are. So what is painted can be tested without a screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip

from opsconsole.text import printable
from opsconsole.ui.widgets.lines import cut
from opsconsole.ui.widgets.painting import Plain
from opsconsole.ui.wording import UNICODE, Tone

Painter = Callable[[int], Sequence[Content]]
"""Lines for a width in cells. A line that is longer is cut with an ellipsis, never wrapped."""


class Sheet(Plain):
    DEFAULT_CSS = """
    Sheet { width: 1fr; height: auto; text-wrap: nowrap; }
    """

    def __init__(self, painter: Painter | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._painters: tuple[Painter, ...] = () if painter is None else (painter,)
        self._gap = 0
        self._width = 0  # that the lines were laid out for; 0: not yet
        self._lines: list[Content] = []
        self._strips: dict[int, Strip] = {}  # the lines as they were painted, by their place

    @property
    def line_count(self) -> int:
        """How many lines there are; 0 until they were laid out."""
        return len(self._lines)

    def paint(self, *painters: Painter, gap: int = 0) -> None:
        """Show the lines of these painters, one below the other, each with `gap` blank lines under it.

        Costs a repaint of the lines that differ, a layout only when their number does.
        """
        first = not self._painters
        self._painters, self._gap = painters, gap
        before, strips, known = self._lines, self._strips, self._width
        width = self.content_size.width or known  # one in a hidden pane will be as wide as it was
        self._width = 0
        if first or not width or not self.display:  # laid out when it is shown
            if self.display:
                self.refresh(layout=True)
            return
        lines = self._at(width)
        if len(lines) != len(before) or width != known:
            self.refresh(layout=True)
            return
        changed = [y for y, line in enumerate(lines) if not line.is_same(before[y])]
        self._strips = {y: strip for y, strip in strips.items() if y not in changed}
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._at(width)) if width else 0

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    # --- painting ----------------------------------------------------------------------------------

    def render(self) -> Content:
        return Content("\n").join(self._at(self.content_size.width))

    def render_line(self, y: int) -> Strip:
        if self.mouse_hover or self.text_selection is not None:
            return super().render_line(y)  # it keeps where in the text each cell is, which costs as much as the rest
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = self._painted(y)
        return strip

    def _painted(self, y: int) -> Strip:
        lines, style = self._at(self.content_size.width), self.visual_style
        if y >= len(lines):
            return Strip.blank(self.content_size.width, style.rich_style)
        pieces = lines[y].render(style, end="")
        segments = [Segment(text, (style + tone).rich_style) for text, tone in pieces if text]
        return Strip(segments, lines[y].cell_length)

    def on_enter(self) -> None:
        self.refresh()

    # --- lines -------------------------------------------------------------------------------------

    def _at(self, width: int) -> list[Content]:
        if self._width != width:
            self._width = width
            self._lines, self._strips = [], {}
            if width:
                for painter in self._painters:
                    self._lines += [*self._ask(painter, width), *[Content("")] * self._gap]
        return self._lines

    def _ask(self, painter: Painter, width: int) -> list[Content]:
        """The painter's lines. It runs inside the layout, where an exception would end the whole console."""
        try:
            return [self._cut(line, width) for line in painter(width)]
        except Exception as fault:
            faults = getattr(self.app, "faults", [])
            if repr(fault) not in map(repr, faults):
                faults.append(fault)
                self.log.error(fault)
            said = f"This part cannot be shown ({type(fault).__name__}: {printable(str(fault))}). Please report it."
            return [self._cut(Content.styled(said, Tone.BAD), width)]

    def _cut(self, line: Content, width: int) -> Content:
        return cut(line, width, getattr(self.app, "glyphs", UNICODE))
