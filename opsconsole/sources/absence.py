"""Why a service cannot answer: because none of its containers runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from opsconsole.model import Container
from opsconsole.text import printable


def why_not_running(service: str, containers: Sequence[Container], now: datetime) -> tuple[str, str]:
    """A sentence and what to do, when the service has containers and none of them runs; else two empty texts.

    No container at all says nothing here: the list may be empty because the engine could not be asked.
    """
    own = [container for container in containers if container.service == service] if service else []
    if not own or any(container.state == "running" for container in own):
        return "", ""
    newest = max(own, key=lambda container: (container.finished_at or container.created_at or _LONG_AGO, container.id))
    shown = printable(service)
    return f"service {shown} is not running ({_state(newest, now)})", _advice(newest, shown)


_LONG_AGO = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _state(container: Container, now: datetime) -> str:
    words = container.state
    if container.state in ("exited", "dead", "restarting") and container.exit_code is not None:
        words += f" {container.exit_code}"
    if container.oom_killed:
        words += ", out of memory"
    if container.state != "paused" and container.finished_at is not None:
        words += f", {ago(container.finished_at, now)}"
    return words


def _advice(container: Container, service: str) -> str:
    if container.state == "paused":
        return f"docker compose unpause {service}"
    if container.state == "restarting" or container.exit_code not in (0, 143, None):
        return f"read its log, then: docker compose up -d {service}"
    return f"docker compose up -d {service}"


def ago(moment: datetime, now: datetime) -> str:
    """ "12 seconds ago", "4 minutes ago", "3 hours ago", "2 days ago"."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{seconds} second{'' if seconds == 1 else 's'} ago"
