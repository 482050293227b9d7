"""What a backup holds that can be chosen for a restore, before there is a plan."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from opsconsole.backups.mongo_choosing import loadable
from opsconsole.backups.opening import Opened, open_backup
from opsconsole.config import Config
from opsconsole.model import Backup
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.places import state_directory
from opsconsole.operations.restore_servers import room


def look_into(directory: Path, config: Config, backup: Backup) -> Opened:
    """Its parts, with the collections that a restore can put in place. Our own layout is told by its manifest; an
    older one is unpacked aside and read to its end. `directory`: of the stack, whose settings name the key of an
    encrypted backup. Raises SourceError."""
    scratch = Path(tempfile.mkdtemp(prefix="opened-", dir=state_directory(directory)))
    try:
        opened = open_backup(backup, scratch, room(scratch), check=False, keys=private_keys(config))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    parts = [msgspec.structs.replace(one, collections=tuple(loadable(one.collections))) for one in opened.parts]
    return msgspec.structs.replace(opened, parts=tuple(parts))
