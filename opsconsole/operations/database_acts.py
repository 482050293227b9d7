"""The acts at a database server: an operation ended, collections validated, an index built anew, Redis emptied."""

from __future__ import annotations

import time

from opsconsole.backups.findings import counted
from opsconsole.backups.redis_link import linked
from opsconsole.model import SourceError
from opsconsole.operations import acts, database_plans
from opsconsole.operations.acts import Fields, Operation
from opsconsole.operations.orders import DatabaseOrder
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.saving import reachable
from opsconsole.sources import mongo_maintaining, redis_clients
from opsconsole.sources.connection import Connection

_MOST_TOLD = 5


def abort_operation(operation: Operation, one: Step) -> Fields:
    """Act.ABORT."""
    order = _order(operation)
    assert order.running is not None
    return {"text": mongo_maintaining.abort_operation(_server(operation), order.running)}


def end_client(operation: Operation, one: Step) -> Fields:
    """Act.END_CLIENT."""
    order = _order(operation)
    assert order.client is not None
    with linked(_server(operation).uri) as link:
        return {"text": redis_clients.end(order.client, link.command)}


def validate(operation: Operation, one: Step) -> Fields:
    """Act.VALIDATE. What is not valid fails the step, after every collection had its turn."""
    connection = _server(operation)
    names = _order(operation).collections or _every_collection(connection)
    documents = indexes = 0
    faults: list[str] = []
    warned: list[str] = []
    told = _told(operation)
    for number, path in enumerate(names, 1):
        database, _, name = path.partition(".")
        words = f"{number} of {len(names)}: {path}" if len(names) > 1 else path
        told(words, 0, 0)
        found = mongo_maintaining.validate(
            connection,
            database,
            name,
            lambda said, done, total, words=words: told(f"{words}, {said}" if said else words, done, total),  # type: ignore[misc]
            lambda: bool(operation.cancel()),
        )
        if found is None:
            raise acts.cancelled(operation, one)
        documents += found.documents
        indexes += found.indexes
        faults += [f"{path}: {fault}" for fault in found.faults]
        warned += [f"{path}: {warning}" for warning in found.warnings]
    if faults:
        more = f" and {len(faults) - _MOST_TOLD} more" if len(faults) > _MOST_TOLD else ""
        raise SourceError(
            f"not valid: {'; '.join(faults[:_MOST_TOLD])}{more}",
            "Take a backup of what can be read, then restore a good one; an index alone can be built anew.",
        )
    text = f"{counted(len(names), 'collection')} valid: {documents:,} documents, {indexes:,} indexes"
    return {"text": text + (f"; warned of: {'; '.join(warned[:_MOST_TOLD])}" if warned else "")}


def rebuild_index(operation: Operation, one: Step) -> Fields:
    """Act.REBUILD_INDEX. May be run again after it was killed: the plan has all that the index is made of."""
    order = _order(operation)
    database, _, collection = order.collections[0].partition(".")
    said = mongo_maintaining.rebuild(_server(operation), database, collection, order.made_of, _told(operation))
    return {"text": f"the index {order.index}: {said}"}


def flush(operation: Operation, one: Step) -> Fields:
    """Act.FLUSH."""
    order = _order(operation)
    with linked(_server(operation).uri) as link:
        before = link.sizes()
        if order.redis_database is None:
            link.command("FLUSHALL", "ASYNC")
        else:
            link.command("SELECT", order.redis_database)
            link.command("FLUSHDB", "ASYNC")
        after = link.sizes()
    return {"text": f"{sum(before.values()):,} keys before, {sum(after.values()):,} now"}


def _order(operation: Operation) -> DatabaseOrder:
    order = operation.plan.database
    assert order is not None  # every plan with these acts has one
    return order


def _server(operation: Operation) -> Connection:
    return reachable(database_plans.server(operation.scope(), _order(operation)))


def _every_collection(connection: Connection) -> tuple[str, ...]:
    from opsconsole.backups.mongo_live import live_collections

    own = (connection.target.database,) if connection.target.database else ()
    return tuple(f"{one.database}.{one.name}" for one in live_collections(connection, own) if one.kind != "view")


def _told(operation: Operation) -> mongo_maintaining.Told:
    """Tells watchers how far it is, once a second at most."""
    next_at = 0.0

    def told(what: str, done: int, total: int) -> None:
        nonlocal next_at
        now = time.monotonic()
        if what and now >= next_at:
            next_at = now + 1.0
            operation.progress(what, done if total else None, total or None)

    return told


ACTS: dict[Act, acts.Act] = {
    Act.ABORT: abort_operation,
    Act.END_CLIENT: end_client,
    Act.VALIDATE: validate,
    Act.REBUILD_INDEX: rebuild_index,
    Act.FLUSH: flush,
}
