"""Every operation on the three shapes of stacks, by the installed command: what runs changes, what is kept does not.

The databases themselves say whether anything was lost: `dbHash` of MongoDB, the value of each key of Redis.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from opsconsole.operations import chain, journal, places
from opsconsole.operations.journal import Result
from opsconsole.operations.requests import Request, make_plan
from opsconsole.operations.site import Site
from tests.git_trees import git
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.parts.stacks import Stack, copy_stack
from tests.terminal import OPSCONSOLE, Terminal

ASKED = "Type its name to agree"
SETTINGS = '[deploy]\nsoak_seconds = 0.2\ngate_seconds = 60\nscratch = ["/www"]\n'
"""The backend keeps its state of health in its container."""

# No registry is asked: another image of this name would be another database. And a gate without a healthcheck takes
# 10 s each time; only the last deploy of smokava has those.
_QUICK = "{test: ['CMD-SHELL', 'true'], interval: 700ms, start_period: 1s}"
_ASKS = "wget -q -O /dev/null http://127.0.0.1:5000/api/health"
OVERRIDES = {
    "thynk": {"backend": "healthcheck: {start_period: 1s}", "frontend": f"healthcheck: {_QUICK}"},
    "mps": {
        "mongodb": f"pull_policy: never, healthcheck: {_QUICK}",
        "redis": "pull_policy: never",
        "backend": "healthcheck: {start_period: 1s, retries: 30}",
        "frontend": f"healthcheck: {_QUICK}",
    },
    "smokava": {
        "mongodb": f"pull_policy: never, healthcheck: {_QUICK}",
        "backend": f"healthcheck: {{test: ['CMD-SHELL', '{_ASKS}'], interval: 1s, retries: 30}}",
    },
}


@dataclass
class Shape:
    """A stack of this file's own, and what it holds."""

    stack: Stack

    @property
    def directory(self) -> Path:
        return self.stack.directory

    def ops(self, *words: str) -> tuple[int, str]:
        """The installed command as it is typed in the stack's directory: exit code, what it said."""
        done = subprocess.run(
            [OPSCONSOLE, *words], cwd=self.directory, env={**os.environ, **self.stack.env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def version(self, version: str) -> None:
        """The next build of the backend is this one."""
        (self.directory / "backend" / "VERSION").write_text(f"{version}\n")

    def runs(self) -> dict[str, tuple[str, str]]:
        """(container, image) of each service."""
        return {
            one["Config"]["Labels"]["com.docker.compose.service"]: (one["Id"], one["Image"])
            for one in self.stack.containers()
        }

    def moved(self, before: dict[str, tuple[str, str]]) -> set[str]:
        """Services that have another container than before."""
        now = self.runs()
        return {service for service in before if now[service][0] != before[service][0]}

    def started(self) -> dict[str, str]:
        return {
            one["Config"]["Labels"]["com.docker.compose.service"]: one["State"]["StartedAt"]
            for one in self.stack.containers()
        }

    def setting(self) -> str:
        """What a colleague's version brings with it, in the backend's environment."""
        environment = self.stack.container("backend")["Config"]["Env"]
        return next((one.removeprefix("SETTING=") for one in environment if one.startswith("SETTING=")), "")

    def push(self, version: str) -> None:
        """A colleague pushes a new backend with a new setting; the stack comes under git first."""
        origin = self.stack.make_git_repository()
        clone = origin.with_name("colleague")
        git(origin.parent, "clone", "--quiet", str(origin), str(clone))
        override = clone / "compose.override.yaml"
        more = f"environment: {{SETTING: '{version}'}}, "
        override.write_text(override.read_text().replace("backend: {", f"backend: {{{more}"))
        (clone / "backend" / "VERSION").write_text(f"{version}\n")
        git(clone, "commit", "--quiet", "--all", "--message", f"The backend {version} of a colleague")
        git(clone, "push", "--quiet")

    def configured(self) -> set[str]:
        """Images by the names that its containers have them by."""
        return {one["Config"]["Image"] for one in self.stack.containers()}

    def images(self) -> dict[str, str]:
        return {service: image for service, (_, image) in self.runs().items()}

    def states(self) -> set[str]:
        return {one["State"]["Status"] for one in self.stack.containers()}

    def data(self) -> dict[str, str]:
        """What MongoDB, Redis and the uploads hold, as hashes."""
        held = {"mongodb": wait_until(self._mongodb, 30, "MongoDB does not answer")}
        if self.stack.redis_url:
            held["redis"] = wait_until(self._redis, 30, "Redis does not answer")
        for path in sorted((self.directory / "backend" / "uploads").rglob("*")):
            if path.is_file():
                held[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return held

    def keeps(self, data: dict[str, str]) -> None:
        """The databases say that all is there, and so does the guard."""
        assert self.data() == data
        self.nothing_is_missed()

    def newest(self) -> Path:
        return places.existing_operations(self.directory)[-1]

    def end(self) -> journal.Entry:
        return journal.read(self.newest())[-1]

    def nothing_is_missed(self) -> None:
        """The guard compared and missed nothing; the journal is whole and every record of the history as written."""
        records = journal.read(self.newest())
        assert [one.n for one in records] == list(range(len(records))) and records[-1].event == "end"
        guards = [one for one in records if one.event == "guard"]
        assert guards and not any(one.less for one in records), records
        assert chain.verify(self.directory) == ()

    def _mongodb(self) -> str:
        with pymongo.MongoClient[Any](self.stack.mongo_uri, serverSelectionTimeoutMS=2000) as client:
            answer = client[self.stack.database].command("dbHash")
            assert answer["collections"], "it is empty"
            return str(answer["md5"])

    def _redis(self) -> str:
        seen = hashlib.sha256()
        for number in (0, 1):
            with contextlib.closing(redis.Redis.from_url(self.stack.redis_url, db=number)) as store:
                keys = sorted(store.keys())
                assert keys, f"database {number} is empty"
                for key in keys:
                    seen.update(repr((number, key, _value(store, key))).encode())
        return seen.hexdigest()


def _value(store: Any, key: Any) -> object:
    """What a key holds. Not `DUMP`: that changes with the order in which a set was loaded."""
    kind = store.type(key).decode()
    read: dict[str, Any] = {
        "string": store.get, "hash": lambda key: sorted(store.hgetall(key).items()),
        "list": lambda key: store.lrange(key, 0, -1), "set": lambda key: sorted(store.smembers(key)),
        "zset": lambda key: store.zrange(key, 0, -1, withscores=True), "stream": store.xrange,
    }  # fmt: skip
    return kind, store.ttl(key) > 0, read[kind](key)


@contextlib.contextmanager
def shape(name: str, engine: Engine, place: Path) -> Iterator[Shape]:
    stack = copy_stack(name, engine, place)
    try:
        (stack.directory / "opsconsole.toml").write_text(SETTINGS)
        services = "".join(f"  {service}: {{{more}}}\n" for service, more in OVERRIDES[name].items())
        (stack.directory / "compose.override.yaml").write_text(f"services:\n{services}")
        made = Shape(stack)
        made.version("1")
        stack.up()
        stack.seed()
        yield made
    finally:
        stack.down()


@pytest.fixture(
    scope="module",
    # The tests of one shape stay in one process: they share its stack.
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"shape-{name}")) for name in OVERRIDES],
)
def own(request: pytest.FixtureRequest, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shape]:
    with shape(request.param, engine, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.mark.timeout(600)
def test_update_bad_deploy_and_each_rollback(own: Shape) -> None:
    """A new backend with another setting comes by git; one that crashes or never gets healthy is deployed; back by
    files, by the release before, by a release that is named. Nothing but the backend is touched."""
    data, first = own.data(), own.runs()
    own.push("2")
    code, said = own.ops("update", "--yes")
    assert code == 0 and "DEPLOYED after" in said and "The backend 2 of a colleague" in said, said
    second = own.runs()
    assert own.moved(first) == {"backend"} and second["backend"][1] != first["backend"][1] and own.setting() == "2"
    own.keeps(data)
    assert "safety" in own.ops("backup", "list")[1]

    # Only MongoDB on the host leaves time for this one: its healthcheck gives up first.
    bad = "unhealthy" if own.stack.name == "thynk" else "crash"
    own.version(bad)
    code, said = own.ops("deploy", "--yes")
    assert code == 3 and "ROLLED-BACK after" in said, said
    assert own.end().result is Result.ROLLED_BACK
    assert ("is unhealthy" if bad == "unhealthy" else "crash") in own.end().problem
    assert own.images() == {name: image for name, (_, image) in second.items()} and own.setting() == "2"
    own.keeps(data)

    for words, image, setting in (
        (("config", "--to", "r1", "--no-backup"), second, ""),
        (("previous-image",), second, "2"),
        (("previous-image", "--to", "r1"), first, ""),
    ):
        code, said = own.ops("rollback", *words, "--yes")
        assert code == 0, said
        assert own.images()["backend"] == image["backend"][1] and own.setting() == setting, words
        assert own.moved(first) == {"backend"}, words
        own.keeps(data)


@pytest.mark.timeout(600)
def test_stop_start_each_restart_emergency_stop_and_logs(own: Shape) -> None:
    data, before = own.data(), own.runs()
    for words, state in (
        (("stop",), "exited"),
        (("start",), "running"),
        (("restart", "backend"), "running"),
        (("restart",), "running"),
        (("restart", "--rolling"), "running"),
        (("rollback", "restart-all"), "running"),
    ):
        started = own.started()
        code, said = own.ops(*words, "--yes")
        assert code == 0 and own.states() == {state} and own.runs() == before, said
        again = {service for service, at in own.started().items() if at != started[service]}
        assert again == (set() if state == "exited" else {"backend"} if "backend" in words else set(before)), words
        if words != ("stop",):
            own.keeps(data)
    code, said = own.ops("logs", "backend")
    assert code == 0 and "Server listening on port" in said, said

    code, said = own.ops("rollback", "emergency-stop", "--yes")
    assert code == 0 and own.states() == {"exited"} and own.runs() == before, said
    evidence = {path.name for path in (own.newest() / "evidence").rglob("*")}
    assert evidence, "logs and states were saved first"
    assert own.ops("start", "--yes")[0] == 0
    own.keeps(data)


@pytest.mark.timeout(300)
def test_remove_and_deploy_again(own: Shape) -> None:
    """Its name is typed at a real terminal; what it held is there again after the next deploy."""
    data = own.data()
    wanted = make_plan(Site(directory=own.directory), Request(what="remove")).to_accept
    own.version("3")
    # Somebody else's containers were made from the images that are not built here: those stay.
    docker, pulled = own.stack.engine.docker, sorted({"mongo:6.0", "redis:7"} & own.configured())
    theirs = [docker("create", "--name", f"{own.stack.project}-on-{name[:5]}", name) for name in pulled]
    with Terminal(OPSCONSOLE, "remove", cwd=own.directory, env=own.stack.env, rows=100) as terminal:
        terminal.wait_for(ASKED)
        terminal.type("some other name\r")
        assert terminal.wait_for_end() == 2
    assert own.states() == {"running"}
    with Terminal(OPSCONSOLE, "remove", cwd=own.directory, env=own.stack.env, rows=100) as terminal:
        for number, name in enumerate(wanted, 1):
            terminal.wait_for(lambda lines, number=number: "\n".join(lines).count(ASKED) == number)  # type: ignore[misc]
            terminal.type(f"{name}\r")
        terminal.wait_for("Do it?")
        terminal.type("y\r")
        assert terminal.wait_for_end() == 0, terminal.text()
    assert own.stack.containers() == []
    own.nothing_is_missed()
    assert all(docker("images", "--quiet", name) for name in pulled)
    assert not docker("images", "--quiet", f"{own.stack.project}-backend")
    if theirs:
        docker("rm", "--volumes", *theirs)
    if own.stack.name == "smokava":
        (own.directory / "compose.override.yaml").write_text("services: {mongodb: {pull_policy: never}}\n")
    code, said = own.ops("deploy", "--yes")
    assert code == 0 and "DEPLOYED after" in said, said
    assert own.states() == {"running"}
    own.keeps(data)
    if own.stack.name != "thynk":
        assert "mongodb had no container before the operation: there was nothing to compare" in said
    assert ("weak gate" in said) == (own.stack.name == "smokava")
    written = [path for path in (own.directory / ".opsconsole" / "operations").rglob("*") if path.is_file()]
    kept = "".join(path.read_text(errors="replace") for path in written)
    assert not [secret for secret in ("mongo-secret", "redis-secret") if secret in kept]
