"""What was measured and what happened, kept in `.opsconsole/metrics.sqlite` beside the stack.

Whoever wants to remember (the collector, the alerts) opens a `MetricsStore`; whoever only wants to know (panes, the
incident's time line, scripts) opens a `MetricsReader`. Both may be used from any thread, block (never on the event
loop), and take every moment as a parameter: no clock is read here.

    with MetricsStore(metrics_file(directory)) as store:
        if store.take_lease(holder, now, seconds=30, rank=COLLECTOR):          # one writer at a time
            store.add_sample(now, [Value(name="host_cpu_percent", value=12.5)], spacing=10)
        store.add_events([Event(at=now, kind=EventKind.DIED, subject="backend", text="exit code 1")])
        memory = store.state("alerts", AlertMemory) or AlertMemory()
        with store.writing() as writing:                                       # all of it or none of it
            writing.set_state("alerts", memory, now)
            writing.add_events([Event(at=now, kind=EventKind.ALERT_FIRING, subject="cpu host", key="...")])

    reader = MetricsReader(metrics_file(directory))
    reader.courses(["host_cpu_percent"], since, until, steps=300)  # for charts: low, mean, high, count; None for a gap
    reader.events(since, until, kinds=[EventKind.DIED, EventKind.OOM])         # oldest first
    reader.latest("mongodb_connections", since)                                # newest value of each series
    reader.state("alerts", AlertMemory)

- **Samples** are numbers of a *series* (a name and labels). One slot of `spacing` seconds is stored once, whoever
  writes it. They are kept raw for 48 hours, as minutes (lowest, mean, highest, count) for 30 days and as hours for 13
  months. A course is put together from the three without a seam.
- **Events** have a kind, a subject, one line of text and facts; one with a `key` is stored once, whoever saw it.
- **State** is any msgspec struct under a name: what the alerts must know after a restart.
- Text that came from outside is stored as it came, without secrets: who shows it passes it through `opsconsole.text`.

When something goes wrong: a full disk raises `NotStored` and changes nothing; a file that is no database any more is
put aside (`notices` says so) and a new one begins; a file of a newer opsconsole is refused with a SourceError. Killed
at any moment, the next one finds all of a transaction or none of it.
"""

from opsconsole.metrics.reading import MetricsReader
from opsconsole.metrics.records import (
    COLLECTOR,
    CONSOLE,
    Course,
    Event,
    EventKind,
    Latest,
    Lease,
    NotStored,
    Point,
    Series,
    Stored,
    Value,
)
from opsconsole.metrics.store import MetricsStore, Writing, metrics_file

__all__ = [
    "COLLECTOR",
    "CONSOLE",
    "Course",
    "Event",
    "EventKind",
    "Latest",
    "Lease",
    "MetricsReader",
    "MetricsStore",
    "NotStored",
    "Point",
    "Series",
    "Stored",
    "Value",
    "Writing",
    "metrics_file",
]
