"""Makes a backup from what belongs into it: a saver for each part, in a directory that is published whole or not at
all."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from opsconsole import __version__
from opsconsole.backups import marks, publishing
from opsconsole.backups.encryption import Recipients
from opsconsole.backups.faults import Level
from opsconsole.backups.findings import counted
from opsconsole.backups.manifest import Manifest, PartKind
from opsconsole.backups.naming import file_word
from opsconsole.backups.packed_files import Packing
from opsconsole.backups.progress import Cancelled, Progress
from opsconsole.backups.publishing import Order, Saver, Surroundings
from opsconsole.backups.retention import suspicion
from opsconsole.config import Config
from opsconsole.model import Backup, BackupState, SourceError
from opsconsole.operations.backup_keys import recipients
from opsconsole.operations.backup_plans import chosen_kinds
from opsconsole.operations.backup_scope import Scope, configuration
from opsconsole.operations.orders import BackupOrder
from opsconsole.sources.connection import Connection

Told = Callable[[str, int, int], None]
"""Hears of what is being saved, and of bytes of about how many."""

_PLENTY = 64 << 20  # bytes that stay free on the disk of the backups


def save(
    found: Scope,
    config: Config,
    order: BackupOrder,
    *,
    earlier: Sequence[Backup] = (),
    told: Told = lambda what, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Manifest:
    """Make one backup. `earlier` are those that are there, newest first: they say how large one usually is.

    Raises SourceError when a part cannot be saved, Cancelled when `cancelled` says so; nothing is published then.
    """
    expected = _usual_size(earlier, order)
    progress = _Progress(told, cancelled)
    around = Surroundings(
        preflight=lambda: _refuse_full_disk(found.directory, expected),
        record=lambda made, place: _record(found.directory, made),
        disregarded=marks.misdated(found.directory),
    )
    return publishing.make(
        found.directory,
        Order(
            backup_class=order.backup_class,
            why=order.why,
            critical=order.critical,
            asked=tuple(_kind(one) for one in order.parts),
            stack=found.stack.name,
            host=socket.gethostname(),
            release=configuration(found).release,
            opsconsole=__version__,
            encrypted_to=recipients(config).keys,
        ),
        list(savers(found, config, order, progress, earlier)),
        around,
    )


def doubt(made: Manifest, earlier: Sequence[Backup]) -> str:
    """Why a backup that was just made is not believed; "" when it is."""
    like = [
        one.size_bytes
        for one in earlier
        if one.state is BackupState.GOOD and one.layout == "opsconsole" and not one.asked and one.id != made.id
    ]
    return "" if made.asked or made.incremental else suspicion(made.size, like)


def described(made: Manifest) -> str:
    """`20260131_020000: 42 collections, 12,345 documents, 1,204 keys, 312 files; 1.2 MB`."""
    collections = [one for part in made.parts for one in part.collections]
    keys = sum(one.keys for part in made.parts for one in part.keys)
    members = sum(part.members for part in made.parts)
    entries = [part.oplog.entries for part in made.parts if part.is_slice and part.oplog is not None]
    parts = [
        counted(sum(entries), "entry").replace("entrys", "entries") + " of the oplog" if entries else "",
        counted(len(collections), "collection") if collections else "",
        counted(sum(one.documents for one in collections), "document") if collections else "",
        counted(keys, "key") if any(part.kind == "redis" for part in made.parts) else "",
        counted(members, "entry").replace("entrys", "entries") if any(p.kind == "files" for p in made.parts) else "",
    ]
    return f"{made.id}: {', '.join(filter(None, parts)) or 'configuration'}; {made.size:,} bytes"


# --- one saver for each part -----------------------------------------------------------------------


def savers(
    found: Scope, config: Config, order: BackupOrder, progress: _Progress, earlier: Sequence[Backup] = ()
) -> Iterator[Saver]:
    """In the order in which they are saved."""
    if order.incremental:
        yield from _slices(found, recipients(config), progress, earlier)
        return
    kinds = chosen_kinds(found, order.parts)
    packing, to = Packing(config.backups.compression), recipients(config)
    if "mongo" in kinds:
        yield from _mongo(found, packing, to, progress, order.databases)
    if "redis" in kinds:
        yield from _redis(found, to, progress)
    if "files" in kinds:
        yield from _files(found, packing, to, progress)
    if "config" in kinds:
        yield _config(found, to)


def _mongo(
    found: Scope, packing: Packing, to: Recipients, progress: _Progress, databases: Sequence[str]
) -> Iterator[Saver]:
    from opsconsole.backups.mongo_catalog import Selection
    from opsconsole.backups.mongo_part import ARCHIVE, MongoSaver

    servers = [one for one in found.connections if one.target.kind == "mongodb"]
    for number, connection in enumerate(servers):
        target = connection.target
        # Beside the stack a server may have databases of others: theirs are theirs to save, and to restore.
        own = frozenset({target.database, *databases}) if target.database and not target.service else frozenset()
        yield MongoSaver(
            target.name,
            reachable(connection),
            file=ARCHIVE if not number else ARCHIVE.replace(".", f"-{file_word(target.name)}.", 1),
            packing=packing,
            recipients=to,
            selection=Selection(databases=own),
            progress=progress.mongo,
            cancelled=progress.cancelled,
        )


def _slices(found: Scope, to: Recipients, progress: _Progress, earlier: Sequence[Backup]) -> Iterator[Saver]:
    from opsconsole.backups.oplog_ranges import resume
    from opsconsole.backups.oplog_saving import SLICE, SliceSaver

    for number, connection in enumerate(one for one in found.connections if one.target.kind == "mongodb"):
        name = connection.target.name
        if connection.target.database and not connection.target.service:
            raise SourceError(
                f"of {name} only the database {connection.target.database} is saved, and an oplog is of a whole server",
                "Where the server is this stack's alone, say so: its address without a database, as uri of [mongodb].",
            )
        after = resume(earlier, name)
        if not after:
            raise SourceError(
                f"there is no full backup of {name} as a replica set that an incremental one could continue",
                "`opsconsole backup create` takes a full one; `opsconsole backup replica-set` makes a standalone "
                "server a set.",
            )
        yield SliceSaver(
            reachable(connection),
            after,
            file=SLICE if not number else SLICE.replace(".", f"-{file_word(name)}.", 1),
            recipients=to,
            progress=progress.mongo,
            cancelled=progress.cancelled,
        )


def _redis(found: Scope, to: Recipients, progress: _Progress) -> Iterator[Saver]:
    from opsconsole.backups.redis_saving import RedisSaver

    servers = [one for one in found.connections if one.target.kind == "redis"]
    for number, connection in enumerate(servers):
        target = connection.target
        yield RedisSaver(
            target.name if len(servers) > 1 else "redis",  # of several each goes back to the one of its name
            reachable(connection).uri,
            file="" if number else "redis",
            data_directory=_data_directory(found, target.service),
            recipients=to,
            told=progress.of_redis(target.name),
        )


def _data_directory(found: Scope, service: str) -> Path | None:
    """Where this host sees the files of a Redis, if it does."""
    from opsconsole.roles import REDIS, data_path

    for one in found.look.containers:
        for mount in one.mounts if one.service == service else ():
            if data_path(REDIS, mount.destination):
                known = found.look.engine_volumes.get(mount.name)
                path = known.path if known is not None else mount.source
                return Path(path) if path and os.access(path, os.R_OK) else None
    return None


def _files(found: Scope, packing: Packing, to: Recipients, progress: _Progress) -> Iterator[Saver]:
    from opsconsole.backups.files_part import FilesSaver

    left_out = (found.directory, Path(found.look.directory) / ".opsconsole")
    for place in found.places:
        yield FilesSaver(
            place.name,
            place.path,
            left_out=left_out,
            packing=packing,
            recipients=to,
            told=progress.of_files(place.name),
        )


def _config(found: Scope, to: Recipients) -> Saver:
    from opsconsole.backups.config_part import ConfigSaver

    known = configuration(found)
    return ConfigSaver(
        compose_files=known.compose_files,
        env_file=known.env_file,
        rendered=known.rendered,
        release=known.release,
        git_commit=known.commit,
        git_branch=known.branch,
        images=known.images,
        recipients=to,
    )


def reachable(connection: Connection) -> Connection:
    """The same server by the first of its addresses that lets us in; raises SourceError when there is no way at all."""
    import msgspec

    from opsconsole.sources.network import Explained

    if not connection.uri:
        raise Explained(
            f"{connection.target.name} cannot be reached: {connection.problem or 'no address is known'}",
            connection.hint,
        )
    for uri in (connection.uri, *connection.others):
        tried = msgspec.structs.replace(connection, uri=uri, others=())
        if not connection.others or _lets_in(tried):
            return tried
    return connection


def _lets_in(connection: Connection) -> bool:
    from opsconsole.sources.network import Explained

    try:
        if connection.target.kind == "redis":
            from opsconsole.backups.redis_link import linked

            with linked(connection.uri) as link:
                link.command("PING")
        else:
            from opsconsole.sources.mongo_bulk import bulk_client

            with bulk_client(connection) as client:
                client.admin.command("listDatabases", nameOnly=True)
    except (SourceError, Explained):
        return False
    return True


def _kind(name: str) -> PartKind:
    return name  # type: ignore[return-value]


# --- progress and room -----------------------------------------------------------------------------


class _Progress:
    """Passes on what the savers tell, each in its way, and hears when it shall stop."""

    def __init__(self, told: Told, cancelled: Callable[[], bool]) -> None:
        self._told = told
        self._asked = cancelled

    def cancelled(self) -> bool:
        return self._asked()

    def mongo(self, now: Progress) -> None:
        self._told(f"MongoDB {now.collection}, {now.documents:,} documents", now.bytes, now.total_bytes)

    def of_redis(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self._part(f"Redis {name}", done, total)

    def of_files(self, name: str) -> Callable[[str, int, int], None]:
        return lambda path, members, size: self._part(f"{name}/{path}", size, 0)

    def _part(self, what: str, size: int, total: int) -> None:
        if self._asked():
            raise Cancelled
        self._told(what, size, total)


def _usual_size(earlier: Sequence[Backup], order: BackupOrder) -> int:
    good = [one.size_bytes for one in earlier if one.state is BackupState.GOOD and one.asked == order.parts]
    return good[0] if good else 0


def _refuse_full_disk(directory: Path, expected: int) -> None:
    """Before the work and not after it. A disk that cannot be asked is no reason to take no backup."""
    place = next((one for one in (directory, *directory.parents) if one.is_dir()), None)
    try:
        free = shutil.disk_usage(place).free if place is not None else None
    except OSError:
        return
    if free is not None and free < expected + min(expected, _PLENTY):
        raise SourceError(
            f"the disk of {directory} has {free >> 20} MiB free and a backup takes about {expected >> 20} MiB",
            "Make room, or set [backups] directory to another disk.",
        )


def _record(directory: Path, made: Manifest) -> None:
    """Every byte was read again when it was published."""
    known = marks.read(directory, made.id)
    at = datetime.now(UTC)
    marks.write(directory, made.id, marks.checked(known, marks.Check(level=Level.HASHES, at=at)))
