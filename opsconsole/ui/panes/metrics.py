"""What the host and the stack use, what it was before, and which alerts that raises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import events
from textual.widget import Widget

from opsconsole.model import Snapshot, SourceState
from opsconsole.ui.panes import host_lines, stack_lines
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Painter, Sheet
from opsconsole.ui.widgets.side_by_side import SideBySide

TWO_COLUMNS, THREE_COLUMNS = 110, 170  # cells
TALL = 45  # lines: room for higher charts
SECTIONS = (
    ("cpu", "memory", "disks"),
    ("throughput", "processes"),
    ("probes", "access", "containers"),
)
"""Which sections stand under each other. Three columns on broad screens; on wide ones the first two follow each
other, on narrow ones all three do."""


class MetricsPane(Pane):
    DEFAULT_CSS = """
    MetricsPane > Scrolled { height: 1fr; padding: 0 1; }
    """

    pane_id = "metrics"
    title = "Metrics"
    letter = "m"
    topics = frozenset({"host", "processes", "usage", "probes", "access"})
    sources = ("host", "usage", "probes")

    def __init__(self) -> None:
        super().__init__()
        self._alerts = Sheet()
        self._sections = SideBySide(3, gap=3)

    def body(self) -> Iterable[Widget]:
        yield Scrolled(self._alerts, self._sections)

    def on_resize(self, event: events.Resize) -> None:
        self.show_if_resized()

    def show(self, snapshot: Snapshot) -> None:
        room = self.room
        now, glyphs, tall = snapshot.sampled_at, self.glyphs, room.height >= TALL
        measured = snapshot.host is not None
        self._alerts.paint(
            lambda width: stack_lines.alerts(snapshot.alerts, now, width, glyphs, measured=measured), gap=1
        )
        reading = snapshot.readings.get("probes")
        asked = reading is not None and reading.state is not SourceState.WAITING
        host, history = snapshot.host, snapshot.history
        painters: dict[str, Painter] = {
            "cpu": lambda width: host_lines.cpu(host, history, width, glyphs, tall=tall),
            "memory": lambda width: host_lines.memory(host, history, width, glyphs, tall=tall),
            "disks": lambda width: host_lines.disks(host, width, glyphs),
            "throughput": lambda width: host_lines.throughput(host, history, width, glyphs),
            "processes": lambda width: host_lines.processes(host, width, glyphs),
            "containers": lambda width: stack_lines.containers(snapshot.containers, history, width, glyphs),
            "probes": lambda width: stack_lines.probes(snapshot.probes, history, now, width, glyphs, asked=asked),
            "access": lambda width: stack_lines.access(snapshot.access, width, glyphs),
        }
        if not snapshot.access:
            del painters["access"]
        columns = [[painters[name] for name in names if name in painters] for names in _columns(room.width)]
        self._sections.paint(columns, gap=1)


def _columns(width: int) -> Sequence[Sequence[str]]:
    """The names of the sections that stand under each other, in as many columns as there is room for."""
    first, second, third = SECTIONS
    if width < TWO_COLUMNS:
        return ((*first, *second, *third),)
    return ((*first, *second), third) if width < THREE_COLUMNS else SECTIONS
