"""Fixture stacks: copied, given a name and free ports, started, filled with a little data, taken away again."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo.errors
import redis

from tests.parts import leftovers, legacy, seeds
from tests.parts.engine import Engine
from tests.parts.machine import run, wait_until
from tests.parts.servers import LOCAL, Server, free_port, initiate_replica_set, start_mongod

STACKS = Path(__file__).parents[1] / "stacks"

PORTS = ("BACKEND_PORT", "FRONTEND_PORT", "MONGO_PORT", "REDIS_PORT")

# stack -> the database of its application
DATABASES = {
    "thynk": "thynk",
    "english-chat": "online-discussion",
    "mps": "mps_db_unified",
    "smokava": "smokava",
    "smokava-rs": "smokava",
}
ON_THE_HOST = {"thynk", "english-chat"}
IGNORED_BY_GIT = ("backups/", "backend/uploads/", ".env", ".env.production.local", ".opsconsole/")

_numbers = itertools.count(1)


@dataclass
class Stack:
    """A copy of a fixture stack in a directory of its own."""

    name: str
    directory: Path
    project: str
    engine: Engine
    ports: dict[str, int]
    mongo_uri: str = ""
    redis_url: str = ""
    database: str = ""
    # MongoDB beside the stack, for the systems that have it on the host.
    host_mongod: Server | None = None
    # What a person types between `docker compose` and the command.
    compose_options: tuple[str, ...] = ()
    # Volumes without a name outlive `down`, and nothing on them says whose they were.
    nameless: set[str] = field(default_factory=set)

    @property
    def env(self) -> dict[str, str]:
        """What a subprocess needs in its environment to reach this stack's engine."""
        return self.engine.env

    @property
    def health_url(self) -> str:
        """Where the backend answers while it can reach its database."""
        return f"http://{LOCAL}:{self.ports['BACKEND_PORT']}/api/health"

    def compose(self, *words: str, check: bool = True) -> str:
        """Run `docker compose` in the stack's directory; its stdout, stripped."""
        if "down" in words or "rm" in words:
            self._remember_nameless()
        command = self.engine.compose(*self.compose_options, *words)
        done = run(*command, env=self.env, cwd=self.directory, check=check)
        return done.stdout.strip()

    def containers(self) -> list[dict[str, Any]]:
        """`docker inspect` of every container of the project, stopped ones too."""
        return self.engine.containers(self.project)

    def container(self, service: str) -> dict[str, Any]:
        """`docker inspect` of the first container of a service."""
        for container in self.containers():
            if container["Config"]["Labels"]["com.docker.compose.service"] == service:
                return container
        raise LookupError(f"{self.project} has no container of {service}")

    def up(self) -> None:
        """Build, start, and wait until every service does what this stack is made for."""
        self.compose("up", "--detach", "--build", "--quiet-pull")
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return once the stack is as it should be; for `troubled` that is once each trouble has shown."""
        ready = self._troubles_show if self.name == "troubled" else self._answers
        if self.name == "smokava-rs":
            _initiate_once(self.mongo_uri)
        wait_until(ready, 90, f"{self.project} does not get ready", interval=0.1)

    def seed(self) -> None:
        """Fill the databases with a little data, and leave backups behind as the system's own script does."""
        if self.name.startswith("smokava"):
            seeds.seed_smokava(self.mongo_uri)
        elif self.mongo_uri:
            seeds.seed_mongo(self.mongo_uri, self.database, main="quests" if self.name == "mps" else "discussions")
        if self.redis_url:
            seeds.seed_redis(self.redis_url)
            legacy.write_mps_backup(self.directory, self.mongo_uri, self.database, self._redis_dump(), legacy.NEW)
        if self.name in ON_THE_HOST:
            title = "THYNK" if self.name == "thynk" else "English Chat"
            for timestamp in (legacy.OLD, legacy.NEW):
                legacy.write_deploy_backup(self.directory, self.mongo_uri, self.database, timestamp, title)

    def make_git_repository(self) -> Path:
        """Put the directory under git with a bare `origin` beside it; the path of that origin."""
        origin = self.directory.with_name(f"{self.directory.name}-origin.git")
        (self.directory / ".gitignore").write_text("\n".join(IGNORED_BY_GIT) + "\n")
        run("git", "init", "--quiet", "--bare", "--initial-branch=main", origin)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Operator")
        self.git("config", "user.email", "operator@example.invalid")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "The first release")
        self.git("remote", "add", "origin", str(origin))
        self.git("push", "--quiet", "--set-upstream", "origin", "main")
        return origin

    def git(self, *words: str) -> str:
        """Run git in the stack's directory."""
        return run("git", *words, cwd=self.directory).stdout.strip()

    def down(self) -> None:
        """Remove everything of this project: containers, volumes, networks, images."""
        self._remember_nameless()
        leftovers.remove(self.engine, also=self.project)
        if self.nameless:
            # Most are gone with their container by now.
            self.engine.docker("volume", "rm", "--force", *sorted(self.nameless), check=False)
        if self.host_mongod is not None:
            self.host_mongod.stop(kill=True)

    def _remember_nameless(self) -> None:
        mounts = [mount for container in self.containers() for mount in container["Mounts"]]
        self.nameless |= {mount["Name"] for mount in mounts if re.fullmatch("[0-9a-f]{64}", mount.get("Name", ""))}

    def _redis_dump(self) -> bytes:
        """What Redis itself writes when it is told to save."""
        with contextlib.closing(redis.Redis.from_url(self.redis_url)) as client:
            client.save()
        copy = self.directory.with_name("dump.rdb")
        self.compose("cp", "redis:/data/dump.rdb", str(copy))
        return copy.read_bytes()

    def _answers(self) -> bool:
        """Every container runs and is healthy, and the backend reaches its database."""
        states = [container["State"] for container in self.containers()]
        if not states or any(state["Status"] != "running" for state in states):
            return False
        if any(state.get("Health", {}).get("Status", "healthy") != "healthy" for state in states):
            return False
        with urllib.request.urlopen(self.health_url, timeout=3) as answer:
            return bool(answer.status == 200)

    def _troubles_show(self) -> bool:
        hostile = self.compose("logs", "--no-log-prefix", "--tail", "1", "hostile")
        return (
            self.container("crashing")["RestartCount"] > 0
            and self.container("unhealthy")["State"]["Health"]["Status"] == "unhealthy"
            and self.container("migrate")["State"]["Status"] == "exited"
            and self.container("failed")["State"]["Status"] == "exited"
            and self.container("chatty")["State"]["Status"] == "running"
            and "the last line" in hostile
        )


def copy_stack(name: str, engine: Engine, place: Path) -> Stack:
    """Copy a stack below `place`, with a project name and ports of its own. Nothing is started, but a host database."""
    project = f"{leftovers.run_name()}{next(_numbers)}-{name}"
    directory = place / project / name
    shutil.copytree(STACKS / name, directory)
    ports = {variable: free_port() for variable in PORTS}
    stack = Stack(name=name, directory=directory, project=project, engine=engine, ports=ports)
    stack.database = DATABASES.get(name, "")
    if name in ON_THE_HOST:
        bind = (LOCAL, engine.gateway())
        stack.host_mongod = start_mongod(directory.with_name("mongod"), bind=bind, port=ports["MONGO_PORT"])
        seeds.seed_uploads(directory / "backend" / "uploads")
        _use_port(directory / ".env.production.local", ports["MONGO_PORT"])
    _write_env(stack)
    _address(stack)
    if name == "english-chat":
        stack.compose_options = ("--env-file", ".env", "--env-file", ".env.production.local")
    return stack


@contextlib.contextmanager
def running_stack(name: str, engine: Engine, place: Path, *, seed: bool = True) -> Iterator[Stack]:
    """A stack that is up, ready and filled; everything of it is gone afterwards."""
    stack = copy_stack(name, engine, place)
    try:
        stack.up()
        if seed:
            stack.seed()
        yield stack
    finally:
        stack.down()


def _write_env(stack: Stack) -> None:
    """Compose reads these from `.env`, so a plain `docker compose` in the directory finds the same project."""
    lines = {
        "COMPOSE_PROJECT_NAME": stack.project,
        "STACK_PREFIX": stack.project,
        "OUTSIDE": f"{stack.project}-outside",
        **{variable: str(port) for variable, port in stack.ports.items()},
    }
    path = stack.directory / ".env"
    own = path.read_text() if path.exists() else ""
    path.write_text(own + "".join(f"{variable}={value}\n" for variable, value in lines.items()))


def _address(stack: Stack) -> None:
    """Where a test on the host reaches the stack's databases."""
    mongo = f"{LOCAL}:{stack.ports['MONGO_PORT']}"
    if stack.name == "mps":
        stack.mongo_uri = f"mongodb://admin:mongo-secret@{mongo}/{stack.database}?authSource=admin"
        stack.redis_url = f"redis://:redis-secret@{LOCAL}:{stack.ports['REDIS_PORT']}"
    elif stack.name == "smokava-rs":
        stack.mongo_uri = f"mongodb://{mongo}/{stack.database}?directConnection=true"
    elif stack.database:
        stack.mongo_uri = f"mongodb://{mongo}/{stack.database}"


def _use_port(env_file: Path, port: int) -> None:
    env_file.write_text(env_file.read_text().replace(":27017/", f":{port}/"))


def _initiate_once(uri: str) -> None:
    """The stack's own set-up step, which people do by hand once: `rs.initiate()`."""
    host, port = uri.removeprefix("mongodb://").split("/")[0].split(":")

    def listens() -> bool:
        with socket.create_connection((host, int(port)), timeout=2):
            return True

    def initiated() -> bool:
        try:
            initiate_replica_set(uri, "mongodb:27017")
        except pymongo.errors.OperationFailure as already:
            # AlreadyInitialized
            if already.code != 23:
                raise
        return True

    wait_until(listens, 60, "mongod does not listen")
    wait_until(initiated, 60, "the replica set was not initiated")
