"""What every pane is: a full-size view of one part of the Snapshot.

A pane composes itself in `body()`, shows a Snapshot in `show()` and declares its keys in `actions`; the
shell does the rest. While a pane is not visible, `show` is not called and it must cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widget import Widget

from opsconsole.model import Snapshot, SourceState
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.widgets.painting import Hollow
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.widgets.source_banner import source_lines
from opsconsole.ui.wording import Glyphs

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp


class Pane(Vertical, Hollow, can_focus=True):
    """Base of the panes. Subclasses set the ClassVars and define `body` and `show`."""

    DEFAULT_CSS = """
    Pane { width: 1fr; height: 1fr; }
    Pane > .source-lines { height: auto; padding: 0 1; }
    """

    pane_id: ClassVar[str] = ""  # "containers"
    title: ClassVar[str] = ""  # "Containers"
    letter: ClassVar[str] = ""  # the key that goes here
    topics: ClassVar[frozenset[str]] = frozenset()
    """Sources that are sampled fast while this pane is visible: usage, host, databases, volumes, backups,
    probes, stack; and "processes", the list of which is part of host."""
    sources: ClassVar[tuple[str, ...]] = ("engine",)
    """Readings this pane stands on (keys of `Snapshot.readings`): when one of them fails, a line at the top of
    the pane says what, why and how old the data is. The shell does this."""
    actions: ClassVar[tuple[Action, ...]] = ()
    """The keys of this pane; each runs `action_<run>` of the pane. They become its bindings, its footer, its
    part of the help and of the palette. `check_action` says which of them can be done now (False hides)."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "actions" in cls.__dict__:
            cls.BINDINGS = cast(Any, bindings(cls.actions))
        super().__init_subclass__(**kwargs)

    def __init__(self) -> None:
        super().__init__(id=f"pane-{self.pane_id}")
        self._shown_in = Size(0, 0)

    # --- for subclasses ----------------------------------------------------------------------------

    def body(self) -> Iterable[Widget]:
        """The widgets of the pane."""
        return ()

    def show(self, snapshot: Snapshot) -> None:
        """A new Snapshot, or the pane has become visible. Called only while it is visible."""

    def entered(self) -> None:
        """The pane has become visible; `show` follows."""

    def left(self) -> None:
        """The pane is no longer visible: stop streams and timers."""

    def back(self) -> bool:
        """Esc: undo one thing (a filter, marks). False when there was nothing to undo."""
        return any(table.back() for table in self.query(RowTable))

    def take_focus(self) -> None:
        """Focus what the operator will want to move in: the first table, or else the first that can be focused."""
        for widget in (*self.query(RowTable), *self.query("*")):
            if isinstance(widget, RowTable) or (widget.focusable and widget.display):
                widget.focus()
                return
        self.focus()

    # --- given -------------------------------------------------------------------------------------

    @property
    def console_app(self) -> ConsoleApp:
        """The app, with `sources`, `snapshot`, `read_only`, `glyphs`, `report(text, tone)`."""
        return cast("ConsoleApp", self.app)

    @property
    def glyphs(self) -> Glyphs:
        return self.console_app.glyphs

    @property
    def room(self) -> Size:
        """The size of the pane, also while it is hidden or new and has none yet: it fills the body."""
        return self.size or self.console_app.body.size

    def show_if_resized(self) -> None:
        """For `on_resize`: show the Snapshot again, but not when the pane only came back as large as it was."""
        if self.display and self.room != self._shown_in:
            self.console_app.show_pane()

    def compose(self) -> ComposeResult:
        yield Sheet(classes="source-lines")
        yield from self.body()

    def receive(self, snapshot: Snapshot) -> None:
        """Called by the shell: says which source fails, then shows the Snapshot."""
        failed = [snapshot.readings[name] for name in self.sources if name in snapshot.readings]
        failed = [reading for reading in failed if reading.state is SourceState.FAILED]
        lines = self.query_one(".source-lines", Sheet)
        lines.paint(lambda width: source_lines(failed, snapshot.sampled_at, width, self.glyphs))
        lines.display = bool(failed)
        self._shown_in = self.room
        self.show(snapshot)
