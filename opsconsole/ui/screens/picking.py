"""A screen to pick one of some records: a table, Enter takes, Esc leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from opsconsole.ui.keys import HELP_ON_TOP, Action, bindings
from opsconsole.ui.widgets.footer import keys_line
from opsconsole.ui.widgets.operation_line import OperationLine
from opsconsole.ui.widgets.row_table import RowTable

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

R = TypeVar("R")
T = TypeVar("T")
LEAVE = (Action("back", ("escape", "q", "ctrl+c"), "back", "Go back.", palette=False), HELP_ON_TOP)


class PickingScreen(ModalScreen[T], Generic[R, T]):
    """Subclasses say `heading`, `make_table`, `records` and what a chosen record is worth (`taken`)."""

    actions: ClassVar[tuple[Action, ...]] = LEAVE
    BINDINGS = cast(Any, bindings(LEAVE))
    keys_line: ClassVar[str] = "Enter take   / filter   Esc back"
    help_key: ClassVar[str] = "   ? help"
    DEFAULT_CSS = """
    PickingScreen { background: $background; }
    """

    def heading(self) -> Content:
        raise NotImplementedError

    def make_table(self) -> RowTable[R]:
        raise NotImplementedError

    def records(self) -> list[R]:
        raise NotImplementedError

    def taken(self, record: R) -> None:
        raise NotImplementedError

    def below(self) -> Iterable[Widget]:
        """What stands between the rows and the keys."""
        return ()

    @property
    def console_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield Static(self.heading(), classes="heading", markup=False)
        yield OperationLine()
        self.table = self.make_table()
        yield self.table
        yield from self.below()
        yield Static(keys_line(f"{self.keys_line}{self.help_key}"), classes="keys", markup=False)

    def on_mount(self) -> None:
        self.set_class(self.console_app.glyphs.ascii, "-ascii")
        self.console_app.operating.say()
        self.table.show(self.records())
        self.table.focus()
        self.opened()

    def opened(self) -> None:
        """The rows are there. (A second `on_mount` would run before this class's own, not after it.)"""

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        event.stop()
        self.taken(event.record)

    def action_back(self) -> None:
        if not self.table.back():
            self.dismiss(None)
