"""The bottom of the screen: the keys that work now, and above them what the last action came to."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from opsconsole.text import printable
from opsconsole.ui.keys import KEY_WORDS, Action
from opsconsole.ui.widgets.painting import Plain
from opsconsole.ui.wording import UNICODE, Glyphs, Tone, sign

MOST = 8
"""Keys in one line; those of the pane itself are shown beyond it where there is room."""

GENERAL = 40
"""From this rank on a key is none of the pane's own: lists and everything else have it, too."""

TWO_LINES_FROM = 30
"""Lines of a terminal on which the keys may take a second one."""


def footer_lines(actions: Sequence[Action], width: int, most: int = 1) -> list[Content]:
    """The keys and what they do, most important first, in up to `most` lines; `? help` and `q quit` always.

    A line is added for the pane's own keys only. Behind `? help` stands how many of those found no room: it lists them.
    """
    ranked = sorted((action for action in actions if action.footer), key=lambda action: action.footer)
    always = [action for action in ranked if action.run.removeprefix("app.") in ("help", "leave")]
    others = [action for action in ranked if action not in always]
    own = sum(action.footer < GENERAL for action in others)
    for lines in range(1, most + 1):
        wanted = others[: max(own, MOST - len(always))] if lines == 1 else others
        placed = _placed(wanted, width, lines, sum(map(_cells, always)))
        if sum(map(len, placed)) >= own:
            break
    more, kept = "", sum(map(_cells, always)) + len(", 00 more")
    if always and sum(map(len, placed)) < own and kept <= width:
        placed = _placed(wanted, width, lines, kept)
        more = f", {own - sum(map(len, placed))} more"
    placed[-1] += always
    return [Content("").join(_entry(action, more) for action in line) for line in placed]


def _placed(wanted: Sequence[Action], width: int, lines: int, kept: int) -> list[list[Action]]:
    """As many of them as have room in so many lines, in their order; `kept` cells of the last line are taken."""
    placed: list[list[Action]] = [[] for _ in range(lines)]
    at, room = 0, width - (kept if lines == 1 else 0)
    for action in wanted:
        if _cells(action) > room and at < lines - 1:
            at += 1
            room = width - (kept if at == lines - 1 else 0)
        if _cells(action) > room:
            break
        room -= _cells(action)
        placed[at].append(action)
    return placed


def _entry(action: Action, more: str) -> Content:
    label = action.label + (more if action.run.removeprefix("app.") == "help" else "")
    return Content.assemble(" ", (_key(action), "bold $footer-key-foreground"), (f" {label} ", Tone.MUTED))


def _key(action: Action) -> str:
    return action.shown or action.keys_shown.split(" ")[0]


def _cells(action: Action) -> int:
    return len(_key(action)) + len(action.label) + 3


def keys_line(said: str) -> Content:
    """`j k move   Esc back` with its keys as in the footer; what belongs together stands apart by three blanks."""
    parts = [
        Content.assemble((keys, "bold $footer-key-foreground"), (f"{' ' if keys else ''}{what}", Tone.MUTED))
        for keys, what in key_parts(said)
    ]
    return Content("   ").join(parts)


def key_parts(said: str) -> list[tuple[str, str]]:
    """The keys of such a line, and what each does."""
    parts = []
    for part in filter(None, said.split("   ")):
        words = part.split(" ")
        # The last word is never a key, nor is a letter behind a word.
        keys = next((at for at, word in enumerate(words) if len(word) > 1 and word not in KEY_WORDS), len(words) - 1)
        parts.append((" ".join(words[:keys]), " ".join(words[keys:])))
    return parts


class Footer(Plain):
    DEFAULT_CSS = """
    Footer { height: 1; dock: none; background: $panel; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._actions: tuple[Action, ...] = ()
        self._place = ""
        self._lines = 1

    def show(self, actions: Sequence[Action], place: str = "") -> None:
        """Show these keys. While `place` is the same, a second line that was needed once stays: nothing jumps."""
        if tuple(actions) == self._actions and place == self._place:
            return
        if place != self._place:
            self._lines = 1
        self._actions, self._place = tuple(actions), place
        self._fit()
        self.refresh()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        most = 2 if self.app.size.height >= TWO_LINES_FROM else 1
        needed = len(footer_lines(self._actions, self.app.size.width, most))
        self._lines = min(most, max(self._lines, needed))
        self.styles.height = self._lines

    def render(self) -> Content:
        lines = footer_lines(self._actions, self.size.width, self._lines)
        return Content("\n").join(
            [Content("")] * (self._lines - len(lines)) + lines
        )  # `? help` is at the bottom always


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
