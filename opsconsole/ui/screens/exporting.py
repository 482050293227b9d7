"""Which collections of a backup are written as JSON files. Nothing is restored, and no plan is needed."""

from __future__ import annotations

import msgspec
from textual.content import Content

from opsconsole.backups.opening import Opened
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.screens import restore_pieces
from opsconsole.ui.screens.acting import ON_TOP
from opsconsole.ui.screens.restore import RestoreScreen
from opsconsole.ui.screens.restore_pieces import Choice, Piece


class ExportScreen(RestoreScreen):
    place = "export"
    actions = (
        Action("export", ("enter", "E"), "export", "Write what is ticked as JSON files: into which directory is asked.",
               footer=1, palette=False),
        Action("switch", ("space",), "on/off", "Export this collection, or leave it out.", footer=2, palette=False),
        Action("all_or_none", ("a",), "all", "Choose all collections, or none.", footer=4, palette=False),
        Action("fold", ("x",), "fold", "Show the collections of each database, or the databases alone.",
               footer=6, palette=False),
        Action("close", ("escape", "q"), "back", "Go back; nothing is done.", footer=3, palette=False),
        *ON_TOP,
    )  # fmt: skip
    waiting_said = "Then collections can be chosen. Esc leaves."
    enter_said = "Enter writes each as a JSON file, one document in a line; into which directory is asked first."

    def heading(self) -> Content:
        return Content(f"Export from {printable(self.backup.id)}")

    def of_interest(self, found: Opened) -> Opened:
        return msgspec.structs.replace(found, parts=tuple(one for one in found.parts if one.kind == "mongo"))

    def pieces_of(self, opened: Opened) -> tuple[Piece, ...]:
        return tuple(one for one in super().pieces_of(opened) if one.kind != "users")

    def at_first(self) -> Choice:
        return Choice()

    def problem(self) -> str:
        servers = restore_pieces.collections(self._pieces, self.choice)
        several = f"Collections of one server at a time: {', '.join(servers)} may have some of the same name."
        return several if len(servers) > 1 else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in ("show_plan", "into", "keys") and super().check_action(action, parameters)

    def action_show_plan(self) -> None:
        self.action_export()
