"""What the console has to do with incidents: the way to their screen, and the line that one is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsconsole.incident.course import Incident
    from opsconsole.incident_room.room import Room
    from opsconsole.ui.app import ConsoleApp

LOOKED_EVERY = 5.0
"""Seconds between two looks whether somebody has declared one."""


def open_screen(app: ConsoleApp, about: str = "") -> None:
    """Show it for this stack, or for the drill. With `about`, an alert's line, one is declared unless one is open."""
    from opsconsole.ui.screens.incident import IncidentScreen

    app.push_screen(IncidentScreen(room_of(app), about))


def room_of(app: ConsoleApp) -> Room | None:
    """Where incidents of this console's stack are worked on; None for the demo without a drill."""
    site = app.operating.site
    if app.room is None and site is not None:
        from opsconsole.incident_room.room import Room

        app.room = Room(site.directory, lambda backup: app.sources.backups.look_inside(backup))
    return app.room


def watch(app: ConsoleApp) -> None:
    """Look now and then whether one is open, and say so above every pane."""
    if app.room is None and app.operating.site is None:
        return

    def look() -> Incident | None:
        from opsconsole.incident_room import records
        from opsconsole.model import SourceError

        room = room_of(app)
        try:
            return records.open_incident(room.directory) if room is not None else None
        except SourceError:
            return None  # the incident screen says why

    def seen(incident: Incident | None) -> None:
        app.incident_line.show(incident, app.clock(), app.glyphs)

    app.set_interval(LOOKED_EVERY, lambda: app.aside(look, seen, "incidents"))
