"""What a restore takes out of a dump, where it goes, and what of the live databases has no counterpart in it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from opsconsole.backups.manifest import HeldCollection
from opsconsole.backups.mongo_archive import Entry
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_loading import is_loaded
from opsconsole.backups.mongo_names import is_beside, wrong_name
from opsconsole.model import Record, SourceError
from opsconsole.text import printable


class Choice(Record, frozen=True):
    """`databases` are taken whole, `collections` ("database.collection") one by one. `renamed`: by the database of the
    dump. `aside`: (database, collection) that are live and not in the dump, of databases that are taken whole."""

    databases: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    renamed: dict[str, str] = {}
    aside: tuple[tuple[str, str], ...] = ()

    @property
    def selection(self) -> Selection:
        return Selection(databases=frozenset(self.databases), collections=frozenset(self.collections))

    def target(self, database: str) -> str:
        return self.renamed.get(database, database)

    def taken(self, held: Sequence[HeldCollection]) -> list[HeldCollection]:
        """What of the dump is loaded."""
        return [one for one in loadable(held) if self.selection.takes(one.database, one.name)]


def loadable(held: Sequence[HeldCollection]) -> list[HeldCollection]:
    """The collections of a dump that a restore can put in place: not users and roles."""
    return [one for one in held if is_loaded(Entry(one.database, one.name, one.kind))]


def choose(
    held: Sequence[HeldCollection],
    live: Mapping[str, Collection[str]],
    *,
    databases: Sequence[str] = (),
    collections: Sequence[str] = (),
    to: Mapping[str, str] | None = None,
    undoing: bool = False,
) -> Choice:
    """Everything that the dump has when nothing is chosen. `live`: names of collections by database.

    `undoing`: what is chosen may not be in the dump at all, as it was not there before. Raises SourceError for a
    choice that the dump does not have.
    """
    there = loadable(held)
    known = {one.database for one in there}
    wanted = tuple(dict.fromkeys(databases)) if databases or collections else tuple(sorted(known))
    renamed = {old: new for old, new in (to or {}).items() if old != new}
    if not undoing:
        _refuse_unknown(there, wanted, collections, renamed)
        for new in renamed.values():
            if wrong := wrong_name(new):
                raise SourceError(f"nothing can be restored into {printable(new)}", wrong)
    choice = Choice(databases=wanted, collections=tuple(dict.fromkeys(collections)), renamed=renamed)
    held_there = {(choice.target(one.database), one.name) for one in there}
    aside = [
        (choice.target(database), name)
        for database in wanted
        for name in sorted(live.get(choice.target(database), ()))
        if (choice.target(database), name) not in held_there and _goes(choice.target(database), name)
    ]
    for path in choice.collections:
        database, _, name = path.partition(".")
        target = choice.target(database)
        if (target, name) not in held_there and name in live.get(target, ()):
            aside.append((target, name))
    return Choice(databases=wanted, collections=choice.collections, renamed=renamed, aside=tuple(aside))


def _goes(database: str, name: str) -> bool:
    return is_loaded(Entry(database, name)) and not is_beside(name)


def _refuse_unknown(
    there: Sequence[HeldCollection], databases: Sequence[str], collections: Sequence[str], renamed: Mapping[str, str]
) -> None:
    known = sorted({one.database for one in there})
    for name in (*databases, *renamed):
        if name not in known:
            listed = ", ".join(printable(one) for one in known) or "none"
            raise SourceError(f"the backup has no database {printable(name)}", f"It has: {listed}.")
    paths = {f"{one.database}.{one.name}" for one in there}
    for path in collections:
        if path not in paths:
            database = path.partition(".")[0]
            names = sorted(one.name for one in there if one.database == database)
            listed = ", ".join(printable(one) for one in names[:20]) or "none of that database"
            raise SourceError(f"the backup has no collection {printable(path)}", f"It has: {listed}.")
