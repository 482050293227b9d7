"""What sees: asks every source on a thread of its own and publishes one Snapshot.

A source that hangs or fails ages alone: its last data stays, its Reading says what is wrong, and it is
asked again with backoff. Nothing here knows a screen; whoever subscribes is called on the publisher's
thread. All threads are daemons, so the end of the program never waits for a source.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from opsconsole.alert_findings import Thresholds
from opsconsole.alert_keeper import AlertKeeper
from opsconsole.history import History
from opsconsole.model import (
    Container,
    HostSample,
    MongoStatus,
    Project,
    Reading,
    Snapshot,
    SourceError,
    SourceState,
    Stack,
    Volume,
)
from opsconsole.sources import Sources
from opsconsole.stack.drift import with_drift
from opsconsole.stack.safety import judge
from opsconsole.text import mask_text, printable

log = logging.getLogger(__name__)

PUBLISH_SPACING, ROUTINE_SPACING = 0.1, 1.0
"""Seconds between two Snapshots at least: an operator reads no faster, and bursts of events are folded. The second is
for figures that only went on: five sources of them would have the screen compared and painted five times a second."""

ROUTINE = frozenset({"usage", "host", "databases", "probes", "access", "patterns"})

PROCESSES_SPACING = 10.0
"""Seconds between two lists of the host's processes while no pane shows them: each costs a file per process."""

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0

T = TypeVar("T")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between two looks at a source: `focused` while a visible pane shows it, else `background`."""

    focused: float
    background: float


DEFAULT_PACES: dict[str, Pace] = {
    "engine": Pace(focused=10, background=10),  # events say what changed; this tells a quiet engine from one that hangs
    "describe": Pace(focused=60, background=60),
    "stack": Pace(focused=5, background=15),  # a look that changed nothing costs a few stat() calls
    "usage": Pace(focused=2, background=10),
    "host": Pace(focused=2, background=10),
    "volumes": Pace(focused=30, background=60),
    "sizes": Pace(focused=300, background=1800),  # walks every volume
    "databases": Pace(focused=3, background=15),
    "probes": Pace(focused=10, background=30),
    "access": Pace(focused=30, background=30),
    "backups": Pace(focused=15, background=60),
    "schedule": Pace(focused=30, background=300),  # runs `crontab -l`
}

COLLECTIONS_SPACING = 30.0
"""Seconds between two lists of databases and collections: they cost one command per collection."""

NEEDS: dict[str, tuple[str, ...]] = {
    "stack": ("engine",),
    "usage": ("engine",),
    "volumes": ("engine",),
    "sizes": ("volumes",),
    "databases": ("stack",),
    "probes": ("stack",),
    "access": ("engine",),
    "patterns": ("engine",),
    "backups": ("stack",),
}

LONGEST_NEED_WAIT = 3.0
"""Seconds a source waits for the ones it builds on. An engine that hangs must not keep files from being read."""


class _Awaits(SourceError):
    """What this source builds on has not answered yet: that is no answer of its own."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Monitor:
    """Watches one stack. `start` it, `subscribe`, read `snapshot`; `stop` lets go of everything.

    `directory` is the stack's; `project` narrows the first look at the engine when it is known already.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        directory: str = "",
        project: str = "",
        thresholds: Thresholds | None = None,
        paces: dict[str, Pace] | None = None,
        clock: Callable[[], datetime] = utc_now,
        keeper: AlertKeeper | None = None,
    ) -> None:
        self.sources = sources
        self.directory = directory
        self.clock = clock
        self._project = project
        self.thresholds = thresholds or Thresholds()
        self.alerts: AlertKeeper = keeper or getattr(sources, "keeper", None) or AlertKeeper(self.thresholds)
        self._paces = {**DEFAULT_PACES, **(paces or {})}
        self._lock = threading.Condition()
        self._stopping = threading.Event()
        self._focus: frozenset[str] = frozenset()
        self._wake = {name: threading.Event() for name in self._paces}
        self._settled = {name: threading.Event() for name in self._paces}
        self._parts: dict[str, Any] = {}
        self._readings = {name: Reading(source=name) for name in self._paces}
        self._history = History(getattr(sources, "past", None))
        self._subscribers: list[Callable[[Snapshot], None]] = []
        self._changed = False
        self._urgent = False  # something changed that is no routine
        self._asked_at = -ROUTINE_SPACING  # when an operator wanted to see all anew
        self._collections_at = 0.0
        self._processes_at: list[float] = []
        self._begun = False
        self._started = threading.Event()
        self.snapshot = Snapshot(sampled_at=clock(), demo=sources.demo, readings=dict(self._readings))

    # --- what the faces call -------------------------------------------------------------------

    def begin(self) -> None:
        """Ask the engine for the containers and for nothing more yet: while a screen is being made, each other source
        would take its time. `start` does the rest."""
        if not self._begun:
            self._begun = True
            self._thread("engine", lambda: self._poll("engine", self._look_engine))
            self._thread("publisher", self._publish_changes)

    def start(self) -> None:
        """Watch all there is."""
        if self._started.is_set():
            return
        self.begin()
        self._started.set()
        looks: dict[str, Callable[[], object]] = {
            "describe": self.sources.engine.describe,
            "stack": self._look_stack,
            "usage": self._look_usage,
            "host": self._look_host,
            "volumes": self._look_volumes,
            "sizes": self._look_sizes,
            "databases": self._look_databases,
            "probes": self._look_probes,
            "access": self._look_access,
            "backups": lambda: self.sources.backups.look(self._stack_or_absent()),
            "schedule": self.sources.schedule.look,
        }
        if "patterns" in self._paces:
            looks["patterns"] = lambda: self.sources.logs.count(self._containers())
        for name, look in looks.items():
            self._thread(name, lambda name=name, look=look: self._poll(name, look))  # type: ignore[misc]
        self._thread("events", self._follow_events)
        self.alerts.start(self.publish_soon)

    def stop(self) -> None:
        """Tell every thread to end and close the sources. Returns at once; a hung source is left behind."""
        self._stopping.set()
        self.alerts.stop()
        for wake in self._wake.values():
            wake.set()
        with self._lock:
            self._lock.notify_all()
        self._thread("closer", self.sources.close)

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `callback` with each new Snapshot, on the publisher's thread. Returns what unsubscribes it."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def focus(self, topics: frozenset[str]) -> None:
        """Sample these sources at their focused pace: a visible pane shows them."""
        gained = topics - self._focus
        self._focus = topics
        for name in gained & self._wake.keys():
            self._wake[name].set()

    def refresh(self) -> None:
        """Ask every source now, whatever its backoff; sizes stay rare."""
        self._asked_at = time.monotonic()
        for name, wake in self._wake.items():
            if name != "sizes":
                wake.set()

    def publish_soon(self) -> None:
        """Something besides the sources changed: what was decided about an alert."""
        with self._lock:
            self._changed = self._urgent = True
            self._lock.notify_all()

    def projects(self) -> tuple[Project, ...]:
        """The Compose projects on the engine. Blocks; raises SourceError."""
        return self.sources.engine.projects()

    def wait_until_settled(self, seconds: float, *, sizes_seconds: float = 3.0) -> Snapshot:
        """Block until every source has answered or failed once and CPU rates are known, `seconds` at most."""
        end = time.monotonic() + seconds
        for name, settled in self._settled.items():
            if name != "sizes":
                settled.wait(max(0.0, end - time.monotonic()))
        self._settled["sizes"].wait(max(0.0, min(sizes_seconds, end - time.monotonic())))
        while self._rates_unknown() and time.monotonic() < end:
            self._wake["usage"].set()
            self._wake["host"].set()
            self._stopping.wait(0.25)
        with self._lock:
            self._publish()
            return self.snapshot

    def _rates_unknown(self) -> bool:
        """A first sample has no rates. Who failed is not waited for."""
        usage, host = self._parts.get("usage", {}), self._parts.get("host")
        readings = self._readings
        if readings["host"].state is SourceState.OK and host is not None and host.cpu_percent is None:
            return True
        return readings["usage"].state is SourceState.OK and any(
            usage[container.id].cpu_percent is None
            for container in self._containers()
            if container.state == "running" and container.id in usage
        )

    # --- one look at each source ---------------------------------------------------------------

    def _containers(self) -> Sequence[Container]:
        found: Sequence[Container] = self._parts.get("engine", ())
        return found

    def _stack_or_absent(self) -> Stack:
        before = self._readings["stack"].state
        stack: Stack | None = self._parts.get("stack")
        if stack is None:
            kind = _Awaits if before is SourceState.WAITING else SourceError
            raise kind("waits for the stack to be found", absent=True)
        return stack

    def _look_engine(self) -> tuple[Container, ...]:
        stack: Stack | None = self._parts.get("stack")
        project = stack.name if stack else self._project
        engine = self.sources.engine
        containers = engine.containers(project=project, directory="" if project else self.directory)
        if not project and not containers and self.directory:
            return containers
        if any(not container.detailed for container in containers):
            self._accept("engine", containers)  # rows first, details after
            self._started.wait(LONGEST_NEED_WAIT)
            while engine.inspect_missing(containers) and not self._stopping.is_set():
                containers = engine.containers(project=project, directory="" if project else self.directory)
                self._accept("engine", containers)
        return containers

    def _look_stack(self) -> Stack:
        before: Stack | None = self._parts.get("stack")
        containers = self._containers()
        stack = self.sources.stack.look(containers)
        if before is None or before.name != stack.name:
            self._parts["stack"] = stack
            self._wake["engine"].set()  # the project's name is known now: list again by name
            stack = self._look_again(stack, containers)
        return stack

    def _look_again(self, stack: Stack, containers: Sequence[Container]) -> Stack:
        """More may run under the project's name than from this directory: started through a symlink, or by Compose
        v1. Their labels say with which files and env files; without these, drift would be claimed."""
        if self._readings["engine"].state is not SourceState.OK:
            return stack
        try:
            named = self.sources.engine.containers(project=stack.name)
        except SourceError:
            return stack  # the engine's own look says so
        if {one.id for one in named} == {one.id for one in containers}:
            return stack
        self._accept("engine", named)
        return self.sources.stack.look(named)

    def _look_usage(self) -> object:
        usage = self.sources.engine.usage(self._containers())
        at = self.clock()
        with self._lock:
            for container_id, used in usage.items():
                self._history.add(f"cpu.{container_id}", at, used.cpu_percent)
                self._history.add(f"memory.{container_id}", at, used.memory_bytes)
            self._history.forget(("cpu", "memory"), (container.id for container in self._containers()))
        return usage

    def _look_host(self) -> object:
        stack: Stack | None = self._parts.get("stack")
        paths = [path for path in (stack.directory, stack.backup_directory) if path] if stack else []
        before: HostSample | None = self._parts.get("host")
        count = self._processes_due()
        sample = self.sources.host.sample(paths=paths, processes=count)
        if not count and before is not None:
            sample = msgspec.structs.replace(sample, processes=before.processes)
        at = self.clock()
        with self._lock:
            for series, value in (
                ("host.cpu", sample.cpu_percent),
                ("host.memory", sample.memory_percent),
                ("host.disk_read", sample.disk_read_rate),
                ("host.disk_write", sample.disk_write_rate),
                ("host.network_received", sample.network_received_rate),
                ("host.network_sent", sample.network_sent_rate),
            ):
                self._history.add(series, at, value)
        return sample

    def _processes_due(self) -> int:
        """How many processes to list now. The first two lists come at once, for a share of CPU needs both."""
        now, watched = time.monotonic(), "processes" in self._focus
        if not watched and len(self._processes_at) > 1 and now - self._processes_at[-1] < PROCESSES_SPACING:
            return 0
        self._processes_at = [*self._processes_at[-1:], now]
        return 10 if watched else 5

    def _look_volumes(self) -> tuple[Volume, ...]:
        stack: Stack | None = self._parts.get("stack")
        return self.sources.engine.volumes(self._containers(), project=stack.name if stack else self._project)

    def _look_sizes(self) -> dict[str, tuple[int, datetime]]:
        volumes: Sequence[Volume] = self._parts.get("volumes", ())
        known: dict[str, tuple[int, datetime]] = dict(self._parts.get("sizes", {}))
        if not volumes:
            raise SourceError("waits for the volumes", absent=True)
        measured = self.sources.engine.volume_sizes(volumes, self._stopping)
        at = self.clock()
        known.update((key, (size, at)) for key, size in measured.items())
        alive = {volume.key for volume in volumes}
        return {key: value for key, value in known.items() if key in alive}

    def _look_databases(self) -> object:
        due = time.monotonic() - self._collections_at >= COLLECTIONS_SPACING
        statuses = self.sources.databases.look(self._stack_or_absent(), self._containers(), collections=due)
        if due:
            self._collections_at = time.monotonic()
        at = self.clock()
        with self._lock:
            for status in statuses:
                name = f"{status.target.kind}.{status.target.name}"
                rate = (
                    sum(status.operations.values()) if isinstance(status, MongoStatus) else status.operations_per_second
                )
                self._history.add(name, at, rate if status.reachable else None)
        return statuses

    def _look_probes(self) -> object:
        probes = self.sources.probes.look(self._stack_or_absent(), self._containers())
        at = self.clock()
        with self._lock:
            for probe in probes:
                self._history.add(f"probe.{probe.endpoint.name}", at, probe.latency_seconds if probe.ok else None)
        return probes

    def _look_access(self) -> object:
        return self.sources.logs.access(self._containers())

    # --- threads -------------------------------------------------------------------------------

    def _thread(self, name: str, body: Callable[[], object]) -> None:
        threading.Thread(target=body, name=f"monitor-{name}", daemon=True).start()

    def _poll(self, name: str, look: Callable[[], object]) -> None:
        """Single flight: the next look begins only after the last one ended."""
        end = time.monotonic() + LONGEST_NEED_WAIT
        for need in NEEDS.get(name, ()):
            self._settled[need].wait(max(0.0, end - time.monotonic()))
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            self._wake[name].clear()
            try:
                part = look()
            except SourceError as error:
                wait = 1.0 if isinstance(error, _Awaits) else self._pause(name) if error.absent else backoff
                self._fail(name, error, wait)
                backoff = FIRST_BACKOFF if error.absent else min(backoff * 2, LONGEST_BACKOFF)
            except Exception as error:  # a fault of ours must not blind the operator to everything else
                log.exception("source %s", name)
                unexpected = SourceError(f"unexpected {type(error).__name__}: {mask_text(printable(str(error)))}")
                self._fail(name, unexpected, backoff)
                wait, backoff = backoff, min(backoff * 2, LONGEST_BACKOFF)
            else:
                backoff = FIRST_BACKOFF
                self._accept(name, part)
                wait = self._pause(name)
            self._wake[name].wait(wait)

    def _pause(self, name: str) -> float:
        pace = self._paces[name]
        if name in self._focus:
            return pace.focused
        if name in ("stack", "databases", "backups", "probes") and self._readings[name].state is SourceState.ABSENT:
            return 1.0  # waits for the stack, which a moment may bring
        return pace.background

    def _follow_events(self) -> None:
        """Wake the engine's look after each event. While the stream is broken the poll goes on alone."""
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self.sources.engine.watch(self._engine_changed, self._stopping)
            except Exception as error:
                log.debug("event stream: %s", error)
            self._wake["engine"].set()  # find out at once whether the engine is gone
            if time.monotonic() - began > LONGEST_BACKOFF:
                backoff = FIRST_BACKOFF
            self._stopping.wait(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)

    def _engine_changed(self) -> None:
        for name in ("engine", "usage", "volumes"):
            self._wake[name].set()

    # --- the board ------------------------------------------------------------------------------

    def _accept(self, name: str, part: object) -> None:
        now = self.clock()
        with self._lock:
            recovered = self._readings[name].state is SourceState.FAILED
            first = self._readings[name].sampled_at is None
            asked = time.monotonic() - self._asked_at < ROUTINE_SPACING
            self._urgent = self._urgent or recovered or first or asked or name not in ROUTINE
            self._parts[name] = part
            self._readings[name] = Reading(source=name, state=SourceState.OK, sampled_at=now)
            self._changed = True
            self._lock.notify_all()
        self._settled[name].set()
        dependents: tuple[str, ...] = ()
        if recovered and name == "engine":
            dependents = ("describe", "usage", "volumes", "stack", "databases", "probes")
        elif first and name == "stack":
            dependents = ("databases", "probes", "backups")
        for dependent in dependents:
            self._wake[dependent].set()

    def _fail(self, name: str, error: SourceError, retry_in: float) -> None:
        now = self.clock()
        with self._lock:
            before = self._readings[name]
            self._readings[name] = Reading(
                source=name,
                state=SourceState.ABSENT if error.absent else SourceState.FAILED,
                sampled_at=before.sampled_at,
                problem=error.problem,
                hint=error.hint,
                failing_since=None if error.absent else before.failing_since or now,
                retry_at=now + timedelta(seconds=retry_in),
            )
            self._changed = True
            self._urgent = self._urgent or self._readings[name].state is not before.state
            self._lock.notify_all()
        if not isinstance(error, _Awaits):
            self._settled[name].set()

    def _publish_changes(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self._lock.wait_for(lambda: self._changed or self._stopping.is_set(), timeout=5.0)
                if self._stopping.is_set():
                    return
                self._changed = self._urgent = False
                self._publish()  # after 5 quiet seconds too: ages grow and pending alerts come due
                snapshot = self.snapshot
            for callback in tuple(self._subscribers):
                try:
                    callback(snapshot)
                except Exception:
                    log.exception("subscriber")
            self._stopping.wait(PUBLISH_SPACING)
            with self._lock:
                more = ROUTINE_SPACING - PUBLISH_SPACING
                self._lock.wait_for(lambda: self._urgent or self._stopping.is_set(), timeout=more)

    def _publish(self) -> None:
        """Put the Snapshot together. Called with the lock held; every part is immutable."""
        now = self.clock()
        stack: Stack | None = self._parts.get("stack")
        containers = _with_usage(self._parts.get("engine", ()), self._parts.get("usage", {}))
        volumes = _with_sizes(self._parts.get("volumes", ()), self._parts.get("sizes", {}))
        backups = self._parts.get("backups", ())
        if stack is not None:
            containers = with_drift(containers, stack)
            volumes = judge(volumes, stack, backups)
        snapshot = Snapshot(
            sampled_at=now,
            demo=self.sources.demo,
            stack=stack,
            engine=self._parts.get("describe"),
            containers=tuple(containers),
            volumes=tuple(volumes),
            host=self._parts.get("host"),
            databases=tuple(self._parts.get("databases", ())),
            probes=tuple(self._parts.get("probes", ())),
            access=tuple(self._parts.get("access", ())),
            log_rates=tuple(self._parts.get("patterns", ())),
            backups=tuple(backups),
            schedule=self._parts.get("schedule"),
            readings=dict(self._readings),
            history=self._history.series(),
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
