"""What happened to containers, read off one Snapshot after the other: ends with their exit codes, starts, checks that
began to fail. Pure.

The engine names the moment of the last start and the last end, so that each is counted once, whoever looks and
however often. An end that was followed by a start before anybody looked has no exit code here; `collect` hears of it
from the engine's events, and what both saw is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from opsconsole.model import Container, Record, Snapshot, SourceState

MOST = 500
"""So many are kept; a flood of them drops the oldest."""

_SAME = timedelta(seconds=2)
"""The engine's event and its record of the same end differ by less."""
_ONE_KILL = timedelta(seconds=1)


class Happening(Record, frozen=True):
    at: datetime
    kind: str  # "die", "oom", "start", "unhealthy"
    container: str  # its name
    service: str = ""
    exit_code: int | None = None  # of "die"; None when nobody saw it
    heard: bool = False  # from the engine's events, which tell of each; else seen in a Snapshot


class Sighting(Record, frozen=True):
    """How one container was when it was last looked at."""

    started_at: datetime | None = None
    finished_at: datetime | None = None
    unhealthy: bool = False
    oom: bool = False


class Happened(Record, frozen=True):
    """What is remembered. Starts empty; a new one comes back from every call."""

    sightings: dict[str, Sighting] = {}  # by id of the container
    events: tuple[Happening, ...] = ()  # oldest first


def remember(
    known: Happened, snapshot: Snapshot, now: datetime, keep_seconds: float, heard: Iterable[Happening] = ()
) -> Happened:
    """With what this Snapshot shows and what was `heard` from the engine; nothing older than `keep_seconds`."""
    if keep_seconds <= 0:
        return Happened()
    reading = snapshot.readings.get("engine")
    events = list(known.events)
    sightings = known.sightings
    if reading is None or reading.state is SourceState.OK:
        sightings = {}
        for container in snapshot.containers:
            before = known.sightings.get(container.id)
            sightings[container.id] = _sighting(container)
            for event in _seen(before, container, now):
                _add(events, event)
    for event in heard:
        _add(events, event)
    # A clock that was set back leaves events in the future: they count for nothing and go.
    kept = [event for event in events if -_SAME <= now - event.at <= timedelta(seconds=keep_seconds)]
    return Happened(sightings=sightings, events=tuple(sorted(kept, key=_order)[-MOST:]))


def _sighting(container: Container) -> Sighting:
    return Sighting(
        started_at=container.started_at,
        finished_at=container.finished_at,
        unhealthy=container.health == "unhealthy",
        oom=container.oom_killed,
    )


def _seen(before: Sighting | None, container: Container, now: datetime) -> Iterable[Happening]:
    def happened(kind: str, at: datetime, code: int | None = None) -> Happening:
        return Happening(at=at, kind=kind, container=container.name, service=container.service, exit_code=code)

    ended = container.finished_at
    over = container.state in ("exited", "dead", "restarting")
    if ended is not None and ended != (before.finished_at if before else None):
        # Of a container that runs again the engine tells no exit code any more.
        yield happened("die", ended, container.exit_code if over else None)
        if container.oom_killed and over:
            yield happened("oom", ended)
    elif container.oom_killed and before is not None and not before.oom:
        yield happened("oom", now)  # a process in it, while it goes on
    began = container.started_at
    if began is not None and not over and began != (before.started_at if before else None):
        yield happened("start", began)
    if container.health == "unhealthy" and before is not None and not before.unhealthy:
        yield happened("unhealthy", now)


def _add(events: list[Happening], event: Happening) -> None:
    """Once, however many saw it. What the engine told stands for what was seen of the same moment."""
    for place, known in enumerate(events):
        if (known.kind, known.container) != (event.kind, event.container):
            continue
        if known.heard == event.heard:
            # One kill for memory is told by the engine several times.
            if known.at == event.at or (event.kind == "oom" and abs(known.at - event.at) <= _ONE_KILL):
                return
        elif abs(known.at - event.at) <= _SAME:
            if event.heard:
                events[place] = event
            return
    events.append(event)


def _order(event: Happening) -> tuple[datetime, str, str]:
    return event.at, event.container, event.kind


def matching(
    events: Sequence[Happening], kind: str, exit_codes: Sequence[int], since: datetime
) -> dict[tuple[str, str], list[Happening]]:
    """Those of one kind since a moment, by service and container."""
    found: dict[tuple[str, str], list[Happening]] = {}
    for event in events:
        if event.kind == kind and event.at >= since and (not exit_codes or event.exit_code in exit_codes):
            found.setdefault((event.service, event.container), []).append(event)
    return found
