"""A screen to read: a heading, lines that scroll, and the keys that leave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from opsconsole.model import Snapshot
from opsconsole.ui.keys import HELP_ON_TOP, Action, bindings
from opsconsole.ui.widgets.footer import keys_line
from opsconsole.ui.widgets.operation_line import OperationLine
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Glyphs

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

CLOSE = (Action("close", ("escape", "q", "ctrl+c"), "back", "Go back.", footer=1, palette=False),)


class ReadingScreen(ModalScreen[None]):
    """Subclasses say `heading()` and `lines(width)`; `receive` comes with each Snapshot while it is open."""

    actions: ClassVar[tuple[Action, ...]] = CLOSE
    BINDINGS = cast(Any, bindings((*CLOSE, HELP_ON_TOP)))
    keys_line: ClassVar[str] = "Esc back   j k PgUp PgDn g G move   ? help"
    DEFAULT_CSS = """
    ReadingScreen { background: $background; }
    ReadingScreen Scrolled { height: 1fr; padding: 0 1; }
    """

    def heading(self) -> Content:
        raise NotImplementedError

    def lines(self, width: int) -> Sequence[Content]:
        raise NotImplementedError

    @property
    def console_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    @property
    def glyphs(self) -> Glyphs:
        return self.console_app.glyphs

    def compose(self) -> ComposeResult:
        self.head = Static(classes="heading", markup=False)
        self.sheet = Sheet(self.lines)
        yield self.head
        yield OperationLine()
        yield Scrolled(self.sheet)
        yield Static(keys_line(self.keys_line), classes="keys", markup=False)

    def on_mount(self) -> None:
        self.set_class(self.glyphs.ascii, "-ascii")
        self.console_app.operating.say()
        self.say()
        self.query_one(Scrolled).focus()

    def receive(self, snapshot: Snapshot) -> None:
        self.say()

    def say(self) -> None:
        """Show heading and lines anew."""
        self.head.update(self.heading())
        self.sheet.paint(self.lines)

    def action_close(self) -> None:
        self.dismiss(None)
