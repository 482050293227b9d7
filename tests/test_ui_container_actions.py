"""Restart, stop, start and shell on real containers, from the key to what the engine says afterwards."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.model import Engine as EngineFacts
from opsconsole.operations.containers import Target, Verb, apply, shell_command, shell_problem
from opsconsole.sources.engine import DockerEngine
from opsconsole.ui.app import ConsoleApp
from tests import ui_sample as sample
from tests.parts.engine import LABEL, Engine
from tests.parts.leftovers import run_name
from tests.terminal import Terminal
from tests.ui_sample import Feed, text_of, until

ROOT = Path(__file__).resolve().parent.parent
APP = "opsconsole-fixture/app:1"
_numbers = itertools.count(1)


@pytest.fixture
def project() -> str:
    return f"{run_name()}actions{next(_numbers)}"


@pytest.fixture
def run(engine: Engine, project: str) -> Iterator[Callable[..., str]]:
    """Starts a container of the project and gives its id."""
    made: list[str] = []

    def start(service: str, *options: str, words: tuple[str, ...] = ("sleep", "600")) -> str:
        labels = (
            f"{LABEL}=1",
            f"com.docker.compose.project={project}",
            f"com.docker.compose.service={service}",
        )
        flags = [part for label in labels for part in ("--label", label)]
        name = ("--name", f"{project}-{service}-1")
        container = engine.docker(
            "run", "--detach", "--init", "--stop-timeout", "1", *name, *flags, *options, APP, *words
        )
        made.append(container)
        return container

    yield start
    for container in made:
        engine.docker("rm", "--force", "--volumes", container, check=False)


@pytest.fixture
def source(engine: Engine) -> Iterator[DockerEngine]:
    one = DockerEngine(engine.docker_host)
    yield one
    one.close()


def state(engine: Engine, container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.docker("inspect", "--format", "{{json .State}}", container))
    return found


def test_the_three_verbs(engine: Engine, run: Callable[..., str], source: DockerEngine) -> None:
    container = run("web")
    target = Target(container, "web-1", "web")
    started = state(engine, container)["StartedAt"]
    assert apply(source, Verb.STOP, [target])[0].ok and state(engine, container)["Status"] == "exited"
    assert apply(source, Verb.START, [target])[0].ok and state(engine, container)["Status"] == "running"
    between = state(engine, container)["StartedAt"]
    assert apply(source, Verb.RESTART, [target])[0].ok
    assert started < between < state(engine, container)["StartedAt"]


def test_a_container_that_has_vanished_is_said_and_the_next_one_has_its_turn(
    engine: Engine, run: Callable[..., str], source: DockerEngine
) -> None:
    gone, there = run("gone"), run("there")
    engine.docker("rm", "--force", gone)
    outcomes = apply(source, Verb.STOP, [Target(gone, "gone-1", "gone"), Target(there, "there-1", "there")])
    assert [outcome.ok for outcome in outcomes] == [False, True]
    assert outcomes[0].said().startswith("gone-1 was not stopped: ") and "\n" not in outcomes[0].said()
    assert state(engine, there)["Status"] == "exited"


async def test_from_the_key_to_the_engine(
    engine: Engine, run: Callable[..., str], source: DockerEngine, project: str
) -> None:
    left, right = run("left"), run("right")
    before = state(engine, left)["StartedAt"], state(engine, right)["StartedAt"]
    containers = source.containers(project=project)
    app = ConsoleApp(Feed(sample.well(containers=containers, stack=None), source))  # type: ignore[arg-type]
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("G", "r")
        await pilot.pause()
        assert right[:12] in text_of(app)
        await pilot.press("tab", "enter")
        await until(lambda: any("restarted" in report.text for report in app.messages))
        await pilot.pause()
        assert f"{project}-right-1 restarted" in text_of(app)
    assert state(engine, left)["StartedAt"] == before[0] and state(engine, right)["StartedAt"] > before[1]


# --- shell -----------------------------------------------------------------------------------------

SHELL = """
import sys
from opsconsole.model import Engine
from opsconsole.sources.engine import DockerEngine
from opsconsole.ui.app import ConsoleApp
from tests import ui_sample as sample

host, project = sys.argv[1:]
source = DockerEngine(host)
snapshot = sample.well(
    containers=source.containers(project=project), stack=None, engine=Engine(endpoint=host, version="1")
)
ConsoleApp(sample.Feed(snapshot, source)).run()
"""


def test_a_shell_is_opened_used_and_left(engine: Engine, run: Callable[..., str], project: str) -> None:
    container = run("web")
    with Terminal(
        sys.executable, "-c", SHELL, engine.docker_host, project, cwd=ROOT, env={"PYTHONPATH": str(ROOT), **engine.env}
    ) as terminal:
        terminal.wait_for("Services")
        terminal.press("c", shows="Drift")
        terminal.press("e", shows=f"Shell in {project}-web-1 ({container[:12]})")
        terminal.wait_for("#")
        terminal.type("echo sum-$((40+2))", "Enter")
        terminal.wait_for("sum-42")
        terminal.type("Ctrl+C")  # is the shell's own
        terminal.type("exit 7", "Enter")
        terminal.wait_for("was left", "containers")
        assert terminal.in_console
        terminal.type("q")
        assert terminal.wait_for_end() == 0


def test_why_no_shell_can_be_opened(engine: Engine, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    host = engine.docker_host
    with_shell = Target(run("web"), "web-1", "web")
    assert shell_problem(host, with_shell) == ""
    without = Target(run("none"), "none-1", "none")
    engine.docker("exec", without.id, "busybox", "rm", engine.docker("exec", without.id, "busybox", "which", "sh"))
    assert shell_problem(host, without).startswith("none-1 has no shell: its image brings no sh.")
    engine.docker("stop", with_shell.id)
    assert "not running" in shell_problem(host, with_shell)
    assert "No shell could be opened" in shell_problem("unix:///nowhere.sock", without)
    monkeypatch.setenv("PATH", "/nowhere")
    assert shell_problem(host, without).startswith("The docker command is not installed")
    assert shell_command(EngineFacts(endpoint=host).endpoint, "x")[:3] == ["docker", "--host", host]
