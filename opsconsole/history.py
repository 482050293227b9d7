"""Recent values of a measure, in steps of equal length, for sparklines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

STEP_SECONDS = 10
"""One value stands for this long: the slower of the two sampling intervals, so that every step is filled."""

STEPS = 360
"""An hour."""


class History:
    """Series by name, oldest value first. Several samples inside one step are averaged.

    A step in which nothing was sampled is left out: the series then covers more time than its length
    says, which a sparkline can bear; the metrics database of `collect` is the place for exact times.
    """

    def __init__(self, past: Mapping[str, tuple[float, ...]] | None = None) -> None:
        self._series: dict[str, tuple[float, ...]] = {
            name: tuple(values)[-STEPS:] for name, values in (past or {}).items()
        }
        self._step: dict[str, tuple[int, int]] = {}  # series -> (number of the step, samples in it)

    def add(self, series: str, at: datetime, value: float | None) -> None:
        if value is None:
            return
        step = int(at.timestamp()) // STEP_SECONDS
        values = self._series.get(series, ())
        last, samples = self._step.get(series, (-1, 0))
        if values and step == last:
            mean = (values[-1] * samples + value) / (samples + 1)
            self._series[series] = (*values[:-1], mean)
            self._step[series] = (step, samples + 1)
        else:
            self._series[series] = (*values[-(STEPS - 1) :], value)
            self._step[series] = (step, 1)

    def forget(self, kinds: Iterable[str], alive: Iterable[str]) -> None:
        """Drop the series `<kind>.<subject>` of subjects that are gone (removed containers)."""
        kinds, alive = tuple(f"{kind}." for kind in kinds), set(alive)
        for series in [name for name in self._series if name.startswith(kinds)]:
            if series.partition(".")[2] not in alive:
                del self._series[series]
                self._step.pop(series, None)

    def series(self) -> dict[str, tuple[float, ...]]:
        return dict(self._series)
