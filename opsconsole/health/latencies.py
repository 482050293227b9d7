"""Latencies of health endpoints out of what the collector has kept: one look alone has one answer of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from opsconsole.metrics import metrics_file
from opsconsole.model import Probe, Snapshot, SourceError
from opsconsole.sources.http import percentile

KEPT = timedelta(hours=1)
ENOUGH = 20
"""Answers of its own from which on a look needs no others."""


def with_kept(snapshot: Snapshot, directory: Path) -> Snapshot:
    """The Snapshot with percentiles over the last hour where it has few answers itself and more were kept.

    Blocks for some milliseconds. Never raises: what was not kept, or cannot be read, changes nothing.
    """
    if all(probe.requests >= ENOUGH for probe in snapshot.probes):
        return snapshot
    from opsconsole.metrics.reading import MetricsReader  # sqlite, which a console that only opens does not need

    since, until = snapshot.sampled_at - KEPT, snapshot.sampled_at
    try:
        courses = MetricsReader(metrics_file(directory)).courses(
            ["endpoint_latency_seconds"], since, until, steps=int(KEPT.total_seconds())
        )
    except SourceError:
        return snapshot
    kept = {
        course.series.label("endpoint"): sorted(point.mean for point in course.points if point is not None)
        for course in courses
    }
    probes = tuple(_with(probe, kept.get(probe.endpoint.name, ())) for probe in snapshot.probes)
    return msgspec.structs.replace(snapshot, probes=probes)


def _with(probe: Probe, times: Sequence[float]) -> Probe:
    if probe.requests >= ENOUGH or len(times) <= probe.requests:
        return probe
    return msgspec.structs.replace(
        probe,
        p50_seconds=percentile(times, 50),
        p95_seconds=percentile(times, 95),
        p99_seconds=percentile(times, 99),
        percentiles_over_seconds=KEPT.total_seconds(),
    )
