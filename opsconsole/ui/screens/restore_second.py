"""What of MongoDB is restored to a second: the pieces of the full backup before it, and then the same plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from textual.content import Content

from opsconsole.backups import seconds
from opsconsole.backups.opening import Opened
from opsconsole.model import Backup
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.requests import Request
from opsconsole.ui.screens.restore import RestoreScreen


class RestoreSecondScreen(RestoreScreen):
    taken_word = "full backup taken"
    enter_said = (
        "Counts are those of the full backup; what came until that second is added, new collections of a database too. "
        "Enter shows the plan."
    )

    def __init__(self, base: Backup, part: str, at: datetime, then: Callable[[], None] = lambda: None) -> None:
        """`part`: the MongoDB that is restored. `then` is called when the restore runs."""
        super().__init__(base)
        self._part = part
        self._at = at
        self._then = then

    def heading(self) -> Content:
        return Content(f"Restore MongoDB to {seconds.local(self._at)} ({seconds.zone_said(self._at)})")

    def of_interest(self, found: Opened) -> Opened:
        own = tuple(one for one in found.parts if one.kind == "mongo" and one.name == self._part)
        return msgspec.structs.replace(found, parts=own)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # The full backup would be exported, not this second.
        return action != "export" and super().check_action(action, parameters)

    def request(self, wanted: RestoreOrder) -> tuple[Request, str]:
        order = msgspec.structs.replace(wanted, backup="", parts=("mongo",), servers=(self._part,), at=self._at)
        return Request(what="restore", restore=order), f"restore of MongoDB to {seconds.local(self._at)}"

    def begun(self) -> None:
        super().begun()
        self._then()
