"""The two lines at the top: what is being looked at and how it is, and the panes with their letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from textual import events
from textual.content import Content
from textual.message import Message

from opsconsole.model import AlertState, Severity, Snapshot, SourceState
from opsconsole.text import printable
from opsconsole.ui.widgets.painting import Plain
from opsconsole.ui.wording import UNICODE, Glyphs, Tone, age, plural

LIVE_SECONDS = 15.0
"""Younger than this, data is called live. The monitor asks the engine at least every 10 s."""


def alert_words(snapshot: Snapshot) -> tuple[str, Tone]:
    """`2 critical, 1 warning`: alerts that fire and that nobody sees to; the worst comes first and sets the tone."""
    firing = [
        alert.severity
        for alert in snapshot.alerts
        if alert.state is AlertState.FIRING and alert.acknowledged is None and alert.silenced is None
    ]
    critical, warning = firing.count(Severity.CRITICAL), firing.count(Severity.WARNING)
    said = ", ".join(
        part
        for part in (f"{critical} critical" if critical else "", plural(warning, "warning") if warning else "")
        if part
    )
    if said:
        return said, Tone.BAD if critical else Tone.WARNING
    return "no alerts", Tone.GOOD


def data_words(snapshot: Snapshot | None, now: datetime) -> tuple[str, Tone]:
    """How old what is on screen is."""
    if snapshot is None:
        return "looking", Tone.ACCENT
    reading = snapshot.readings.get("engine")
    sampled_at = snapshot.sampled_at if reading is None else reading.sampled_at
    if reading is not None and reading.state is SourceState.FAILED:
        if sampled_at is None:
            return "engine unreachable", Tone.BAD
        return f"unreachable, data {age(sampled_at, now)} old", Tone.BAD
    if sampled_at is None:
        return "looking", Tone.ACCENT
    if (now - sampled_at).total_seconds() < LIVE_SECONDS:
        return "live", Tone.GOOD
    return f"data {age(sampled_at, now)} old", Tone.WARNING


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    tone: str
    rank: int  # 0 stays; the largest leaves first


def header_line(
    snapshot: Snapshot | None,
    now: datetime,
    width: int,
    *,
    read_only: bool,
    glyphs: Glyphs = UNICODE,
    asking: bool = False,
) -> Content:
    """Stack, host, engine and commit at the left; alerts, age of the data and modes at the right.

    `asking` stands for the age while the answer to a key is awaited.
    """
    left, right = _left_parts(snapshot), _right_parts(snapshot, now, read_only, asking)
    for rank in (9, 8, 7, 6, 5, 4, 3):
        if _length(left) + _length(right) + 1 <= width:
            break
        left = [part for part in left if part.rank < rank]
        right = [part for part in right if part.rank < rank]
    room = width - _length(right) - 1
    shown_left = _joined(left).truncate(max(0, room), ellipsis=not glyphs.ascii)
    shown_right = _joined(right)
    return Content.assemble(
        shown_left, " " * max(1, width - shown_left.cell_length - shown_right.cell_length), shown_right
    )


def _left_parts(snapshot: Snapshot | None) -> list[_Part]:
    stack = None if snapshot is None else snapshot.stack
    name = "opsconsole" if stack is None else printable(stack.name) or "(no name)"
    parts = [_Part(f" {name} ", "bold reverse $primary", 0)]
    if snapshot is None:
        return parts
    if snapshot.host is not None and snapshot.host.name:
        parts.append(_Part(f"on {printable(snapshot.host.name)}", Tone.PLAIN, 4))
    if snapshot.engine is not None and snapshot.engine.version:
        parts.append(_Part(f"engine {printable(snapshot.engine.version)}", Tone.MUTED, 6))
    if snapshot.stack is not None and snapshot.stack.commit:
        where = f"{snapshot.stack.branch} " if snapshot.stack.branch else ""
        parts.append(_Part(f"{printable(where + snapshot.stack.commit)}", Tone.MUTED, 8))
    return parts


def _right_parts(snapshot: Snapshot | None, now: datetime, read_only: bool, asking: bool) -> list[_Part]:
    parts = []
    if snapshot is not None and snapshot.demo:
        parts.append(_Part(" DEMO ", "bold reverse $warning", 0))
    if read_only:
        parts.append(_Part(" READ-ONLY ", "bold reverse $accent", 0))
    if snapshot is not None:
        parts.append(_Part(*alert_words(snapshot), 1))
    parts.append(_Part(*(("asking", Tone.ACCENT) if asking else data_words(snapshot, now)), 2))
    return parts


def _length(parts: Sequence[_Part]) -> int:
    return _joined(parts).cell_length


def _joined(parts: Sequence[_Part]) -> Content:
    return Content("  ").join(Content.styled(part.text, part.tone) for part in parts)


class Header(Plain):
    DEFAULT_CSS = """
    Header { height: 1; background: $panel; padding: 0 1 0 0; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: tuple[Snapshot | None, datetime, bool, Glyphs, bool] | None = None
        self._shown = Content("")

    def show(
        self, snapshot: Snapshot | None, now: datetime, *, read_only: bool, glyphs: Glyphs, asking: bool = False
    ) -> None:
        self._said = (snapshot, now, read_only, glyphs, asking)
        line = self._line()
        if not line.is_same(self._shown):
            self.refresh()

    def _line(self) -> Content:
        if self._said is None:
            return Content("")
        snapshot, now, read_only, glyphs, asking = self._said
        return header_line(snapshot, now, self.content_size.width, read_only=read_only, glyphs=glyphs, asking=asking)

    def render(self) -> Content:
        self._shown = self._line()
        return self._shown


SHORT = 4  # letters of a pane's name where its whole name has no room


class PaneTabs(Plain):
    """The panes in one line. Each is written so that its first letter is the key that goes there."""

    DEFAULT_CSS = """
    PaneTabs { height: 1; background: $surface; text-wrap: nowrap; }
    """

    class Picked(Message):
        def __init__(self, pane_id: str) -> None:
            super().__init__()
            self.pane_id = pane_id

    def __init__(self, panes: Sequence[tuple[str, str]]) -> None:
        """`panes` as (pane id, letter)."""
        super().__init__()
        self._panes = tuple(panes)
        self._active = ""

    def show(self, active: str) -> None:
        if active != self._active:
            self._active = active
            self.refresh()

    def _labels(self, width: int) -> tuple[list[tuple[str, str]], int]:
        """(pane id, label), and the cells between two: words where there is room, closer where there is less, then the
        beginnings of words or letters with the active one in full."""
        words = [(pane_id, _word(pane_id, letter)) for pane_id, letter in self._panes]
        letters_of_all = sum(len(word) for _, word in words)
        if letters_of_all + 2 * len(words) <= width:
            return words, 2
        if letters_of_all + len(words) - 1 <= width:  # 80 cells are just enough
            return words, 1
        short = [(pane_id, word if pane_id == self._active else word[:SHORT]) for pane_id, word in words]
        # With room for the longest, so that nothing moves from pane to pane.
        if len(words) * (SHORT + 1) + 1 + max(len(word) for _, word in words) - SHORT <= width:
            return short, 1
        letters = dict(self._panes)
        return [(pane_id, word if pane_id == self._active else letters[pane_id]) for pane_id, word in words], 2

    def _cells(self, width: int) -> list[tuple[str, str]]:
        """(pane id, what is painted of it), from the left edge."""
        labels, between = self._labels(width)
        if between == 2:
            return [(pane_id, f" {label} ") for pane_id, label in labels]
        # A blank between two belongs to both: to the active one, when it is one of them. One stands at the edges only
        # where there is room for it.
        active = next((at for at, (pane_id, _) in enumerate(labels) if pane_id == self._active), -1)
        last = len(labels) - 1
        edge = sum(len(label) + 1 for _, label in labels) + 1 <= width
        cells = []
        for at, (pane_id, label) in enumerate(labels):
            before = " " if (at or edge) and (at != active + 1 or active < 0) else ""
            after = " " if at == active and (at < last or edge) else ""
            cells.append((pane_id, f"{before}{label}{after}"))
        return cells

    def render(self) -> Content:
        parts: list[Content] = []
        for pane_id, text in self._cells(self.size.width):
            label = text.lstrip()
            blank = text[: len(text) - len(label)]
            if pane_id == self._active:
                parts.append(Content.styled(text, "bold reverse"))
            else:
                parts.append(Content.assemble(blank, (label[0], "bold underline $accent"), (label[1:], Tone.PLAIN)))
        return Content("").join(parts)

    def on_click(self, event: events.Click) -> None:
        x = event.x
        for pane_id, text in self._cells(self.size.width):
            if x < len(text):
                self.post_message(self.Picked(pane_id))
                return
            x -= len(text)


def _word(pane_id: str, letter: str) -> str:
    return pane_id.replace(letter.lower(), letter, 1) if pane_id.startswith(letter.lower()) else f"{letter} {pane_id}"
