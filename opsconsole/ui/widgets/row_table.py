"""A table of live records: the cursor stays on its record, whatever is added, removed or sorted around it.

How a pane uses it::

    columns = (
        Column("name", "Name", 12, lambda volume: volume.name, grow=True),
        Column("size", "Size", 8, lambda volume: size(volume.size_bytes), align="right", priority=1,
               order=lambda volume: volume.size_bytes, descending=True),
        Column("safety", "Safety", 14, lambda volume: (volume.safety, Tone.WARNING), priority=2),
    )
    table = RowTable(columns, key=lambda volume: volume.key, empty="No volume.")
    table.show(snapshot.volumes)          # with each Snapshot; only what changed is painted
    table.current, table.marked, table.targets

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:   # Enter or a double click
        event.record

Cells are asked only for the lines on screen (all rows only to sort or filter by them), once with each
`show`, so thousands of rows cost no more than a screenful. Colours come as `Tone`; outside text is made printable here.
Keys: see `keys.IN_LISTS`. Esc reaches `back()` through the pane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from opsconsole.text import printable
from opsconsole.ui.keys import WHILE_TYPING, Action
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.painting import Hollow
from opsconsole.ui.widgets.row_head import RowHead
from opsconsole.ui.widgets.row_lines import RowLines

R = TypeVar("R")

__all__ = ["CellText", "Column", "RowTable"]


class FilterInput(Input):
    """Where the text of the filter is typed. Enter keeps it and returns to the rows, Esc drops it."""

    actions: ClassVar[tuple[Action, ...]] = WHILE_TYPING
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "drop", "Drop"), ("down", "submit", "Rows")]

    class Dropped(Message):
        """The filter is not wanted."""

    class Entered(Message):
        """Enter was pressed; the filter is kept and the rows have the focus."""

    def action_drop(self) -> None:
        self.post_message(self.Dropped())


class RowTable(Vertical, Hollow, Generic[R]):
    DEFAULT_CSS = """
    RowTable { height: 1fr; width: 1fr; }
    RowTable > RowHead { height: 1; }
    RowTable > RowLines { height: 1fr; }
    RowTable > .filter-line { height: 1; display: none; }
    RowTable > .filter-line.-open { display: block; }
    RowTable .filter-line > .filter-word { width: auto; padding: 0 1; color: $accent; text-style: bold; }
    RowTable .filter-line > FilterInput {
        width: 1fr; height: 1; border: none; padding: 0; background: $surface;
        &:focus { border: none; }
    }
    RowTable .filter-line > .filter-count { width: auto; padding: 0 1; color: $foreground; }
    """

    class Chosen(Message):
        """Enter or a double click on a row."""

        def __init__(self, table: RowTable[Any], record: Any) -> None:
            super().__init__()
            self.table = table
            self.record = record

        @property
        def control(self) -> RowTable[Any]:
            return self.table

    class Moved(Message):
        """The cursor stands on another record than before (or on none)."""

        def __init__(self, table: RowTable[Any], record: Any | None) -> None:
            super().__init__()
            self.table = table
            self.record = record

        @property
        def control(self) -> RowTable[Any]:
            return self.table

    class Marked(Message):
        """The marked records are others than before."""

        def __init__(self, table: RowTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> RowTable[Any]:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[R]],
        *,
        key: Callable[[R], str],
        empty: str = "Nothing here.",
        marks: bool = True,
        filters: bool = True,
        muted: Callable[[R], bool] | None = None,
        search: Callable[[R], str] | None = None,
        sort: str = "",
        reverse: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`key` gives a record's stable identity. `empty` is said when there are no rows. Without `marks` no row
        can be marked: there is nothing to do with several. Without `filters` `/` is left to others. `muted` rows stand
        back. `search` gives the text that `/` looks in (default: all cells). Without `sort` rows stay in the order they
        come in."""
        super().__init__(id=id, classes=classes)
        self._lines: RowLines[R] = RowLines(
            columns,
            key=key,
            empty=empty,
            muted=muted,
            search=search,
            open_filter=self.open_filter,
            marks=marks,
            filters=filters,
            sort=sort,
            reverse=reverse,
        )
        self._head = RowHead(self._lines)
        self._filter_line = Horizontal(classes="filter-line")  # what is in it is made when it is first needed

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._lines
        yield self._filter_line

    @property
    def _field(self) -> FilterInput:
        """Where the filter is typed. A field costs as much as the rest of the table, and most are never typed in."""
        if not self._filter_line.children:
            self._filter_line.mount(
                Static("filter", classes="filter-word", markup=False),
                FilterInput(compact=True),
                Static("", classes="filter-count", markup=False),
            )
        return self._filter_line.query_one(FilterInput)

    # --- what a pane uses --------------------------------------------------------------------------

    def show(self, records: Iterable[R]) -> None:
        """Show these records. Cursor, marks, filter and order stay as they are."""
        self._lines.show(list(records))
        self._say_count()

    def measure(self) -> None:
        """Lay the columns out anew: the texts of the records that are there became longer or shorter."""
        self._lines.measure()

    @property
    def records(self) -> Sequence[R]:
        """The rows as shown: filtered and sorted."""
        return self._lines.rows

    @property
    def current(self) -> R | None:
        """The record under the cursor."""
        return self._lines.current

    @property
    def marked(self) -> tuple[R, ...]:
        """The marked records, in the order shown. Those hidden by the filter are not among them."""
        return self._lines.marked

    @property
    def targets(self) -> tuple[R, ...]:
        """What an action applies to: the marked records, or the one under the cursor."""
        if marked := self.marked:
            return marked
        return () if self.current is None else (self.current,)

    @property
    def filter_text(self) -> str:
        return self._lines.filter_text

    @property
    def sort_key(self) -> str:
        """Key of the column that the rows are sorted by, "" for none."""
        return self._lines.sort_key

    def filter_by(self, text: str) -> None:
        """Show only rows that hold every word; `!word` hides the rows that hold it."""
        if text or self._filter_line.children:
            self._field.value = text  # another one comes back through `on_input_changed`
        self._lines.filter_by(text)
        self._say_count()

    def sort_by(self, key: str, reverse: bool | None = None) -> None:
        """Sort by a column; the same one again turns the order around. "" is the order they come in."""
        self._lines.sort_by(key, reverse)

    def move_to(self, key: str) -> bool:
        """Put the cursor on the record with this key. False when it is not among the rows."""
        return self._lines.move_to(key)

    def unmark(self) -> None:
        self._lines.unmark()

    def say(self, empty: str) -> None:
        """What stands there when there are no rows."""
        self._lines.say(empty)

    def focus(self, scroll_visible: bool = True, *args: Any, **kwargs: Any) -> RowTable[R]:
        """The rows take the focus."""
        self._lines.focus(scroll_visible)
        return self

    def back(self) -> bool:
        """Undo one thing for Esc: the filter, then the marks. False when there was neither."""
        if self.filter_text or self._filter_line.has_class("-open"):
            self._close_filter()
            return True
        if self.marked:
            self.unmark()
            return True
        return False

    # --- filter ------------------------------------------------------------------------------------

    def open_filter(self) -> None:
        field = self._field
        self._filter_line.add_class("-open")
        self._say_count()
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._lines.filter_by(event.value)
        self._say_count()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self._lines.focus()
        else:
            self._close_filter()
        self.post_message(FilterInput.Entered())

    def on_filter_input_dropped(self, event: FilterInput.Dropped) -> None:
        event.stop()
        self._close_filter()

    def _close_filter(self) -> None:
        self.filter_by("")
        self._filter_line.remove_class("-open")
        self._lines.focus()

    def _say_count(self) -> None:
        if not self._filter_line.has_class("-open"):
            return
        shown, total = len(self._lines.rows), self._lines.total
        self._filter_line.query_one(".filter-count", Static).update(printable(f"{shown} of {total}  Esc shows all"))

    # --- messages of the rows ----------------------------------------------------------------------

    def on_row_lines_chosen(self, event: RowLines.Chosen) -> None:
        event.stop()
        self.post_message(self.Chosen(self, event.record))

    def on_row_lines_moved(self, event: RowLines.Moved) -> None:
        event.stop()
        self.post_message(self.Moved(self, event.record))

    def on_row_lines_marks_changed(self, event: RowLines.MarksChanged) -> None:
        event.stop()
        self.post_message(self.Marked(self))

    def on_row_lines_arranged(self, event: RowLines.Arranged) -> None:
        event.stop()
        self._head.refresh()
