"""Which services are followed: one, several or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from opsconsole.text import printable
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.widgets.painting import Plain

IN_PICKER = (
    Action("cursor(-1)", ("up", "k"), "Up", "Move up.", palette=False),
    Action("cursor(1)", ("down", "j"), "Down", "Move down.", palette=False),
    Action("cursor(-10)", ("pageup", "ctrl+u"), "Page up", "Move up by a screen.", palette=False),
    Action("cursor(10)", ("pagedown", "ctrl+d"), "Page down", "Move down by a screen.", palette=False),
    Action("cursor(-100000)", ("home", "g"), "Top", "Go to the first row.", palette=False),
    Action("cursor(100000)", ("end", "G"), "Bottom", "Go to the last row.", palette=False),
    Action("switch", ("space",), "with/without", "Follow this service too, or no longer.", footer=1, palette=False),
    Action("only", ("enter",), "only this", "Follow this service only.", footer=2, palette=False),
)
"""Keys while the list of services has the focus."""
_BOX = 4  # cells of "[x] "


class ServicePicker(ScrollView, Plain, can_focus=True, inherit_bindings=False):
    """A list of services with a box before each. No box is set while all of them are followed."""

    actions: ClassVar[tuple[Action, ...]] = IN_PICKER
    BINDINGS = cast(Any, bindings(IN_PICKER))
    COMPONENT_CLASSES = {"picker--cursor", "picker--muted"}
    DEFAULT_CSS = """
    ServicePicker {
        width: 22; height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        border-right: solid $border;
        & > .picker--muted { color: $foreground-muted; }
        & > .picker--cursor { background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground; }
        &:focus > .picker--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
        &:nocolor:focus > .picker--cursor { text-style: reverse; }
        &.-ascii { border-right: ascii $border; }
    }
    """

    class Picked(Message):
        """Other services are wanted; an empty set means all."""

        def __init__(self, services: frozenset[str], *, only: bool) -> None:
            super().__init__()
            self.services = services
            self.only = only  # one was chosen with Enter: the list has served

    def __init__(self, style_of: Callable[[str], Style]) -> None:
        super().__init__()
        self.services: tuple[str, ...] = ()
        self.chosen: frozenset[str] = frozenset()
        self._cursor = 0
        self._style_of = style_of
        self._look: tuple[Style, Style, Style] | None = None  # ground, muted, cursor: kept, they cost more than a row

    def show(self, services: Sequence[str], chosen: frozenset[str]) -> None:
        """The services there are, and those that are followed (empty: all). The cursor stays on its service."""
        if (tuple(services), chosen) == (self.services, self.chosen):
            return
        current = self.current
        self.services, self.chosen = tuple(services), chosen
        self._cursor = self.services.index(current) if current in self.services else 0
        width = _BOX + max((cell_len(printable(name)) for name in services), default=0) + 2
        self.styles.width = min(26, max(12, width))
        self.virtual_size = Size(self.size.width, len(self.services))
        self.refresh()

    @property
    def current(self) -> str | None:
        """The service under the cursor."""
        return self.services[self._cursor] if self._cursor < len(self.services) else None

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        width = self.size.width
        if self._look is None:
            style_of = self.get_component_rich_style
            self._look = self.rich_style, style_of("picker--muted"), style_of("picker--cursor")
        ground, muted, under_cursor = self._look
        if row >= len(self.services):
            return Strip.blank(width, ground)
        name = self.services[row]
        on = not self.chosen or name in self.chosen
        box = "[x] " if name in self.chosen else "[ ] " if self.chosen else " \u00b7  "
        if self.has_class("-ascii"):
            box = box.replace("\u00b7", "-")
        text = set_cell_size(printable(name), max(0, width - _BOX))
        if row == self._cursor:
            return Strip([Segment(box + text, under_cursor)]).crop_extend(0, width, under_cursor)
        return Strip([Segment(box, muted), Segment(text, self._style_of(name) if on else muted)]).crop_extend(
            0, width, ground
        )

    def action_cursor(self, step: int) -> None:
        before = self._cursor
        self._cursor = min(max(0, self._cursor + step), max(0, len(self.services) - 1))
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + self.size.height:
            self.scroll_to(y=self._cursor - self.size.height + 1, animate=False)
        self.refresh_line(before)
        self.refresh_line(self._cursor)

    def action_switch(self) -> None:
        if self.current is not None:
            chosen = self.chosen ^ {self.current}
            chosen = frozenset() if chosen == set(self.services) else chosen
            self.show(self.services, chosen)  # at once: the next Space may have been typed already
            self.post_message(self.Picked(chosen, only=False))

    def action_only(self) -> None:
        if self.current is not None:
            self.post_message(self.Picked(frozenset({self.current}), only=True))

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y
        if row < len(self.services):
            self._cursor = row
            self.action_switch() if event.chain == 1 else self.action_only()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._look = None
        self.refresh()
