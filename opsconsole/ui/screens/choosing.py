"""Which of several: restart all, one service or rolling; where a rollback leads to. Enter shows the plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content
from textual.widget import Widget

from opsconsole.operations.requests import Request
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone


class Choice:
    """One line: what it is called, what it does and costs, and what is asked for then."""

    def __init__(self, label: str, said: str, request: Request) -> None:
        self.label = label
        self.said = said
        self.request = request


COLUMNS: tuple[Column[Choice], ...] = (
    Column("label", "What", 20, lambda one: one.label, grow=True, most=40, sortable=False),
    Column("said", "What it does", 20, lambda one: (one.said, Tone.MUTED), priority=1, grow=True, most=120,
           sortable=False),
)  # fmt: skip


class ChoosingScreen(PickingScreen[Choice, Choice]):
    DEFAULT_CSS = """
    ChoosingScreen > .choosing-said { height: auto; max-height: 4; padding: 0 1; background: $surface; }
    """
    keys_line = "Enter shows the plan, nothing runs yet   / filter   Esc back"

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)

    def heading(self) -> Content:
        return Content(self._title)

    def make_table(self) -> RowTable[Choice]:
        return RowTable(COLUMNS, key=lambda one: one.label, marks=False)

    def below(self) -> Iterable[Widget]:
        self.said = Sheet(classes="choosing-said")
        yield self.said

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        """The whole sentence of the line under the cursor: the table has not always room for it."""
        event.stop()
        current = self.table.current
        self.said.paint(lambda width: wrapped(current.said, width) if current is not None else [])

    def records(self) -> list[Choice]:
        return self._choices

    def taken(self, record: Choice) -> None:
        self.dismiss(record)
