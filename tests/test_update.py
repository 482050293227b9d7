"""Updates on a real stack under git: what comes in is shown, deployed, and undone with its commit when it is bad."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, releases, unfinished
from opsconsole.operations.journal import Result
from tests.git_trees import commit, git
from tests.operation_stack import CANARY
from tests.parts.engine import Engine
from tests.update_stack import BUILT, UpdateStack, update_stack

pytestmark = pytest.mark.usefixtures("forked_operations")

NEW_IMAGE = BUILT.replace("version=1", "version=2")


@pytest.fixture(scope="module")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpdateStack]:
    with update_stack(engine, tmp_path_factory.mktemp("updated"), "update") as made:
        yield made


@pytest.fixture
def stack(shared: UpdateStack) -> UpdateStack:
    shared.begin_again()
    return shared


def update(stack: UpdateStack, *words: str) -> int:
    return main(["update", "--yes", *words, "--stack", str(stack.directory)])


def kept(stack: UpdateStack) -> str:
    """What the store wrote when its volume was new."""
    return stack.compose("exec", "-T", "store", "cat", "/store/kept")


def test_what_comes_in_is_shown_and_deployed(stack: UpdateStack, capsys: pytest.CaptureFixture[str]) -> None:
    before, data, old = stack.started(), kept(stack), stack.images()
    stack.trees.push({"compose.yaml": stack.text(level="debug", more=', API_TOKEN: "new-secret-7"')}, "Say more")
    target = stack.trees.push({"Dockerfile": NEW_IMAGE}, "A newer image")
    (stack.directory / "app.conf").write_text("mine\n")
    (stack.directory / "notes.txt").write_text("git does not know me\n")
    assert update(stack, "--plan") == 0
    said = capsys.readouterr().out
    assert "A newer image" in said and "Say more" in said and "2 commits of origin/main" in said
    assert "~ service web: environment.LEVEL: info -> debug" in said
    assert "+ service web: environment.API_TOKEN = ********" in said and "new-secret-7" not in said
    assert f"merge --ff-only --no-overwrite-ignore {target}" in said and f"reset --keep {stack.head()}" in said
    assert "Put local changes of tracked files aside: app.conf" in said and "may conflict" not in said
    assert stack.head() != target and stack.started() == before, "a plan changes nothing"

    assert update(stack) == 0
    assert stack.head() == target and "LEVEL=debug" in stack.environment()
    assert stack.images()[f"{stack.project}-web-1"] != old[f"{stack.project}-web-1"]
    assert stack.images()[f"{stack.project}-store-1"] == old[f"{stack.project}-store-1"] and kept(stack) == data
    end = stack.end()
    assert end.result is Result.DONE and f"the tree stands at {target[:7]} (the new version)" in end.state
    assert (stack.directory / "app.conf").read_text() == "mine\n" and git(stack.directory, "stash", "list") == ""
    assert (stack.directory / "notes.txt").exists() and CANARY in (stack.directory / ".env").read_text()
    output = (stack.newest() / "output.log").read_text()
    assert "Dockerfile" in output and "A newer image" in output
    written = "".join(path.read_text(errors="replace") for path in stack.newest().iterdir() if path.is_file())
    assert CANARY not in written and "new-secret-7" not in written
    newest = releases.all_releases(stack.directory)[-1]
    assert newest.state is releases.State.GOOD and newest.commit == target[:7]

    capsys.readouterr()
    assert update(stack) == 0  # nothing more to come is no fault
    assert "nothing came in" in capsys.readouterr().out
    assert chain.verify(stack.directory) == ()


def test_local_changes_that_conflict_are_named_and_the_update_is_good(
    stack: UpdateStack, capsys: pytest.CaptureFixture[str]
) -> None:
    target = stack.trees.push({"compose.yaml": stack.text(level="debug")})
    (stack.directory / "compose.yaml").write_text(stack.text(level="error"))
    assert update(stack) == 0
    said = capsys.readouterr().out
    assert "your changes of compose.yaml are not in what is deployed" in said
    end = stack.end()
    assert end.result is Result.DONE and "conflict in compose.yaml" in end.problem and "stash@{0}" in end.problem
    assert "stash@{0}" in said.split("UPDATED")[-1] or "stash@{0}" in said
    assert stack.head() == target and "LEVEL=debug" in stack.environment()
    assert (stack.directory / "compose.yaml").read_text() == stack.text(level="debug")  # no marks of a conflict
    assert "error" in git(stack.directory, "show", "stash@{0}:compose.yaml")


def test_a_bad_version_goes_back_with_its_commit_images_and_local_changes(stack: UpdateStack) -> None:
    old, images, data = stack.head(), stack.images(), kept(stack)
    stack.trees.push({"compose.yaml": stack.text(level="debug", test="false"), "Dockerfile": NEW_IMAGE})
    stack.trees.push({"app.conf": "THEIRS\ntwo\nthree\n"})
    (stack.directory / "app.conf").write_text("OURS\ntwo\nthree\n")
    assert update(stack) == 3
    end = stack.end()
    assert end.result is Result.ROLLED_BACK and "web" in end.problem
    assert stack.head() == old and f"the tree stands at {old[:7]} (as before)" in end.state
    assert (stack.directory / "app.conf").read_text() == "OURS\ntwo\nthree\n"
    assert git(stack.directory, "stash", "list") == ""
    assert (stack.directory / "compose.yaml").read_text() == stack.text()
    assert stack.images() == images and "LEVEL=info" in stack.environment() and kept(stack) == data
    assert stack.running() == {"store", "web"}


def test_a_build_that_fails_goes_back_before_any_container_was_touched(stack: UpdateStack) -> None:
    old, before = stack.head(), stack.started()
    stack.trees.push({"Dockerfile": BUILT + "RUN false\n"})
    assert update(stack) == 3
    assert stack.head() == old and stack.started() == before
    assert stack.end().result is Result.ROLLED_BACK


@pytest.mark.parametrize("how", ["diverged", "lacking", "in the way", "unreachable"])
def test_what_stands_in_the_way_is_refused_and_nothing_changes(
    stack: UpdateStack, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    told: tuple[str, ...]
    if how == "diverged":
        commit(stack.directory, {"app.conf": "only here\n"}, "Only here")
        stack.trees.push({"app.conf": "theirs\n"})
        told = ("the history has diverged", "Only here", "git rebase origin/main")
    elif how == "lacking":
        stack.trees.push({"compose.yaml": stack.text(more=', MAIL: "${MAIL_HOST}", KEY: "${API_KEY:?}"')})
        told = ("API_KEY, MAIL_HOST", "Add them to .env")
    elif how == "in the way":
        stack.trees.push({"secrets.txt": "theirs\n"})
        (stack.directory / "secrets.txt").write_text("ours\n")
        told = ("not in git: secrets.txt", "Nothing was changed")
    else:
        git(stack.directory, "remote", "set-url", "origin", str(stack.directory / "nowhere"))
        told = ("origin cannot be reached", "The last fetch:")
    head, before, count = stack.head(), stack.started(), len(list((stack.directory / ".opsconsole").rglob("plan.json")))
    try:
        assert update(stack) == 2
    finally:
        git(stack.directory, "remote", "set-url", "origin", str(stack.trees.origin))
    said = capsys.readouterr().err
    assert all(word in said for word in told), said
    assert stack.head() == head and stack.started() == before
    assert len(list((stack.directory / ".opsconsole").rglob("plan.json"))) == count


def test_without_a_remote_what_was_fetched_before_is_taken(
    stack: UpdateStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.trees.push({"compose.yaml": stack.text(level="warn")})
    git(stack.directory, "fetch", "--quiet")
    stack.trees.push({"compose.yaml": stack.text(level="later")})
    assert update(stack, "--no-fetch", "--plan", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["keys"] == ["~ service web: environment.LEVEL: info -> warn"]
    assert any("nothing was fetched" in note for note in plan["notes"])
    # A fetch writes into .git.
    assert main(["--read-only", "update", "--plan", "--stack", str(stack.directory)]) == 0
    assert "nothing was fetched" in capsys.readouterr().out


def test_a_tree_that_was_moved_after_the_plan_was_made_is_not_touched(stack: UpdateStack) -> None:
    stack.trees.push({"compose.yaml": stack.text(level="debug")})
    plan = stack.plan()
    commit(stack.directory, {"app.conf": "x\n"}, "In between")
    head = stack.head()
    _, code = stack.run(plan)
    assert code == 2 and "commit:" in stack.end().problem and stack.head() == head
    assert unfinished.unfinished(stack.directory) == ()


def test_an_update_of_a_stack_without_containers_goes_back_to_none(stack: UpdateStack) -> None:
    stack.compose("down", "--timeout", "1")
    try:
        old = stack.head()
        stack.trees.push({"compose.yaml": stack.text(test="false")})
        assert update(stack) == 3
        assert stack.head() == old and stack.started() == {}
    finally:
        stack.compose("up", "--detach", "--wait")


def test_killed_in_mid_update(stack: UpdateStack) -> None:
    """With web recreated from an image that was built. All other points are in test_update_killed."""
    old, images, data = stack.head(), stack.images(), kept(stack)
    stack.trees.push({"compose.yaml": stack.text(level="debug"), "Dockerfile": NEW_IMAGE})
    (stack.directory / "app.conf").write_text("mine\n")
    place, code = stack.run(stack.plan(), OPS_KILL_AT="D05.1")
    assert code == -signal.SIGKILL and "LEVEL=debug" in stack.environment()
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name]
    assert main(["operations", "undo", place.name, "--yes", "--stack", str(stack.directory)]) == 0
    assert unfinished.unfinished(stack.directory) == ()
    assert stack.head() == old and (stack.directory / "compose.yaml").read_text() == stack.text()
    assert stack.images() == images and "LEVEL=info" in stack.environment() and kept(stack) == data
    assert (stack.directory / "app.conf").read_text() == "mine\n" and git(stack.directory, "stash", "list") == ""


def test_the_directory_of_the_copies_is_empty_afterwards(stack: UpdateStack) -> None:
    assert [path for path in Path(stack.directory, ".opsconsole").iterdir() if path.name.startswith("look-")] == []
