"""The checklists of an incident, to tick: Enter ticks, Enter again takes the tick back."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from opsconsole.incident.checklists import Item
from opsconsole.incident.course import Incident
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone

Tick = Callable[[str, bool, Callable[[Incident], None]], None]
"""Writes that an item is done or not; the incident as it is then is handed to the last one."""


class TickScreen(PickingScreen[Item, None]):
    keys_line = "Enter ticks, with your name and the time   Esc back"

    def __init__(self, incident: Incident, tick: Tick) -> None:
        super().__init__()
        self._incident = incident
        self._tick = tick

    def heading(self) -> Content:
        return Content(f"Checklists of {self._incident.name}")

    def make_table(self) -> RowTable[Item]:
        return RowTable(
            (
                Column("mark", "", 1, self._mark, sortable=False),
                Column("part", "Part", 17, lambda one: (one.part, Tone.MUTED), priority=2, sortable=False),
                Column("text", "What", 30, lambda one: one.text, grow=True, most=80, sortable=False),
                Column("by", "Done", 20, self._by, priority=1, sortable=False),
            ),
            key=lambda one: one.key,
            marks=False,
            filters=False,
        )

    def _mark(self, one: Item) -> CellText:
        glyphs, done = self.console_app.glyphs, one.key in self._incident.ticks
        return (glyphs.good, Tone.GOOD) if done else (glyphs.off, Tone.WARNING)

    def _by(self, one: Item) -> CellText:
        tick = self._incident.ticks.get(one.key)
        return f"{tick.at.astimezone():%H:%M} {tick.who}" if tick else ""  # the time is not what is cut off

    def records(self) -> list[Item]:
        return list(self._incident.items)

    def taken(self, record: Item) -> None:
        self._tick(record.key, record.key not in self._incident.ticks, self._ticked)

    def _ticked(self, incident: Incident) -> None:
        self._incident = incident
        if self.is_mounted:
            self.table.show(self.records())
