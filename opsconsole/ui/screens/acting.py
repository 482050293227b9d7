"""A screen that takes the whole terminal and has keys of its own: heading, what runs, body, and the keys that work now.

The panes' letters do not work in it: what is shown here is acted on by the keys at its bottom and by no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from opsconsole.ui import doing
from opsconsole.ui.keys import HELP_ON_TOP, Action, bindings
from opsconsole.ui.widgets.footer import Footer
from opsconsole.ui.widgets.operation_line import OperationLine
from opsconsole.ui.wording import Glyphs

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

ON_TOP = (
    HELP_ON_TOP,
    Action("app.emergency_stop", ("X",), "Emergency stop", "Stop everything at once, after a question.", palette=False,
           changes=True),
    Action("app.leave", ("ctrl+c",), "quit", "Leave the console; what runs goes on.", palette=False),
)  # fmt: skip
"""Keys that work on these screens as everywhere."""


class ActingScreen(ModalScreen[None]):
    """Subclasses say `heading`, `body` and their `actions`; `say` shows all of it anew."""

    place: ClassVar[str] = ""  # in the help: its keys stand first there when it is open
    actions: ClassVar[tuple[Action, ...]] = ON_TOP
    first: ClassVar[tuple[Action, ...]] = ()
    """Of the actions those whose keys are taken before the focused widget sees them."""
    DEFAULT_CSS = """
    ActingScreen { background: $background; layout: vertical; }
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "actions" in cls.__dict__:
            later = [action for action in cls.actions if action not in cls.first]
            cls.BINDINGS = cast(Any, [*bindings(later), *bindings(cls.first, priority=True)])
        super().__init_subclass__(**kwargs)

    def heading(self) -> Content:
        raise NotImplementedError

    def body(self) -> Iterable[Widget]:
        raise NotImplementedError

    @property
    def console_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    @property
    def glyphs(self) -> Glyphs:
        return self.console_app.glyphs

    def compose(self) -> ComposeResult:
        self.head = Static(classes="heading", markup=False)
        self.foot = Footer()
        yield self.head
        yield OperationLine()
        yield from self.body()
        yield self.foot

    def on_mount(self) -> None:
        self.set_class(self.glyphs.ascii, "-ascii")
        self.console_app.operating.say()
        self.opened()
        self.say_keys()

    def opened(self) -> None:
        """Everything is mounted. (A second `on_mount` would run before this class's own, not after it.)"""

    def say_heading(self) -> None:
        heading = self.heading()
        if heading.plain != getattr(self, "_heading", None):
            self._heading = heading.plain
            self.head.update(heading)

    def say_keys(self) -> None:
        if self.is_current:
            self.foot.show([action for _, action in doing.available(self.console_app)])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.say_keys()

    def on_screen_resume(self) -> None:
        self.say_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return True
