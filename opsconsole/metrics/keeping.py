"""How long metrics are kept: summed up into minutes and hours, and removed in small steps.

Everything here runs inside the transaction of a sample, so that a kill finds it done or not begun. A step removes some
thousand rows at most. What is too old is removed only when samples have come for some hours: a clock that jumps ahead
for a while removes nothing.
"""

from __future__ import annotations

import sqlite3

RAW_SECONDS = 48 * 3600
MINUTES_SECONDS = 30 * 86400
HOURS_SECONDS = 396 * 86400  # 13 months
EVENTS_SECONDS = HOURS_SECONDS
MOST_EVENTS = 100_000
"""A container that starts and dies every second fills a day and more."""
MOST_SERIES = 5_000
"""Containers with names that never come again would make new series for ever."""
MAX_BYTES = 512 << 20

SUMMED_EVERY = 600
"""Seconds between two summings up of minutes: rows of many series are touched at once, and each page once."""

_STEADY_SECONDS, _LONGEST_GAP = 6 * 3600, 86400
_ROWS = 5_000
_PAGES = 256

# What goes first when the file is too large, and what is left of it at least, in seconds.
_CUTS = (
    ("raw", 6 * 3600),
    ("minutes", 2 * 86400),
    ("hours", 60 * 86400),
    ("raw", 3600),
    ("minutes", 6 * 3600),
    ("events", 7 * 86400),
    ("hours", 7 * 86400),
)


def tidy(connection: sqlite3.Connection, now: int, *, max_bytes: int = MAX_BYTES) -> bool:
    """Sum up and remove what is due at `now` (seconds since 1970). True when series were removed."""
    _mark(connection, "hours", now)
    summed = _mark(connection, "minutes", now) + SUMMED_EVERY <= now
    if summed:
        _sum_minutes(connection, now)
        _sum_hours(connection, now)
    remove_some(connection, now, max_bytes=max_bytes, sums=summed, by_age=_is_steady(connection, now))
    return summed and _remove_empty_series(connection)


def remove_some(
    connection: sqlite3.Connection, now: int, *, max_bytes: int = MAX_BYTES, sums: bool = True, by_age: bool = True
) -> bool:
    """Remove a little of what is too old or too much; `sums`: of minutes and hours, too. Whether there was any."""
    too_old = [("raw", RAW_SECONDS), ("events", EVENTS_SECONDS)] if by_age else []
    if sums and by_age:
        too_old += [("minutes", MINUTES_SECONDS), ("hours", HOURS_SECONDS)]
    removed = sum(_remove_before(connection, table, now - seconds) for table, seconds in too_old)
    removed += _remove_most_events(connection) if sums else 0
    if used_bytes(connection) > max_bytes:
        for table, least in _CUTS:
            removed += _remove_before(connection, table, now - least)
            if removed >= _ROWS // 4:
                break
    return removed > 0


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the database that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def give_back(connection: sqlite3.Connection) -> None:
    """Give a little of what is free back to the disk. Not within a transaction of ours."""
    if connection.execute("PRAGMA freelist_count").fetchone()[0] > _PAGES:
        connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()


def _is_steady(connection: sqlite3.Connection, now: int) -> bool:
    """Whether samples have come for some hours by this clock, none of them more than a day after the one before."""
    row = connection.execute("SELECT at FROM marks WHERE name = 'steady'").fetchone()
    before = connection.execute(
        "SELECT at FROM slots WHERE at <= ? ORDER BY at DESC LIMIT 1 OFFSET 1", (now,)
    ).fetchone()
    if row is None or row[0] > now or before is None or now - before[0] > _LONGEST_GAP:
        _set_mark(connection, "steady", now)
        return False
    return bool(now - row[0] >= _STEADY_SECONDS)


# --- summing up ------------------------------------------------------------------------------------


def _mark(connection: sqlite3.Connection, name: str, now: int) -> int:
    """Until when this table is summed up: before it are its rows, from it on those of the finer table."""
    row = connection.execute("SELECT at FROM marks WHERE name = ?", (name,)).fetchone()
    if row is not None and row[0] <= now:
        return int(row[0])
    if row is None:  # a new file: from its first sample on
        first = connection.execute("SELECT min(at) FROM slots").fetchone()[0]
        at = (first if first is not None and first <= now else now) // 3600 * 3600
    else:  # the clock was set back: the last one that is there is summed up again, as it may not have been complete
        last = f"SELECT max((SELECT max(at) FROM {name} WHERE series = id AND at <= ?)) FROM series"
        at = connection.execute(last, (now,)).fetchone()[0] or now // 3600 * 3600
    _set_mark(connection, name, at)
    return at


def _set_mark(connection: sqlite3.Connection, name: str, at: int) -> None:
    connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, at))


def _sum_minutes(connection: sqlite3.Connection, now: int) -> None:
    begin, end = _mark(connection, "minutes", now), now // 60 * 60
    connection.execute(
        "INSERT OR REPLACE INTO minutes SELECT series, at / 60 * 60 AS minute, min(value), avg(value), max(value), "
        "count(*) FROM raw WHERE at >= ? AND at < ? GROUP BY series, minute",
        (begin, end),
    )
    _set_mark(connection, "minutes", end)


def _sum_hours(connection: sqlite3.Connection, now: int) -> None:
    """Hours that are complete, of the minutes that have just been written."""
    begin, end = _mark(connection, "hours", now), now // 3600 * 3600
    if begin >= end:
        return
    connection.execute(
        "INSERT OR REPLACE INTO hours SELECT m.series, m.at / 3600 * 3600 AS hour, min(m.low), "
        "sum(m.mean * m.count) / sum(m.count), max(m.high), sum(m.count) "
        "FROM series AS s CROSS JOIN minutes AS m ON m.series = s.id "
        "WHERE m.at >= ? AND m.at < ? GROUP BY m.series, hour",
        (begin, end),
    )
    _set_mark(connection, "hours", end)


# --- removing --------------------------------------------------------------------------------------


def _remove_before(connection: sqlite3.Connection, table: str, moment: int) -> int:
    """Remove the oldest rows of a table before a moment, some thousand at most. How many."""
    if table == "raw":
        return _remove_slots_before(connection, moment)
    if table == "events":
        return connection.execute(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?)",
            (moment * 1000, _ROWS),
        ).rowcount
    # By series, as the rows lie: the oldest of each, so many that no step is long.
    return connection.execute(
        f"DELETE FROM {table} WHERE (series, at) IN (SELECT r.series, r.at FROM series AS s CROSS JOIN {table} AS r "
        "ON r.series = s.id AND r.at < ? LIMIT ?)",
        (moment, _ROWS),
    ).rowcount


def _remove_slots_before(connection: sqlite3.Connection, moment: int) -> int:
    """Raw samples lie by time: whole slots go. Those that are not summed up yet stay, whatever the size."""
    row = connection.execute("SELECT at FROM marks WHERE name = 'minutes'").fetchone()
    end = min(moment, row[0]) if row is not None else moment
    last = connection.execute("SELECT at FROM raw WHERE at < ? ORDER BY at LIMIT 1 OFFSET ?", (end, _ROWS)).fetchone()
    if last is not None:
        end = min(end, last[0] + 1)
    removed = connection.execute("DELETE FROM raw WHERE at < ?", (end,)).rowcount
    return removed + connection.execute("DELETE FROM slots WHERE at < ?", (end,)).rowcount


def _remove_most_events(connection: sqlite3.Connection) -> int:
    return connection.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY at DESC LIMIT ? OFFSET ?)",
        (_ROWS, MOST_EVENTS),
    ).rowcount


def _remove_empty_series(connection: sqlite3.Connection) -> bool:
    """Series of which nothing is left: called when all raw samples before the mark have their minutes."""
    removed = connection.execute(
        "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM minutes WHERE series = id) "
        "AND NOT EXISTS (SELECT 1 FROM hours WHERE series = id) "
        "AND id NOT IN (SELECT series FROM raw WHERE at >= (SELECT at FROM marks WHERE name = 'minutes'))"
    ).rowcount
    return removed > 0
