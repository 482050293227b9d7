"""Missing data as a source of the monitor: what the guard and the backups have counted, beside what is there."""

from __future__ import annotations

from pathlib import Path

from opsconsole.incident_room import looking
from opsconsole.incident_room.looking import LookInside
from opsconsole.model import Sign, Snapshot, SourceError


class Counts:
    """`directory` is the stack's."""

    def __init__(self, directory: Path, look_inside: LookInside) -> None:
        self._directory = directory
        self._look_inside = look_inside

    def look(self, snapshot: Snapshot) -> tuple[Sign, ...]:
        """Reads journals and manifests: milliseconds. Raises SourceError."""
        if not snapshot.databases:
            raise SourceError("no database answers", absent=True)
        try:
            return looking.missing(self._directory, snapshot, self._look_inside)
        except OSError as error:
            raise SourceError(f"the counts in .opsconsole cannot be read: {error.strerror}") from None
