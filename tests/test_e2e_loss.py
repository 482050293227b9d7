"""What a real terminal shows while the engine, MongoDB or Redis are away, and when they come back."""

from __future__ import annotations

import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.console import PANES, Console
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.parts.stacks import Stack, running_stack
from tests.proxy import Proxy, socket_of

MONGODB_ANSWERS = re.compile("✓ reachable[ ·]+6.0.5")
REDIS_ANSWERS = re.compile("✓ reachable[ ·]+7.0.15")


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this file's own: its databases are stopped and its passwords changed."""
    with running_stack("mps", engine, tmp_path_factory.mktemp("loss"), seed=False) as own:
        yield own


@pytest.fixture
def line_to_engine(engine: Engine) -> Iterator[Proxy]:
    # Below /tmp: the path of a Unix socket may have 107 characters.
    with tempfile.TemporaryDirectory() as place, Proxy(socket_of(engine.docker_host), Path(place) / "engine") as proxy:
        yield proxy


def services(lines: list[str]) -> list[str]:
    """Name and state of the four services on the overview or in the list of containers."""
    return re.findall(r"^ +(?:backend|frontend|mongodb|redis) +[✓✗▲] \w+", "\n".join(lines), re.MULTILINE)


def newest(lines: list[str]) -> str:
    """The time of the newest line of the log."""
    return max(re.findall(r"│(\d\d:\d\d:\d\d\.\d{3}) ", "\n".join(lines)), default="")


def test_an_engine_that_is_cut_off_and_comes_back(stack: Stack, line_to_engine: Proxy) -> None:
    with Console(cwd=stack.directory, env={"DOCKER_HOST": line_to_engine.host}) as console:
        known = services(console.started(stack.project, "4 of 4 well"))
        console.go("logs", "following", "frontend ")
        console.go("overview")
        line_to_engine.cut()
        console.wait_for("the container engine cannot be reached: No engine listens at", "unreachable, data ")
        assert services(console.lines()) == known
        for pane in ("containers", "volumes", "logs"):
            console.go(pane, "✗ No answer from the ", "No engine listens at")
        console.go("containers")
        assert len(services(console.lines())) == 4
        for pane in PANES:
            console.go(pane)
        console.go("containers")
        console.put_cursor_on(" frontend")
        console.press("r", shows="Restart frontend?")
        console.press("Tab", "Enter", shows="was not restarted: Cannot connect to the Docker daemon")
        console.wait_for(re.compile(r"unreachable, data \d+ s old"))
        line_to_engine.restore()
        console.wait_for(lambda lines: lines[0].endswith("live"))
        console.wait_gone("No answer from")
        console.go("logs", "following")
        last = newest(console.lines())
        console.wait_for(lambda lines: newest(lines) > last)
        console.go("overview", "4 of 4 well")
        assert "cannot be reached" not in console.text()


def test_an_engine_that_hangs_and_goes_on(stack: Stack, line_to_engine: Proxy) -> None:
    with Console(cwd=stack.directory, env={"DOCKER_HOST": line_to_engine.host}) as console:
        known = services(console.started(stack.project, "4 of 4 well"))
        line_to_engine.hang()
        console.type("F5")  # whoever looks does not want to wait for the next look
        console.wait_for("the container engine cannot be reached: The engine at", "unreachable, data ")
        assert services(console.lines()) == known
        console.go("databases", "✓ reachable")  # what does not need the engine goes on
        console.go("containers", "✗ No answer from")
        line_to_engine.restore()
        console.wait_for(lambda lines: lines[0].endswith("live"))
        console.wait_gone("No answer from")


def test_an_engine_that_is_not_there_at_first(stack: Stack, line_to_engine: Proxy) -> None:
    line_to_engine.cut()
    with Console(cwd=stack.directory, env={"DOCKER_HOST": line_to_engine.host}) as console:
        console.wait_for("engine unreachable", "the container engine cannot be reached: No engine listens at")
        console.go("deploy", "docker-compose.yml", "4 services")  # the files are there
        console.go("metrics", "Memory ─")
        line_to_engine.restore()
        console.wait_for(lambda lines: lines[0].endswith("live"))
        console.go("overview", "4 of 4 well")


def test_databases_that_stop_hang_and_come_back(stack: Stack) -> None:
    with Console(cwd=stack.directory) as console:
        console.started(stack.project, "2 of 2 answer")
        console.go("databases", "6.0.5", "7.0.15")
        stack.compose("stop", "mongodb")
        console.wait_for("✗ service mongodb is not running", "docker compose up -d mongodb", REDIS_ANSWERS)
        console.go("overview", "1 of 2 answer", re.compile("✗ critical .*mongodb"))
        assert "mongo-secret" not in console.output
        stack.compose("start", "mongodb")
        console.go("databases", MONGODB_ANSWERS)

        redis = psutil.Process(stack.container("redis")["State"]["Pid"])
        hung = next(one for one in (redis, *redis.children(recursive=True)) if "redis-server" in one.name())
        hung.send_signal(signal.SIGSTOP)
        try:
            console.wait_for("✗ Redis at 127.0.0.1", MONGODB_ANSWERS)
        finally:
            hung.send_signal(signal.SIGCONT)
        console.wait_for(REDIS_ANSWERS, MONGODB_ANSWERS)
        console.go("overview", "2 of 2 answer")


def test_a_wrong_password_is_named_as_such_and_not_shown(stack: Stack) -> None:
    env_file = stack.directory / ".env"
    right = env_file.read_text()
    wrong = right.replace("mongo-secret", "stale-mongo-pw").replace("redis-secret", "stale-redis-pw")
    with Console(cwd=stack.directory) as console:
        console.started(stack.project, "2 of 2 answer")
        console.go("databases", "✓ reachable")
        env_file.write_text(wrong)
        try:
            # The files are what the operator edits; the containers still run with what they were started with.
            stack.compose("up", "--detach", "--force-recreate", "backend", "mongodb", "redis")
            console.wait_for(re.compile("(wrong password|password).*(admin|user)", re.IGNORECASE))
            for text in ("stale-mongo-pw", "stale-redis-pw", "mongo-secret", "redis-secret"):
                assert text not in console.output
        finally:
            env_file.write_text(right)
            stack.compose("up", "--detach", "--force-recreate", "backend", "mongodb", "redis")
        console.wait_for(MONGODB_ANSWERS, REDIS_ANSWERS)
        wait_until(lambda: stack.container("mongodb")["State"]["Running"], 30, "mongodb does not run")
