"""The overview: is all well, and if not, what needs attention first; then everything in short.

One column on a narrow terminal, two from 76 cells on, three from 150. The panels are sheets of lines; how
many services and concerns they list follows the room there is, so that one screen shows the whole stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual import events
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget

from opsconsole.model import Snapshot
from opsconsole.ui.keys import Action
from opsconsole.ui.panes import overview_data_lines as data
from opsconsole.ui.panes import overview_lines as panels
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.overview_frame import Frame
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Sheet

Panel = Callable[[Frame], list[Content]]
TWO_COLUMNS, THREE_COLUMNS = 76, 150


class OverviewPane(Pane):
    pane_id = "overview"
    title = "Overview"
    letter = "o"
    topics = frozenset({"usage", "host", "databases", "probes"})
    actions = (
        Action(
            "attention", ("enter", "i"), "attention", "Show all that needs attention, in whole sentences.", footer=10
        ),
    )
    sources = ()  # what fails stands among the things that need attention
    DEFAULT_CSS = """
    OverviewPane Scrolled { height: 1fr; padding: 0 1; }
    OverviewPane .columns { height: auto; margin-top: 1; }
    OverviewPane .column { width: 1fr; height: auto; margin-right: 2; }
    OverviewPane .column.-last { margin-right: 0; }
    OverviewPane .column Sheet { margin-bottom: 1; }
    ConsoleScreen.-short OverviewPane, ConsoleScreen.-flat OverviewPane {
        .columns { margin-top: 0; }
        .column Sheet { margin-bottom: 0; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._columns = 0
        self.attention = Sheet()
        self.columns = Horizontal(classes="columns")

    def body(self) -> Iterable[Widget]:
        yield Scrolled(self.attention, self.columns)

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._arrange()
        most = self._most_concerns()
        self.attention.paint(lambda width: panels.attention(Frame(snapshot, width, self.glyphs), most))
        for sheet in self.columns.query(PanelSheet):
            sheet.show(snapshot)

    def action_attention(self) -> None:
        from opsconsole.ui.screens.attention import AttentionScreen

        self.app.push_screen(AttentionScreen())

    def on_resize(self, event: events.Resize) -> None:
        if self.display:
            self.console_app.show_pane()

    def _most_concerns(self) -> int:
        """A third of the screen, so that what is well is seen too."""
        return max(4, self.size.height // 3)

    def _most_services(self) -> int:
        used = self.attention.size.height or 2
        return max(6, self.size.height - used - 4)

    def _arrange(self) -> None:
        """Put the panels into as many columns as the width gives. Only when that number changes."""
        width = self.size.width
        wanted = 1 if width < TWO_COLUMNS else 2 if width < THREE_COLUMNS else 3
        if wanted == self._columns:
            return
        self._columns = wanted
        self.columns.remove_children()
        groups = self._groups(wanted)
        self.columns.mount_all(
            Vertical(*map(PanelSheet, group), classes="column -last" if group is groups[-1] else "column")
            for group in groups
        )

    def _groups(self, columns: int) -> Sequence[Sequence[Panel]]:
        def services(frame: Frame) -> list[Content]:
            return panels.services(frame, self._most_services())

        def host(frame: Frame) -> list[Content]:
            # Charts only where everything else has its room too.
            return panels.host(frame, chart_rows=4 if self.size.height >= 45 else 0)

        rest: tuple[Panel, ...] = (data.databases, data.backups, data.volumes, data.probes)
        if columns == 1:
            return ((services, host, *rest),)
        if columns == 2:
            return ((services,), (host, *rest))
        return ((services,), (host, data.databases), (data.backups, data.volumes, data.probes))


class PanelSheet(Sheet):
    """One panel of the overview."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self._panel = panel

    def on_mount(self) -> None:
        pane = next(node for node in self.ancestors if isinstance(node, OverviewPane))
        if pane.console_app.snapshot is not None:
            self.show(pane.console_app.snapshot)

    def show(self, snapshot: Snapshot) -> None:
        glyphs = getattr(self.app, "glyphs")  # noqa: B009 - the app's type would be a circular import
        self.paint(lambda width: self._panel(Frame(snapshot, width, glyphs)))
