"""Slices of an oplog as they lie in backups: read entry by entry, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opsconsole.backups.bson_documents import check_documents
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import HeldOplog, Part
from opsconsole.backups.mongo_oplog import moment_of_entry
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.progress import Watch
from opsconsole.backups.reading import Corrupt, up_to
from opsconsole.model import OplogTime
from opsconsole.text import printable

_LARGEST_ENTRY = 16 * 1024 * 1024 + 16 * 1024  # a document of 16 MiB, and the margin that the server adds for its own
_READ = 1 << 20


def entries(path: Path, keys: Keys = NO_KEYS) -> Iterator[tuple[OplogTime, bytes]]:
    """Each entry of a slice and when it was written, in the order of time. `keys`: of an encrypted one.
    Raises Corrupt, OSError and WrongKey."""
    last = OplogTime(time=0, increment=0)
    with UnpackedFile(path, keys=keys) as source:
        held, at = b"", 0
        while True:
            if len(held) - at < 4:
                held, at = held[at:] + up_to(source, _READ), 0
                if not held:
                    return
            length = int.from_bytes(held[at : at + 4], "little")
            if not 5 <= length <= _LARGEST_ENTRY:
                raise Corrupt("has a broken entry")
            if len(held) - at < length:
                held, at = held[at:] + up_to(source, max(_READ, length)), 0
            if len(held) < length:
                raise Corrupt("is cut short in the middle of an entry", cut=True)
            entry = held[at : at + length]
            at += length
            moment = moment_of_entry(entry)
            if moment is None:
                raise Corrupt("has an entry without a time")
            if moment <= last:
                raise Corrupt("has entries that are not in the order of time")
            last = moment
            yield moment, entry


def check_slice(
    directory: Path, part: Part, held: HeldOplog, *, watch: Watch | None = None, keys: Keys = NO_KEYS
) -> tuple[Fault, ...]:
    """Parse every entry: what differs from the manifest. Never raises for what the file holds."""
    if len(part.files) != 1:
        return (Fault(path=part.name, problem="is a slice of an oplog that is not one file"),)
    name, count = part.files[0].path, 0
    try:
        for moment, entry in entries(directory / name, keys):
            check_documents(entry)
            if not held.begins < moment <= held.ends:
                return (Fault(path=name, problem="has an entry from a time that the manifest does not list"),)
            count += 1
            if watch is not None:
                watch.went_on("oplog", 1, len(entry))
    except Corrupt as fault:
        return (Fault(path=name, problem=printable(fault.problem)),)
    except OSError as error:
        return (Fault(path=name, problem=f"cannot be read: {error.strerror or error}"),)
    if count != held.entries:
        return (Fault(path=name, problem=f"has {count:,} entries and the manifest says {held.entries:,}"),)
    return ()
