"""Plans for what is done to a database server by hand: an operation ended, collections validated, an index built anew,
Redis emptied."""

from __future__ import annotations

from pathlib import Path

from opsconsole.backups.findings import counted
from opsconsole.database_work import RedisClient
from opsconsole.model import BackupClass, DatabaseTarget, RunningOperation, SourceError
from opsconsole.operations import backup_plans
from opsconsole.operations.backup_plans import MAY_TAKE_SECONDS
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.beginning import begin
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import BackupOrder, DatabaseOrder
from opsconsole.operations.plan import Act, Basis, DataEffect, Effect, Kind, Plan, Step
from opsconsole.operations.site import Site
from opsconsole.sources.connection import Connection

WORDS = {"mongodb": "MongoDB", "redis": "Redis"}


def abort_operation(stack: str, directory: Path, target: DatabaseTarget, known: RunningOperation) -> Plan:
    """Abort one operation of MongoDB: by its number, if it is still what it was seen to be when that is done."""
    where = f" on {known.namespace}" if known.namespace else ""
    return Plan(
        kind=Kind.ABORT,
        stack=stack,
        directory=str(directory),
        basis=Basis.NAMED,
        steps=(
            Step(
                id="abort",
                title=f"Abort the {known.kind or 'operation'} {known.opid}{where} of {known.client or 'the server'}",
                act=Act.ABORT,
                effect="What it wrote so far stays, unless it runs in a transaction. Its client gets an error.",
                seconds=60,
            ),
        ),
        only=(f"{known.kind or 'operation'} {known.opid}",),
        database=DatabaseOrder(kind=target.kind, server=target.name, running=known),
    )


def end_client(stack: str, directory: Path, target: DatabaseTarget, known: RedisClient) -> Plan:
    """Disconnect one client of Redis: by its number and its address, if it is still there when that is done."""
    name = f" ({known.name})" if known.name else ""
    return Plan(
        kind=Kind.ABORT,
        stack=stack,
        directory=str(directory),
        basis=Basis.NAMED,
        steps=(
            Step(
                id="end-client",
                title=f"Disconnect the client {known.id} at {known.address}{name}",
                act=Act.END_CLIENT,
                effect="What it has sent and got no answer to may have been done or not; most connect again by "
                "themselves.",
                seconds=60,
            ),
        ),
        only=(f"client {known.id} at {known.address}",),
        database=DatabaseOrder(kind=target.kind, server=target.name, client=known),
    )


def validate(found: Scope, order: DatabaseOrder) -> Plan:
    """Collections read with their indexes, one after the other. Raises SourceError."""
    server(found, order)
    names = order.collections
    what = names[0] if len(names) == 1 else counted(len(names), "collection") if names else "every collection"
    return Plan(
        kind=Kind.VALIDATE,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,
        steps=(
            Step(
                id="validate",
                title=f"Validate {what}",
                act=Act.VALIDATE,
                effect="In the background, as of the last checkpoint: nobody waits for it, but the disk is read.",
                seconds=MAY_TAKE_SECONDS,
            ),
        ),
        only=(what,),
        database=order,
    )


def rebuild_index(found: Scope, order: DatabaseOrder) -> Plan:
    """One index dropped and built again from what it is made of now. Raises SourceError."""
    from opsconsole.operations.saving import reachable
    from opsconsole.sources.mongo_maintaining import specification

    (path,) = order.collections
    database, _, collection = path.partition(".")
    if not database or not collection:
        raise SourceError(f"{path} names no collection", "Name its database, too: DB.NAME.")
    if order.index == "_id_":
        raise SourceError("the index _id_ cannot be dropped", "mongod --repair builds it anew, with the server down.")
    made_of = specification(reachable(server(found, order)), database, collection, order.index)
    notes = ["Until it is built, queries that need it read the whole collection."]
    if '"unique": true' in made_of:
        notes.append("It is unique: until it is built nothing keeps two equal values out, and with two it cannot be.")
    return Plan(
        kind=Kind.REBUILD_INDEX,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,
        steps=(
            Step(
                id="rebuild-index",
                title=f"Drop the index {order.index} of {path} and build it again",
                act=Act.REBUILD_INDEX,
                effect=f"From: {made_of}",
                cuttable=False,
                seconds=MAY_TAKE_SECONDS,
            ),
        ),
        data=(DataEffect(name=path, what="collection", why="its documents are only read"),),
        notes=tuple(notes),
        only=(f"{order.index} of {path}",),
        database=DatabaseOrder(
            kind=order.kind, server=order.server, collections=order.collections, index=order.index, made_of=made_of
        ),
    )


def flush(found: Scope, order: DatabaseOrder) -> Plan:
    """Redis emptied, one of its databases or all, after a safety backup. Raises SourceError."""
    meant = server(found, order)
    target, number = meant.target, order.redis_database
    if number is not None:
        _refuse_no_database(meant, number)
    name = target.kind if target.name == "host" else target.name
    what = "every key of all databases" if number is None else f"every key of database {number}"
    command = ("FLUSHALL",) if number is None else ("-n", str(number), "FLUSHDB")
    safety = BackupOrder(backup_class=BackupClass.SAFETY, why=f"before {what} of {name} goes", parts=("redis",))
    return Plan(
        kind=Kind.FLUSH,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,
        steps=(
            backup_plans.save_step(found, safety, act=Act.SAFETY_BACKUP),
            Step(
                id="flush",
                title=f"Remove {what} from {name}",
                act=Act.FLUSH,
                effect=f"As `redis-cli {' '.join(command)} ASYNC`. Sessions, queues and limits in it are gone.",
                seconds=60,
            ),
        ),
        data=(
            DataEffect(
                name=target.name,
                what="Redis",
                effect=Effect.REPLACED,
                why=f"{what} goes; the safety backup holds them: `opsconsole restore ID --part redis`",
                database="redis",
            ),
        ),
        notes=("What is written between the safety backup and the removal is in neither.",),
        typed=(name,),
        only=(name if number is None else f"{name} database {number}",),
        backup=safety,
        database=order,
    )


def _refuse_no_database(server: Connection, number: int) -> None:
    """Before a safety backup is taken for nothing. Raises SourceError."""
    from opsconsole.backups.redis_link import linked
    from opsconsole.operations.saving import reachable

    with linked(reachable(server).uri) as link:
        if link.has_database(number):
            return
        there = link.setting("databases")
    has = f"It has 0 to {int(there) - 1}." if there.isdecimal() else "See `CONFIG GET databases`."
    raise SourceError(f"{server.target.name} has no database {number}", has)


def server(found: Scope, order: DatabaseOrder) -> Connection:
    """The server that is meant; where none is named, the only one of its kind. Raises SourceError."""
    servers = [one for one in found.connections if one.target.kind == order.kind]
    named = [one for one in servers if order.server in ("", one.target.name)]
    kind = WORDS.get(order.kind, order.kind)
    if not servers:
        hint = "`opsconsole doctor` says what cannot be seen; those in containers are found through the engine."
        raise SourceError(f"no {kind} is known", hint)
    if len(named) != 1:
        names = ", ".join(one.target.name for one in servers)
        problem = f"which {kind} is meant is not clear" if named else "there is no such server"
        raise SourceError(problem, f"There are: {names}. Name one with --server.")
    return named[0]


def carry_out(site: Site, made: Plan) -> tuple[str, bool]:
    """Do what a key asked for, wait for its end, and say how it went. Never raises."""
    from opsconsole.operations import container_plans

    try:
        begun = begin(site, made)
    except SourceError as error:
        return f"Not done: {error.problem}. {error.hint}", False
    except OSError as error:
        return f"Not done: the operation cannot be begun: {error.strerror or error}", False
    records = container_plans.followed(site, begun.place, begun.process)
    ended = next((one for one in reversed(records) if one.event == "step-end"), None)
    if ended is not None and ended.result is Result.DONE:
        return f"{made.steps[0].title}: {ended.text}.", True
    end = records[-1] if records else None
    problem = (ended.problem if ended else "") or (end.problem if end else "") or "its process ended too early"
    return f"Not done: {problem}. h shows all of it.", False
