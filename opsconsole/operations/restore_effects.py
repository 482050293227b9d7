"""What a restore takes out of a backup, and what becomes of the data that is live: the words of its plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from opsconsole.backups.findings import counted, some_of
from opsconsole.backups.mongo_choosing import Choice, choose, loadable
from opsconsole.backups.mongo_live import LiveCollection, live_collections
from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.model import Backup, SourceError
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import DataEffect, Effect
from opsconsole.operations.restore_servers import FILES, MONGO, REDIS, pairs
from opsconsole.operations.saving import reachable
from opsconsole.sources.connection import Connection

DATA = (MONGO, REDIS, FILES)
"""Kinds of parts that hold data of the stack."""

_MOST_NAMES = 8


def kinds_of(opened: Opened, order: RestoreOrder) -> tuple[str, ...]:
    """The kinds of parts that are restored: those that are chosen, else those that hold data. Raises SourceError."""
    there = [kind for kind in (*DATA, "config") if has(opened, kind)]
    wanted = {*order.parts, *(one.kind for one in opened.parts if one.name in order.servers)}
    if order.databases or order.collections or order.to:
        wanted.add(MONGO)
    if order.redis_databases or order.redis_keys:
        wanted.add(REDIS)
    if order.files:
        wanted.add(FILES)
    for kind in wanted:
        if kind not in there and not order.undoes:
            raise SourceError(f"the backup {opened.id} has no {kind}", f"It has: {', '.join(there) or 'nothing'}.")
    # The configuration is put back only when it is asked for: what runs may need the one of today.
    return tuple(kind for kind in there if kind in (wanted or DATA))


def safety_parts(found: Scope, kinds: Sequence[str]) -> tuple[str, ...]:
    """What is replaced; () where that is all the data that there is: then it is a whole backup."""
    data = tuple(kind for kind in kinds if kind in DATA)
    return () if set(data) == set(found.kinds) - {"config"} else data


def has(opened: Opened, kind: str) -> bool:
    """Whether the backup has a part of this kind."""
    return any(one.kind == kind for one in opened.parts)


def mongo_effects(found: Scope, opened: Opened, order: RestoreOrder) -> Iterator[DataEffect]:
    """What becomes of each MongoDB. Raises SourceError."""
    if MONGO not in order.parts:
        return
    for part, connection in pairs(opened.parts, found.connections, MONGO):
        live = live_collections(reachable(connection), since=opened.taken_at)
        names: dict[str, list[str]] = {}
        for one in live:
            names.setdefault(one.database, []).append(one.name)
        choice = choose(
            part.collections,
            names,
            databases=order.databases,
            collections=order.collections,
            to=dict(order.to),
            undoing=bool(order.undoes),
        )
        yield _mongo_effect(connection, part, choice, live)


def _mongo_effect(connection: Connection, part: OpenPart, choice: Choice, live: Sequence[LiveCollection]) -> DataEffect:
    taken = choice.taken(part.collections)
    places = {(choice.target(one.database), one.name) for one in taken}
    replaced = [one for one in live if (one.database, one.name) in places]
    newer = sum(one.newer or 0 for one in replaced)
    documents = sum(one.documents for one in taken)
    databases = sorted({choice.target(one.database) for one in taken})
    said = [
        f"{counted(len(taken), 'collection')} of {some_of(databases) or 'nothing'} with {documents:,} documents come "
        f"in place of {counted(len(replaced), 'collection')} with {sum(one.documents or 0 for one in replaced):,}",
    ]
    if newer:
        said.append(f"about {counted(newer, 'document')} newer than the backup would go (an estimate, by _id)")
    if choice.aside:
        names = [f"{database}.{name}" for database, name in choice.aside]
        said.append(f"only live, and only in the safety backup afterwards: {some_of(names, _MOST_NAMES)}")
    touched = bool(replaced or choice.aside)
    return DataEffect(
        name=connection.target.name,
        what="MongoDB",
        effect=Effect.REPLACED if touched else Effect.SAFE,
        why="; ".join(said),
        database="mongodb" if touched else "",
    )


def redis_effects(
    found: Scope, opened: Opened, order: RestoreOrder, by_files: Collection[str] = ()
) -> Iterator[DataEffect]:
    """What becomes of each Redis. Raises SourceError."""
    if REDIS not in order.parts:
        return
    there = {one.database for part in opened.parts for one in part.keys}
    if (unknown := sorted(set(order.redis_databases) - there)) and not order.undoes:
        listed = ", ".join(map(str, sorted(there))) or "none"
        raise SourceError(f"the backup has no keys of the Redis database {unknown[0]}", f"It has: {listed}.")
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        held = sum(one.keys for one in part.keys)
        if order.redis_databases or order.redis_keys:
            which = [*(f"database {one}" for one in order.redis_databases), *order.redis_keys]
            why = f"keys of the backup that match {', '.join(which)} are given back; all others stay as they are"
        else:
            why = f"{held:,} keys of the backup come in place of all that are there now"
            if connection.target.name in by_files:
                why += ", by its data directory: all of its databases are in use"
        yield DataEffect(name=connection.target.name, what="Redis", effect=Effect.REPLACED, why=why, database="redis")


def files_said(opened: Opened, name: str) -> str:
    """`312 files and directories, 1,204 bytes`."""
    part = next(one for one in opened.parts if one.kind == FILES and one.name == name)
    return f"{part.members:,} files and directories, {part.size:,} bytes"


def notes(backup: Backup, opened: Opened, order: RestoreOrder, kinds: Sequence[str]) -> Iterator[str]:
    """What an operator should know before agreeing."""
    if order.at is not None:
        yield f"counts are those of {backup.id}; what was written until then comes on top"
        yield "Redis and files have no seconds: they stay as they are"
        return
    yield f"{backup.id} was taken {opened.taken_at.astimezone():%Y-%m-%d %H:%M:%S}: everything since then is put aside"
    if MONGO in kinds and not order.users:
        yield "users and roles of MongoDB stay as they are (--users takes those of the backup)"
    left = [kind for kind in ("config", *DATA) if has(opened, kind) and kind not in kinds]
    if left:
        yield f"also in the backup and left alone: {', '.join(left)}"
    if "config" in kinds:
        yield "containers keep the configuration that they have: `opsconsole deploy` brings the new one to them"
    without = [one for one in opened.parts if one.kind == MONGO and not loadable(one.collections)]
    if without:
        yield "the MongoDB part of the backup holds no collection"
