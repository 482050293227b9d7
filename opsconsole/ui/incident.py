"""The way to the incident screen, from every pane."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp


def open_screen(app: ConsoleApp) -> None:
    """Show it for this stack, or for the drill."""
    from opsconsole.incident_room.room import Room
    from opsconsole.ui.screens.incident import IncidentScreen

    site = app.operating.site
    if site is not None and app.room is None:
        app.room = Room(site.directory, app.sources.backups.look_inside)
    app.push_screen(IncidentScreen(app.room))
