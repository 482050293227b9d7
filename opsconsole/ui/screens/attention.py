"""All that needs attention, in whole sentences, with since when and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.panes.attention import concerns
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.wording import Tone, moment, plural, sign


class AttentionScreen(ReadingScreen):
    def heading(self) -> Content:
        snapshot = self.console_app.snapshot
        found = len(concerns(snapshot)) if snapshot else 0
        return Content.assemble("Attention", (f"   {plural(found, 'thing')}, worst first", Tone.MUTED))

    def lines(self, width: int) -> Sequence[Content]:
        snapshot = self.console_app.snapshot
        found = concerns(snapshot) if snapshot else []
        if snapshot is None or not found:
            return [Content.styled("Nothing needs attention.", Tone.MUTED)]
        lines: list[Content] = []
        for concern in found:
            since = f"  since {moment(concern.since, snapshot.sampled_at)}" if concern.since else ""
            lines.append(
                Content.assemble(
                    (f"{sign(concern.tone, self.glyphs)} {concern.word}", concern.tone),
                    f"  {printable(concern.subject)}",
                    (since, Tone.MUTED),
                )
            )
            for text, tone in ((concern.text, Tone.PLAIN), (concern.advice, Tone.MUTED)):
                if text:
                    wrapped = Content.styled(printable(text), tone).wrap(max(10, width - 2), overflow="fold")
                    lines += [line.pad_left(2) for line in wrapped]
            lines.append(Content(""))
        return lines[:-1]
