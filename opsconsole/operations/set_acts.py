"""The acts of a conversion to a replica set and of the way back. Each looks at what is there, and may be run again."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path

import msgspec

from opsconsole.backups import replica_set_making
from opsconsole.backups.mongo_live import live_collections
from opsconsole.durable import open_private, replace_private, sync_directory, write_all
from opsconsole.model import SourceError
from opsconsole.operations import acts, backup_scope, guard, replica_sets, restore_state
from opsconsole.operations.acts import Fields, Operation
from opsconsole.operations.census import Census, DatabaseSeen
from opsconsole.operations.file_acts import digest
from opsconsole.operations.orders import SetOrder
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.release_making import of_service
from opsconsole.operations.replacing import mend, order
from opsconsole.operations.saving import reachable
from opsconsole.operations.steps import step
from opsconsole.sources.connection import Connection

KEY, LEFT = "set-key.sha256", "set-left"
_ANSWER_SECONDS = 180.0
_POLL_SECONDS = 0.3
_KEY_BYTES = 756


def make_key(operation: Operation, one: Step) -> Fields:
    """Act.MAKE_KEY. Its hash is kept beside the journal, so that only ours is ever removed."""
    wanted = _order(operation)
    path = operation.directory / wanted.key
    known = restore_state.home(operation.place) / KEY
    if not os.path.lexists(path):
        data = base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n"
        new = path.with_name(f".{path.name}.opsconsole-new")
        new.unlink(missing_ok=True)
        fd = open_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(fd, data)
            if os.geteuid() == 0:
                os.fchown(fd, wanted.user, wanted.group)
            os.fchmod(fd, 0o400)
            os.fsync(fd)
        finally:
            os.close(fd)
        replace_private(known, digest(new).encode())
        new.rename(path)
        sync_directory(path.parent)
    elif not _is_ours(path, known):
        raise SourceError(f"{path} was made by somebody else meanwhile", "Move it away, then look again.")
    step("V01")
    return {"text": f"{wanted.key} is there, mode 0400"}


def remove_key(operation: Operation, one: Step) -> Fields:
    """Act.REMOVE_KEY: of the conversion, unless somebody has put another one there."""
    wanted = _order(operation)
    path = operation.directory / wanted.key
    place = operation.place.parent / wanted.undoes if wanted.undoes else operation.place
    known = restore_state.home(place) / KEY
    path.with_name(f".{path.name}.opsconsole-new").unlink(missing_ok=True)
    if not os.path.lexists(path):
        return {"text": "there is none"}
    if not _is_ours(path, known):
        raise SourceError(f"{path} is not the key that was made, and stays", "Look at it.")
    path.unlink()
    sync_directory(path.parent)
    return {"text": f"{wanted.key} is gone"}


def renew(operation: Operation, one: Step) -> Fields:
    """Act.RENEW: Compose makes the container anew, where the configuration is another one."""
    (service,) = one.services
    mend(operation, service)
    return acts.run_commands(operation, one)


def initiate(operation: Operation, one: Step) -> Fields:
    """Act.INITIATE. Nothing happens on a server that is a member already, but that its primary is waited for."""
    wanted = _order(operation)
    connection = _answering(operation, wanted)
    name = replica_set_making.initiate(connection, wanted.member, initiated=lambda: step("V02"))
    return {"text": f"{wanted.server} is the set {name}, reached as {wanted.member}, and takes writes"}


def leave_set(operation: Operation, one: Step) -> Fields:
    """Act.LEAVE_SET: a standalone server that remembers nothing. It is started anew once it has forgotten."""
    wanted = _order(operation)
    mark = restore_state.home(operation.place) / LEFT
    connection = _answering(operation, wanted)
    if replica_set_making.remembers(connection):
        replace_private(mark, b"")  # a kill after it has forgotten must not leave it as it was started
    elif not mark.exists():
        return {"text": f"{wanted.server} is a standalone server"}
    replica_set_making.forget(connection)
    step("V03")
    names = [container.name for container in of_service(operation.containers(), wanted.service)]
    order(operation, ("docker", "restart", *names))
    _answering(operation, wanted)
    mark.unlink()
    return {"text": f"{wanted.server} is a standalone server and has forgotten its set"}


def compare_data(operation: Operation, one: Step) -> Fields:
    """Act.COMPARE_DATA: with the guard's count of before. A collection that is gone is a failure; fewer documents are
    the guard's to tell, as applications go on."""
    wanted = _order(operation)
    before = _before(restore_state.home(operation.place), wanted.server)
    if before is None or before.problem:
        return {"text": f"not compared: {before.problem if before else 'nothing was counted before'}"}
    live = live_collections(_answering(operation, wanted))
    there = {(found.database, found.name): found.documents or 0 for found in live}
    held = {
        (database, name): documents or 0
        for database, names in before.collections.items()
        for name, documents in names.items()
        if not name.startswith("system.")
    }
    if gone := sorted(held.keys() - there.keys()):
        names = ", ".join(f"{database}.{name}" for database, name in gone[:5])
        raise SourceError(f"{len(gone)} collections of before are not there: {names}", "Is it another data directory?")
    said = f"all {len(held)} collections are there, {sum(there[key] for key in held):,} documents"
    return {"text": f"{said} ({sum(held.values()):,} before)"}


ACTS: dict[Act, acts.Act] = {
    Act.MAKE_KEY: make_key,
    Act.REMOVE_KEY: remove_key,
    Act.RENEW: renew,
    Act.INITIATE: initiate,
    Act.LEAVE_SET: leave_set,
    Act.COMPARE_DATA: compare_data,
}


def _order(operation: Operation) -> SetOrder:
    wanted = operation.plan.replica_set
    assert wanted is not None  # every plan with these acts has one
    return wanted


def _is_ours(path: Path, known: Path) -> bool:
    try:
        return digest(path) == known.read_text()
    except OSError:
        return False


def _answering(operation: Operation, wanted: SetOrder) -> Connection:
    """The way to the server as it is now: a container that was made anew may have another address. Waits for a server
    that starts. Raises SourceError."""
    end = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            found = backup_scope.scope(operation.directory, operation.config, project=operation.project)
            connection = reachable(replica_sets.server(found, wanted.server))
            replica_set_making.knock(connection)
            return connection
        except SourceError:
            if time.monotonic() > end or operation.cancel():
                raise
            time.sleep(_POLL_SECONDS)


def _before(home: Path, server: str) -> DatabaseSeen | None:
    try:
        census = msgspec.json.decode((home / guard.BEFORE).read_bytes(), type=Census)
    except (OSError, msgspec.MsgspecError):
        return None
    return next((one for one in census.databases if (one.kind, one.name) == ("mongodb", server)), None)
