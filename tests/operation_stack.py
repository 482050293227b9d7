"""A stack that starts and stops in a moment, for tests that operate on it again and again."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opsconsole.config import Config
from opsconsole.operations import facts, journal, launch, places
from opsconsole.operations.plan import Plan
from tests.children import run_operation
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name
from tests.parts.machine import wait_until

CANARY = "canary-4711-opensesame"
INLINE_CANARY = "finch-0815-openbarley"
FIXTURE = "opsconsole-fixture/app:1"
STUBBORN = '["sh", "-c", "echo started with $$WEB_TOKEN; trap : TERM; while :; do sleep 1; done"]'
HELD = '["sh", "-c", "trap asked=1 TERM; until [ \\"$$asked\\" ] && [ -e /tmp/let-go ]; do sleep 0.2; done"]'
_numbers = itertools.count(1)

COMPOSE = """
# Without a network of its own a container takes half the work to start and to stop: a sweep does that a hundred times.
services:
  store:
    image: {store}
    init: true
    command: ["sleep", "3600"]
    network_mode: host
    stop_grace_period: 1s
    restart: unless-stopped
    environment: {{STORE_PASSWORD: "${{STORE_PASSWORD}}", STORE_TOKEN: "inline-{canary}"}}
    volumes: ["{name}-data:/store"]
    healthcheck: {{test: ["CMD-SHELL", "test ! -e /ill"], interval: 1s, timeout: 5s}}
  web:
    image: {web}
    init: {init}
    environment: {{WEB_TOKEN: "inline-{canary}"}}
    command: {command}
    network_mode: host
    stop_grace_period: {grace}s
    restart: unless-stopped
    depends_on: [store]
    healthcheck: {{test: ["CMD-SHELL", "test ! -e /ill"], interval: 1s, timeout: 5s}}
volumes:
  {name}-data:
    name: {name}-data
"""


class OperationStack:
    """A directory with a compose file, and what the engine says about it."""

    def __init__(self, directory: Path, project: str, engine: Engine) -> None:
        self.directory = directory
        self.project = project
        self.engine = engine

    def compose(self, *words: str) -> str:
        return subprocess.run(
            self.engine.compose(*words), cwd=self.directory, env={**os.environ, **self.engine.env},
            check=True, capture_output=True, text=True, timeout=120,
        ).stdout  # fmt: skip

    def up(self) -> None:
        self.compose("up", "--detach", "--wait")

    def running(self) -> set[str]:
        """Services that run now."""
        there = (one for one in self.engine.containers(self.project) if one["State"]["Running"])
        return {one["Config"]["Labels"]["com.docker.compose.service"] for one in there}

    def started(self) -> dict[str, str]:
        """When each container was last started, by its id."""
        return {one["Id"]: one["State"]["StartedAt"] for one in self.engine.containers(self.project)}

    def let_go(self) -> None:
        """A stop of the service that is held may go on, now and later."""
        self.compose("exec", "--no-TTY", "web", "touch", "/tmp/let-go")

    def hold(self) -> None:
        """The next stop of the service that is held waits again."""
        self.compose("exec", "--no-TTY", "web", "rm", "-f", "/tmp/let-go")

    def look(self) -> facts.Look:
        return facts.look(self.directory, Config())

    def begin(self, plan: Plan, **environment: str) -> tuple[Path, subprocess.Popen[bytes]]:
        """Start the runner of a plan, as the command does."""
        place = journal.create(self.directory, places.new_id(plan.kind.value), plan)
        words = launch.words(self.directory, place)
        log = (place / "runner.log").open("wb")
        with log:
            process = subprocess.Popen(
                words, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return place, process

    def run(self, plan: Plan, **environment: str) -> tuple[Path, int]:
        """Run a plan to its end: where it is kept, and the exit code."""
        place = journal.create(self.directory, places.new_id(plan.kind.value), plan)
        return place, run_operation(self.directory, place, **environment)

    def wait_for_step(self, place: Path, name: str) -> None:
        """Until the step of this id has begun."""

        def begun() -> bool:
            return any(entry.event == "step" and entry.step == name for entry in journal.read(place))

        wait_until(begun, 60, f"the step {name} did not begin", interval=0.05)


@contextmanager
def operation_stack(
    engine: Engine, place: Path, *, stubborn: bool = False, held: bool = False, builds: bool = False
) -> Iterator[OperationStack]:
    """A running stack of two services; `stubborn`: one of them takes 4 s to stop; `held`: it stops when it is let go;
    `builds`: its images are its own, and may be removed. Gone afterwards."""
    project = f"{run_name()}operate{next(_numbers)}"
    directory = place / project
    directory.mkdir()
    text = COMPOSE.format(
        name=project,
        store=_built(project, "store") if builds else FIXTURE,
        web=_built(project, "web") if builds else FIXTURE,
        canary=INLINE_CANARY,
        init="false" if stubborn or held else "true",
        command=HELD if held else STUBBORN if stubborn else '["sleep", "3600"]',
        grace=120 if held else 4 if stubborn else 1,
    )
    (directory / "compose.yaml").write_text(text)
    (directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\nSTORE_PASSWORD={CANARY}\n")
    stack = OperationStack(directory, project, engine)
    try:
        stack.up()
        yield stack
    finally:
        remove(engine, also=project)


def _built(project: str, service: str) -> str:
    """The lines after `image:` of a service that is built in a moment."""
    dockerfile = f"FROM {FIXTURE}\\nLABEL made-for={project}-{service}"
    return f'{project}-{service}:1\n    build: {{context: ., dockerfile_inline: "{dockerfile}"}}'
