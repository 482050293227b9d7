"""The working tree moved by an operation: local changes put aside and back, forward and backward, killed in between."""

from __future__ import annotations

import itertools
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import journal, requests, tree_plans, unfinished
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Kind, Plan, Step
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from opsconsole.stack import git_changes
from opsconsole.stack.git_program import Git
from tests.git_trees import Trees, git
from tests.operation_stack import OperationStack, operation_stack
from tests.parts.engine import Engine

_numbers = itertools.count(1)
pytestmark = pytest.mark.usefixtures("forked_operations")

FAILS = Step(id="fails", title="A step that fails", act=Act.COMMANDS, commands=(("false",),), turns_back=True)


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperationStack]:
    """Under git, with a file that colleagues change and an env file that git knows, to everybody's regret."""
    with operation_stack(engine, tmp_path_factory.mktemp("tree")) as made:
        (made.directory / "app.conf").write_text("one\ntwo\nthree\n")
        (made.directory / "other.conf").write_text("one\n")
        (made.directory / ".gitignore").write_text(".opsconsole/\n")
        trees = Trees.around(made.directory)
        made.trees = trees  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def trees(stack: OperationStack) -> Trees:
    """Everything at the first commit, clean."""
    made: Trees = stack.trees  # type: ignore[attr-defined]
    first = git(made.colleague, "rev-list", "--max-parents=0", "HEAD")
    git(made.colleague, "reset", "--quiet", "--hard", first)
    git(made.colleague, "push", "--quiet", "--force", "origin", "main")
    git(made.tree, "reset", "--quiet", "--hard", first)
    git(made.tree, "clean", "--quiet", "--force")
    git(made.tree, "stash", "clear")
    return made


def planned(stack: OperationStack, *more: Step) -> Plan:
    """An update without a deploy: only what happens to the tree. `more` comes before the changes are applied again."""
    program = Git(stack.directory)
    tree = git_changes.look(program)
    git_changes.fetch(program, tree)
    change = git_changes.incoming(program, tree)
    look = stack.look()
    message = f"opsconsole-update-{next(_numbers)}"
    aside = [tree_plans.put_aside(program, tree.changed, (".env",), message)] if tree.changed else []
    again = tree_plans.put_aside_again(program, (".env",), message)
    back = tree_plans.put_back(program)
    return Plan(
        kind=Kind.UPDATE,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=(*aside, tree_plans.forward(program, change), *more, back, tree_plans.show_changes(program, change)),
        way_back=(again, tree_plans.backward(program, tree.head), back),
        commit_from=tree.head,
        commit_to=change.target,
        stash=message,
    )


def end_of(place: Path) -> journal.Entry:
    return journal.read(place)[-1]


def head(trees: Trees) -> str:
    return git(trees.tree, "rev-parse", "HEAD")


def test_forward_with_local_changes(stack: OperationStack, trees: Trees) -> None:
    target = trees.push({"app.conf": "ONE\ntwo\nthree\n", "brand-new.conf": "x\n"})
    (trees.tree / "app.conf").write_text("one\ntwo\nTHREE\n")
    (trees.tree / ".env").write_text((trees.tree / ".env").read_text() + "MINE=1\n")
    (trees.tree / "unknown.txt").write_text("git does not know me\n")
    place, code = stack.run(planned(stack))
    assert code == 0, end_of(place)
    assert head(trees) == target
    assert (trees.tree / "app.conf").read_text() == "ONE\ntwo\nTHREE\n"
    assert "MINE=1" in (trees.tree / ".env").read_text() and (trees.tree / "unknown.txt").exists()
    assert git(trees.tree, "stash", "list") == ""
    output = (place / "output.log").read_text()
    assert "brand-new.conf" in output and "a change" in output
    assert f"the tree stands at {target[:7]} (the new version)" in end_of(place).state


def test_the_env_file_is_not_in_the_stash(stack: OperationStack, trees: Trees) -> None:
    trees.push({"other.conf": "two\n"})
    (trees.tree / "app.conf").write_text("mine\n")
    (trees.tree / ".env").write_text((trees.tree / ".env").read_text() + "MINE=1\n")
    plan = planned(stack)
    place, code = stack.run(plan, OPS_KILL_AT="T01")
    assert code == -signal.SIGKILL
    assert git(trees.tree, "stash", "show", "--name-only", "stash@{0}") == "app.conf"
    assert "MINE=1" in (trees.tree / ".env").read_text()
    assert main(["operations", "undo", place.name, "--yes", "--stack", str(stack.directory)]) == 0
    assert (trees.tree / "app.conf").read_text() == "mine\n" and "MINE=1" in (trees.tree / ".env").read_text()


def test_a_conflict_keeps_the_stash_and_names_it_and_the_update_is_good(stack: OperationStack, trees: Trees) -> None:
    target = trees.push({"app.conf": "THEIRS\ntwo\nthree\n"})
    (trees.tree / "app.conf").write_text("OURS\ntwo\nthree\n")
    (trees.tree / "other.conf").write_text("this one does not conflict\n")
    place, code = stack.run(planned(stack))
    end = end_of(place)
    kept = git(trees.tree, "rev-parse", "stash@{0}")
    assert code == 0 and end.result is Result.DONE
    assert "conflict in app.conf" in end.problem and "stash@{0}" in end.problem and kept in end.problem
    assert any("git stash pop stash@{0}" in line for line in end.state)
    assert head(trees) == target and git(trees.tree, "status", "--porcelain", "--untracked-files=no") == ""
    assert (trees.tree / "app.conf").read_text().startswith("THEIRS")
    assert git(trees.tree, "show", "stash@{0}:app.conf").startswith("OURS")
    assert "does not conflict" in git(trees.tree, "show", "stash@{0}:other.conf")


def test_a_failure_leads_back_to_the_old_commit_with_the_local_changes(stack: OperationStack, trees: Trees) -> None:
    before = head(trees)
    trees.push({"app.conf": "THEIRS\ntwo\nthree\n", "other.conf": None})
    (trees.tree / "app.conf").write_text("OURS\ntwo\nthree\n")
    place, code = stack.run(planned(stack, FAILS))
    assert code == 3, end_of(place)
    assert head(trees) == before and (trees.tree / "other.conf").exists()
    assert (trees.tree / "app.conf").read_text() == "OURS\ntwo\nthree\n"
    assert git(trees.tree, "stash", "list") == ""
    assert f"the tree stands at {before[:7]} (as before)" in end_of(place).state


def test_what_a_build_wrote_into_the_tree_is_not_lost_on_the_way_back(stack: OperationStack, trees: Trees) -> None:
    """Into a file that the update changes, too: git would refuse to go back over it."""
    before = head(trees)
    trees.push({"app.conf": "THEIRS\n"})
    (trees.tree / "other.conf").write_text("mine\n")
    writes = ("sh", "-c", "echo written by a build >> app.conf; exit 1")
    place, code = stack.run(planned(stack, Step(id="build", title="Build", commands=(writes,), turns_back=True)))
    end = end_of(place)
    assert code == 3 and head(trees) == before and (trees.tree / "other.conf").read_text() == "mine\n"
    assert "conflict in app.conf" in end.problem and "stash@{0}" in end.problem
    assert "written by a build" in git(trees.tree, "show", "stash@{0}:app.conf")


def test_a_file_that_came_into_the_way_in_between_is_named_and_nothing_is_moved(
    stack: OperationStack, trees: Trees
) -> None:
    before = head(trees)
    trees.push({"new.conf": "theirs\n"})
    plan = planned(stack)
    (trees.tree / "new.conf").write_text("ours\n")
    (trees.tree / ".git" / "info" / "exclude").write_text("new.conf\n")
    place, code = stack.run(plan)
    assert code == 3 and "would be overwritten by merge: new.conf" in end_of(place).problem
    assert head(trees) == before and (trees.tree / "new.conf").read_text() == "ours\n"


def test_a_tree_that_somebody_moved_in_between_is_left_alone(stack: OperationStack, trees: Trees) -> None:
    trees.push({"app.conf": "THEIRS\n"})
    commits = ("git", "-c", "user.name=x", "-c", "user.email=x@example.invalid", "commit", "--allow-empty", "-qm", "x")
    moved = Step(id="moved", title="Somebody commits", commands=(commits, ("false",)), turns_back=True)
    place, code = stack.run(planned(stack, moved))
    assert code == 4 and "neither at" in end_of(place).problem
    assert git(trees.tree, "log", "-1", "--format=%s") == "x"


def test_a_new_file_that_was_only_added_comes_back(stack: OperationStack, trees: Trees) -> None:
    trees.push({"other.conf": "two\n"})
    (trees.tree / "added.conf").write_text("added\n")
    (trees.tree / ".env").write_text((trees.tree / ".env").read_text() + "MINE=1\n")
    git(trees.tree, "add", "added.conf")
    place, code = stack.run(planned(stack))
    assert code == 0, end_of(place)
    assert (trees.tree / "added.conf").read_text() == "added\n" and "MINE=1" in (trees.tree / ".env").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's tree")
def test_files_of_another_owner_stay_his(stack: OperationStack, trees: Trees) -> None:
    target = trees.push({"app.conf": "THEIRS\n", "fresh.conf": "x\n"})
    (trees.tree / "other.conf").write_text("mine\n")
    opened = []
    for place in (trees.tree, trees.origin):
        subprocess.run(["chown", "-R", "65534:65534", str(place)], check=True, timeout=20)
        for parent in place.parents:
            if str(parent).startswith("/tmp/"):
                opened.append(parent)
                parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    try:
        place, code = stack.run(planned(stack))
        assert code == 0, end_of(place)
        for name in ("app.conf", "fresh.conf", "other.conf", ".git/index", ".git/HEAD"):
            assert (trees.tree / name).stat().st_uid == 65534, name
    finally:
        for place in (trees.tree, trees.origin):
            subprocess.run(["chown", "-R", "0:0", str(place)], check=True, timeout=20)
    assert head(trees) == target


@pytest.mark.parametrize("answer", ["finish", "undo"])
@pytest.mark.parametrize("at", ["T01.1", "T02.1", "T03.1"])
def test_killed_and_finished_or_undone(stack: OperationStack, trees: Trees, at: str, answer: str) -> None:
    """The tree ends at the old commit or at the new one, with the local changes in it and nothing left in a stash."""
    before = head(trees)
    target = trees.push({"app.conf": "ONE\ntwo\nthree\n", "other.conf": None})
    (trees.tree / "app.conf").write_text("one\ntwo\nTHREE\n")
    place, code = stack.run(planned(stack), OPS_KILL_AT=at)
    assert code == -signal.SIGKILL
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name]
    assert main(["operations", answer, place.name, "--yes", "--stack", str(stack.directory)]) == 0
    assert unfinished.unfinished(stack.directory) == ()
    done = answer == "finish"
    assert head(trees) == (target if done else before)
    assert (trees.tree / "app.conf").read_text() == ("ONE" if done else "one") + "\ntwo\nTHREE\n"
    assert (trees.tree / "other.conf").exists() != done
    assert git(trees.tree, "stash", "list") == "" and git_changes.unmerged_files(Git(trees.tree)) == ()


def test_killed_on_a_conflict_and_again_while_it_is_undone(stack: OperationStack, trees: Trees) -> None:
    """Between the stash that conflicts and the tree that is set right again; then the undo is killed, too."""
    before = head(trees)
    trees.push({"app.conf": "THEIRS\n"})
    (trees.tree / "app.conf").write_text("OURS\n")
    place, code = stack.run(planned(stack), OPS_KILL_AT="T03.1")
    assert code == -signal.SIGKILL and git_changes.unmerged_files(Git(trees.tree)) == ("app.conf",)
    undo = requests.make_plan(Site(directory=stack.directory), Request(what="undo", operation=place.name))
    killed, code = stack.run(undo, OPS_KILL_AT="T02.1")
    assert code == -signal.SIGKILL and head(trees) == before
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [killed.name]
    assert main(["operations", "undo", killed.name, "--yes", "--stack", str(stack.directory)]) == 0
    assert head(trees) == before and (trees.tree / "app.conf").read_text() == "OURS\n"
    assert git(trees.tree, "stash", "list") == "" and unfinished.unfinished(stack.directory) == ()


def test_cut_off_while_git_put_the_changes_aside(stack: OperationStack, trees: Trees) -> None:
    """A power cut after the stash was made and before the tree was set right: finishing makes no second stash."""
    target = trees.push({"other.conf": "theirs\n"})
    (trees.tree / "app.conf").write_text("mine\n")
    plan = planned(stack)
    place, _ = stack.run(plan, OPS_KILL_AT="O05.1")
    kept = git(trees.tree, "stash", "create")
    git(trees.tree, "stash", "store", "--message", f"On main: {plan.stash}", kept)
    assert main(["operations", "finish", place.name, "--yes", "--stack", str(stack.directory)]) == 0
    assert head(trees) == target and (trees.tree / "app.conf").read_text() == "mine\n"
    assert git(trees.tree, "stash", "list") == ""


def test_an_undo_needs_no_compose_file_that_can_be_read(stack: OperationStack, trees: Trees) -> None:
    before, text = head(trees), (trees.tree / "compose.yaml").read_text()
    trees.push({"app.conf": "theirs\n"})
    place, _ = stack.run(planned(stack), OPS_KILL_AT="T02.1")
    (trees.tree / "compose.yaml").write_text("services: [somebody broke it")
    try:
        assert main(["operations", "undo", place.name, "--yes", "--stack", str(stack.directory)]) == 0
        assert head(trees) == before and "somebody broke it" in (trees.tree / "compose.yaml").read_text()
    finally:
        (trees.tree / "compose.yaml").write_text(text)
    assert unfinished.unfinished(stack.directory) == ()
