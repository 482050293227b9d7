"""The runner killed (SIGKILL) at every point of every operation: the stack ends old or new, and somebody is told."""

from __future__ import annotations

import ast
import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import opsconsole.operations
from opsconsole.cli import main
from opsconsole.config import Config
from opsconsole.operations import (
    chain,
    container_plans,
    emergency,
    facts,
    journal,
    lock,
    past,
    remove_plans,
    requests,
    stack_plans,
    unfinished,
)
from opsconsole.operations.containers import Verb
from opsconsole.operations.plan import Act, Plan
from opsconsole.operations.steps import DECLARED
from tests import test_config_killed, test_deploy_killed, test_update_killed
from tests.operation_stack import OperationStack, operation_stack
from tests.parts.engine import Engine
from tests.parts.machine import wait_until

pytestmark = pytest.mark.usefixtures("forked_operations")

BOTH = {"store", "web"}
SOURCES = Path(opsconsole.operations.__file__).parent


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperationStack]:
    with operation_stack(engine, tmp_path_factory.mktemp("killed"), builds=True) as made:
        yield made


def _stop(stack: OperationStack) -> Plan:
    return stack_plans.stop(stack.look())


def _start(stack: OperationStack) -> Plan:
    return stack_plans.start(stack.look())


def _restart(stack: OperationStack) -> Plan:
    return stack_plans.restart(stack.look())


def _rolling(stack: OperationStack) -> Plan:
    return stack_plans.restart(stack.look(), rolling=True)


def _emergency(stack: OperationStack) -> Plan:
    return emergency.plan(facts.engine_look(stack.directory, Config()))


def _named(verb: Verb) -> Callable[[OperationStack], Plan]:
    """By the keys of the console: containers by their ids, the start and the restart of one alone."""

    def plan(stack: OperationStack) -> Plan:
        containers = facts.listed(stack.directory, Config())
        wanted = [one for one in containers if verb is Verb.STOP or one.service == "web"]
        return container_plans.plan(stack.project, stack.directory, verb, wanted)

    return plan


def _remove(stack: OperationStack) -> Plan:
    return remove_plans.remove(remove_plans.holdings(stack.directory, Config()))


OPERATIONS: dict[str, tuple[Callable[[OperationStack], Plan], set[str], set[str]]] = {
    # name: how it is planned, what runs before, what runs when it is done
    "stop": (_stop, BOTH, set()),
    "start": (_start, set(), BOTH),
    "restart": (_restart, BOTH, BOTH),
    "rolling": (_rolling, BOTH, BOTH),
    "emergency": (_emergency, BOTH, set()),
    "stop of containers": (_named(Verb.STOP), BOTH, set()),
    "start of a container": (_named(Verb.START), {"store"}, BOTH),
    "restart of a container": (_named(Verb.RESTART), BOTH, BOTH),
    "remove": (_remove, BOTH, set()),
}
RESTARTED = {"restart": 2, "rolling": 2, "restart of a container": 1}
"""How many containers have been started anew when it is finished: they run before and after it."""

SWEPT = frozenset({Act.COMMANDS, Act.GATE, Act.EVIDENCE, Act.STOP_ALL})
"""Acts of which every point is passed here."""

OF_DATA = {
    Act.SAVE, Act.VERIFY, Act.PRUNE, Act.COPY, Act.CHECK_BACKUP, Act.PUT_TOGETHER, Act.LOAD, Act.SWAP, Act.SWAP_BACK,
    Act.CLEAR_BESIDE, Act.IMPORT, Act.ABORT, Act.END_CLIENT, Act.VALIDATE, Act.REBUILD_INDEX, Act.FLUSH, Act.USERS,
    Act.MAKE_KEY, Act.REMOVE_KEY, Act.RENEW, Act.INITIATE, Act.LEAVE_SET, Act.COMPARE_DATA,
}  # fmt: skip
"""Of backups, restores and databases: test_backup_publishing, test_restore_killed, test_databases_stopped and
test_data_operations_killed. What ends a client or what it asked for is one command, and there is nothing between."""

REQUESTS_OF_DATA = {
    "backup", "verify", "prune", "copy", "restore", "import", "validate", "rebuild-index", "flush", "undo-restore",
    "replica-set", "undo-replica-set",
}  # fmt: skip

ANSWERS = ("finish", "undo")
TURNS = [
    pytest.param(name, ANSWERS[at % 2], id=f"{name}-{ANSWERS[at % 2]} first") for at, name in enumerate(OPERATIONS)
]
"""Each point that is passed again is answered the other way; one that is passed once, the other way by the next
operation."""


def _bring_to(stack: OperationStack, wanted: set[str]) -> None:
    if stack.running() == wanted:
        return
    stack.compose("up", "--detach")
    if stop := sorted(BOTH - wanted):
        stack.engine.docker("stop", "--time", "1", *(f"{stack.project}-{service}-1" for service in stop))


def _points(path: Path) -> list[tuple[str, str]]:
    """(`O05.2`, `O05`) of every passing in a file that `OPS_STEPS_TO` made."""
    seen: Counter[str] = Counter()
    found = []
    for name in path.read_text().split():
        seen[name] += 1
        found.append((f"{name}.{seen[name]}", name))
    return found


def test_every_declared_point_is_in_the_code_and_no_other() -> None:
    used = {
        node.args[0].value
        for file in SOURCES.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "step"
        and isinstance(node.args[0], ast.Constant)
    }
    assert used == DECLARED.keys()


def test_every_operation_and_every_act_of_a_step_is_swept_somewhere() -> None:
    """A new one has to be, too. Each of these sweeps looks that its plans have the acts that it says."""
    swept = SWEPT | test_config_killed.SWEPT | test_deploy_killed.SWEPT | test_update_killed.SWEPT
    assert swept | OF_DATA == set(Act) and not swept & OF_DATA
    asked_for = {
        "stop": "stop", "start": "start", "restart": "restart", "restart-all": "restart", "remove": "remove",
        "emergency-stop": "emergency",
    }  # fmt: skip
    assert set(asked_for.values()) <= OPERATIONS.keys()
    elsewhere = {"deploy", "previous-image", "update", "config", "undo-config"}
    assert asked_for.keys() | elsewhere | {"finish", "undo"} | REQUESTS_OF_DATA == requests.PLANS.keys()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "first"), TURNS)
def test_killed_at_every_point(stack: OperationStack, tmp_path: Path, name: str, first: str) -> None:
    make, before, after = OPERATIONS[name]
    seen = tmp_path / "points"
    _bring_to(stack, BOTH)
    stack.compose("exec", "-T", "store", "sh", "-c", f"echo {name} > /store/kept")
    _bring_to(stack, before)
    place, code = stack.run(make(stack), OPS_STEPS_TO=str(seen))
    assert code == 0 and stack.running() == after
    assert {step.act for step in journal.read_plan(place).steps} <= SWEPT
    points = _points(seen)
    assert {point for _, point in points} == {point for point in DECLARED if point.startswith("O")}
    if name == "rolling":
        points = [one for one in points if one[0].endswith((".3", ".4"))]  # those of the second container
    if name not in ("stop", "rolling"):
        # Each step is killed before and after its act. Between two steps, before the first and after the last one it is
        # as with the others.
        points = [(at, point) for at, point in points if at in ("O04.1", "O07.1") or point in ("O05", "O06")]
    turn = ANSWERS.index(first)
    answers = {point: itertools.cycle((*ANSWERS[turn:], *ANSWERS[:turn])) for _, point in points}
    for at, point in points:
        _bring_to(stack, before)
        started = stack.started()
        place, code = stack.run(make(stack), OPS_KILL_AT=at)
        assert code == -signal.SIGKILL, at
        wait_until(lambda: lock.holder_of(stack.directory) is None, 30, f"{at}: the lock is still held")
        records = journal.read(place)
        left = [one.operation for one in unfinished.unfinished(stack.directory)]
        if records[-1].event == "end":
            assert stack.running() == after and left == [], at
        elif not any(record.event == "step" for record in records):
            assert stack.started() == started and left == [], at
            assert past.past(stack.directory)[0].result == "killed before it did anything"
        else:
            assert left == [place.name], at
            answer = next(answers[point])
            assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 0, at
            assert stack.running() == (after if answer == "finish" else before), (at, answer)
            assert name != "remove" or answer == "undo" or stack.started() == {}, at
            if answer == "finish" and name in RESTARTED:
                again = [id for id, at_last in stack.started().items() if at_last != started[id]]
                assert len(again) == RESTARTED[name], (at, answer)
        assert unfinished.unfinished(stack.directory) == (), at
    # What ended and could not be sealed is sealed by whoever comes next.
    _bring_to(stack, BOTH)
    assert stack.compose("exec", "-T", "store", "cat", "/store/kept") == f"{name}\n"
    assert stack.run(_stop(stack))[1] == 0
    assert chain.verify(stack.directory) == ()
    assert "half done" not in {one.result for one in past.past(stack.directory) if not one.resolved}


def test_a_fault_at_a_point_is_a_loud_failure(stack: OperationStack) -> None:
    _bring_to(stack, BOTH)
    for point in ("O03", "O04", "O05", "O06"):
        place, code = stack.run(_restart(stack), OPS_RAISE_AT=f"{point}:ENOSPC")
        end = journal.read(place)[-1]
        assert code == 1 and end.event == "end" and end.result is journal.Result.FAILED, point
        assert "No space left" in end.problem, point
        assert unfinished.unfinished(stack.directory) == (), point


def test_the_next_command_says_what_is_half_done(stack: OperationStack, capsys: pytest.CaptureFixture[str]) -> None:
    _bring_to(stack, BOTH)
    place, _ = stack.run(_stop(stack), OPS_KILL_AT="O06")
    assert main(["start", "--plan", "--stack", str(stack.directory)]) == 0
    said = capsys.readouterr().err
    assert "half done: stop of the stack" in said and f"operations undo {place.name}" in said
    main(["status", "--stack", str(stack.directory)])
    assert f"operations finish {place.name}" in capsys.readouterr().err
    assert main(["operations", "--stack", str(stack.directory)]) == 1
    capsys.readouterr()
    assert main(["operations", "--json", "--stack", str(stack.directory)]) == 1
    (left,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert left["operation"] == place.name and left["result"] == "half done"
    assert main(["operations", "undo", place.name, "-y", "--stack", str(stack.directory)]) == 0
    capsys.readouterr()
    assert main(["operations", "--stack", str(stack.directory)]) == 0
    assert "nothing is half done" in capsys.readouterr().out


def test_killed_while_its_command_runs(engine: Engine, tmp_path: Path) -> None:
    """The command goes on for a while; until it ends the stack stays locked, and the half is not forgotten."""
    with operation_stack(engine, tmp_path, stubborn=True) as slow:
        place, process = slow.begin(stack_plans.stop(slow.look()))
        slow.wait_for_step(place, "stop")
        wait_until(lambda: (place / "output.log").stat().st_size > 0, 30, "the command did not begin", interval=0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        wait_until(lambda: lock.holder_of(slow.directory) is None, 60, "the lock was not freed")
        assert [one.operation for one in unfinished.unfinished(slow.directory)] == [place.name]
        assert main(["operations", "finish", place.name, "-y", "--stack", str(slow.directory)]) == 0
        assert slow.running() == set()
        assert chain.verify(slow.directory) == ()
