"""Where the console is started: beside a stack, in an empty directory, on a machine without an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.console import Console
from tests.parts.stacks import Stack
from tests.terminal import OPSCONSOLE, Terminal

NOBODY = {"DOCKER_HOST": "unix:///nonexistent/engine.sock", "DOCKER_CONFIG": ""}


def test_without_a_stack_it_lists_the_projects_and_opens_the_chosen_one(mps: Stack, tmp_path: Path) -> None:
    with Console(cwd=tmp_path) as console:
        console.wait_for("Which stack?   no compose file here; these projects are on the engine", mps.project)
        rows = [line.split()[0] for line in console.lines() if "opsctest-" in line]
        console.type(*["Down"] * rows.index(mps.project))
        console.wait_for(lambda lines: mps.project in console.cursor_line())
        console.type("Up", "Down") if rows.index(mps.project) else None
        console.type("Enter")
        console.started(mps.project, "4 of 4 well")
        assert console.cursor_hidden and console.in_console


def test_without_a_stack_one_can_leave_without_choosing(mps: Stack, tmp_path: Path) -> None:
    with Console(cwd=tmp_path) as console:
        console.wait_for("Which stack?", mps.project)
        console.type("q")
        assert console.wait_for_end() == 0
        console.wait_for(lambda lines: not console.in_console)
        assert not console.cursor_hidden
        assert not list(tmp_path.iterdir())


def test_another_directory_or_project_is_named_on_the_command_line(mps: Stack, tmp_path: Path) -> None:
    with Console("--stack", str(mps.directory), cwd=tmp_path) as console:
        console.started(mps.project, "4 of 4 well")
    with Console("--stack", mps.project, cwd=tmp_path) as console:
        console.started(mps.project, "4 of 4 well")
        console.go("deploy", "docker-compose.yml", str(mps.directory)[-20:])


@pytest.mark.parametrize("words", [(), ("--stack", "nowhere"), ("status",), ("logs",)])
def test_without_an_engine_and_a_stack_it_says_why_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    with Terminal(OPSCONSOLE, *words, cwd=tmp_path, env=NOBODY, columns=300) as terminal:
        assert terminal.wait_for_end() == 2
        terminal.wait_for(re.compile("^opsconsole: .*no engine socket at /nonexistent/engine.sock.*start docker", re.M))
        assert len([line for line in terminal.lines() if line]) == 1
        assert not terminal.in_console and "\x1b" not in terminal.output


def test_without_a_stack_the_demo_opens_marked_and_says_why(tmp_path: Path) -> None:
    with Console("--or-demo", cwd=tmp_path, env=NOBODY) as console:
        console.started("DEMO", "This is the demo stack: There is no engine socket at /nonexistent/engine.sock")
        for pane in ("containers", "logs", "databases", "backups", "deploy"):
            console.go(pane)
            assert " DEMO " in console.header()
        console.go("containers")
        console.press("e", shows="The demo stack has no real containers")
        console.type("q")
        assert console.wait_for_end() == 0


def test_a_stack_whose_engine_is_not_there_is_shown_as_far_as_it_can_be(mps: Stack) -> None:
    with Console(cwd=mps.directory, env=NOBODY) as console:
        console.wait_for("engine unreachable", "There is no engine socket at /nonexistent/engine.sock")
        console.go("deploy", "docker-compose.yml", "4 services")
        console.go("databases", "127.0.0.1")  # published ports stand in the compose file
        assert "mongo-secret" not in console.output


def test_the_demo_has_as_many_containers_as_it_is_told(tmp_path: Path) -> None:
    with Console("demo", "--containers", "300", cwd=tmp_path, env=NOBODY) as console:
        console.started("DEMO")
        console.go("containers", re.compile(r"\d+ of 300 well"))
        first = console.cursor_line()
        console.type("G")
        console.wait_for(lambda lines: console.cursor_line() not in ("", first))
        console.type("/backend\r")
        console.wait_for(re.compile(r"\d+ of 300 +Esc shows all"))
        assert not list(tmp_path.iterdir())


def test_status_says_the_same_as_the_console(mps: Stack) -> None:
    with Terminal(OPSCONSOLE, "status", "--json", cwd=mps.directory, columns=200, rows=50) as terminal:
        assert terminal.wait_for_end() in (0, 1)
        seen = json.loads(terminal.output)
    assert seen["stack"]["name"] == mps.project
    assert sorted(container["service"] for container in seen["containers"]) == [
        "backend",
        "frontend",
        "mongodb",
        "redis",
    ]
