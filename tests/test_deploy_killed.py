"""The runner of a deploy and of a rollback killed (SIGKILL) at every step and inside them: the stack ends as the
release before or as the new one, and somebody is told."""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, lock, releases, unfinished
from opsconsole.operations.plan import Act, Plan
from opsconsole.operations.steps import DECLARED
from tests.deploy_stack import SMALL, DeployStack, deploy_stack, make_images
from tests.operation_stack import FIXTURE
from tests.parts.engine import Engine
from tests.parts.machine import wait_until

pytestmark = pytest.mark.usefixtures("forked_operations")

SETTINGS = "[deploy]\nsoak_seconds = 0.1\ngate_seconds = 30\n"
VERSIONS = ("1", "2")
NOWHERE = "127.0.0.1:9"
"""A registry that nobody reaches: what it is asked for is here already."""

SWEPT = {Act.PREFLIGHT, Act.PULL, Act.RECORD_RELEASE, Act.RECREATE, Act.GATE, Act.PROBES, Act.SOAK, Act.MARK_GOOD,
         Act.RETURN}  # fmt: skip
"""Acts of which every point is passed here or, around those that any deploy has, in test_update_killed."""


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployStack]:
    """Version 1 runs, by a deploy."""
    with deploy_stack(engine, tmp_path_factory.mktemp("killed"), "killed") as made:
        pulled = f"{NOWHERE}/{made.project}-store:1"
        made.template = SMALL.replace("image: {fixture}\n    pull_policy: never", f"image: {pulled}", 1)
        engine.docker("tag", FIXTURE, pulled)
        make_images(engine, made.project, VERSIONS)
        made.write(version="1", settings=SETTINGS)
        try:
            assert main(["deploy", "--yes", "--stack", str(made.directory)]) == 0
            yield made
        finally:
            engine.docker("rmi", "--force", pulled, check=False)


def runs(stack: DeployStack) -> str:
    """The version that runs, by its container's own environment."""
    environment = stack.inspected()[stack.name("web")]["Config"]["Env"]  # type: ignore[index]
    (level,) = [one.removeprefix("LEVEL=") for one in environment if one.startswith("LEVEL=")]
    return level


def other(stack: DeployStack) -> str:
    return next(version for version in VERSIONS if version != runs(stack))


def deploy(stack: DeployStack) -> tuple[Plan, str]:
    wanted = other(stack)
    stack.write(version=wanted, settings=SETTINGS)
    return stack.plan(), wanted


def rollback(stack: DeployStack) -> tuple[Plan, str]:
    """To the newest release of the other version."""
    wanted = other(stack)
    return stack.rollback(of_version(stack, wanted)[-1]), wanted


def of_version(stack: DeployStack, version: str) -> list[str]:
    """Names of the good releases that run it."""
    kept = (one for one in releases.all_releases(stack.directory) if one.state is releases.State.GOOD)
    return [one.name for one in kept if (web := one.service("web")) and web.image.endswith(f":{version}")]


def points(path: Path, names: set[str], plan: Plan) -> list[str]:
    """Where it is killed: at those of these names, before and after a pull, and when the last step is done and not
    recorded."""
    seen: Counter[str] = Counter()
    found = []
    for name in path.read_text().split():
        seen[name] += 1
        found.append((name, f"{name}.{seen[name]}"))
    inside = [at for name, at in found if name in names]
    pulls = [number for number, step in enumerate(plan.steps, 1) if step.act is Act.PULL]
    return [*inside, *(f"{point}.{number}" for number in pulls for point in ("O05", "O06")), f"O06.{seen['O06']}"]


OPERATIONS: dict[str, tuple[Callable[[DeployStack], tuple[Plan, str]], set[str]]] = {
    # Before and after each of its steps it is killed as a part of an update: see test_update_killed.
    "deploy": (deploy, {"D01", "D02", "D03", "D04", "D05", "D07"}),
    "rollback": (rollback, {"D06", "O05"}),
}


def test_every_point_of_a_deploy_is_passed_by_one_of_them() -> None:
    inside = set().union(*(passed for _, passed in OPERATIONS.values()))
    assert inside >= {name for name in DECLARED if name.startswith("D")}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_at_every_point(stack: DeployStack, tmp_path: Path, name: str) -> None:
    make, inside = OPERATIONS[name]
    kept = stack.kept()
    if not of_version(stack, other(stack)):
        assert stack.run(deploy(stack)[0])[1] == 0
    seen = tmp_path / "points"
    plan, wanted = make(stack)
    assert stack.run(plan, OPS_STEPS_TO=str(seen))[1] == 0 and runs(stack) == wanted
    passed = points(seen, inside, plan)
    assert {at.partition(".")[0] for at in passed} == inside | {"O05", "O06"}
    assert {step.act for step in plan.steps} == (SWEPT - {Act.RETURN} if name == "deploy" else {Act.RETURN})
    # The other way round than the same points of an update: see test_update_killed.
    answers = itertools.cycle(("undo", "finish"))
    for at in passed:
        before = runs(stack)
        plan, wanted = make(stack)
        place, code = stack.run(plan, OPS_KILL_AT=at)
        assert code == -signal.SIGKILL, at
        wait_until(lambda: lock.holder_of(stack.directory) is None, 30, f"{at}: the lock is still held")
        left = [one.operation for one in unfinished.unfinished(stack.directory)]
        if journal.has_ended(place):
            assert left == [] and runs(stack) == wanted, at
        else:
            assert left == [place.name], at
            answer = next(answers)
            assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 0, (at, answer)
            assert runs(stack) == (wanted if answer == "finish" else before), (at, answer)
        now = stack.current()
        assert now is not None and now.returnable, at
        assert "candidate" not in stack.releases().values(), at
        assert sorted(stack.ids()) == [stack.name("store"), stack.name("web")], at
        assert unfinished.unfinished(stack.directory) == () and stack.kept() == kept, at
        assert not [one for one in (stack.directory / ".opsconsole" / "releases").iterdir() if one.name[0] == "."], at
    assert chain.verify(stack.directory) == ()
