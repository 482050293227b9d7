"""What can be done now, and doing it: the same for the footer, the palette and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import actions as action_text
from textual.app import App
from textual.widget import Widget
from textual.widgets import Input

from opsconsole.ui.keys import Action
from opsconsole.ui.wording import Tone

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp


def available(app: ConsoleApp) -> list[tuple[Widget | App[Any], Action]]:
    """What can be done now, nearest to the focus first, with the widget that does it."""
    chain: list[Any] = list(app.focused.ancestors_with_self) if app.focused else [app.pane, app]
    if app.screen.is_modal:
        chain = [node for node in chain if node is app.screen or app.screen in getattr(node, "ancestors", ())]
    typing = isinstance(app.focused, Input)
    found = []
    for node in chain:
        for action in getattr(node, "actions", ()):
            if can(app, node, action) and not (typing and action.types):
                found.append((node, action))
    return found


def can(app: ConsoleApp, node: Any, action: Action) -> bool:
    """Whether a widget can do one of its actions now."""
    if action.changes and app.read_only:
        return False
    _, name, parameters = action_text.parse(action.run)
    return bool(node.check_action(name, parameters))


async def perform(app: ConsoleApp, chosen: tuple[str, Action] | None) -> None:
    """Do what was chosen in the palette: go to its pane first, then as if its key had been pressed there."""
    if chosen is None:
        return
    pane_id, action = chosen
    pane = await app.go(pane_id) if pane_id else app.pane
    nodes: list[Any] = [app]
    if pane is not None:
        nodes = [*(widget for widget in pane.query("*") if hasattr(widget, "actions")), pane, app]
    for node in nodes:
        if action in getattr(node, "actions", ()):
            if can(app, node, action):
                await app.run_action(action.run, node)
            else:
                app.report(f"{action.label} cannot be done here now: {_why_not(app, action)}", Tone.WARNING)
            return


def _why_not(app: ConsoleApp, action: Action) -> str:
    if action.changes and app.read_only:
        return "the console was opened read-only."
    return "nothing it applies to is selected."
