"""The lines of a RowTable. Only visible lines are asked for, only changed ones repainted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar, cast

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from opsconsole.text import printable
from opsconsole.ui.keys import IN_LISTS, bindings
from opsconsole.ui.themes import cursor_keeps_tones
from opsconsole.ui.widgets.columns import GAP, Column, Fitted, laid_out
from opsconsole.ui.widgets.ordering import matches, sorted_rows
from opsconsole.ui.widgets.painting import Plain, Row
from opsconsole.ui.wording import UNICODE, Glyphs, Tone

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

R = TypeVar("R")
_OF_ROWS = ("marked", "cursor")
_REVERSED, _UNDERLINED = RichStyle(reverse=True), RichStyle(underline=True)
GUTTER = 2  # the mark and a space
SCROLLBAR = 1  # kept free also while there is none, so that columns do not jump when it comes


class Look(NamedTuple):
    """What all rows are painted with until the theme or the focus changes: to ask for it costs more than a row."""

    theme: str
    base: RichStyle
    marked: RichStyle
    cursor: RichStyle


def glyphs_of(widget: Widget) -> Glyphs:
    return cast("ConsoleApp", widget.app).glyphs if hasattr(widget.app, "glyphs") else UNICODE


def clipped(text: str, width: int, ellipsis: str, *, right: bool = False) -> str:
    """`text` in exactly `width` cells; what is cut off is marked."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + ellipsis if width > 0 else ""
    padding = " " * (width - length)
    return padding + text if right else text + padding


class RowLines(ScrollView, Plain, Generic[R], can_focus=True, inherit_bindings=False):
    actions = IN_LISTS
    BINDINGS = cast(Any, bindings(IN_LISTS))
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row-lines--{name}" for name in _OF_ROWS}
    DEFAULT_CSS = """
    RowLines {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .row-lines--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
        }
        &:focus > .row-lines--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
        & > .row-lines--marked { text-style: bold; color: $accent; }
    }
    """

    class Chosen(Message):
        def __init__(self, record: Any) -> None:
            super().__init__()
            self.record = record

    class Moved(Message):
        def __init__(self, record: Any | None) -> None:
            super().__init__()
            self.record = record

    class MarksChanged(Message):
        pass

    class Arranged(Message):
        """Columns or order are others than before: the heading must follow."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        *,
        key: Callable[[R], str],
        empty: str,
        muted: Callable[[R], bool] | None,
        search: Callable[[R], str] | None,
        open_filter: Callable[[], None],
        marks: bool,
        filters: bool,
        sort: str,
        reverse: bool,
    ) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.rows: list[R] = []
        self.fitted: list[Fitted[R]] = []
        self.gap = GAP  # between them
        self.filter_text = ""
        self.sort_key = sort
        self.reverse = reverse
        self._key = key
        self._empty = empty
        self._muted = muted
        self._search = search
        self._unwanted = {
            *(() if marks else ("mark",)),
            *(() if filters else ("filter",)),
            *(() if any(column.sortable for column in columns) else ("sort_next", "sort_previous", "sort_reverse")),
        }
        self._open_filter = open_filter  # at once: the next key is for the filter already
        self._all: list[R] = []
        self._keys: list[str] = []  # of self.rows
        self._marks: set[str] = set()
        self._cursor = 0
        self._cursor_key = ""
        self._natural: dict[str, int] = {}
        self._natural_of: frozenset[str] = frozenset()
        self._painted: dict[int, tuple[Any, ...]] = {}
        self._cells: dict[int, tuple[Any, ...]] = {}  # of the rows that were asked for them since `show`
        self._strips: LRUCache[tuple[Any, ...], Strip] = LRUCache(256)
        self._styles: dict[str, RichStyle] = {}
        self._look: Look | None = None

    # --- records -----------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        return len(self._all)

    @property
    def current(self) -> R | None:
        return self.rows[self._cursor] if 0 <= self._cursor < len(self.rows) else None

    @property
    def marked(self) -> tuple[R, ...]:
        return tuple(row for row, key in zip(self.rows, self._keys, strict=True) if key in self._marks)

    def show(self, records: list[R]) -> None:
        self._all = records
        keys = frozenset(map(self._key, records))
        if keys != self._natural_of:
            self._natural_of = keys
            if self._marks - keys:
                self._marks &= keys
                self.post_message(self.MarksChanged())
            self.measure()
        self._rearrange()

    def say(self, empty: str) -> None:
        if empty != self._empty:
            self._empty = empty
            if not self.rows:
                self._repaint()

    def filter_by(self, text: str) -> None:
        if text != self.filter_text:
            self.filter_text = text
            self._rearrange()

    def sort_by(self, key: str, reverse: bool | None = None) -> None:
        column = next((each for each in self.columns if each.key == key), None)
        if reverse is None:
            same = key == self.sort_key
            reverse = not self.reverse if same else bool(column and column.descending)
        self.sort_key, self.reverse = key, reverse
        self._rearrange()
        self.post_message(self.Arranged())

    def _rearrange(self) -> None:
        """Filter and sort anew; the cursor stays on its record, or on the nearest place when that is gone."""
        rows = self._all
        if self.filter_text.strip():
            rows = [row for row in rows if matches(self._searched(row), self.filter_text)]
        column = next((each for each in self.columns if each.key == self.sort_key), None)
        if column is not None:
            rows = sorted_rows(rows, column, self.reverse)
        before = len(self.rows)
        self._cells.clear()
        self.rows, self._keys = rows, [self._key(row) for row in rows]
        held = self._cursor_key
        if self._cursor >= len(self._keys) or self._keys[self._cursor] != held:
            try:
                self._cursor = self._keys.index(held)
            except ValueError:
                self._cursor = max(0, min(self._cursor, len(rows) - 1))
        self._cursor_key = self._keys[self._cursor] if rows else ""
        if self._cursor_key != held:
            self.post_message(self.Moved(self.current))
        if len(rows) != before:
            self.virtual_size = Size(self.size.width, max(1, len(rows)))
            self._repaint()
        else:
            self._repaint_changed()

    def _searched(self, row: R) -> str:
        if self._search is not None:
            return self._search(row)
        return " ".join(_text(column.cell(row)) for column in self.columns)

    # --- columns -----------------------------------------------------------------------------------

    def measure(self) -> None:
        """Ask anew how wide the texts of the growing columns are. With other records it is done by itself; a text that
        becomes longer is found when it is painted and cut: to look for it would ask every cell of every look."""
        growing = [column for column in self.columns if column.grow]
        self._natural = {
            column.key: max((cell_len(printable(_text(column.cell(row)))) for row in self._all), default=0)
            for column in growing
        }
        self._fit()

    def _fit(self) -> None:
        fitted, gap = laid_out(self.columns, max(0, self.size.width - GUTTER - SCROLLBAR), self._natural)
        if (fitted, gap) != (self.fitted, self.gap):
            self.fitted, self.gap = fitted, gap
            self._cells.clear()
            self._strips.clear()  # a line that did not change is painted anew all the same: its columns moved
            self._repaint()
            self.post_message(self.Arranged())

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, max(1, len(self.rows)))
        self._fit()
        self._painted.clear()
        self._reveal()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._painted.clear()
        self._look = None

    # --- painting ----------------------------------------------------------------------------------

    def _repaint(self) -> None:
        self._painted.clear()
        self.refresh()

    def _repaint_changed(self) -> None:
        """Refresh only the lines whose cells, mark or cursor differ from what is known to be painted."""
        if not self.is_attached or not self.size:
            return
        top = self.scroll_offset.y
        for y in range(min(self.size.height, len(self.rows) - top)):
            if self._signature(top + y) != self._painted.get(y):
                self.refresh(Region(0, y, self.size.width, 1))

    def _signature(self, index: int) -> tuple[Any, ...]:
        row, key = self.rows[index], self._keys[index]
        cells = self._cells.get(index)
        if cells is None:
            cells = self._cells[index] = tuple(fitted.column.cell(row) for fitted in self.fitted)
        return (
            cells,
            index == self._cursor,
            key in self._marks,
            bool(self._muted and self._muted(row)),
            index == self._cursor and self.has_focus,
        )

    def render_line(self, y: int) -> Strip:
        width, look = self.size.width, self._look or self._see()
        index = self.scroll_offset.y + y
        if index >= len(self.rows):
            self._painted.pop(y, None)
            return self._empty_line(y, width, look.base)
        signature = self._signature(index)
        self._painted[y] = signature
        wanted = (signature, width, look)
        strip = self._strips.get(wanted)
        if strip is None:
            strip = self._strips[wanted] = self._paint(signature, width, look)
        return strip

    def _empty_line(self, y: int, width: int, base: RichStyle) -> Strip:
        if y != 1 or self.rows:
            return Strip.blank(width, base)
        said = "No row holds this text. Esc shows all." if self._all else self._empty
        text = clipped("  " + printable(said), width, glyphs_of(self).ellipsis)
        return Strip([Segment(text, base + self._tone(Tone.MUTED))], width)

    def _see(self) -> Look:
        marked, cursor = (self.get_component_rich_style(f"row-lines--{name}", partial=True) for name in _OF_ROWS)
        self._look = Look(self.app.theme, self.rich_style, marked, cursor)
        return self._look

    def _paint(self, signature: tuple[Any, ...], width: int, look: Look) -> Strip:
        cells, under_cursor, marked, muted, _focused = signature
        glyphs = glyphs_of(self)
        keeps_tones = True
        style = look.base
        if muted:
            style += self._tone(Tone.MUTED)
        if marked:
            style += look.marked
        if under_cursor:
            style += look.cursor
            if self.app.no_color:
                style += _REVERSED if self.has_focus else _UNDERLINED
            keeps_tones = cursor_keeps_tones(self.app.current_theme, self.app.no_color)
        gap = " " * self.gap
        segments = [Segment(f"{glyphs.mark if marked else ' '} ", style)]
        used = GUTTER
        for position, (fitted, cell) in enumerate(zip(self.fitted, cells, strict=True)):
            text, tone = (cell, "") if isinstance(cell, str) else cell
            if position:
                segments.append(Segment(gap, style))
                used += len(gap)
            if len(text) > fitted.width and fitted.column.grow:
                self._grown(fitted.column.key, text)
            shown = clipped(printable(text), fitted.width, glyphs.ellipsis, right=fitted.column.align == "right")
            segments.append(Segment(shown, style + self._tone(tone) if tone and keeps_tones else style))
            used += fitted.width
        segments.append(Segment(" " * max(0, width - used), style))
        return Row(Segment.adjust_line_length(segments, width, style), width)

    def _grown(self, key: str, text: str) -> None:
        """A text that is cut is longer than any was when it was last asked: `restarting` in a column of `running`."""
        if cell_len(printable(text)) > self._natural.get(key, 0):
            self._natural[key] = cell_len(printable(text))
            self.call_later(self._fit)

    def _tone(self, tone: str) -> RichStyle:
        found = self._styles.get(tone)
        if found is None:
            found = Style.parse(tone, self.app.theme_variables).rich_style if tone else RichStyle.null()
            self._styles[tone] = found
        return found

    def on_focus(self) -> None:
        self._repaint()

    def on_blur(self) -> None:
        self._repaint()

    # --- cursor and marks --------------------------------------------------------------------------

    def move_to(self, key: str) -> bool:
        if key not in self._keys:
            return False
        self._move(self._keys.index(key))
        return True

    def _move(self, index: int) -> None:
        index = max(0, min(index, len(self.rows) - 1))
        if not self.rows or index == self._cursor:
            self._reveal()
            return
        before = self._cursor
        self._cursor, self._cursor_key = index, self._keys[index]
        self._reveal()
        # Only these two lines differ: to compare the cells of all would take longer than to paint them.
        top = self.scroll_offset.y
        for line in (before - top, index - top):
            if 0 <= line < self.size.height:
                self.refresh(Region(0, line, self.size.width, 1))
        self.post_message(self.Moved(self.current))

    def _reveal(self) -> None:
        """Scroll as little as needed for the cursor to be seen."""
        top, height = self.scroll_offset.y, self.size.height
        if height <= 0 or not self.rows:
            return
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._painted.clear()

    def unmark(self) -> None:
        if self._marks:
            self._marks.clear()
            self._repaint_changed()
            self.post_message(self.MarksChanged())

    def action_cursor(self, step: int) -> None:
        self._move(self._cursor + step)

    def action_page(self, direction: int) -> None:
        self._move(self._cursor + direction * max(1, self.size.height - 1))

    def action_top(self) -> None:
        self._move(0)

    def action_bottom(self) -> None:
        self._move(len(self.rows) - 1)

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def action_filter(self) -> None:
        self._open_filter()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in self._unwanted

    def action_mark(self) -> None:
        if self.current is None:
            return
        self._marks ^= {self._cursor_key}
        self._repaint_changed()
        self.post_message(self.MarksChanged())
        self._move(self._cursor + 1)

    def action_sort_next(self, step: int = 1) -> None:
        keys = ["", *(fitted.column.key for fitted in self.fitted if fitted.column.sortable)]
        here = keys.index(self.sort_key) if self.sort_key in keys else 0
        wanted = keys[(here + step) % len(keys)]
        column = next((each for each in self.columns if each.key == wanted), None)
        self.sort_by(wanted, bool(column and column.descending))

    def action_sort_previous(self) -> None:
        self.action_sort_next(-1)

    def action_sort_reverse(self) -> None:
        self.sort_by(self.sort_key, not self.reverse)

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y
        if 0 <= index < len(self.rows):
            self._move(index)
            if event.chain == 2:
                self.action_choose()


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else cell[0]
