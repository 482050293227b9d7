"""What the host and the stack use, which alerts that raises, and what it was over an hour, a day, a week."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from textual import events
from textual.widget import Widget

from opsconsole.model import Snapshot, SourceState
from opsconsole.ui.keys import Action
from opsconsole.ui.panes import host_lines, past_lines, stack_lines
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.past_metrics import RANGES, Past, kept_metrics, read_past
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
    actions = (
        Action("range(0)", ("0",), "range", "Show what is measured now, with alerts.", footer=10, shown="0 5-7"),
        Action("range(5)", ("5",), "1 hour", "Show the last hour as it was kept."),
        Action("range(6)", ("6",), "24 hours", "Show the last 24 hours as they were kept."),
        Action("range(7)", ("7",), "7 days", "Show the last 7 days as they were kept."),
    )

    def __init__(self) -> None:
        super().__init__()
        self._alerts = Sheet()
        self._sections = SideBySide(3, gap=3)
        self._range = 0
        self._past: Past | None = None
        self._reads = False

    def body(self) -> Iterable[Widget]:
        yield Scrolled(self._alerts, self._sections)

    def on_resize(self, event: events.Resize) -> None:
        self.show_if_resized()

    def show(self, snapshot: Snapshot) -> None:
        if self._range:
            self._show_past(snapshot)
        else:
            self._show_now(snapshot)

    def action_range(self, number: int) -> None:
        self._range, self._past = number, None
        if (snapshot := self.console_app.snapshot) is not None:
            self.show(snapshot)

    # --- what it is ------------------------------------------------------------------------------

    def _show_now(self, snapshot: Snapshot) -> None:
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
        self._paint(painters)

    # --- what it was -----------------------------------------------------------------------------

    def _show_past(self, snapshot: Snapshot) -> None:
        """Paint what was read; read it again, beside the loop, when a chart would be another by now."""
        past, now = self._past, snapshot.sampled_at
        if not self._reads and (past is None or not timedelta(0) <= now - past.until < past.stale_after):
            self._reads = True
            wanted, kept = RANGES[self._range], kept_metrics(self.console_app)
            self.console_app.aside(lambda: read_past(kept, wanted, now), self._have_read, "history")
        self._paint_past()

    def _have_read(self, past: Past) -> None:
        self._reads = False
        if past.range == RANGES.get(self._range):
            self._past = past
        if self._range and self.display and (snapshot := self.console_app.snapshot) is not None:
            self._show_past(snapshot)  # another range may have been chosen meanwhile: it is read now

    def _paint_past(self) -> None:
        past, glyphs, tall = self._past, self.glyphs, self.room.height >= TALL
        self._alerts.paint(lambda width: past_lines.head(past, width, glyphs), gap=1)
        self._paint(
            {
                "cpu": lambda width: past_lines.cpu(past, width, glyphs, tall=tall),
                "memory": lambda width: past_lines.memory(past, width, glyphs, tall=tall),
                "disks": lambda width: past_lines.disks(past, width, glyphs),
                "throughput": lambda width: past_lines.throughput(past, width, glyphs),
                "processes": lambda width: past_lines.databases(past, width, glyphs),
                "probes": lambda width: past_lines.endpoints(past, width, glyphs),
                "containers": lambda width: past_lines.containers(past, width, glyphs),
            }
        )

    def _paint(self, painters: dict[str, Painter]) -> None:
        room = self.room
        columns = [[painters[name] for name in names if name in painters] for names in _columns(room.width)]
        self._sections.paint(columns, gap=1)


def _columns(width: int) -> Sequence[Sequence[str]]:
    """The names of the sections that stand under each other, in as many columns as there is room for."""
    first, second, third = SECTIONS
    if width < TWO_COLUMNS:
        return ((*first, *second, *third),)
    return ((*first, *second), third) if width < THREE_COLUMNS else SECTIONS
