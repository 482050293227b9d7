"""The console keeps metrics while it is open, where no collector does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsconsole.monitor import Monitor

EVERY = 10
"""Seconds from one sample to the next."""

_AFTER = 5.0  # seconds: the screen comes first
_STOP_SECONDS = 2.0


@contextlib.contextmanager
def recording(monitor: Monitor, directory: Path, *, wanted: bool = True) -> Iterator[None]:
    """Store what the monitor sees as long as this lasts, on a thread of its own; nothing when it is not wanted."""
    stop = threading.Event()

    def work() -> None:
        if stop.wait(_AFTER):
            return
        from opsconsole.alert_keeping import KeptAlerts
        from opsconsole.collecting.recording import Recording
        from opsconsole.metrics import CONSOLE, MetricsStore, metrics_file

        store = MetricsStore(metrics_file(directory))
        watchers = (monitor.alerts.keep,) if isinstance(monitor.alerts, KeptAlerts) else ()
        Recording(monitor, store, directory=directory, every=EVERY, rank=CONSOLE, watchers=watchers).run(stop)

    thread = threading.Thread(target=work, name="recording", daemon=True)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if wanted:
            thread.join(_STOP_SECONDS)
