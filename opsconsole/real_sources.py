"""The real set of sources for one stack on this host."""

from __future__ import annotations

from pathlib import Path

from opsconsole.config import Config
from opsconsole.sources import Sources

STATE_DIRECTORY = ".opsconsole"
"""What the console remembers lies beside the stack, where every operator of the server finds it."""


def real_sources(directory: Path, config: Config, *, project: str = "", read_only: bool = False) -> Sources:
    """Everything that is asked about the stack in `directory`. Nothing is connected yet: no call here blocks.

    With `read_only` not even the disk history is written.
    """
    from opsconsole.backups.catalog import Catalog
    from opsconsole.sources.databases import Databases
    from opsconsole.sources.disk_history import DiskHistory
    from opsconsole.sources.engine import DockerEngine
    from opsconsole.sources.host import HostSampler
    from opsconsole.sources.http import HttpProbes
    from opsconsole.sources.logs import DockerLogs
    from opsconsole.stack.discover import StackDiscovery

    engine = DockerEngine()
    history = None if read_only else directory / STATE_DIRECTORY / "disk-history.json"
    discovery = StackDiscovery(directory, config, engine=engine, project=project)
    return Sources(
        stack=discovery,
        engine=engine,
        host=HostSampler(DiskHistory(history), names={str(directory): "stack"}),
        databases=Databases(discovery.connections),
        probes=HttpProbes(),
        backups=Catalog(),
        logs=DockerLogs(),
    )
