"""What is in one backup and what became known of it: its manifest and the marks beside it, for somebody who reads."""

from __future__ import annotations

from pathlib import Path

import msgspec

from opsconsole.backups import manifest, marks
from opsconsole.backups.manifest import ManifestError
from opsconsole.model import Backup, BackupCheck, BackupContents, BackupState, HeldPart

OWN = "opsconsole"


def look_inside(backup: Backup) -> BackupContents:
    """Reads its manifest, no more of it. A layout without one says so as its `problem`. Never raises."""
    path = Path(backup.path)
    known = marks.read(path.parent, backup.id)
    contents = BackupContents(
        checks=tuple(BackupCheck(level=one.level.value, at=one.at, problem=one.problem) for one in known.checks),
        pinned_why=known.pinned_why,
    )
    if backup.layout != OWN:
        return msgspec.structs.replace(
            contents, problem="This layout has no manifest: what is in it is read when it is restored."
        )
    if backup.state is BackupState.UNFINISHED:
        return msgspec.structs.replace(contents, problem="It has no manifest yet: that is written last.")
    try:
        held = manifest.read(path)
    except ManifestError as error:
        return msgspec.structs.replace(contents, problem=f"{error.problem}.")
    return msgspec.structs.replace(
        contents,
        parts=tuple(msgspec.convert(part, HeldPart, from_attributes=True) for part in held.parts),
        host=held.host,
        release=held.release,
        made_by=held.opsconsole,
        seconds=held.duration_seconds,
        encrypted_to=held.encrypted_to,
    )
