"""Writing what is shown to a new file: the question where to, and the writing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from opsconsole.log_saving import saved_line
from opsconsole.model import LogLine
from opsconsole.ui.keys import Action, bindings

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

ACTIONS = (Action("cancel", ("escape", "ctrl+c"), "cancel", "Write nothing.", palette=False),)


def default_path(stack: str, now: datetime) -> str:
    """`./logs-<stack>-<UTC time>.log`."""
    name = re.sub(r"[^\w.-]+", "_", stack).strip("._") or "stack"
    return f"./logs-{name[:60]}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.log"


def write_lines(path: str, lines: Iterable[LogLine]) -> tuple[int, str]:
    """Write lines of a log (UTC time, service, text) to a new file: see `write_pieces`."""
    return write_pieces(path, map(saved_line, lines))


def write_pieces(path: str, pieces: Iterable[str]) -> tuple[int, str]:
    """Write pieces of text to a new file that only this user can read.

    How many pieces, and what went wrong in one sentence ("" when all is written). Never overwrites anything; what
    could not be written whole is removed again.
    """
    where = Path(path).expanduser()
    try:
        handle = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return 0, f"{path} exists and was left as it is; choose another name."
    except (OSError, ValueError) as error:
        return 0, f"{path} could not be created: {getattr(error, 'strerror', None) or error}."
    count = 0
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            for piece in pieces:
                file.write(piece)
                count += 1
    except OSError as error:
        where.unlink(missing_ok=True)
        return 0, f"{path} could not be written: {error.strerror or error}; the unfinished file was removed."
    return count, ""


class SaveScreen(ModalScreen[str | None]):
    """Asks for a path. None: not wanted."""

    actions: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS = cast(Any, bindings(ACTIONS))
    DEFAULT_CSS = """
    SaveScreen { align: center middle; background: $background 60%; }
    SaveScreen > .dialog { width: 76; max-width: 96%; }
    SaveScreen Input { border: none; height: 1; padding: 0; background: $panel; }
    SaveScreen Static { width: 1fr; margin-bottom: 1; }
    SaveScreen .hint { color: $foreground-muted; margin: 1 0 0 0; }
    SaveScreen.-ascii .dialog { border: ascii $border; }
    """

    def __init__(self, title: str, what: str, path: str) -> None:
        """`what` says in a clause what is written: `12 lines as they are shown`."""
        super().__init__()
        self._title = title
        self._what = what
        self._path = path

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(Content(f"{self._what}, to a new file:"), markup=False)
            yield Input(self._path, compact=True)
            yield Static(Content("Enter saves, Esc does not. Nothing is overwritten."), classes="hint", markup=False)

    def on_mount(self) -> None:
        self.set_class(cast("ConsoleApp", self.app).glyphs.ascii, "-ascii")
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_cancel(self) -> None:
        self.dismiss(None)
