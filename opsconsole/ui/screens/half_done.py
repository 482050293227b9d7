"""What a kill or a reboot left half done, said before anything else: finish it, undo it, or later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from opsconsole.operations.unfinished import HalfDone
from opsconsole.text import printable
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.wording import Tone, plural

ACTIONS = (
    Action("choose('later')", ("escape", "q", "ctrl+c"), "later", "Do neither now.", footer=5, palette=False),
    Action("choose('finish')", ("F",), "finish", "Show the plan that does the rest.", footer=1, palette=False),
    Action("choose('undo')", ("U",), "undo", "Show the plan that goes back to how it was.", footer=2, palette=False),
    Action("next_button(1)", ("right", "tab", "l"), "next", "The next button.", palette=False),
    Action("next_button(-1)", ("left", "shift+tab", "h"), "before", "The button before.", palette=False),
)


class HalfDoneScreen(ModalScreen[str]):
    """Gives "finish", "undo", "look" or "later". The focus is on Later: Enter alone changes nothing."""

    actions: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS = cast(Any, bindings(ACTIONS, priority=True))
    AUTO_FOCUS = "#later"
    DEFAULT_CSS = """
    HalfDoneScreen { align: center middle; background: $background 60%; }
    HalfDoneScreen > .dialog { width: 84; max-width: 96%; }
    HalfDoneScreen .said { height: auto; max-height: 50vh; width: 1fr; }
    HalfDoneScreen .said Static { height: auto; width: 1fr; }
    HalfDoneScreen .buttons { height: auto; width: 1fr; margin-top: 1; align-horizontal: right; }
    HalfDoneScreen.-flat .buttons { margin-top: 0; }
    HalfDoneScreen Button {
        margin: 0 0 0 2; min-width: 10; height: 1; border: none; background: $panel; color: $foreground;
        &:focus { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
    }
    HalfDoneScreen:nocolor Button:focus { text-style: bold reverse; }
    HalfDoneScreen.-ascii .dialog { border: ascii $border; }
    """

    def __init__(self, one: HalfDone, more: int, read_only: bool) -> None:
        super().__init__()
        self._one = one
        self._more = more
        self._read_only = read_only

    def _said(self) -> Sequence[Content]:
        one = self._one
        by = f" by {one.who.words()}" if one.who else ""
        inside = f"It was cut off in the step {one.inside}, which may have happened or not. " if one.inside else ""
        lines = [
            Content.styled(printable(one.title), Tone.STRONG),
            Content.styled(printable(f"begun {one.began.astimezone():%Y-%m-%d %H:%M:%S}{by}"), Tone.MUTED),
            Content(""),
            Content(printable(f"{inside}{plural(len(one.done), 'step')} done, {one.to_come} to come.")),
            Content("Its process was killed, or the machine went down."),
        ]
        if self._more:
            are = "is" if self._more == 1 else "are"
            lines.append(Content.styled(f"{self._more} more {are} half done; see h, History.", Tone.WARNING))
        said = "Finish and undo show a plan first; nothing runs before you agree."
        if self._read_only:
            said = "This console is read-only: plans can be looked at, nothing is run."
        return [*lines, Content(""), Content(said)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content("An operation is half done")
            with VerticalScroll(classes="said", can_focus=False):
                for line in self._said():
                    yield Static(line, markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Later", id="later", compact=True)
                yield Button("Look", id="look", compact=True)
                yield Button("F Finish", id="finish", compact=True)
                yield Button("U Undo", id="undo", compact=True)

    def on_mount(self) -> None:
        self.set_class(cast(Any, self.app).glyphs.ascii, "-ascii")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id or "later")

    def action_choose(self, what: str) -> None:
        self.dismiss(what)

    def action_next_button(self, step: int) -> None:
        buttons = list(self.query(Button))
        here = next((at for at, one in enumerate(buttons) if one.has_focus), 0)
        buttons[(here + step) % len(buttons)].focus()
