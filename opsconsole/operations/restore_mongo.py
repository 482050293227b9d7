"""MongoDB in a restore: loaded beside the live collections, exchanged by renaming, exchanged back, tidied up."""

from __future__ import annotations

from pathlib import Path

import msgspec

from opsconsole.backups.opening import Opened
from opsconsole.model import SourceError
from opsconsole.operations import restore_state
from opsconsole.operations.acts import Operation
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.restore_servers import MONGO, in_documents, kept, order_of, pairs
from opsconsole.operations.restore_state import MongoState
from opsconsole.operations.saving import reachable
from opsconsole.operations.steps import step


def load(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """Into shadows beside the live collections, compared with what the backup says. Raises SourceError."""
    from opsconsole.backups.mongo_catalog import collection_infos
    from opsconsole.backups.mongo_choosing import choose
    from opsconsole.backups.mongo_dumps import open_dump
    from opsconsole.backups.mongo_live import names
    from opsconsole.backups.mongo_loading import load_mongo
    from opsconsole.backups.progress import Watch
    from opsconsole.backups.reading import Corrupt
    from opsconsole.sources.mongo_bulk import bulk_client

    order = order_of(operation)
    keys = private_keys(operation.config)
    said = []
    for part, connection in pairs(opened.parts, found.connections, MONGO):
        with bulk_client(reachable(connection), answer_seconds=None) as client:
            databases = names(client, (), connection.target.database)
            live = {one: [str(info["name"]) for info in collection_infos(client[one])] for one in databases}
            choice = choose(
                part.collections,
                live,
                databases=order.databases,
                collections=order.collections,
                to=dict(order.to),
                undoing=bool(order.undoes),
            )
            taken = choice.taken(part.collections)
            targets = sorted({choice.target(one.database) for one in taken} | {name for name, _ in choice.aside})
            state = MongoState(databases=tuple(targets), aside=choice.aside)
            restore_state.write(home, f"mongo-{connection.target.name}.json", state)
            step("R01")
            watch = Watch(in_documents(operation), lambda: bool(operation.cancel()))
            watch.begin(sum(one.documents for one in taken), sum(one.size for one in taken))
            try:
                with open_dump(Path(part.path), keys) as dump:
                    staged = load_mongo(
                        client,
                        dump,
                        watch=watch,
                        selection=choice.selection,
                        renamed=choice.renamed,
                        expected=part.expected,
                    )
            except Corrupt as fault:
                raise SourceError(f"{Path(part.path).name} {fault.problem}", "The live data was not touched.") from None
        state = msgspec.structs.replace(state, staged=staged, loaded=True)
        restore_state.write(home, f"mongo-{connection.target.name}.json", state)
        documents = sum(one.documents for one in staged)
        said.append(f"{len(staged)} collections, {documents:,} documents, compared")
    return "; ".join(said)


def swap(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """Every collection changes places; what changes with what is written down first. Raises SourceError."""
    from opsconsole.backups.mongo_swapping import plan_swaps, put_in_place
    from opsconsole.sources.mongo_bulk import bulk_client

    count = 0
    for server, connection in kept(home, found, MONGO):
        state = restore_state.mongo(home, server)
        if state is None or not state.loaded:
            raise SourceError("the backup is not loaded beside the live data", "Finish the restore from its beginning.")
        with bulk_client(connection, answer_seconds=None) as client:
            if not state.swaps:
                state = msgspec.structs.replace(state, swaps=plan_swaps(client, state.staged, state.aside))
                restore_state.write(home, f"mongo-{server}.json", state)
            for one in state.swaps:
                put_in_place(client, one)
                step("R02")
            count += len(state.swaps)
    return f"{count} collections exchanged"


def back(home: Path, found: Scope) -> None:
    """What was live is live again. Raises SourceError."""
    from opsconsole.backups.mongo_swapping import take_back
    from opsconsole.sources.mongo_bulk import bulk_client

    for server, connection in kept(home, found, MONGO):
        state = restore_state.mongo(home, server)
        if state is None or not state.swaps:
            continue
        with bulk_client(connection, answer_seconds=None) as client:
            for one in reversed(state.swaps):
                take_back(client, one)
                step("R03")


def clear(home: Path, found: Scope) -> None:
    """Remove what is not in place, and what a load that was cut off has left. Raises SourceError."""
    from opsconsole.backups.mongo_loading import drop
    from opsconsole.backups.mongo_names import STAGED
    from opsconsole.backups.mongo_swapping import leftovers, remove_beside
    from opsconsole.sources.mongo_bulk import bulk_client

    for server, connection in kept(home, found, MONGO):
        state = restore_state.mongo(home, server)
        if state is None:
            continue
        with bulk_client(connection, answer_seconds=None) as client:
            for one in state.swaps:
                remove_beside(client, one)
            # What a load that was cut off has left, too.
            for database, name in leftovers(client, state.databases):
                if name.endswith(STAGED):
                    drop(client[database], name)


def users(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """Users and roles as the backup has them; whoever is logged in here stays as he is. Says what was done."""
    from opsconsole.backups.mongo_dumps import open_dump
    from opsconsole.backups.mongo_users import restore_users
    from opsconsole.backups.reading import Corrupt
    from opsconsole.sources.mongo_bulk import bulk_client

    said = []
    keys = private_keys(operation.config)
    for part, connection in pairs(opened.parts, found.connections, MONGO):
        if not part.users:
            continue
        try:
            with bulk_client(reachable(connection)) as client, open_dump(Path(part.path), keys) as dump:
                done = restore_users(client, dump)
        except Corrupt as fault:
            raise SourceError(f"{part.name} {fault.problem}", "The users are as they were.") from None
        said.append(f"{len(done.users)} users and {len(done.roles)} roles")
    return ", ".join(said) or "none"
