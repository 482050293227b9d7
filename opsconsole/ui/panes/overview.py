"""The overview: is all well, and if not, what needs attention first; then everything in short.

One column on a narrow terminal, two from 76 cells on, three from 150. The panels are sheets of lines; how
many services and concerns they list follows the room there is, so that one screen shows the whole stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual import events
from textual.content import Content
from textual.widget import Widget

from opsconsole.model import Snapshot
from opsconsole.ui.keys import Action
from opsconsole.ui.panes import overview_data_lines as data
from opsconsole.ui.panes import overview_lines as panels
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.overview_frame import Frame
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Painter, Sheet
from opsconsole.ui.widgets.side_by_side import SideBySide

Panel = Callable[[Frame], list[Content]]
TWO_COLUMNS, THREE_COLUMNS = 76, 150
SHORT = 30  # lines of the terminal: on fewer no blank line stands between the panels


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
    """

    def __init__(self) -> None:
        super().__init__()
        self.attention = Sheet()
        self.panels = SideBySide(3)

    def body(self) -> Iterable[Widget]:
        yield Scrolled(self.attention, self.panels)

    def show(self, snapshot: Snapshot) -> None:
        glyphs, room = self.glyphs, self.room
        gap = 0 if self.app.size.height < SHORT else 1
        most = max(4, room.height // 3)  # a third of the screen, so that what is well is seen too
        self.attention.paint(lambda width: panels.attention(Frame(snapshot, width, glyphs), most), gap=gap)

        def services(frame: Frame) -> list[Content]:
            used = self.attention.line_count - gap  # it stands above, so it is laid out first
            return panels.services(frame, max(6, room.height - max(used, 1) - 4))

        def host(frame: Frame) -> list[Content]:
            # Charts only where everything else has its room too.
            return panels.host(frame, chart_rows=4 if room.height >= 45 else 0)

        def painter(panel: Panel) -> Painter:
            return lambda width: panel(Frame(snapshot, width, glyphs))

        self.panels.paint([[painter(panel) for panel in group] for group in _groups(room.width, services, host)], gap)

    def action_attention(self) -> None:
        from opsconsole.ui.screens.attention import AttentionScreen

        self.app.push_screen(AttentionScreen())

    def on_resize(self, event: events.Resize) -> None:
        self.show_if_resized()


def _groups(width: int, services: Panel, host: Panel) -> Sequence[Sequence[Panel]]:
    """The panels in as many columns as the width gives."""
    rest: tuple[Panel, ...] = (data.databases, data.backups, data.volumes, data.probes)
    if width < TWO_COLUMNS:
        return ((services, host, *rest),)
    if width < THREE_COLUMNS:
        return ((services,), (host, *rest))
    return ((services,), (host, data.databases), (data.backups, data.volumes, data.probes))
