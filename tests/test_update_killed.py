"""The runner of a whole update killed (SIGKILL) in and after every step, on the way back, too: commit, images, files
and local changes end as they were or as the new version has them, and somebody is told.

Between two steps it is as between those of any operation: see test_operations_killed. What a kill in mid-act does to
the tree alone, with both answers, is in test_tree_acts, and to the containers alone in test_deploy_killed.
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, lock, releases, unfinished
from opsconsole.operations.plan import Act
from opsconsole.operations.steps import DECLARED
from tests.deploy_stack import make_images
from tests.git_trees import git
from tests.operation_stack import CANARY
from tests.parts.engine import Engine
from tests.parts.leftovers import run_name
from tests.parts.machine import wait_until
from tests.update_stack import SmallUpdateStack, update_stack

pytestmark = pytest.mark.usefixtures("forked_operations")

VERSIONS = ("1", "2")
LOOKS = {Act.PREFLIGHT, Act.SAFETY_BACKUP, Act.GATE, Act.PROBES, Act.SOAK, Act.GIT}
SWEPT = {Act.SAFETY_BACKUP, Act.PUT_ASIDE, Act.MOVE_TREE, Act.PREFLIGHT, Act.RECORD_RELEASE, Act.RECREATE, Act.GATE,
         Act.PROBES, Act.SOAK, Act.MARK_GOOD, Act.PUT_BACK, Act.GIT}  # fmt: skip
"""Acts of which every point is passed here."""

ENDS_AT_ONCE = '["false"]'


class Found(msgspec.Struct, frozen=True):
    """Everything of a stack that an update moves."""

    commit: str
    runs: str  # the version in the container's environment
    image: str  # the version of its image
    compose: str
    local: str  # app.conf, with a change of its own
    env: str
    stashes: str = ""


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallUpdateStack]:
    """Version 1 runs, by a deploy; a tracked file is changed here."""
    make_images(engine, f"{run_name()}updkill", VERSIONS)
    with update_stack(engine, tmp_path_factory.mktemp("updkill"), "updkill", SmallUpdateStack) as made:
        assert main(["deploy", "--yes", "--stack", str(made.directory)]) == 0
        (made.directory / "app.conf").write_text("one\ntwo\nMINE\n")
        yield made


def found(stack: SmallUpdateStack) -> Found:
    (web,) = [one for one in stack.engine.containers(stack.project) if "-web-" in one["Name"]]
    image = stack.engine.image_labels(web["Image"])["version"]
    levels = [line.removeprefix("LEVEL=") for line in web["Config"]["Env"] if line.startswith("LEVEL=")]
    return Found(
        commit=stack.head(),
        runs=",".join(levels),
        image=image,
        compose=(stack.directory / "compose.yaml").read_text(),
        local=(stack.directory / "app.conf").read_text(),
        env=(stack.directory / ".env").read_text(),
        stashes=git(stack.directory, "stash", "list"),
    )


def comes_in(stack: SmallUpdateStack, *, ill: bool = False) -> Found:
    """The other version at the remote, if it is not there yet, and how the stack is when it has arrived."""
    version = next(one for one in VERSIONS if one != found(stack).runs)
    text = stack.text(version=version, **({"command": ENDS_AT_ONCE} if ill else {}))
    git(stack.directory, "fetch", "--quiet")
    commit = git(stack.directory, "rev-parse", "origin/main")
    if git(stack.directory, "show", "origin/main:compose.yaml") != text.strip():
        commit = stack.trees.push({"compose.yaml": text, "app.conf": f"{version}\ntwo\nthree\n"})
    env = f"COMPOSE_PROJECT_NAME={stack.project}\nSTORE_PASSWORD={CANARY}\n"
    return Found(commit=commit, runs=version, image=version, compose=text, local=f"{version}\ntwo\nMINE\n", env=env)


def passed(path: Path, *, after: int = 0) -> list[str]:
    """Points inside of steps (`D02.3`), of those that were begun after so many others."""
    seen: Counter[str] = Counter()
    listed = []
    for name in path.read_text().split():
        seen[name] += 1
        inside = name in ("O05", "O06") or name[0] in "TD"
        if inside and seen["O05"] > after:
            listed.append(f"{name}.{seen[name]}")
    return listed


def names(points: list[str]) -> set[str]:
    return {at.partition(".")[0] for at in points}


def killed(stack: SmallUpdateStack, at: str, answer: str) -> None:
    """Kill an update there and give the answer to what is half done."""
    place, code = stack.run(stack.plan(), OPS_KILL_AT=at)
    assert code == -signal.SIGKILL, at
    wait_until(lambda: lock.holder_of(stack.directory) is None, 30, f"{at}: the lock is still held")
    assert not journal.has_ended(place), at
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name], at
    assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 0, (at, answer)


def nothing_is_left(stack: SmallUpdateStack, at: str) -> None:
    """Whatever was answered, the next operation finds a whole stack."""
    assert unfinished.unfinished(stack.directory) == (), at
    assert stack.running() == {"store", "web"}, at
    assert sorted(stack.images()) == [f"{stack.project}-store-1", f"{stack.project}-web-1"], at
    kept = releases.all_releases(stack.directory)
    assert releases.State.CANDIDATE not in {one.state for one in kept}, at
    assert not [one for one in (stack.directory / ".opsconsole" / "releases").iterdir() if one.name[0] == "."], at


@pytest.mark.timeout(900)
@pytest.mark.parametrize("answer", ["finish", "undo"])
def test_killed_at_every_point_on_the_way_forward(stack: SmallUpdateStack, tmp_path: Path, answer: str) -> None:
    """What is finished begins in front of the step that was recorded; what is undone, behind an act that was not. Of
    the points inside of acts each answer has its half. An undo does not ask how far it came: behind a step that only
    looks it is as behind the one before."""
    new = comes_in(stack)
    place, code = stack.run(stack.plan(), OPS_STEPS_TO=str(tmp_path / "points"))
    assert code == 0 and found(stack) == new
    points = passed(tmp_path / "points")
    # D06 is on the way back; T04 to T06 are of files, which no update puts in place.
    assert names(points) == {"O05", "O06", "T01", "T02", "T03"} | {n for n in DECLARED if n[0] == "D" and n != "D06"}
    steps = journal.read_plan(place).steps
    assert [one.step for one in journal.read(place) if one.event == "step"] == [step.id for step in steps]
    assert {step.act for step in steps} == SWEPT
    changing = {f"O06.{number}" for number, step in enumerate(steps, 1) if step.act not in LOOKS}
    assert len(changing) >= 6
    inside = [at for at in points if at[0] in "TD"]
    wanted = {
        "finish": [at for at in points if at.startswith("O05")] + inside[::2],
        "undo": [at for at in points if at in changing] + inside[1::2],
    }
    for at in wanted[answer]:
        old, new = found(stack), comes_in(stack)
        killed(stack, at, answer)
        assert found(stack) == (new if answer == "finish" else old), (at, answer)
        nothing_is_left(stack, at)
    assert chain.verify(stack.directory) == ()


@pytest.mark.timeout(900)
def test_killed_at_every_point_on_the_way_back(stack: SmallUpdateStack, tmp_path: Path) -> None:
    """From a version whose container ends at once. Both answers lead to where it came from."""
    old = found(stack)
    comes_in(stack, ill=True)
    place, code = stack.run(stack.plan(), OPS_STEPS_TO=str(tmp_path / "points"))
    assert code == 3 and found(stack) == old
    events = [one.event for one in journal.read(place)]
    points = passed(tmp_path / "points", after=events[: events.index("way-back")].count("step"))
    assert {"O05", "O06", "T01", "T02", "T03", "D06"} <= names(points)
    answers = itertools.cycle(("finish", "undo"))
    for at in points:
        killed(stack, at, next(answers))
        assert found(stack) == old, at
        nothing_is_left(stack, at)
    assert chain.verify(stack.directory) == ()
