"""Which backup: all of them under their numbers, as the scripts list them. Enter, or a number and Enter, takes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from textual import events
from textual.content import Content

from opsconsole.model import Backup
from opsconsole.ui.panes.backup_rows import is_restorable, level_said, local_time, parts_said, state_of
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import ago, sign, size


@dataclass(frozen=True, slots=True)
class Numbered:
    number: int
    backup: Backup


class BackupPicking(PickingScreen[Numbered, Backup]):
    keys_line = "Enter takes it, a number goes to it   / filter   Esc back"

    def __init__(self, title: str, backups: Sequence[Backup], now: datetime) -> None:
        """`backups` newest first, as the list numbers them; those that cannot be restored are left out."""
        super().__init__()
        self._title = title
        self._rows = [Numbered(number, one) for number, one in enumerate(backups, 1) if is_restorable(one)]
        self._now = now
        self._typed = ""

    def heading(self) -> Content:
        return Content(self._title)

    def make_table(self) -> RowTable[Numbered]:
        now = self._now
        return RowTable(
            (
                Column("number", "No", 3, lambda one: str(one.number), align="right", order=lambda one: one.number),
                Column("id", "Backup", 15, lambda one: one.backup.id, grow=True, most=40),
                Column("state", "State", 12, self._state),
                Column("taken", "Taken (local)", 16, lambda one: local_time(one.backup.taken_at)[:16], priority=2),
                Column("age", "Age", 11, lambda one: ago(one.backup.taken_at, now), priority=1, align="right",
                       order=lambda one: one.backup.taken_at, descending=True),
                Column("level", "Verified", 9, lambda one: level_said(one.backup, now), priority=1),
                Column("size", "Size", 9, lambda one: size(one.backup.size_bytes), priority=2, align="right",
                       order=lambda one: one.backup.size_bytes, descending=True),
                Column("parts", "Parts", 16, lambda one: parts_said(one.backup), priority=3, grow=True, most=70),
            ),
            key=lambda one: one.backup.path or one.backup.id,
            marks=False,
            empty="There is no backup yet. 6 makes one.",
            search=lambda one: f"{one.backup.id} {one.backup.state} {one.backup.backup_class} {one.backup.why}",
        )  # fmt: skip

    def _state(self, one: Numbered) -> CellText:
        word, tone = state_of(one.backup)
        return f"{sign(tone, self.console_app.glyphs)} {word}", tone

    def records(self) -> list[Numbered]:
        return self._rows

    def opened(self) -> None:
        good = next((one for one in self._rows if state_of(one.backup)[0] == "good" and not one.backup.in_future), None)
        if good is not None:
            self.table.move_to(good.backup.path or good.backup.id)

    def on_key(self, event: events.Key) -> None:
        """Digits go to the backup of that number; a digit that does not continue one begins another."""
        if not (event.character or "").isdecimal():
            self._typed = ""
            return
        for typed in (self._typed + str(event.character), str(event.character)):
            found = next((one for one in self._rows if str(one.number) == typed), None)
            if found is not None:
                self._typed = typed
                self.table.move_to(found.backup.path or found.backup.id)
                event.stop()
                return

    def taken(self, record: Numbered) -> None:
        self.dismiss(record.backup)
