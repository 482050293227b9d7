"""What can be wrong with a backup, and how deep it was looked for."""

from __future__ import annotations

from enum import IntEnum

from opsconsole.model import Record, SourceError


class Level(IntEnum):
    MANIFEST = 0
    HASHES = 1
    PARSED = 2
    RESTORED = 3


class Fault(Record, frozen=True):
    """One thing that is wrong. `problem` is a phrase that follows the name of the file."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path} {self.problem}"


class BadBackup(SourceError):
    """A backup is not what it says it is. Nothing was changed."""
