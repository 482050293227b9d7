"""The guard on real databases, volumes and directories: what an operation loses is red, named and kept."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pymongo
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.cli import main
from opsconsole.model import VolumeKind
from opsconsole.operations import emergency, facts, guard, journal, losses, past, places, stack_plans, unfinished
from opsconsole.operations.census import Census, DatabaseSeen, PlaceSeen
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.plan import DataEffect, Effect, Kind, Plan, Step
from opsconsole.operations.report import lines_of
from opsconsole.sources.sizes import Counted, tree_count
from tests.operation_stack import OperationStack
from tests.parts import legacy
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name
from tests.parts.machine import wait_until
from tests.parts.servers import free_port

pytestmark = pytest.mark.usefixtures("forked_operations")

COMPOSE = """
services:
  mongo:
    image: mongo:6.0
    pull_policy: never
    stop_grace_period: 5s
    healthcheck: {{test: ["CMD-SHELL", "nc -w 1 127.0.0.1 27017 < /dev/null"], interval: 800ms, retries: 40}}
    ports: ["127.0.0.1:{mongo}:27017"]
    volumes: ["data:/data/db"]
  cache:
    image: redis:7
    pull_policy: never
    healthcheck: {{test: ["CMD", "redis-cli", "ping"], interval: 800ms, retries: 40}}
    command: redis-server --save 3600 1
    stop_grace_period: 2s
    ports: ["127.0.0.1:{redis}:6379"]
    volumes: ["cache:/data"]
  web:
    image: opsconsole-fixture/app:1
    pull_policy: never
    init: true
    command: ["sleep", "3600"]
    stop_grace_period: 1s
    healthcheck: {{test: ["CMD", "true"], interval: 1s}}
    volumes: ["./files:/app/files", "shared:/app/shared"]
volumes: {{data: {{}}, cache: {{}}, shared: {{}}}}
"""


class DataStack(OperationStack):
    """MongoDB, Redis, a volume with files and a directory with files, and ways to hurt them in mid-operation."""

    def __init__(self, directory: Path, project: str, engine: Engine) -> None:
        super().__init__(directory, project, engine)
        self.ports = {"mongo": free_port(), "redis": free_port()}
        directory.mkdir()
        (directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
        (directory / "compose.yaml").write_text(COMPOSE.format(**self.ports))

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.ports['mongo']}/?directConnection=true"

    @property
    def files(self) -> Path:
        return self.directory / "files"

    @contextlib.contextmanager
    def mongo(self) -> Iterator[Any]:
        with pymongo.MongoClient[Any](self.uri, serverSelectionTimeoutMS=20000) as client:
            yield client

    @contextlib.contextmanager
    def redis(self, database: int = 0) -> Iterator[Any]:
        with contextlib.closing(redis.Redis(port=self.ports["redis"], db=database)) as client:
            yield client

    def fill(self) -> None:
        """The same data before each test."""
        self.compose("up", "--detach")
        with self.mongo() as client:
            for name in set(client.list_database_names()) - {"admin", "config", "local"}:
                client.drop_database(name)
            client.shop.orders.insert_many([{"n": n} for n in range(20)])
            client.shop.users.insert_many([{"n": n} for n in range(5)])
            client.audit.lines.insert_one({"n": 1})
            at = datetime.now(UTC) + timedelta(days=1)
            client.shop.sessions.insert_many([{"at": at} for _ in range(9)])
            client.shop.sessions.create_index("at", expireAfterSeconds=60)
        with self.redis() as store:
            wait_until(store.ping, 20, "no Redis")
            store.flushall()
            store.mset({f"lasting{n}": n for n in range(6)})
            for n in range(4):
                store.set(f"session{n}", n, ex=3600)
        for name in ("one.txt", "two.txt", "deep/three.txt"):
            (self.files / name).parent.mkdir(parents=True, exist_ok=True)
            (self.files / name).write_text(name)
        self.compose("exec", "web", "sh", "-c", "echo kept > /app/shared/kept")

    def fault(self, code: str) -> tuple[str, ...]:
        """A command that runs Python with clients for both databases at hand."""
        head = (
            "import contextlib, os, pymongo, redis, shutil\n"
            f"mongo = pymongo.MongoClient({self.uri!r}); cache = redis.Redis(port={self.ports['redis']})\n"
        )
        return (sys.executable, "-c", head + code)

    def plan(self, *commands: tuple[str, ...], kind: Kind = Kind.RESTART, data: tuple[DataEffect, ...] = ()) -> Plan:
        look = self.look()
        steps = tuple(Step(id=f"s{n}", title=f"Step {n}", commands=(one,)) for n, one in enumerate(commands))
        return Plan(kind=kind, stack=look.name, directory=look.directory, facts=look.facts, steps=steps, data=data)


@pytest.fixture(scope="module")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStack]:
    project = f"{run_name()}guard"
    stack = DataStack(tmp_path_factory.mktemp("guard") / project, project, engine)
    try:
        yield stack
    finally:
        remove(engine, also=project)


@pytest.fixture
def stack(shared: DataStack) -> DataStack:
    shared.fill()
    return shared


def guard_record(place: Path) -> Entry:
    return next(entry for entry in journal.read(place) if entry.event == "guard")


# --- what an operation loses -----------------------------------------------------------------------


def test_nothing_happened_is_silence(stack: DataStack) -> None:
    place, code = stack.run(stack_plans.restart(stack.look(), ["web"]))
    record = guard_record(place)
    assert code == 0 and record.less == () and record.notes == () and list(lines_of(record)) == []
    assert record.text == "4 volumes, 1 bind mount, 4 files, 4 collections with 35 documents, 6 lasting keys"
    assert journal.read(place)[-1].less == ()
    for name in (guard.BEFORE, guard.AFTER):
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
    before = msgspec.json.decode((place / guard.BEFORE).read_bytes(), type=Census)
    assert before.seconds < 5 and before.databases[0].collections["shop"]["orders"] == 20


def test_every_loss_is_named_and_the_operation_says_so(stack: DataStack, capsys: pytest.CaptureFixture[str]) -> None:
    (stack.files.parent / "backups").mkdir(exist_ok=True)
    hurt = stack.fault(
        "mongo.shop.orders.delete_many({'n': {'$lt': 7}})\n"
        "mongo.shop.users.drop()\nmongo.drop_database('audit')\n"
        "cache.delete('lasting1', 'lasting2')\nos.remove('files/one.txt')\n"
    )
    place, code = stack.run(stack.plan(hurt))
    expected = {
        "mongo: shop.orders: 20 documents before, 13 now",
        "mongo: the collection shop.users is gone (5 documents)",
        "mongo: the database audit is gone (1 collection, 1 document)",
        "cache: database 0: 6 lasting keys before, 4 now",
        f"directory {stack.files}: 3 files before, 2 now",
    }
    record, end = guard_record(place), journal.read(place)[-1]
    assert code == 6 and set(record.less) == expected and end.less == record.less
    assert end.result is Result.DONE
    assert record.hint == f"There is no good backup in {stack.directory}/backups. Nothing was restored."
    here = ["--stack", str(stack.directory)]
    assert main(["history", place.name, *here]) == 0
    said = capsys.readouterr().out
    assert "DATA: LESS THAN BEFORE" in said and all(f"- {line}" in said for line in expected)
    assert main(["history", *here]) == 0
    assert "done, LESS DATA" in capsys.readouterr().out.splitlines()[0]
    assert past.past(stack.directory)[0].less == end.less
    assert main(["operations", "watch", place.name, *here]) == 6


def test_a_failed_operation_keeps_its_exit_code_and_says_what_is_less(stack: DataStack) -> None:
    backup = legacy.write_mps_backup(stack.directory, stack.uri, "shop", b"REDIS0011\xff" + bytes(8), "20250918_162232")
    try:
        place, code = stack.run(stack.plan(stack.fault("cache.flushall()\nraise SystemExit(3)")))
    finally:
        backup.unlink()
    record = guard_record(place)
    assert code == 1 and record.less == ("cache: database 0: 6 lasting keys before, 0 now",)
    assert journal.read(place)[-1].less == record.less
    assert "backup" in record.hint and "Nothing was restored." in record.hint


def test_a_volume_and_a_directory_made_anew_are_not_the_same(stack: DataStack) -> None:
    volume = f"{stack.project}_shared"
    place, code = stack.run(
        stack.plan(
            ("docker", "compose", "rm", "--stop", "--force", "web"),
            ("docker", "volume", "rm", volume),
            stack.fault("os.rename('files', 'aside'); shutil.copytree('aside', 'files')"),
            ("docker", "compose", "up", "--detach", "--no-deps", "web"),
            ("docker", "compose", "exec", "web", "sh", "-c", "echo kept > /app/shared/kept"),
        )
    )
    stack.engine.docker("volume", "inspect", volume)
    anew = "was made anew: it is not the one that was there before"
    assert code == 6
    assert set(guard_record(place).less) == {f"volume {volume} {anew}", f"directory {stack.files} {anew}"}


def test_a_volume_that_is_gone_and_a_path_that_changed_its_place(stack: DataStack) -> None:
    file = stack.directory / "compose.yaml"
    text = file.read_text()
    file.write_text(text.replace("shared:/app/shared", "other:/app/shared").replace("shared: {}", "other: {}"))
    try:
        moved, code = stack.run(stack.plan(("docker", "compose", "up", "--detach", "--no-deps", "web")))
        less = guard_record(moved).less
        kept_in = f"web:/app/shared is in {stack.project}_other now; it was in the volume {stack.project}_shared"
        assert code == 6 and less == (kept_in,)
        announced = (DataEffect(name=f"{stack.project}_other", what="volume", left_behind=True),)
        file.write_text(text)
        stack.compose("exec", "web", "sh", "-c", "echo new > /app/shared/new")
        gone, code = stack.run(
            stack.plan(
                ("docker", "compose", "up", "--detach", "--no-deps", "web"),
                ("docker", "volume", "rm", f"{stack.project}_other"),
                data=announced,
            )
        )
        record = guard_record(gone)
        assert code == 0 and record.less == ()
        assert record.notes == (f"as the plan said: volume {stack.project}_other is gone",)
    finally:
        file.write_text(text)


# --- what is no loss -------------------------------------------------------------------------------


def test_what_shrinks_by_itself_is_said_and_is_no_alarm(stack: DataStack) -> None:
    with stack.mongo() as client:
        client.shop.create_collection("ring", capped=True, size=4096, max=3)
        client.shop.ring.insert_many([{"n": n} for n in range(3)])
    hurt = stack.fault(
        "mongo.shop.sessions.delete_many({})\ncache.delete('session1')\n"
        "mongo.shop.ring.drop(); mongo.shop.create_collection('ring', capped=True, size=4096)\n"
    )
    place, code = stack.run(stack.plan(hurt))
    record = guard_record(place)
    assert code == 0 and record.less == ()
    assert set(record.notes) == {
        "mongo shop.sessions: 9 documents before, 0 now: a TTL index makes it shrink by itself",
        "mongo shop.ring: 3 documents before, 0 now: a limit of its size makes it shrink by itself",
        "cache has 4 keys with a time to live before, 3 now: they end by themselves",
    }
    assert all("DATA: " in line for line in lines_of(record))


def test_a_database_that_was_stopped_is_not_compared(stack: DataStack) -> None:
    place, code = stack.run(stack_plans.stop(stack.look(), ["mongo"]))
    record = guard_record(place)
    assert code == 0 and record.less == ()
    assert record.notes == ("mongo was not compared: service mongo is not running",)
    place, code = stack.run(stack_plans.restart(stack.look(), ["web"]))
    said = "mongo was not compared: it could not be counted before the operation (service mongo is not running)"
    assert code == 0 and guard_record(place).notes == (said,)


@pytest.mark.parametrize("words", ["# another line", "this is broken: ["])
def test_the_compose_file_may_change_in_between(stack: DataStack, words: str) -> None:
    file = stack.directory / "compose.yaml"
    text = file.read_text()
    try:
        place, code = stack.run(stack.plan(stack.fault(f"open('compose.yaml', 'a').write('\\n{words}\\n')")))
        assert file.read_text() != text
    finally:
        file.write_text(text)
    record = guard_record(place)
    assert code == 0 and record.notes == () and "4 collections with 35 documents, 6 lasting keys" in record.text


def test_a_database_that_comes_back_late_is_waited_for(stack: DataStack) -> None:
    """A restart without a gate: the census after finds the server still starting."""
    with stack.mongo() as client:
        client.shop.big.insert_many([{"n": n, "text": "x" * 200} for n in range(5000)])
    place, code = stack.run(stack.plan(("docker", "compose", "restart", "mongo", "cache")))
    assert code == 0 and guard_record(place).notes == ()


def test_a_database_that_hangs_costs_two_seconds_and_no_more(stack: DataStack) -> None:
    made, hangs = stack.plan(("true",)), f"{stack.project}-mongo-1"
    stack.engine.docker("kill", "--signal", "STOP", hangs)
    try:
        place, code = stack.run(made)
    finally:
        stack.engine.docker("kill", "--signal", "CONT", hangs)
    before = msgspec.json.decode((place / guard.BEFORE).read_bytes(), type=Census)
    assert code == 0 and 1 < before.seconds < 4
    assert any("mongo was not compared: it could not be counted" in note for note in guard_record(place).notes)


def test_what_the_plan_announced_is_no_alarm(stack: DataStack) -> None:
    effects = (DataEffect(name="cache", what="6 Redis keys", effect=Effect.LOST, database="redis"),)
    hurt = stack.fault("cache.flushall(); mongo.shop.users.drop()")
    place, code = stack.run(stack.plan(hurt, data=effects))
    record = guard_record(place)
    assert code == 6 and record.less == ("mongo: the collection shop.users is gone (5 documents)",)
    assert "as the plan said: cache: database 0: 6 lasting keys before, 0 now" in record.notes


# --- a deploy that would begin with an empty database ----------------------------------------------


def test_a_renamed_database_volume_is_refused_without_its_name(
    stack: DataStack, capsys: pytest.CaptureFixture[str]
) -> None:
    file, settings_file = stack.directory / "compose.yaml", stack.directory / "opsconsole.toml"
    text, here = file.read_text(), ["--stack", str(stack.directory)]
    old, new = f"{stack.project}_data", f"{stack.project}_renamed"
    settings_file.write_text("[deploy]\nsoak_seconds = 0.2\n")
    assert main(["deploy", "--yes", *here]) == 0
    renamed = text.replace("data:/data/db", "renamed:/data/db").replace("{data: {}", "{renamed: {}")
    file.write_text(renamed)
    try:
        before = stack.started()
        assert main(["deploy", "--yes", *here]) == 2
        said = capsys.readouterr()
        empty = f"{old} -> {new}: mongo would come up EMPTY; today's data stays in the volume {old}"
        assert f"{old} would be left behind ({empty}); nothing was done" in said.err
        assert f"--accept-loss {old}" in said.err and "LEFT BEHIND" in said.out
        assert stack.started() == before

        # It does not get well: the way back leads to the data.
        file.write_text(
            renamed.replace("nc -w 1 127.0.0.1 27017 < /dev/null", "false").replace("retries: 40", "retries: 2", 1)
        )
        assert main(["deploy", "--yes", "--accept-loss", old, *here]) == 3
        with stack.mongo() as client:
            assert client.shop.orders.count_documents({}) == 20
        assert guard_record(places.existing_operations(stack.directory)[-1]).less == ()

        file.write_text(renamed)
        assert main(["deploy", "--yes", "--accept-loss", old, *here]) == 0
        with stack.mongo() as client:
            assert "shop" not in client.list_database_names()
        assert old in stack.engine.docker("volume", "ls", "--quiet").split()
        record = guard_record(places.existing_operations(stack.directory)[-1])
        assert record.less == ()
        gone = "the database shop is gone (3 collections, 34 documents)"
        assert f"as the plan said: mongo: {gone}" in record.notes

        # And back: by the configuration of the release, whatever the file says.
        capsys.readouterr()
        assert main(["rollback", "previous-image", "--yes", *here]) == 2
        assert f"{new} -> {old}: mongo would come up with what is there" in capsys.readouterr().err
        assert main(["rollback", "previous-image", "--yes", "--accept-loss", new, *here]) == 0
        with stack.mongo() as client:
            assert client.shop.orders.count_documents({}) == 20
    finally:
        file.write_text(text)
        settings_file.unlink()
        stack.compose("up", "--detach", "--force-recreate", "mongo")
        stack.engine.docker("volume", "rm", new, check=False)


# --- across a kill, and without one ----------------------------------------------------------------


@pytest.mark.parametrize("answer", ["finish", "undo"])
def test_what_finishes_a_half_done_operation_compares_with_its_beginning(stack: DataStack, answer: str) -> None:
    made = stack.plan(stack.fault("mongo.shop.users.drop()"), ("true",))
    place, _ = stack.run(msgspec.structs.replace(made, running_before=()), OPS_KILL_AT="O06")
    assert (place / guard.BEFORE).exists() and not (place / guard.AFTER).exists()
    assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 6
    assert unfinished.unfinished(stack.directory) == ()
    end = past.past(stack.directory)[0]
    assert end.less == ("mongo: the collection shop.users is gone (5 documents)",)


def test_an_emergency_stop_counts_nothing(stack: DataStack) -> None:
    place, code = stack.run(emergency.plan(facts.engine_look(stack.directory, facts_config())))
    assert code == 0 and not list(place.glob("census-*"))
    assert [entry.event for entry in journal.read(place)].count("guard") == 0


def facts_config() -> Any:
    from opsconsole.config import Config

    return Config()


def test_a_fault_of_the_guard_is_told_and_ends_nothing(
    stack: DataStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stack_plans.restart(stack.look(), ["web"])
    keeper = guard.Guard(stack.directory, tmp_path, made, facts_config(), stack.project)
    keeper.before(stack.look())

    def broken(*_: object, **__: object) -> Census:
        raise ZeroDivisionError

    monkeypatch.setattr("opsconsole.operations.census.take", broken)
    records = journal.Journal(tmp_path)
    assert keeper.after(records) == ()
    records.close()
    notes = guard_record(tmp_path).notes
    assert notes == ("the data was not compared: unexpected ZeroDivisionError (after the operation)",)


# --- pure ------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)
DB = DatabaseSeen(kind="mongodb", name="mongo", service="mongo", collections={"shop": {"users": 3, "view": None}})
STORE = DatabaseSeen(kind="redis", name="cache", service="cache", keys={"0": 5}, expiring=2)
VOLUME = PlaceSeen(
    words="shop_db", kind=VolumeKind.NAMED, identity="1", database="mongodb", uses=("mongo:/data/db",), holds="files"
)
FILES = PlaceSeen(
    words="/srv/up", kind=VolumeKind.BIND, identity="2", uses=("web:/up",), holds="files", files=Counted(9, 900)
)
SEEN = Census(
    at=NOW, services=("mongo", "web"), places={"volume:shop_db": VOLUME, "bind:/srv/up": FILES}, databases=(DB, STORE)
)


def with_place(key: str, **fields: object) -> Census:
    return msgspec.structs.replace(
        SEEN, places={**SEEN.places, key: msgspec.structs.replace(SEEN.places[key], **fields)}
    )


def with_database(number: int, **fields: object) -> Census:
    changed = list(SEEN.databases)
    changed[number] = msgspec.structs.replace(changed[number], **fields)
    return msgspec.structs.replace(SEEN, databases=tuple(changed))


@pytest.mark.parametrize(
    ("after", "less", "notes"),
    [
        (SEEN, "", ""),
        (with_place("volume:shop_db", there=False), "volume shop_db is gone", ""),
        (with_place("volume:shop_db", identity=""), "", ""),
        (with_place("volume:shop_db", holds="nothing"), "volume shop_db is empty now", ""),
        (with_place("volume:shop_db", uses=()), "mongo:/data/db has no mount any more", ""),
        (with_place("bind:/srv/up", files=Counted(8, 900)), "directory /srv/up: 9 files before, 8 now", ""),
        (with_place("bind:/srv/up", files=Counted(9, 0)), "its files held 900 bytes before and hold nothing", ""),
        (with_place("bind:/srv/up", files=Counted(9, 1)), "", ""),
        (with_place("bind:/srv/up", files=Counted(5, 1, cut=True)), "", "only the first 5 files were counted"),
        (with_place("bind:/srv/up", files=Counted(problem="permission denied")), "", "not compared: permission denied"),
        (with_database(0, collections={"shop": {"users": 0, "view": None}}), "users: 3 documents before, 0 now", ""),
        (with_database(0, collections={"shop": {"users": 3}}), "the collection shop.view is gone", ""),
        (with_database(0, collections={}), "the database shop is gone (2 collections, 3 documents)", ""),
        (with_database(0, problem="it hangs"), "", "mongo was not compared: it hangs"),
        (with_database(0, collections={}, partly="may not read"), "", "mongo was not compared: may not read"),
        (with_database(1, keys={"1": 5}), "cache: database 0: 5 lasting keys before, 0 now", ""),
        (with_database(1, keys={"0": 1}, evicts=True), "", "drops keys by itself"),
        (msgspec.structs.replace(SEEN, databases=(DB,)), "", "cache was not compared: it is no longer among"),
        (msgspec.structs.replace(SEEN, problem="the engine is away"), "", "not compared: the engine is away (after"),
    ],
)  # fmt: skip
def test_each_rule(after: Census, less: str, notes: str) -> None:
    verdict = losses.compare(SEEN, after)
    for wanted, found in ((less, verdict.less), (notes, verdict.notes)):
        assert len(found) == (1 if wanted else 0) and wanted in "".join(found)
    back = losses.compare(after, SEEN)
    assert back.less == () or "problem" in str(after)


def test_a_service_without_a_container_or_an_empty_place_is_no_loss() -> None:
    unmounted = with_place("volume:shop_db", uses=())
    assert losses.compare(SEEN, msgspec.structs.replace(unmounted, services=("web",))).less == ()
    nothing = with_place("volume:shop_db", holds="nothing")
    gone = with_place("volume:shop_db", holds="", there=False)
    assert losses.compare(nothing, gone).less == ()
    moved = with_place("volume:shop_db", holds="nothing", uses=())
    assert losses.compare(nothing, moved).less == ()
    empty = with_database(0, collections={"shop": {"tmp": 0}})
    assert losses.compare(empty, with_database(0, collections={})).less == ()


def test_where_there_was_no_container_there_was_nothing_to_compare() -> None:
    first = msgspec.structs.replace(with_database(0, collections={}, problem="refuses connections"), services=())
    verdict = losses.compare(first, SEEN)
    assert verdict.less == ()
    assert verdict.notes == ("mongo had no container before the operation: there was nothing to compare",)


def test_a_count_that_was_cut_is_a_least_number() -> None:
    before = with_place("bind:/srv/up", files=Counted(50, 1, cut=True))
    assert losses.compare(before, with_place("bind:/srv/up", files=Counted(60, 1))).less == ()
    fewer = losses.compare(before, with_place("bind:/srv/up", files=Counted(40, 1))).less
    assert fewer == ("directory /srv/up: at least 50 files before, 40 now",)


def test_many_losses_are_bounded() -> None:
    many = with_database(0, collections={"shop": {f"c{n}": 1 for n in range(200)}})
    less = losses.compare(many, with_database(0, collections={"shop": {}, "x": {"y": 1}})).less
    assert len(less) == losses.MOST_LINES + 1 and less[-1] == "and 150 more"


COUNTS = st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 5)), max_size=3)
CONTENTS = st.dictionaries(st.sampled_from(["shop", "audit"]), COUNTS, max_size=2)
KEYS = st.dictionaries(st.sampled_from(["0", "1"]), st.integers(0, 5), max_size=2)


@settings(max_examples=200, deadline=None)
@given(CONTENTS, KEYS, CONTENTS, KEYS)
def test_laws(contents: Any, keys: Any, contents_after: Any, keys_after: Any) -> None:
    def census(collections: Any, store: Any) -> Census:
        both = (msgspec.structs.replace(DB, collections=collections), msgspec.structs.replace(STORE, keys=store))
        return msgspec.structs.replace(SEEN, databases=both)

    before, after = census(contents, keys), census(contents_after, keys_after)
    verdict = losses.compare(before, after)
    assert losses.compare(before, after) == verdict  # pure
    assert losses.compare(before, before).less == ()
    fell = any(keys_after.get(name, 0) < count for name, count in keys.items()) or any(
        (documents or 0) > (contents_after.get(name, {}).get(one) or 0)
        for name, known in contents.items()
        for one, documents in known.items()
        if contents_after.get(name, {}).get(one, 0) is not None
    )
    assert not fell or verdict.less


def test_counting_files_is_bounded(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"d{number % 3}").mkdir(exist_ok=True)
        (tmp_path / f"d{number % 3}" / str(number)).write_bytes(b"12345")
    os.symlink("/etc", tmp_path / "link")
    later = time.monotonic() + 60
    assert tree_count(str(tmp_path), 100, later) == Counted(30, 150)
    assert tree_count(str(tmp_path), 30, later) == Counted(30, 150)
    assert tree_count(str(tmp_path), 10, later) == Counted(10, 50, cut=True)
    assert tree_count(str(tmp_path), 100, time.monotonic() - 1).cut
    assert "no such file" in tree_count(str(tmp_path / "gone"), 10, later).problem


def test_the_volumes_name_is_the_operators(stack: DataStack, capsys: pytest.CaptureFixture[str]) -> None:
    """The names of the census are those of a plan, so that what was announced is recognised."""
    place, _ = stack.run(stack.plan(("true",)))
    seen = msgspec.json.decode((place / guard.BEFORE).read_bytes(), type=Census)
    assert main(["stop", "--plan", "--json", "--stack", str(stack.directory)]) == 0
    planned = {one["name"] for one in json.loads(capsys.readouterr().out)["plan"]["data"]}
    assert planned == {one.words for one in seen.places.values()}
