"""Level 2: everything in the files of a backup is read as what it is, and adds up to what its manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opsconsole.backups.config_part import check_config_part
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import Manifest, Part
from opsconsole.backups.progress import Counted
from opsconsole.backups.reading import heard_by
from opsconsole.backups.redis_checking import check_redis_part


def parse(
    directory: Path, held: Manifest, counted: Counted, required: Sequence[str] = (), keys: Keys = NO_KEYS
) -> list[Fault]:
    """What is wrong, named by file. `required`: collections that must have documents. Never raises for the content."""
    faults: list[Fault] = []
    with heard_by(counted.went_on):
        for part in held.parts:
            counted.at(part.name)
            faults += _parsed(directory, part, required, keys)
    if required and not held.incremental and not any(part.kind == "mongo" for part in held.parts):
        faults.append(Fault(path=directory.name, problem=f"has no MongoDB part, and {required[0]} is required"))
    return faults


def _parsed(directory: Path, part: Part, required: Sequence[str], keys: Keys) -> Sequence[Fault]:
    match part.kind:
        case "mongo" if part.oplog is not None and part.is_slice:
            from opsconsole.backups.oplog_slices import check_slice

            return check_slice(directory, part, part.oplog, keys=keys)
        case "mongo":
            from opsconsole.backups.mongo_part import check_mongo_part

            return check_mongo_part(directory, part, required=required, keys=keys)
        case "redis":
            return check_redis_part(directory, part, keys)
        case "files":
            from opsconsole.backups.files_part import check_files_part

            return check_files_part(directory, part, keys)
        case "config":
            return check_config_part(directory, part, keys)
