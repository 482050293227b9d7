"""One look at each source: what is asked, with what is known of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from opsconsole.model import Container, HostSample, MongoStatus, Sign, SourceError, SourceState, Stack, Volume
from opsconsole.monitor.board import Awaits, Board
from opsconsole.monitor.paces import LONGEST_NEED_WAIT
from opsconsole.sources import Sources

PROCESSES_SPACING = 10.0
"""Seconds between two lists of the host's processes while no pane shows them: each costs a file per process."""

COLLECTIONS_SPACING = 30.0
"""Seconds between two lists of databases and collections: they cost one command per collection."""


class Looks:
    """Each look blocks as long as its source takes, and raises SourceError. `started` is set when all are watched."""

    def __init__(
        self, sources: Sources, board: Board, *, directory: str, project: str, started: threading.Event
    ) -> None:
        self.sources = sources
        self.directory = directory
        self._board = board
        self._project = project
        self._started = started
        self._collections_at = 0.0
        self._processes_at: list[float] = []

    def others(self) -> dict[str, Callable[[], object]]:
        """The looks at all but the engine, by the names of their sources."""
        return {
            "describe": self.sources.engine.describe,
            "stack": self._stack,
            "usage": self._usage,
            "host": self._host,
            "volumes": self._volumes,
            "sizes": self._sizes,
            "databases": self._databases,
            "probes": self._probes,
            "access": lambda: self.sources.logs.access(self._board.containers),
            "backups": lambda: self.sources.backups.look(self._stack_or_absent()),
            "schedule": self.sources.schedule.look,
            "counts": self._counts,
            "patterns": lambda: self.sources.logs.count(self._board.containers),
        }

    def engine(self) -> tuple[Container, ...]:
        stack = self._board.stack
        project = stack.name if stack else self._project
        engine = self.sources.engine
        containers = engine.containers(project=project, directory="" if project else self.directory)
        if not project and not containers and self.directory:
            return containers
        if any(not container.detailed for container in containers):
            self._board.accept("engine", containers)  # rows first, details after
            self._started.wait(LONGEST_NEED_WAIT)
            while engine.inspect_missing(containers) and not self._board.stopping.is_set():
                containers = engine.containers(project=project, directory="" if project else self.directory)
                self._board.accept("engine", containers)
        return containers

    def _counts(self) -> tuple[Sign, ...]:
        assert self.sources.counts is not None  # else it has no pace
        return self.sources.counts.look(self._board.snapshot)

    def _stack(self) -> Stack:
        before = self._board.stack
        containers = self._board.containers
        stack = self.sources.stack.look(containers)
        if before is None or before.name != stack.name:
            self._board.parts["stack"] = stack
            self._board.wake["engine"].set()  # the project's name is known now: list again by name
            stack = self._look_again(stack, containers)
        return stack

    def _look_again(self, stack: Stack, containers: Sequence[Container]) -> Stack:
        """More may run under the project's name than from this directory: started through a symlink, or by Compose
        v1. Their labels say with which files and env files; without these, drift would be claimed."""
        if self._board.readings["engine"].state is not SourceState.OK:
            return stack
        try:
            named = self.sources.engine.containers(project=stack.name)
        except SourceError:
            return stack  # the engine's own look says so
        if {one.id for one in named} == {one.id for one in containers}:
            return stack
        self._board.accept("engine", named)
        return self.sources.stack.look(named)

    def _usage(self) -> object:
        usage = self.sources.engine.usage(self._board.containers)
        at = self._board.clock()
        with self._board.lock:
            for container_id, used in usage.items():
                self._board.history.add(f"cpu.{container_id}", at, used.cpu_percent)
                self._board.history.add(f"memory.{container_id}", at, used.memory_bytes)
            self._board.history.forget(("cpu", "memory"), (container.id for container in self._board.containers))
        return usage

    def _host(self) -> object:
        stack = self._board.stack
        paths = [path for path in (stack.directory, stack.backup_directory) if path] if stack else []
        before: HostSample | None = self._board.parts.get("host")
        count = self._processes_due()
        sample = self.sources.host.sample(paths=paths, processes=count)
        if not count and before is not None:
            sample = msgspec.structs.replace(sample, processes=before.processes)
        at = self._board.clock()
        with self._board.lock:
            for series, value in (
                ("host.cpu", sample.cpu_percent),
                ("host.memory", sample.memory_percent),
                ("host.disk_read", sample.disk_read_rate),
                ("host.disk_write", sample.disk_write_rate),
                ("host.network_received", sample.network_received_rate),
                ("host.network_sent", sample.network_sent_rate),
            ):
                self._board.history.add(series, at, value)
        return sample

    def _processes_due(self) -> int:
        """How many processes to list now. The first two lists come at once, for a share of CPU needs both."""
        now, watched = time.monotonic(), "processes" in self._board.focus
        if not watched and len(self._processes_at) > 1 and now - self._processes_at[-1] < PROCESSES_SPACING:
            return 0
        self._processes_at = [*self._processes_at[-1:], now]
        return 10 if watched else 5

    def _volumes(self) -> tuple[Volume, ...]:
        stack = self._board.stack
        return self.sources.engine.volumes(self._board.containers, project=stack.name if stack else self._project)

    def _sizes(self) -> dict[str, tuple[int, datetime]]:
        volumes: Sequence[Volume] = self._board.parts.get("volumes", ())
        known: dict[str, tuple[int, datetime]] = dict(self._board.parts.get("sizes", {}))
        if not volumes:
            raise SourceError("waits for the volumes", absent=True)
        measured = self.sources.engine.volume_sizes(volumes, self._board.stopping)
        at = self._board.clock()
        known.update((key, (size, at)) for key, size in measured.items())
        alive = {volume.key for volume in volumes}
        return {key: value for key, value in known.items() if key in alive}

    def _databases(self) -> object:
        due = time.monotonic() - self._collections_at >= COLLECTIONS_SPACING
        statuses = self.sources.databases.look(self._stack_or_absent(), self._board.containers, collections=due)
        if due:
            self._collections_at = time.monotonic()
        at = self._board.clock()
        with self._board.lock:
            for status in statuses:
                name = f"{status.target.kind}.{status.target.name}"
                rate = (
                    sum(status.operations.values()) if isinstance(status, MongoStatus) else status.operations_per_second
                )
                self._board.history.add(name, at, rate if status.reachable else None)
        return statuses

    def _probes(self) -> object:
        probes = self.sources.probes.look(self._stack_or_absent(), self._board.containers)
        at = self._board.clock()
        with self._board.lock:
            for probe in probes:
                self._board.history.add(f"probe.{probe.endpoint.name}", at, probe.latency_seconds if probe.ok else None)
        return probes

    def _stack_or_absent(self) -> Stack:
        before = self._board.readings["stack"].state
        stack = self._board.stack
        if stack is None:
            kind = Awaits if before is SourceState.WAITING else SourceError
            raise kind("waits for the stack to be found", absent=True)
        return stack
