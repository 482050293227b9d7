"""The rows of a log on the screen: which ones, where, painted, selected.

Only the rows on screen are styled, everything else stays text in the `LogStore`; so a flood costs what
reading it costs. Following is a state, never guessed from where the scrollbar stands: a resize or a burst
must not end it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from opsconsole.log_filter import LogFilter
from opsconsole.log_index import LogIndex
from opsconsole.log_store import LogStore
from opsconsole.model import LogLine
from opsconsole.ui.widgets.log_painter import RowPainter
from opsconsole.ui.widgets.log_rows import Inks, RowLook, height_of, service_palette
from opsconsole.ui.widgets.painting import Plain

_SLICE = 0.012  # seconds of indexing between two turns of the event loop


class LogCanvas(ScrollView, Plain):
    """Shows the lines of a store that pass `shown`. Settings are changed by `LogView`, which adds the keys."""

    COMPONENT_CLASSES = {"log--muted", "log--warning", "log--error", "log--hit", "log--here"}
    # `scroll`, not `auto`: scrolling to the end does nothing until the scrollbar exists. No horizontal one: it
    # would come and go with the longest line and take a row each time; `sideways` keeps count itself.
    DEFAULT_CSS = """
    LogCanvas {
        width: 1fr; height: 1fr; overflow-y: scroll; overflow-x: hidden; scrollbar-size-vertical: 1;
        & > .log--muted { color: $foreground-muted; }
        & > .log--warning { color: $warning; }
        & > .log--error { color: $error; text-style: bold; }
        & > .log--hit { background: $accent; color: $background; }
        & > .log--here { background: $warning; color: $background; text-style: bold underline; }
        &:ansi > .log--hit { color: ansi_black; background: ansi_cyan; }
        &:ansi > .log--here { color: ansi_black; background: ansi_yellow; text-style: bold underline; }
        &:nocolor > .log--hit { text-style: reverse; }
        &:nocolor > .log--here { text-style: reverse bold underline; }
        &:nocolor > .log--warning { text-style: underline; }
    }
    """

    class Moved(Message):
        """Following began or ended, or a search came to an end: what the status line says has changed."""

    def __init__(self, store: LogStore | None = None, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.store = store if store is not None else LogStore()
        self.look = RowLook(ascii=ascii_only)
        self.shown = LogFilter()
        self.following = True
        self._painter = RowPainter(self.store, self.look)
        self._index = LogIndex(self.store)
        self._next: LogIndex | None = None  # being built; takes the place of `_index` when complete
        self._widest = 0  # cells of the longest text
        self._paused_at = 0  # number of the first line that came after following ended
        self._gone = 0  # rows that left at the top, so that a selection keeps its rows
        self._inked = False
        self._wrap_next = False
        self._moving = False
        self._working = False
        self._thumb = (0, 0)  # size and place of the scrollbar's thumb as last told, in eighths of a cell

    def add(self, lines: Sequence[LogLine]) -> None:
        """Lines that came. Costs microseconds a line; they are shown with the next frame."""
        if not lines:
            return
        self.store.append(lines)
        self._measure(lines)
        self._grow()

    def follow(self, on: bool = True) -> None:
        """Stay at the end as lines come, or stay where we are."""
        if on:
            self._move(self.max_scroll_y)
        elif self.following:
            self._paused_at = self.store.end
        if on != self.following:
            self.following = on
            self.post_message(self.Moved())

    @property
    def new_lines(self) -> int:
        """Shown lines that came since following ended."""
        return 0 if self.following else max(0, self._index.lines - self._index.position_of(self._paused_at))

    @property
    def shown_lines(self) -> int:
        return self._index.lines

    @property
    def building(self) -> bool:
        """A filter or a new width is being applied; what is shown is still the old one."""
        return self._next is not None

    # --- keeping the index -------------------------------------------------------------------------

    @property
    def _width(self) -> int:
        """Cells of a row. `size` counts the scrollbar's column too."""
        return self.scrollable_size.width

    def _new_index(self) -> LogIndex:
        width = self._width - self.look.prefix_width
        height = (lambda line: height_of(line, width)) if self._wrap_next and width > 0 else None
        return LogIndex(self.store, self.shown if self.shown else None, height)

    def _rebuild(self) -> None:
        """Apply a filter, a width: aside, in slices, so that the old view stays until the new one is ready."""
        self._next = self._new_index()
        self._work()

    def _changed_layout(self) -> None:
        if self._wrap_next:
            self._rebuild()
        self._repaint()

    def _grow(self) -> None:
        self._index.advance(_SLICE)
        gone = self._index.forget()
        self._gone += gone
        self._place(gone)
        if not self._index.complete or self._next is not None:
            self._work_soon()

    def _work_soon(self) -> None:
        if not self._working:
            self._working = True
            self.set_timer(0.002, self._work)

    def _work(self) -> None:
        self._working = False
        if self._next is not None:
            self._next.forget()
            if self._next.advance(_SLICE):
                self._swap(self._next)
            else:
                self._work_soon()
        elif not self._index.complete:
            self._grow()

    def _swap(self, index: LogIndex) -> None:
        """Show the new index, with the line that is being read where it was: the search hit, else the top one."""
        old, top = self._index, self.scroll_offset.y
        number = old.at(top)[0] if top < old.height else self.store.end
        offset = 0
        hit = self._painter.hit
        if hit is not None and top <= old.row_of(hit) < top + self.size.height:
            number, offset = hit, old.row_of(hit) - top
        self._index, self._next = index, None
        self._painter.wrap = self._wrap_next
        self._gone = 0
        if self.is_mounted and self.text_selection is not None:
            self.screen.clear_selection()
        self._repaint()
        self._place(0, top=index.row_of(number) - offset)
        self.post_message(self.Moved())

    def _place(self, gone: int, *, top: int | None = None) -> None:
        # Past the reactive: that one lays the whole screen out, for every frame of a flood, and nothing depends on it.
        self.set_reactive(LogCanvas.virtual_size, Size(self._width, self._index.height))
        if self.following:
            self._move(self.max_scroll_y)
        elif top is not None:
            self._move(top)
        elif gone:
            self._move(self.scroll_offset.y - gone)  # hold the reader's place while old lines leave
        self._place_thumb()
        self.refresh()

    def _place_thumb(self, *, exactly: bool = False) -> None:
        """Tell the scrollbar, when that would change what it shows: it paints as many rows as the log has."""
        if not self.show_vertical_scrollbar:
            return
        rows, height = self.size.height, max(1, self._index.height)
        eighths = rows * rows * 8 // height, rows * round(self.scroll_y) * 8 // height  # as fine as it is drawn
        if eighths != self._thumb or exactly:
            self._thumb = eighths
            bar = self.vertical_scrollbar
            bar.window_virtual_size, bar.window_size, bar.position = height, rows, self.scroll_y

    def _move(self, y: float) -> None:
        self._moving = True
        try:
            self.scroll_to(y=max(0, y), animate=False, immediate=True)
        finally:
            self._moving = False

    def _measure(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            text = line.text
            if len(text) > self._widest:
                self._widest = len(text)
            if not text.isascii() and 2 * len(text) > self._widest:
                self._widest = max(self._widest, cell_len(self._painter.text(line)))

    # --- events ------------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if round(old_value) != round(new_value):
            self.refresh()
        self._place_thumb(exactly=not self._moving)
        if not self._moving:  # the reader scrolled, not we
            following = round(new_value) >= self.max_scroll_y
            if following != self.following:
                self._paused_at = self.store.end
                self.following = following
                self.post_message(self.Moved())

    def on_resize(self, event: events.Resize) -> None:
        if self._painter.width != self._width:  # and not only shown again
            self._painter.width = self._width
            if self._wrap_next:
                self._rebuild()
            self._repaint()
        self._place(0)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._inked = False

    def on_enter(self) -> None:
        self.refresh()

    def selection_updated(self, selection: Selection | None) -> None:
        if selection is not None and self.following:
            self.follow(False)
        self._repaint()

    # --- painting ----------------------------------------------------------------------------------

    def _repaint(self) -> None:
        self._painter.forget()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if not self._inked:
            self._take_ink()
        row = round(self.scroll_y) + y
        try:
            number, part = self._index.at(row)
            selection = self.text_selection
            if selection is None and not self.mouse_hover:
                return self._painter.strip(number, part)
            absolute = row + self._gone
            span = selection.get_span(absolute) if selection is not None else None
            return self._painter.strip_for_mouse(number, part, absolute, span)
        except IndexError:  # below the last line, or fallen out since the last turn
            return Strip.blank(self.size.width, self.rich_style)

    def _take_ink(self) -> None:
        theme = self.app.current_theme
        style = self.get_component_rich_style
        inks = Inks(
            base=self.rich_style,
            muted=style("log--muted"),
            warning=style("log--warning"),
            error=style("log--error"),
            hit=style("log--hit"),
            here=style("log--here"),
            selected=self.screen.get_component_rich_style("screen--selection"),
            services=service_palette(ansi=theme.ansi, dark=theme.dark),
        )
        self._painter.ink(inks)
        self._inked = True

    def service_style(self, service: str) -> Style:
        """The colour of a service in the log, for a list beside it."""
        if not self._inked:
            self._take_ink()
        return self._painter.service_style(service)

    # --- selection ---------------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return self._selected(selection), "\n"

    def _selected(self, selection: Selection) -> str:
        first = max(0, selection.start.y - self._gone) if selection.start else 0
        last = min(self._index.height - 1, selection.end.y - self._gone) if selection.end else self._index.height - 1
        out: list[str] = []
        previous = -1
        for row in range(first, last + 1):
            span = selection.get_span(row + self._gone)
            number, part = self._index.at(row)
            if span is None or number < self.store.first:
                continue
            text, offset = self._painter.row_text(number, part)
            start, end = span
            taken = text[max(0, start - offset) : None if end == -1 else max(0, end - offset)]
            if number == previous:
                out[-1] += taken  # a wrapped line is one line
            else:
                out.append(taken)
            previous = number
        return "\n".join(out)
