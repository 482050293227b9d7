"""One container in full: follows the container as long as it exists, and says so when it is gone."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.model import Snapshot
from opsconsole.text import printable
from opsconsole.ui.panes.container_lines import container_lines, heading_of
from opsconsole.ui.panes.container_rows import ContainerRow, rows_of
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.wording import Tone, age


class DetailsScreen(ReadingScreen):
    def __init__(self, row: ContainerRow, snapshot: Snapshot) -> None:
        super().__init__()
        self._row = row
        self._at = snapshot.sampled_at
        self._gone = False

    def receive(self, snapshot: Snapshot) -> None:
        found = next((row for row in rows_of(snapshot, all_stopped=True) if row.key == self._row.key), None)
        self._gone = found is None
        if found is not None:
            self._row, self._at = found, snapshot.sampled_at
        self.say()

    def heading(self) -> Content:
        parts = [(printable(heading_of(self._row)), Tone.STRONG)]
        if self._gone:
            old = age(self._at, self.console_app.clock())
            parts.append((f"   it is gone; this is how it was {old} ago", Tone.WARNING))
        return Content.assemble(*parts)

    def lines(self, width: int) -> Sequence[Content]:
        return container_lines(self._row, self._at, width, self.glyphs)
