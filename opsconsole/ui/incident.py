"""What the console has to do with incidents: the way to their screen, and the line that one is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsconsole.incident.course import Incident
    from opsconsole.incident_room.room import Room
    from opsconsole.incident_room.telling import MakingUp
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
    _make_up(app)


def _make_up(app: ConsoleApp) -> None:
    """Tell of incidents whose own teller was cut off: a console that was killed may have been the only one."""
    site = app.operating.site
    if site is None or app.read_only:
        return
    from opsconsole.ui.wording import Tone

    making_up: list[MakingUp] = []  # imported and made when it is first needed, on the thread

    def tell() -> str:
        from opsconsole.incident_room.telling import MakingUp
        from opsconsole.model import SourceError

        if not making_up:
            making_up.append(MakingUp(site.directory, site.project or site.directory.name, site.config))
        try:
            return making_up[0].look(app.clock())
        except SourceError:
            return ""  # looked at again in a moment, and the incident screen says why

    def told(said: str) -> None:
        if said:
            app.report(said, Tone.WARNING)

    app.set_interval(LOOKED_EVERY, lambda: app.aside(tell, told, "tell of incidents"))
