"""A stack whose databases run on the host, so that an operation on its data takes a second: MongoDB, Redis, uploads."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import pymongo
import redis
from bson.raw_bson import RawBSONDocument

from opsconsole.config import load_from
from opsconsole.model import Backup
from opsconsole.operations import backup_acts, journal, places, requests
from opsconsole.operations.plan import Plan
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from tests.children import run_operation
from tests.parts import seeds
from tests.parts.leftovers import run_name
from tests.parts.servers import Server, start_mongod, start_redis

DATABASE = "shop"
COMPOSE = """
services:
  web:
    image: opsconsole-fixture/app:1
    command: ["sleep", "3600"]
    volumes: ["./uploads:/uploads"]
"""
SETTINGS = """
[mongodb]
uri_env = "MONGODB_URI"
[redis]
url_env = "REDIS_URL"
[data]
directories = ["uploads"]
"""
CANARY = "canary-9913-openwheat"


class BackupStack:
    """A directory with a compose file and servers of its own. Nothing of it runs in a container."""

    def __init__(self, directory: Path, mongod: Server, redis_server: Server) -> None:
        self.directory = directory
        self.mongod = mongod
        self.redis = redis_server

    @property
    def site(self) -> Site:
        return Site(directory=self.directory)

    @property
    def backups(self) -> Path:
        return self.directory / "backups"

    def listed(self) -> tuple[Backup, ...]:
        return backup_acts.listed(self.site.scope())

    def good(self) -> set[str]:
        return {one.id for one in self.listed() if one.state.value == "good"}

    def plan(self, what: str, **how: Any) -> Plan:
        return requests.make_plan(self.site, Request(what=what, **how))

    def run(self, plan: Plan, **environment: str) -> tuple[Path, int]:
        """Run a plan in a process of its own, as the command does: where it is kept, and the exit code."""
        place = journal.create(self.directory, places.new_id(plan.kind.value), plan)
        return place, run_operation(self.directory, place, **environment)

    def end(self) -> journal.Entry:
        return journal.read(places.existing_operations(self.directory)[-1])[-1]

    # --- data ------------------------------------------------------------------------------------

    @contextmanager
    def mongo(self) -> Iterator[pymongo.MongoClient[Any]]:
        with pymongo.MongoClient[Any](self.mongod.uri, serverSelectionTimeoutMS=10000) as client:
            yield client

    @contextmanager
    def keys(self, database: int = 0) -> Iterator[redis.Redis]:
        with contextlib.closing(redis.Redis.from_url(self.redis.uri, db=database)) as client:
            yield client

    def change(self) -> None:
        """What happens on an ordinary day."""
        with self.mongo() as client:
            client[DATABASE].users.update_one({"nisn": "0000000001"}, {"$set": {"points": 999}})
            client[DATABASE].users.delete_one({"nisn": "0000000002"})
            client[DATABASE].orders.insert_one({"made": "later"})
            client[DATABASE].invoices.insert_many([{"number": number} for number in range(5)])
            client[DATABASE].messages.drop_indexes()
        with self.keys() as client:
            client.set("greeting", "changed")
            client.delete("queue")
            client.set("brand:new", "1")
        (self.directory / "uploads" / "later.txt").write_text("made later\n")
        (self.directory / "uploads" / "empty.bin").unlink()

    def digest(self) -> dict[str, str]:
        """Of every piece of data by its name: documents, options and indexes, keys with types and lives, files."""
        return {**self._mongo_digest(), **self._redis_digest(), **self._files_digest()}

    def _mongo_digest(self) -> dict[str, str]:
        found = {}
        with pymongo.MongoClient[Any](self.mongod.uri, document_class=RawBSONDocument) as raw, self.mongo() as client:
            for name in client.list_database_names():
                if name in ("admin", "config", "local"):
                    continue
                for info in client[name].list_collections():
                    documents = sorted(one.raw for one in raw[name][info["name"]].find())
                    indexes = sorted(bson.encode(dict(one)) for one in client[name][info["name"]].list_indexes())
                    options = bson.encode(info["options"])
                    found[f"mongo:{name}.{info['name']}"] = _hash(*documents, b"|", *indexes, b"|", options)
        return found

    def _redis_digest(self) -> dict[str, str]:
        found = {}
        for database in range(16):
            with self.keys(database) as client:
                for key in sorted(client.keys("*")):
                    lives = b"lives" if client.ttl(key) >= 0 else b"stays"
                    found[f"redis:{database}:{key!r}"] = _hash(_value(client, key), lives)
        return found

    def _files_digest(self) -> dict[str, str]:
        root = self.directory / "uploads"
        return {
            f"files:{path.relative_to(root)}": _hash(path.read_bytes(), str(path.stat().st_mode).encode())
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def leftovers(self) -> list[str]:
        """What a restore has left beside the live data."""
        with self.mongo() as client:
            names = [
                f"{database}.{name}"
                for database in client.list_database_names()
                for name in client[database].list_collection_names()
                if name.endswith((".__stg", ".__old", ".__tmp"))
            ]
        return names + [path.name for path in self.directory.iterdir() if path.name.startswith(".opsconsole-")]

    def reset(self) -> None:
        """The data of the first day, no backup, no operation."""
        for name in ("backups", "uploads", ".opsconsole"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        (self.directory / "uploads").mkdir()
        seeds.seed_uploads(self.directory / "uploads")
        with self.mongo() as client:
            for name in client.list_database_names():
                if name not in ("admin", "config", "local"):
                    client.drop_database(name)
        seeds.seed_mongo(self.mongod.uri, DATABASE, main="orders")
        with self.keys() as client:
            client.flushall()
        seeds.seed_redis(self.redis.uri)


@contextmanager
def backup_stack(
    place: Path, *, settings: str = "", appendonly: bool = True, replset: bool = False, auth: bool = False
) -> Iterator[BackupStack]:
    """Filled with a little data. Gone afterwards."""
    directory = place / "shop"
    directory.mkdir()
    mongod = start_mongod(place / "mongod", replset=replset, auth=auth)
    redis_server = start_redis(place / "redis", password="redis-" + CANARY, appendonly=appendonly)
    (directory / "compose.yaml").write_text(COMPOSE)
    (directory / ".env").write_text(
        f"COMPOSE_PROJECT_NAME={run_name()}backup{mongod.port}\nMONGODB_URI={mongod.uri}\nREDIS_URL={redis_server.uri}\n"
        f"JWT_SECRET={CANARY}\n"
    )
    (directory / "opsconsole.toml").write_text(SETTINGS + settings)
    assert load_from(directory).data.directories
    stack = BackupStack(directory, mongod, redis_server)
    try:
        stack.reset()
        yield stack
    finally:
        mongod.stop(kill=True)
        redis_server.stop(kill=True)


def _value(client: redis.Redis, key: bytes) -> bytes:
    """The payload, but for a set: in which order that lists its members is chance."""
    if client.type(key) == b"set":
        return b"set" + b"|".join(sorted(client.smembers(key)))
    return bytes(client.dump(key))


def _hash(*pieces: bytes) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()
