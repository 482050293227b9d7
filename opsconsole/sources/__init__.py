"""The world, one module per kind of thing that is looked at.

What a source promises, so that the demo stack can stand in for the real one. Every method blocks; the
monitor calls each source on a thread of its own, so a source that hangs ages alone. A source that
cannot answer raises `SourceError` and may be asked again at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Protocol

from opsconsole.database_work import View, Work
from opsconsole.model import (
    AccessRate,
    Backup,
    BackupContents,
    Container,
    DatabaseStatus,
    DatabaseTarget,
    Engine,
    HostSample,
    LogLine,
    LogRate,
    Probe,
    Project,
    Schedule,
    Sign,
    Snapshot,
    Stack,
    Usage,
    Volume,
)

if TYPE_CHECKING:
    from opsconsole.sources.happenings import Happening, Heard


class StackSource(Protocol):
    """Which stack is this. Reads files, asks Compose; knows the running containers to resolve addresses."""

    def look(self, containers: Sequence[Container]) -> Stack: ...


class EngineSource(Protocol):
    def describe(self) -> Engine: ...

    def projects(self) -> tuple[Project, ...]: ...

    def containers(self, *, project: str = "", directory: str = "") -> tuple[Container, ...]:
        """The stack's containers, stopped ones too. One list call; details come from a cache of inspects
        that events invalidate, so the first call may return rows with `detailed=False`."""
        ...

    def inspect_missing(self, containers: Sequence[Container], limit: int = 50) -> bool:
        """Inspect up to `limit` containers whose details are not cached. True if something was learnt."""
        ...

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        """By container id, for the running ones."""
        ...

    def volumes(self, containers: Sequence[Container], *, project: str = "") -> tuple[Volume, ...]:
        """Volumes and mounts of the stack without sizes and safety."""
        ...

    def volume_sizes(self, volumes: Sequence[Volume], stop: Event) -> dict[str, int]:
        """Sizes in bytes by `Volume.key`. Expensive: walks every volume. Returns early when `stop` is set."""
        ...

    def watch(self, changed: Callable[[], None], stop: Event) -> None:
        """Follow the event stream until `stop` is set; drop stale details and call `changed` after each
        event (bursts folded). Raises SourceError when the stream breaks."""
        ...

    def listen(self, heard: Heard) -> None:
        """Tell `heard` also what happens to containers of any project, as `watch` hears of it and on its thread."""
        ...

    def happened(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        """What happened to containers of any project between two moments, as far as the engine still knows."""
        ...

    def start(self, container_id: str) -> None: ...

    def stop(self, container_id: str) -> None: ...

    def restart(self, container_id: str) -> None: ...

    def close(self) -> None: ...


class HostSource(Protocol):
    def sample(self, *, paths: Sequence[str] = (), processes: int = 0) -> HostSample:
        """`paths` are directories whose disks must be among the disks; `processes` how many top ones to list."""
        ...


class DatabaseSource(Protocol):
    def look(self, stack: Stack, containers: Sequence[Container], *, collections: bool) -> tuple[DatabaseStatus, ...]:
        """Every database of the stack. One that cannot be reached is a status with `reachable=False` and its
        problem, not an exception. `collections` asks for the (dearer) list of databases and collections;
        without it the last known list is kept."""
        ...

    def at_work(self, target: DatabaseTarget, view: View) -> Work:
        """What a server is at work on, in one view; asked only while somebody looks at it. Raises SourceError."""
        ...

    def close(self) -> None: ...


class ProbeSource(Protocol):
    def look(self, stack: Stack, containers: Sequence[Container]) -> tuple[Probe, ...]: ...

    def close(self) -> None: ...


class BackupSource(Protocol):
    def look(self, stack: Stack) -> tuple[Backup, ...]:
        """Newest first."""
        ...

    def look_inside(self, backup: Backup) -> BackupContents:
        """What its manifest tells and what became known of it since. Reads files; raises nothing."""
        ...


class ScheduleSource(Protocol):
    def look(self) -> Schedule: ...


class LogStream(Protocol):
    """Log lines of some containers, merged in time order. Bounded: a consumer that is too slow finds a
    LogLine with `skipped` where lines were dropped."""

    def read(self) -> list[LogLine]:
        """What has arrived since the last call, in time order; never blocks. At most 20,000 lines."""
        ...

    def retarget(self, containers: Sequence[Container]) -> None:
        """Follow these now: recreated containers are attached again, gone ones left, nothing read twice."""
        ...

    @property
    def problem(self) -> str:
        """One line when the engine does not answer; "" when all is well."""
        ...

    @property
    def caught_up(self) -> bool:
        """All that was already written when the stream was opened has been delivered."""
        ...

    def close(self) -> None: ...


class LogRange:
    """Which part of the logs. `tail` last lines of each container, or `head` first lines of all, or since a time;
    all None: everything. With `keep_all` a slow reader holds up reading instead of losing lines (for pipes)."""

    __slots__ = ("follow", "head", "keep_all", "since", "tail")

    def __init__(
        self,
        *,
        tail: int | None = None,
        head: int | None = None,
        since: datetime | None = None,
        follow: bool = True,
        keep_all: bool = False,
    ) -> None:
        self.tail = tail
        self.head = head
        self.since = since
        self.follow = follow
        self.keep_all = keep_all


class LogSource(Protocol):
    def open(self, containers: Sequence[Container], wanted: LogRange) -> LogStream: ...

    def access(self, containers: Iterable[Container]) -> tuple[AccessRate, ...]:
        """HTTP answers counted in the access-log lines of the last five minutes, per service that writes any."""
        ...

    def count(self, containers: Iterable[Container]) -> tuple[LogRate, ...]:
        """Lines of the last minute that match the patterns of alert rules, per rule and service that it is about."""
        ...


class CountSource(Protocol):
    """What was counted before, beside what is there now."""

    def look(self, snapshot: Snapshot) -> tuple[Sign, ...]:
        """The signs that data is missing. Raises SourceError."""


class Sources:
    """One of each. The real set and the demo set are both built as this."""

    def __init__(
        self,
        *,
        stack: StackSource,
        engine: EngineSource,
        host: HostSource,
        databases: DatabaseSource,
        probes: ProbeSource,
        backups: BackupSource,
        logs: LogSource,
        schedule: ScheduleSource,
        counts: CountSource | None = None,
        demo: bool = False,
    ) -> None:
        self.stack = stack
        self.engine = engine
        self.host = host
        self.databases = databases
        self.probes = probes
        self.backups = backups
        self.logs = logs
        self.schedule = schedule
        self.counts = counts
        self.demo = demo

    def close(self) -> None:
        """Let go of every connection. Threads that still wait in one end by themselves."""
        for source in (self.engine, self.databases, self.probes):
            source.close()
