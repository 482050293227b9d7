"""A stack that is deployed again and again: a data service, a job that others wait for, a web service with replicas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from opsconsole import config
from opsconsole.config import Config
from opsconsole.operations import deploy_look, deploy_plans, facts, releases, rollback_plans
from opsconsole.operations.plan import Plan
from opsconsole.operations.releases import Release
from tests.operation_stack import CANARY, FIXTURE, OperationStack
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name

WELL = '["CMD-SHELL", "test ! -e /ill"]'
SLEEPS = '["sleep", "3600"]'
SETTINGS = "[deploy]\nsoak_seconds = 0.2\ngate_seconds = 20\n"

TEMPLATE = """
services:
  store:
    image: {fixture}
    pull_policy: never
    init: true
    command: ["sh", "-c", "test -e /store/kept || date > /store/kept; exec sleep 3600"]
    stop_grace_period: 1s
    restart: unless-stopped
    environment: {{STORE_PASSWORD: "${{STORE_PASSWORD}}"}}
    volumes: ["{name}-data:/store"]
    healthcheck: {{test: ["CMD-SHELL", "test -e /store/kept"], interval: 1500ms, timeout: 5s, retries: 30}}
  migrate:
    build: {{context: ., dockerfile_inline: "FROM {fixture}\\nLABEL version={version}"}}
    command: {job}
    volumes: ["{name}-data:/store"]
    depends_on: {{store: {{condition: service_healthy}}}}
  web:
    build: {{context: ., dockerfile_inline: "FROM {fixture}\\nLABEL version={version}\\n{more}"}}
    init: {init}
    command: {command}
    stop_grace_period: {grace}s
    restart: unless-stopped
    environment: {{LEVEL: "{level}"}}
    deploy: {{replicas: {replicas}}}
    ports: {ports}
    volumes: ["{name}-data:/store"]
    depends_on:
      store: {{condition: service_healthy}}
      migrate: {{condition: service_completed_successfully}}
    healthcheck: {{test: {test}, interval: 500ms, timeout: 5s, retries: 2}}
volumes:
  {name}-data:
    name: {name}-data
"""

SMALL = """
services:
  store:
    image: {fixture}
    pull_policy: never
    init: true
    command: ["sh", "-c", "test -e /store/kept || date > /store/kept; exec sleep 3600"]
    network_mode: host
    stop_grace_period: 1s
    volumes: ["{name}-data:/store"]
    healthcheck: {{test: ["CMD-SHELL", "test -e /store/kept"], interval: 5s, timeout: 5s, retries: 30}}
  web:
    image: {name}-web:{version}
    pull_policy: never
    init: true
    command: {command}
    network_mode: host
    stop_grace_period: 1s
    environment: {{LEVEL: "{version}"}}
    depends_on: [store]
    healthcheck: {{test: {test}, interval: 500ms, timeout: 5s, retries: 2}}
volumes:
  {name}-data:
    name: {name}-data
"""
"""Without a build, a job, a pull and a network of its own: for what is deployed dozens of times."""

GOOD = {
    "version": "1", "more": "", "init": "true", "grace": "1", "command": SLEEPS, "level": "info", "replicas": "2",
    "ports": "[]", "test": WELL,
    "job": '["sh", "-c", "echo ran >> /store/migrations"]',
}  # fmt: skip


class DeployStack(OperationStack):
    """Its compose file is written anew with some words changed; the rest is as in GOOD."""

    template = TEMPLATE

    def write(self, *, settings: str = SETTINGS, **changed: str) -> None:
        text = self.template.format(name=self.project, fixture=FIXTURE, **{**GOOD, **changed})
        (self.directory / "compose.yaml").write_text(text)
        (self.directory / "opsconsole.toml").write_text(settings)

    def config(self) -> Config:
        return config.load_from(self.directory)

    def look(self) -> facts.Look:
        return facts.look(self.directory, self.config())

    def plan(self) -> Plan:
        look, config = self.look(), self.config()
        return deploy_plans.deploy(look, config, deploy_look.learn(self.directory, look, config.deploy.scratch))

    def rollback(self, to: str = "") -> Plan:
        look = self.look()
        return rollback_plans.rollback(look, self.config(), deploy_look.learn(self.directory, look), to)

    def releases(self) -> dict[str, str]:
        """State by name."""
        return {one.name: one.state.value for one in releases.all_releases(self.directory)}

    def current(self) -> Release | None:
        """The release that runs, by images and configuration."""
        containers = facts.observe(self.directory, self.config())[0]
        names = {one.service for one in containers}
        return releases.running(releases.all_releases(self.directory), containers, names)

    def runs_its_files(self) -> bool:
        """Whether a good release of the compose file as it is runs, made from it or brought back."""
        now = self.current()
        if now is None or now.state is not releases.State.GOOD:
            return False
        stored = next(one.stored for one in now.files if one.path == "compose.yaml")
        same = (releases.place(self.directory, now.name) / stored).read_bytes()
        return same == (self.directory / "compose.yaml").read_bytes()

    def inspected(self) -> dict[str, dict[str, object]]:
        """What the engine says of each container, by name."""
        return {one["Name"].lstrip("/"): one for one in self.engine.containers(self.project)}

    def images(self) -> dict[str, str]:
        """The image that each container runs, by its name."""
        return {name: str(one["Image"]) for name, one in self.inspected().items()}

    def ids(self) -> dict[str, str]:
        return {name: str(one["Id"]) for name, one in self.inspected().items()}

    def kept(self) -> str:
        """What the store wrote when its volume was new."""
        return self.engine.docker("exec", self.name("store"), "cat", "/store/kept")

    def migrations(self) -> int:
        return self.engine.docker("exec", self.name("store"), "cat", "/store/migrations").count("ran")

    def name(self, service: str, number: int = 1) -> str:
        return f"{self.project}-{service}-{number}"


def make_images(engine: Engine, project: str, versions: Sequence[str]) -> None:
    """An image of its own for the web service of SMALL in each of these versions."""
    for version in versions:
        container = engine.docker("create", "--label", f"version={version}", FIXTURE, "x")
        engine.docker("commit", "--change", f"LABEL version={version}", container, f"{project}-web:{version}")
        engine.docker("rm", container)


@contextmanager
def deploy_stack(engine: Engine, place: Path, word: str) -> Iterator[DeployStack]:
    """The directory; nothing runs yet. Gone afterwards."""
    project = f"{run_name()}{word}"
    directory = place / project
    directory.mkdir()
    (directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\nSTORE_PASSWORD={CANARY}\n")
    stack = DeployStack(directory, project, engine)
    stack.write()
    try:
        yield stack
    finally:
        remove(engine, also=project)
