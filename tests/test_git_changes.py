"""What an update would bring, and what stands in its way, on real repositories."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from opsconsole.model import SourceError
from opsconsole.stack import git_changes
from opsconsole.stack.git_changes import Incoming, Tree
from opsconsole.stack.git_program import Git, owner_account
from tests.git_trees import Trees, commit, git


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path / "repositories")


def seen(trees: Trees) -> tuple[Tree, Incoming]:
    program = Git(trees.tree)
    tree = git_changes.look(program)
    git_changes.fetch(program, tree)
    return tree, git_changes.incoming(program, tree)


def refusal(trees: Trees, kept: tuple[str, ...] = ()) -> SourceError:
    with pytest.raises(SourceError) as raised:
        git_changes.refuse_unsafe(*seen(trees), kept)
    return raised.value


def test_incoming_commits_and_files_are_told_and_the_tree_is_as_it_was(trees: Trees) -> None:
    head = git(trees.tree, "rev-parse", "HEAD")
    trees.push({"web/app.py": "1\n"}, "Add the app \x1b[31mred")
    target = trees.push({"compose.yaml": "services: {web: {image: a}}\n"}, "Use it")
    tree, change = seen(trees)
    assert (tree.head, tree.branch, tree.upstream) == (head, "main", "origin/main")
    assert (change.base, change.target, change.count, change.own_count) == (head, target, 2, 0)
    assert [one.subject for one in change.commits] == ["Use it", "Add the app red"]
    assert change.commits[0].words().startswith(target[:7]) and "Operator: Use it" in change.commits[0].words()
    assert {(one.path, one.status) for one in change.files} == {("web/app.py", "A"), ("compose.yaml", "M")}
    git_changes.refuse_unsafe(tree, change, ())
    assert git(trees.tree, "rev-parse", "HEAD") == head and not (trees.tree / "web").exists()


def test_changes_of_tracked_files_are_put_aside_but_never_what_is_kept(trees: Trees) -> None:
    trees.push({".env": "A=1\n", "uploads/one.txt": "1\n", "web.conf": "a\n"}, "second")
    git(trees.tree, "pull", "--quiet")
    for name in (".env", "uploads/one.txt", "web.conf"):
        (trees.tree / name).write_text("changed here\n")
    (trees.tree / "unknown to git").write_text("x")
    tree, _ = seen(trees)
    assert set(tree.changed) == {".env", "uploads/one.txt", "web.conf"}
    assert git_changes.to_put_aside(tree, (".env", "uploads")) == ("web.conf",)


def test_diverged_history_is_refused_with_both_ways_out(trees: Trees) -> None:
    commit(trees.tree, {"local.txt": "x\n"}, "Only here")
    trees.push({"other.txt": "y\n"})
    error = refusal(trees)
    assert "diverged" in error.problem and "Only here" in error.problem and "nothing was changed" in error.problem
    assert "git rebase origin/main" in error.hint and "git reset --keep origin/main" in error.hint


def test_commits_that_only_the_tree_has_are_no_divergence(trees: Trees) -> None:
    commit(trees.tree, {"local.txt": "x\n"}, "Only here")
    tree, change = seen(trees)
    assert (change.count, change.own_count) == (0, 1)
    git_changes.refuse_unsafe(tree, change, ())


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "deep/er/notes.txt"])
def test_files_in_the_way_are_named_ignored_ones_too(trees: Trees, name: str, ignored: bool) -> None:
    trees.push({name: "theirs\n"})
    (trees.tree / name).parent.mkdir(parents=True, exist_ok=True)
    (trees.tree / name).write_text("ours\n")
    if ignored:
        (trees.tree / ".git" / "info" / "exclude").write_text("notes.txt\n")
    assert name in refusal(trees).problem
    assert (trees.tree / name).read_text() == "ours\n"


def test_a_file_where_the_update_brings_a_directory_is_in_the_way(trees: Trees) -> None:
    trees.push({"data/one.txt": "theirs\n"})
    (trees.tree / "data").write_text("ours\n")
    assert "data" in refusal(trees).problem


def test_a_directory_that_becomes_a_file_is_no_obstacle_when_it_is_tracked(trees: Trees) -> None:
    trees.push({"conf/a.txt": "a\n"})
    git(trees.tree, "pull", "--quiet")
    git(trees.colleague, "rm", "--quiet", "-r", "conf")
    trees.push({"conf": "one file\n"})
    tree, change = seen(trees)
    git_changes.refuse_unsafe(tree, change, ())


def test_an_update_that_deletes_uploads_or_the_env_file_is_refused(trees: Trees) -> None:
    trees.push({"uploads/photo.jpg": "x\n", ".env": "A=1\n"})
    git(trees.tree, "pull", "--quiet")
    trees.push({"uploads/photo.jpg": None, ".env": None}, "These were never meant to be in git")
    error = refusal(trees, (".env", "uploads"))
    assert "uploads/photo.jpg" in error.problem and ".env" in error.problem
    assert "Copy them away" in error.hint


def test_an_env_file_changed_on_both_sides_is_refused(trees: Trees) -> None:
    trees.push({".env": "A=1\n"})
    git(trees.tree, "pull", "--quiet")
    (trees.tree / ".env").write_text("A=ours\n")
    trees.push({".env": "A=2\n"})
    assert ".env" in refusal(trees, (".env",)).problem


def test_submodules_that_move_are_refused(trees: Trees, tmp_path: Path) -> None:
    part = Trees(tmp_path / "part")
    git(trees.colleague, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(part.origin), "part")
    trees.push({}, "With a submodule")
    assert "part" in refusal(trees).problem


# --- trees that cannot be updated ------------------------------------------------------------------


def look_refused(trees: Trees) -> SourceError:
    with pytest.raises(SourceError) as raised:
        git_changes.look(Git(trees.tree))
    return raised.value


def test_outside_a_repository(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not in a git repository"):
        Git(tmp_path)


def test_a_detached_head_a_branch_of_nobody_and_no_commit(trees: Trees, tmp_path: Path) -> None:
    git(trees.tree, "switch", "--quiet", "--detach")
    assert "detached HEAD" in look_refused(trees).problem
    git(trees.tree, "switch", "--quiet", "--create", "mine")
    error = look_refused(trees)
    assert "mine follows no branch" in error.problem and "--set-upstream-to=origin/mine" in error.hint
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    with pytest.raises(SourceError, match="no commit yet"):
        git_changes.look(Git(empty))


def test_a_merge_that_somebody_left_half_done(trees: Trees) -> None:
    (trees.tree / ".git" / "MERGE_HEAD").write_text(git(trees.tree, "rev-parse", "HEAD"))
    error = look_refused(trees)
    assert "a merge is under way" in error.problem and "git merge --abort" in error.hint


def test_a_remote_that_is_gone_says_so_with_the_time_of_the_last_fetch(trees: Trees) -> None:
    program = Git(trees.tree)
    tree = git_changes.look(program)
    git_changes.fetch(program, tree)
    trees.origin.rename(trees.origin.with_name("elsewhere"))
    for _ in range(2):  # a fetch that fails empties FETCH_HEAD
        with pytest.raises(SourceError) as raised:
            git_changes.fetch(program, tree)
        assert "origin cannot be reached" in raised.value.problem and "nothing was changed" in raised.value.problem
        assert time.strftime("The last fetch: %Y-", time.gmtime()) in raised.value.hint
        assert "--no-fetch" in raised.value.hint


def test_a_fetch_that_cannot_be_written_is_not_called_a_remote_that_is_away(trees: Trees) -> None:
    trees.push({"a": "1\n"})
    program = Git(trees.tree)
    (trees.tree / ".git" / "refs" / "remotes" / "origin" / "main.lock").parent.mkdir(parents=True, exist_ok=True)
    (trees.tree / ".git" / "refs" / "remotes" / "origin" / "main.lock").write_text("")
    with pytest.raises(SourceError, match="origin answers, and the fetch failed"):
        git_changes.fetch(program, git_changes.look(program))


def test_a_branch_that_the_remote_no_longer_has(trees: Trees) -> None:
    git(trees.origin, "branch", "--move", "main", "trunk")
    program = Git(trees.tree)
    with pytest.raises(SourceError, match="origin has no branch main"):
        git_changes.fetch(program, git_changes.look(program))


def test_a_remote_that_wants_a_password_is_not_waited_for_and_its_token_is_not_told(trees: Trees) -> None:
    git(trees.tree, "remote", "set-url", "origin", "https://ghp_topsecret@127.0.0.1:9/shop.git")
    program = Git(trees.tree)
    began = time.monotonic()
    with pytest.raises(SourceError) as raised:
        git_changes.fetch(program, git_changes.look(program))
    assert time.monotonic() - began < 60
    assert "ghp_topsecret" not in raised.value.problem + raised.value.hint


def test_a_shallow_clone_that_cannot_tell(trees: Trees, tmp_path: Path) -> None:
    for number in range(3):
        trees.push({"n": f"{number}\n"})
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{trees.origin}", str(shallow))
    trees.tree = shallow
    assert git_changes.look(Git(shallow)).shallow
    target = trees.push({"n": "new\n"})
    tree, change = seen(trees)
    assert (change.target, change.count, change.own_count) == (target, 1, 0)
    git_changes.refuse_unsafe(tree, change, ())
    git(trees.colleague, "checkout", "--quiet", "--orphan", "another")
    git(trees.colleague, "commit", "--quiet", "--message", "history written anew")
    git(trees.colleague, "push", "--quiet", "--force", "origin", "another:main")
    assert "git fetch --unshallow" in refusal(trees).hint


# --- whose git it is -------------------------------------------------------------------------------


def test_hooks_and_watchers_of_the_repository_do_not_run(trees: Trees, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in ("post-merge", "post-checkout", "reference-transaction"):
        hook = trees.tree / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
        hook.chmod(0o755)
    git(trees.tree, "config", "core.fsmonitor", str(trees.tree / ".git" / "hooks" / "post-merge"))
    target = trees.push({"a": "1\n"})
    tree, _ = seen(trees)
    program = Git(trees.tree)
    program.ask("merge", "--quiet", "--ff-only", target)
    assert git_changes.changed_files(program) == () and tree.head != target
    assert not ran.exists()


def test_surroundings_of_the_operator_do_not_reach_git(trees: Trees) -> None:
    environment = {**os.environ, "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "HTTPS_PROXY": "http://proxy:1"}
    account = owner_account(trees.tree, environment)
    assert "GIT_DIR" not in account.environment and "GIT_INDEX_FILE" not in account.environment
    assert account.environment["HTTPS_PROXY"] == "http://proxy:1"
    assert account.environment["GIT_TERMINAL_PROMPT"] == "0"
    assert git_changes.look(Git(trees.tree, environment)).branch == "main"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's repository")
def test_root_works_as_the_owner_of_the_tree(trees: Trees) -> None:
    for place in (trees.tree, trees.origin):
        subprocess.run(["chown", "-R", "65534:65534", str(place)], check=True, timeout=20)
    for parent in trees.tree.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    program = Git(trees.tree)
    assert (program.account.user, program.account.environment["HOME"]) != (None, os.environ.get("HOME"))
    tree = git_changes.look(program)
    git_changes.fetch(program, tree)
    assert (trees.tree / ".git" / "FETCH_HEAD").stat().st_uid == 65534
