"""Whether a Redis whose databases are all in use can be restored by its data directory, and what its plan says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from opsconsole.backups import redis_loading, redis_planting
from opsconsole.backups.encryption import Keys
from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt, exactly
from opsconsole.backups.redis_link import linked
from opsconsole.backups.redis_planting import ServerFiles
from opsconsole.backups.swapping import Exchange
from opsconsole.model import Container, Mount, Record, SourceError
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Step
from opsconsole.operations.restore_servers import REDIS, pairs
from opsconsole.operations.saving import reachable
from opsconsole.sources.connection import Connection
from opsconsole.stack.address import THIS_HOST
from opsconsole.stack.discover import engine_host

STOP_SECONDS = 600
"""Redis saves before it ends: a kill in between would lose what it saves."""

_READS = (((7, 4), 12), ((7, 2), 11), ((7, 0), 10), ((5, 0), 9))
"""The newest RDB version that a server reads, by the release that it came with."""

_KNOWN_UNTIL = (8, 0)  # releases from here on are not judged
_BYTES_A_SECOND = 40_000_000  # that Redis reads at its start, low


class Planted(Record, frozen=True):
    """How it is done for one server. `exchanges` are () until everything is laid beside."""

    container: str  # its name
    data: str  # its data directory, as this host sees it
    files: ServerFiles
    exchanges: tuple[Exchange, ...] = ()


def ways(found: Scope, opened: Opened, order: RestoreOrder, keys: Keys) -> dict[str, tuple[Planted, int]]:
    """By server: the way, and about how many seconds Redis is away. Raises SourceError where there is none."""
    if REDIS not in order.parts or order.redis_databases or order.redis_keys:
        return {}
    looked = [
        (part, connection, look(found, part, connection, keys))
        for part, connection in pairs(opened.parts, found.connections, REDIS)
    ]
    return {
        connection.target.name: (way, 3 + os.path.getsize(part.path) // _BYTES_A_SECOND)
        for part, connection, way in looked
        if way is not None
    }


def said_in(steps: Iterable[Step], found: Mapping[str, tuple[Planted, int]]) -> Iterator[Step]:
    """The steps of a plan, those of Redis with what it takes."""
    for one in steps:
        if not found or one.id not in ("load:redis", "swap:redis"):
            yield one
            continue
        places = ", ".join(way.data for way, _ in found.values())
        if one.id == "load:redis":
            yield msgspec.structs.replace(one, effect=f"In {places}; the live files are not touched.")
            continue
        away = max(seconds for _, seconds in found.values())
        yield msgspec.structs.replace(
            one,
            commands=tuple(command for way, _ in found.values() for command in commands(way)),
            effect=f"Redis is stopped for about {away} s, and its files in {places} change places in between: all of "
            "its databases are in use, so nothing can be loaded beside them. Works with and without appendonly. What "
            "was set at run time (CONFIG SET) ends with it.",
        )


def look(found: Scope, part: OpenPart, connection: Connection, keys: Keys) -> Planted | None:
    """None where there is room beside the live databases. Raises SourceError where there is no way at all: it says
    what to do by hand."""
    uri = reachable(connection).uri
    if redis_loading.has_room(uri, [one.database for one in part.keys]):
        return None
    try:
        way = _way(found, connection, uri)
        _refuse_newer(part, way.files, keys)
        return way
    except SourceError as why:
        raise SourceError(
            f"all databases of the Redis {connection.target.name} are in use, so nothing can be loaded beside them, "
            f"and its data directory is no way: {why.problem}",
            "By hand: give it more (`--databases 64` in its command), `docker compose up -d` it, and restore again. Or "
            "restore some keys: --redis-db, --redis-key.",
        ) from None


def commands(planted: Planted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ones that stop and start it."""
    return ("docker", "stop", "-t", str(STOP_SECONDS), planted.container), ("docker", "start", planted.container)


def _way(found: Scope, connection: Connection, uri: str) -> Planted:
    own = [one for one in found.look.containers if one.service == connection.target.service]
    if not connection.target.service or len(own) != 1 or own[0].state != "running":
        raise SourceError("it does not run in one container of this stack")
    if engine_host(os.environ) != THIS_HOST:
        raise SourceError("the engine is on another host")
    with linked(uri) as link:
        info, directory = link.info(), link.setting("dir")
    if info.get("role") != "master" or info.get("cluster_enabled", "0") != "0":
        raise SourceError("it is a replica, or part of a cluster")
    if not directory:
        raise SourceError("it does not tell where its data directory is (CONFIG is forbidden)")
    data = _on_this_host(found, own[0], directory)
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise SourceError(f"{data} cannot be written by this user")
    files = redis_planting.server_files(uri)
    redis_planting.refuse(files)
    return Planted(container=own[0].name, data=str(data), files=files)


def _refuse_newer(part: OpenPart, files: ServerFiles, keys: Keys) -> None:
    """A server does not start on a file of a newer one."""
    try:
        with UnpackedFile(Path(part.path), keys=keys) as reader:
            version = int(exactly(reader, 9)[5:])
    except (Corrupt, OSError, ValueError) as error:
        raise SourceError(f"{part.name} cannot be read: {error}") from None
    server = tuple(int(number) for number in files.version.split(".")[:2] if number.isdigit())
    newest = next((known for since, known in _READS if server >= since), 0)
    if server < _KNOWN_UNTIL and version > newest:
        raise SourceError(f"Redis {files.version} does not read what a newer one wrote (RDB {version})")


def _on_this_host(found: Scope, container: Container, directory: str) -> Path:
    """Where a directory of a container is. Raises SourceError for one in the container's own layer."""
    mounts = [one for one in container.mounts if _below(directory, one)]
    if not mounts:
        raise SourceError(f"its directory {directory} is in no volume")
    mount = max(mounts, key=lambda one: len(one.destination))
    volume = found.look.engine_volumes.get(mount.name)
    source = mount.source if mount.kind == "bind" else volume.path if volume is not None else ""
    if not source or (volume is not None and (volume.driver not in ("", "local") or volume.options)):
        raise SourceError(f"its volume {mount.name or mount.destination} is not a directory of this host")
    return Path(source, os.path.relpath(directory, mount.destination))


def _below(directory: str, mount: Mount) -> bool:
    return mount.kind in ("bind", "volume") and Path(directory).is_relative_to(mount.destination)
