"""The line that says on every screen that an operation of this stack runs, or was left half done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from opsconsole.text import printable
from opsconsole.ui.widgets.lines import cut
from opsconsole.ui.wording import UNICODE, Glyphs, Tone, clock

if TYPE_CHECKING:
    from opsconsole.operations.unfinished import HalfDone
    from opsconsole.operations.watch import Running


def operation_line(
    running: Sequence[Running], half_done: Sequence[HalfDone], problem: str, now: datetime, width: int, glyphs: Glyphs
) -> Content:
    """One line, "" when there is nothing to say. The key at its end is never cut off."""
    if running:
        key, more, (head, rest) = "W watch", len(running) - 1, _running(running[0], now, glyphs)
    elif half_done:
        key, more, (head, rest) = "W finish or undo", len(half_done) - 1, _half_done(half_done[0], glyphs)
    elif problem:
        said = f"{glyphs.warning} operations cannot be seen: {problem}"
        return cut(Content.styled(printable(said), Tone.WARNING), width, glyphs)
    else:
        return Content("")
    left = Content.assemble(head, *([(f"  +{more} more", Tone.MUTED)] if more else []), rest)
    left = cut(left, max(0, width - len(key) - 2), glyphs)
    return Content.assemble(left, " " * max(2, width - left.cell_length - len(key)), (key, "bold $accent"))


def short_title(title: str) -> str:
    """Without the stack's name: that stands at the top of the screen."""
    return re.sub(r" (?:of|in) the stack \S+$", "", title)


def _running(one: Running, now: datetime, glyphs: Glyphs) -> tuple[Content, Content]:
    head = Content.assemble((f"{glyphs.busy} {printable(short_title(one.title))}", "bold $accent"))
    step = f"step {one.number} of {one.of}" if one.number else "begins"
    where = f"{'on its way back, ' if one.back else ''}{step}  {clock((now - one.began).total_seconds())}"
    by = f"  by {one.who.words()}" if one.who else ""
    asked = "  cancel asked" if one.cancel_asked else ""
    return head, Content.assemble(
        (f"  {where}", Tone.WARNING if one.back else Tone.PLAIN),
        (asked, Tone.WARNING),
        (printable(f"{by}  {one.step}"), Tone.MUTED),
    )


def _half_done(one: HalfDone, glyphs: Glyphs) -> tuple[Content, Content]:
    head = Content.assemble((f"{glyphs.warning} HALF DONE: {printable(short_title(one.title))}", Tone.BAD))
    by = f" by {one.who.words()}" if one.who else ""
    inside = f", cut off in the step {one.inside}" if one.inside else ""
    return head, Content.styled(printable(f"{inside}, begun {one.began.astimezone():%m-%d %H:%M}{by}"), Tone.PLAIN)


class OperationLine(Widget):
    """Hidden while there is nothing to say."""

    DEFAULT_CSS = """
    OperationLine { height: 1; width: 1fr; background: $panel; padding: 0 1; text-wrap: nowrap; display: none; }
    OperationLine.-said { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: tuple[tuple[Running, ...], tuple[HalfDone, ...], str, datetime, Glyphs] | None = None
        self._shown = Content("")

    def show(
        self,
        running: Sequence[Running],
        half_done: Sequence[HalfDone],
        problem: str,
        now: datetime,
        glyphs: Glyphs = UNICODE,
    ) -> None:
        self._said = (tuple(running), tuple(half_done), problem, now, glyphs)
        self.set_class(bool(running or half_done or problem), "-said")
        if not self._line().is_same(self._shown):
            self.refresh()

    def _line(self) -> Content:
        if self._said is None:
            return Content("")
        running, half_done, problem, now, glyphs = self._said
        return operation_line(running, half_done, problem, now, self.content_size.width, glyphs)

    def render(self) -> Content:
        self._shown = self._line()
        return self._shown
