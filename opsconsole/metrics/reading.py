"""Reading `metrics.sqlite`: courses for charts, the newest values, events, state. Looking writes nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TypeVar

from opsconsole.metrics.moments import from_seconds, milliseconds, seconds_of
from opsconsole.metrics.opening import open_for_reading
from opsconsole.metrics.records import Course, Event, EventKind, Latest, Lease, Point, Series, Stored
from opsconsole.metrics.store import read_lease, read_state
from opsconsole.model import SourceError

T = TypeVar("T")

_MINUTE, _HOUR = 60, 3600
_SPACING_SEEN = 6 * 3600
"""Seconds at the end of a course in which the distance of two samples is looked at."""

_BRIDGED = 2.5
"""A hole shorter than so many samples is none: cron is late by a second, a sample was slow."""


class MetricsReader:
    """The reading side. Each call opens the file, reads one state of it and closes it: no writer ever waits for us.

    Methods block for some milliseconds and raise SourceError, `absent` when nothing was kept yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def series(self, name: str = "") -> tuple[Series, ...]:
        """All of this name, or all, in order of name and labels."""
        with self._open() as connection:
            return tuple(found for _, found in _series(connection, [name] if name else []))

    def courses(
        self,
        names: Sequence[str],
        since: datetime,
        until: datetime,
        *,
        steps: int,
        among: Callable[[Series], bool] = lambda series: True,
    ) -> tuple[Course, ...]:
        """Every series of these names from `since` to `until`, in about `steps` steps of equal length, not more.

        Steps begin at multiples of their length (the first one may do so before `since`), so that a chart that is drawn
        again does not shiver; they are at least as long as the distance of two samples. A series that has nothing in
        this time is left out, and so is one that `among` does not want.
        """
        begin, end = seconds_of(since), seconds_of(until)
        if end <= begin or steps < 1:
            return ()
        with self._open() as connection:
            spacing = _spacing(connection, begin, end)
            width = _width(end - begin, steps, spacing)
            begin = begin // width * width
            found = [(number, series) for number, series in _series(connection, names) if among(series)]
            rows = _points(connection, [number for number, _ in found], begin, end, width)
        count = (end - begin + width - 1) // width
        longest_bridge = int(_BRIDGED * spacing / width)
        return tuple(
            Course(
                series=series,
                begins=from_seconds(begin),
                step_seconds=width,
                points=bridged(tuple(rows[number].get(step) for step in range(count)), longest_bridge),
            )
            for number, series in found
            if rows.get(number)
        )

    def latest(self, name: str, since: datetime) -> tuple[Latest, ...]:
        """The newest value of each series of this name that was sampled at or after `since`."""
        with self._open() as connection:
            found = []
            for number, series in _series(connection, [name]):
                row = connection.execute(
                    "SELECT s.at, r.value FROM slots AS s CROSS JOIN raw AS r ON r.at = s.at AND r.series = ? "
                    "WHERE s.at >= ? ORDER BY s.at DESC LIMIT 1",
                    (number, seconds_of(since)),
                ).fetchone()
                if row:
                    found.append(Latest(series=series, at=from_seconds(row[0]), value=row[1]))
            return tuple(found)

    def events(
        self,
        since: datetime,
        until: datetime,
        *,
        kinds: Collection[EventKind] = (),
        subject: str = "",
        most: int = 1000,
    ) -> tuple[Event, ...]:
        """The newest `most` events from `since` to `until` (both included), oldest first. All kinds when none is said.

        Kinds that only a newer version knows are left out.
        """
        where, values = ["at >= ? AND at <= ?"], [milliseconds(since), milliseconds(until)]
        if kinds:
            where.append(f"kind IN ({', '.join('?' * len(kinds))})")
        if subject:
            where.append("subject = ?")
        query = (
            "SELECT at, kind, subject, text, facts, key FROM events "
            f"WHERE {' AND '.join(where)} ORDER BY at DESC, id DESC LIMIT ?"
        )
        chosen = [*values, *(kind.value for kind in kinds), *([subject] if subject else []), most]
        with self._open() as connection:
            rows = connection.execute(query, chosen).fetchall()
        known = {kind.value for kind in EventKind}
        return tuple(_event(row) for row in reversed(rows) if row[1] in known)

    def state(self, name: str, kind: type[T]) -> T | None:
        """As `MetricsStore.state`."""
        with self._open() as connection:
            return read_state(connection, name, kind)

    def lease(self) -> Lease | None:
        """Who samples, or did last when it expired."""
        with self._open() as connection:
            return read_lease(connection)

    def stored(self) -> Stored:
        """How much there is."""
        with self._open() as connection:

            def one(query: str) -> int | None:
                found: int | None = connection.execute(query).fetchone()[0]
                return found

            def moment(query: str) -> datetime | None:
                found = one(query)
                return None if found is None else from_seconds(found)

            size = sum(
                beside.stat().st_size
                for beside in (self.path, self.path.with_name(f"{self.path.name}-wal"))
                if beside.exists()
            )
            # The smallest of each series, as minutes and hours lie by series.
            oldest = "SELECT min((SELECT min(at) FROM {} WHERE series = id)) FROM series"
            return Stored(
                size_bytes=size,
                series=one("SELECT count(*) FROM series") or 0,
                events=one("SELECT count(*) FROM events") or 0,
                samples=one("SELECT count(*) FROM slots") or 0,
                oldest=moment("SELECT min(at) FROM slots"),
                newest=moment("SELECT max(at) FROM slots"),
                oldest_minute=moment(oldest.format("minutes")),
                oldest_hour=moment(oldest.format("hours")),
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = open_for_reading(self.path)
        try:
            connection.execute("BEGIN")  # one state of the file, whoever writes meanwhile
            yield connection
        except sqlite3.Error as error:
            raise SourceError(f"{self.path} cannot be read: {error}") from None
        finally:
            connection.close()


def bridged(points: tuple[Point | None, ...], longest: int) -> tuple[Point | None, ...]:
    """Holes of up to `longest` steps between two points are filled with the point before them; longer ones stay."""
    if longest < 1:
        return points
    filled, last = list(points), None
    for index, point in enumerate(points):
        if point is None:
            continue
        if last is not None and 0 < index - last - 1 <= longest:
            filled[last + 1 : index] = [points[last]] * (index - last - 1)
        last = index
    return tuple(filled)


# --- helpers ---------------------------------------------------------------------------------------


def _series(connection: sqlite3.Connection, names: Sequence[str]) -> list[tuple[int, Series]]:
    where = f" WHERE name IN ({', '.join('?' * len(names))})" if names else ""
    rows = connection.execute(f"SELECT id, name, labels FROM series{where} ORDER BY name, labels", tuple(names))
    return [
        (number, Series(name=name, labels=tuple((key, value) for key, value in json.loads(labels))))
        for number, name, labels in rows
    ]


def _spacing(connection: sqlite3.Connection, begin: int, end: int) -> int:
    """Seconds between two samples, as they are usual in this time; of long times in the last hours of it."""
    first = max(begin, end - _SPACING_SEEN)
    slots = [row[0] for row in connection.execute("SELECT at FROM slots WHERE at >= ? AND at <= ?", (first, end))]
    return int(median(later - earlier for earlier, later in pairwise(slots))) if slots[1:] else 10


def _width(span: int, steps: int, spacing: int) -> int:
    """The length of a step: what the span asks for, in whole samples, minutes or hours, which are read then."""
    rough = span / steps
    least = max(_HOUR if rough >= _HOUR else _MINUTE if rough >= _MINUTE else 1, spacing)
    return -(-span // (steps * least)) * least


def _points(
    connection: sqlite3.Connection, numbers: Sequence[int], begin: int, end: int, width: int
) -> dict[int, dict[int, Point]]:
    """The points by series and number of step: hours as far as they are summed up, then minutes, then raw samples; no
    finer than a step is long."""
    marks = dict(connection.execute("SELECT name, at FROM marks").fetchall())
    raw_from = min(max(marks.get("minutes", begin), begin), end) if width >= _MINUTE else begin
    minutes_from = min(max(marks.get("hours", begin), begin), raw_from) if width >= _HOUR else begin
    rows = connection.execute(
        "WITH wanted AS (SELECT value AS id FROM json_each(:numbers)) "
        "SELECT series, (at - :begin) / :width AS step, min(low), sum(mean * count) / sum(count), max(high), "
        "sum(count) FROM ("
        "SELECT h.series, h.at, h.low, h.mean, h.high, h.count FROM wanted CROSS JOIN hours AS h ON h.series = id "
        "WHERE h.at >= :begin AND h.at < :minutes_from UNION ALL "
        "SELECT m.series, m.at, m.low, m.mean, m.high, m.count FROM wanted CROSS JOIN minutes AS m ON m.series = id "
        "WHERE m.at >= :minutes_from AND m.at < :raw_from UNION ALL "
        "SELECT r.series, r.at, r.value, r.value, r.value, 1 FROM slots AS s CROSS JOIN wanted "
        "CROSS JOIN raw AS r ON r.at = s.at AND r.series = id WHERE s.at >= :raw_from AND s.at <= :end"
        ") GROUP BY series, step",
        {
            "numbers": json.dumps(list(numbers)),
            "begin": begin,
            "end": end,
            "width": width,
            "minutes_from": minutes_from,
            "raw_from": raw_from,
        },
    )
    found: dict[int, dict[int, Point]] = {}
    for series, step, low, mean, high, count in rows:
        found.setdefault(series, {})[step] = Point(low=low, mean=mean, high=high, count=count)
    return found


def _event(row: tuple[int, str, str, str, str, str | None]) -> Event:
    at, kind, subject, text, facts, key = row
    return Event(
        at=from_seconds(at / 1000),
        kind=EventKind(kind),
        subject=subject,
        text=text,
        facts=json.loads(facts),
        key=key or "",
    )
