"""Earlier incidents of this stack: one of them is picked, and its report is read. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.incident.course import Incident
from opsconsole.incident_room.room import Room
from opsconsole.model import Snapshot, SourceError
from opsconsole.text import printable
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone, duration, moment


class EarlierScreen(PickingScreen[Incident, Incident]):
    keys_line = "Enter reads its report   / filter   Esc back"

    def __init__(self, incidents: Sequence[Incident]) -> None:
        super().__init__()
        self._incidents = incidents

    def heading(self) -> Content:
        return Content("Earlier incidents, newest first")

    def make_table(self) -> RowTable[Incident]:
        now = self.console_app.clock()

        def declared(one: Incident) -> CellText:
            return moment(one.declared_at, now) if one.declared_at else ""

        return RowTable(
            (
                Column("name", "", 4, lambda one: one.name, sortable=False),
                Column("priority", "", 2, lambda one: (one.priority, _tone(one)), sortable=False),
                Column("declared", "Declared", 16, declared, priority=1, sortable=False),
                Column("lasted", "Lasted", 8, lambda one: lasted(one, now), priority=2, sortable=False),
                Column("title", "What", 24, lambda one: one.title, grow=True, most=90, sortable=False),
                Column("resolution", "What it was", 16, lambda one: one.resolution, priority=3, grow=True, most=90,
                       sortable=False),
            ),
            key=lambda one: one.name,
            marks=False,
            search=lambda one: f"{one.title} {one.resolution}",
        )  # fmt: skip

    def records(self) -> list[Incident]:
        return list(self._incidents)

    def taken(self, record: Incident) -> None:
        self.dismiss(record)


class ReportScreen(ReadingScreen):
    """The report of an incident, as `S` saves it."""

    def __init__(self, room: Room, incident: Incident, snapshot: Snapshot) -> None:
        super().__init__()
        self._room, self._incident, self._snapshot = room, incident, snapshot
        self._text = ""

    def heading(self) -> Content:
        one = self._incident
        state = "open" if one.is_open else f"closed {moment(one.closed_at, self.console_app.clock())}"
        return Content.assemble((f"Incident {one.name}", Tone.STRONG), f"  {one.priority}  ", (state, Tone.MUTED))

    def on_mount(self) -> None:
        super().on_mount()

        def write() -> str:
            from opsconsole.incident_room import reporting

            try:
                return reporting.markdown(self._room, self._incident, self._snapshot)
            except (SourceError, OSError) as error:
                return f"No report: {error}"

        def written(text: str) -> None:
            self._text = text
            if self.is_mounted:
                self.say()

        self.console_app.aside(write, written, "the report of an incident")

    def receive(self, snapshot: Snapshot) -> None:
        """It is about another time."""

    def lines(self, width: int) -> list[Content]:
        if not self._text:
            return [Content.styled(f"{self.glyphs.busy} The report is being written.", Tone.ACCENT)]
        found: list[Content] = []
        for line in self._text.splitlines():
            style = Tone.STRONG if line.startswith("#") else Tone.PLAIN
            found += wrapped(printable(line), width, style=style) or [Content("")]
        return found


def lasted(one: Incident, now: datetime) -> str:
    return duration(one.age(now))


def _tone(one: Incident) -> Tone:
    return Tone.BAD if one.priority in ("P1", "P2") else Tone.WARNING
