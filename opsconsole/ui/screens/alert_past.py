"""What alerts did over the last days, who decided what about them, and who could not be told: newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.model import SourceError
from opsconsole.text import printable
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.wording import Glyphs, Tone, moment, plural, sign

if TYPE_CHECKING:
    from opsconsole.metrics import Event

SPAN = timedelta(days=7)

_TONES = {
    "resolved": Tone.GOOD,
    "acknowledged": Tone.ACCENT,
    "silenced": Tone.ACCENT,
    "not told": Tone.BAD,
    "pending": Tone.ACCENT,
}
_WORD_CELLS = 16


def past_lines(events: Sequence[Event], now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """Newest first, each with its time, a word for it, what it is about, and what was said in whole."""
    from opsconsole import alert_events

    lines: list[Content] = []
    for event in reversed(events):
        word, said = alert_events.words(event, lambda at: moment(at, now))
        tone = _TONES.get(word, Tone.MUTED)
        if word == "firing":
            tone = Tone.BAD if event.facts.get("severity") == "critical" else Tone.WARNING
        head = Content.assemble(
            (f"{moment(event.at, now):<18}", Tone.MUTED),
            (f"{sign(tone, glyphs)} {word}".ljust(_WORD_CELLS), tone),
            printable(event.subject),
        )
        wrapped = Content.styled(printable(said), Tone.MUTED).wrap(max(10, width - 20), overflow="fold") if said else ()
        lines += [head, *(line.pad_left(20) for line in wrapped)]
    return lines


class AlertPastScreen(ReadingScreen):
    def __init__(self) -> None:
        super().__init__()
        self._events: tuple[Event, ...] | None = None
        self._problem = ""

    def on_mount(self) -> None:
        app = self.console_app
        made_up = getattr(app.monitor and app.sources, "kept", None)
        site, now = app.operating.site, app.clock()

        def read() -> tuple[Event, ...] | SourceError:
            from opsconsole.alert_events import ALERT_KINDS
            from opsconsole.metrics import MetricsReader, metrics_file

            reader = made_up or (MetricsReader(metrics_file(site.directory)) if site is not None else None)
            if reader is None:
                return ()
            try:
                found: tuple[Event, ...] = reader.events(now - SPAN, now, kinds=ALERT_KINDS, most=2000)
            except SourceError as error:
                return () if error.absent else error
            return found

        def have(found: tuple[Event, ...] | SourceError) -> None:
            self._events = () if isinstance(found, SourceError) else found
            self._problem = found.problem if isinstance(found, SourceError) else ""
            if self.is_mounted:
                self.say()

        app.aside(read, have, "alerts-past")

    def heading(self) -> Content:
        known = f"   {plural(len(self._events), 'change')} in seven days, newest first" if self._events else ""
        return Content.assemble("What alerts did", (known, Tone.MUTED))

    def lines(self, width: int) -> Sequence[Content]:
        if self._problem:
            return [Content.styled(printable(self._problem), Tone.BAD)]
        if self._events is None:
            return [Content.styled("Reading.", Tone.MUTED)]
        if not self._events:
            said = "Nothing is kept yet: a console that is open keeps it, or `opsconsole collect`."
            return [Content.styled(said, Tone.MUTED)]
        return past_lines(self._events, self.console_app.clock(), width, self.glyphs)
