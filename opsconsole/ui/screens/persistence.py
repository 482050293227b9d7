"""The last proof of persistence, point by point: what was found, and how to get what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.persistence.report import conclusion, line
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.wording import Glyphs, Tone, moment, sign

if TYPE_CHECKING:
    from opsconsole.persistence.verdict import Check, Verdict

INDENT = 12


def said(verdict: Verdict | None, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """One line for a pane, wrapped where it is narrow."""
    text, well = line(verdict, now)
    tone = Tone.GOOD if well else Tone.WARNING if verdict is not None else Tone.MUTED
    return wrapped(f"{sign(tone, glyphs)} {text}", width, style=tone)


def lines(verdict: Verdict | None, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    if verdict is None:
        told = "It was not verified yet. On the command line: opsconsole verify-persistence"
        return wrapped(told, width, style=Tone.MUTED)
    tone = Tone.GOOD if verdict.score == 100 else Tone.WARNING
    found = wrapped(f"{sign(tone, glyphs)} {verdict.score} % on {moment(verdict.at, now)}: {conclusion(verdict)}",
                    width, style=tone)  # fmt: skip
    for one in sorted(verdict.checks, key=lambda one: one not in verdict.missing):
        found += [Content(""), *_check(one, width, glyphs)]
    again = "opsconsole verify-persistence looks again; with --prove it restores a backup for a test first."
    return [*found, Content(""), *wrapped(again, width, style=Tone.MUTED)]


def _check(one: Check, width: int, glyphs: Glyphs) -> list[Content]:
    tone = Tone.MUTED if not one.counted else Tone.GOOD if one.proven else Tone.BAD
    points = f"{one.points if one.proven else 0:.0f} of {one.points:.0f}" if one.counted else "not counted"
    title = Content.assemble((f"{sign(tone, glyphs)} {points:<{INDENT - 2}}", tone), (one.title, Tone.STRONG))
    found = [*title.wrap(max(INDENT + 1, width), overflow="fold"), *wrapped(one.said, width, indent=INDENT)]
    if one.get_it:
        found += wrapped(f"{glyphs.arrow} {one.get_it}", width, indent=INDENT, style=Tone.ACCENT)
    return found


class PersistenceScreen(ReadingScreen):
    def __init__(self, verdict: Verdict | None) -> None:
        super().__init__()
        self._verdict = verdict

    def heading(self) -> Content:
        return Content.assemble("Persistence", ("   every point is a proof", Tone.MUTED))

    def lines(self, width: int) -> Sequence[Content]:
        return lines(self._verdict, self.console_app.clock(), width, self.glyphs)
