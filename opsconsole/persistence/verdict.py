"""What was found, point by point: what the report, the JSON and the console show."""

from __future__ import annotations

from datetime import datetime

from opsconsole.model import Record


class Check(Record, frozen=True):
    """One thing that was asked for. It gives all of its points, or none: half a proof is none."""

    name: str  # "place", "kept", "restart", "backup", "restore", "time"
    subject: str  # the server it is about, "" for the stack
    title: str  # "MongoDB mongodb writes to a disk that outlives its container"
    points: float  # that it is worth
    proven: bool = False
    said: str = ""  # the evidence, or what is missing
    get_it: str = ""  # the command, or the lines, that gain the points

    @property
    def counted(self) -> bool:
        return self.points > 0


class Verdict(Record, frozen=True):
    stack: str
    at: datetime
    checks: tuple[Check, ...] = ()

    @property
    def missing(self) -> tuple[Check, ...]:
        return tuple(one for one in self.checks if one.counted and not one.proven)

    @property
    def score(self) -> int:
        """Percent of the points, rounded down: 100 means that nothing is missing, and that something was asked for."""
        possible = sum(one.points for one in self.checks)
        if not possible:
            return 0
        if not self.missing:
            return 100
        return min(99, int(100 * sum(one.points for one in self.checks if one.proven) / possible))
