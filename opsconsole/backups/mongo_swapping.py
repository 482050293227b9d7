"""Put loaded collections in the place of the live ones, one by one, and back.

Renaming inside a database takes milliseconds at any size and is all or nothing; what was live keeps existing under a
name of its own. Views, time series and stored JavaScript cannot be renamed: they are made anew, and copied.

Every function here looks at what is there first, by the collections' UUIDs, so it may be called again after it was
killed anywhere. A collection that a Swap does not know by its UUID is never dropped or covered; only a time series or
script in the place of one is taken for a copy that was not finished.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from pymongo.errors import OperationFailure

from opsconsole.backups.bson_documents import DocumentSum
from opsconsole.backups.mongo_archive import BUCKETS, Entry
from opsconsole.backups.mongo_catalog import collection_infos, index_specs, metadata_of, to_json
from opsconsole.backups.mongo_inserting import insert_documents
from opsconsole.backups.mongo_loading import SURE, Staged, build_indexes, create, drop
from opsconsole.backups.mongo_names import ASIDE, UNFINISHED, beside, is_beside
from opsconsole.backups.mongo_raw import RawDatabase, answers, ask, raw_batches
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.sources.network import Explained
from opsconsole.text import printable

SCRIPTS = "system.js"


class Side(msgspec.Struct, frozen=True):
    """One of the two collections of a swap. `kind` "" means that there is none."""

    kind: str = ""
    beside: str = ""  # its name while it is not in place; "" for a view
    uuid: str = ""  # in hex, of the collection that holds the documents
    metadata: str = ""  # options and indexes as a dump has them

    @property
    def copied(self) -> bool:
        return self.kind == "timeseries"


class Swap(msgspec.Struct, frozen=True):
    """One collection that is to be replaced. Plain data: it is written into a journal before anything is done."""

    database: str
    live: str
    old: Side
    new: Side

    @property
    def path(self) -> str:
        return f"{self.database}.{self.live}"


def plan_swaps(
    client: RawClient, staged: Iterable[Staged], only_aside: Iterable[tuple[str, str]] = ()
) -> tuple[Swap, ...]:
    """How the shadows come into place; `only_aside` are (database, collection) that the backup does not have.

    Raises Explained when something of an earlier restore is in the way.
    """
    wanted = {(one.database, one.live): one for one in staged}
    wanted_names = [*wanted, *(pair for pair in only_aside if pair not in wanted)]
    here = {name: _Here(client[name]) for name in {database for database, _ in wanted_names}}
    swaps = []
    for database, live in wanted_names:
        there, one = here[database], wanted.get((database, live))
        aside = beside(database, live, ASIDE)
        if aside in there.kinds:
            raise Explained(
                f"{printable(database)}.{printable(aside)} is left from an earlier restore",
                "finish or undo that one first",
            )
        new = Side()
        if one is not None:
            new = Side(one.entry.kind, one.staging, there.uuid(one.staging), one.entry.metadata)
        swaps.append(Swap(database, live, there.side(live, aside), new))
    return tuple(sorted(swaps, key=_turn))


def put_in_place(client: RawClient, swap: Swap) -> None:
    """The live collection goes aside, the loaded one takes its place."""
    database = client[swap.database]
    if swap.live == SCRIPTS:
        _keep_scripts(database, swap.old)
        _write_scripts(database, swap.new)
    else:
        _put_away(database, swap.live, swap.old, other=swap.new)
        _put_in(database, swap.live, swap.new)


def take_back(client: RawClient, swap: Swap) -> None:
    """What was live before is live again, the loaded one waits beside it.

    Of what was copied the copies stay, too, until `remove_beside`.
    """
    database = client[swap.database]
    if swap.live != SCRIPTS:
        _put_away(database, swap.live, swap.new, other=swap.old)
        _put_in(database, swap.live, swap.old)
    elif not swap.old.kind or _Here(database).uuid(swap.old.beside):
        _write_scripts(database, swap.old)


def remove_beside(client: RawClient, swap: Swap) -> None:
    """Drop what is not in place (any more, or again): afterwards there is no way back, or forth."""
    here = _Here(client[swap.database])
    unfinished = beside(swap.database, swap.live, UNFINISHED)
    for name in (swap.old.beside, swap.new.beside, unfinished):
        if name in here.kinds:
            drop(client[swap.database], name)


def leftovers(client: RawClient, databases: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Shadows and collections put aside that are still there, as (database, collection)."""
    found = []
    for name in databases:
        infos = answers(client[name], {"listCollections": 1, "nameOnly": True})
        names = {str(info["name"]) for info in infos}
        # The buckets of a time series go with it; alone they are what a killed server left.
        found += [
            (name, one) for one in sorted(names) if is_beside(one) and one.removeprefix(BUCKETS) not in names - {one}
        ]
    return tuple(found)


# --- one side --------------------------------------------------------------------------------------


class _Here:
    """The collections of a database now."""

    def __init__(self, database: RawDatabase) -> None:
        self._database = database
        self._infos = {str(info["name"]): info for info in collection_infos(database)}
        self.kinds = {name: str(info.get("type", "collection")) for name, info in self._infos.items()}

    def uuid(self, name: str) -> str:
        uuid = self._infos.get(name, {}).get("info", {}).get("uuid")
        return bytes(uuid).hex() if uuid is not None else ""

    def side(self, live: str, aside: str) -> Side:
        """What is live now, as one side of a swap."""
        if live not in self.kinds:
            return Side()
        kind = self.kinds[live]
        indexes = index_specs(self._database, live) if kind != "view" else []
        metadata = to_json({"options": self._infos[live].get("options", {}), "indexes": indexes})
        return Side(kind, "" if kind == "view" else aside, self.uuid(live), metadata)


def _turn(swap: Swap) -> tuple[int, str, str]:
    """Collections first, what has to be copied then, views of them last."""
    kinds = (swap.new.kind, swap.old.kind)
    return (2 if "view" in kinds else 1 if swap.new.copied or swap.old.copied else 0, swap.database, swap.live)


def _put_away(database: RawDatabase, live: str, side: Side, *, other: Side) -> None:
    """Make room for the other side, which may have it already."""
    here = _Here(database)
    there = here.uuid(live)
    if side.kind == "view":
        if here.kinds.get(live) == "view":
            drop(database, live)
    elif not there or there == other.uuid:
        return
    elif there == side.uuid:
        if not side.copied:
            _rename(database, live, side.beside)
            return
        drop(database, side.beside)
        _copy(database, live, side.beside, side)
        drop(database, live)
    elif side.copied and here.uuid(side.beside):
        drop(database, live)  # a copy of ours: what it was made of is still there


def _put_in(database: RawDatabase, live: str, side: Side) -> None:
    """Bring a side into its place, unless it is there."""
    here = _Here(database)
    there = here.uuid(live)
    if side.kind == "":
        return
    if side.kind == "view":
        if here.kinds.get(live) == "view":
            drop(database, live)
        create(database, live, metadata_of(Entry(database.name, live, "view", side.metadata)))
        return
    if there != side.uuid:
        if there and not (side.copied and here.kinds[live] == side.kind):
            raise Explained(
                f"{printable(database.name)}.{printable(live)} was made by something else in the meantime",
                "stop what writes to the database, look at that collection, rename or drop it, then go on",
            )
        if not here.uuid(side.beside):
            raise Explained(
                f"{printable(database.name)}.{printable(side.beside)} is gone, so it cannot be put in place",
                "it was dropped by something else; restore from the backup again",
            )
        if side.copied:
            drop(database, live)  # a copy of ours that was not finished
            _copy(database, side.beside, live, side)
        else:
            _rename(database, side.beside, live)
    _let_expire(database, live, side)


def _keep_scripts(database: RawDatabase, side: Side) -> None:
    """Copy the stored JavaScript aside, unless it is there: it cannot be renamed, and not even dropped."""
    if not side.kind or _Here(database).uuid(side.beside):
        return
    unfinished = beside(database.name, SCRIPTS, UNFINISHED)
    drop(database, unfinished)
    _copy(database, SCRIPTS, unfinished, side)
    _rename(database, unfinished, side.beside)


def _write_scripts(database: RawDatabase, side: Side) -> None:
    """Let the stored JavaScript be that of one side: none when there was none."""
    ask(database, {"delete": SCRIPTS, "deletes": [{"q": {}, "limit": 0}], "writeConcern": SURE})
    if side.kind:
        _copy_documents(database, side.beside, SCRIPTS)


def _rename(database: RawDatabase, name: str, to: str) -> None:
    """Within one database: a change of a name, whatever the size, with indexes, options and UUID."""
    command = {"renameCollection": f"{database.name}.{name}", "to": f"{database.name}.{to}", "writeConcern": SURE}
    ask(database.client.admin, command)


def _copy(database: RawDatabase, source: str, target: str, side: Side) -> None:
    """Make `target` anew with the documents of `source`."""
    metadata = metadata_of(Entry(database.name, target, side.kind, side.metadata))
    prefix = BUCKETS if side.kind == "timeseries" else ""
    create(database, target, metadata)
    _copy_documents(database, prefix + source, prefix + target)
    build_indexes(database, target, list(metadata.indexes), metadata)


def _copy_documents(database: RawDatabase, source: str, target: str) -> None:
    before, after = DocumentSum(), DocumentSum()
    for data, _ in raw_batches(database, {"find": source}):
        before.add(data)
        insert_documents(database, target, data)
    for data, _ in raw_batches(database, {"find": target}):
        after.add(data)
    if (before.documents, before.digest) != (after.documents, after.digest):
        raise Explained(
            f"the copy of {printable(database.name)}.{printable(source)} reads back differently",
            "does anything else write to it? Stop it, then go on or undo",
        )


def _let_expire(database: RawDatabase, live: str, side: Side) -> None:
    """The option that `create` left out, now that the comparison is behind us."""
    seconds = metadata_of(Entry(database.name, live, side.kind, side.metadata)).options.get("expireAfterSeconds")
    if seconds is None:
        return
    try:
        ask(database, {"collMod": live, "expireAfterSeconds": seconds, "writeConcern": SURE})
    except OperationFailure as error:
        raise Explained(
            f"{printable(database.name)}.{printable(live)} is in place, but its documents do not expire: {error}"
        ) from error
