"""Collections as JSON: out of a backup or the live database, and back by an operation with a safety backup."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from opsconsole.backups.faults import BadBackup
from opsconsole.backups.mongo_json import Exported, Form, JsonSource, LiveDump, NewFile, Stream, Target, export_json
from opsconsole.backups.naming import named
from opsconsole.backups.opening import Opened, open_backup
from opsconsole.backups.progress import Cancelled, Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.config import Config
from opsconsole.model import BackupClass, Record, SourceError
from opsconsole.operations import acts, backup_acts, backup_plans
from opsconsole.operations.acts import Fields, Operation
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_plans import MAY_TAKE_SECONDS
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import BackupOrder, ImportOrder
from opsconsole.operations.places import state_directory
from opsconsole.operations.plan import Act, DataEffect, Effect, Kind, Plan, Step
from opsconsole.operations.restore_servers import MONGO, in_documents, room
from opsconsole.operations.saving import reachable
from opsconsole.sources.connection import Connection
from opsconsole.sources.throwaway_places import private_directory


class Wanted(Record, frozen=True):
    """What is exported. `backup` "" is the live database; `paths`: "database.collection"; `server`: its name, "" for
    the only one that has them."""

    backup: str
    paths: tuple[str, ...]
    server: str = ""
    form: Form = Form()
    replace: bool = False


def export(found: Scope, config: Config, wanted: Wanted, where: Path | BinaryIO) -> dict[str, tuple[str, Exported]]:
    """Write each collection, and say into which file and how much. All are written, or of files none stays.

    Raises SourceError.
    """
    files: dict[str, str] = {}

    def target(path: str) -> Callable[[], Target]:
        if not isinstance(where, Path):
            return lambda: Stream(where)
        file = where / f"{path}.json" if where.is_dir() or len(wanted.paths) > 1 else where
        files[path] = str(file)
        return lambda: NewFile(file, replace=wanted.replace)

    targets = {path: target(path) for path in wanted.paths}
    watch = Watch(None, None)
    try:
        if not wanted.backup:
            from opsconsole.sources.mongo_bulk import bulk_client

            databases = {path.partition(".")[0] for path in wanted.paths}
            with bulk_client(reachable(server(found, wanted.server, databases))) as client:
                done = export_json(LiveDump(client, wanted.paths), targets, watch, wanted.form)
        else:
            done = _of_backup(found, config, wanted, targets, watch)
    except OSError as error:
        raise SourceError(
            f"{error.filename or where} cannot be written: {error.strerror}", "Nothing was kept."
        ) from None
    return {path: (files.get(path, ""), one) for path, one in done.items()}


def _of_backup(
    found: Scope, config: Config, wanted: Wanted, targets: dict[str, Callable[[], Target]], watch: Watch
) -> dict[str, Exported]:
    from opsconsole.backups.mongo_dumps import open_dump

    backup = named(backup_acts.listed(found), wanted.backup)
    keys = private_keys(config)
    with private_directory(state_directory(Path(found.look.directory))) as scratch:
        try:
            opened = open_backup(backup, scratch, room(scratch), check=False, keys=keys)
            with open_dump(Path(_part(opened, wanted)), keys) as dump:
                return export_json(dump, targets, watch, wanted.form)
        except Corrupt as fault:
            hint = "Verify it: `opsconsole backup verify`."
            raise BadBackup(f"the backup {backup.id} {fault.problem}", hint) from None


def _part(opened: Opened, wanted: Wanted) -> str:
    """Of the server that is named, or the only one that has the collections. Raises SourceError."""
    parts = {one.name: one for one in opened.parts if one.kind == MONGO}
    paths = set(wanted.paths)
    having = [one for one in parts if paths <= {f"{held.database}.{held.name}" for held in parts[one].collections}]
    return parts[_one_of(list(parts), wanted.server, having, f"the backup {opened.id}")].path


def server(found: Scope, name: str = "", databases: Collection[str] = ()) -> Connection:
    """The stack's MongoDB of that name; without one the only one, or of several the only one that has the databases.

    Raises SourceError when none or more than one is meant.
    """
    servers = {one.target.name: one for one in found.connections if one.target.kind == "mongodb"}
    having = [] if name or len(servers) < 2 else [one for one in servers if _has(servers[one], databases)]
    return servers[_one_of(list(servers), name, having, "this stack")]


def _has(connection: Connection, databases: Collection[str]) -> bool:
    from opsconsole.backups.mongo_live import names
    from opsconsole.sources.mongo_bulk import bulk_client

    with bulk_client(reachable(connection)) as client:
        return set(databases) <= set(names(client, databases, connection.target.database))


def _one_of(names: Sequence[str], wanted: str, having: Sequence[str], whose: str) -> str:
    """`having`: of several those that have what is asked for."""
    if wanted in names:
        return wanted
    said = ", ".join(sorted(names))
    if wanted:
        raise SourceError(f"{whose} has no MongoDB server {wanted}", f"It has: {said or 'none'}.")
    left = names if len(names) == 1 else having
    if len(left) == 1:
        return left[0]
    if not names:
        raise SourceError(f"{whose} has no MongoDB server", "See `opsconsole status`.")
    which = f"{len(left)} of them have" if left else "none of them has"
    raise SourceError(
        f"{whose} has {len(names)} MongoDB servers, and {which} all of what is asked for",
        f"Name one with --server: {said}." if left else f"Ask for what one of them has: {said}.",
    )


# --- import ----------------------------------------------------------------------------------------


def import_plan(found: Scope, order: ImportOrder) -> Plan:
    """A safety backup of MongoDB, then the documents. Raises SourceError."""
    from opsconsole.backups.json_reading import ObjectIds
    from opsconsole.backups.mongo_importing import identity
    from opsconsole.backups.mongo_names import wrong_name

    if wrong := wrong_name(order.database):
        raise SourceError(f"nothing can be imported into {order.database}", wrong)
    file = Path(order.path)
    if not file.is_file():
        raise SourceError(f"{file} is no file", f"ls -l {file}")
    safety = BackupOrder(
        backup_class=BackupClass.SAFETY,
        why=f"before the import into {order.database}.{order.collection}",
        parts=(MONGO,),
    )
    words = {
        "new": "The collection must have no documents.",
        "add": "Beside the documents that are there; none of them is touched.",
        "upsert": "A document with the same _id is replaced.",
    }
    replaces = order.mode == "upsert"
    to = server(found, order.server, (order.database,))
    order = msgspec.structs.replace(order, server=to.target.name, file=identity(file), ids=ObjectIds().base)
    return Plan(
        kind=Kind.IMPORT,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,
        steps=(
            backup_plans.save_step(found, safety, act=Act.SAFETY_BACKUP),
            Step(
                id="import",
                title=f"Import {Path(order.path).name} into {order.database}.{order.collection}",
                act=Act.IMPORT,
                effect=f"The file is read to its end first. {words[order.mode]}",
                seconds=MAY_TAKE_SECONDS,
            ),
        ),
        data=(
            DataEffect(
                name=to.target.name,
                what="MongoDB",
                effect=Effect.REPLACED if replaces else Effect.BACKED_UP,
                why=words[order.mode] if replaces else "",
                database="mongodb" if replaces else "",
            ),
        ),
        notes=(f"{file} has {file.stat().st_size:,} bytes; {_there_now(to, order)}",),
        backup=safety,
        imports=order,
    )


def _there_now(to: Connection, order: ImportOrder) -> str:
    """How many documents the collection has before. Raises SourceError when the server does not answer."""
    from opsconsole.backups.mongo_live import live_collections

    path = f"{order.database}.{order.collection}"
    live = live_collections(reachable(to), (order.database,))
    documents = next((one.documents for one in live if one.name == order.collection), None)
    return f"{path} is not there yet" if documents is None else f"{path} has {documents:,} documents now"


def run(operation: Operation, one: Step) -> Fields:
    """Act.IMPORT."""
    from opsconsole.backups.mongo_importing import Mode, identity, import_json
    from opsconsole.sources.mongo_bulk import bulk_client

    order = operation.plan.imports
    assert order is not None  # every plan with this act has one
    source = JsonSource(path=Path(order.path), database=order.database, name=order.collection)
    if not source.path.is_file() or identity(source.path) != order.file:
        hint = "Make the plan anew."
        if operation.plan.resolves:  # a part of the file as it was may be in the collection
            where = f"{order.database}.{order.collection}"
            hint = f"Its safety backup holds what was there before: `opsconsole restore ID --collection {where}`."
        raise SourceError(f"{source.path.name} is not as it was when the plan was made", hint)
    watch = Watch(in_documents(operation), lambda: bool(operation.cancel()))
    try:
        with bulk_client(reachable(server(operation.scope(), order.server)), answer_seconds=None) as client:
            done = import_json(
                client, source, watch, Mode(order.mode),
                keys=private_keys(operation.config), ids=order.ids, goes_on=bool(operation.plan.resolves),
            )  # fmt: skip
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    return {"text": f"{done.added:,} documents added, {done.replaced:,} replaced"}


ACTS: dict[Act, acts.Act] = {Act.IMPORT: run}
