"""A short menu of numbered lines: a digit or Enter picks one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message

from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.widgets.lines import cut
from opsconsole.ui.widgets.painting import Plain
from opsconsole.ui.wording import UNICODE, Tone

IN_MENU = (
    Action("cursor(-1)", ("up", "k"), "Up", "Move up.", palette=False),
    Action("cursor(1)", ("down", "j"), "Down", "Move down.", palette=False),
    Action("cursor(-99)", ("home", "g"), "Top", "Go to the first line.", palette=False),
    Action("cursor(99)", ("end", "G"), "Bottom", "Go to the last line.", palette=False),
    Action("pick", ("enter",), "choose", "Choose the line under the cursor.", footer=5, palette=False),
)


class Menu(Plain, can_focus=True, inherit_bindings=False):
    actions: ClassVar[tuple[Action, ...]] = IN_MENU
    BINDINGS = cast(Any, bindings(IN_MENU))
    COMPONENT_CLASSES: ClassVar[set[str]] = {"menu--cursor"}
    DEFAULT_CSS = """
    Menu {
        height: auto; width: 1fr; text-wrap: nowrap;
        & > .menu--cursor { background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground; }
        &:focus > .menu--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    }
    App:nocolor Menu:focus > .menu--cursor { text-style: reverse; }
    """

    class Picked(Message):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self._lines = tuple(lines)
        self._cursor = 0

    @property
    def number(self) -> int:
        """The line under the cursor, from 1."""
        return self._cursor + 1

    def move_to(self, number: int) -> None:
        self._cursor = max(0, min(len(self._lines) - 1, number - 1))
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render(self) -> Content:
        width = self.content_size.width
        lines = []
        for index, text in enumerate(self._lines):
            line = Content.assemble(" ", (str(index + 1), Tone.ACCENT), f"  {text}")
            line = cut(line, width, getattr(self.app, "glyphs", UNICODE))
            line = line.pad_right(max(0, width - line.cell_length))
            if index == self._cursor:
                line = Content(line.plain).stylize(self.get_visual_style("menu--cursor"))
            lines.append(line)
        return Content("\n").join(lines)

    def action_cursor(self, step: int) -> None:
        self.move_to(self.number + step)

    def action_pick(self) -> None:
        self.post_message(self.Picked(self.number))

    def on_click(self, event: events.Click) -> None:
        if event.y < len(self._lines):
            self.move_to(event.y + 1)
            if event.chain == 2:
                self.action_pick()
