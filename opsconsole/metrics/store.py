"""Writing into `metrics.sqlite`: samples, events, state and the lease of whoever samples."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from opsconsole.metrics import keeping, opening
from opsconsole.metrics.moments import from_seconds, milliseconds, seconds_of
from opsconsole.metrics.records import Event, Labels, Lease, NotStored, Value
from opsconsole.model import SourceError

T = TypeVar("T")

_LONGEST_TEXT = 500  # characters of an event's line, and of each fact
_LONGEST_LEASE = timedelta(hours=2)


def metrics_file(directory: Path) -> Path:
    """Where the metrics of the stack in `directory` are kept."""
    return directory / ".opsconsole" / "metrics.sqlite"


class MetricsStore:
    """The writing side. Opened with the first call; safe to share between threads; every method blocks.

    Methods raise NotStored when nothing could be stored (nothing is half stored), SourceError when the file may not be
    used at all. `notices` collects what an operator should hear: take them with `take_notices`.
    """

    def __init__(self, path: Path, *, max_bytes: int = keeping.MAX_BYTES, clock: Callable[[], datetime] | None = None):
        self.path = path
        self.max_bytes = max_bytes
        self._clock = clock or (lambda: datetime.now(UTC))  # only for the name of a file that is put aside
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: os.stat_result | None = None
        self._notices: list[str] = []
        self._series: dict[tuple[str, Labels], int] = {}

    def __enter__(self) -> MetricsStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None
            self._series.clear()

    def take_notices(self) -> tuple[str, ...]:
        """One line each, told once: a damaged file was put aside."""
        with self._lock:
            found, self._notices = tuple(self._notices), []
        return found

    # --- what is stored --------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """One transaction: all of what is done with the Writing is stored, or none of it, also when it raises."""
        with self._lock:
            try:
                connection = self._ready()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield Writing(connection, self._series)
                    connection.execute("COMMIT")
                except BaseException:
                    self._series.clear()  # numbers of series that are not there after all
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._fault(error) from None

    def add_sample(self, at: datetime, values: Sequence[Value], *, spacing: int = 10, writer: str = "") -> bool:
        """Store one sample in the slot of `spacing` seconds that `at` lies in. False when that slot is taken.

        Older samples are summed up and what is too old is removed on the way, a little with each call.
        """
        with self.writing() as writing:
            stored = writing.add_sample(at, values, spacing=spacing, writer=writer)
            if stored:
                writing.tidy(at, max_bytes=self.max_bytes)
        self.give_room_back()
        return stored

    def give_room_back(self) -> None:
        """Give a little of what is free in the file back to the disk. Never raises: it can be done another time."""
        with self._lock, contextlib.suppress(sqlite3.Error, SourceError):
            keeping.give_back(self._ready())

    def clean(self, now: datetime) -> int:
        """Remove all that is too old or too much, in many small steps. How many rows went."""
        removed, more = 0, True
        while more:
            with self.writing() as writing:
                more, count = writing.clean(now, max_bytes=self.max_bytes)
            removed += count
            self.give_room_back()
        return removed

    def add_events(self, events: Sequence[Event]) -> int:
        """How many of them were new."""
        with self.writing() as writing:
            return writing.add_events(events)

    def state(self, name: str, kind: type[T]) -> T | None:
        """What was kept under this name; None when nothing was, or nothing that is a `kind`."""
        with self._lock:
            try:
                return read_state(self._ready(), name, kind)
            except sqlite3.Error as error:
                raise self._fault(error) from None

    def set_state(self, name: str, value: object, now: datetime) -> None:
        """Keep a struct, or anything that msgspec writes as JSON, in place of what was there."""
        with self.writing() as writing:
            writing.set_state(name, value, now)

    # --- the lease -------------------------------------------------------------------------------

    def take_lease(
        self,
        holder: str,
        now: datetime,
        *,
        seconds: float,
        rank: int,
        gone: Callable[[str], bool] = lambda holder: False,
    ) -> bool:
        """Whether `holder` samples for the next `seconds`: nobody else does, or one of a lower rank did. `gone` says
        of another holder that it is known to be no more; otherwise its time is waited for."""
        with self.writing() as writing:
            return writing.take_lease(holder, now, seconds=seconds, rank=rank, gone=gone)

    def give_lease_back(self, holder: str) -> None:
        with self.writing() as writing:
            writing.give_lease_back(holder)

    # --- the file --------------------------------------------------------------------------------

    def _ready(self) -> sqlite3.Connection:
        """The open database. One that was taken away beneath us is not written to for ever: it is begun anew."""
        if self._connection is not None and not self._is_still_there():
            self.close()
        if self._connection is None:
            try:
                self._connection = self._open()
            except sqlite3.Error as error:
                if not opening.is_damaged(error):
                    raise
                self._put_aside()
                self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        opening.make(self.path)
        self._opened = self.path.lstat()
        return opening.open_for_writing(self.path)

    def _is_still_there(self) -> bool:
        try:
            there = self.path.lstat()
        except OSError:
            return False
        seen = self._opened
        return seen is not None and (there.st_dev, there.st_ino) == (seen.st_dev, seen.st_ino)

    def _fault(self, error: sqlite3.Error) -> SourceError:
        """What went wrong as an operator reads it. After damage the next call begins a new file."""
        if opening.is_damaged(error):
            self.close()
            with contextlib.suppress(OSError):
                self._put_aside()
            return NotStored(f"{self.path.name} is damaged: {error}", "A new one is begun.")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            self.close()  # open it anew next time: the disk may be back by then
        why = {
            sqlite3.SQLITE_FULL: "the disk is full",
            sqlite3.SQLITE_IOERR: "the disk is full or does not answer",
            sqlite3.SQLITE_BUSY: "another opsconsole writes for too long",
        }.get(code, str(error))
        return NotStored(f"{self.path.name} was not written: {why}", "See `df` for the disk of the stack's directory.")

    def _put_aside(self) -> None:
        if self._opened and (said := opening.put_aside(self.path, self._opened, self._clock())):
            self._notices.append(said)


class Writing:
    """What can be done within one transaction. Errors of SQLite are told by `MetricsStore.writing`."""

    def __init__(self, connection: sqlite3.Connection, series: dict[tuple[str, Labels], int]) -> None:
        self._connection = connection
        self._series = series

    def add_sample(self, at: datetime, values: Sequence[Value], *, spacing: int = 10, writer: str = "") -> bool:
        """As `MetricsStore.add_sample`, without tidying."""
        slot = seconds_of(at) // spacing * spacing
        taken = self._connection.execute("INSERT OR IGNORE INTO slots VALUES (?, ?)", (slot, writer)).rowcount == 0
        if taken:
            return False
        rows = []
        for value in values:
            if math.isfinite(value.value) and (number := self._number_of(value.name, value.labels)):
                rows.append((slot, number, float(value.value)))
        self._connection.executemany("INSERT OR REPLACE INTO raw VALUES (?, ?, ?)", rows)
        return True

    def add_events(self, events: Sequence[Event]) -> int:
        before = self._connection.total_changes
        self._connection.executemany(
            "INSERT OR IGNORE INTO events (at, kind, subject, text, facts, key) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    milliseconds(event.at),
                    event.kind.value,
                    _sound(event.subject),
                    _sound(event.text),
                    json.dumps({_sound(name): _sound(fact) for name, fact in event.facts.items()}),
                    event.key or None,
                )
                for event in events
            ],
        )
        return self._connection.total_changes - before

    def state(self, name: str, kind: type[T]) -> T | None:
        return read_state(self._connection, name, kind)

    def set_state(self, name: str, value: object, now: datetime) -> None:
        text = msgspec.json.encode(value).decode()
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (name, text, seconds_of(now)))

    def take_lease(
        self,
        holder: str,
        now: datetime,
        *,
        seconds: float,
        rank: int,
        gone: Callable[[str], bool] = lambda holder: False,
    ) -> bool:
        found = read_lease(self._connection)
        # One that would hold for longer than any does was written before the clock was set back.
        runs = found is not None and timedelta(0) < found.expires_at - now <= _LONGEST_LEASE
        if found is not None and runs and found.holder != holder and found.rank >= rank and not gone(found.holder):
            return False
        since = found.taken_at if found is not None and found.holder == holder else now
        until = now + timedelta(seconds=seconds)
        self._connection.execute(
            "INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?)",
            (holder, rank, milliseconds(since), milliseconds(until)),
        )
        return True

    def give_lease_back(self, holder: str) -> None:
        self._connection.execute("DELETE FROM lease WHERE holder = ?", (holder,))

    def clean(self, now: datetime, *, max_bytes: int = keeping.MAX_BYTES) -> tuple[bool, int]:
        """One step: whether there may be more, and how many rows went."""
        before = self._connection.total_changes
        more = keeping.remove_some(self._connection, seconds_of(now), max_bytes=max_bytes)
        return more, self._connection.total_changes - before

    def tidy(self, now: datetime, *, max_bytes: int = keeping.MAX_BYTES) -> None:
        """Sum up what is complete and remove a little of what is too old or too much."""
        if keeping.tidy(self._connection, seconds_of(now), max_bytes=max_bytes):
            self._series.clear()  # series without samples went

    def _number_of(self, name: str, labels: Labels) -> int:
        """The series' number; 0 when there are so many that no new one is begun."""
        key = (name, labels)
        if key in self._series:
            return self._series[key]
        text = json.dumps([[_sound(word) for word in pair] for pair in sorted(labels)])
        row = self._connection.execute("SELECT id FROM series WHERE name = ? AND labels = ?", (name, text)).fetchone()
        if row is None:
            count = self._connection.execute("SELECT count(*) FROM series").fetchone()[0]
            if count >= keeping.MOST_SERIES:
                return 0
            cursor = self._connection.execute("INSERT INTO series (name, labels) VALUES (?, ?)", (name, text))
            row = (cursor.lastrowid or 0,)
        self._series[key] = row[0]
        return int(row[0])


def read_state(connection: sqlite3.Connection, name: str, kind: type[T]) -> T | None:
    row = connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    try:
        return msgspec.json.decode(row[0], type=kind) if row else None
    except (msgspec.MsgspecError, ValueError):
        return None  # of an older version, which meant something else by it


def read_lease(connection: sqlite3.Connection) -> Lease | None:
    row = connection.execute("SELECT holder, rank, taken, expires FROM lease").fetchone()
    if row is None:
        return None
    return Lease(
        holder=row[0], rank=row[1], taken_at=from_seconds(row[2] / 1000), expires_at=from_seconds(row[3] / 1000)
    )


def _sound(text: str) -> str:
    """Text that SQLite can keep (a name on a disk need not be UTF-8), and not too much of it."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()
