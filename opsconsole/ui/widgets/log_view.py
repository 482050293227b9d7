"""The log as it is read: its settings, its keys, and the search. `LogCanvas` does the showing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from rich.cells import cell_len

from opsconsole.log_filter import LogFilter, Pattern
from opsconsole.log_store import LogStore
from opsconsole.model import LogLine
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.widgets.log_canvas import LogCanvas
from opsconsole.ui.widgets.log_rows import Times
from opsconsole.ui.widgets.log_search import find, start_of_search
from opsconsole.ui.widgets.scrolled import IN_TEXT

_SIDEWAYS = 16  # cells a step

IN_LOG = (
    *IN_TEXT,
    Action("sideways(-1)", ("left",), "Left", "Move to the beginning of long lines.", palette=False),
    Action("sideways(1)", ("right",), "Right", "Move along long lines.", palette=False),
)


class LogView(LogCanvas, can_focus=True, inherit_bindings=False):
    """Lines of a `LogStore`. The owner calls `add`; everything else is a setting."""

    actions: ClassVar[tuple[Action, ...]] = IN_LOG
    BINDINGS = cast(Any, bindings(IN_LOG))

    def __init__(self, store: LogStore | None = None, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(store, ascii_only=ascii_only, id=id)
        self.search_note = ""  # what came of the last search, in a word or two

    # --- what a pane uses --------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all lines; settings stay."""
        self.store.clear()
        self._widest = self._painter.left = 0
        self._painter.hit = None
        self.search_note = ""
        self._rebuild()
        self.follow()

    def know(self, labels: Mapping[str, str]) -> None:
        """What is shown for each container id."""
        before = self.look.label_width, self.look.labels
        self.look.name(labels, most=20 if self._width >= 90 else 12)
        if (self.look.label_width, self.look.labels) != before:
            self._changed_layout()

    def filter_by(self, shown: LogFilter) -> None:
        if shown != self.shown:
            self.shown = shown
            self._rebuild()

    @property
    def wrap(self) -> bool:
        return self._painter.wrap

    def set_wrap(self, wrap: bool) -> None:
        if wrap != self.wrap:
            self._wrap_next = wrap
            self._painter.left = 0
            self._rebuild()

    def set_times(self, times: Times) -> None:
        if times is not self.look.times:
            self.look.times = times
            self._changed_layout()

    @property
    def search(self) -> Pattern:
        return self._painter.search

    def search_for(self, wanted: Pattern) -> None:
        """Highlight this text; `find_next` goes to it."""
        self._painter.search = wanted
        self._painter.hit = None
        self.search_note = ""
        self._repaint()

    @property
    def left(self) -> int:
        """Cells scrolled sideways."""
        return self._painter.left

    def lines_shown(self) -> Iterator[LogLine]:
        """The lines that pass the filter, oldest first."""
        for position in range(self._index.lines):
            number = self._index.number_at(position)
            if number >= self.store.first:
                yield self.store[number]

    def text_to_copy(self) -> str:
        """The selection, else the line of the current search hit, else what is on screen."""
        if (selection := self.text_selection) is not None:
            return self._selected(selection)
        hit = self._painter.hit
        if hit is not None and hit >= self.store.first:
            return self._painter.whole_text(hit)
        top = self.scroll_offset.y
        numbers: list[int] = []
        for row in range(top, min(top + self.size.height, self._index.height)):
            number, _ = self._index.at(row)
            if not numbers or numbers[-1] != number:
                numbers.append(number)
        return "\n".join(self._painter.whole_text(number) for number in numbers)

    def show_line(self, number: int) -> None:
        """Put this line at the top, and stay there."""
        self.follow(False)
        self._move(self._index.row_of(max(number, self.store.first)))
        self._repaint()

    # --- search ------------------------------------------------------------------------------------

    def find_next(self, step: int = 1) -> None:
        """Go to the next hit (step 1) or the one before (-1). Searches in slices, so keys go on working."""
        if self.search:
            self.run_worker(self._find(step), group="log-search", exclusive=True, exit_on_error=False)

    async def _find(self, step: int) -> None:
        index, painter, wanted = self._index, self._painter, self.search
        self.search_note = "searching"
        self.post_message(self.Moved())
        top = self.scroll_offset.y
        start = start_of_search(index, painter.hit, top, top + self.size.height - 1, step)
        first = painter.hit is None
        number = await find(index, start, step, lambda line: wanted.matches(painter.text(line)))
        if number is None and first:
            # A search that begins here finds what is behind it too: it may stand on the screen.
            number = await find(index, start, -step, lambda line: wanted.matches(painter.text(line)))
        self.search_note = ""
        if number is not None and index is self._index:
            self._show_hit(number)
        elif number is None:
            self.search_note = "no hits" if first else "no more hits below" if step > 0 else "no more hits above"
        self.post_message(self.Moved())

    def _show_hit(self, number: int) -> None:
        self.follow(False)
        self._painter.hit = number
        row = self._index.row_of(number)
        top = self.scroll_offset.y
        if not top <= row < top + self.size.height:
            self._move(row - self.size.height // 2)
        if not self.wrap:
            self._show_columns(number)
        self._repaint()

    def _show_columns(self, number: int) -> None:
        painter = self._painter
        text = painter.text(self.store[number])
        found = self.search.regex.search(text) if self.search.regex else None
        if found and painter.room:
            start, end = cell_len(text[: found.start()]), cell_len(text[: found.end()])
            if not painter.left <= start < painter.left + painter.room:
                painter.left = max(0, start - painter.room // 3) if end > painter.room else 0

    # --- keys ----------------------------------------------------------------------------------------

    def action_lines(self, step: int) -> None:
        self._scroll_by(step)

    def action_screens(self, direction: int) -> None:
        self._scroll_by(direction * max(1, self.size.height - 1))

    def _scroll_by(self, step: int) -> None:
        if step < 0 and self._index.height > self.size.height:
            self.follow(False)
        target = self.scroll_offset.y + step
        if step > 0 and target >= self.max_scroll_y:
            self.follow()
        else:
            self._move(target)

    def action_top(self) -> None:
        if self._index.height > self.size.height:
            self.follow(False)
        self._move(0)

    def action_bottom(self) -> None:
        self.follow()

    def action_sideways(self, direction: int) -> None:
        painter = self._painter
        most = 0 if self.wrap else max(0, self._widest - painter.room)
        painter.left = min(most, max(0, painter.left + direction * _SIDEWAYS))
        self._repaint()
        self.post_message(self.Moved())
