"""Tells everybody of `[notify]` that an incident was declared, got another priority or was closed: once, by whoever did
it. What came of it stands in the record."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

from opsconsole import notifying
from opsconsole.config import Config
from opsconsole.incident.course import Incident
from opsconsole.incident.priority import words
from opsconsole.incident_room import records
from opsconsole.model import SourceError
from opsconsole.notifying import Event

_MOST_RED = 3

_SAID = {
    Event.INCIDENT_DECLARED: "is open",
    Event.INCIDENT_PRIORITY: "has another priority",
    Event.INCIDENT_CLOSED: "is closed",
}


def tell(directory: Path, config: Config, stack: str, incident: Incident, event: Event) -> str:
    """Who was told and who not, in a sentence; "" where nobody is to be. Takes as long as the ways do."""
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
    last = incident.entries[-1]
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
