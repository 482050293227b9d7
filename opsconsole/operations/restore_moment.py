"""MongoDB as it was at a second: a full backup and the slices after it, put together in a throw-away server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from opsconsole.backups import manifest
from opsconsole.backups.mongo_part import held_collections
from opsconsole.backups.opening import Opened
from opsconsole.backups.oplog_replaying import Replayed
from opsconsole.backups.point_in_time import Held, materialise
from opsconsole.backups.progress import Cancelled
from opsconsole.backups.reading import Corrupt
from opsconsole.model import SourceError
from opsconsole.operations import restore_state
from opsconsole.operations.acts import Operation
from opsconsole.operations.backup_keys import private_keys, recipients
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.restore_servers import MONGO, in_documents
from opsconsole.sources.throwaway import Wanted, throwaway

_ROOM = 3  # times the documents: loaded, with indexes, and written again
_RESERVE = 512 << 20


def put_together(operation: Operation, home: Path, found: Scope, order: RestoreOrder) -> tuple[Opened, str]:
    """What is restored in place of the full backup, and what was done. Raises SourceError and Cancelled."""
    opened = restore_state.opened(home)
    (base_part,) = (one for one in opened.parts if one.kind == MONGO)
    base = _held(found.directory / order.backup, base_part.name)
    slices = [_held(found.directory / name, base_part.name) for name in order.slices]
    to = recipients(operation.config)  # what is encrypted in a backup is not left open for the time of a restore
    target = home / "opened" / f"mongodb.archive.gz{to.suffix}"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.unlink(missing_ok=True)  # of an attempt that was cut off
    images = {one.service: one.image_id or one.image for one in found.look.containers}
    service = next((one.target.service for one in found.connections if one.target.name == base_part.name), "")
    wanted = Wanted(
        kind="mongodb",
        image=images.get(service, ""),
        version=base.part.server.rpartition(" ")[2],
        disk=_ROOM * base.part.content_size + _RESERVE,
        operation=operation.place.name,
    )
    assert order.at is not None
    try:
        with throwaway(wanted, home / "opened", _waiting(operation)) as server:
            made = materialise(
                base,
                slices,
                order.at,
                server.connection,
                target,
                recipients=to,
                keys=private_keys(operation.config),
                progress=in_documents(operation),
                cancelled=lambda: bool(operation.cancel()),
            )
    except Corrupt as fault:
        raise SourceError(fault.problem, "Choose another moment. The live data was not touched.") from None
    part = msgspec.structs.replace(
        base_part,
        path=str(target),
        collections=held_collections(made.saved),
        size=sum(one.bytes for one in made.saved.collections),
    )
    others = tuple(part if one.kind == MONGO else one for one in opened.parts)
    return msgspec.structs.replace(opened, parts=others), _said(server.words, made.replayed)


def _said(where: str, done: Replayed) -> str:
    open_ones = f"; {done.unfinished} transactions were open then and left out" if done.unfinished else ""
    return f"in {where}: {done.entries:,} entries of the oplog applied{open_ones}"


def _held(directory: Path, name: str) -> Held:
    parts = [one for one in manifest.read(directory).parts if one.kind == MONGO and one.name == name]
    if len(parts) != 1:
        raise SourceError(f"{directory.name} has no MongoDB part {name}", "Choose another moment.")
    return Held(directory, parts[0])


def _waiting(operation: Operation) -> Callable[[], None]:
    def waiting() -> None:
        if operation.cancel():
            raise Cancelled

    return waiting
