"""The acts of a restore. Each looks at what is kept of it (`restore_state`) and may be run again after a kill."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

from opsconsole.backups.encryption import Keys
from opsconsole.backups.faults import Level
from opsconsole.backups.opening import open_backup
from opsconsole.backups.progress import Cancelled, Told
from opsconsole.backups.verifying import verify
from opsconsole.durable import replace_private
from opsconsole.model import SourceError
from opsconsole.operations import (
    acts,
    backup_acts,
    restore_files,
    restore_moment,
    restore_mongo,
    restore_redis,
    restore_state,
)
from opsconsole.operations.acts import Fields, Operation
from opsconsole.operations.backup_acts import in_bytes
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.restore_servers import FILES, MONGO, REDIS, chosen, only, order_of, room
from opsconsole.operations.restore_state import CLEARED, SETTLED
from opsconsole.operations.steps import step

_PIECES: dict[str, ModuleType] = {MONGO: restore_mongo, REDIS: restore_redis, FILES: restore_files}


def check(operation: Operation, one: Step) -> Fields:
    """Act.CHECK_BACKUP: every byte of it is read, before anything is touched. What an earlier restore left goes."""
    order = order_of(operation)
    found = operation.scope()
    for left in restore_state.uncleared(operation.directory):
        _clear(found, left)
    home = restore_state.home(operation.place)
    backup = chosen(backup_acts.listed(found), order)
    scratch = home / "opened"
    if scratch.is_dir():
        shutil.rmtree(scratch)
    scratch.mkdir(mode=0o700)
    keys = private_keys(operation.config)
    told = _stoppable(operation)
    try:
        opened = open_backup(backup, scratch, room(scratch), keys=keys, told=told)
        if order.slices:
            _check_slices(found, order, keys, told)
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    opened = only(opened, order)
    if opened.identity != order.identity:
        raise SourceError(f"the backup {backup.id} is another one than the plan was made of", "Look at the plan again.")
    restore_state.write(home, "opened.json", opened)
    return {"text": f"{backup.id}: every document, key and file was read"}


def put_together(operation: Operation, one: Step) -> Fields:
    """Act.PUT_TOGETHER: the database as it was at a second becomes the archive that is restored."""
    home, found, order = restore_state.home(operation.place), operation.scope(), order_of(operation)
    try:
        opened, said = restore_moment.put_together(operation, home, found, order)
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    restore_state.write(home, "opened.json", opened)
    return {"text": said}


def load(operation: Operation, one: Step) -> Fields:
    """Act.LOAD: beside the live data, which is not touched, and compared with what the backup says."""
    home, found = restore_state.home(operation.place), operation.scope()
    kind = one.id.partition(":")[2]
    opened = restore_state.opened(home)
    try:
        text = _PIECES[kind].load(operation, home, found, opened)
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    return {"text": text}


def swap(operation: Operation, one: Step) -> Fields:
    """Act.SWAP: what was loaded takes the place of what is live, piece by piece; each is known before it is moved."""
    home, found = restore_state.home(operation.place), operation.scope()
    kind = one.id.partition(":")[2]
    opened = restore_state.opened(home)
    text = _PIECES[kind].swap(operation, home, found, opened)
    return {"text": text}


def swap_back(operation: Operation, one: Step) -> Fields:
    """Act.SWAP_BACK: what was live is live again. Nothing happens to what was not exchanged."""
    home, found = restore_state.home(operation.place), operation.scope()
    if settled := restore_state.settled(home):
        if settled == "new":
            raise SourceError(
                "the restore was done and what was there before is being removed: it cannot be exchanged back",
                "Finish it; then `opsconsole restore --undo` restores the safety backup.",
            )
        return {"text": "it is as it was before"}
    restore_files.back(home)
    restore_redis.back(operation, home, found)
    restore_mongo.back(home, found)
    return {"text": "every piece of data is the one that was there before"}


def clear_beside(operation: Operation, one: Step) -> Fields:
    """Act.CLEAR_BESIDE: the side that does not stay goes. From here on there is no exchange back."""
    home = restore_state.home(operation.place)
    if not restore_state.settled(home):
        side = "old" if one.id == "clear:old-stays" else "new"
        replace_private(home / SETTLED, side.encode())
    step("R05")
    _clear(operation.scope(), home)
    return {"text": "nothing lies beside the live data any more"}


def users(operation: Operation, one: Step) -> Fields:
    """Act.USERS: users and roles of MongoDB as the backup has them."""
    home = restore_state.home(operation.place)
    return {"text": restore_mongo.users(operation, home, operation.scope(), restore_state.opened(home))}


ACTS: dict[Act, acts.Act] = {
    Act.CHECK_BACKUP: check,
    Act.PUT_TOGETHER: put_together,
    Act.LOAD: load,
    Act.SWAP: swap,
    Act.SWAP_BACK: swap_back,
    Act.CLEAR_BESIDE: clear_beside,
    Act.USERS: users,
}


def _clear(found: Scope, home: Path) -> None:
    restore_files.clear(home)
    restore_redis.clear(home, found)
    restore_mongo.clear(home, found)
    shutil.rmtree(home / "opened", ignore_errors=True)
    replace_private(home / CLEARED, b"")


def _stoppable(operation: Operation) -> Told:
    """Tells watchers of what is read, and raises Cancelled when somebody asked for an end."""
    told = in_bytes(operation)

    def hear(what: str, done: int, total: int) -> None:
        if operation.cancel():
            raise Cancelled
        told(what, done, total)

    return hear


def _check_slices(found: Scope, order: RestoreOrder, keys: Keys, told: Told) -> None:
    for name in order.slices:
        seen = verify(found.directory / name, Level.PARSED, told=told, keys=keys)
        if seen.faults:
            raise SourceError(f"the incremental backup {name} is not right: {seen.faults[0]}", "Choose another moment.")
