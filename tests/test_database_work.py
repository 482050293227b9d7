"""MongoDB and Redis at work: what runs, what was slow, what is used; and what is done about it, on real servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pymongo
import pytest

from opsconsole.backups.growth import growth, to_compare_with
from opsconsole.backups.redis_link import linked
from opsconsole.cli import main
from opsconsole.database_work import Index, RedisClient, SlowGroup, View, Work
from opsconsole.demo import demo_sources
from opsconsole.metrics import MetricsReader, MetricsStore, metrics_file
from opsconsole.metrics.growth import growth as kept_growth
from opsconsole.metrics.records import Course, Event, EventKind, Point, Series
from opsconsole.model import (
    BackupContents,
    Collection,
    DatabaseTarget,
    HeldCollection,
    HeldPart,
    MongoDatabase,
    RunningOperation,
    Snapshot,
    SourceError,
    Stack,
)
from opsconsole.operations import database_plans, journal, places
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import DatabaseOrder
from opsconsole.sources import command_text, mongo_maintaining, mongo_work_parse, redis_work
from opsconsole.sources.connection import Connection
from opsconsole.sources.databases import Databases
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes import work_rows
from opsconsole.ui.screens.work import WorkScreen
from opsconsole.ui.screens.work_past import with_seen
from opsconsole.ui.wording import UNICODE
from tests import pane_samples
from tests.backup_stack import CANARY, DATABASE, BackupStack, backup_stack
from tests.pane_samples import NOW, ago, painted
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.ui_sample import Feed

MONGO = DatabaseTarget(kind="mongodb", name="host", database=DATABASE)
REDIS = DatabaseTarget(kind="redis", name="host")
SECRET = "hunter2-and-more"

# --- what may be shown of a command --------------------------------------------------------------------


def test_of_a_command_of_mongodb_only_the_shape_is_shown() -> None:
    command = {
        "find": "users",
        "filter": {"email": SECRET, "$or": [{"note": SECRET}, {"age": {"$gt": 51}}, {"a": 1}]},
        "sort": {"made": -1},
        "limit": 20,
        "lsid": {"id": SECRET},
        "$db": "shop",
    }
    said = command_text.mongo_command(command)
    assert said == (
        '{find: "users", filter: {email: ?, $or: [{note: ?}, {age: {$gt: ?}}, ... 3]}, sort: {made: -1}, limit: 20}'
    )
    login = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": SECRET.encode()}
    assert SECRET not in command_text.mongo_command(login)
    assert SECRET not in command_text.mongo_command({"createUser": "app", "pwd": SECRET})
    deep: dict[str, Any] = {"find": "x"}
    for _ in range(300):
        deep = {"find": "x", "filter": deep}
    assert len(command_text.mongo_command(deep)) <= command_text.LONGEST


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["GET", "session:1"], "GET session:1"),
        (["SET", "session:1", SECRET], "SET session:1 and 1 more"),
        (["auth", "app", SECRET], "AUTH ******** and 1 more"),
        (["CONFIG", "SET", "requirepass", SECRET], "CONFIG ******** and 2 more"),
        (["ACL", "SETUSER", "app", f">{SECRET}"], "ACL ******** and 2 more"),
        (["PING"], "PING"),
        ([], ""),
    ],
)
def test_of_a_command_of_redis_only_its_key_is_shown(words: list[str], said: str) -> None:
    assert command_text.redis_command(words) == said


def test_control_sequences_in_commands_are_text() -> None:
    assert "\x1b" not in command_text.redis_command(["GET", "\x1b]52;c;aGk=\x07"])
    assert "\x1b" not in command_text.mongo_command({"find": "\x1b[31m", "filter": {"\x1b[2J": 1}})


# --- pure ----------------------------------------------------------------------------------------------

_SEEN = RunningOperation(opid="7", seconds=5.0, connection=3, client="a:1", namespace="s.t", began=NOW)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"seconds": 9.0}, True),
        ({"began": NOW + timedelta(milliseconds=400)}, True),
        ({"began": NOW + timedelta(seconds=3)}, False),  # the number was given to another one
        ({"connection": 4}, False),
        ({"client": "b:1"}, False),
        ({"namespace": "s.u"}, False),
        ({"began": None}, False),
    ],
)
def test_an_operation_is_the_same_only_with_its_connection_and_its_beginning(other: dict[str, Any], same: bool) -> None:
    assert mongo_work_parse.is_same(_SEEN, msgspec.structs.replace(_SEEN, **other)) is same


def slow_line(namespace: str, milliseconds: int, **more: Any) -> str:
    attributes = {"type": "command", "ns": namespace, "command": {"find": "t", "filter": {"a": SECRET}}}
    attributes |= {"planSummary": "COLLSCAN", "durationMillis": milliseconds, **more}
    return json.dumps(
        {"t": {"$date": "2025-03-14T14:00:00.000+00:00"}, "id": 51803, "msg": "Slow query", "attr": attributes},
        separators=(",", ":"),
    )


def test_slow_lines_of_the_log_are_put_together_by_shape_and_cut_ones_are_counted() -> None:
    lines = [
        slow_line("shop.t", 200),
        slow_line("shop.t", 700),
        slow_line("other.t", 9000),
        "x",
        slow_line("shop.t", 1)[:90],
    ]
    found, unread = mongo_work_parse.from_log(lines, frozenset({"shop"}))
    (group,) = mongo_work_parse.grouped(found)
    assert (group.count, round(group.total_seconds, 3), group.longest_seconds, unread) == (2, 0.9, 0.7, 1)
    assert (group.kind, group.plan, SECRET in group.example) == ("find", "COLLSCAN", False)


def test_growth_is_told_against_a_backup_of_about_a_week() -> None:
    good = pane_samples.well().backups
    some = [msgspec.structs.replace(good[-1], id=f"b{days}", taken_at=ago(days=days)) for days in (0.2, 1, 6, 30)]
    assert [one.id for one in to_compare_with(some, NOW)] == ["b6", "b1", "b30"]
    held = HeldPart(
        kind="mongo", name="mongodb", collections=(HeldCollection(database="shop", name="a", documents=5, size=100),)
    )
    now = (
        Collection(name="a", documents=9, data_bytes=180),
        Collection(name="new", documents=1, data_bytes=500),
        Collection(name="view", kind="view"),
    )
    found = growth((MongoDatabase(name="shop", collections=now),), BackupContents(parts=(held,)), ago(days=2), NOW)
    assert [(one.path, one.grown_bytes, one.grown_documents) for one in found] == [
        ("shop.new", 500, 1),
        ("shop.a", 80, 4),
    ]
    row = work_rows.rows(Work(view=View.GROWTH, asked_at=NOW, growth=found), NOW, UNICODE)[1]
    assert row.cells[1] == "+40 B"


def test_a_slow_command_of_redis_has_a_client_and_neither_namespace_nor_plan() -> None:
    slow = (SlowGroup(namespace="10.0.0.4:50120", kind="KEYS", count=6, total_seconds=0.4, longest_seconds=0.1,
                      newest=ago(minutes=5), example="KEYS session:*"),)  # fmt: skip
    work = Work(view=View.SLOW, asked_at=NOW, slow=slow)
    for kind, titles in (("redis", {"Command", "Client"}), ("mongodb", {"Kind", "Namespace", "Plan"})):
        columns = work_rows.columns(View.SLOW, kind)
        row = work_rows.rows(work, NOW, UNICODE, kind)[0]
        assert titles == {one.title for one in columns} & {"Command", "Client", "Kind", "Namespace", "Plan"}
        assert len(row.cells) == len(row.orders) == len(columns)
        assert ("plan" in dict(row.facts)) is (kind == "mongodb")


def test_what_validate_does_not_call_valid_is_a_fault() -> None:
    assert mongo_maintaining.validation({"valid": True, "nrecords": 3, "nIndexes": 1, "errors": []}).faults == ()
    broken = mongo_maintaining.validation({"valid": False, "errors": ["index x_1 misses 2"], "warnings": ["w"]})
    assert (broken.faults, broken.warnings) == (("index x_1 misses 2",), ("w",))
    assert mongo_maintaining.validation({"valid": False}).faults and mongo_maintaining.validation({}).faults
    said = "Validate: scanning documents Validate: scanning documents: 239518/600000 39%"
    assert mongo_maintaining.stage(said) == "Validate: scanning documents"
    assert mongo_maintaining.stage("Index Build: draining writes") == "Index Build: draining writes"


def test_an_index_that_is_wanted_is_not_called_unused() -> None:
    index = Index(database="shop", collection="a", name="x_1", keys="x: 1", uses=0)
    assert index.unused
    for other in ({"needed": "unique"}, {"uses": 1}, {"uses": None}, {"building": True}):
        assert not msgspec.structs.replace(index, **other).unused  # type: ignore[arg-type]


# --- on the screen -------------------------------------------------------------------------------------


class Counted:
    """The demo's databases; counts what is asked."""

    def __init__(self, own: Any) -> None:
        self._own = own
        self.asked: list[tuple[str, View]] = []

    def at_work(self, target: DatabaseTarget, view: View) -> Work:
        self.asked.append((target.name, view))
        found: Work = self._own.at_work(target, view)
        return found


class Standing:
    """A monitor that has looked once."""

    def __init__(self) -> None:
        from opsconsole.monitor import Monitor

        sources = demo_sources(clock=lambda: NOW)
        self.monitor = Monitor(sources, clock=lambda: NOW)
        self.monitor.start()
        self.snapshot = self.monitor.wait_until_settled(20)
        self.monitor.stop()
        self.sources = sources
        self.counted = sources.databases = Counted(sources.databases)  # type: ignore[assignment]
        self.thresholds = self.monitor.thresholds

    def focus(self, topics: frozenset[str]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def refresh(self) -> None: ...

    def subscribe(self, callback: object) -> Callable[[], None]:
        return lambda: None


def test_growth_is_told_by_what_the_collector_kept() -> None:
    def course(name: str, collection: str, hours: float, value: float) -> Course:
        labels = (("collection", collection), ("database", "shop"), ("server", "mongodb"))
        gap, one = (None,) * 3, Point(low=value, mean=value, high=value, count=1)
        begins = NOW - timedelta(hours=hours + 3)
        return Course(
            series=Series(name=name, labels=labels), begins=begins, step_seconds=3600, points=(*gap, one, one)
        )

    kept = [
        course("mongodb_collection_bytes", "a", 30, 100),
        course("mongodb_collection_documents", "a", 30, 5),
        course("mongodb_collection_bytes", "b", 20, 900),
        course("mongodb_collection_bytes", "gone", 30, 1),
    ]
    now = (Collection(name="a", documents=9, data_bytes=180), Collection(name="b", documents=1, data_bytes=1500),
           Collection(name="never kept", documents=1, data_bytes=7))  # fmt: skip
    shop = MongoDatabase(name="shop", collections=now)
    found = kept_growth([shop], kept, NOW)
    assert [(one.path, one.grown_bytes, one.grown_documents, one.seconds) for one in found] == [
        ("shop.b", 600, None, 20 * 3600),
        ("shop.a", 80, 4, 30 * 3600),
    ]
    assert kept_growth([shop], [course("mongodb_collection_bytes", "a", 11, 100)], NOW) == (), "that is too little"


def test_slow_operations_are_told_that_only_the_collector_saw(tmp_path: Path) -> None:
    def event(at: datetime, seconds: int, namespace: str) -> Event:
        facts = {"seconds": f"{seconds}", "kind": "query", "namespace": namespace, "plan": "COLLSCAN"}
        return Event(at=at, kind=EventKind.SLOW, subject="mongodb", facts=facts)

    with MetricsStore(metrics_file(tmp_path), clock=lambda: NOW) as store:
        store.add_events([event(ago(hours=hours), 10 * hours, "shop.orders") for hours in (1, 4)])
        store.add_events([event(ago(hours=2), 15, "shop.known"), event(ago(days=8), 15, "shop.old")])
    known = SlowGroup(namespace="shop.known", kind="find", plan="COLLSCAN", count=9)
    target = DatabaseTarget(kind="mongodb", name="mongodb")
    reader = MetricsReader(metrics_file(tmp_path))
    found = with_seen(Work(view=View.SLOW, asked_at=NOW, slow=(known,)), target, NOW, reader)
    assert [(one.namespace, one.count, one.longest_seconds) for one in found.slow] == [
        ("shop.known", 9, 0),
        ("shop.orders", 2, 40),
    ]
    assert "1 of them as `opsconsole collect` saw" in found.said[-1]
    other = DatabaseTarget(kind="mongodb", name="another")
    assert with_seen(found, other, NOW, reader) is found


async def test_every_view_of_every_server_is_asked_when_it_is_looked_at_and_not_before() -> None:
    standing = Standing()
    app = ConsoleApp(standing, clock=lambda: NOW, theme="dark")  # type: ignore[arg-type]
    said = (
        ("operations", "COLLSCAN"),
        ("slow", "the log in the server's memory"),
        ("indexes", "2 of 8 indexes are used by no query"),
        ("growth", "Since the backup"),
        ("clients", "172.20.0.6:50120"),
        ("slow", "KEYS session:*"),
        ("big keys", "search:index:2024"),
        ("memory", "memory doctor"),
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await app.go("databases")
        await pilot.pause()
        assert standing.counted.asked == []
        await pilot.press("w")
        for number, (view, text) in enumerate(said):
            for _ in range(100):
                await pilot.pause(0.02)
                lines = painted(app)
                if text in "\n".join(lines):
                    break
            assert text in "\n".join(lines), (view, lines)
            assert view in lines[0]
            views = {view for _, view in standing.counted.asked}
            assert len(views) <= number + 1, "only what was looked at"
            await pilot.press("tab")
        assert not app.faults
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, WorkScreen)


async def test_an_operation_is_not_ended_by_a_console_that_only_looks_or_a_demo() -> None:
    standing = Standing()
    for read_only in (True, False):
        app = ConsoleApp(standing, clock=lambda: NOW, theme="dark", read_only=read_only)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            await app.go("databases")
            await pilot.press("w")
            for _ in range(100):
                await pilot.pause(0.02)
                if "COLLSCAN" in "\n".join(painted(app)):
                    break
            await pilot.press("Z")
            await pilot.pause()
            assert isinstance(app.screen, WorkScreen), "nothing is asked"
            assert read_only or "This is the demo" in "\n".join(painted(app)), "and why not is said"


# --- real servers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    with backup_stack(tmp_path_factory.mktemp("work")) as made:
        yield made


@contextmanager
def looked_at(stack: BackupStack) -> Iterator[Databases]:
    connections = (Connection(target=MONGO, uri=stack.mongod.uri), Connection(target=REDIS, uri=stack.redis.uri))
    databases = Databases(lambda *_: connections)
    try:
        statuses = databases.look(Stack(name="shop", directory="/"), (), collections=True)
        assert all(status.reachable for status in statuses)
        yield databases
    finally:
        databases.close()


def run(stack: BackupStack, *words: str) -> int:
    return main(["database", *words, "--stack", str(stack.directory), "--yes"])


def last(stack: BackupStack) -> list[journal.Entry]:
    return journal.read(places.existing_operations(stack.directory)[-1])


@contextmanager
def reading_slowly(stack: BackupStack) -> Iterator[list[str]]:
    """A client that reads for half a minute, and what became of it."""
    ended: list[str] = []

    def read() -> None:
        with pymongo.MongoClient[Any](stack.mongod.uri, appname="reports") as client:
            try:
                list(client[DATABASE].orders.find({"$where": "sleep(500) || true"}))
                ended.append("read all")
            except pymongo.errors.PyMongoError as error:
                ended.append(str(getattr(error, "code", error)))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield ended
    with suppress(RuntimeError):
        reader.join(60)


def test_an_operation_that_runs_is_ended_by_its_number_and_all_that_is_known_of_it(stack: BackupStack) -> None:
    with looked_at(stack) as databases, reading_slowly(stack) as ended:

        def slow() -> RunningOperation | None:
            work = databases.at_work(MONGO, View.OPERATIONS)
            return next((one for one in work.operations if one.application == "reports" and one.plan), None)

        wait_until(slow, 30, "the slow read is not seen")
        found = slow()
        assert found is not None and found.plan == "COLLSCAN" and found.began is not None
        other = msgspec.structs.replace(found, began=found.began - timedelta(minutes=1))
        said, done = database_plans.carry_out(
            stack.site, database_plans.abort_operation("shop", stack.directory, MONGO, other)
        )
        assert not done and "another one's by now" in said, said
        assert slow() is not None, "it still runs"
        said, done = database_plans.carry_out(
            stack.site, database_plans.abort_operation("shop", stack.directory, MONGO, found)
        )
        assert done and "it is over" in said, said
        wait_until(lambda: ended, 30, "the client goes on")
    assert ended == ["11601"], "Interrupted"
    records = last(stack)
    assert records[0].event == "begin" and records[-1].result is Result.DONE and "abort of query" in records[0].title


async def test_an_operation_is_aborted_on_the_screen_after_a_question_and_its_end_is_said(stack: BackupStack) -> None:
    feed = Feed(engine=None)
    with looked_at(stack) as databases, reading_slowly(stack) as ended:
        now = datetime.now(UTC)
        found = databases.look(Stack(name="shop", directory=str(stack.directory)), (), collections=False)
        feed.snapshot = Snapshot(sampled_at=now, stack=Stack(name="shop", directory="/"), databases=found)
        feed.sources.databases = databases
        app = ConsoleApp(feed, theme="dark", site=stack.site)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:

            async def seen(text: str) -> None:
                for _ in range(1500):
                    await pilot.pause(0.02)
                    if text in "\n".join(painted(app)):
                        return
                raise AssertionError((text, painted(app)))

            await app.go("databases")
            await pilot.press("w")
            await seen("COLLSCAN")
            await pilot.press("Z")
            await seen("Abort query")
            await pilot.press("enter")  # the focus is on Cancel
            await pilot.pause()
            assert not ended and isinstance(app.screen, WorkScreen)
            await pilot.press("Z")
            await seen("Abort query")
            await pilot.press("tab", "enter")
            await seen("it is over")
        wait_until(lambda: ended, 30, "the client goes on")
    assert ended == ["11601"]
    assert last(stack)[-1].result is Result.DONE


def test_slow_ones_are_told_from_the_log_and_from_the_profiler_without_anybodys_data(stack: BackupStack) -> None:
    with looked_at(stack) as databases, stack.mongo() as client:
        client[DATABASE].orders.find_one({"$where": f"'{CANARY}' && sleep(150) || true"})
        work = databases.at_work(MONGO, View.SLOW)
        assert any("is off" in line for line in work.said)
        assert any(one.namespace == f"{DATABASE}.orders" and one.plan == "COLLSCAN" for one in work.slow)
        assert CANARY not in repr(work)
        client[DATABASE].command("profile", 2)
        try:
            client[DATABASE].users.find_one({"nisn": CANARY})
            work = databases.at_work(MONGO, View.SLOW)
        finally:
            client[DATABASE].command("profile", 0)
        assert any("system.profile" in line for line in work.said)
        assert any(one.namespace == f"{DATABASE}.users" for one in work.slow)
        assert CANARY not in repr(work)


def test_an_index_that_no_query_uses_is_found_and_built_anew_the_same(stack: BackupStack) -> None:
    with looked_at(stack) as databases, stack.mongo() as client:
        orders = client[DATABASE].orders
        orders.create_index([("used", 1)])
        orders.create_index([("never", -1)], sparse=True, name="never_used")
        list(orders.find({"used": 1}))
        wait_until(lambda: databases.look(Stack(name="shop", directory="/"), (), collections=True), 5, "no look")
        work = databases.at_work(MONGO, View.INDEXES)
        known = {one.name: one for one in work.indexes if one.path == f"{DATABASE}.orders"}
        assert known["never_used"].unused and not known["used_1"].unused and not known["_id_"].unused
        assert known["never_used"].keys == "never: -1" and known["never_used"].size_bytes
        assert known["used_1"].uses == 1 and known["used_1"].since is not None
        before = {one["name"]: one for one in orders.list_indexes()}
        assert run(stack, "rebuild-index", f"{DATABASE}.orders", "never_used") == 0
        assert {one["name"]: one for one in orders.list_indexes()} == before
        text = next(one.text for one in last(stack) if one.event == "step-end")
        assert "before" in text and "now" in text
        assert run(stack, "rebuild-index", f"{DATABASE}.orders", "_id_") == 2
        assert run(stack, "rebuild-index", f"{DATABASE}.orders", "no_such") == 2
        assert run(stack, "rebuild-index", "orders", "never_used") == 2  # no database is named


def test_an_index_that_was_dropped_by_a_killed_rebuild_is_built_by_the_next(stack: BackupStack) -> None:
    with stack.mongo() as client:
        orders = client[DATABASE].orders
        orders.create_index([("twice", 1)], unique=True, partialFilterExpression={"twice": {"$exists": True}})
        order = DatabaseOrder(kind="mongodb", collections=(f"{DATABASE}.orders",), index="twice_1")
        plan = stack.plan("rebuild-index", database=order)
        assert any("unique" in note for note in plan.notes)
        before = {one["name"]: one for one in orders.list_indexes()}
        orders.drop_index("twice_1")
        assert stack.run(plan)[1] == 0
        assert {one["name"]: one for one in orders.list_indexes()} == before


def test_collections_are_validated_with_what_was_read(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    with stack.mongo() as client:
        names = [name for name in client[DATABASE].list_collection_names() if not name.startswith("system.")]
        documents = sum(client[DATABASE][name].count_documents({}) for name in names)
    assert run(stack, "validate") == 0
    text = next(one.text for one in last(stack) if one.event == "step-end")
    assert f"valid: {documents:,} documents" in text, text
    assert run(stack, "validate", f"{DATABASE}.no_such") == 1


def test_redis_is_emptied_only_with_its_name_and_after_a_safety_backup(stack: BackupStack) -> None:
    with stack.keys() as client, stack.keys(3) as other:
        client.set("kept", "1")
        other.set("apart", "1")
        assert run(stack, "flush", "--db", "3") == 2, "its name was not given"
        assert other.dbsize() > 0
        for number in (99, -1):
            with pytest.raises(SourceError, match=f"no database {number}") as refused:
                stack.plan("flush", database=DatabaseOrder(kind="redis", redis_database=number))
            assert "0 to 15" in refused.value.hint
        name = stack.plan("flush", database=DatabaseOrder(kind="redis")).to_accept[0]
        assert run(stack, "flush", "--db", "3", "--accept-loss", name) == 0
        assert other.dbsize() == 0 and client.exists("kept")
        assert run(stack, "flush", "--accept-loss", name) == 0
        assert client.dbsize() == 0
    assert {one.backup_class.value for one in stack.listed()} == {"safety"}
    assert all([part.kind for part in one.parts if part.kind == "redis"] for one in stack.listed())


def test_a_client_of_redis_is_ended_by_its_number_and_its_address(stack: BackupStack) -> None:
    with looked_at(stack) as databases, stack.keys() as client, linked(stack.redis.uri) as replica:
        client.client_setname("worker")
        replica.socket().sendall(b"PSYNC ? -1\r\n")

        def listed() -> dict[str, RedisClient]:
            return {one.kind or one.name: one for one in databases.at_work(REDIS, View.CLIENTS).clients}

        def end(one: RedisClient) -> tuple[str, bool]:
            plan = database_plans.end_client("shop", stack.directory, REDIS, one)
            return database_plans.carry_out(stack.site, plan)

        wait_until(lambda: "replica" in listed(), 30, "the replica is not one yet")
        seen = listed()
        assert seen["worker"].address.startswith("127.0.0.1:")
        for other, why in (
            (msgspec.structs.replace(seen["worker"], address="127.0.0.1:1"), "another one's by now"),
            (msgspec.structs.replace(seen["worker"], id="999999"), "is gone"),
            (seen["replica"], "it is a replica"),
            (seen["opsconsole"], "a connection of opsconsole"),
        ):
            said, done = end(other)
            assert not done and why in said, said
        assert listed().keys() >= {"worker", "replica", "opsconsole"}, "nobody was ended"
        said, done = end(seen["worker"])
        assert done and "it is disconnected" in said, said
        assert "worker" not in listed()
    assert "abort of client" in last(stack)[0].title and last(stack)[-1].result is Result.DONE


def test_redis_tells_slow_commands_clients_and_memory(stack: BackupStack) -> None:
    with looked_at(stack) as databases, stack.keys() as client:
        client.client_setname("worker")
        client.config_set("slowlog-log-slower-than", 0)
        client.set("session:1", CANARY)
        client.config_set("slowlog-log-slower-than", 10_000)
        slow = databases.at_work(REDIS, View.SLOW)
        clients = databases.at_work(REDIS, View.CLIENTS)
        memory = databases.at_work(REDIS, View.MEMORY)
    group = next(one for one in slow.slow if one.kind == "SET")
    assert group.example == "SET session:1 and 1 more" and group.newest is not None
    assert CANARY not in repr(slow) and any("10 ms" in line for line in slow.said)
    assert any(one.name == "worker" and one.address.startswith("127.0.0.1:") for one in clients.clients)
    assert any("memory doctor" in line for line in memory.said)


def test_big_keys_are_searched_for_within_a_budget_that_is_said(
    stack: BackupStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with looked_at(stack) as databases, stack.keys() as client:
        client.flushall()
        client.set(b"big\xff", "x" * 200_000)
        for number in range(1000):
            client.set(f"small:{number}", "x")
        whole = databases.at_work(REDIS, View.BIG_KEYS)
        monkeypatch.setattr(redis_work, "SCAN_KEYS", 300)
        some = databases.at_work(REDIS, View.BIG_KEYS)
    assert whole.keys[0].size_bytes >= 200_000 and whole.keys[0].name.startswith("big")
    assert len(whole.keys) == redis_work.MOST_KEYS and "every key" in whole.said[0]
    assert "of 1,001 keys" in some.said[0]


def test_a_server_that_does_not_let_us_says_what_to_grant(stack: BackupStack) -> None:
    with stack.keys() as client:
        client.execute_command("ACL", "SETUSER", "looker", "on", ">looking-only", "+info", "+config|get", "~*")
    uri = f"redis://looker:looking-only@127.0.0.1:{stack.redis.port}/0"
    databases = Databases(lambda *_: (Connection(target=REDIS, uri=uri),))
    try:
        databases.look(Stack(name="shop", directory="/"), (), collections=False)
        with pytest.raises(Exception, match="may not ask for clients"):
            databases.at_work(REDIS, View.CLIENTS)
    finally:
        databases.close()
