"""The simulated schedule: a systemd timer that backs up every night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsconsole.demo.fleet import Fleet
from opsconsole.model import Proof, Schedule, ScheduledRun

_DAY = timedelta(days=1)
_NEWEST_GOOD_HOURS = 3  # before the demo began, as DemoBackups has it
_TICK_SECONDS = 600


class DemoSchedule:
    """See `ScheduleSource`."""

    def __init__(self, fleet: Fleet, proof: Proof | None) -> None:
        self._fleet, self._proof = fleet, proof
        began = datetime.fromtimestamp(fleet.anchor, UTC).replace(second=0, microsecond=0)
        self._backup = began - timedelta(hours=_NEWEST_GOOD_HOURS)

    def look(self) -> Schedule:
        at = self._fleet.now()
        verified = self._backup - 2 * _DAY + timedelta(minutes=10)
        return Schedule(
            installed=("systemd timer",),
            ticked=datetime.fromtimestamp(at // _TICK_SECONDS * _TICK_SECONDS, UTC),
            next_kind="incremental",
            next_at=self._backup + timedelta(hours=6),
            last=(
                ScheduledRun(kind="backup", began=self._backup, outcome="done"),
                ScheduledRun(kind="incremental", began=self._backup + timedelta(hours=2), outcome="done"),
                ScheduledRun(kind="verify", began=verified, outcome="done"),
                ScheduledRun(kind="prune", began=self._backup + timedelta(minutes=8), outcome="done"),
            ),
            proof=self._proof,
        )
