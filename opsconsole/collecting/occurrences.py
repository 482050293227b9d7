"""What happened, as events of the store: to containers, to endpoints, by operations. Pure, but for reading journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from opsconsole.metrics import Event, EventKind
from opsconsole.model import Container, Probe
from opsconsole.operations import past as the_past
from opsconsole.operations.past import Past
from opsconsole.sources.happenings import DIED, HEALTH, OOM, STARTED, Happening
from opsconsole.text import mask_text

_KINDS = {STARTED: EventKind.STARTED, DIED: EventKind.DIED, OOM: EventKind.OOM, HEALTH: EventKind.HEALTH}
_SAME_SECONDS = 5.0  # the event and what an inspect says differ by some milliseconds
_OLDEST_OPERATION = timedelta(days=2)


def container_events(happenings: Iterable[Happening], project: str) -> list[Event]:
    """Those of the stack's own containers; of all of them as long as its name is not known."""
    return [_container(one) for one in happenings if not project or one.project == project]


def unheard(containers: Sequence[Container], heard: Iterable[Happening], since: datetime) -> list[Happening]:
    """The last start and end of each container after `since` that are not among what was heard: the engine remembers
    256 events, and on a busy one these are minutes."""
    known = {(one.container_id, one.what, round(one.at.timestamp() / _SAME_SECONDS)) for one in heard}
    found = []
    for container in containers:
        for what, at in ((DIED, container.finished_at), (STARTED, container.started_at)):
            if at is None or at <= since:
                continue
            step = round(at.timestamp() / _SAME_SECONDS)
            if known.isdisjoint((container.id, what, near) for near in (step - 1, step, step + 1)):
                found.append(
                    Happening(
                        at=at,
                        what=what,
                        container=container.name,
                        container_id=container.id,
                        service=container.service,
                        project=container.project,
                        image=container.image,
                        # One that runs again has another exit code to tell: that of now.
                        exit_code=container.exit_code if container.state == "exited" else None,
                        key=f"{what}:{container.id[:12]}:{at.isoformat()}",
                    )
                )
    return found


def _container(one: Happening) -> Event:
    facts = {"container": one.container}
    text = f"{one.container} started"
    if one.what == STARTED:
        facts["image"] = one.image
    elif one.what == DIED:
        facts["exit_code"] = "" if one.exit_code is None else str(one.exit_code)
        text = f"{one.container} ended" + (f" with exit code {one.exit_code}" if one.exit_code is not None else "")
    elif one.what == OOM:
        text = f"{one.container} ran out of memory: the kernel killed one of its processes"
    else:
        facts["health"] = one.health
        text = f"{one.container} is {one.health}"
    return Event(
        at=one.at,
        kind=_KINDS[one.what],
        subject=one.service or one.container,
        text=text,
        facts=facts,
        key=one.key,
    )


def probe_events(before: Mapping[str, bool], probes: Sequence[Probe]) -> tuple[list[Event], dict[str, bool]]:
    """Endpoints that began to fail or answer again since `before`, and what is known now."""
    known, events = dict(before), []
    for probe in probes:
        if probe.ok is None or probe.asked_at is None:
            continue
        name = probe.endpoint.name
        if known.get(name, True) is not probe.ok:
            said = mask_text(probe.problem) or (f"answers {probe.status}" if probe.status else "does not answer")
            events.append(
                Event(
                    at=probe.asked_at,
                    kind=EventKind.PROBE,
                    subject=name,
                    text=f"{name} answers again" if probe.ok else f"{name} fails: {said}",
                    facts={
                        "ok": "yes" if probe.ok else "no",
                        "status": "" if probe.status is None else str(probe.status),
                        "problem": "" if probe.ok else said,
                    },
                )
            )
        known[name] = probe.ok
    present = {probe.endpoint.name for probe in probes}
    return events, {name: ok for name, ok in known.items() if name in present}


class Operations:
    """The operations of a stack as events: read from their journals, each that has ended only once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, Past] = {}

    def events(self, now: datetime) -> list[Event]:
        """Of the last two days; the store keeps each once. Raises SourceError when they cannot be read."""
        found = the_past.past(self._directory, self._known)
        self._known = {one.operation: one for one in found}
        recent = (one for one in found if now - one.began < _OLDEST_OPERATION)
        return [event for one in recent for event in _operation(one)]


def _operation(one: Past) -> list[Event]:
    facts = {"operation": one.operation, "who": one.who.words() if one.who else ""}
    subject = one.operation.split("-", 1)[1].rsplit("-", 1)[0]  # its kind
    begun = Event(
        at=one.began,
        kind=EventKind.OPERATION_BEGAN,
        subject=subject,
        text=mask_text(one.title),
        facts=facts,
        key=f"began:{one.operation}",
    )
    if one.seconds is None:
        return [begun]
    said = f": {mask_text(one.problem)}" if one.problem else ""
    ended = Event(
        at=one.began + timedelta(seconds=one.seconds),
        kind=EventKind.OPERATION_ENDED,
        subject=subject,
        text=f"{mask_text(one.title)}: {one.result}{said}",
        facts={**facts, "result": one.result},
        key=f"ended:{one.operation}",
    )
    return [begun, ended]
