"""The real set of sources for one stack on this host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from opsconsole.config import Config
from opsconsole.sources import Sources

T = TypeVar("T")
STATE_DIRECTORY = ".opsconsole"
"""What the console remembers lies beside the stack, where every operator of the server finds it."""


def real_sources(directory: Path, config: Config, *, project: str = "", read_only: bool = False) -> Sources:
    """Everything that is asked about the stack in `directory`. Nothing is connected yet: no call here blocks.

    With `read_only` not even the disk history is written.
    """
    from opsconsole.sources.engine import DockerEngine

    engine = DockerEngine()

    def discovery() -> Any:
        from opsconsole.stack.discover import StackDiscovery

        return StackDiscovery(directory, config, engine=engine, project=project)

    def host() -> Any:
        from opsconsole.sources.disk_history import DiskHistory
        from opsconsole.sources.host import HostSampler

        history = DiskHistory(directory / STATE_DIRECTORY / "disk-history.json", writes=not read_only)
        return HostSampler(history, names={str(directory): "stack"})

    def databases() -> Any:
        from opsconsole.sources.databases import Databases

        return Databases(stack.connections)

    def probes() -> Any:
        from opsconsole.sources.http import HttpProbes

        return HttpProbes()

    def backups() -> Any:
        from opsconsole.backups.catalog import Catalog
        from opsconsole.backups.policy import policy_of

        return Catalog(policy=policy_of(config))

    def logs() -> Any:
        from opsconsole.applied import log_patterns
        from opsconsole.sources.logs import DockerLogs

        return DockerLogs(patterns=log_patterns(config))

    def schedule() -> Any:
        from opsconsole.schedule.looking import ScheduleLook

        return ScheduleLook(directory, config, project=project)

    def counts() -> Any:
        from opsconsole.incident_room.counts import Counts

        return Counts(directory, lambda backup: catalog.look_inside(backup))

    stack, catalog = late(discovery), late(backups)
    return Sources(
        stack=stack,
        engine=engine,
        host=late(host),
        databases=late(databases),
        probes=late(probes),
        backups=catalog,
        logs=late(logs),
        schedule=late(schedule),
        counts=late(counts),
    )


def late(make: Callable[[], T]) -> T:
    """What `make` makes, made when it is first asked for something: to import all sources takes 40 ms, in which the
    screen is painted instead. Safe to share between threads."""
    return cast(T, _Late(make))


class _Late:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: object | None = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """What was never made has nothing to let go of."""
        with self._lock:
            made = self._made
        if made is not None:
            cast(Any, made).close()
