"""Redis in a restore: all databases loaded beside and exchanged in one transaction, or single keys given back."""

from __future__ import annotations

from pathlib import Path

from opsconsole.backups.encryption import Keys
from opsconsole.backups.opening import Opened, OpenPart, open_backup
from opsconsole.backups.rdb import Wanted
from opsconsole.model import SourceError
from opsconsole.operations import backup_acts, restore_redis_files, restore_state
from opsconsole.operations.acts import Operation
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.restore_servers import REDIS, chosen, in_keys, kept, order_of, pairs
from opsconsole.operations.saving import reachable
from opsconsole.operations.steps import step


def _selective(order: RestoreOrder) -> bool:
    return bool(order.redis_databases or order.redis_keys)


def load(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """Into empty databases beside the live ones; single keys need nothing beside. Raises SourceError."""
    from opsconsole.backups import redis_loading

    if _selective(order_of(operation)):
        return "single keys are given back in place"
    said = []
    keys = private_keys(operation.config)
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        if connection.target.name in order_of(operation).redis_by_files:
            said.append(restore_redis_files.load(operation, home, part, connection))
            continue
        uri, path = reachable(connection).uri, Path(part.path)
        beside = restore_state.redis(home, connection.target.name)
        if beside is None:
            beside = redis_loading.look(uri, path, home.name, keys)
            restore_state.write(home, f"redis-{connection.target.name}.json", beside)
        loaded = redis_loading.load(uri, path, beside, keys=keys, told=in_keys(operation))
        said.append(
            f"{sum(loaded.restored.values()):,} keys, {sum(loaded.expired.values()):,} had expired; the values of "
            f"{loaded.compared:,} compared"
        )
    return "; ".join(said)


def swap(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """All databases change places in one transaction, or the chosen keys are given back. Raises SourceError."""
    from opsconsole.backups import redis_loading
    from opsconsole.backups.redis_giving import restore_keys
    from opsconsole.backups.redis_patterns import selected

    order = order_of(operation)
    said = []
    keys = private_keys(operation.config)
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        if connection.target.name in order.redis_by_files:
            said.append(restore_redis_files.swap(operation, home, part, connection))
            continue
        uri, path = reachable(connection).uri, Path(part.path)
        if _selective(order):
            wanted = selected(order.redis_databases, order.redis_keys)
            if order.undoes:
                _remove_given(operation.place.parent / order.undoes, part, uri, wanted, keys)
            loaded = restore_keys(uri, path, wanted, replace=True, keys=keys, told=in_keys(operation))
            said.append(f"{sum(loaded.restored.values()):,} keys given back")
            continue
        beside = restore_state.redis(home, connection.target.name)
        if beside is None:
            raise SourceError("the backup is not loaded beside the live data", "Finish the restore from its beginning.")
        redis_loading.swap(uri, path, beside, keys)
        said.append(f"{len(beside.pairs)} databases exchanged")
    step("R02")
    return "; ".join(said)


def _remove_given(undone: Path, part: OpenPart, uri: str, wanted: Wanted, keys: Keys) -> None:
    """What the restore that is undone had given back, and was not there before."""
    from opsconsole.backups.redis_giving import remove_keys

    for given in restore_state.opened(restore_state.home(undone)).parts:
        if given.kind == REDIS and given.name == part.name:
            remove_keys(uri, Path(given.path), wanted, keys)


def back(operation: Operation, home: Path, found: Scope) -> None:
    """What was live is live again, single keys from the safety backup. Raises SourceError."""
    from opsconsole.backups import redis_loading

    for server, connection in kept(home, found, REDIS):
        beside = restore_state.redis(home, server)
        if beside is not None:
            redis_loading.undo(connection.uri, beside)
            step("R03")
    for server in restore_state.servers(home, "planted"):
        restore_redis_files.back(operation, home, server)
    if _selective(order_of(operation)):
        _keys_back(operation, home, found)


def _keys_back(operation: Operation, home: Path, found: Scope) -> None:
    """Keys that were given back go, and those that were there come from the safety backup."""
    from opsconsole.backups.redis_giving import remove_keys, restore_keys
    from opsconsole.backups.redis_patterns import selected

    order = order_of(operation)
    safety = backup_acts.made_by(operation.place)
    opened = restore_state.read(home, "opened.json", Opened)
    if not safety or opened is None:
        return  # nothing was given back before both were there
    backup = chosen(backup_acts.listed(found), RestoreOrder(backup=safety))
    keys = private_keys(operation.config)
    before = open_backup(backup, home, 0, check=False, keys=keys)
    wanted = selected(order.redis_databases, order.redis_keys)
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        uri = reachable(connection).uri
        remove_keys(uri, Path(part.path), wanted, keys)
        for old, _ in pairs(before.parts, [connection], REDIS):
            restore_keys(uri, Path(old.path), wanted, replace=True, keys=keys)


def clear(home: Path, found: Scope) -> None:
    """Remove what lies beside: the old data after the exchange, what was loaded before it."""
    from opsconsole.backups import redis_loading

    for server, connection in kept(home, found, REDIS):
        beside = restore_state.redis(home, server)
        if beside is not None:
            redis_loading.drop(connection.uri, beside)
    for server in restore_state.servers(home, "planted"):
        restore_redis_files.clear(home, server)
