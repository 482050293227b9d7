"""Whether the Redis part of a backup can be read to its end and adds up. No server and no client is needed."""

from __future__ import annotations

from pathlib import Path

from opsconsole.backups import rdb
from opsconsole.backups.encryption import NO_KEYS, SUFFIX, Keys
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import HeldKeys, Part
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt


def held_keys(tally: rdb.Tally) -> tuple[HeldKeys, ...]:
    """The counts as a manifest lists them."""
    return tuple(
        HeldKeys(database=database, keys=number, expiring=len(tally.expiring.get(database, ())))
        for database, number in sorted(tally.keys.items())
    )


def check_redis_part(directory: Path, part: Part, keys: Keys = NO_KEYS) -> tuple[Fault, ...]:
    """Read every key and count. Never raises for what the file holds."""
    for file in part.files:
        if not file.path.removesuffix(SUFFIX).endswith(".rdb"):
            continue
        try:
            with UnpackedFile(directory / file.path, keys=keys) as reader:
                found = held_keys(rdb.count(reader))
        except Corrupt as fault:
            return (Fault(path=file.path, problem=fault.problem),)
        except OSError as error:
            return (Fault(path=file.path, problem=f"cannot be read: {error.strerror}"),)
        if found != part.keys:
            return (Fault(path=file.path, problem=f"holds {_said(found)}, the manifest says {_said(part.keys)}"),)
    return ()


def _said(keys: tuple[HeldKeys, ...]) -> str:
    return ", ".join(f"{one.keys:,} keys ({one.expiring:,} expire) in db {one.database}" for one in keys) or "no keys"
