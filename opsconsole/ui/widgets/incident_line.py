"""The line that says above every pane that an incident is open, whoever declared it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.widgets.lines import cut
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Glyphs, Tone, duration

if TYPE_CHECKING:
    from opsconsole.incident.course import Incident

KEY = "! shows it"


def incident_line(incident: Incident, now: datetime, width: int, glyphs: Glyphs) -> Content:
    """Which, how bad, since when, and whether it is time to escalate. The key at its end is never cut off."""
    left = incident.escalates_in(now)
    late = "  30 min are over" if left is not None and left <= 0 else ""
    said = Content.assemble(
        (f"{glyphs.warning} INCIDENT {incident.name} {incident.priority}", Tone.BAD),
        f"  {duration(max(0.0, incident.age(now)))}",
        (late, Tone.WARNING),
        (f"  {printable(incident.title)}", Tone.MUTED),
    )
    said = cut(said, max(0, width - len(KEY) - 2), glyphs)
    return Content.assemble(said, " " * max(2, width - said.cell_length - len(KEY)), (KEY, "bold $accent"))


class IncidentLine(Sheet):
    """Hidden while none is open."""

    DEFAULT_CSS = """
    IncidentLine { height: auto; width: 1fr; background: $panel; padding: 0 1; display: none; }
    """

    def show(self, incident: Incident | None, now: datetime, glyphs: Glyphs) -> None:
        self.display = incident is not None
        self.paint(lambda width: [incident_line(incident, now, width, glyphs)] if incident is not None else [])
