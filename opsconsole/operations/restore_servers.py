"""What every act of a restore needs to know: which part goes to which server, what was ordered, how far it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.backups.progress import Cancelled, Progress
from opsconsole.model import Backup, SourceError
from opsconsole.operations import restore_state
from opsconsole.operations.acts import Operation
from opsconsole.operations.backup_acts import in_bytes
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.saving import reachable
from opsconsole.sources.connection import Connection

MONGO, REDIS, FILES = "mongo", "redis", "files"
_TARGETS = {MONGO: "mongodb", REDIS: "redis"}


def chosen(backups: Sequence[Backup], order: RestoreOrder) -> Backup:
    """The backup of an order. Raises SourceError when it is gone."""
    for one in backups:
        if one.id == order.backup:
            return one
    raise SourceError(f"the backup {order.backup} is not there any more", "See `opsconsole backup list`.")


def only(opened: Opened, order: RestoreOrder) -> Opened:
    """Of a backup of several servers the parts that are meant: of the servers that are named, else of MongoDB those
    that have what was chosen. An undo names only those of the kinds that it has to choose from. Raises SourceError for
    a server that the backup does not have."""
    parts = [one for one in opened.parts if one.kind in _TARGETS]
    names = {one.name for one in parts}
    if (unknown := sorted(set(order.servers) - names)) and not order.undoes:
        raise SourceError(
            f"the backup has nothing of {', '.join(unknown)}", f"It has: {', '.join(sorted(names)) or 'no server'}."
        )
    kinds = {one.kind for one in parts if one.name in order.servers or not order.undoes}
    left = [one for one in parts if order.servers and one.kind in kinds and one.name not in order.servers]
    chosen = {*order.databases, *(path.partition(".")[0] for path in order.collections)}
    having = [one for one in parts if one.kind == MONGO and chosen <= {held.database for held in one.collections}]
    if chosen and having and not order.servers and not order.undoes:
        left = [one for one in parts if one.kind == MONGO and one not in having]
    return msgspec.structs.replace(opened, parts=tuple(one for one in opened.parts if one not in left))


def pairs(
    parts: Sequence[OpenPart], connections: Sequence[Connection], kind: str
) -> Iterator[tuple[OpenPart, Connection]]:
    """Each part with the server that it goes to: that of its name, or the only one of its kind. Raises SourceError."""
    servers = [one for one in connections if one.target.kind == _TARGETS[kind]]
    own = [one for one in parts if one.kind == kind]
    for part in own:
        found = [one for one in servers if one.target.name == part.name] or servers
        if len(found) != 1 or (len(own) > 1 and found[0].target.name != part.name):
            names = ", ".join(one.target.name for one in servers) or "none"
            raise SourceError(f"to which server {part.name} goes is not clear", f"This stack has: {names}.")
        yield part, found[0]


def kept(home: Path, found: Scope, kind: str) -> Iterator[tuple[str, Connection]]:
    """The servers that something is kept of, with the way to them. Raises SourceError for one that is gone."""
    names = {one.target.name: one for one in found.connections if one.target.kind == _TARGETS[kind]}
    for server in restore_state.servers(home, kind):
        if server not in names:
            raise SourceError(f"the server {server} is not among those of the stack any more", "Bring it back first.")
        yield server, reachable(names[server])


def order_of(operation: Operation) -> RestoreOrder:
    order = operation.plan.restore
    assert order is not None  # every plan with these acts has one
    return order


def room(place: Path) -> int:
    """Bytes that may be unpacked there, so that the disk does not fill up."""
    return max(0, shutil.disk_usage(place).free - (256 << 20))


def in_documents(operation: Operation) -> Callable[[Progress], None]:
    told = in_bytes(operation)
    return lambda now: told(now.collection, now.bytes, now.total_bytes)


def in_keys(operation: Operation) -> Callable[[int], None]:
    told = in_bytes(operation)

    def hear(keys: int) -> None:
        if operation.cancel():
            raise Cancelled
        told(f"{keys:,} keys", 0, 0)

    return hear


def in_files(operation: Operation, name: str) -> Callable[[str, int, int], None]:
    told = in_bytes(operation)

    def hear(path: str, members: int, size: int) -> None:
        if operation.cancel():
            raise Cancelled
        told(f"{name}/{path}", size, 0)

    return hear
