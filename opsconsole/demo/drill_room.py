"""The room of a drill: a record that is thrown away afterwards, and the evidence of the simulated stack."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from opsconsole.demo.drill import Drill
from opsconsole.incident.evidence import Known
from opsconsole.incident.recommendation import Way
from opsconsole.incident_room.looking import LookInside, held_by_backups
from opsconsole.incident_room.room import Room
from opsconsole.model import Snapshot


class DrillRoom(Room):
    def __init__(self, drill: Drill, directory: Path, look_inside: LookInside) -> None:
        super().__init__(directory, look_inside)
        self.drill = drill.name
        self._drill = drill

    def known(self, snapshot: Snapshot, since: datetime | None = None) -> Known:
        known = self._drill.known()
        held = tuple(held_by_backups(snapshot, self._look_inside, snapshot.sampled_at))
        return msgspec.structs.replace(known, baselines=(*known.baselines, *held))

    def practise(self, way: Way) -> str:
        return self._drill.practise(way)
