"""The report and the bundle of an incident, from its screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from opsconsole.model import SourceError
from opsconsole.ui.wording import Tone

if TYPE_CHECKING:
    from opsconsole.incident.course import Incident
    from opsconsole.incident_room.room import Room
    from opsconsole.ui.app import ConsoleApp

Tell = Callable[[str, Tone], None]


def save_report(app: ConsoleApp, room: Room, incident: Incident, tell: Tell) -> None:
    """Ask where to, and write it there."""
    from opsconsole.ui.widgets.log_save import SaveScreen, write_pieces

    snapshot = app.snapshot
    if snapshot is None:
        return

    def write(path: str) -> tuple[str, Tone]:
        from opsconsole.incident_room import reporting

        try:
            text = reporting.markdown(room, incident, snapshot)
        except (SourceError, OSError) as error:
            return f"No report: {error}", Tone.BAD
        _, problem = write_pieces(path, [text])
        return (problem, Tone.BAD) if problem else (f"Saved as {path}.", Tone.GOOD)

    def chosen(path: str | None) -> None:
        if path is not None:
            app.in_background(lambda: write(path), lambda said: tell(*said), "write the report")

    what = "Time line, actions, graphs, data, open points"
    app.push_screen(SaveScreen("Save the report", what, f"./incident-{incident.name}.md"), chosen)


def collect_bundle(app: ConsoleApp, room: Room, incident: Incident, tell: Tell) -> None:
    """Collect it beside the record, and say where it is."""
    snapshot, site = app.snapshot, app.operating.site
    if snapshot is None or site is None:
        return
    tell("Logs, inspects and a Snapshot are being collected: 20 s at most.", Tone.ACCENT)

    def collect() -> tuple[str, Tone]:
        from opsconsole.incident_room import bundle, reporting

        try:
            path, said = bundle.bundle(site, incident, snapshot, reporting.markdown(room, incident, snapshot))
        except (SourceError, OSError) as error:
            return f"No bundle: {error}", Tone.BAD
        return f"{path}: {said}; secrets are masked.", Tone.GOOD

    app.in_background(collect, lambda said: tell(*said), "collect the bundle")
