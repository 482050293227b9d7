"""The question before anything changes. The focus is on Cancel, and Enter confirms nothing by accident."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from opsconsole.ui.keys import Action, bindings

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

ACTIONS = (
    Action("cancel", ("escape", "q", "ctrl+c", "n"), "cancel", "Change nothing.", footer=2, palette=False),
    Action(
        "other_button",
        ("left", "right", "tab", "shift+tab", "h", "l"),
        "other button",
        "The other button.",
        footer=1,
        shown="Tab",
        palette=False,
    ),
)


class ConfirmScreen(ModalScreen[bool]):
    """True only when the operator moved to the second button and pressed it."""

    actions: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS = cast(Any, bindings(ACTIONS, priority=True))  # Tab and Enter typed ahead stay Tab, then Enter
    AUTO_FOCUS = "#cancel"
    hint: ClassVar[str] = "Tab other  Enter press  Esc cancel"
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; background: $background 60%; }
    ConfirmScreen > .dialog { width: 76; max-width: 96%; }
    ConfirmScreen .said { height: auto; max-height: 40vh; width: 1fr; }
    ConfirmScreen .said Static { height: auto; width: 1fr; }
    ConfirmScreen .buttons { height: auto; width: 1fr; margin-top: 1; align-horizontal: right; }
    ConfirmScreen.-flat .buttons { margin-top: 0; }
    ConfirmScreen .hint { width: 1fr; height: 1; color: $foreground-muted; text-wrap: nowrap; }
    ConfirmScreen.-tiny .hint, ConfirmScreen.-narrow .hint { visibility: hidden; }
    ConfirmScreen Button {
        margin: 0 0 0 2; min-width: 12; height: 1; border: none; background: $panel; color: $foreground;
        &:focus { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        &.-act { color: $warning; text-style: bold; }
        &.-act:focus { background: $warning; color: $background; text-style: bold; }
    }
    ConfirmScreen:nocolor Button:focus { text-style: bold reverse; }
    ConfirmScreen.-ascii .dialog { border: ascii $border; }
    """

    def __init__(self, question: str, said: Sequence[Content], verb: str) -> None:
        """`said` are the lines between the question and the buttons: what it applies to, and what it means."""
        super().__init__()
        self._question = question
        self._said = tuple(said)
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._question)
            with VerticalScroll(classes="said", can_focus=False):
                for line in self._said:
                    yield Static(line, markup=False)
            with Horizontal(classes="buttons"):
                yield Static(self.hint, classes="hint", markup=False)
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(Content(self._verb), id="act", classes="-act", compact=True)

    def on_mount(self) -> None:
        self.set_class(cast("ConsoleApp", self.app).glyphs.ascii, "-ascii")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "act")

    def action_cancel(self) -> None:
        self.dismiss(False)

    def action_other_button(self) -> None:
        wanted = "#act" if self.focused is not None and self.focused.id == "cancel" else "#cancel"
        self.query_one(wanted).focus()
