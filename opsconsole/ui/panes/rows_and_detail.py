"""A pane of rows with what is known about the selected one under them; Enter gives it the whole pane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from textual.content import Content
from textual.widget import Widget

from opsconsole.ui.keys import Action
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.scrolled import Detail
from opsconsole.ui.widgets.sheet import Painter, Sheet

R = TypeVar("R")


class RowsAndDetail(Pane, Generic[R]):
    DEFAULT_CSS = """
    RowsAndDetail > .summary { padding: 0 1; }
    RowsAndDetail > RowTable { height: 1fr; min-height: 4; }
    """

    actions: ClassVar[tuple[Action, ...]] = (
        Action("open_detail", ("enter", "i"), "details", "Show all that is known about the row.", footer=10),
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime.now(UTC)
        self.summary = Sheet(classes="summary")
        self.table = self.make_table()
        self.detail = Detail()

    def make_table(self) -> RowTable[R]:
        """The rows. Its cells may read `self.now` and `self.glyphs`."""
        raise NotImplementedError

    def detail_of(self, record: R, width: int) -> Sequence[Content]:
        """All that is known about one row."""
        raise NotImplementedError

    def body(self) -> Iterable[Widget]:
        yield self.summary
        yield self.table
        yield self.detail

    def show_rows(self, rows: Sequence[R], now: datetime, summary: Painter) -> None:
        """Rows in the order given, ages as of `now`, and the lines above them."""
        self.now = now
        self.summary.paint(summary)
        self.table.say("")  # the summary says why there is none
        self.table.show(rows)
        self._show_detail()

    def _show_detail(self) -> None:
        record = self.table.current
        if record is None and self.detail.is_open:
            self._close_detail()
        self.detail.paint(None if record is None else lambda width: self.detail_of(record, width))

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        self._show_detail()

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        self.action_open_detail()

    def action_open_detail(self) -> None:
        if self.table.current is not None:
            self.detail.open([self.table])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "open_detail":
            return self.table.current is not None and not self.detail.is_open
        return True

    def on_detail_closed(self, event: Detail.Closed) -> None:
        self._close_detail()

    def _close_detail(self) -> None:
        self.detail.shut([self.table])
        self.table.focus()

    def take_focus(self) -> None:
        if self.detail.is_open:
            self.detail.focus()
        else:
            self.table.focus()

    def back(self) -> bool:
        if self.detail.is_open:
            self._close_detail()
            return True
        return super().back()
