"""The bottom of the screen: the keys that work now, and above them what the last action came to."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.widgets.painting import Plain
from opsconsole.ui.wording import UNICODE, Glyphs, Tone, sign

MOST = 8


def footer_line(actions: Sequence[Action], width: int) -> Content:
    """The keys and what they do, most important first; as many as fit, `? help` and `q quit` always."""
    ranked = sorted((action for action in actions if action.footer), key=lambda action: action.footer)
    always = [action for action in ranked if action.run.removeprefix("app.") in ("help", "leave")]
    others = [action for action in ranked if action not in always]
    shown: list[Action] = []
    room = width - sum(_cells(action) for action in always)
    for action in others[: MOST - len(always)]:
        if _cells(action) > room:
            break
        room -= _cells(action)
        shown.append(action)
    parts = [
        Content.assemble(" ", (_key(action), "bold $footer-key-foreground"), (f" {action.label} ", Tone.MUTED))
        for action in (*shown, *always)
    ]
    return Content("").join(parts)


def _key(action: Action) -> str:
    return action.shown or action.keys_shown.split(" ")[0]


def _cells(action: Action) -> int:
    return len(_key(action)) + len(action.label) + 3


class Footer(Plain):
    DEFAULT_CSS = """
    Footer { height: 1; dock: none; background: $panel; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._actions: tuple[Action, ...] = ()

    def show(self, actions: Sequence[Action]) -> None:
        if tuple(actions) != self._actions:
            self._actions = tuple(actions)
            self.refresh()

    def render(self) -> Content:
        return footer_line(self._actions, self.size.width)


class StatusLine(Widget):
    """What the last action came to. Stays until Esc or the next one: a failure must not vanish unread."""

    DEFAULT_CSS = """
    StatusLine { height: auto; max-height: 4; padding: 0 1; background: $surface; display: none; }
    StatusLine.-said { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: tuple[str, Tone, Glyphs] = ("", Tone.PLAIN, UNICODE)

    @property
    def text(self) -> str:
        return self._said[0]

    def say(self, text: str, tone: Tone, glyphs: Glyphs) -> None:
        self._said = (text, tone, glyphs)
        self.set_class(bool(text), "-said")
        self.refresh(layout=True)

    def render(self) -> Content:
        text, tone, glyphs = self._said
        if not text:
            return Content("")
        return Content.assemble(
            (f"{sign(tone, glyphs)} ", tone), (printable(text), tone), ("   F2 all messages", Tone.MUTED)
        )
