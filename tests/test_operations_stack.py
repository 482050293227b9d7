"""Stop, start, restart and emergency stop on real stacks, as they are typed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, lock, past, places, stack_plans, unfinished
from opsconsole.operations.journal import Result
from tests.operation_stack import CANARY, INLINE_CANARY, OperationStack, operation_stack
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.terminal import OPSCONSOLE, Terminal

BOTH = {"store", "web"}


@pytest.fixture(scope="module")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperationStack]:
    with operation_stack(engine, tmp_path_factory.mktemp("operated")) as made:
        yield made


@pytest.fixture
def stack(shared: OperationStack) -> OperationStack:
    """Both services run and nothing is half done."""
    if shared.running() != BOTH:
        shared.up()
    return shared


@pytest.fixture
def slow(engine: Engine, tmp_path: Path) -> Iterator[OperationStack]:
    """One of its services takes 4 s to stop."""
    with operation_stack(engine, tmp_path, stubborn=True) as made:
        yield made


def newest(directory: Path) -> Path:
    return places.existing_operations(directory)[-1]


def everything_kept(directory: Path) -> str:
    files = [file for file in (directory / ".opsconsole").rglob("*") if file.is_file()]
    return "\n".join(file.read_text(errors="replace") for file in files)


def test_nothing_to_do_is_no_fault_and_json_prints_records_alone(
    stack: OperationStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """What each operation does on the three shapes is in test_operations_shapes."""
    here = ["--yes", "--stack", str(stack.directory)]
    assert main(["stop", "web", *here]) == 0
    assert main(["stop", "web", *here]) == 0
    assert "nothing to stop" in capsys.readouterr().out
    assert main(["stop", "web", "--json", *here]) == 0
    quiet = capsys.readouterr()
    assert not quiet.out and "nothing to stop" in quiet.err
    assert main(["start", "web", "--json", *here]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["begin", "step", "step-end", "step", "step-end", "guard", "end"]
    assert events[-1]["result"] == "done" and events[3]["title"].startswith("Gate")


# --- the plan and the question ---------------------------------------------------------------------


def test_the_plan_is_shown_and_changes_nothing(stack: OperationStack, capsys: pytest.CaptureFixture[str]) -> None:
    started, known = stack.started(), places.existing_operations(stack.directory)
    for words in (["stop"], ["restart", "--rolling"], ["rollback", "emergency-stop"]):
        assert main([*words, "--plan", "--stack", str(stack.directory)]) == 0
        assert f"{stack.project}-data" in capsys.readouterr().out
        assert main([*words, "--plan", "--json", "--stack", str(stack.directory)]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert re.fullmatch("[0-9a-f]{64}", shown["fingerprint"]) and shown["plan"]["steps"]
    assert stack.started() == started and places.existing_operations(stack.directory) == known


def test_nothing_is_done_without_a_yes(
    stack: OperationStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    started = stack.started()
    assert main(["stop", "--stack", str(stack.directory)]) == 2
    assert "use --yes" in capsys.readouterr().err
    assert main(["--read-only", "stop", "--yes", "--stack", str(stack.directory)]) == 2
    assert "--read-only refuses" in capsys.readouterr().err
    settings = stack.directory.parent / "read-only.toml"
    settings.write_text("[console]\nread_only = true\n")
    place = journal.create(stack.directory, places.new_id("stop"), stack_plans.stop(stack.look()))
    for words in (["stop", "-y"], ["rollback", "emergency-stop", "-y"], ["operations", "undo", place.name, "-y"]):
        assert main([*words, "--config", str(settings), "--stack", str(stack.directory)]) == 2
        assert f"read_only in [console] of {settings} refuses" in capsys.readouterr().err
    assert main(["stop", "nonsense", "--yes", "--stack", str(stack.directory)]) == 2
    said = capsys.readouterr().err
    assert "no such service: nonsense" in said and "There are: store, web" in said
    assert stack.started() == started


def test_a_plan_is_refused_when_the_stack_changed_in_between(stack: OperationStack) -> None:
    plan = stack_plans.restart(stack.look())
    file = stack.directory / "compose.yaml"
    text = file.read_text()
    try:
        file.write_text(text + "\n")
        started = stack.started()
        place, code = stack.run(plan)
        assert code == 2 and stack.started() == started
        end = journal.read(place)[-1]
        assert end.result is Result.REFUSED and "file compose.yaml: its content changed" in end.problem
    finally:
        file.write_text(text)
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "--wait", "web")
    place, code = stack.run(plan)
    assert code == 2 and re.search(r"container \S+-web-1: was created again", journal.read(place)[-1].problem)


def test_what_ran_is_what_was_planned(stack: OperationStack) -> None:
    plan = stack_plans.restart(stack.look(), rolling=True)
    place, code = stack.run(plan)
    records = journal.read(place)
    assert code == 0
    assert [one.step for one in records if one.event == "step"] == [step.id for step in plan.steps]
    ran = [one.command for one in records if one.event == "step-end" and one.command]
    assert ran == [command for step in plan.steps for command in step.commands]


# --- gates and cancel ------------------------------------------------------------------------------


def test_a_service_that_does_not_get_well_fails_loudly(stack: OperationStack) -> None:
    stack.compose("exec", "web", "touch", "/ill")
    try:
        place, code = stack.run(stack_plans.restart(stack.look()))
    finally:
        stack.compose("exec", "web", "rm", "/ill")
        stack.compose("restart", "web")
        stack.up()
    end = journal.read(place)[-1]
    assert code == 1 and end.result is Result.FAILED
    assert "-web-1 is unhealthy" in end.problem and "running: " in end.state[0]
    assert past.past(stack.directory)[0].problem == end.problem


def test_cancel_ends_at_a_safe_point(stack: OperationStack, capsys: pytest.CaptureFixture[str]) -> None:
    plan = stack_plans.restart(stack.look(), rolling=True)
    place, process = stack.begin(plan)
    stack.wait_for_step(place, plan.steps[0].id)
    assert main(["operations", "cancel", place.name, "--stack", str(stack.directory)]) == 0
    assert process.wait(60) == 5
    records = journal.read(place)
    assert records[-1].result is Result.CANCELLED and "cancelled" in records[-1].problem
    begun = [one.step for one in records if one.event == "step"]
    ended = [one.step for one in records if one.event == "step-end"]
    assert begun == ended and len(begun) < len(plan.steps)
    assert stack.running() == BOTH


# --- several operators, lost terminals -------------------------------------------------------------


def test_the_second_operator_sees_who_and_can_watch(slow: OperationStack, capsys: pytest.CaptureFixture[str]) -> None:
    place, process = slow.begin(stack_plans.stop(slow.look()), SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 22")
    slow.wait_for_step(place, "stop")
    assert main(["restart", "--yes", "--stack", str(slow.directory)]) == 2
    said = capsys.readouterr().err
    assert "stop of the stack" in said and "from 192.0.2.7 runs since" in said and place.name in said
    # A plan that was made just before is refused by the runner itself.
    refused, code = slow.run(stack_plans.restart(slow.look()))
    assert code == 2 and "runs since" in journal.read(refused)[-1].problem
    assert main(["operations", "watch", place.name, "--stack", str(slow.directory)]) == 0
    assert "DONE after" in capsys.readouterr().out
    assert process.wait(30) == 0 and slow.running() == set()
    assert lock.holder_of(slow.directory) is None


def test_a_terminal_that_hangs_up_does_not_stop_the_operation(slow: OperationStack) -> None:
    with Terminal(OPSCONSOLE, "stop", "--stack", str(slow.directory), columns=120, rows=40) as terminal:
        terminal.wait_for("Do it?")
        terminal.type("y\r")
        terminal.wait_for("> Stop")
        place = newest(slow.directory)
        assert journal.is_alive(place)
        terminal.hang_up()
        terminal.process.wait(10)
    wait_until(lambda: not journal.is_alive(place), 60, "the operation did not end")
    assert journal.read(place)[-1].result is Result.DONE
    assert slow.running() == set() and chain.verify(slow.directory) == ()


# --- emergency stop --------------------------------------------------------------------------------


def test_emergency_stop_with_a_broken_file_while_another_operation_runs(
    slow: OperationStack, capsys: pytest.CaptureFixture[str]
) -> None:
    before = slow.started()
    other, process = slow.begin(stack_plans.restart(slow.look(), rolling=True))
    slow.wait_for_step(other, journal.read_plan(other).steps[0].id)
    (slow.directory / "compose.yaml").write_text("services: [this is broken")
    began = time.monotonic()
    assert main(["rollback", "emergency-stop", "--yes", "--stack", str(slow.directory)]) == 0
    took = time.monotonic() - began
    place = newest(slow.directory)
    end = journal.read(place)[-1]
    assert end.result is Result.DONE and (end.seconds or 99) < 10, took
    assert process.wait(30) == 5, journal.read(other)[-1]  # it was asked to end, and did
    assert slow.running() == set()
    assert slow.started().keys() == before.keys()  # kept for inspection
    evidence = {file.name: file.read_text() for file in (place / "evidence").iterdir()}
    assert {"inspect.json", f"{slow.project}-web-1.log", f"{slow.project}-store-1.log"} <= evidence.keys()
    assert json.loads(evidence["inspect.json"])[0]["Config"]["Env"]
    kept = everything_kept(slow.directory)
    assert "started with" in kept and CANARY not in kept and INLINE_CANARY not in kept
    assert "Stop everything that runs" in capsys.readouterr().out
    assert unfinished.unfinished(slow.directory) == () and chain.verify(slow.directory) == ()
    # Nothing runs now: a second one has nothing to do.
    assert main(["rollback", "emergency-stop", "--yes", "--stack", str(slow.directory)]) == 0
    assert "nothing to stop" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk needs root")
def test_emergency_stop_on_a_full_disk(slow: OperationStack, capsys: pytest.CaptureFixture[str]) -> None:
    state = slow.directory / ".opsconsole"
    state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(state)], check=True, timeout=10)
    try:
        with contextlib.suppress(OSError), (state / "rest").open("wb", buffering=0) as rest:
            while True:
                rest.write(bytes(4096))
        assert main(["rollback", "emergency-stop", "--yes", "--stack", str(slow.directory)]) == 0
        said = capsys.readouterr()
        assert "Stopping without a journal" in said.err and "No space left" in said.err
        assert slow.running() == set()
    finally:
        subprocess.run(["umount", str(state)], check=True, timeout=10)


def test_history_names_a_touched_record(stack: OperationStack, capsys: pytest.CaptureFixture[str]) -> None:
    place, code = stack.run(stack_plans.restart(stack.look()))
    here = ["--stack", str(stack.directory)]
    assert code == 0 and main(["history", "--verify", *here]) == 0
    assert main(["history", place.name[-6:], *here]) == 0
    assert "$ docker compose" in capsys.readouterr().out
    assert main(["history", place.name, "--markdown", *here]) == 0
    report = capsys.readouterr().out
    assert report.startswith("# restart of the stack") and "## Output" in report
    file = place / "journal.jsonl"
    text = file.read_text()
    try:
        file.write_text(text.replace('"who":{"login":"', '"who":{"login":"not-', 1))
        assert main(["history", "--verify", *here]) == 1
        assert f"{place.name}/journal.jsonl line 1 was changed" in capsys.readouterr().out
    finally:
        file.write_text(text)
    assert main(["history", "no-such-id", *here]) == 2
