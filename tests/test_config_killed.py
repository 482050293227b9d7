"""The runner of a `rollback config` and of its `--undo`, with hooks around them, killed (SIGKILL) in and after every
step, on the way back, too: files, images, containers end as they were or as they were wanted, and somebody is told.

Between two steps it is as between those of any operation: see test_operations_killed.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, lock, releases, unfinished
from opsconsole.operations.plan import Act, Plan
from tests.deploy_stack import make_images
from tests.git_trees import commit
from tests.operation_stack import CANARY
from tests.parts.engine import Engine
from tests.parts.leftovers import run_name
from tests.parts.machine import wait_until
from tests.update_stack import SETTINGS, SmallUpdateStack, update_stack

pytestmark = pytest.mark.usefixtures("forked_operations")

QUICK = SETTINGS.replace("0.2", "0")
HOOKS = (
    QUICK
    + "[hooks]\n"
    + "".join(
        f'{name} = ["sh", "-c", "echo {name} >> told"]\n' for name in ("before_deploy", "after_deploy", "on_failure")
    )
)
CHANGING = {Act.HOOK, Act.RESTORE_FILES, Act.RECORD_RELEASE, Act.RECREATE, Act.MARK_GOOD}
SWEPT = CHANGING | {Act.PREFLIGHT, Act.GATE, Act.PROBES, Act.FILES_BACK, Act.RETURN}
"""Acts of which every point is passed here."""

FILES = {"T04", "T05", "D04", "D05"}
"""Inside of acts: files, and the container that is made anew with them. The others are those of any deploy."""


class Found(msgspec.Struct, frozen=True):
    """Everything of a stack that a rollback of the configuration moves."""

    runs: str  # the version in the container's environment
    compose: str
    env: str


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallUpdateStack]:
    """Releases of two configurations are kept, the second one runs."""
    make_images(engine, f"{run_name()}cfgkill", ("1", "2"))
    with update_stack(engine, tmp_path_factory.mktemp("cfgkill"), "cfgkill", SmallUpdateStack) as made:
        (made.directory / "opsconsole.toml").write_text(QUICK)
        for version in ("1", "2"):
            write(made, version)
            assert main(["deploy", "--yes", "--stack", str(made.directory)]) == 0
        (made.directory / "opsconsole.toml").write_text(HOOKS)
        yield made


def write(stack: SmallUpdateStack, version: str) -> None:
    (stack.directory / "compose.yaml").write_text(stack.text(version=version))
    stack.write_env(f"VERSION_OF_ENV={version}\n")


def found(stack: SmallUpdateStack) -> Found:
    (level,) = [line.removeprefix("LEVEL=") for line in stack.environment().split("\n") if line.startswith("LEVEL=")]
    return Found(
        runs=level,
        compose=(stack.directory / "compose.yaml").read_text(),
        env=(stack.directory / ".env").read_text(),
    )


def of(stack: SmallUpdateStack, version: str) -> Found:
    env = f"COMPOSE_PROJECT_NAME={stack.project}\nSTORE_PASSWORD={CANARY}\nVERSION_OF_ENV={version}\n"
    return Found(runs=version, compose=stack.text(version=version), env=env)


def planned(stack: SmallUpdateStack, name: str) -> tuple[Plan, Found]:
    """`config` to the release of the other version, `undo-config` of the last one that was done; and where it leads."""
    other = "1" if found(stack).runs == "2" else "2"
    if name == "undo-config":
        return stack.plan(name, safety=False), of(stack, other)
    good = [one for one in releases.all_releases(stack.directory) if one.state is releases.State.GOOD]
    (to, *_) = [one.name for one in reversed(good) if (web := one.service("web")) and web.image.endswith(f":{other}")]
    return stack.plan(name, to=to, safety=False), of(stack, other)


def passed(path: Path, *, after: int = 0) -> list[str]:
    """Points inside of steps (`T05.2`), of those that were begun after so many others."""
    seen: Counter[str] = Counter()
    listed = []
    for name in path.read_text().split():
        seen[name] += 1
        if (name in ("O05", "O06") or name[0] in "TD") and seen["O05"] > after:
            listed.append(f"{name}.{seen[name]}")
    return listed


def names(points: list[str]) -> set[str]:
    return {at.partition(".")[0] for at in points}


def killed(stack: SmallUpdateStack, plan: Plan, at: str, answer: str) -> None:
    """Kill it there, give the answer to what is half done, and see that the next operation finds a whole stack."""
    place, code = stack.run(plan, OPS_KILL_AT=at)
    assert code == -signal.SIGKILL, at
    wait_until(lambda: lock.holder_of(stack.directory) is None, 30, f"{at}: the lock is still held")
    assert not journal.has_ended(place), at
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name], at
    assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 0, (at, answer)
    assert unfinished.unfinished(stack.directory) == (), (at, answer)
    assert stack.running() == {"store", "web"} and len(stack.images()) == 2, (at, answer)
    states = {one.state for one in releases.all_releases(stack.directory)}
    assert releases.State.CANDIDATE not in states, (at, answer)
    assert not list(stack.directory.glob(".*.opsconsole-new")), (at, answer)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("answer", ["finish", "undo"])
@pytest.mark.parametrize("name", ["config", "undo-config"])
def test_killed_at_every_point_on_the_way_forward(
    stack: SmallUpdateStack, tmp_path: Path, name: str, answer: str
) -> None:
    """What is finished begins in front of the step that was recorded; what is undone, behind an act that was not: that
    is where each is killed, and both where files and container change. Of `--undo`, which is the same steps with files
    from elsewhere, each answer has its half of all that."""
    told = stack.directory / "told"
    if name == "undo-config" and not stack.newest().name.count("-rollback-"):
        assert stack.run(planned(stack, "config")[0])[1] == 0
    plan, new = planned(stack, name)
    place, code = stack.run(plan, OPS_STEPS_TO=str(tmp_path / "points"))
    assert code == 0 and found(stack) == new
    points = passed(tmp_path / "points")
    steps = journal.read_plan(place).steps
    assert {step.act for step in steps} == SWEPT - {Act.FILES_BACK, Act.RETURN}
    assert names(points) >= {"O05", "O06"} | FILES and points.count("T05.2") == 1
    inside = [at for at in points if at.partition(".")[0] in FILES]
    changing = [f"O06.{number}" for number, step in enumerate(steps, 1) if step.act in CHANGING]
    wanted = [at for at in points if at.startswith("O05")] if answer == "finish" else changing
    wanted = [*wanted, *inside]
    if name == "undo-config":
        wanted = wanted[answer == "undo" :: 2]
    for at in wanted:
        old = found(stack)
        plan, new = planned(stack, name)
        told.unlink(missing_ok=True)
        killed(stack, plan, at, answer)
        assert found(stack) == (new if answer == "finish" else old), (at, answer)
        if answer == "finish":
            assert told.read_text().split()[-1] == "after_deploy", at
    assert chain.verify(stack.directory) == ()


@pytest.mark.timeout(600)
def test_killed_at_every_point_on_the_way_back(stack: SmallUpdateStack, tmp_path: Path) -> None:
    """From the files of a commit whose container ends at once. Both answers lead to where it came from."""
    old = found(stack)
    text = stack.text(version="1" if old.runs == "2" else "2", command='["false"]')
    bad = commit(stack.directory, {"compose.yaml": text}, "This one ends at once")
    (stack.directory / "compose.yaml").write_text(old.compose)

    def plan() -> Plan:
        return stack.plan("config", commit=bad, safety=False)

    place, code = stack.run(plan(), OPS_STEPS_TO=str(tmp_path / "points"))
    assert code == 3 and found(stack) == old
    events = [one.event for one in journal.read(place)]
    points = passed(tmp_path / "points", after=events[: events.index("way-back")].count("step"))
    assert {"O05", "O06", "T06", "D06"} <= names(points)
    made = journal.read_plan(place)
    assert [step.act for step in (*made.way_back, *made.on_failure)] == [Act.FILES_BACK, Act.RETURN, Act.HOOK]
    for number, at in enumerate(points):
        killed(stack, plan(), at, ("finish", "undo")[number % 2])
        assert found(stack) == old, at
    assert chain.verify(stack.directory) == ()
