"""MongoDB as one part of a backup: saved into its directory, checked there, and told of in its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from opsconsole.backups.encryption import NO_KEYS, NOBODY, Keys, Recipients
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import HeldCollection, HeldFile, Part, PartKind
from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_dumps import Checked, check_dump, open_dump
from opsconsole.backups.mongo_saving import EVERYTHING, SavedDump, save_mongo
from opsconsole.backups.packed_files import Packing
from opsconsole.backups.progress import IsCancelled, OnProgress, Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.sources.connection import Connection
from opsconsole.text import printable

ARCHIVE = "mongodb.archive"
"""The file of the part, before the suffixes of its packing and encryption."""


class MongoSaver:
    """Saves one server, or what is selected of it, for `publishing.make`."""

    kind: PartKind = "mongo"

    def __init__(
        self,
        name: str,
        connection: Connection,
        *,
        file: str = ARCHIVE,
        packing: Packing = Packing.GZIP,
        recipients: Recipients = NOBODY,
        selection: Selection = EVERYTHING,
        progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """`name` is that of the service; `file` another one where a stack has two servers."""
        self.name = name
        self._connection = connection
        self._file = file + packing.suffix + recipients.suffix
        self._packing = packing
        self._recipients = recipients
        self._selection = selection
        self._watching = (progress, cancelled)

    def save(self, place: Path) -> Part:
        """Raises Explained, which is a SourceError, and Cancelled."""
        progress, cancelled = self._watching
        saved = save_mongo(
            self._connection,
            place / self._file,
            packing=self._packing,
            recipients=self._recipients,
            selection=self._selection,
            progress=progress,
            cancelled=cancelled,
        )
        return part_of(self.name, self._file, saved)


def part_of(name: str, file: str, saved: SavedDump) -> Part:
    """What a manifest tells of an archive that was saved as `file`."""
    return Part(
        kind="mongo",
        name=name,
        files=(HeldFile(path=file, size=saved.size, sha256=saved.sha256),),
        consistency=saved.consistency.value,
        server=f"MongoDB {saved.server_version}",
        seconds=saved.seconds,
        collections=held_collections(saved),
        oplog=saved.oplog,
        content_size=sum(one.bytes for one in saved.collections),
        notes=tuple(_notes(saved)),
    )


def held_collections(saved: SavedDump) -> tuple[HeldCollection, ...]:
    """What was saved, as a manifest lists it."""
    return tuple(
        HeldCollection(
            database=one.database,
            name=one.name,
            kind=one.kind,
            documents=one.documents,
            size=one.bytes,
            digest=one.digest,
            indexes=one.indexes,
        )
        for one in saved.collections
    )


def _notes(saved: SavedDump) -> list[str]:
    notes = []
    if saved.moment is not None:
        notes.append(f"as it was at {saved.moment:%Y-%m-%d %H:%M:%S} UTC")
        apart = [f"{one.database}.{one.name}" for one in saved.collections if one.consistency != "one point in time"]
        if apart:
            notes.append(f"but for {printable(', '.join(apart))[:800]}, read when its turn came")
    if saved.left_out:
        notes.append(f"without {', '.join(saved.left_out)}, which this user may not read")
    return notes


def expected_of(part: Part) -> Mapping[str, tuple[int, str]]:
    """What `load_mongo` compares with: number of documents and digest by "database.collection"."""
    return {f"{one.database}.{one.name}": (one.documents, one.digest) for one in part.collections}


def check_mongo_part(
    directory: Path,
    part: Part,
    *,
    required: Sequence[str] = (),
    watch: Watch | None = None,
    keys: Keys = NO_KEYS,
) -> tuple[Fault, ...]:
    """Parse everything in the part and add it up: what differs from the manifest, and what is missing of `required`,
    which are names or "database.name". Never raises for what the file holds."""
    faults = []
    held: dict[str, Checked] = {}
    for file in part.files:
        try:
            with open_dump(directory / file.path, keys) as dump:
                held |= {one.entry.path: one for one in check_dump(dump, watch)}
        except Corrupt as fault:
            faults.append(Fault(path=file.path, problem=printable(fault.problem)))
        except OSError as error:
            faults.append(Fault(path=file.path, problem=f"cannot be read: {error.strerror or error}"))
    if faults:
        return tuple(faults)
    path = part.files[0].path if part.files else part.name
    problems = [*_differences(held, part), *_missing(held, required)]
    return tuple(Fault(path=path, problem=printable(problem)) for problem in problems)


def _differences(held: Mapping[str, Checked], part: Part) -> list[str]:
    told = {f"{one.database}.{one.name}": one for one in part.collections}
    problems = [f"lacks {path}, which the manifest lists" for path in sorted(told.keys() - held.keys())]
    problems += [f"holds {path}, which the manifest does not list" for path in sorted(held.keys() - told.keys())]
    for path in sorted(told.keys() & held.keys()):
        documents, digest = held[path].documents, held[path].digest
        if documents != told[path].documents:
            problems.append(f"holds {documents:,} documents of {path}, the manifest says {told[path].documents:,}")
        elif digest != told[path].digest:
            problems.append(f"holds other documents of {path} than the manifest says")
    return problems


def _missing(held: Mapping[str, Checked], required: Sequence[str]) -> list[str]:
    """An empty collection that is required is as bad as none."""
    full = {form for one in held.values() if one.documents for form in (one.entry.path, one.entry.name)}
    return [f"has no documents of {name}, which is required" for name in required if name not in full]
