"""How the collections of MongoDB grew since the collector first saw them in the last week. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from opsconsole.database_work import Growth
from opsconsole.metrics.records import Course
from opsconsole.model import MongoDatabase

NAMES = ("mongodb_collection_bytes", "mongodb_collection_documents")
BACK = timedelta(days=7)
STEPS = 168
"""Of an hour each, as they are kept."""

_LEAST = timedelta(hours=12)


def growth(databases: Iterable[MongoDatabase], courses: Iterable[Course], now: datetime) -> tuple[Growth, ...]:
    """What grew most first, of one server's collections; `courses` of `NAMES` from `now - BACK` on. () when they reach
    back less than half a day: that says nothing yet."""
    first = {
        (course.series.name, course.series.label("database"), course.series.label("collection")): found
        for course in courses
        if (found := _first(course)) is not None
    }
    if not first or now - min(at for at, _ in first.values()) < _LEAST:
        return ()
    return tuple(sorted(_grown(databases, first, now), key=lambda one: -one.grown_bytes))


def _grown(
    databases: Iterable[MongoDatabase], first: dict[tuple[str, str, str], tuple[datetime, float]], now: datetime
) -> Iterator[Growth]:
    for database in databases:
        for one in database.collections:
            size, documents = (first.get((name, database.name, one.name)) for name in NAMES)
            if size is None or one.data_bytes is None:
                continue
            grown = one.documents - round(documents[1]) if one.documents is not None and documents else None
            yield Growth(
                path=f"{database.name}.{one.name}",
                size_bytes=one.data_bytes,
                documents=one.documents,
                grown_bytes=one.data_bytes - round(size[1]),
                grown_documents=grown,
                seconds=(now - size[0]).total_seconds(),
            )


def _first(course: Course) -> tuple[datetime, float] | None:
    for number, point in enumerate(course.points):
        if point is not None:
            return course.begins + timedelta(seconds=number * course.step_seconds), point.mean
    return None
