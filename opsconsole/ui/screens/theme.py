"""Choosing a theme: moving over a name shows it at once, Esc puts the former one back."""

from __future__ import annotations

from textual.content import Content

from opsconsole.ui import themes
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone

COLUMNS: tuple[Column[str], ...] = (
    Column("name", "Theme", 12, lambda name: name, grow=True),
    Column("said", "What it is", 20, lambda name: themes.SAID[name], priority=1, grow=True),
)


class ThemeScreen(PickingScreen[str, None]):
    keys_line = "j k look   Enter keep   Esc as before"

    def __init__(self, before: str) -> None:
        super().__init__()
        self._before = before

    def heading(self) -> Content:
        note = "   NO_COLOR is set: no theme shows colours" if self.app.no_color else ""
        return Content.assemble("Theme", (note, Tone.WARNING))

    def make_table(self) -> RowTable[str]:
        return RowTable(COLUMNS, key=lambda name: name, marks=False)

    def records(self) -> list[str]:
        return list(themes.SAID)

    def opened(self) -> None:
        self.table.move_to(self.app.theme)

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()
        # The first row was under the cursor for a moment, before the cursor was put on the theme in use.
        if event.record is not None and event.record == self.table.current:
            self.app.theme = event.record

    def taken(self, record: str) -> None:
        self.app.theme = record
        self.dismiss(None)

    def action_back(self) -> None:
        self.app.theme = self._before
        self.dismiss(None)
