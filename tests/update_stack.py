"""A stack under git that follows a remote, for updates and for rollbacks of the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from opsconsole import config
from opsconsole.config import Config
from opsconsole.operations import facts, journal, places, requests
from opsconsole.operations.plan import Plan
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from tests.deploy_stack import SLEEPS, SMALL
from tests.deploy_stack import WELL as HEALTHY
from tests.git_trees import Trees, git
from tests.operation_stack import CANARY, FIXTURE, OperationStack
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name

Made = TypeVar("Made", bound="UpdateStack")

SETTINGS = "[deploy]\nsoak_seconds = 0.2\ngate_seconds = 20\n"
WELL = "test ! -e /ill"
BUILT = f"FROM {FIXTURE}\nLABEL version=1\n"

COMPOSE = """
services:
  store:
    image: {fixture}
    pull_policy: never
    init: true
    command: ["sh", "-c", "test -e /store/kept || date > /store/kept; exec sleep 3600"]
    stop_grace_period: 1s
    environment: {{STORE_PASSWORD: "${{STORE_PASSWORD}}"}}
    volumes: ["{name}-data:/store"]
    healthcheck: {{test: ["CMD-SHELL", "test -e /store/kept"], interval: 1500ms, timeout: 5s, retries: 30}}
  web:
    build: .
    init: true
    command: ["sleep", "3600"]
    stop_grace_period: 1s
    environment: {{LEVEL: "{level}"{more}}}
    depends_on: [store]
    healthcheck: {{test: ["CMD-SHELL", "{test}"], interval: 500ms, timeout: 5s, retries: 2}}
volumes:
  {name}-data:
    name: {name}-data
"""


class UpdateStack(OperationStack):
    """The tree on the server, its remote, and a colleague who pushes."""

    trees: Trees

    def text(self, *, level: str = "info", test: str = WELL, more: str = "") -> str:
        """The compose file with some words changed."""
        return COMPOSE.format(fixture=FIXTURE, name=self.project, level=level, test=test, more=more)

    def config(self) -> Config:
        return config.load_from(self.directory)

    def look(self) -> facts.Look:
        return facts.look(self.directory, self.config())

    def plan(self, what: str = "update", **how: object) -> Plan:
        return requests.make_plan(Site(directory=self.directory), Request(what=what, **how))  # type: ignore[arg-type]

    def head(self) -> str:
        return git(self.directory, "rev-parse", "HEAD")

    def environment(self, service: str = "web") -> str:
        """What the service's container was started with."""
        (one,) = (one for one in self.engine.containers(self.project) if one["Name"] == f"/{self.project}-{service}-1")
        return "\n".join(one["Config"]["Env"])

    def images(self) -> dict[str, str]:
        """Image of each container, by its name."""
        return {one["Name"].lstrip("/"): one["Image"] for one in self.engine.containers(self.project)}

    def newest(self) -> Path:
        return places.existing_operations(self.directory)[-1]

    def end(self) -> journal.Entry:
        return journal.read(self.newest())[-1]

    def begin_again(self) -> None:
        """Tree, remote and containers as they were at first."""
        first = git(self.directory, "rev-list", "--max-parents=0", "HEAD").split()[0]
        git(self.trees.colleague, "reset", "--quiet", "--hard", first)
        git(self.trees.colleague, "push", "--quiet", "--force", "origin", "main")
        git(self.directory, "fetch", "--quiet")
        git(self.directory, "reset", "--quiet", "--hard", first)
        git(self.directory, "clean", "--quiet", "--force")
        git(self.directory, "stash", "clear")
        self.write_env()
        if "LEVEL=info" not in self.environment().split("\n") or self.running() != {"store", "web"}:
            self.compose("up", "--detach", "--build", "--wait")

    def write_env(self, more: str = "") -> None:
        (self.directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={self.project}\nSTORE_PASSWORD={CANARY}\n{more}")
        (self.directory / ".env").chmod(0o640)


class SmallUpdateStack(UpdateStack):
    """The same without a build, its web service in an image per version: for what is updated dozens of times."""

    def text(self, *, version: str = "1", command: str = SLEEPS) -> str:  # type: ignore[override]
        return SMALL.format(name=self.project, fixture=FIXTURE, version=version, command=command, test=HEALTHY)


@contextmanager
def update_stack(engine: Engine, place: Path, word: str, kind: type[Made] = UpdateStack) -> Iterator[Made]:
    """Running, clean, at the newest commit of its remote. Gone afterwards."""
    project = f"{run_name()}{word}"
    directory = place / project
    directory.mkdir()
    stack = kind(directory, project, engine)
    stack.write_env()
    (directory / "compose.yaml").write_text(stack.text())
    (directory / "Dockerfile").write_text(BUILT)
    (directory / "app.conf").write_text("one\ntwo\nthree\n")
    (directory / "opsconsole.toml").write_text(SETTINGS)
    (directory / ".gitignore").write_text(".env\n.opsconsole/\n")
    stack.trees = Trees.around(directory)
    assert os.path.isdir(directory / ".git")
    try:
        stack.compose("up", "--detach", "--build", "--wait")
        yield stack
    finally:
        remove(engine, also=project)
