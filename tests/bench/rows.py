"""The table that `make bench` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

HEADING = f"{'measure':<60} {'console':>8} {'':<6} {'beside it (console / it)':<64} goal"


@dataclass
class Row:
    """One measure: the console's figure, and beside it those of other programs in the same run."""

    measure: str
    unit: str
    ours: float
    others: dict[str, float] = field(default_factory=dict)
    goal: str = ""

    def __str__(self) -> str:
        beside = "  ".join(
            f"{name} {value:.3g} (x{self.ours / value:.2f})" if value else f"{name} 0"
            for name, value in self.others.items()
        )
        return f"{self.measure:<60} {self.ours:>8.3g} {self.unit:<6} {beside:<64} {self.goal}".rstrip()


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies; infinite when there are none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")
