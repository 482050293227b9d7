"""Databases that go away while they are saved: the way to them, they themselves, their password. The backup fails and
says why, in seconds; what was there before is there."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from redis.exceptions import RedisError

from opsconsole.backups import redis_link
from opsconsole.backups.redis_link import linked
from opsconsole.cli import main
from opsconsole.operations import journal, places, requests
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import BackupOrder
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from tests.backup_stack import CANARY, BackupStack, backup_stack
from tests.children import run_operation
from tests.operation_stack import OperationStack
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name
from tests.parts.machine import wait_until
from tests.parts.servers import Server, start_mongod, start_redis
from tests.proxy import TcpProxy

FAR = 1_000_000
"""Bytes that have come from a server when something happens to it; it has three times as many."""
SOON = 30.0
MONGO_NAME = "opsconsole backup"


class Reached:
    """A stack whose databases are reached through something that can be cut."""

    def __init__(self, stack: BackupStack) -> None:
        self.stack = stack
        self.mongo, self.redis = TcpProxy(stack.mongod.port), TcpProxy(stack.redis.port)
        env = stack.directory / ".env"
        text = env.read_text().replace(f":{stack.mongod.port}/", f":{self.mongo.port}/")
        env.write_text(text.replace(f":{stack.redis.port}\n", f":{self.redis.port}\n"))
        with stack.mongo() as client:
            client.shop.large.insert_many([{"n": n, "t": os.urandom(250).hex()} for n in range(6000)])
        with stack.keys() as keys:
            keys.mset({f"large:{n}": os.urandom(30_000) for n in range(100)})

    def fails(self, through: TcpProxy, then: Callable[[], object]) -> str:
        """Save, and do that in the midst of it: what is said of the failure."""
        before = self.stack.good()
        done = list[bool]()
        through.after(FAR, lambda: (then(), done.append(True)))
        began = time.monotonic()
        _, code = self.stack.run(self.stack.plan("backup", backup=BackupOrder()))
        assert done and time.monotonic() - began < SOON
        end = self.stack.end()
        assert code == 1 and end.result is Result.FAILED and self.stack.good() == before
        assert not list(self.stack.backups.glob(".partial*"))
        said = f"{end.problem} {end.hint}"
        assert CANARY not in said and "secret" not in said
        return said

    def works(self) -> None:
        before = self.stack.good()
        _, code = self.stack.run(self.stack.plan("backup", backup=BackupOrder()))
        assert code == 0, self.stack.end()
        assert before < self.stack.good()


@pytest.fixture(scope="module")
def reached(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    with backup_stack(tmp_path_factory.mktemp("cut"), auth=True) as made:
        reached = Reached(made)
        with reached.mongo, reached.redis:
            reached.works()
            yield reached


def test_a_connection_that_is_cut(reached: Reached) -> None:
    for through, server in ((reached.mongo, "MongoDB"), (reached.redis, "Redis")):
        said = reached.fails(through, through.cut)
        through.restore()
        assert server in said and "closed" in said, said
    reached.works()


def test_a_server_that_is_stopped(reached: Reached) -> None:
    stack = reached.stack
    old = stack.mongod
    said = reached.fails(reached.mongo, old.process.terminate)
    old.stop()
    stack.mongod = start_mongod(old.directory, auth=True, port=old.port)
    assert "the mongo part host could not be saved" in said and re.search(r"while shop\.\w+ was saved", said)
    said = reached.fails(reached.redis, stack.redis.process.kill)
    stack.redis.stop()
    stack.redis = start_redis(stack.redis.directory, password=stack.redis.password, port=stack.redis.port)
    # In the midst of its data, or of its settings when all of that was under way already.
    assert re.search(r"the redis part redis could not be saved: Redis (at \S+ )?closed the connection", said)
    reached.works()


def test_a_password_that_is_changed(reached: Reached) -> None:
    """Who is logged in stays logged in: MongoDB is saved to its end. Redis is asked for more on a new connection."""
    stack = reached.stack
    said = reached.fails(reached.redis, lambda: change_redis(stack.redis, "another"))
    assert "Redis" in said and "refuses the password compare the env file with requirepass" in said
    change_redis(stack.redis, stack.redis.password, now="another")
    reached.mongo.after(FAR, lambda: change_mongo(stack.mongod, "another"))
    reached.works()
    newest = max(stack.good())
    before = stack.good()
    assert main(["backup", "verify", newest, "--level", "2", "--yes", "--stack", str(stack.directory)]) == 0
    _, code = stack.run(stack.plan("backup", backup=BackupOrder()))
    end = stack.end()
    assert code == 1 and "the password of user root was refused" in end.problem and stack.good() == before
    assert "another" not in f"{end.problem} {end.hint}"


def change_redis(server: Server, password: str, now: str = "") -> None:
    with redis.Redis(port=server.port, password=now or server.password) as client:
        client.config_set("requirepass", password)


def change_mongo(server: Server, password: str) -> None:
    with pymongo.MongoClient[Any](server.uri) as client:
        client.admin.command("updateUser", server.user, pwd=password)


# --- a container's network ---------------------------------------------------------------------------

COMPOSE = """
services:
  mongodb:
    image: mongo:6.0
    command: mongod --setParameter enableTestCommands=1 --wiredTigerCacheSizeGB 0.25
    tmpfs: [/data/db, /data/configdb]
  redis:
    image: redis:7
    command: redis-server --save "" --repl-diskless-sync no
    tmpfs: [/data]
"""


class InContainers(OperationStack):
    """MongoDB and Redis in containers that are reached by their addresses."""

    def address(self, service: str) -> str:
        (found,) = self.engine.docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.container(service)
        ).split()
        return found

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def fill(self) -> None:
        with pymongo.MongoClient[Any](self.address("mongodb"), directConnection=True) as client:
            client.shop.large.insert_many([{"n": n, "t": os.urandom(250).hex()} for n in range(6000)])
        with redis.Redis(self.address("redis")) as keys:
            keys.mset({f"key:{n}": "x" for n in range(1000)})

    def save(self, *parts: str) -> tuple[Path, int]:
        site = Site(directory=self.directory)
        plan = requests.make_plan(site, Request(what="backup", backup=BackupOrder(parts=parts)))
        place = journal.create(self.directory, places.new_id("backup"), plan)
        return place, run_operation(self.directory, place)

    def cut_when(self, service: str, is_so: Callable[[], bool]) -> threading.Thread:
        """Take it from its network as soon as that is so."""

        def cut() -> None:
            wait_until(is_so, 60, "it was never in the midst of it", interval=0.05)
            self.engine.docker("network", "disconnect", f"{self.project}_default", self.container(service))

        thread = threading.Thread(target=cut)
        thread.start()
        return thread


def test_the_network_of_a_container_is_cut(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is refused and nothing is closed, only no byte comes any more, while a server takes its time."""
    project = f"{run_name()}network"
    stack = InContainers(tmp_path / project, project, engine)
    stack.directory.mkdir()
    (stack.directory / "compose.yaml").write_text(COMPOSE)
    (stack.directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    try:
        stack.up()
        stack.fill()
        assert stack.save()[1] == 0
        before = {path.name: path.stat().st_mtime for path in (stack.directory / "backups").iterdir()}
        with pymongo.MongoClient[Any](stack.address("mongodb"), directConnection=True) as client:
            slow = {"failCommands": ["getMore"], "blockConnection": True, "blockTimeMS": 60_000, "appName": MONGO_NAME}
            client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": slow})
            reading = [{"$currentOp": {}}, {"$match": {"appName": MONGO_NAME, "command.getMore": {"$exists": True}}}]
            cutting = stack.cut_when("mongodb", lambda: bool(list(client.admin.aggregate(reading))))
            said = fails(stack, "mongo")
            cutting.join()
        assert "does not answer in time (while shop.large was saved)" in said
        # With a tenth of the seconds; that they are waited out is as sure then.
        sooner = {one: max(1, n // 10) for one, n in redis_link.KEEPALIVE.items()}
        with contextlib.ExitStack() as links:
            keys = links.enter_context(redis.Redis(stack.address("redis")))
            unasked = {socket.TCP_KEEPIDLE: 60, socket.TCP_USER_TIMEOUT: sooner[socket.TCP_USER_TIMEOUT]}
            monkeypatch.setattr(redis_link, "KEEPALIVE", redis_link.KEEPALIVE | unasked)
            idle = links.enter_context(linked(f"redis://{stack.address('redis')}"))
            monkeypatch.setattr(redis_link, "KEEPALIVE", sooner)
            keys.config_set("rdb-key-save-delay", 60_000)
            cutting = stack.cut_when("redis", lambda: bool(keys.info("persistence")["rdb_bgsave_in_progress"]))
            said = fails(stack, "redis")
            cutting.join()
            # Cut before what is sent is confirmed: then no keepalive asks.
            began = time.monotonic()
            with pytest.raises(RedisError):
                idle.command("PING")
            assert time.monotonic() - began < SOON
        assert "the redis part redis could not be saved: Redis at" in said and "does not answer in time" in said
        after = {path.name: path.stat().st_mtime for path in (stack.directory / "backups").iterdir()}
        assert after == before
    finally:
        remove(engine, also=project)


def fails(stack: InContainers, part: str) -> str:
    """What is said of the failure, within the time that README states."""
    began = time.monotonic()
    place, code = stack.save(part)
    end = journal.read(place)[-1]
    assert code == 1 and end.result is Result.FAILED and time.monotonic() - began < SOON
    return f"{end.problem} {end.hint}"
