"""Leaving the console, and what becomes of what is under way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.wording import Tone

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp


def leave(app: ConsoleApp) -> None:
    """At once, or after a question where something is under way."""
    said = list(_goes_on(app))
    if not said:
        app.exit()
        return
    from opsconsole.ui.screens.confirm import ConfirmScreen

    app.push_screen(ConfirmScreen("Leave the console?", said, "Leave"), lambda leave: app.exit() if leave else None)


def _goes_on(app: ConsoleApp) -> Iterator[Content]:
    """What is under way of this console, and what becomes of it without us."""
    running = {one.operation: one.title for one in app.operating.running}
    for name in app.operating.watched_here:
        yield Content(f"{printable(running.get(name, name))} runs. It goes on without this terminal.")
        yield Content.styled(f"Watch it again: opsconsole operations watch {printable(name)}", Tone.MUTED)
    if app.busy:
        yield Content(f"Under way: {', '.join(app.busy.values())}")
        yield Content("It goes on without you; its result will not be shown.")
