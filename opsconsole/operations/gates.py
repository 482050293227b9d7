"""The gate: whether services are well after something was done to them.

Healthy, or, for a container without a healthcheck, running with a stable restart count for 10 s (a weak gate).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opsconsole.model import Container, Record
from opsconsole.operations.plan import Ending

STABLE_SECONDS = 10.0
POLL_SECONDS = 0.5
LIMIT_SECONDS = 180.0


class Verdict(Record, frozen=True):
    """`problem` is "" when the gate is passed; `failed` are the containers that it is about. `weak` names those
    without a healthcheck."""

    problem: str = ""
    failed: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    cancelled: bool = False


class _Watched:
    """One container since the gate looks at it."""

    def __init__(self) -> None:
        self.first_restarts: int | None = None
        self.seen: tuple[object, ...] = ()
        self.since = 0.0


def gate(
    look: Callable[[], Sequence[Container]],
    names: Sequence[str],
    *,
    ending: Ending = Ending.NEVER,
    cancelled: Callable[[], bool] = lambda: False,
    limit: float = LIMIT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Wait until the containers of these names pass, one fails, or the time is over. Raises SourceError."""
    watched = {name: _Watched() for name in names}
    began = clock()
    while True:
        there = {one.name: one for one in look()}
        now = clock()
        waiting = []
        for name in names:
            passed, problem = _judge(there.get(name), watched[name], now, ending)
            if problem:
                # An emergency stop asks first and stops the container then: that is no failure of the service.
                return Verdict(cancelled=True) if cancelled() else Verdict(problem=f"{name} {problem}", failed=(name,))
            if not passed:
                waiting.append(name)
        if not waiting:
            weak = tuple(name for name in names if not there[name].health and there[name].state == "running")
            return Verdict(weak=weak)
        if now - began > limit:
            states = ", ".join(f"{name} is {_state(there[name])}" for name in waiting)
            return Verdict(problem=f"not well after {limit:.0f} s: {states}", failed=tuple(waiting))
        if cancelled():
            return Verdict(cancelled=True)
        pause(POLL_SECONDS)


def _judge(container: Container | None, watched: _Watched, now: float, ending: Ending) -> tuple[bool, str]:
    """(passed, problem)."""
    if container is None:
        return False, "is gone"
    if watched.first_restarts is None:
        watched.first_restarts = container.restarts
    if (container.restarts or 0) > (watched.first_restarts or 0) + 1:
        return False, f"crashes again and again ({container.restarts} restarts)"
    if container.state == "exited" and container.exit_code == 0 and ending is not Ending.NEVER:
        return True, ""
    if container.state in ("exited", "dead"):
        reason = f", {container.error}" if container.error else ""
        return False, f"ended with exit code {container.exit_code}{reason}"
    if container.health == "unhealthy":
        said = container.health_log[-1].output.strip() if container.health_log else ""
        return False, "is unhealthy" + (f": {' '.join(said.split())[:200]}" if said else "")
    seen = (container.state, container.restarts, container.started_at)
    if seen != watched.seen:
        watched.seen, watched.since = seen, now
    if container.state != "running" or ending is Ending.MUST:
        return False, ""
    if container.health:
        return container.health == "healthy", ""
    return now - watched.since >= STABLE_SECONDS, ""


def _state(container: Container) -> str:
    return f"{container.state} ({container.health})" if container.health else container.state
