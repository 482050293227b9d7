"""Which stack is operated on, and with which settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.model import Record

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.operations.backup_scope import Scope


class Site(Record, frozen=True):
    """Which stack is operated on, and with which settings."""

    directory: Path
    project: str = ""  # its name, where the directory does not tell
    config_file: str = ""  # settings file that was named; "" is the one in the directory

    def config(self) -> Config:
        """As it is now: the process that runs the operation reads it again, too. Raises ConfigError."""
        from opsconsole import config

        return config.load(Path(self.config_file)) if self.config_file else config.load_from(self.directory)

    def scope(self) -> Scope:
        """What belongs into a backup of the stack. Raises SourceError."""
        from opsconsole.operations import backup_scope

        return backup_scope.scope(self.directory, self.config(), project=self.project)
