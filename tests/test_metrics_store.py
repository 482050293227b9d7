"""The store of metrics: what is kept, for how long, and what it survives."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.metrics import (
    COLLECTOR,
    CONSOLE,
    Event,
    EventKind,
    MetricsReader,
    MetricsStore,
    NotStored,
    Value,
    metrics_file,
    opening,
    schema,
)
from opsconsole.metrics.keeping import tidy
from opsconsole.metrics.reading import bridged
from opsconsole.metrics.records import Point
from opsconsole.model import SourceError

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class Memory(msgspec.Struct, frozen=True):
    firing: dict[str, int] = {}


@pytest.fixture
def store(tmp_path: Path) -> MetricsStore:
    return MetricsStore(metrics_file(tmp_path), clock=lambda: NOW)


@pytest.fixture
def reader(store: MetricsStore) -> MetricsReader:
    return MetricsReader(store.path)


def cpu(value: float, container: str = "a") -> Value:
    return Value(name="container_cpu_percent", value=value, labels=(("container", container),))


def fill(store: MetricsStore, begin: datetime, count: int, *, spacing: int = 10, series: int = 1) -> None:
    """Samples 0, 1, 2 ... of each series, one transaction for all."""
    with store.writing() as writing:
        for number in range(count):
            at = begin + timedelta(seconds=number * spacing)
            assert writing.add_sample(at, [cpu(number, f"c{one}") for one in range(series)], spacing=spacing)


# --- samples ---------------------------------------------------------------------------------------


def test_what_was_sampled_is_read_back_with_its_labels(store: MetricsStore, reader: MetricsReader) -> None:
    assert store.add_sample(NOW, [cpu(12.5), cpu(3.0, 'odd "name"\n')])
    found = reader.latest("container_cpu_percent", NOW - timedelta(minutes=1))
    assert {(one.series.label("container"), one.value, one.at) for one in found} == {
        ("a", 12.5, NOW),
        ('odd "name"\n', 3.0, NOW),
    }


def test_labels_in_another_order_are_the_same_series(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_sample(NOW, [Value(name="x", value=1, labels=(("a", "1"), ("b", "2")))])
    store.add_sample(NOW + timedelta(seconds=10), [Value(name="x", value=1, labels=(("b", "2"), ("a", "1")))])
    assert len(reader.series("x")) == 1


def test_what_is_no_number_is_not_stored(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_sample(NOW, [cpu(float("nan")), cpu(float("inf"), "b"), cpu(1.0, "c")])
    assert [one.value for one in reader.latest("container_cpu_percent", NOW)] == [1.0]


def test_a_slot_is_stored_once(store: MetricsStore, reader: MetricsReader) -> None:
    assert store.add_sample(NOW, [cpu(1.0)], spacing=10)
    assert not store.add_sample(NOW + timedelta(seconds=9), [cpu(2.0)], spacing=10)
    assert store.add_sample(NOW + timedelta(seconds=10), [cpu(3.0)], spacing=10)
    assert [one.value for one in reader.latest("container_cpu_percent", NOW)] == [3.0]


def test_two_writers_store_each_slot_once(tmp_path: Path) -> None:
    path = metrics_file(tmp_path)
    stored: list[bool] = []

    def write() -> None:
        with MetricsStore(path) as mine:
            for number in range(50):
                stored.append(mine.add_sample(NOW + timedelta(seconds=10 * number), [cpu(1.0)]))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored) == [False] * 100 + [True] * 50


def test_a_course_has_a_hole_where_nothing_was_measured(store: MetricsStore, reader: MetricsReader) -> None:
    fill(store, NOW, 60)
    fill(store, NOW + timedelta(minutes=20), 60)
    (course,) = reader.courses(["container_cpu_percent"], NOW, NOW + timedelta(minutes=30), steps=30)
    assert course.step_seconds == 60 and course.begins == NOW
    assert [point is not None for point in course.points] == [True] * 10 + [False] * 10 + [True] * 10
    assert course.points[0] == Point(low=0, mean=2.5, high=5, count=6)


def test_steps_are_never_shorter_than_the_distance_of_samples(store: MetricsStore, reader: MetricsReader) -> None:
    fill(store, NOW, 12, spacing=300)
    (course,) = reader.courses(["container_cpu_percent"], NOW, NOW + timedelta(hours=1), steps=400)
    assert course.step_seconds == 300 and all(course.points)


def test_days_are_read_from_minutes_and_the_last_minutes_raw(store: MetricsStore, reader: MetricsReader) -> None:
    begin = NOW - timedelta(hours=24)
    fill(store, begin, 24 * 60, spacing=60)
    with store.writing() as writing:
        writing.tidy(NOW - timedelta(minutes=30))
    with sqlite3.connect(store.path) as connection:
        summed = connection.execute("SELECT count(*) FROM minutes").fetchone()[0]
        connection.execute("DELETE FROM raw WHERE at < ?", ((NOW - timedelta(minutes=30)).timestamp(),))
        connection.commit()
    connection.close()
    assert summed == 24 * 60 - 30
    (course,) = reader.courses(["container_cpu_percent"], begin, NOW, steps=24)
    assert [point.count for point in course.points if point] == [60] * 24
    assert course.points[-1] == Point(low=23 * 60, mean=23 * 60 + 29.5, high=24 * 60 - 1, count=60)


def test_months_are_read_from_hours(store: MetricsStore, reader: MetricsReader) -> None:
    end = NOW.replace(hour=0)
    begin = end - timedelta(days=20)
    fill(store, begin, 20 * 24 * 12, spacing=300)
    with store.writing() as writing:
        writing.tidy(end)
    with sqlite3.connect(store.path) as connection:
        connection.execute("DELETE FROM raw")
        connection.execute("DELETE FROM minutes")
        connection.commit()
    connection.close()
    (course,) = reader.courses(["container_cpu_percent"], begin, end, steps=20)
    assert [point.count for point in course.points if point] == [288] * 20
    assert course.points[0] == Point(low=0, mean=143.5, high=287, count=288)


@pytest.mark.parametrize(
    ("pattern", "longest", "result"),
    [
        ("x.x", 1, "xxx"),
        ("x..x", 1, "x..x"),
        ("x..x", 2, "xxxx"),
        (".x.", 3, ".x."),
        ("...", 3, "..."),
        ("x.x", 0, "x.x"),
        ("", 2, ""),
    ],
)
def test_a_sample_that_was_late_is_no_hole(pattern: str, longest: int, result: str) -> None:
    points = tuple(Point(low=1, mean=1, high=1, count=1) if mark == "x" else None for mark in pattern)
    assert "".join("x" if point else "." for point in bridged(points, longest)) == result


# --- how long --------------------------------------------------------------------------------------


def counts(path: Path) -> dict[str, int]:
    connection = sqlite3.connect(path)
    try:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("slots", "raw", "minutes", "hours", "events", "series")
        }
    finally:
        connection.close()


def of_the_first_hour(path: Path) -> dict[str, int]:
    """Rows that tell of the hour from NOW on."""
    begin = int(NOW.timestamp()) // 3600 * 3600
    connection = sqlite3.connect(path)
    try:
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE at >= ? AND at < ?", (begin, begin + 3600)
            ).fetchone()[0]
            for table in ("raw", "minutes", "hours")
        }
    finally:
        connection.close()


def test_raw_two_days_minutes_thirty_days_hours_thirteen_months(store: MetricsStore) -> None:
    """What is too old goes, its sums stay as long as they are kept."""
    fill(store, NOW, 12, spacing=300)
    store.add_events([Event(at=NOW, kind=EventKind.DIED, subject="a")])
    at = NOW

    def after(**span: float) -> dict[str, int]:
        nonlocal at
        while at < NOW + timedelta(**span):
            at += timedelta(hours=10)
            store.add_sample(at, [Value(name="other", value=1)], spacing=300)
        return counts(store.path)

    assert after(hours=40)["raw"] == 12 + 4
    left = after(hours=60)
    assert left["raw"] == 6 - 1 and left["raw"] == left["slots"], "of the last 48 hours"
    after(days=29)
    assert of_the_first_hour(store.path) == {"raw": 0, "minutes": 12, "hours": 1}
    assert after(days=31)["events"] == 1
    assert of_the_first_hour(store.path) == {"raw": 0, "minutes": 0, "hours": 1}
    after(days=395)
    assert of_the_first_hour(store.path)["hours"] == 1, "of thirteen months"
    left = after(days=398)
    assert of_the_first_hour(store.path)["hours"] == 0
    assert left["events"] == 0 and left["series"] == 1, "a series of which nothing is left goes"


def test_removing_takes_small_steps(store: MetricsStore) -> None:
    fill(store, NOW, 200, series=100)  # 20,000 rows
    late = NOW + timedelta(days=60)
    store.add_sample(late - timedelta(hours=7), [])
    removed = []
    for number in range(6):
        before = counts(store.path)["raw"]
        store.add_sample(late + timedelta(seconds=10 * number), [])
        removed.append(before - counts(store.path)["raw"])
    assert max(removed) <= 5_200 and sum(removed) == 20_000


def test_a_file_that_is_too_large_loses_its_oldest_and_gives_room_back(tmp_path: Path) -> None:
    limit = 400_000
    with MetricsStore(metrics_file(tmp_path), max_bytes=limit) as store:
        fill(store, NOW, 24 * 120, spacing=30, series=10)  # a day, about 800 kB
        end = NOW + timedelta(hours=24)
        for number in range(60):
            store.add_sample(end + timedelta(seconds=30 * number), [cpu(1.0)], spacing=30)
        reader = MetricsReader(store.path)
        stored = reader.stored()
        assert stored.oldest is not None and stored.oldest > NOW + timedelta(hours=12)
        assert stored.newest == end + timedelta(seconds=30 * 59)
        connection = sqlite3.connect(store.path)
        pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        connection.close()
        assert free <= 257 and (pages - free) * 4096 <= limit * 1.1


def test_a_clock_that_jumps_ahead_for_a_moment_does_not_empty_the_history(store: MetricsStore) -> None:
    fill(store, NOW, 360, series=50)
    before = counts(store.path)
    store.add_sample(NOW + timedelta(days=1800), [cpu(1.0)])
    store.add_sample(NOW + timedelta(hours=1, seconds=10), [cpu(1.0)])
    after = counts(store.path)
    assert after["raw"] == before["raw"] + 2
    fill(store, NOW + timedelta(hours=1, seconds=20), 120)
    store.add_sample(NOW + timedelta(hours=2), [cpu(1.0)])
    (course, *_) = MetricsReader(store.path).courses(["container_cpu_percent"], NOW, NOW + timedelta(hours=8), steps=8)
    assert course.points[1] is not None, "summing up goes on when the clock is right again"


def test_an_hour_weighs_its_samples_and_not_its_minutes(store: MetricsStore, reader: MetricsReader) -> None:
    begin = NOW.replace(hour=0)
    with store.writing() as writing:
        for second in (0, 20, 40, 60):  # three in one minute, one in the next
            writing.add_sample(begin + timedelta(seconds=second), [cpu(0.0 if second < 60 else 100.0)], spacing=20)
        writing.tidy(begin + timedelta(hours=2))
    (course,) = reader.courses(["container_cpu_percent"], begin, begin + timedelta(hours=2), steps=2)
    assert course.points == (Point(low=0, mean=25, high=100, count=4), None)


def test_after_the_clock_was_set_back_nothing_counts_twice(store: MetricsStore, reader: MetricsReader) -> None:
    fill(store, NOW, 180)
    store.add_sample(NOW + timedelta(days=900), [cpu(1.0, "c0")])
    store.add_sample(NOW + timedelta(minutes=30), [cpu(1.0, "c0")])
    (course,) = reader.courses(["container_cpu_percent"], NOW, NOW + timedelta(minutes=30), steps=30)
    assert [point.count if point else 0 for point in course.points] == [6] * 30


def test_reading_a_course_uses_the_indexes(store: MetricsStore) -> None:
    fill(store, NOW, 10)
    connection = sqlite3.connect(store.path)
    queries = {
        "DELETE FROM minutes WHERE (series, at) IN (SELECT r.series, r.at FROM series AS s CROSS JOIN minutes AS r "
        "ON r.series = s.id AND r.at < 5 LIMIT 9)",
        "SELECT at FROM raw WHERE at < 5 ORDER BY at LIMIT 1 OFFSET 9",
        "SELECT s.at, r.value FROM slots AS s CROSS JOIN raw AS r ON r.at = s.at AND r.series = 1 WHERE s.at >= 3",
        "SELECT at FROM events WHERE at >= 1 AND at <= 2 ORDER BY at DESC, id DESC LIMIT 3",
    }
    for query in queries:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert not [line for line in plan if line.startswith("SCAN") and line != "SCAN s"], (query, plan)
    connection.close()


# --- events, state, lease --------------------------------------------------------------------------


def died(number: int = 0, **others: object) -> Event:
    return msgspec.structs.replace(
        Event(at=NOW + timedelta(seconds=number), kind=EventKind.DIED, subject="backend", facts={"exit_code": "137"}),
        **others,
    )


def test_an_event_that_two_saw_is_stored_once(store: MetricsStore, reader: MetricsReader) -> None:
    assert store.add_events([died(key="die-1"), died(1)]) == 2
    assert store.add_events([died(key="die-1")]) == 0
    found = reader.events(NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert found == (died(key="die-1"), died(1))


def test_events_are_chosen_by_time_kind_and_subject(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_events([died(number) for number in range(5)])
    store.add_events([Event(at=NOW, kind=EventKind.OOM, subject="redis", text="out of memory")])
    span = NOW, NOW + timedelta(seconds=3)
    assert len(reader.events(*span)) == 5
    assert [event.subject for event in reader.events(*span, kinds=[EventKind.OOM])] == ["redis"]
    assert len(reader.events(*span, subject="backend")) == 4
    assert [event.at.second for event in reader.events(*span, subject="backend", most=2)] == [2, 3]


def test_events_of_a_newer_version_are_left_out(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_events([died()])
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE events SET kind = 'container-beamed-up'")
    connection.commit()
    connection.close()
    assert reader.events(NOW, NOW) == ()


def test_text_that_is_not_utf_8_is_kept_as_far_as_it_can_be(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_events([died(text="caf\udce9", facts={"x\udc80": "y" * 9000})])
    (event,) = reader.events(NOW, NOW)
    assert event.text == "caf?" and event.facts == {"x?": "y" * 500}


def test_state_is_kept_and_what_is_no_longer_understood_counts_as_none(
    store: MetricsStore, reader: MetricsReader
) -> None:
    assert store.state("alerts", Memory) is None
    store.set_state("alerts", Memory(firing={"cpu": 3}), NOW)
    assert store.state("alerts", Memory) == reader.state("alerts", Memory) == Memory(firing={"cpu": 3})
    assert store.state("alerts", list[int]) is None


def test_a_transaction_is_stored_whole_or_not_at_all(store: MetricsStore, reader: MetricsReader) -> None:
    store.set_state("alerts", Memory(), NOW)
    with pytest.raises(RuntimeError), store.writing() as writing:
        writing.set_state("alerts", Memory(firing={"cpu": 1}), NOW)
        writing.add_sample(NOW, [cpu(1.0, "new")])
        raise RuntimeError
    assert store.state("alerts", Memory) == Memory() and not reader.series()
    assert store.add_sample(NOW, [cpu(2.0, "new")]) and reader.latest("container_cpu_percent", NOW)[0].value == 2.0


def test_the_lease_goes_to_one_and_to_a_collector_before_a_console(store: MetricsStore) -> None:
    def take(holder: str, rank: int, after: float = 0.0) -> bool:
        return store.take_lease(holder, NOW + timedelta(seconds=after), seconds=30, rank=rank)

    assert take("console 1", CONSOLE)
    assert not take("console 2", CONSOLE, 29)
    assert take("console 1", CONSOLE, 29)
    assert take("collector", COLLECTOR, 30)
    assert not take("console 1", CONSOLE, 31)
    assert not take("collector 2", COLLECTOR, 31)
    assert take("console 1", CONSOLE, 61), "a collector that was killed holds it no longer"
    store.give_lease_back("console 1")
    assert take("console 2", CONSOLE, 62)


def test_a_lease_from_a_clock_that_ran_ahead_holds_nobody_up(store: MetricsStore) -> None:
    assert store.take_lease("collector", NOW + timedelta(days=900), seconds=30, rank=COLLECTOR)
    assert store.take_lease("console", NOW, seconds=30, rank=CONSOLE)


# --- the file --------------------------------------------------------------------------------------


def test_nobody_else_reads_the_files(store: MetricsStore) -> None:
    before = os.umask(0)
    try:
        store.add_sample(NOW, [cpu(1.0)])
        files = list(store.path.parent.iterdir())
    finally:
        os.umask(before)
    assert {file.name for file in files} == {"metrics.sqlite", "metrics.sqlite-wal", "metrics.sqlite-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = metrics_file(tmp_path)
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotStored):
        MetricsStore(path).add_sample(NOW, [])
    assert not (tmp_path / "elsewhere").exists()


def test_looking_writes_nothing(store: MetricsStore, reader: MetricsReader) -> None:
    with pytest.raises(SourceError) as caught:
        reader.series()
    assert caught.value.absent and not store.path.parent.exists()
    store.add_sample(NOW, [cpu(1.0)])
    store.close()
    assert reader.series() and reader.latest("container_cpu_percent", NOW)
    assert [file.name for file in store.path.parent.iterdir()] == ["metrics.sqlite"]


@pytest.mark.parametrize(
    "content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 8000], ids=["text", "its beginning"]
)
def test_a_damaged_file_is_put_aside_and_said(store: MetricsStore, content: bytes) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    assert store.add_sample(NOW, [cpu(1.0)])
    (notice,) = store.take_notices()
    assert "metrics.sqlite.damaged-20260131120000" in notice and not store.take_notices()
    assert (store.path.parent / "metrics.sqlite.damaged-20260131120000").read_bytes() == content


def test_damage_while_it_is_open_costs_one_sample(store: MetricsStore, reader: MetricsReader) -> None:
    fill(store, NOW, 3000, series=3)
    store.close()
    with open(store.path, "r+b") as file:  # the pages of the tables, not the first one
        file.seek(4096)
        file.write(b"\xa5" * (store.path.stat().st_size - 4096))
    with pytest.raises(NotStored, match="damaged"):
        store.add_sample(NOW + timedelta(days=1), [cpu(1.0)])
    assert store.add_sample(NOW + timedelta(days=1), [cpu(1.0)])
    assert len(store.take_notices()) == 1 and len(reader.series()) == 1


def test_a_file_that_was_taken_away_is_begun_anew(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_sample(NOW, [cpu(1.0)])
    for file in store.path.parent.iterdir():
        file.unlink()
    assert store.add_sample(NOW, [cpu(2.0)])
    assert [one.value for one in reader.latest("container_cpu_percent", NOW)] == [2.0]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("closed", [".opsconsole", "metrics.sqlite"])
def test_who_may_not_read_it_is_told_so(closed: str) -> None:
    script = (
        "import os, sys, pathlib\nfrom opsconsole.metrics import MetricsReader\n"
        "from opsconsole.model import SourceError\nos.setuid(65534)\n"
        "try:\n    MetricsReader(pathlib.Path(sys.argv[1])).series()\n"
        "except SourceError as error:\n    print(error.absent, error.hint)"
    )
    with tempfile.TemporaryDirectory() as directory:  # those of pytest are closed to others on the way
        Path(directory).chmod(0o755)
        with MetricsStore(metrics_file(Path(directory))) as store:
            store.add_sample(NOW, [cpu(1.0)])
        store.path.parent.chmod(0o700 if closed == ".opsconsole" else 0o755)
        done = subprocess.run([sys.executable, "-c", script, str(store.path)], capture_output=True, text=True)
    assert done.stdout == "False Run opsconsole as its owner.\n", done.stderr


def test_two_who_find_the_same_damage_put_it_aside_once(tmp_path: Path) -> None:
    path = metrics_file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"no database")
    seen = path.lstat()
    assert opening.put_aside(path, seen, NOW)
    path.write_bytes(b"the new one")
    assert not opening.put_aside(path, seen, NOW)
    assert path.read_bytes() == b"the new one"


def test_a_file_of_a_newer_version_is_left_alone(store: MetricsStore, reader: MetricsReader) -> None:
    store.add_sample(NOW, [cpu(1.0)])
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for attempt in (lambda: store.add_sample(NOW, []), reader.series):
        with pytest.raises(SourceError, match="newer opsconsole"):
            attempt()
    assert not store.take_notices()


def test_an_older_file_becomes_one_of_today_step_by_step(
    store: MetricsStore, reader: MetricsReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_sample(NOW, [cpu(1.0)])
    store.close()
    steps = (*schema.MIGRATIONS, "ALTER TABLE slots ADD COLUMN note TEXT;\n", "UPDATE slots SET note = 'seen';\n")
    monkeypatch.setattr(schema, "MIGRATIONS", (*steps, "SELECT no_such_function();\n"))
    with pytest.raises(NotStored):
        store.add_sample(NOW, [])
    connection = sqlite3.connect(store.path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(steps), "each step is whole by itself"
    assert connection.execute("SELECT note FROM slots").fetchall() == [("seen",)]
    connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted as root")
def test_a_full_disk_drops_a_sample_and_damages_nothing(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "stack")], check=True)
    try:
        with MetricsStore(metrics_file(tmp_path / "stack")) as store:
            assert store.add_sample(NOW, [cpu(1.0)])
            filler = tmp_path / "stack" / "filler"
            with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            refused = 0
            for number in range(1, 200):
                try:
                    store.add_sample(NOW + timedelta(seconds=10 * number), [cpu(number, f"c{number}")])
                except NotStored as error:
                    assert "full" in error.problem
                    refused += 1
            assert refused
            filler.unlink()
            assert store.add_sample(NOW + timedelta(hours=1), [cpu(2.0)])
            assert not store.take_notices()
        connection = sqlite3.connect(store.path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM slots").fetchone()[0] == 201 - refused
        connection.close()
    finally:
        subprocess.run(["umount", str(tmp_path / "stack")], check=True)


WRITER = """
import sys, pathlib
from datetime import UTC, datetime, timedelta
from opsconsole.metrics import MetricsStore, Value, Event, EventKind
store = MetricsStore(pathlib.Path(sys.argv[1]))
at = datetime(2026, 1, 31, tzinfo=UTC)
number = 0
while True:
    number += 1
    at += timedelta(seconds=60)
    with store.writing() as writing:
        writing.set_state("count", number, at)
        writing.add_sample(at, [Value(name=f"n{one}", value=number) for one in range(50)], spacing=60)
        writing.tidy(at)
    print(number, flush=True)
"""


def test_killed_at_any_moment_all_of_a_transaction_is_there_or_none(tmp_path: Path) -> None:
    path = metrics_file(tmp_path)
    last = 0
    for round_ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(7 + 13 * round_)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = int((process.stdout.read().splitlines() or said)[-1])
        process.stdout.close()
        with MetricsStore(path) as store:
            count = store.state("count", int)
            assert count is not None and count >= last
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    latest = MetricsReader(path).latest("n7", NOW - timedelta(days=2))
    assert latest[0].value >= last


def test_tidying_is_cheap_when_nothing_is_due(store: MetricsStore) -> None:
    """200 containers, 48 h of raw samples would be too long for a test: an hour of them tells the same."""
    fill(store, NOW, 360, series=100)
    with store.writing() as writing:
        writing.tidy(NOW + timedelta(hours=1))
    connection = sqlite3.connect(store.path)
    steps = 0

    def counted() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(counted, 100)
    tidy(connection, int(NOW.timestamp()) + 3601)
    connection.close()
    assert steps < 50, "less than 5,000 instructions of SQLite's machine"
