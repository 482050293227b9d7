"""Where an incident is worked on: one stack's records and evidence, the same for the console and the command line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.incident.evidence import Evidence, Known, gather
from opsconsole.incident.recommendation import Way
from opsconsole.model import Snapshot

if TYPE_CHECKING:
    from opsconsole.incident_room.looking import LookInside


class Room:
    """`directory` is the stack's: there the records are kept. The drill has one of its own."""

    drill = ""  # its name, where this is none but practice

    def __init__(self, directory: Path, look_inside: LookInside) -> None:
        self.directory = directory
        self._look_inside = look_inside

    def known(self, snapshot: Snapshot, since: datetime | None = None) -> Known:
        """What the disk tells beside a Snapshot. Reads files: for a thread. Never raises."""
        from opsconsole.incident_room import looking  # and all that reads files: on this thread, not on the screen's

        return looking.look(self.directory, snapshot, self._look_inside, since)

    def evidence(self, snapshot: Snapshot) -> Evidence:
        """All that is known now. Reads files."""
        return gather(snapshot, self.known(snapshot), snapshot.sampled_at)

    def practise(self, way: Way) -> str:
        """In a drill: do it on the simulated stack, and say what came of it. "" for a real stack: a plan is made."""
        return ""
