"""Acting on real containers through the installed console: asked first, bound to what was asked about."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.console import Console
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.parts.stacks import Stack, running_stack


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this file's own: its containers are stopped, restarted and recreated."""
    with running_stack("smokava", engine, tmp_path_factory.mktemp("act"), seed=False) as own:
        yield own


@pytest.fixture
def console(stack: Stack) -> Iterator[Console]:
    with Console(cwd=stack.directory) as one:
        one.started(stack.project)
        one.go("containers", "2 of 2 well")
        one.put_cursor_on(" backend")
        yield one


def state(stack: Stack, service: str = "backend") -> tuple[str, str, str]:
    """(id, status, started at)."""
    found = stack.container(service)
    return found["Id"], found["State"]["Status"], found["State"]["StartedAt"]


def files_of(stack: Stack) -> dict[str, int]:
    """Every file below the stack's directory and when it was written (ns)."""
    return {str(path): path.stat().st_mtime_ns for path in stack.directory.rglob("*")}


def columns(lines: list[str]) -> list[list[str]]:
    """What does not change by itself: the heading, and name and state of each row."""
    return [line.split()[:3] for line in lines[3:6]]


def on_cancel(console: Console) -> bool:
    """Whether Cancel has the focus: only the button with the focus stands out of the dialog's ground."""
    cancel, act = (console.cells_of(f" {word} ")[2] for word in ("Cancel", "Restart"))
    return bool(cancel.bg != act.bg and cancel.bold)


def test_enter_alone_changes_nothing_and_the_second_button_restarts(console: Console, stack: Stack) -> None:
    before = state(stack)
    console.press("r", shows="Restart backend?")
    assert stack.container("backend")["Name"].strip("/") in console.text()
    assert before[0][:12] in console.text()
    console.wait_for(lambda lines: on_cancel(console))
    console.type("Enter")
    console.wait_gone("Restart backend?")
    console.type("r")
    console.wait_for("Restart backend?")
    assert "restart" not in console.lines()[-2]  # no word of anything under way
    console.type("Tab")
    console.wait_for(lambda lines: not on_cancel(console))
    assert state(stack) == before
    console.press("Enter", shows="backend-1 restarted")
    after = state(stack)
    assert after[0] == before[0]
    assert after[2] > before[2]
    assert "Up" in console.text()


def test_stop_and_start(console: Console, stack: Stack) -> None:
    console.press("s", shows="Stop backend?")
    console.press("Tab", "Enter", shows="backend-1 stopped")
    assert state(stack)[1] == "exited"
    console.wait_for(re.compile(r"^  backend +[✗○▲].*(exited|stopped)", re.MULTILINE), "1 of 2 well")
    assert {"start"} <= console.footer_keys().keys()
    assert not {"stop", "shell", "restart"} & console.footer_keys().keys()
    console.press("u", shows="Start backend?")
    console.press("Tab", "Enter", shows="backend-1 started")
    console.wait_for("2 of 2 well")
    assert state(stack)[1] == "running"


def test_a_container_recreated_behind_the_question_is_not_touched(console: Console, stack: Stack) -> None:
    before = state(stack)
    console.press("r", shows="Restart backend?")
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "backend")
    recreated = state(stack)
    assert recreated[0] != before[0]
    console.press("Tab", "Enter", shows="was not restarted: That container no longer exists")
    assert state(stack) == recreated
    # The next question is about the new one.
    console.esc("no longer exists")
    console.put_cursor_on(" backend")
    console.press("r", shows=recreated[0][:12])
    console.esc("Restart backend?")


def test_read_only_hides_and_refuses_everything_that_changes(stack: Stack) -> None:
    before, files = state(stack), files_of(stack)
    with Console("--read-only", cwd=stack.directory) as console:
        console.started(stack.project, "READ-ONLY")
        console.go("containers", "2 of 2 well")
        console.put_cursor_on(" backend")
        assert not {"restart", "stop", "start", "shell"} & console.footer_keys().keys()
        for key in "rse":
            console.type(key)
            console.wait_for("opened read-only:")
            assert console.in_console
            assert "Cancel" not in console.text()
            console.esc("opened read-only:")
        console.press("?", shows="no single key destroys anything")
        assert "Restart the container" not in console.text()
        console.esc("no single key destroys anything")
        console.type(":shell")
        console.wait_for("0 of ")
        console.type("Esc")
        console.wait_gone("type a part of what you want")
        assert state(stack) == before
    assert files_of(stack) == files


def test_a_shell_in_the_container_and_back(console: Console, stack: Stack) -> None:
    before = console.lines()
    console.type("e")
    console.wait_for("exit comes back to opsconsole", lambda lines: not console.in_console)
    assert not console.cursor_hidden
    console.type("echo $((6*7)) in $(hostname)\r")
    console.wait_for(f"42 in {state(stack)[0][:12]}")
    console.type("echo begin; cat\r")
    console.wait_for(lambda lines: "begin" in lines)
    console.type("read\r")
    console.wait_for(lambda lines: lines.count("read") == 2)
    console.type("Ctrl+C")  # for the program in the shell, not for the console
    console.wait_for(lambda lines: "^C" in lines and lines[lines.index("^C") + 1].endswith("#"))
    console.type("stty size\r")
    console.wait_for("40 120")
    console.resize(80, 24)
    console.type("echo still $((40+2))\r")
    console.wait_for("still 42")
    console.type("exit\r")
    console.wait_for("was left", console.shows("containers"), "2 of 2 well")
    assert console.in_console and console.cursor_hidden
    assert console.size == (80, 24)
    console.wait_for(lambda lines: "? help" in lines[23] and lines[0].split()[0] == before[0].split()[0])
    console.esc("was left")
    console.go("metrics", "Memory ")  # keys arrive again
    console.resize(120, 40)
    console.go("containers")
    console.wait_for(lambda lines: columns(lines) == columns(before))


def test_a_stopped_container_that_nobody_wants_is_shown_with_a(console: Console, stack: Stack) -> None:
    labels = [f"com.docker.compose.{key}" for key in (f"project={stack.project}", "service=old-worker", "oneoff=False")]
    image = stack.container("backend")["Config"]["Image"]
    words = [word for label in labels for word in ("--label", label)]
    stack.engine.docker("run", "--name", f"{stack.project}-old-worker-1", *words, image, "true")
    try:
        console.wait_for("1 stopped one hidden")
        assert "old-worker" not in console.text()
        console.press("a", shows=" old-worker ")
        console.type("a")
        console.wait_gone(" old-worker ")
    finally:
        stack.engine.docker("rm", "--force", f"{stack.project}-old-worker-1")
    console.wait_gone("stopped one hidden")


def test_an_image_without_a_shell_is_said_to_have_none(console: Console, stack: Stack) -> None:
    container = stack.container("backend")["Id"]
    stack.engine.docker("exec", container, "mv", "/bin/sh", "/bin/sh-away")
    try:
        console.press("e", shows="has no shell: its image brings no sh")
        assert console.in_console
    finally:
        stack.engine.docker("exec", container, "/bin/busybox", "mv", "/bin/sh-away", "/bin/sh", check=False)
        wait_until(lambda: state(stack)[1] == "running", 30, "the backend does not run")
