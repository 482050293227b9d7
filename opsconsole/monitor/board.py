"""The last answer of each source, how each one fares, and the Snapshot that is made of all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from opsconsole.alert_keeper import AlertKeeper
from opsconsole.history import History
from opsconsole.model import Container, Reading, Snapshot, SourceError, SourceState, Stack, Volume
from opsconsole.stack.drift import with_drift
from opsconsole.stack.safety import judge

log = logging.getLogger(__name__)

PUBLISH_SPACING, ROUTINE_SPACING = 0.1, 1.0
"""Seconds between two Snapshots at least: an operator reads no faster, and bursts of events are folded. The second is
for figures that only went on: five sources of them would have the screen compared and painted five times a second."""

ROUTINE = frozenset({"usage", "host", "databases", "probes", "access", "patterns"})


class Awaits(SourceError):
    """What this source builds on has not answered yet: that is no answer of its own."""


class Board:
    """What is known of one stack. Any thread may write to it; whoever subscribes is called on the publisher's.

    `wake` is set to have a source asked at once; `settled` is set for good when it has answered or failed once.
    """

    def __init__(
        self,
        names: Collection[str],
        *,
        demo: bool,
        past: Any,
        alerts: AlertKeeper,
        clock: Callable[[], datetime],
    ) -> None:
        self.alerts = alerts
        self.clock = clock
        self.lock = threading.Condition()
        self.stopping = threading.Event()
        self.focus: frozenset[str] = frozenset()  # the sources that a visible pane shows
        self.wake = {name: threading.Event() for name in names}
        self.settled = {name: threading.Event() for name in names}
        self.parts: dict[str, Any] = {}
        self.readings = {name: Reading(source=name) for name in names}
        self.history = History(past)
        self._demo = demo
        self._subscribers: list[Callable[[Snapshot], None]] = []
        self._changed = False
        self._urgent = False  # something changed that is no routine
        self._asked_at = -ROUTINE_SPACING  # when an operator wanted to see all anew
        self.snapshot = Snapshot(sampled_at=clock(), demo=demo, readings=dict(self.readings))

    @property
    def stack(self) -> Stack | None:
        return self.parts.get("stack")

    @property
    def containers(self) -> Sequence[Container]:
        found: Sequence[Container] = self.parts.get("engine", ())
        return found

    @property
    def rates_unknown(self) -> bool:
        """A first sample has no rates. Who failed is not waited for."""
        usage, host = self.parts.get("usage", {}), self.parts.get("host")
        readings = self.readings
        if readings["host"].state is SourceState.OK and host is not None and host.cpu_percent is None:
            return True
        return readings["usage"].state is SourceState.OK and any(
            usage[container.id].cpu_percent is None
            for container in self.containers
            if container.state == "running" and container.id in usage
        )

    def accept(self, name: str, part: object) -> None:
        now = self.clock()
        with self.lock:
            recovered = self.readings[name].state is SourceState.FAILED
            first = self.readings[name].sampled_at is None
            asked = time.monotonic() - self._asked_at < ROUTINE_SPACING
            self._urgent = self._urgent or recovered or first or asked or name not in ROUTINE
            self.parts[name] = part
            self.readings[name] = Reading(source=name, state=SourceState.OK, sampled_at=now)
            self._changed = True
            self.lock.notify_all()
        self.settled[name].set()
        dependents: tuple[str, ...] = ()
        if recovered and name == "engine":
            dependents = ("describe", "usage", "volumes", "stack", "databases", "probes")
        elif first and name == "stack":
            dependents = ("databases", "probes", "backups")
        for dependent in dependents:
            self.wake[dependent].set()

    def fail(self, name: str, error: SourceError, retry_in: float) -> None:
        now = self.clock()
        with self.lock:
            before = self.readings[name]
            self.readings[name] = Reading(
                source=name,
                state=SourceState.ABSENT if error.absent else SourceState.FAILED,
                sampled_at=before.sampled_at,
                problem=error.problem,
                hint=error.hint,
                failing_since=None if error.absent else before.failing_since or now,
                retry_at=now + timedelta(seconds=retry_in),
            )
            self._changed = True
            self._urgent = self._urgent or self.readings[name].state is not before.state
            self.lock.notify_all()
        if not isinstance(error, Awaits):
            self.settled[name].set()

    def ask_all(self) -> None:
        """Ask every source now, whatever its backoff; sizes stay rare."""
        self._asked_at = time.monotonic()
        for name, wake in self.wake.items():
            if name != "sizes":
                wake.set()

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `callback` with each new Snapshot, on the publisher's thread. Returns what unsubscribes it."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def publish_soon(self) -> None:
        """Something besides the sources changed: what was decided about an alert."""
        with self.lock:
            self._changed = self._urgent = True
            self.lock.notify_all()

    def publish_changes(self) -> None:
        """Publish whenever something has changed, until all is stopped: the publisher's thread."""
        while not self.stopping.is_set():
            with self.lock:
                self.lock.wait_for(lambda: self._changed or self.stopping.is_set(), timeout=5.0)
                if self.stopping.is_set():
                    return
                self._changed = self._urgent = False
                self.publish()  # after 5 quiet seconds too: ages grow and pending alerts come due
                snapshot = self.snapshot
            for callback in tuple(self._subscribers):
                try:
                    callback(snapshot)
                except Exception:
                    log.exception("subscriber")
            self.stopping.wait(PUBLISH_SPACING)
            with self.lock:
                more = ROUTINE_SPACING - PUBLISH_SPACING
                self.lock.wait_for(lambda: self._urgent or self.stopping.is_set(), timeout=more)

    def publish(self) -> None:
        """Put the Snapshot together. Called with the lock held; every part is immutable."""
        now = self.clock()
        stack: Stack | None = self.parts.get("stack")
        containers = _with_usage(self.parts.get("engine", ()), self.parts.get("usage", {}))
        volumes = _with_sizes(self.parts.get("volumes", ()), self.parts.get("sizes", {}))
        backups = self.parts.get("backups", ())
        if stack is not None:
            containers = with_drift(containers, stack)
            volumes = judge(volumes, stack, backups)
        snapshot = Snapshot(
            sampled_at=now,
            demo=self._demo,
            stack=stack,
            engine=self.parts.get("describe"),
            containers=tuple(containers),
            volumes=tuple(volumes),
            host=self.parts.get("host"),
            databases=tuple(self.parts.get("databases", ())),
            probes=tuple(self.parts.get("probes", ())),
            access=tuple(self.parts.get("access", ())),
            log_rates=tuple(self.parts.get("patterns", ())),
            backups=tuple(backups),
            missing=tuple(self.parts.get("counts", ())),
            schedule=self.parts.get("schedule"),
            readings=dict(self.readings),
            history=self.history.series(),
        )
        self.snapshot = msgspec.structs.replace(snapshot, alerts=self.alerts.judge(snapshot, now))


def _with_usage(containers: Sequence[Container], usage: dict[str, Any]) -> tuple[Container, ...]:
    """The usage of a container that has stopped since is not shown as if it still ran."""
    return tuple(
        msgspec.structs.replace(container, usage=usage[container.id])
        if container.id in usage and container.state in ("running", "paused")
        else container
        for container in containers
    )


def _with_sizes(volumes: Sequence[Volume], sizes: dict[str, tuple[int, datetime]]) -> tuple[Volume, ...]:
    return tuple(
        msgspec.structs.replace(volume, size_bytes=sizes[volume.key][0], size_at=sizes[volume.key][1])
        if volume.key in sizes
        else volume
        for volume in volumes
    )
