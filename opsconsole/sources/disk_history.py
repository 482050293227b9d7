"""How full each disk was, and so when it will be: a small file of our own, and a robust straight line through it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

SPACING = timedelta(minutes=10)
KEPT = timedelta(days=30)

# Between the oldest and the newest sample; less says nothing about days.
_SHORTEST = timedelta(hours=1)
_LONGEST_DAYS = 3650.0
_YEAR_2100 = 4_102_444_800
# Theil-Sen looks at every pair: 150 samples are 11,175 pairs, some milliseconds.
_MOST_SAMPLES = 150
# Of all pairs, how many more must grow than shrink before it counts as growth and not as noise around a level.
_LEAST_TREND = 0.3


def days_until_full(samples: Sequence[tuple[datetime, int]], free_bytes: int) -> float | None:
    """Days until `free_bytes` are used up if the used bytes in `samples` go on growing as they did.

    The growth is the median of the slopes between all pairs (Theil-Sen): a burst, a clean-up or a few wrong values
    do not tilt it. None when there is less than an hour of history, no growth, or ten years to go.
    """
    ordered = sorted(samples)
    if not ordered or ordered[-1][0] - ordered[0][0] < _SHORTEST:
        return None
    points = [(moment.timestamp(), used) for moment, used in _thinned(ordered)]
    slopes = list(_slopes(points))
    growing = sum(slope > 0 for slope in slopes) - sum(slope < 0 for slope in slopes)
    if not slopes or growing < _LEAST_TREND * len(slopes):
        return None
    slope = median(slopes)
    if slope <= 0:
        return None
    days = max(free_bytes, 0) / slope / 86400
    return days if days < _LONGEST_DAYS else None


def _thinned(samples: Sequence[tuple[datetime, int]]) -> Sequence[tuple[datetime, int]]:
    """At most `_MOST_SAMPLES`, evenly taken, the first and the last among them."""
    if len(samples) <= _MOST_SAMPLES:
        return samples
    step = (len(samples) - 1) / (_MOST_SAMPLES - 1)
    return [samples[round(number * step)] for number in range(_MOST_SAMPLES)]


def _slopes(points: Sequence[tuple[float, int]]) -> Iterator[float]:
    for index, (earlier, before) in enumerate(points):
        for later, after in points[index + 1 :]:
            if later > earlier:
                yield (after - before) / (later - earlier)


class DiskHistory:
    """Used bytes per mount, a point every ten minutes, thirty days of them; safe to share between threads.

    Kept in the file `path` (mode 0600, replaced as a whole), or in memory alone when `path` is None, cannot be written
    or is only read (`writes` False): a full disk must not stop the console from saying so. A damaged one is begun anew.
    """

    def __init__(self, path: Path | None = None, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._lock = threading.Lock()
        self._points: dict[str, list[tuple[int, int]]] = _load(path) if path else {}

    def add(self, mount: str, at: datetime, used_bytes: int) -> bool:
        """Remember a point unless the last one is younger than ten minutes. Whether it was remembered."""
        with self._lock:
            points = self._points.setdefault(mount, [])
            moment = int(at.timestamp())
            while points and points[-1][0] > moment:
                points.pop()  # the clock was set back: what lies in the future was dated wrongly
            if points and moment - points[-1][0] < SPACING.total_seconds():
                return False
            points.append((moment, used_bytes))
            self._forget_before(moment - int(KEPT.total_seconds()))
            return True

    def samples(self, mount: str, *, since: datetime | None = None) -> tuple[tuple[datetime, int], ...]:
        """The points of one mount, oldest first."""
        first = since.timestamp() if since else 0
        with self._lock:
            points = list(self._points.get(mount, ()))
        return tuple((datetime.fromtimestamp(moment, UTC), used) for moment, used in points if moment >= first)

    def save(self) -> bool:
        """Write the file. False when that was not possible; nothing is lost but the memory of a later start."""
        if self._path is None or not self._writes:
            return False
        with self._lock:
            content = json.dumps({"version": 1, "mounts": self._points}, separators=(",", ":"))
        try:
            _replace(self._path, content)
        except OSError:
            return False
        return True

    def _forget_before(self, moment: int) -> None:
        for mount in list(self._points):
            kept = [point for point in self._points[mount] if point[0] >= moment]
            if kept:
                self._points[mount] = kept
            else:
                del self._points[mount]  # a disk that is gone


def _load(path: Path) -> dict[str, list[tuple[int, int]]]:
    try:
        raw = json.loads(path.read_text())
        if raw["version"] != 1:
            return {}
        return {str(mount): sorted(_sound(points)) for mount, points in raw["mounts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _sound(points: list[list[int]]) -> Iterator[tuple[int, int]]:
    for moment, used in points:
        if not 0 <= moment < _YEAR_2100 or used < 0:
            raise ValueError("no time or size of ours")
        yield int(moment), int(used)


def _replace(path: Path, content: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise
