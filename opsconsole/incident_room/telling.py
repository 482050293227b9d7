"""Tells everybody of `[notify]` that an incident was declared, got another priority or was closed: once, by whoever did
it. What came of it stands in the record. Where whoever did it was cut off before that, a collector or a console makes
up for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsconsole import notifying
from opsconsole.config import Config
from opsconsole.durable import open_private
from opsconsole.incident.course import Incident
from opsconsole.incident.priority import words
from opsconsole.incident_room import records
from opsconsole.model import SourceError
from opsconsole.notifying import Event

_MOST_RED = 3
_TURN = timedelta(seconds=30)
"""Whoever did it tells it; so long after it nobody has, somebody else does. One who is at it is left alone."""

_STALE = timedelta(hours=1)
_LOOKED_AT = 3  # of the newest incidents
_LOCK = "telling.lock"

_SAID = {
    Event.INCIDENT_DECLARED: "is open",
    Event.INCIDENT_PRIORITY: "has another priority",
    Event.INCIDENT_CLOSED: "is closed",
}


def tell(directory: Path, config: Config, stack: str, incident: Incident, event: Event) -> str:
    """Who was told and who not, in a sentence; "" where nobody is to be. Takes as long as the ways do."""
    with its_turn(directory, incident.name, waits=True):
        return _tell(directory, config, stack, incident, event)


class MakingUp:
    """Tells what nobody has told: for whoever looks again and again."""

    def __init__(self, directory: Path, stack: str, config: Callable[[], Config]) -> None:
        self._directory = directory
        self._stack = stack
        self._config = config
        self._done: set[tuple[str, int]] = set()  # a record that takes no line (a full disk) is no reason to tell again

    def look(self, now: datetime) -> str:
        """Who was told now, in a sentence; mostly "". Takes as long as the ways do. Raises SourceError."""
        said = []
        for incident in records.all_incidents(self._directory, newest=_LOOKED_AT):
            if untold(incident, now) is None:
                continue
            with its_turn(self._directory, incident.name, waits=False) as ours:
                again = records.read(self._directory, incident.name)
                event, step = untold(again, now), (again.name, len(again.entries))
                if ours and event is not None and step not in self._done:
                    self._done.add(step)
                    if text := _tell(self._directory, self._config(), self._stack, again, event):
                        said.append(f"Nobody had heard that {again.name} {_SAID[event]}. {text}")
        return " ".join(said)


def untold(incident: Incident, now: datetime) -> Event | None:
    """What nobody was told of it though it is time, by its record."""
    last, event, priority = None, None, None
    for one in incident.entries:
        if one.event == "told":
            last = None
        elif one.event == "declare":
            last, event = one, Event.INCIDENT_DECLARED
        elif one.event == "priority" and one.priority is not priority:
            last, event = one, Event.INCIDENT_PRIORITY
        elif one.event == "close":
            last, event = one, Event.INCIDENT_CLOSED
        priority = one.priority or priority
    return event if last is not None and _TURN <= now - last.at <= _STALE else None


@contextlib.contextmanager
def its_turn(directory: Path, name: str, *, waits: bool) -> Iterator[bool]:
    """While this lasts nobody else tells of that incident. The kernel frees it however it ends. False: another does."""
    try:
        fd = open_private(records.place(directory, name) / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError:
        yield waits  # a full disk keeps nobody from being told by whoever did it
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


def _tell(directory: Path, config: Config, stack: str, incident: Incident, event: Event) -> str:
    ways = notifying.ways(config.notify)
    if not ways or not config.notify.incidents:
        return ""
    problems = notifying.send_by(ways, message(directory, stack, incident, event), config, directory)
    told = [way for way in ways if way not in problems]
    said = [f"told by {', '.join(told)}"] if told else []
    said += [f"NOT told by {way}: {problem}" for way, problem in problems.items()]
    text = "; ".join(said)
    try:
        records.append(directory, incident.name, "told", "", text=text)
    except SourceError as error:
        text += f"; not in the record: {error.problem}"
    return f"{text[0].upper()}{text[1:]}."


def message(directory: Path, stack: str, incident: Incident, event: Event) -> notifying.Message:
    """What they are told."""
    last = next((one for one in reversed(incident.entries) if one.event in ("declare", "priority", "close")),
                incident.entries[-1])  # fmt: skip
    red = "; ".join(last.symptoms[:_MOST_RED])
    about = f"{incident.priority} incident {incident.name}"
    if event is Event.INCIDENT_CLOSED:
        problem, hint = incident.resolution, f"Still red: {red}" if red else ""
    else:
        problem, hint = f"{words(incident.priority)}. {red}", f"Declared by {incident.declared_by}"
    return notifying.message(
        event,
        f"{about} {_SAID[event]}: {incident.title}",
        problem=problem,
        hint=hint,
        stack=stack,
        directory=str(directory),
        host=socket.gethostname(),
        at=datetime.now(UTC),
        rule="incident",
        subject=incident.name,
        severity="critical" if incident.priority in ("P1", "P2") else "warning",
    )
