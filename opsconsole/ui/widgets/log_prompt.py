"""The line in which a filter or a search for the log is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from opsconsole.text import printable
from opsconsole.ui.keys import WHILE_TYPING, Action

FILTER, SEARCH = "filter", "search"


class PromptInput(Input):
    actions: ClassVar[tuple[Action, ...]] = WHILE_TYPING
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "drop", "Drop")]

    class Dropped(Message):
        """Esc: what was typed is not wanted."""

    def action_drop(self) -> None:
        self.post_message(self.Dropped())


class LogPrompt(Horizontal):
    DEFAULT_CSS = """
    LogPrompt { height: 1; display: none; background: $panel; }
    LogPrompt.-open { display: block; }
    LogPrompt > .word { width: auto; padding: 0 1; color: $accent; text-style: bold; }
    LogPrompt > PromptInput { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    LogPrompt > PromptInput:focus { border: none; }
    LogPrompt > .note { width: auto; max-width: 60%; padding: 0 1; color: $foreground-muted; }
    """

    class Typed(Message):
        """The text is another one now. `kind` is FILTER or SEARCH; `done` when Enter was pressed."""

        def __init__(self, kind: str, text: str, *, done: bool) -> None:
            super().__init__()
            self.kind = kind
            self.text = text
            self.done = done

    class Dropped(Message):
        """Esc: as it was before."""

        def __init__(self, kind: str, before: str) -> None:
            super().__init__()
            self.kind = kind
            self.before = before

    def __init__(self) -> None:
        super().__init__()
        self.kind = FILTER
        self._before = ""

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    def open(self, kind: str, text: str) -> None:
        self.kind, self._before = kind, text
        if not self.children:  # now, and not with the pane: a field costs as much as all else of it
            word, note = (Static("", classes=name, markup=False) for name in ("word", "note"))
            self.mount(word, PromptInput(compact=True), note)
        self.query_one(".word", Static).update(kind)
        self.say("regex, ! in front hides" if kind == FILTER else "regex")
        field = self.query_one(PromptInput)
        with field.prevent(Input.Changed):
            field.value = text
        field.cursor_position = len(text)
        self.add_class("-open")
        field.focus()

    def shut(self) -> None:
        self.remove_class("-open")

    def say(self, note: str) -> None:
        """A word behind the field: how the text is understood."""
        self.query_one(".note", Static).update(printable(note))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_open:
            self.post_message(self.Typed(self.kind, event.value, done=False))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.shut()
        self.post_message(self.Typed(self.kind, event.value, done=True))

    def on_prompt_input_dropped(self, event: PromptInput.Dropped) -> None:
        event.stop()
        self.shut()
        self.post_message(self.Dropped(self.kind, self._before))
