"""What a backup holds that can be chosen for a restore, before there is a plan."""

from __future__ import annotations

from pathlib import Path

import msgspec

from opsconsole.backups.mongo_choosing import loadable
from opsconsole.backups.opening import Opened, open_backup
from opsconsole.backups.progress import Told
from opsconsole.config import Config
from opsconsole.model import Backup
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.places import state_directory
from opsconsole.operations.restore_servers import room
from opsconsole.sources.throwaway_places import private_directory


def look_into(directory: Path, config: Config, backup: Backup, told: Told = lambda what, done, total: None) -> Opened:
    """Its parts, with the collections that a restore can put in place. Our own layout is told by its manifest; an
    older one is unpacked aside and read to its end. `directory`: of the stack, whose settings name the key of an
    encrypted backup. Raises SourceError, and what `told` raises."""
    with private_directory(state_directory(directory)) as scratch:
        opened = open_backup(backup, scratch, room(scratch), check=False, keys=private_keys(config), told=told)
    parts = [msgspec.structs.replace(one, collections=tuple(loadable(one.collections))) for one in opened.parts]
    return msgspec.structs.replace(opened, parts=tuple(parts))
