"""Words of the schedule to everybody of `[notify]`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime

from opsconsole.config import Config
from opsconsole.operations.site import Site
from opsconsole.schedule.records import Log


def tell(site: Site, config: Config, log: Log) -> Callable[..., bool]:
    """A function that tells everybody of [notify]; True when all were, or nobody wants to know."""

    def told(event: object, title: str, problem: str, hint: str, backup: str = "", kind: str = "") -> bool:
        from opsconsole import notifying

        assert isinstance(event, notifying.Event)
        if not notifying.is_wanted(config.notify, event) or not notifying.ways(config.notify):
            return True
        host, stack = socket.gethostname(), stack_name(site, config)
        message = notifying.message(
            event,
            f"{stack} on {host}: {title}",
            problem=problem,
            hint=hint,
            stack=stack,
            directory=str(site.directory),
            host=host,
            at=datetime.now(UTC),
            kind=kind,
            backup=backup,
            log=str(log.path),
        )
        problems = notifying.send(message, config, site.directory)
        for one in problems:
            log.line(f"could not tell: {one}")
        return not problems

    return told


def stack_name(site: Site, config: Config) -> str:
    """Name of the Compose project, found out without asking anybody."""
    from opsconsole.stack.discover import StackDiscovery

    name = site.project or config.stack.name
    return name or StackDiscovery(site.directory, config).first_look().name
