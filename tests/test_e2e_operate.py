"""Operating a real stack through the keys of the console: menu, plan, question, the running operation, history."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from subprocess import PIPE, STDOUT

import pytest

from opsconsole.operations import journal, places
from opsconsole.operations.requests import Request, make_plan
from opsconsole.operations.site import Site
from tests.console import Console
from tests.operation_stack import OperationStack, operation_stack
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.terminal import OPSCONSOLE

ABOUT_US = re.compile(r"step \d of 2")


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperationStack]:
    """One of its services stops only when a test lets it go: time enough to leave an operation and to come back."""
    with operation_stack(engine, tmp_path_factory.mktemp("operate"), held=True, builds=True) as own:
        yield own


@pytest.fixture
def console(stack: OperationStack) -> Iterator[Console]:
    with Console(cwd=stack.directory) as one:
        one.started(stack.project)
        yield one


def last_operation(stack: OperationStack) -> str:
    return places.existing_operations(stack.directory)[-1].name


def test_menu_plan_question_running_left_attached_done_and_in_the_history(
    console: Console, stack: OperationStack
) -> None:
    before = stack.started()
    console.go("deploy", "4  Restart containers")
    console.press("4", shows="Restart all, rolling")
    console.type("Enter")
    console.wait_for("Restart store, web", "$ docker compose", "piece of data kept", "Enter run it")
    assert stack.started() == before

    # Enter asks, and its focus is on Cancel: a second Enter has done nothing.
    console.press("Enter", shows="Run it")
    console.wait_for(f"{stack.project} on ")
    console.type("Enter")
    console.wait_gone("Esc cancel")
    assert not places.existing_operations(stack.directory)

    console.press("Enter", shows="Run it")
    console.type("y")
    console.wait_for(re.compile(r"step 1 of 2"), "Output", re.compile(r"web-1 +Res"), "C cancel it")

    # Esc leaves it; every screen says that it runs; another terminal sees it too and watches it.
    console.type("Esc")
    console.wait_for(console.shows("deploy"), ABOUT_US, "W watch")
    console.press("?", shows="no single key destroys anything")
    console.wait_for(ABOUT_US)
    with Console(cwd=stack.directory, columns=80, rows=24) as second:
        second.started(stack.project)
        second.wait_for(ABOUT_US, "W watch")
        second.type("W")
        second.wait_for("step 1 of 2: Restart store, web", "Output")
        stack.let_go()
        second.wait_for("restarted", "after", re.compile(r"web-1 +St"), "now running:")
    console.esc("no single key destroys anything")
    console.wait_gone("W watch")
    assert {id for id, at in stack.started().items() if at != before[id]} == before.keys()

    console.go("history", "restart of the stack", "done", "exit code 0")
    console.type("Enter")
    console.wait_for("restarted", "Restart store, web", re.compile(r"web-1 +St"))
    # Search in the output.
    console.type("/")
    console.wait_for("search")
    console.type("store-1\r")
    console.wait_for("search store-1")
    console.type("Esc")
    console.wait_gone("search store-1")
    console.type("Esc")
    console.wait_for(console.shows("history"))
    console.press("V", shows="Every record is as it was written")


def test_two_operators_race_by_the_installed_command(stack: OperationStack) -> None:
    """200 races without the start of the programs and without an engine are in test_operations."""
    words = [OPSCONSOLE, "restart", "web", "--yes"]
    for _ in range(3):
        stack.hold()
        before = stack.started()
        both = [subprocess.Popen(words, cwd=stack.directory, stdout=PIPE, stderr=STDOUT, text=True) for _ in range(2)]
        wait_until(lambda both=both: any(one.poll() is not None for one in both), 60, "both wait")  # type: ignore[misc]
        stack.let_go()
        (lost, said), (won, _) = sorted(((one.wait(60), one.communicate()[0]) for one in both), reverse=True)
        assert (lost, won) == (2, 0) and "restart of web in the stack" in said and "runs since" in said, said
        after = stack.started()
        assert len([id for id in before if after[id] != before[id]]) == 1


def test_a_terminal_that_hangs_up_ends_nothing(stack: OperationStack) -> None:
    stack.hold()
    before = stack.started()
    with Console(cwd=stack.directory) as gone:
        gone.started(stack.project)
        gone.go("deploy", "4  Restart containers")
        gone.press("4", shows="Restart only web")
        gone.put_cursor_on("Restart only web")
        gone.type("Enter")
        gone.wait_for("Plan: restart of web", "Enter run it")
        gone.press("Enter", shows="Run it")
        gone.type("y")
        gone.wait_for("step 1 of 2")
        gone.hang_up()
        gone.process.wait(20)
    with Console(cwd=stack.directory) as console:
        console.started(stack.project)
        console.wait_for("restart of web", ABOUT_US, "W watch")
        console.press("W", shows="step 1 of 2: Restart web")
        console.press("q", shows="It goes on without this")
        console.type("Esc")
        console.wait_gone("It goes on without this")
        stack.let_go()
        console.wait_for("restarted", "now running:")
    assert len([id for id, at in stack.started().items() if at != before[id]]) == 1


def test_the_facts_change_before_it_runs_and_the_plan_is_made_anew(console: Console, stack: OperationStack) -> None:
    console.go("deploy", "3  Stop containers")
    console.press("3", shows="Stop store, web")
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "store")
    console.press("Enter", shows="Run it")
    console.type("y")
    console.wait_for(
        "refused: nothing was done",
        "The stack changed since the plan was made:",
        re.compile(r"store-1: +was|created +again"),
    )
    assert stack.running() == {"store", "web"}
    console.press("p", shows="Enter run it")
    console.press("Enter", shows="Run it")
    console.type("y")
    console.wait_for("stopped", "now nothing runs")
    assert not stack.running()
    console.type("Esc")
    console.wait_for(console.shows("deploy"))
    console.press("4", shows="Restart all, rolling")
    console.put_cursor_on(" Start ")
    console.type("Enter")
    console.wait_for("Start store, web", "Enter run it")
    console.press("Enter", shows="Run it")
    console.type("y")
    console.wait_for("started", "now running:")
    assert stack.running() == {"store", "web"}


def test_what_was_left_half_done_is_said_at_the_start_and_undone(stack: OperationStack) -> None:
    plan = make_plan(Site(directory=stack.directory), Request(what="stop"))
    place, code = stack.run(plan, OPS_KILL_AT="O06")
    assert code == -9
    assert not journal.has_ended(place)
    with Console(cwd=stack.directory) as console:
        console.wait_for("An operation is half done", "stop of the stack", seconds=40)
        console.type("Enter")  # the focus is on Later
        console.wait_gone("An operation is half done")
        console.wait_for("HALF DONE", "W finish or undo")
        console.press("W", shows="An operation is half done")
        console.type("U")
        console.wait_for("Plan: undo", "Start what ran before", "Enter run it")
        console.press("Enter", shows="Run it")
        console.type("y")
        console.wait_for("undone", "now running:")
        wait_until(lambda: stack.running() == {"store", "web"}, 10, "not as before")
        console.type("Esc")
        console.wait_gone("HALF DONE")
    assert last_operation(stack) != place.name


def test_deploy_and_back_to_the_images_before(console: Console, stack: OperationStack) -> None:
    (stack.directory / "opsconsole.toml").write_text("[deploy]\nsoak_seconds = 0.2\n")
    file = stack.directory / "compose.yaml"
    file.write_text(file.read_text().replace("inline-", "another-inline-", 1))
    before = stack.started()
    console.go("deploy", "1  Deploy (build and start containers)")
    console.press("1", shows="Deploy, build without cache")
    console.type("Enter")
    console.wait_for("Recreate store", "Build store, web", "is recreated", "Enter run it", seconds=60)
    console.press("Enter", shows="Run it")
    console.type("y")
    console.wait_for(re.compile(r"✓ deployed +after"), "=== done: healthy", seconds=120)
    after = stack.started()
    assert len(after.keys() - before.keys()) >= 1  # the store is another container
    assert [one.name for one in (stack.directory / ".opsconsole" / "releases").iterdir()]
    console.type("Esc")
    console.wait_for(console.shows("deploy"))
    console.press("R", shows="Previous images")
    console.type("Enter")
    console.wait_for("Plan: rollback", "Enter run it", seconds=60)
    console.press("Enter", shows="Run it")
    console.type("y")
    console.wait_for("rolled back", "=== done", seconds=120)
    assert stack.running() == {"store", "web"}
    console.type("Esc")
    console.wait_for(console.shows("deploy"))
    console.go("history", "deploy of the stack", "rollback")


def test_emergency_stop_from_any_screen_says_what_it_costs(console: Console, stack: OperationStack) -> None:
    console.press("?", shows="no single key destroys anything")
    console.type("Esc")
    console.wait_gone("no single key destroys anything")
    console.press("X", shows="EMERGENCY STOP?")
    console.wait_for("2 running containers", "DOWN until", "saved first")
    console.type("Enter")
    console.wait_gone("EMERGENCY STOP?")
    assert stack.running() == {"store", "web"}
    console.press("X", shows="EMERGENCY STOP?")
    console.type("y")
    console.wait_for("everything is stopped", "nothing runs")
    assert not stack.running()
    stack.compose("start")


def test_read_only_shows_the_plan_and_runs_nothing(stack: OperationStack) -> None:
    before = len(places.existing_operations(stack.directory))
    with Console("--read-only", cwd=stack.directory) as console:
        console.started(stack.project, "READ-ONLY")
        console.go("deploy", "3  Stop containers")
        console.type("3")
        console.wait_for("Stop store, web", "read-only: a plan can be looked at")
        assert "run it" not in console.footer_keys()
        console.type("Enter")
        console.wait_for("nothing was done")
        console.type("X")
        console.wait_for("nothing was done")
        assert "EMERGENCY" not in console.text()
    assert stack.running() == {"store", "web"}
    assert len(places.existing_operations(stack.directory)) == before


def test_the_name_of_a_stack_that_is_removed_is_typed(console: Console, stack: OperationStack) -> None:
    stack.let_go()
    console.go("deploy", "8  Remove containers and images")
    console.press("8", shows="Remove, releases too")
    console.type("Enter")
    console.wait_for("Plan: remove", "Enter run it", seconds=60)
    console.press("Enter", shows="Type its name to agree")
    console.type("y\r")
    console.wait_for("That is not its name. Nothing was done.")
    assert stack.running() == {"store", "web"}
    console.wait_for(re.compile(r"│ +y +│"))
    console.type("Backspace")
    console.wait_for(lambda lines: not any(re.search(r"│ +y +│", line) for line in lines))
    console.type(stack.project)
    console.wait_for(re.compile(rf"│ +{stack.project} +│"))
    console.type("Enter")
    console.wait_for("removed", "exit code of the operation: 0", seconds=60)
    assert not stack.started()
    assert f"{stack.project}-data" in stack.engine.docker("volume", "ls", "--format", "{{.Name}}").split()
