"""The table that `make bench` prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

HEADING = f"{'measure':<66} {'console':>8} {'':<6} {'beside it (console / it)':<72} goal"


@dataclass
class Row:
    """One measure: the console's figure, and beside it those of other programs in the same run.

    `goal` is "<= 150" or ">= 0.45 x discard", which is one of `others`; what follows in brackets is a remark.
    """

    measure: str
    unit: str
    ours: float
    others: dict[str, float] = field(default_factory=dict)
    goal: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        sign, number, *of = self.goal.partition(" (")[0].split(" ", 3)
        limit = float(number) * (self.others[of[1]] if of else 1)
        return self.ours <= limit if sign == "<=" else self.ours >= limit

    def __str__(self) -> str:
        beside = "  ".join(
            f"{name} {value:.3g} (x{self.ours / value:.2f})" if value else f"{name} 0"
            for name, value in self.others.items()
        )
        goal = f"{self.goal}: {'met' if self.met else 'MISSED'}" if self.goal else ""
        return f"{self.measure:<66} {self.ours:>8.3g} {self.unit:<6} {beside:<72} {goal}".rstrip()


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies; infinite when there are none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def in_turn(runs: int, *works: Callable[[], object]) -> list[float]:
    """Seconds that each takes at best, one after the other and again: the machine's speed drifts, and what else it
    does only adds."""
    turns = [[timed(work) for work in works] for _ in range(runs)]
    return [min(times) for times in zip(*turns, strict=True)]


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
