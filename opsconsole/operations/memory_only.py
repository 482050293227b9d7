"""Redis servers that hold keys and save nothing: what a stop of theirs costs."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.config import Config
from opsconsole.model import DatabaseStatus, RedisStatus
from opsconsole.operations.facts import Look
from opsconsole.roles import role_of


def redis_in_memory_only(look: Look, config: Config) -> tuple[tuple[str, int], ...]:
    """(service, keys) of each Redis that holds keys and saves nothing: they are gone when it stops."""
    if not any(role_of(one.image, one.command) == "redis" for one in look.containers):
        return ()
    from opsconsole.sources.databases import Databases
    from opsconsole.stack.discover import StackDiscovery

    discovery = StackDiscovery(look.directory, config, project=look.name, drift=False)
    databases = Databases(discovery.connections)
    try:
        stack = discovery.look(look.containers)
        statuses = databases.look(stack, look.containers, collections=False)
    finally:
        databases.close()
    return kept_in_memory(statuses)


def kept_in_memory(statuses: Sequence[DatabaseStatus]) -> tuple[tuple[str, int], ...]:
    """(service, keys) of each Redis among them that holds keys and saves nothing."""
    return tuple(
        (status.target.service, keys)
        for status in statuses
        if isinstance(status, RedisStatus)
        and status.target.service
        and status.rdb_enabled is False
        and status.aof_enabled is False
        and (keys := sum(one.keys for one in status.keyspaces))
    )
