"""The palette: every action of the console, found by typing a part of what it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from textual.content import Content
from textual.widget import Widget

from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.panes import sections
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone


@dataclass(frozen=True, slots=True)
class Command:
    place: str
    pane_id: str
    action: Action

    @property
    def name(self) -> str:
        label = self.action.label[:1].upper() + self.action.label[1:]  # GitHub stays GitHub
        return f"{self.place}: {label}" if self.pane_id else label


COLUMNS: tuple[Column[Command], ...] = (
    Column("name", "Action", 16, lambda command: command.name, grow=True, most=34),
    Column("keys", "Keys", 8, lambda command: (command.action.keys_shown, Tone.ACCENT), priority=1, grow=True, most=14),
    Column(
        "help", "What it does", 20, lambda command: (command.action.help, Tone.MUTED), priority=2, grow=True, most=90
    ),
)


LEAVE = (Action("back", ("escape", "ctrl+c"), "back", "Go back.", palette=False),)


class CommandsScreen(PickingScreen[Command, tuple[str, Action]]):
    """Gives (pane to go to first, action)."""

    # Taken before the filter sees them: one Esc closes the palette.
    BINDINGS = cast(Any, bindings(LEAVE, priority=True))
    keys_line = "type to find   Enter do it   Esc back"
    help_key = ""  # what is typed is looked for
    DEFAULT_CSS = """
    CommandsScreen > .commands-said { height: auto; max-height: 3; padding: 0 1; background: $surface; }
    """

    def heading(self) -> Content:
        return Content.assemble("Actions", ("   type a part of what you want", Tone.MUTED))

    def make_table(self) -> RowTable[Command]:
        return RowTable(COLUMNS, key=lambda command: f"{command.place}/{command.action.run}", marks=False)

    def records(self) -> list[Command]:
        here = self.console_app.pane.pane_id if self.console_app.pane else ""
        hidden = self.console_app.read_only
        return [
            Command(place.title, place.pane_id, action)
            for place in sections(here)
            for action in place.actions
            if action.palette and not (action.changes and hidden) and action.run != "commands"
        ]

    def below(self) -> Iterable[Widget]:
        self.said = Sheet(classes="commands-said")
        yield self.said

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        """The whole sentence of the line under the cursor: the table has not always room for it."""
        event.stop()
        current = self.table.current
        self.said.paint(lambda width: wrapped(current.action.help, width) if current is not None else [])

    def opened(self) -> None:
        self.table.open_filter()

    def taken(self, record: Command) -> None:
        self.dismiss((record.pane_id, record.action))

    def on_filter_input_entered(self) -> None:
        """Enter while typing takes the first match: the hand does not have to move."""
        if self.table.current is not None:
            self.taken(self.table.current)

    def action_back(self) -> None:
        self.dismiss(None)
