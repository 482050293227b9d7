"""Each part the other tests stand on is real and works."""

from __future__ import annotations

import contextlib
import json
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pymongo
import pymongo.errors
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.conftest import StackFactory
from tests.parts import leftovers, legacy
from tests.parts.engine import Engine
from tests.parts.machine import PartsError, run, wait_until
from tests.parts.servers import Server, hello
from tests.parts.stacks import Stack, copy_stack


def test_the_engine_is_at_least_the_oldest_we_support(engine: Engine) -> None:
    version = engine.docker("version", "--format", "{{.Server.APIVersion}}")
    assert tuple(int(part) for part in version.split(".")) >= (1, 41)


def test_compose_is_version_two(engine: Engine) -> None:
    assert int(engine.docker("compose", "version", "--short").lstrip("v").split(".")[0]) >= 2


def test_the_newer_engine_runs_beside_the_first(newer_engine: Engine, engine: Engine, tmp_path: Path) -> None:
    assert int(newer_engine.version().split(".")[0]) > 20
    stack = copy_stack("troubled", newer_engine, tmp_path)
    try:
        stack.up()
        assert stack.container("migrate")["State"]["ExitCode"] == 0
        assert engine.docker("ps", "--all", "--quiet", "--filter", f"name={stack.project}") == ""
    finally:
        stack.down()
    assert stack.containers() == []


def test_thynk_has_its_database_on_the_host(thynk: Stack) -> None:
    """The backend answers only while it reaches host.docker.internal from its container."""
    with urllib.request.urlopen(thynk.health_url, timeout=5) as answer:
        assert json.load(answer) == {"status": "ok", "version": "1.0.0", "database": "connected"}
    services = {container["Config"]["Labels"]["com.docker.compose.service"] for container in thynk.containers()}
    assert services == {"backend", "frontend"}
    assert thynk.compose("exec", "-T", "backend", "cat", "/app/uploads/avatars/1.png", check=True)
    assert (
        f"mongodb://localhost:{thynk.ports['MONGO_PORT']}/thynk"
        in (thynk.directory / ".env.production.local").read_text()
    )


def test_english_chat_is_configured_by_its_env_file_option(english_chat: Stack) -> None:
    with urllib.request.urlopen(english_chat.health_url, timeout=5) as answer:
        assert answer.status == 200
    assert "online-discussion" in english_chat.compose("exec", "-T", "backend", "sh", "-c", "echo $MONGODB_URI")


def test_mps_mongodb_asks_for_its_password(mps: Stack) -> None:
    with pymongo.MongoClient[Any](mps.mongo_uri, serverSelectionTimeoutMS=5000) as client:
        assert client[mps.database].users.count_documents({}) == 14
    with (
        pymongo.MongoClient[Any]("127.0.0.1", mps.ports["MONGO_PORT"], serverSelectionTimeoutMS=5000) as stranger,
        pytest.raises(pymongo.errors.OperationFailure, match="requires authentication"),
    ):
        stranger[mps.database].users.count_documents({})


def test_mps_redis_asks_for_its_password_and_appends(mps: Stack) -> None:
    with contextlib.closing(redis.Redis.from_url(mps.redis_url)) as client:
        assert client.info("persistence")["aof_enabled"] == 1
        assert client.info("keyspace").keys() == {"db0", "db1"}
    with (
        contextlib.closing(redis.Redis(port=mps.ports["REDIS_PORT"], retry=Retry(NoBackoff(), 0))) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_database_files_belong_to_the_database_user(mps: Stack) -> None:
    """As in the official images: a restore that leaves root's files behind would be noticed."""
    assert mps.compose("exec", "-T", "mongodb", "stat", "-c", "%u", "/data/db/WiredTiger") == "999"
    assert mps.compose("exec", "-T", "redis", "stat", "-c", "%u", "/data/appendonlydir") == "999"


def test_smokava_has_no_password(smokava: Stack) -> None:
    with pymongo.MongoClient[Any](smokava.mongo_uri, serverSelectionTimeoutMS=5000) as client:
        assert client.smokava.userpackages.count_documents({}) == 25


def test_smokava_as_a_replica_set_has_a_primary_and_an_oplog(smokava_rs: Stack) -> None:
    assert hello(smokava_rs.mongo_uri)["setName"] == "rs0"
    assert hello(smokava_rs.mongo_uri)["isWritablePrimary"]
    with pymongo.MongoClient[Any](smokava_rs.mongo_uri, serverSelectionTimeoutMS=5000) as client:
        assert client.local["oplog.rs"].estimated_document_count() > 0


def test_backups_of_the_scripts_lie_there(thynk: Stack, mps: Stack) -> None:
    backups = thynk.directory / "backups"
    assert [path.name for path in sorted(backups.iterdir())] == [legacy.OLD, legacy.NEW]
    with tarfile.open(backups / legacy.NEW / f"mongodb-{legacy.NEW}.tar.gz") as archive:
        dumped = archive.extractfile("mongodb/thynk/users.bson")
        assert dumped is not None and len(bson.decode_all(dumped.read())) == 14
    with tarfile.open(mps.directory / "backups" / f"mps_backup_{legacy.NEW}.tar.gz") as archive:
        rdb = archive.extractfile("redis_dump.rdb")
        assert archive.getnames() == ["mongo.archive", "redis_dump.rdb"]
        assert rdb is not None and rdb.read(5) == b"REDIS"


def test_the_checksum_of_mongodumps_archives() -> None:
    assert legacy.crc64(b"123456789") == 0x995DC9BBDF1939FA
    assert legacy.crc64(b"") == 0


def test_data_survives_down_and_up(stack_factory: StackFactory) -> None:
    stack = stack_factory("mps")
    stack.compose("down", "--timeout", "5")
    stack.up()
    with pymongo.MongoClient[Any](stack.mongo_uri, serverSelectionTimeoutMS=5000) as client:
        assert client[stack.database].users.count_documents({}) == 14
    with contextlib.closing(redis.Redis.from_url(stack.redis_url)) as client_of_redis:
        assert client_of_redis.get("greeting") == b"halo"


def test_the_troubles_are_all_there(troubled: Stack) -> None:
    assert troubled.container("crashing")["RestartCount"] > 0
    assert troubled.container("migrate")["State"]["ExitCode"] == 0
    assert troubled.container("failed")["State"]["ExitCode"] == 1
    log = troubled.container("unhealthy")["State"]["Health"]["Log"]
    assert "connection refused" in log[-1]["Output"]
    with pytest.raises(LookupError):
        troubled.container("debug")
    (mount,) = (m for m in troubled.container("forgetful")["Mounts"] if m["Destination"] == "/data/db")
    assert mount["Type"] == "volume" and len(mount["Name"]) == 64
    assert "/data" in troubled.container("cache")["HostConfig"]["Tmpfs"]
    (outside,) = troubled.container("hostile")["Mounts"]
    assert not outside["Source"].startswith(str(troubled.directory))


def test_hostile_log_lines_arrive_unchanged(troubled: Stack) -> None:
    lines = troubled.compose("logs", "--no-log-prefix", "hostile")
    for piece in ("\x1b[2J", "\x1b]52;c;", "[@click=app.quit]", "\u202e", "x" * 10000):
        assert piece in lines


def test_the_engine_measures_containers(engine: Engine, mps: Stack) -> None:
    container = mps.container("mongodb")["Id"]
    sample = json.loads(engine.docker("stats", "--no-stream", "--format", "{{json .}}", container))
    assert sample["MemUsage"].split()[0] != "0B"


def test_the_engine_tells_events(engine: Engine, smokava: Stack) -> None:
    container = smokava.container("backend")["Id"]
    engine.docker("pause", container)
    engine.docker("unpause", container)
    # The engine's own answer to "until": it ends the listing once that second has begun.
    window = ["--since", "60s", "--until", str(int(time.time()) + 1)]
    told = engine.docker("events", *window, "--filter", f"container={container}", "--format", "{{.Action}}")
    assert {"pause", "unpause"} <= set(told.split())


def test_a_stack_that_is_only_copied_runs_nothing(stack_factory: StackFactory) -> None:
    stack = stack_factory("smokava", up=False)
    assert stack.containers() == []
    assert stack.compose("config", "--services").split() == ["mongodb", "backend"]


def test_a_stack_can_be_a_git_checkout(stack_factory: StackFactory) -> None:
    stack = stack_factory("thynk", up=False)
    origin = stack.make_git_repository()
    assert stack.git("status", "--porcelain") == ""
    assert stack.git("rev-parse", "HEAD") == run("git", "-C", origin, "rev-parse", "main").stdout.strip()


def test_what_a_dead_test_run_left_is_removed(engine: Engine) -> None:
    """Process 4194304 is above the kernel's highest: it never lives."""
    project = f"{leftovers.PREFIX}4194304-1-dead"
    engine.docker("volume", "create", "--label", f"com.docker.compose.project={project}", f"{project}_data")
    engine.docker("volume", "create", f"{leftovers.run_name()}alive")
    leftovers.remove(engine)
    volumes = engine.docker("volume", "ls", "--format", "{{.Name}}").split()
    assert f"{project}_data" not in volumes
    assert f"{leftovers.run_name()}alive" in volumes


def test_mongod_on_the_host(host_mongod: Callable[..., Server]) -> None:
    server = host_mongod()
    with pymongo.MongoClient[Any](server.uri) as client:
        client.shop.things.insert_one({"_id": 1})
        assert client.server_info()["version"].startswith("6.0")


def test_mongod_on_the_host_with_a_password(host_mongod: Callable[..., Server]) -> None:
    server = host_mongod(auth=True)
    with pymongo.MongoClient[Any](server.uri) as client:
        assert "admin" in client.list_database_names()
    with (
        pymongo.MongoClient[Any]("127.0.0.1", server.port) as stranger,
        pytest.raises(pymongo.errors.OperationFailure, match="requires authentication"),
    ):
        stranger.list_database_names()


@pytest.mark.parametrize("auth", [False, True])
def test_mongod_on_the_host_as_a_replica_set(host_mongod: Callable[..., Server], auth: bool) -> None:
    server = host_mongod(replset=True, auth=auth)
    assert hello(server.uri)["isWritablePrimary"]


def test_mongod_starts_again_on_its_directory(host_mongod: Callable[..., Server]) -> None:
    first = host_mongod(auth=True)
    with pymongo.MongoClient[Any](first.uri) as client:
        client.shop.things.insert_one({"_id": 1})
    first.stop()
    second = host_mongod(auth=True, directory=first.directory)
    with pymongo.MongoClient[Any](second.uri) as client:
        assert client.shop.things.count_documents({}) == 1


def test_redis_on_the_host(host_redis: Callable[..., Server]) -> None:
    server = host_redis(password="p@ss/word", appendonly=True)
    with contextlib.closing(redis.Redis.from_url(server.uri)) as client:
        assert client.info("persistence")["aof_enabled"] == 1
        assert client.info("server")["redis_version"].startswith("7.")
    assert (server.directory / "appendonlydir").is_dir()


def test_waiting_says_what_was_missing() -> None:
    with pytest.raises(PartsError, match=r"no moon: not within 0\.1 s \(ValueError: dark\)"):
        wait_until(_dark, 0.1, "no moon")


def _dark() -> bool:
    raise ValueError("dark")
