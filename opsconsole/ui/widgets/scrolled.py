"""Lines that are read by scrolling: the keys of the lists, moving the view instead of a cursor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget

from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.widgets.painting import Hollow
from opsconsole.ui.widgets.sheet import Painter, Sheet
from opsconsole.ui.wording import UNICODE

IN_TEXT = (
    Action("lines(-1)", ("up", "k"), "Up", "Move up.", palette=False),
    Action("lines(1)", ("down", "j"), "Down", "Move down.", palette=False),
    Action("screens(-1)", ("pageup", "ctrl+u"), "Page up", "Move up by a screen.", palette=False),
    Action("screens(1)", ("pagedown", "ctrl+d"), "Page down", "Move down by a screen.", palette=False),
    Action("top", ("home", "g"), "Top", "Go to the first line.", palette=False),
    Action("bottom", ("end", "G"), "Bottom", "Go to the last line.", palette=False),
)


class Scrolled(VerticalScroll, Hollow, inherit_bindings=False):
    """Anything higher than the screen. Moves at once: an animation over SSH is a slide show."""

    actions: ClassVar[tuple[Action, ...]] = IN_TEXT
    BINDINGS = cast(Any, bindings(IN_TEXT))
    DEFAULT_CSS = """
    Scrolled { scrollbar-size-vertical: 1; }
    """

    def __init__(self, *content: Widget, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*content, id=id, classes=classes)

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Style this alone: no rule makes what is inside of a focused one look otherwise."""
        self.app.stylesheet.update_nodes([self])

    def action_lines(self, step: int) -> None:
        self.scroll_relative(y=step, animate=False)

    def action_screens(self, direction: int) -> None:
        self.scroll_relative(y=direction * max(1, self.size.height - 1), animate=False)

    def action_top(self) -> None:
        self.scroll_home(animate=False)

    def action_bottom(self) -> None:
        self.scroll_end(animate=False)


class Detail(Scrolled):
    """What is known about the row under the cursor: its beginning under the table, all of it when opened."""

    CLOSE = (Action("close", ("enter",), "close", "Go back to the rows.", footer=10, palette=False),)
    actions: ClassVar[tuple[Action, ...]] = (*IN_TEXT, *CLOSE)
    BINDINGS = cast(Any, bindings(CLOSE))
    DEFAULT_CSS = """
    Detail {
        height: auto; max-height: 45%; padding: 0 1; border-top: solid $foreground 20%;
        scrollbar-size-vertical: 0;
        &.-open { max-height: 100%; height: 1fr; border-top: none; scrollbar-size-vertical: 1; }
        &.-plain { border-top: ascii $foreground 20%; }
        &.-plain.-open { border-top: none; }
    }
    """

    class Closed(Message):
        """The reader wants the rows back."""

    def __init__(self) -> None:
        self.sheet = Sheet()
        super().__init__(self.sheet)
        self.can_focus = False

    def on_mount(self) -> None:
        self.set_class(getattr(self.app, "glyphs", UNICODE).ascii, "-plain")

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    def paint(self, painter: Painter | None) -> None:
        """Show these lines; None hides the whole."""
        self.display = painter is not None
        self.sheet.paint(painter or (lambda width: ()))

    def open(self, others: Iterable[Widget]) -> None:
        """Take the room of `others` and the focus."""
        self._give(others, to_me=True)
        self.focus()

    def shut(self, others: Iterable[Widget]) -> None:
        self._give(others, to_me=False)
        self.scroll_home(animate=False)

    def _give(self, others: Iterable[Widget], *, to_me: bool) -> None:
        self.set_class(to_me, "-open")
        self.can_focus = to_me
        for other in others:
            other.display = not to_me

    def action_close(self) -> None:
        self.post_message(self.Closed())
