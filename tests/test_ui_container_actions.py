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
from opsconsole.model import Volume, VolumeKind, VolumeUse
from opsconsole.operations import chain, past, who
from opsconsole.operations.containers import Target, shell_command, shell_problem
from opsconsole.operations.site import Site
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


async def test_from_the_key_to_the_engine(
    engine: Engine, run: Callable[..., str], source: DockerEngine, project: str, tmp_path: Path
) -> None:
    left, right = run("left"), run("right")
    before = state(engine, left)["StartedAt"], state(engine, right)["StartedAt"]
    containers = source.containers(project=project)
    feed: Any = Feed(sample.well(containers=containers, stack=None))  # no engine to ask: it goes through an operation
    app = ConsoleApp(feed, site=Site(directory=tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("G", "r")
        await pilot.pause()
        assert right[:12] in text_of(app) and "Its data stays." in text_of(app)
        await pilot.press("tab", "enter")
        await until(lambda: any("restarted" in report.text for report in app.messages))
        await pilot.pause()
        assert f"{project}-right-1 restarted" in text_of(app)
    assert state(engine, left)["StartedAt"] == before[0] and state(engine, right)["StartedAt"] > before[1]
    (kept,) = past.past(tmp_path)
    assert kept.title == f"restart of {project}-right-1 in the stack {project}" and kept.result == "done"
    assert kept.who == who.current() and chain.verify(tmp_path) == ()


async def test_what_lives_in_memory_is_agreed_to_by_its_name(
    engine: Engine, run: Callable[..., str], source: DockerEngine, project: str, tmp_path: Path
) -> None:
    container = run("cache")
    use = VolumeUse(service="cache", container=f"{project}-cache-1", destination="/data")
    memory = Volume(key="tmpfs:1", kind=VolumeKind.TMPFS, name="/data", used_by=(use,), database="redis")
    there = source.containers(project=project)
    feed: Any = Feed(sample.well(containers=there, volumes=(memory,), databases=(), stack=None))
    app = ConsoleApp(feed, site=Site(directory=tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("s")
        await pilot.pause()
        assert "cache:/data: tmpfs, LOST" in text_of(app) and "Its data stays" not in text_of(app)
        await pilot.press("y", "enter")
        await until(lambda: "That is not its name" in text_of(app))
        await pilot.press("escape")
        await until(lambda: "That is not its name" not in text_of(app))
        assert past.past(tmp_path) == () and state(engine, container)["Running"]
        await pilot.press("s")
        await until(lambda: "Type its name" in text_of(app))
        await pilot.press(*"cache:/data", "enter")
        await until(lambda: any("stopped" in report.text for report in app.messages))
    assert not state(engine, container)["Running"]


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
