"""The line that says on every screen that an operation of this stack runs, or was left half done."""

from __future__ import annotations

import re
from datetime import datetime

from textual.content import Content
from textual.widget import Widget

from opsconsole.operations.unfinished import HalfDone
from opsconsole.operations.watch import Running, Seen
from opsconsole.text import printable
from opsconsole.ui.widgets.lines import cut
from opsconsole.ui.wording import UNICODE, Glyphs, Tone, clock


def operation_line(seen: Seen, now: datetime, width: int, glyphs: Glyphs) -> Content:
    """One line, "" when there is nothing to say. What is cut first stands last but the key."""
    if seen.running:
        key, head, rest = "W watch", *_running(seen.running[0], now, glyphs)
        more = len(seen.running) - 1
    elif seen.half_done:
        key, head, rest = "W finish or undo", *_half_done(seen.half_done[0], glyphs)
        more = len(seen.half_done) - 1
    elif seen.problem:
        said = f"{glyphs.warning} operations cannot be seen: {seen.problem}"
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
        self._said: tuple[Seen, datetime, Glyphs] | None = None
        self._shown = Content("")

    def show(self, seen: Seen, now: datetime, glyphs: Glyphs = UNICODE) -> None:
        self._said = (seen, now, glyphs)
        self.set_class(bool(seen.running or seen.half_done or seen.problem), "-said")
        if not self._line().is_same(self._shown):
            self.refresh()

    def _line(self) -> Content:
        if self._said is None:
            return Content("")
        seen, now, glyphs = self._said
        return operation_line(seen, now, self.content_size.width, glyphs)

    def render(self) -> Content:
        self._shown = self._line()
        return self._shown
