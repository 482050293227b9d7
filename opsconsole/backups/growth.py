"""How the collections of MongoDB grew since a backup was taken: its manifest has their sizes, the server has today's.

Pure. The sizes of both are those of the documents, not of files on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from opsconsole.database_work import Growth
from opsconsole.model import Backup, BackupContents, BackupState, MongoDatabase

_LEAST, _BEST = timedelta(hours=12), timedelta(days=7)


def to_compare_with(backups: Iterable[Backup], now: datetime) -> tuple[Backup, ...]:
    """Good backups in the order in which they serve: closest to a week old first, none of less than half a day."""
    fit = [one for one in backups if one.state is BackupState.GOOD and now - one.taken_at >= _LEAST]
    return tuple(sorted(fit, key=lambda one: abs(now - one.taken_at - _BEST)))


def growth(
    databases: Iterable[MongoDatabase], contents: BackupContents, taken_at: datetime, now: datetime
) -> tuple[Growth, ...]:
    """What grew most first. A collection that the backup does not have has grown from nothing."""
    held = {
        f"{one.database}.{one.name}": one
        for part in contents.parts
        for one in part.collections
        if one.kind == "collection"
    }
    known = {path.partition(".")[0] for path in held}
    found = []
    for database in databases:
        for one in database.collections if database.name in known else ():
            before = held.get(f"{database.name}.{one.name}")
            if one.kind != "collection" or one.data_bytes is None:
                continue
            documents = one.documents - (before.documents if before else 0) if one.documents is not None else None
            found.append(
                Growth(
                    path=f"{database.name}.{one.name}",
                    size_bytes=one.data_bytes,
                    documents=one.documents,
                    grown_bytes=one.data_bytes - (before.size if before else 0),
                    grown_documents=documents,
                    seconds=(now - taken_at).total_seconds(),
                )
            )
    return tuple(sorted(found, key=lambda one: -one.grown_bytes))
