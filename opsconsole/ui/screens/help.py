"""Every key, by pane. Made from the same declarations that bind them, so it cannot be wrong."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.ui.panes import Section, sections
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.widgets.footer import key_parts
from opsconsole.ui.wording import Tone

KEY_CELLS = 16


def help_lines(places: Sequence[Section], width: int, *, read_only: bool) -> list[Content]:
    lines: list[Content] = []
    for place in places:
        lines += [Content(""), Content.styled(place.title, Tone.STRONG)]
        for action in place.actions:
            if action.changes and read_only:
                continue
            keys = action.keys_shown or "Ctrl+P"
            lines += _entry(keys, action.help, width)
    return lines[1:]


def _entry(keys: str, said: str, width: int) -> list[Content]:
    room = max(10, width - KEY_CELLS - 2)
    wrapped = Content(said).wrap(room)
    first = Content.assemble(("  " + keys.ljust(KEY_CELLS - 2) + "  ", "bold $accent"), wrapped[0])
    return [first, *(line.pad_left(KEY_CELLS + 2) for line in wrapped[1:])]


class HelpScreen(ReadingScreen):
    keys_line = "Esc back   j k PgUp PgDn g G move"

    def __init__(self, pane_id: str, here: str = "") -> None:
        """`here`: the keys of a screen that is open over the pane, as its last line says them."""
        super().__init__()
        self._pane_id = pane_id
        self._here = here

    def heading(self) -> Content:
        return Content.assemble("Keys", ("   no single key destroys anything", Tone.MUTED))

    def lines(self, width: int) -> Sequence[Content]:
        modes = [
            Content(""),
            Content.styled("Words", Tone.STRONG),
            *_entry("live", "the data on screen is younger than 15 s; otherwise its age stands there", width),
            *_entry("drift", "a container runs something else than the compose file says", width),
            *_entry("pending", "an alert whose condition is true, but not yet for as long as its rule asks", width),
            *_entry("acknowledged", "somebody sees to the alert, until it is over or gets worse", width),
            *_entry("silenced", "nobody is told of the alert until then; it goes on being shown", width),
        ]
        here = [Content.styled("Here", Tone.STRONG)] if self._here else []
        for keys, what in key_parts(self._here):
            here += _entry(keys, what, width)
        if here:
            here.append(Content(""))
        return [*here, *help_lines(sections(self._pane_id), width, read_only=self.console_app.read_only), *modes]
