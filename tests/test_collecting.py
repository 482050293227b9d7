"""What a monitor sees is stored: by one at a time, with what happened, and what is not stored is said."""

from __future__ import annotations

import gzip
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from opsconsole.collecting import beside_console, log_files, service
from opsconsole.collecting.long_operations import long_operations
from opsconsole.collecting.occurrences import container_events, probe_events, unheard
from opsconsole.collecting.recording import Outcome, Recording, is_gone
from opsconsole.commands.collect import seconds_of
from opsconsole.config.sections import LogsSection
from opsconsole.demo import demo_sources
from opsconsole.incident.priority import Priority
from opsconsole.incident_room import records
from opsconsole.metrics import (
    COLLECTOR,
    CONSOLE,
    Event,
    EventKind,
    MetricsReader,
    MetricsStore,
    NotStored,
    Writing,
    metrics_file,
)
from opsconsole.metrics.catalogue import MEASURES
from opsconsole.metrics.measuring import MOST_COLLECTIONS, measure, silent
from opsconsole.metrics.openmetrics import exposition, write
from opsconsole.metrics.records import Value
from opsconsole.model import (
    Collection,
    Container,
    Endpoint,
    LogLine,
    MongoDatabase,
    MongoStatus,
    Probe,
    Reading,
    RunningOperation,
    Snapshot,
    SourceError,
    SourceState,
)
from opsconsole.monitor import Monitor
from opsconsole.operations.lock import start_ticks
from opsconsole.operations.site import Site
from opsconsole.sources.happenings import Happening, happening
from tests import pane_samples
from tests.parts.machine import wait_until

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


def started(clock: Callable[[], datetime]) -> Monitor:
    made = Monitor(demo_sources(clock=clock), clock=clock)
    made.start()
    made.wait_until_settled(20)
    return made


@pytest.fixture(scope="module")
def shared_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def monitor(shared_clock: Clock) -> Iterator[Monitor]:
    made = started(shared_clock)
    yield made
    made.stop()


@pytest.fixture
def clock(shared_clock: Clock) -> Clock:
    shared_clock.now = NOW
    return shared_clock


def recording(monitor: Monitor, tmp_path: Path, **others: object) -> Recording:
    said = others.pop("said", [])
    made = Recording(
        monitor,
        MetricsStore(metrics_file(tmp_path)),
        directory=tmp_path,
        **{"every": 10, "rank": COLLECTOR, "say": said.append, **others},  # type: ignore[attr-defined,arg-type]
    )
    made.holder = f"{made.holder} {id(made)}"  # two of one process
    return made


# --- numbers ---------------------------------------------------------------------------------------


def test_everything_that_is_measured_is_in_the_catalogue_with_its_labels(monitor: Monitor) -> None:
    values = measure(monitor.snapshot)
    assert {value.name for value in values} <= MEASURES.keys()
    for value in values:
        assert {name for name, _ in value.labels} == set(MEASURES[value.name].labels), value
    kinds = {value.name.split("_")[0] for value in values}
    assert kinds == {"host", "container", "mongodb", "redis", "endpoint", "access", "backup", "alerts"}
    assert len({(value.name, value.labels) for value in values}) == len(values)


def test_what_a_source_said_long_ago_is_not_stored_as_if_it_were_now() -> None:
    snapshot = pane_samples.well()
    assert any(value.name == "host_cpu_percent" for value in measure(snapshot))
    old = Reading(source="host", state=SourceState.OK, sampled_at=snapshot.sampled_at - timedelta(minutes=5))
    failed = Reading(source="databases", state=SourceState.FAILED, sampled_at=snapshot.sampled_at)
    stale = msgspec.structs.replace(snapshot, readings={**snapshot.readings, "host": old, "databases": failed})
    names = {value.name.split("_")[0] for value in measure(stale)}
    assert "host" not in names and "mongodb" not in names and "container" in names
    assert silent(stale) == ("databases",)


def test_a_stopped_container_is_down_and_uses_nothing() -> None:
    snapshot = pane_samples.well()
    stopped = Container(id="x", name="gone-1", service="gone", state="exited", health="healthy", restarts=2)
    values = measure(msgspec.structs.replace(snapshot, containers=(stopped,)))
    found = {value.name: value.value for value in values if dict(value.labels).get("container") == "gone-1"}
    assert found == {"container_up": 0, "container_restarts": 2}


def test_of_the_collections_of_a_server_the_largest_are_measured() -> None:
    snapshot = pane_samples.well()
    status = next(one for one in snapshot.databases if isinstance(one, MongoStatus))
    many = tuple(
        Collection(name=f"c{number}", documents=1, data_bytes=number) for number in range(MOST_COLLECTIONS + 9)
    )
    shop = MongoDatabase(name="shop", collections=(*many, Collection(name="view", kind="view")))
    full = msgspec.structs.replace(status, databases=(shop,))
    found = [
        value
        for value in measure(msgspec.structs.replace(snapshot, databases=(full,)))
        if value.name == "mongodb_collection_bytes"
    ]
    assert len(found) == MOST_COLLECTIONS and {value.value for value in found} == set(range(9, MOST_COLLECTIONS + 9))


def test_sizes_of_collections_are_kept_once_in_each_hour(tmp_path: Path) -> None:
    clock = Clock()
    monitor = started(clock)
    monitor.stop()  # what it has seen stays fresh, however far the clock is moved
    one, another = recording(monitor, tmp_path), recording(monitor, tmp_path)
    for _ in range(3):
        assert one.tick() is Outcome.STORED
        clock.pass_(minutes=19, seconds=50)
    one.store.give_lease_back(one.holder)
    assert another.tick() is Outcome.STORED, "the same hour, another process"
    clock.pass_(minutes=1)
    assert another.tick() is Outcome.STORED
    reader = MetricsReader(metrics_file(tmp_path))
    names = ["mongodb_collection_bytes", "mongodb_connections"]
    counts = {
        course.series.name: sum(point.count for point in course.points if point is not None)
        for course in reader.courses(names, NOW, clock.now + timedelta(minutes=1), steps=1000)
    }
    assert counts == {"mongodb_collection_bytes": 2, "mongodb_connections": 5}


def slow_snapshot(*operations: RunningOperation, at: datetime = NOW, knows: bool = True) -> Snapshot:
    """A Snapshot whose one MongoDB runs these."""
    snapshot = pane_samples.well()
    status = next(one for one in snapshot.databases if isinstance(one, MongoStatus))
    now = msgspec.structs.replace(status, slow=operations if knows else None, sampled_at=at)
    return msgspec.structs.replace(snapshot, databases=(now,))


def test_an_operation_that_runs_too_long_is_told_once_and_by_how_long_it_was_seen() -> None:
    def one(seconds: float, opid: str = "7") -> RunningOperation:
        return RunningOperation(opid=opid, seconds=seconds, kind="query", namespace="shop.orders", plan="COLLSCAN",
                                connection=3, began=NOW - timedelta(seconds=5))  # fmt: skip

    events, running = long_operations({}, slow_snapshot(one(12), one(4, "8")), 10, NOW)
    assert not events and [seen.operation.opid for seen in running.values()] == ["7"]
    later = NOW + timedelta(seconds=30)
    events, running = long_operations(running, slow_snapshot(one(42), at=later), 10, later)
    assert not events, "it still runs"
    events, running = long_operations(running, slow_snapshot(knows=False), 10, later)
    assert not events and running, "who does not answer says nothing of its end"
    (event,), running = long_operations(running, slow_snapshot(), 10, later)
    assert (event.kind, event.at, event.facts["seconds"], running) == (EventKind.SLOW, later, "42", {})
    assert event.text.endswith("query of shop.orders for 42 s, COLLSCAN and more")


# --- OpenMetrics -----------------------------------------------------------------------------------

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_STRING = r'"(?:[^"\\\n]|\\[\\"n])*"'
_LABELS = rf"\{{{_NAME}={_STRING}(?:,{_NAME}={_STRING})*\}}"
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)"
_SAMPLE = re.compile(rf"(?P<name>{_NAME})(?P<labels>{_LABELS})? (?P<value>{_NUMBER})")
_META = re.compile(rf"# (?P<what>TYPE|UNIT|HELP) (?P<name>{_NAME}) (?P<text>(?:[^\\\n]|\\[\\\"n])*)")


def families(text: str) -> dict[str, dict[str, object]]:
    """The text by the grammar of OpenMetrics 1.0; an AssertionError where it is another. Prometheus' own reader must
    take it, too, and so must that of the older format, which the textfile collector of node_exporter reads."""
    read = list(openmetrics_parser.text_string_to_metric_families(text))
    older = list(text_parser.text_string_to_metric_families(text))
    assert sum(len(one.samples) for one in read) == sum(len(one.samples) for one in older) > 0
    assert (
        text.endswith("\n# EOF\n") and text.splitlines().count("# EOF") == 1 and "\n\n" not in text and "\r" not in text
    )
    found: dict[str, dict[str, object]] = {}
    name, seen = "", set()
    for line in text.removesuffix("# EOF\n").splitlines():
        if meta := _META.fullmatch(line):
            if meta["name"] != name:
                name = meta["name"]
                assert name not in found, f"the lines of {name} do not stand together"
                found[name] = {"samples": []}
            assert meta["what"] not in found[name] and not found[name]["samples"], line
            found[name][meta["what"]] = meta["text"]
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, f"no line of OpenMetrics: {line!r}"
        family = found[name]
        assert sample["name"] == name + {"counter": "_total", "gauge": ""}[str(family["TYPE"])], line
        assert (sample["name"], sample["labels"]) not in seen, f"twice: {line}"
        seen.add((sample["name"], sample["labels"]))
        family["samples"].append((sample["labels"], float(sample["value"])))  # type: ignore[attr-defined]
    for name, family in found.items():
        assert family["samples"] and family["HELP"]
        if unit := family.get("UNIT"):
            assert name.endswith(f"_{unit}")
        if family["TYPE"] == "counter":
            assert all(value >= 0 for _, value in family["samples"])  # type: ignore[attr-defined]
    return found


def test_the_text_is_openmetrics_with_types_and_units(monitor: Monitor) -> None:
    found = families(exposition(measure(monitor.snapshot), "harbour", NOW))
    assert found["opsconsole_container_restarts"]["TYPE"] == "counter"
    assert found["opsconsole_host_memory_used_bytes"]["UNIT"] == "bytes"
    cpu = found["opsconsole_host_cpu_ratio"]
    assert cpu["UNIT"] == "ratio" and monitor.snapshot.host is not None
    assert cpu["samples"] == [('{stack="harbour"}', round((monitor.snapshot.host.cpu_percent or 0) / 100, 9))]
    assert "UNIT" not in found["opsconsole_host_disk_read_bytes_per_second"]
    assert found["opsconsole_sample_timestamp_seconds"]["samples"] == [('{stack="harbour"}', NOW.timestamp())]


def test_names_from_outside_are_escaped_and_cannot_make_lines() -> None:
    odd = 'a"b\\c\n# EOF\nd{e="f"} 1'
    values = [Value(name="host_disk_percent", value=50, labels=(("mount", odd),)), Value(name="unknown", value=1)]
    found = families(exposition(values, odd, NOW))
    ((labels, share),) = found["opsconsole_host_disk_ratio"]["samples"]  # type: ignore[misc]
    assert (
        share == 0.5
        and labels.count("\\n") == 4
        and found.keys()
        == {
            "opsconsole_host_disk_ratio",
            "opsconsole_sample_timestamp_seconds",
        }
    )


def test_the_same_series_twice_and_what_is_no_number_are_left_out() -> None:
    twice = Value(name="endpoint_up", value=1, labels=(("endpoint", "a"),))
    values = [twice, msgspec.structs.replace(twice, value=0.0), Value(name="host_load1", value=float("nan"))]
    found = families(exposition(values, "shop", NOW))
    assert found["opsconsole_endpoint_up"]["samples"] == [('{stack="shop",endpoint="a"}', 0.0)]
    assert "opsconsole_host_load1" not in found


def test_the_file_is_replaced_as_a_whole_and_readable_for_node_exporter(tmp_path: Path) -> None:
    path = tmp_path / "ops.prom"
    write(path, "old\n")
    with path.open() as reader:
        write(path, "new\n")
        assert reader.read() == "old\n", "a reader keeps what it opened"
    assert path.read_text() == "new\n" and path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["ops.prom"]
    with pytest.raises(SourceError):
        write(tmp_path / "nowhere" / "ops.prom", "x")
    with pytest.raises(SourceError):
        write(tmp_path, "x")


# --- what happened ---------------------------------------------------------------------------------


def engine_event(action: str, **attributes: str) -> dict[str, object]:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "name": "shop-web-1"}
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": "f" * 64, "Attributes": {**labels, **attributes}},
        "timeNano": int(NOW.timestamp()) * 10**9 + 5,
    }


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (engine_event("die", exitCode="137"), EventKind.DIED, "shop-web-1 ended with exit code 137"),
        (engine_event("start"), EventKind.STARTED, "shop-web-1 started"),
        (engine_event("oom"), EventKind.OOM, "shop-web-1 ran out of memory: the kernel killed one of its processes"),
        (engine_event("health_status: unhealthy"), EventKind.HEALTH, "shop-web-1 is unhealthy"),
    ],
)
def test_the_engines_events_are_told_in_words(event: dict[str, object], kind: EventKind, text: str) -> None:
    found = happening(event)
    assert found is not None
    (told,) = container_events([found], "shop")
    assert (told.kind, told.subject, told.text) == (kind, "web", text)
    assert told.key and told.at - NOW < timedelta(seconds=1)
    assert not container_events([found], "another")


def test_a_kill_for_memory_that_the_engine_tells_many_times_is_one_event() -> None:
    def keys(action: str) -> set[str]:
        moments = [int(NOW.timestamp()) * 10**9 + part * 10**8 for part in range(8)]
        events = [happening({**engine_event(action), "timeNano": moment}) for moment in moments]
        return {event.key for event in events if event is not None}

    assert len(keys("oom")) == 1 and len(keys("die")) == 8


@pytest.mark.parametrize(
    "event",
    [
        engine_event("exec_start: sh"),
        engine_event("start", **{"com.docker.compose.oneoff": "True"}),
        {**engine_event("start"), "Type": "volume"},
        {},
    ],
)
def test_other_events_are_none_of_ours(event: dict[str, object]) -> None:
    assert happening(event) is None


def test_what_the_engine_has_forgotten_is_seen_at_the_container() -> None:
    container = Container(
        id="f" * 64,
        name="shop-web-1",
        service="web",
        project="shop",
        state="running",
        started_at=NOW,
        finished_at=NOW - timedelta(seconds=30),
    )
    since = NOW - timedelta(minutes=5)
    died, started = unheard([container], [], since)
    assert (died.what, died.exit_code, started.what, started.at) == ("die", None, "start", NOW)
    heard = Happening(at=NOW + timedelta(milliseconds=40), what="start", container="shop-web-1", container_id="f" * 64)
    assert [one.what for one in unheard([container], [heard], since)] == ["die"]
    assert not unheard([container], [], NOW)


def test_an_endpoint_is_told_when_it_changes_and_a_well_one_not_at_all() -> None:
    def asked(name: str, ok: bool | None) -> Probe:
        return Probe(endpoint=Endpoint(name=name, url="http://x/"), ok=ok, status=200 if ok else 502, asked_at=NOW)

    first, known = probe_events({}, [asked("a", True), asked("b", False), asked("c", None)])
    assert [event.text for event in first] == ["b fails: answers 502"] and known == {"a": True, "b": False}
    again, known = probe_events(known, [asked("a", True), asked("b", False)])
    assert not again
    over, known = probe_events(known, [asked("b", True)])
    assert [event.text for event in over] == ["b answers again"] and known == {"b": True}


# --- storing ---------------------------------------------------------------------------------------


def test_each_slot_is_stored_with_its_events(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    made = recording(monitor, tmp_path)
    assert made.tick() is Outcome.STORED
    assert made.tick() is Outcome.TAKEN, "the slot has its sample"
    clock.pass_(seconds=10)
    made._waiting.append(
        Happening(at=NOW, what="die", container="harbour-api-1", container_id="1", project="harbour", exit_code=1)
    )
    assert made.tick() is Outcome.STORED
    reader = MetricsReader(metrics_file(tmp_path))
    assert reader.stored().samples == 2
    (event,) = reader.events(NOW, clock.now, kinds=[EventKind.DIED])
    assert event.text == "harbour-api-1 ended with exit code 1"


def test_before_a_source_has_answered_there_is_a_hole_and_no_sample(clock: Clock, tmp_path: Path) -> None:
    made = recording(Monitor(demo_sources(clock=clock), clock=clock), tmp_path)
    assert made.tick() is Outcome.TOO_EARLY and not list(tmp_path.iterdir())


def test_a_fault_of_ours_costs_a_sample_and_not_all(tmp_path: Path) -> None:
    said: list[str] = []
    seen: list[datetime] = []

    def watch(writing: Writing, snapshot: Snapshot, now: datetime) -> None:
        seen.append(now)
        if len(seen) == 1:
            raise ZeroDivisionError("by zero")

    monitor = started(lambda: datetime.now(UTC))
    stop = threading.Event()
    made = recording(monitor, tmp_path, every=1, said=said, watchers=(watch,))
    thread = threading.Thread(target=made.run, args=(stop,), daemon=True)
    thread.start()
    wait_until(lambda: len(seen) >= 2, 20, "it stopped")
    stop.set()
    thread.join(10)
    monitor.stop()
    assert said == ["unexpected ZeroDivisionError: by zero"]


def test_a_watcher_writes_with_the_sample_or_not_at_all(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    seen: list[datetime] = []

    def watch(writing: Writing, snapshot: Snapshot, now: datetime) -> None:
        seen.append(now)
        writing.add_events([Event(at=now, kind=EventKind.ALERT_FIRING, subject="cpu host", key=f"cpu:{now}")])

    made = recording(monitor, tmp_path, watchers=(watch,))
    made.tick()
    made.tick()
    assert seen == [NOW]
    assert len(MetricsReader(metrics_file(tmp_path)).events(NOW, NOW, kinds=[EventKind.ALERT_FIRING])) == 1


def test_a_collector_takes_over_from_a_console(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    console = recording(monitor, tmp_path, rank=CONSOLE)
    assert console.tick() is Outcome.STORED
    collector = recording(monitor, tmp_path)
    clock.pass_(seconds=10)
    assert collector.tick() is Outcome.STORED
    clock.pass_(seconds=10)
    assert console.tick() is Outcome.TAKEN
    clock.pass_(seconds=31)
    assert console.tick() is Outcome.STORED, "the collector was killed"


def test_nobody_waits_for_one_that_was_killed(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    made = recording(monitor, tmp_path)
    process = subprocess.Popen(["sleep", "60"])
    name = made.holder.split(" pid ")[0] + f" pid {process.pid}.{start_ticks(process.pid)}"
    assert made.store.take_lease(name, NOW, seconds=30, rank=COLLECTOR)
    assert made.tick() is Outcome.TAKEN
    process.kill()
    process.wait()
    assert made.tick() is Outcome.STORED
    assert not is_gone("another-host pid 1.1") and not is_gone("") and is_gone(name)


def test_what_cannot_be_stored_is_said_once_and_events_wait(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    said: list[str] = []
    made = recording(monitor, tmp_path, said=said)
    blocked = tmp_path / ".opsconsole"
    blocked.write_text("in the way")
    made._waiting.append(Happening(at=NOW, what="oom", container="c", container_id="1", project="harbour"))
    for _ in range(3):
        assert made.tick() is Outcome.FAILED
        clock.pass_(seconds=10)
    assert len(said) == 1 and "not stored" in said[0]
    blocked.unlink()
    assert made.tick() is Outcome.STORED
    assert said[1] == "metrics are stored again; 3 samples were not"
    assert MetricsReader(metrics_file(tmp_path)).events(NOW, NOW, kinds=[EventKind.OOM])


def test_what_happened_waits_when_a_transaction_fails(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    fails = [True]

    def watch(writing: Writing, snapshot: Snapshot, now: datetime) -> None:
        if fails.pop():
            raise NotStored("the disk is full")

    made = recording(monitor, tmp_path, watchers=(watch,))
    made._waiting.append(Happening(at=NOW, what="oom", container="c", container_id="1", project="harbour"))
    assert made.tick() is Outcome.FAILED
    reader = MetricsReader(metrics_file(tmp_path))
    assert not reader.events(NOW, NOW, kinds=[EventKind.OOM])
    fails.append(False)
    assert made.tick() is Outcome.STORED, "the slot is free: nothing of the first attempt is there"
    assert len(reader.events(NOW, NOW, kinds=[EventKind.OOM])) == 1


def test_a_recording_stores_slot_by_slot_until_it_is_told_to_stop(tmp_path: Path) -> None:
    monitor = started(lambda: datetime.now(UTC))
    made, stop = recording(monitor, tmp_path, every=1), threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,), daemon=True)
    thread.start()
    reader = MetricsReader(metrics_file(tmp_path))

    def stored() -> bool:
        try:
            return reader.stored().samples >= 2
        except SourceError:
            return False

    wait_until(stored, 20, "no two samples")
    stop.set()
    thread.join(10)
    monitor.stop()
    assert not thread.is_alive() and reader.lease() is None
    assert [file.name for file in (tmp_path / ".opsconsole").iterdir()] == ["metrics.sqlite"], "closed in good order"


def test_a_console_stores_while_it_is_open_and_nothing_when_it_only_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside_console, "_AFTER", 0.0)
    monkeypatch.setattr(beside_console, "EVERY", 1)
    monitor = started(lambda: datetime.now(UTC))
    with beside_console.recording(monitor, tmp_path, wanted=False):
        pass
    assert not list(tmp_path.iterdir())
    with beside_console.recording(monitor, tmp_path):
        wait_until(lambda: MetricsReader(metrics_file(tmp_path)).stored().samples, 20, "no sample")
    monitor.stop()
    assert MetricsReader(metrics_file(tmp_path)).lease() is None


def test_a_collector_tells_of_an_incident_that_nobody_was_told_of(tmp_path: Path) -> None:
    (tmp_path / "opsconsole.toml").write_text('[notify]\ncommand = ["sh", "-c", "echo $OPSCONSOLE_TITLE >> told"]\n')
    records.declare(tmp_path, "bookings fail", Priority.P2, "mina")  # and was killed then
    record = records.place(tmp_path, "i1") / "record.jsonl"
    began = datetime.now(UTC) - timedelta(minutes=1)
    record.write_text(re.sub(r'"at":"[^"]+"', f'"at":"{began:%Y-%m-%dT%H:%M:%SZ}"', record.read_text()))
    said: list[str] = []
    untold = service.Untold(Site(directory=tmp_path), said.append)
    untold.look()
    wait_until(lambda: said, 20, "nobody was told")
    assert said == ["Nobody had heard that i1 is open. Told by command."]
    assert (tmp_path / "told").read_text() == "P2 incident i1 is open: bookings fail\n"


def test_one_collector_of_a_stack_goes_on_at_a_time(tmp_path: Path) -> None:
    assert not service.runs(tmp_path)
    with service.taken(tmp_path) as first, service.taken(tmp_path) as second:
        assert first and not second and service.runs(tmp_path)
    assert not service.runs(tmp_path) and not service.stop(tmp_path)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("5", 5), ("2m", 120), ("1h", 3600)])
def test_times_are_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "4s", "2h", "10 s", "-10s", "ten", "1d", "9" * 30])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="between 5s and 1h"):
        seconds_of(text)


# --- log files -------------------------------------------------------------------------------------


def lines(*texts: str, at: int = 1_769_860_800_000_000_000, service: str = "web") -> list[LogLine]:
    return [LogLine(at=at + step, service=service, container="1", text=text) for step, text in enumerate(texts)]


def test_no_line_is_lost_while_another_rotates(tmp_path: Path) -> None:
    settings, written = LogsSection(keep=10_000), [f"line {number}." for number in range(400)]
    writer, other = (log_files.LogFile(tmp_path, "web", settings) for _ in range(2))
    ended, faults = threading.Event(), []

    def rotate() -> None:
        while not ended.is_set():
            try:
                other.rotate()
            except OSError as error:
                faults.append(error)

    thread = threading.Thread(target=rotate)
    thread.start()
    for text in written:
        writer.write(lines(text))
    ended.set()
    thread.join()
    there = [path.read_bytes() for path in (tmp_path / "web").glob("*.log")]
    there += [gzip.decompress(path.read_bytes()) for path in (tmp_path / "web").glob("*.log.*.gz")]
    found = sorted(re.findall(r"line \d+\.", b"".join(there).decode()))
    assert found == sorted(written) and not faults


def test_a_log_file_is_packed_when_it_is_large_and_so_many_are_kept(tmp_path: Path) -> None:
    settings = LogsSection(max_mb=0.001, keep=2)
    file = log_files.LogFile(tmp_path / "logs", "web", settings)
    for number in range(30):
        file.write(lines(f"line {number} " + "x" * 100))
    names = sorted(path.name for path in (tmp_path / "logs" / "web").iterdir())
    assert names == ["web.log", "web.log.1.gz", "web.log.2.gz"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "logs" / "web").iterdir())
    newest = gzip.decompress((tmp_path / "logs" / "web" / "web.log.1.gz").read_bytes()).decode()
    following = file.path.read_text()
    last, first = (re.findall(r"line (\d+)", text) for text in (newest, following))
    assert int(last[-1]) + 1 == int(first[0]) and first[-1] == "29"
    file.close()


def test_a_file_that_was_taken_away_or_half_packed_is_no_trouble(tmp_path: Path) -> None:
    file = log_files.LogFile(tmp_path, "web", LogsSection())
    file.write(lines("first"))
    file.path.rename(file.path.with_name("web.log.full"))  # killed while it was packed
    file.write(lines("second"))
    assert file.path.read_text().endswith("second\n")
    assert gzip.decompress((file.path.parent / "web.log.1.gz").read_bytes()).endswith(b"first\n")
    assert not (file.path.parent / "web.log.full").exists()
    assert file.rotate() and not file.rotate()
    file.close()


def test_old_packed_files_go(tmp_path: Path) -> None:
    file = log_files.LogFile(tmp_path, "web", LogsSection(days=7))
    file.write(lines("x"))
    file.rotate()
    assert file.last_at() == 1_769_860_800_000_000_000, "of the packed one, when there is no other"
    (kept,) = log_files.kept(tmp_path, LogsSection(directory="."))
    assert (kept.service, kept.size_bytes, kept.packed) == ("web", 0, 1)
    assert file.clean(datetime.now(UTC) + timedelta(days=6)) == 0
    assert file.clean(datetime.now(UTC) + timedelta(days=8)) == 1


def test_lines_of_the_file_cannot_act_and_its_end_is_found(tmp_path: Path) -> None:
    file = log_files.LogFile(tmp_path, "../../etc/odd name", LogsSection())
    assert file.path.is_relative_to(tmp_path) and file.last_at() == 0
    file.write([*lines("\x1b[2J\x1b]52;c;aGk=\x07"), LogLine(at=0, service="", container="", text="", skipped=3)])
    assert "\x1b" not in file.path.read_text()
    file.write(lines("last", at=1_769_860_801_234_567_890))
    assert file.last_at() == 1_769_860_801_234_000_000
    file.close()


def test_log_files_are_written_beside_the_stack_only(tmp_path: Path) -> None:
    log_files.check(LogsSection(), tmp_path)
    for place in ("..", "/var/log", "logs/../../x"):
        with pytest.raises(SourceError, match="leads out"):
            log_files.check(LogsSection(directory=place), tmp_path)


def test_chosen_services_are_written_and_go_on_where_they_ended(monitor: Monitor, clock: Clock, tmp_path: Path) -> None:
    said: list[str] = []
    settings = LogsSection(files=("backend",))

    def write_until_there_is_more(than: int) -> list[str]:
        writing = log_files.LogWriting(monitor, tmp_path, settings, said.append)
        stop = threading.Event()
        thread = threading.Thread(target=writing.run, args=(stop,), daemon=True)
        thread.start()
        path = tmp_path / "logs" / "backend" / "backend.log"
        wait_until(lambda: clock.pass_(seconds=1) and path.read_text().count("\n") > than, 20, "no lines")
        stop.set()
        thread.join(10)
        return path.read_text().splitlines()

    first = write_until_there_is_more(0)
    second = write_until_there_is_more(len(first))
    assert second[: len(first)] == first and not said
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["backend"]
    (kept,) = log_files.kept(tmp_path, settings)
    assert kept.service == "backend" and kept.size_bytes > 0
    monitor.stop()


def test_of_two_services_each_goes_on_after_its_own_last_line(tmp_path: Path) -> None:
    clock = Clock()
    monitor = started(clock)
    at = int(NOW.timestamp()) * 10**9
    for name, ended in (("backend", at), ("worker", at - 120 * 10**9)):
        file = log_files.LogFile(tmp_path / "logs", name, LogsSection())
        file.write(lines("the last one", at=ended, service=name))
        file.close()
    writing = log_files.LogWriting(monitor, tmp_path, LogsSection(files=("*",)), lambda line: None)
    stop = threading.Event()
    thread = threading.Thread(target=writing.run, args=(stop,), daemon=True)
    thread.start()
    paths = [tmp_path / "logs" / name / f"{name}.log" for name in ("backend", "worker")]
    wait_until(
        lambda: clock.pass_(seconds=1) and all(path.read_text().count("\n") > 1 for path in paths), 20, "no lines"
    )
    stop.set()
    thread.join(10)
    for path, ended in zip(paths, ("12:00:00", "11:58:00"), strict=True):
        times = [line.split("T")[1][:8] for line in path.read_text().splitlines()]
        assert times[0] == ended and min(times) == ended, path
    assert "11:5" in paths[1].read_text().splitlines()[1].split("T")[1][:5], "what was missed is there"
    monitor.stop()
