"""A stack in containers whose databases an operation stops and starts: MongoDB with a password, a Redis whose two
databases are both in use. Everything of it starts within a second."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import redis

from opsconsole.operations import requests
from opsconsole.operations.plan import Plan
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from tests.operation_stack import OperationStack
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name
from tests.parts.machine import wait_until
from tests.parts.servers import LOCAL, free_port

PASSWORD = "canary-7151-openrye"
COMPOSE = """\
# The shop, as it has been since spring.
services:
  mongodb:
    image: mongo:6.0  # no newer one before the move
    command: mongod --wiredTigerCacheSizeGB 0.25   # the host is small
    restart: unless-stopped
    environment: &login
      MONGO_INITDB_ROOT_USERNAME: root
      MONGO_INITDB_ROOT_PASSWORD: ${{PASSWORD}}
    ports: ["127.0.0.1:{mongo}:27017"]
    volumes:
      - mongo_data:/data/db   # never remove
    healthcheck: {quick}
  redis:
    image: redis:7
    command: redis-server --databases 2 --appendonly {appendonly} --requirepass ${{PASSWORD}}
    restart: unless-stopped
    ports: ["127.0.0.1:{redis}:6379"]
    volumes: ["redis_data:/data"]
    healthcheck: {quick}
  web:
    image: opsconsole-fixture/app:1
    init: true
    command: ["sleep", "3600"]
    environment: {{MONGODB_URI: "mongodb://root:${{PASSWORD}}@mongodb:27017/shop?authSource=admin"}}
    healthcheck: {quick}
volumes: {{mongo_data: , redis_data: }}
"""
QUICK = "{test: ['CMD-SHELL', 'true'], interval: 500ms, start_period: 1s}"
_numbers = itertools.count(1)


class ConvertingStack(OperationStack):
    """With the ways to its databases, and to a plan."""

    mongo_port = 0
    redis_port = 0

    @property
    def site(self) -> Site:
        return Site(directory=self.directory)

    @property
    def file(self) -> Path:
        return self.directory / "compose.yaml"

    def plan(self, what: str, **how: Any) -> Plan:
        return requests.make_plan(self.site, Request(what=what, **how))

    @contextlib.contextmanager
    def mongo(self) -> Iterator[pymongo.MongoClient[Any]]:
        uri = f"mongodb://root:{PASSWORD}@{LOCAL}:{self.mongo_port}/?authSource=admin&directConnection=true"
        with pymongo.MongoClient[Any](uri, serverSelectionTimeoutMS=10000) as client:
            yield client

    @contextlib.contextmanager
    def keys(self, database: int = 0) -> Iterator[redis.Redis]:
        uri = f"redis://:{PASSWORD}@{LOCAL}:{self.redis_port}"
        with contextlib.closing(redis.Redis.from_url(uri, db=database)) as client:
            yield client

    def fill(self, word: str) -> None:
        """Both databases of Redis, every type, with something that says when it was."""
        for database in (0, 1):
            with self.keys(database) as client:
                client.flushdb()
                client.mset({f"key:{number}": f"{word} {number}" for number in range(300)})
                client.rpush("list", *range(200), word)
                client.hset("hash", mapping={str(number): word for number in range(700)})
                client.sadd("set", *(f"{word}{number}" for number in range(700)))
                client.zadd("zset", {f"{word}{number}": number for number in range(200)})
                client.xadd("stream", {"said": word})
                client.set("lives", word, ex=86400)
                client.set(f"only:{word}", "1")

    def digest(self) -> str:
        """Of both databases of Redis, whatever the order in which it lists what it holds."""
        seen = hashlib.sha256()
        for database in (0, 1):
            with self.keys(database) as client:
                for key in sorted(client.keys("*")):
                    seen.update(repr((database, key, client.ttl(key) > 0, _value(client, key))).encode())
        return seen.hexdigest()


def _value(client: redis.Redis, key: bytes) -> object:
    kind = client.type(key)
    if kind == b"hash":
        return sorted(client.hgetall(key).items())
    if kind == b"set":
        return sorted(client.smembers(key))
    return client.dump(key)


@contextlib.contextmanager
def converting_stack(engine: Engine, place: Path, *, appendonly: bool = True) -> Iterator[ConvertingStack]:
    """Up and filled; gone afterwards."""
    project = f"{run_name()}convert{next(_numbers)}"
    directory = place / project
    directory.mkdir()
    stack = ConvertingStack(directory, project, engine)
    stack.mongo_port, stack.redis_port = free_port(), free_port()
    stack.file.write_text(
        COMPOSE.format(
            mongo=stack.mongo_port, redis=stack.redis_port, quick=QUICK, appendonly="yes" if appendonly else "no"
        )
    )
    (directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\nPASSWORD={PASSWORD}\n")
    (directory / "opsconsole.toml").write_text("[deploy]\nsoak_seconds = 0.2\ngate_seconds = 60\n")
    try:
        stack.up()
        with stack.mongo() as client:
            wait_until(lambda: bool(client.admin.command("ping")), 60, "MongoDB does not answer")
            client.shop.orders.insert_many([{"_id": number} for number in range(500)])
            client.shop.users.create_index("name", unique=True)
        stack.fill("old")
        yield stack
    finally:
        remove(engine, also=project)
