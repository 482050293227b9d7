"""The report of an incident, put together from its record, the journals of that time and a Snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from opsconsole.incident import report
from opsconsole.incident.course import Incident
from opsconsole.incident.evidence import gather
from opsconsole.incident_room.looking import began
from opsconsole.incident_room.room import Room
from opsconsole.metrics import MetricsReader, metrics_file
from opsconsole.model import Snapshot, SourceError
from opsconsole.operations import journal, plan, plan_text, unfinished
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Effect
from opsconsole.operations.report import lines_of

_MEASURES = {
    "host_cpu_percent": ("CPU %", 1.0),
    "host_memory_percent": ("memory %", 1.0),
    "endpoint_latency_seconds": ("ms", 1000.0),
    "endpoint_error_percent": ("errors %", 1.0),
    "mongodb_connections": ("connections", 1.0),
    "redis_memory_percent": ("memory %", 1.0),
}
_STEPS = 60
_CURVES = {"host.cpu": "CPU %", "host.memory": "memory %"}


def markdown(room: Room, incident: Incident, snapshot: Snapshot) -> str:
    """The whole report. Reads files. Raises SourceError when the operations cannot be read."""
    since = (incident.declared_at or snapshot.sampled_at) - report.BEFORE
    known = room.known(snapshot, since)
    places = list(actions(room.directory, incident))
    evidence = gather(snapshot, known, snapshot.sampled_at, snapshot.sampled_at - since)
    return report.markdown(
        incident,
        evidence,
        [_action(place) for place in places],
        collected(room.directory, since, incident.closed_at or snapshot.sampled_at) or curves(snapshot),
        [line for place in places for line in _lost(place)],
        [f"{one.operation} is half done: {one.advice()}" for one in unfinished.unfinished(room.directory)],
    )


def actions(directory: Path, incident: Incident) -> Iterator[Path]:
    """The operations that were begun from the incident, and those that ran while it was open; oldest first."""
    for place in existing_operations(directory):
        if place.name in incident.operations or _within(began(place.name), incident):
            yield place


def collected(directory: Path, since: datetime, until: datetime) -> Mapping[str, Sequence[float]]:
    """The same from what the collector has kept of that time; {} where nothing is collected."""
    try:
        found = MetricsReader(metrics_file(directory)).courses([*_MEASURES], since, until, steps=_STEPS)
    except SourceError:
        return {}
    curves = {}
    for course in found:
        words, factor = _MEASURES[course.series.name]
        values = [point.mean * factor for point in course.points if point is not None]
        if len(values) > 1:
            curves[" ".join([*(value for _, value in course.series.labels), words])] = values
    return curves


def curves(snapshot: Snapshot) -> Mapping[str, Sequence[float]]:
    """What a graph as text can be drawn of: the host, and how fast the endpoints answered (milliseconds)."""
    found: dict[str, Sequence[float]] = {
        words: values for name, words in _CURVES.items() if len(values := snapshot.history.get(name, ())) > 1
    }
    for name, values in snapshot.history.items():
        kind, _, endpoint = name.partition(".")
        if kind == "probe" and len(values) > 1:
            found[f"{endpoint} ms"] = [value * 1000 for value in values]
    return found


def _lost(place: Path) -> Iterator[str]:
    """What an operation that was not refused took away, as its plan said."""
    try:
        what = journal.read_plan(place)
    except SourceError:
        return
    if not any(record.event == "step" for record in journal.read(place)):
        return
    for one in what.data:
        if one.effect is Effect.LOST or one.left_behind:
            how = "lost" if one.effect is Effect.LOST else "left behind"
            yield f"{how} by {plan.title(what)}, as its plan said: {one.name}, {one.what}: {one.why}"


def _within(at: datetime, incident: Incident) -> bool:
    if incident.declared_at is None or at < incident.declared_at:
        return False
    return incident.closed_at is None or at <= incident.closed_at


def _action(place: Path) -> tuple[str, str]:
    records = journal.read(place)
    try:
        what = journal.read_plan(place)
    except SourceError as error:
        return place.name, str(error)
    course = "\n".join(line for record in records for line in lines_of(record))
    return f"{plan.title(what)} ({place.name})", f"{plan_text.as_text(what).rstrip()}\n\n{course}"
