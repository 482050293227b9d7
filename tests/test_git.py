"""Commit and branch of the stack, told without being in anybody's way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from opsconsole.stack.git import DIRTY_SPACING_SECONDS, Commit, Repository, is_dirty


def git(directory: Path, *words: str) -> str:
    identity = ("-c", "user.name=Operator", "-c", "user.email=operator@example.invalid")
    done = subprocess.run(
        ["git", *identity, *words], cwd=directory, check=True, capture_output=True, text=True, timeout=20
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch=main")
    (directory / "compose.yaml").write_text("services: {}\n")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "first")
    return directory


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_outside_a_repository_nothing_is_said(tmp_path: Path) -> None:
    assert Repository(tmp_path).look() == Commit()


def test_commit_and_branch_are_read_from_any_directory_below(tree: Path) -> None:
    below = tree / "docker" / "prod"
    below.mkdir(parents=True)
    expected = Commit(git(tree, "rev-parse", "--short=7", "HEAD"), "main")
    assert Repository(tree).look() == Repository(below).look() == expected


def test_a_new_commit_is_seen_at_once_packed_or_not(tree: Path) -> None:
    repository = Repository(tree)
    first = repository.look()
    git(tree, "commit", "--quiet", "--allow-empty", "--message", "second")
    second = repository.look()
    assert second.id != first.id
    git(tree, "pack-refs", "--all")
    assert repository.look() == second
    git(tree, "switch", "--quiet", "--create", "feature/x")
    assert repository.look().branch == "feature/x"
    git(tree, "switch", "--quiet", "--detach")
    assert repository.look() == Commit(second.id, "")


def test_a_worktree_is_a_repository_too(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    assert Repository(tmp_path / "side").look() == Commit(git(tree, "rev-parse", "--short=7", "HEAD"), "side")


def test_changes_are_marked_with_a_plus_within_half_a_minute(tree: Path) -> None:
    clock = Clock()
    repository = Repository(tree, clock)
    clean = repository.look().id
    (tree / "compose.yaml").write_text("services: {web: {image: a}}\n")
    assert repository.look().id == clean  # asked again only after a while
    clock.now += DIRTY_SPACING_SECONDS
    assert repository.look().id == f"{clean}+"


def test_files_that_git_does_not_know_and_touched_files_are_no_change(tree: Path) -> None:
    (tree / "uploads.bin").write_text("x")
    os.utime(tree / "compose.yaml", (1, 1))
    assert not is_dirty(tree)


def test_the_index_is_not_written_and_programs_of_the_repository_do_not_run(tree: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "monitor").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "monitor").chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(tmp_path / "monitor"))
    os.utime(tree / "compose.yaml", (1, 1))
    before = (tree / ".git" / "index").stat().st_mtime_ns
    assert not is_dirty(tree)
    assert (tree / ".git" / "index").stat().st_mtime_ns == before
    assert not ran.exists()


def test_a_repository_without_a_commit_says_its_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    assert Repository(tmp_path).look() == Commit("", "main")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's repository")
def test_root_asks_as_the_owner_of_the_tree(tree: Path) -> None:
    subprocess.run(["chown", "-R", "65534:65534", str(tree)], check=True, timeout=20)
    for parent in (tree.parent, *tree.parents):
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    (tree / "compose.yaml").write_text("services: {web: {image: a}}\n")
    assert is_dirty(tree)
