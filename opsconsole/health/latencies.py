"""Latencies and errors of health endpoints out of what the collector kept: one look alone has one answer of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from opsconsole.metrics import Course, metrics_file
from opsconsole.model import Probe, Snapshot, SourceError
from opsconsole.sources.http import percentile

KEPT, LATELY = timedelta(hours=1), timedelta(minutes=5)
ENOUGH = 20
"""Answers of its own from which on a look needs no others."""


def with_kept(snapshot: Snapshot, directory: Path) -> Snapshot:
    """The Snapshot with percentiles over the last hour, and errors and average of the last five minutes, where it has
    few answers itself and more were kept.

    Blocks for some milliseconds. Never raises: what was not kept, or cannot be read, changes nothing.
    """
    if all(probe.requests >= ENOUGH for probe in snapshot.probes):
        return snapshot
    from opsconsole.metrics.reading import MetricsReader  # sqlite, which a console that only opens does not need

    since, until = snapshot.sampled_at - KEPT, snapshot.sampled_at
    try:
        courses = MetricsReader(metrics_file(directory)).courses(
            ["endpoint_latency_seconds", "endpoint_up"], since, until, steps=int(KEPT.total_seconds())
        )
    except SourceError:
        return snapshot
    kept = {(course.series.name, course.series.label("endpoint")): course for course in courses}

    def values(name: str, probe: Probe, over: timedelta) -> list[float]:
        course = kept.get((name, probe.endpoint.name))
        return _values(course, until - over) if course is not None else []

    probes = []
    for probe in snapshot.probes:
        if probe.requests < ENOUGH:
            probe = _with_latencies(probe, values("endpoint_latency_seconds", probe, KEPT))
            up = values("endpoint_up", probe, LATELY)
            probe = _with_errors(probe, up, values("endpoint_latency_seconds", probe, LATELY))
        probes.append(probe)
    return msgspec.structs.replace(snapshot, probes=tuple(probes))


def _values(course: Course, since: datetime) -> list[float]:
    first = (since - course.begins) // timedelta(seconds=course.step_seconds)
    return [point.mean for point in course.points[max(0, first) :] if point is not None]


def _with_errors(probe: Probe, up: Sequence[float], times: Sequence[float]) -> Probe:
    """Each sample counts for one answer, and this look's own for another."""
    if len(up) <= probe.requests:
        return probe
    own = [probe.latency_seconds] if probe.latency_seconds is not None else []
    spent = [*times, *own]
    return msgspec.structs.replace(
        probe,
        requests=len(up) + probe.requests,
        errors=sum(value < 1 for value in up) + probe.errors,
        average_seconds=sum(spent) / len(spent) if spent else None,
    )


def _with_latencies(probe: Probe, times: list[float]) -> Probe:
    if len(times) <= probe.requests:
        return probe
    times.sort()
    return msgspec.structs.replace(
        probe,
        p50_seconds=percentile(times, 50),
        p95_seconds=percentile(times, 95),
        p99_seconds=percentile(times, 99),
        percentiles_over_seconds=KEPT.total_seconds(),
    )
