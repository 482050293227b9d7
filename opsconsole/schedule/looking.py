"""The schedule as the monitor asks for it: what is installed, what was done last, what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Schedule, ScheduledRun
from opsconsole.persistence import kept
from opsconsole.schedule.state import state


class ScheduleLook:
    """Implements `ScheduleSource`: a few files, among them the last proof of persistence, and `crontab -l`."""

    def __init__(self, directory: Path, config: Config, *, project: str = "") -> None:
        self._directory = directory
        self._config = config
        self._project = project

    def look(self) -> Schedule:
        found = state(self._directory, self._config, datetime.now(UTC), project=self._project)
        soonest = next(iter(found.coming), None)
        return Schedule(
            installed=found.installed,
            ticked=found.ticked,
            next_kind=soonest.kind.value if soonest else "",
            next_at=soonest.at if soonest else None,
            last=tuple(
                ScheduledRun(kind=run.kind.value, began=run.began, outcome=run.outcome.value, problem=run.problem)
                for run in found.last
            ),
            problems=found.problems,
            proof=kept.proof(kept.read(self._directory)),
        )
