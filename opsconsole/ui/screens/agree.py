"""The last question before a plan runs: `y`, or the names of what would be lost, typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from opsconsole.text import printable
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.screens.confirm import ACTIONS, ConfirmScreen
from opsconsole.ui.wording import Tone

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp


class AgreeScreen(ConfirmScreen):
    """As every question, and `y` says yes: for what has been read as a plan, or must be quick."""

    actions = (*ACTIONS, Action("agree", ("y",), "yes", "Do it.", footer=1, palette=False))
    BINDINGS = cast(Any, bindings(actions, priority=True))
    hint = "y yes  Tab other  Esc cancel"

    def action_agree(self) -> None:
        self.dismiss(True)


TYPING = (Action("cancel", ("escape", "ctrl+c"), "cancel", "Change nothing.", footer=2, palette=False),)


class ToType(NamedTuple):
    """A name that is typed, and what is agreed to by it in a sentence."""

    name: str
    becomes: str
    ask: str = "Type its name to agree"


class TypeNamesScreen(ModalScreen[bool]):
    """True only when every name was typed as it is: data that no backup holds is not agreed to by a habit."""

    actions: ClassVar[tuple[Action, ...]] = TYPING
    BINDINGS = cast(Any, bindings(TYPING, priority=True))
    DEFAULT_CSS = """
    TypeNamesScreen { align: center middle; background: $background 60%; }
    TypeNamesScreen > .dialog { width: 76; max-width: 96%; }
    TypeNamesScreen .said { height: auto; max-height: 25vh; width: 1fr; }
    TypeNamesScreen .said Static { height: auto; width: 1fr; }
    TypeNamesScreen .wanted { width: 1fr; height: auto; max-height: 25vh; margin-top: 1; }
    TypeNamesScreen .ask { width: 1fr; height: 1; }
    TypeNamesScreen Input { border: none; height: 1; padding: 0; background: $panel; }
    TypeNamesScreen .hint { width: 1fr; height: auto; margin-top: 1; color: $foreground-muted; }
    TypeNamesScreen.-flat .wanted, TypeNamesScreen.-flat .hint { margin-top: 0; }
    TypeNamesScreen.-ascii .dialog { border: ascii $border; }
    """

    def __init__(self, question: str, said: Sequence[Content], names: Sequence[ToType]) -> None:
        super().__init__()
        self._question = question
        self._said = tuple(said)
        self._names = tuple(names)
        self._at = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(printable(self._question))
            with VerticalScroll(classes="said", can_focus=False):
                for line in self._said:
                    yield Static(line, markup=False)
            yield Static(classes="wanted", markup=False)
            yield Static(classes="ask", markup=False)  # the field and this line are seen, whatever stands above
            yield Input(compact=True)
            yield Static(classes="hint", markup=False)

    def on_mount(self) -> None:
        self.set_class(cast("ConsoleApp", self.app).glyphs.ascii, "-ascii")
        self._ask("")
        self.query_one(Input).focus()

    def _ask(self, wrong: str) -> None:
        wanted = self._names[self._at]
        of = f" ({self._at + 1} of {len(self._names)})" if len(self._names) > 1 else ""
        self.query_one(".wanted", Static).update(Content.styled(printable(f"{wanted.becomes}."), Tone.BAD))
        self.query_one(".ask", Static).update(Content(printable(f"{wanted.ask}{of}:")))
        said = Content.styled(wrong, Tone.BAD) if wrong else Content("Enter takes what is typed. Esc changes nothing.")
        self.query_one(".hint", Static).update(said)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip() != self._names[self._at].name:
            self._ask("That is not its name. Nothing was done. Esc leaves." if event.value.strip() else "")
            return
        self._at += 1
        if self._at == len(self._names):
            self.dismiss(True)
            return
        self.query_one(Input).value = ""
        self._ask("")

    def action_cancel(self) -> None:
        self.dismiss(False)
