"""What was done and what failed since the console was opened. Newest first, whole texts."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.wording import Tone, moment, sign


class MessagesScreen(ReadingScreen):
    def heading(self) -> Content:
        return Content.assemble("Messages", ("   since the console was opened, newest first", Tone.MUTED))

    def lines(self, width: int) -> Sequence[Content]:
        app = self.console_app
        if not app.messages:
            return [Content.styled("Nothing was done yet.", Tone.MUTED)]
        lines: list[Content] = []
        for report in reversed(app.messages):
            at = moment(report.at, app.clock())
            first = f"{at}  {sign(report.tone, app.glyphs)} "
            wrapped = Content.styled(printable(report.text), report.tone).wrap(max(10, width - len(first)))
            lines.append(Content.assemble((first, Tone.MUTED), wrapped[0]))
            lines += [line.pad_left(len(first)) for line in wrapped[1:]]
        return lines
