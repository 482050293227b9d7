"""The facts behind the score: servers are asked, mounts and backups looked at, twins started and thrown away.

Nothing live is changed. A twin that was left by a kill is removed by the next throw-away server that is started.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from opsconsole.backups.keeping import Keeping, keeping
from opsconsole.backups.proof import LiveServer
from opsconsole.backups.twin import ROOM, Twin, survives_restart
from opsconsole.config import Config
from opsconsole.model import Backup, Container, DatabaseTarget, SourceError
from opsconsole.operations import backup_acts, saving
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.site import Site
from opsconsole.persistence import timing
from opsconsole.persistence.facts import Database, Facts, Home
from opsconsole.sources.connection import Connection
from opsconsole.sources.host_disks import filesystem_of
from opsconsole.sources.network import place_of
from opsconsole.sources.throwaway import Wanted
from opsconsole.sources.volumes import EngineVolume

Told = Callable[[str], None]

OPERATION = "verify-persistence"
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_COMMS = {"mongodb": ("mongod",), "redis": ("redis-server", "valkey-server")}


def gather(site: Site, told: Told = lambda what: None) -> Facts:
    """Takes some seconds for each database. Raises SourceError when the stack cannot be looked at."""
    config = site.config()
    told("looking at the stack")
    found = site.scope()
    backups, problem = _backups(found)
    servers = {_named(one.connection): one for one in backup_acts.live_servers(found)}
    return Facts(
        stack=found.stack.name,
        databases=tuple(_database(one, found, config, servers.get(_named(one)), told) for one in found.connections),
        files=tuple(one.name for one in found.places),
        backups=backups,
        took=timing.took(site.directory, found.directory, backups),
        max_age_hours=config.backups.max_age_hours,
        proven_days=config.persistence.proven_days,
        backups_problem=problem,
    )


def _named(connection: Connection) -> tuple[str, str]:
    """Two of different kinds may have the same name: `host`, where neither runs in a container."""
    return connection.target.kind, connection.target.name


def _backups(found: Scope) -> tuple[tuple[Backup, ...], str]:
    try:
        return backup_acts.listed(found), ""
    except SourceError as error:
        return (), error.problem


# --- a database --------------------------------------------------------------------------------------


def _database(connection: Connection, found: Scope, config: Config, live: LiveServer | None, told: Told) -> Database:
    target = connection.target
    if is_cache(target, config):
        return Database(kind=target.kind, name=target.name, cache=True)
    told(f"asking {target.name} where it writes")
    said = _asked(connection)
    container = next((one for one in found.look.containers if target.service and one.service == target.service), None)
    where = home(connection, container, said)
    told(f"restarting a throw-away twin of {target.name}")
    wanted = Wanted(
        kind=target.kind,
        image=live.image if live is not None else "",
        version=said.program.rpartition(" ")[2],
        disk=ROOM,
        options=said.options,
        operation=OPERATION,
    )
    mounts = container.mounts if container is not None else ()
    volumes = found.look.engine_volumes
    return Database(
        kind=target.kind,
        name=target.name,
        home=where,
        keeping=said,
        mounts=mounts,
        memory_volumes=tuple(one.name for one in mounts if one.name in volumes and in_memory(volumes[one.name])),
        filesystem=_filesystem(where, said.directory, container),
        # Where it is not known how it keeps its data, a twin would keep it in another way and prove nothing.
        twin=survives_restart(wanted, _scratch(found)) if said.lasts is not None else _no_twin(said),
    )


def is_cache(target: DatabaseTarget, config: Config) -> bool:
    """Whether the settings say that it may lose everything. One that is in no container is called by its kind."""
    return target.kind == "redis" and (target.service or target.kind) in config.persistence.caches


def _no_twin(said: Keeping) -> Twin:
    return Twin(problem=said.problem or "how it keeps its data is not known", hint=said.hint)


def _asked(connection: Connection) -> Keeping:
    try:
        return keeping(saving.reachable(connection))
    except SourceError as error:
        return Keeping(problem=error.problem, hint=error.hint)


def home(connection: Connection, container: Container | None, said: Keeping) -> Home:
    if container is not None:
        return Home.CONTAINER
    here = runs_here(connection.target.kind, said.process)
    place = place_of(connection.uri)
    near = connection.uri.startswith("unix://") or (place.rpartition(":")[0] or place) in _HERE
    return Home.HOST if here or (here is None and near) else Home.ELSEWHERE


def runs_here(kind: str, process: int | None) -> bool | None:
    """Whether the process of that number is such a server: the number that a server tells is one of its own host, or
    container. None when that cannot be told: an address of this host may lead through a tunnel."""
    try:
        if process is None or not Path("/proc/1/comm").read_text():
            return None
    except OSError:
        return None  # only root sees the processes of others
    try:
        return Path(f"/proc/{process}/comm").read_text().strip() in _COMMS.get(kind, ())
    except OSError:
        return False


def in_memory(volume: EngineVolume) -> bool:
    """A volume of the local driver may be memory: its options say so."""
    return volume.options.get("type", "") in ("tmpfs", "ramfs")


def _filesystem(home: Home, directory: str, container: Container | None) -> str:
    """Of the directory on this host: of a container's, where its mount lies."""
    from opsconsole.persistence.scoring import holding

    if not directory or home is Home.ELSEWHERE:
        return ""
    if home is Home.HOST:
        return filesystem_of(directory)
    mount = holding(directory, container.mounts if container is not None else ())
    return filesystem_of(mount.source) if mount is not None and mount.source else ""


def _scratch(found: Scope) -> Path:
    """Where a twin that is a program of this host has its files: beside the backups, where there is room."""
    place = found.directory
    return place if os.access(place, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
