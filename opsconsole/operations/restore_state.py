"""What a restore has done so far, kept in the directory of the operation that began it: what finishes it, undoes it or
tidies up behind it reads this and nothing else.

    opened.json            what is restored, once it was read to its end
    mongo-<server>.json    what was loaded beside, then how it changes places
    redis-<server>.json    which databases are loaded beside which
    planted-<server>.json  which files of a Redis change places, where no database is free
    files.json             which directories change places
    settled                "new" or "old": which of the two stays; what lies beside is being removed
    cleared                nothing lies beside any more
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from opsconsole.backups.files_placing import Target
from opsconsole.backups.mongo_loading import Staged
from opsconsole.backups.mongo_swapping import Swap
from opsconsole.backups.opening import Opened
from opsconsole.backups.redis_loading import Beside
from opsconsole.backups.swapping import Exchange
from opsconsole.durable import replace_private
from opsconsole.model import SourceError
from opsconsole.operations import journal
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Kind

SETTLED, CLEARED = "settled", "cleared"

Read = TypeVar("Read")


class MongoState(msgspec.Struct, frozen=True, kw_only=True):
    """Of one server. `swaps` is () until it is known what changes places with what."""

    databases: tuple[str, ...] = ()  # that shadows may lie in
    aside: tuple[tuple[str, str], ...] = ()
    staged: tuple[Staged, ...] = ()
    loaded: bool = False
    swaps: tuple[Swap, ...] = ()


class FilesState(msgspec.Struct, frozen=True, kw_only=True):
    targets: tuple[Target, ...] = ()
    exchanges: tuple[Exchange, ...] | None = None  # None until everything is unpacked


def home(place: Path) -> Path:
    """The directory of the operation that began it: what finishes or undoes one goes on from there."""
    resolves = journal.read_plan(place).resolves
    return home(place.parent / resolves) if resolves else place


def write(place: Path, name: str, value: object) -> None:
    """On the disk when this returns. Raises OSError."""
    replace_private(place / name, msgspec.json.encode(value))


def read(place: Path, name: str, kind: type[Read]) -> Read | None:
    """None when it was never written. Raises SourceError when it cannot be read."""
    try:
        return msgspec.json.decode((place / name).read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise SourceError(f"{place / name} cannot be read: {error}") from None


def opened(place: Path) -> Opened:
    """Raises SourceError before the backup was read."""
    found = read(place, "opened.json", Opened)
    if found is None:
        raise SourceError("the backup was not read yet", "Finish or undo the restore from its beginning.")
    return found


def servers(place: Path, kind: str) -> Iterator[str]:
    """Names of the servers that something is kept of."""
    for path in sorted(place.glob(f"{kind}-*.json")):
        yield path.name.removeprefix(f"{kind}-").removesuffix(".json")


def mongo(place: Path, server: str) -> MongoState | None:
    return read(place, f"mongo-{server}.json", MongoState)


def redis(place: Path, server: str) -> Beside | None:
    return read(place, f"redis-{server}.json", Beside)


def files(place: Path) -> FilesState | None:
    return read(place, "files.json", FilesState)


def settled(place: Path) -> str:
    """Which of the two sides stays, "" while that is open."""
    try:
        return (place / SETTLED).read_text()
    except OSError:
        return ""


def is_open(place: Path) -> bool:
    """Whether it laid something beside the live data, and it is not decided which of the two stays."""
    began = any(any(place.glob(f"{kind}-*.json")) for kind in ("mongo", "redis", "planted"))
    return (began or (place / "files.json").exists()) and not settled(place)


def uncleared(directory: Path) -> tuple[Path, ...]:
    """Restores that are over and left something beside the live data: it is known which side stays."""
    return tuple(
        place
        for place in existing_operations(directory)
        if f"-{Kind.RESTORE.value}-" in place.name and settled(place) and not (place / CLEARED).exists()
    )
