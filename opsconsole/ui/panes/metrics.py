"""What the host and the stack use, what it was before, and which alerts that raises."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.containers import Container as Box
from textual.widget import Widget

from opsconsole.model import Snapshot, SourceState
from opsconsole.ui.panes import host_lines, stack_lines
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Painter, Sheet

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
    MetricsPane Sheet.section { margin-bottom: 1; }
    MetricsPane .metrics-columns, MetricsPane .metrics-left { height: auto; width: 1fr; layout: vertical; }
    MetricsPane .metrics-column { height: auto; width: 1fr; }
    MetricsPane.-two .metrics-columns, MetricsPane.-three .metrics-columns { layout: horizontal; }
    MetricsPane.-two .metrics-last { margin-left: 3; }
    MetricsPane.-three .metrics-left { width: 2fr; layout: horizontal; }
    MetricsPane.-three .metrics-column { margin-right: 3; }
    MetricsPane.-three .metrics-last { margin-right: 0; }
    """

    pane_id = "metrics"
    title = "Metrics"
    letter = "m"
    topics = frozenset({"host", "processes", "usage", "probes", "access"})
    sources = ("host", "usage", "probes")

    def __init__(self) -> None:
        super().__init__()
        self._alerts = Sheet(classes="section")
        self._sections = {name: Sheet(classes="section") for column in SECTIONS for name in column}

    def body(self) -> Iterable[Widget]:
        *others, last = (
            Box(*(self._sections[name] for name in column), classes="metrics-column") for column in SECTIONS
        )
        last.add_class("metrics-last")
        yield Scrolled(self._alerts, Box(Box(*others, classes="metrics-left"), last, classes="metrics-columns"))

    def on_resize(self, event: events.Resize) -> None:
        self._stand_beside(event.size.width)

    def _stand_beside(self, width: int) -> None:
        """As many columns as there is room for."""
        self.set_class(TWO_COLUMNS <= width < THREE_COLUMNS, "-two")
        self.set_class(width >= THREE_COLUMNS, "-three")

    def show(self, snapshot: Snapshot) -> None:
        # On a busy machine the first size has been seen to come while the pane was still hidden, and no other after it.
        # A hidden pane has none: to go by that would style every section twice each time the pane is shown.
        if self.size.width:
            self._stand_beside(self.size.width)
        now, glyphs, tall = snapshot.sampled_at, self.glyphs, self.size.height >= TALL
        measured = snapshot.host is not None
        self._alerts.paint(lambda width: stack_lines.alerts(snapshot.alerts, now, width, glyphs, measured=measured))
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
        for name, painter in painters.items():
            self._sections[name].paint(painter)
        self._sections["access"].display = bool(snapshot.access)
