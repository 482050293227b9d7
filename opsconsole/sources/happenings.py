"""What happened to containers, as the engine tells it: starts, ends with exit codes, kills for memory, health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from opsconsole.model import Record
from opsconsole.sources import engine_parse as parse

STARTED, DIED, OOM, HEALTH = "start", "die", "oom", "health_status"
_NANOSECONDS = 1_000_000_000


class Happening(Record, frozen=True):
    """One event of a container. `what` is one of the four words above."""

    at: datetime
    what: str
    container: str  # name
    container_id: str
    service: str = ""
    project: str = ""
    image: str = ""
    exit_code: int | None = None  # of an end
    health: str = ""  # "healthy", "unhealthy", "starting"
    key: str = ""  # the same for everybody who hears of it


Heard = Callable[[Happening], None]


def happening(event: Mapping[str, Any]) -> Happening | None:
    """The engine's event as one of ours; None when it is of another kind, or of a one-off container."""
    action, _, detail = str(event.get("Action") or event.get("status") or "").partition(":")
    if event.get("Type", "container") != "container" or action not in (STARTED, DIED, OOM, HEALTH):
        return None
    actor = event.get("Actor") or {}
    labels = actor.get("Attributes") or {}
    if str(labels.get(parse.ONE_OFF, "")).lower() == "true":
        return None
    nanoseconds = event.get("timeNano")
    if not isinstance(nanoseconds, int):
        nanoseconds = int(event.get("time") or 0) * _NANOSECONDS
    container = str(actor.get("ID") or event.get("id") or "")
    # The engine tells one kill for memory up to ten times within some tenths of a second.
    moment = nanoseconds // _NANOSECONDS if action == OOM else nanoseconds
    return Happening(
        at=datetime.fromtimestamp(nanoseconds / _NANOSECONDS, UTC),
        what=action,
        container=str(labels.get("name") or container[:12]),
        container_id=container,
        service=str(labels.get(parse.SERVICE) or ""),
        project=str(labels.get(parse.PROJECT) or ""),
        image=str(labels.get("image") or event.get("from") or ""),
        exit_code=_whole(labels.get("exitCode")),
        health=detail.strip(),
        key=f"{action}:{container[:12]}:{moment}",
    )


def _whole(text: object) -> int | None:
    try:
        return int(str(text))
    except ValueError:
        return None
