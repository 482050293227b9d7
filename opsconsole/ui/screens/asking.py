"""One line of text that is asked for: why a backup is pinned, the name of a database, a pattern of keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from opsconsole.text import printable
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.wording import Tone

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

ACTIONS = (Action("cancel", ("escape", "ctrl+c"), "cancel", "Leave it as it is.", footer=2, palette=False),)


def _anything(text: str) -> str:
    return ""


class AskingScreen(ModalScreen[str | None]):
    """The text, "" when nothing was typed; None: not wanted."""

    actions: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS = cast(Any, bindings(ACTIONS))
    DEFAULT_CSS = """
    AskingScreen { align: center middle; background: $background 60%; }
    AskingScreen > .dialog { width: 76; max-width: 96%; }
    AskingScreen Static { width: 1fr; height: auto; }
    AskingScreen Input { border: none; height: 1; padding: 0; margin-top: 1; background: $panel; }
    AskingScreen .hint { color: $foreground-muted; margin-top: 1; }
    AskingScreen.-flat Input, AskingScreen.-flat .hint { margin-top: 0; }
    AskingScreen.-ascii .dialog { border: ascii $border; }
    """

    def __init__(
        self,
        title: str,
        said: Sequence[str],
        hint: str,
        value: str = "",
        wrong: Callable[[str], str] = _anything,
    ) -> None:
        """`said` stands above the field, `hint` under it. `wrong` says what is wrong with a text, "" for nothing."""
        super().__init__()
        self._title = title
        self._said = tuple(said)
        self._hint = hint
        self._value = value
        self._wrong = wrong

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(printable(self._title))
            for line in self._said:
                yield Static(Content(printable(line)), markup=False)
            yield Input(self._value, compact=True)
            yield Static(Content(printable(self._hint)), classes="hint", markup=False)

    def on_mount(self) -> None:
        self.set_class(cast("ConsoleApp", self.app).glyphs.ascii, "-ascii")
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if wrong := self._wrong(text):
            self.query_one(".hint", Static).update(Content.styled(printable(wrong), Tone.BAD))
        else:
            self.dismiss(text)

    def action_cancel(self) -> None:
        self.dismiss(None)
