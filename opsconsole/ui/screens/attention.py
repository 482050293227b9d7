"""All that needs attention, in whole sentences, with since when and what to do; what somebody sees to, what is silent.

The cursor stands on one thing. An alert under it can be acknowledged and silenced, and an incident opened from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from textual.content import Content
from textual.geometry import Region

from opsconsole.model import Alert, Snapshot
from opsconsole.text import printable
from opsconsole.ui import alerting, incident
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.panes.attention import SERIOUS, Concern, concerns
from opsconsole.ui.screens.reading import CLOSE, ReadingScreen
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.wording import Tone, decided, moment, plural, sign

MOVES = (
    Action("step(-1)", ("up", "k"), "Up", "Go to the thing above.", palette=False),
    Action("step(1)", ("down", "j"), "Down", "Go to the thing below.", palette=False),
)
ACTS = (
    Action("acknowledge", ("a",), "acknowledge", "Say that you see to the alert, with a note; again takes it back.",
           footer=2, palette=False),
    Action("silence", ("S",), "silence", "Nobody is told of the alert for a while; or end that.", footer=3,
           palette=False),
    Action("past", ("h",), "what was", "Show what alerts did in seven days, who decided what, and who was not told.",
           footer=5, palette=False),
    Action("incident", ("exclamation_mark",), "incident", "Open an incident from the alert.", footer=4, palette=False),
)  # fmt: skip


class AttentionScreen(ReadingScreen):
    place = "attention"
    acts = ACTS
    actions: ClassVar[tuple[Action, ...]] = (*ACTS, *MOVES, *CLOSE)
    BINDINGS = cast(Any, bindings((*MOVES, *ACTS), priority=True))
    keys_line = "j k move   a acknowledge   S silence   h what was   ! incident   Esc back"

    def __init__(self) -> None:
        super().__init__()
        self._chosen: tuple[str, str, str] | None = None  # what the cursor stands on
        self._places: list[int] = []  # the first line of each thing
        self._said: tuple[str, Tone] | None = None  # how the last act went

    def heading(self) -> Content:
        found = self._found(self.console_app.snapshot)
        serious = sum(concern.rank < SERIOUS for concern in found)
        said = f"   {plural(serious, 'thing')}, worst first" if serious else "   nothing new"
        if self._said is not None:
            return Content.assemble("Attention   ", (printable(self._said[0]), self._said[1]))
        return Content.assemble("Attention", (said, Tone.MUTED))

    def lines(self, width: int) -> Sequence[Content]:
        snapshot = self.console_app.snapshot
        found = self._found(snapshot)
        if snapshot is None or not found:
            return [Content.styled("Nothing needs attention.", Tone.MUTED)]
        here = self._place(found)
        lines: list[Content] = []
        self._places = []
        for number, concern in enumerate(found):
            self._places.append(len(lines))
            bar = self.glyphs.bar if number == here else " "
            lines += [
                Content.assemble((f"{bar} ", Tone.ACCENT), line) for line in self._told(concern, snapshot, width - 2)
            ]
            lines.append(Content(""))
        return lines[:-1]

    def _told(self, concern: Concern, snapshot: Snapshot, width: int) -> list[Content]:
        since = f"  since {moment(concern.since, snapshot.sampled_at)}" if concern.since else ""
        rule = f"  {concern.alert.rule}" if concern.alert else ""
        lines = [
            Content.assemble(
                (f"{sign(concern.tone, self.glyphs)} {concern.word}", concern.tone),
                f"  {printable(concern.subject)}",
                (f"{rule}{since}", Tone.MUTED),
            )
        ]
        said = decided(concern.alert, snapshot.sampled_at)
        for text, tone in ((concern.text, Tone.PLAIN), (said, Tone.ACCENT), (concern.advice, Tone.MUTED)):
            if text:
                wrapped = Content.styled(printable(text), tone).wrap(max(10, width - 2), overflow="fold")
                lines += [line.pad_left(2) for line in wrapped]
        return lines

    # --- the cursor --------------------------------------------------------------------------------

    def _found(self, snapshot: Snapshot | None) -> list[Concern]:
        return concerns(snapshot) if snapshot is not None else []

    def _place(self, found: Sequence[Concern]) -> int:
        """The cursor stays on its thing, wherever that stands now."""
        keys = [_key(concern) for concern in found]
        return keys.index(self._chosen) if self._chosen in keys else 0

    def action_step(self, step: int) -> None:
        found = self._found(self.console_app.snapshot)
        if not found:
            return
        here = max(0, min(len(found) - 1, self._place(found) + step))
        self._chosen, self._said = _key(found[here]), None
        self.say()
        if here < len(self._places):
            last = self._places[here + 1] - 1 if here + 1 < len(self._places) else self.sheet.size.height
            top = self._places[here]
            region = Region(0, top, self.sheet.size.width, max(1, last - top))
            self.query_one(Scrolled).scroll_to_region(region, animate=False)

    # --- keys --------------------------------------------------------------------------------------

    def action_acknowledge(self) -> None:
        if (alert := self._alert_or_say()) is not None:
            alerting.acknowledge(self.console_app, alert, self._say_act)

    def action_silence(self) -> None:
        if (alert := self._alert_or_say()) is not None:
            alerting.silence(self.console_app, alert, self._say_act)

    def action_incident(self) -> None:
        if (alert := self._alert_or_say()) is not None:
            app = self.console_app
            self.dismiss()
            incident.open_screen(app, about=alert.message)

    def action_past(self) -> None:
        from opsconsole.ui.screens.alert_past import AlertPastScreen

        self.app.push_screen(AlertPastScreen())

    def _alert_or_say(self) -> Alert | None:
        """The alert under the cursor, which stays on it wherever it goes."""
        found = self._found(self.console_app.snapshot)
        if not found:
            return None
        concern = found[self._place(found)]
        self._chosen = _key(concern)
        if concern.alert is None:
            self._say_act("This is no alert: it is shown for as long as it is so.", Tone.MUTED)
        return concern.alert

    def _say_act(self, text: str, tone: Tone) -> None:
        self._said = (text, tone)
        self.console_app.note(text, tone)
        self.say()


def _key(concern: Concern) -> tuple[str, str, str]:
    rule = concern.alert.rule if concern.alert is not None else concern.word
    return rule, concern.subject, "" if concern.alert is not None else concern.text
