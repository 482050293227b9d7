"""Commit and branch of the stack's directory, read from the repository's files. `git` only says whether it is dirty."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

DIRTY_SPACING_SECONDS = 30.0
TIMEOUT_SECONDS = 5.0

_OBJECT = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")
_SHORT = 7
_ASK_DIRTY = ("-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no")


class Commit(msgspec.Struct, frozen=True):
    """Where the working tree stands. `branch` is "" when no branch is checked out."""

    id: str = ""  # short, with "+" behind it when tracked files have changes
    branch: str = ""


class Repository:
    """The git repository around a directory, if there is one. Cheap to ask: no process but for the dirty check."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._dirty = False
        self._dirty_at: float | None = None
        self._dirty_for = ""

    def look(self) -> Commit:
        """Commit and branch now; whether the tree is dirty as it was within the last 30 s."""
        found = git_directory(self._directory)
        if found is None:
            return Commit()
        top, git = found
        commit, branch = read_head(git)
        if not commit:
            return Commit(branch=branch)
        self._check_dirty(top, commit)
        return Commit(commit[:_SHORT] + ("+" if self._dirty else ""), branch)

    def _check_dirty(self, top: Path, commit: str) -> None:
        now = self._clock()
        fresh = self._dirty_at is not None and now - self._dirty_at < DIRTY_SPACING_SECONDS
        if fresh and self._dirty_for == commit:
            return
        self._dirty_at, self._dirty_for = now, commit
        self._dirty = is_dirty(top)


def read_head(git: Path) -> tuple[str, str]:
    """(full commit id, branch) of a git directory; "" for what cannot be told."""
    head = _first_line(git / "HEAD")
    if not head.startswith("ref: "):
        return (head if _OBJECT.match(head) else ""), ""
    reference = head.removeprefix("ref: ").strip()
    branch = reference.removeprefix("refs/heads/")
    shared = _first_line(git / "commondir")
    for root in (git, (git / shared).resolve() if shared else git):
        commit = _first_line(root / reference) or _packed(root / "packed-refs", reference)
        if _OBJECT.match(commit):
            return commit, branch
    return "", branch


def is_dirty(top: Path) -> bool:
    """Whether tracked files differ from the commit. False when it cannot be told.

    Git runs as the owner of the tree when we are root: a repository's own settings can name programs to run,
    which is why git refuses other people's repositories, and why that refusal is not overruled here.
    """
    git = shutil.which("git")
    if git is None:
        return False
    try:
        owner = top.stat()
        as_owner: dict[str, Any] = {}
        home = os.environ.get("HOME", "/")
        if os.geteuid() == 0 and owner.st_uid != 0:
            as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
            home = "/nonexistent"
        answer = subprocess.run(
            [git, "--no-optional-locks", "-C", str(top), *_ASK_DIRTY],
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            **as_owner,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0 and bool(answer.stdout.strip())


def git_directory(directory: Path) -> tuple[Path, Path] | None:
    """The top of the working tree around a directory, and its git directory."""
    for top in (directory, *directory.parents):
        git = top / ".git"
        if os.path.isdir(git):
            return top, git
        if os.path.isfile(git) and (line := _first_line(git)).startswith("gitdir: "):
            return top, (top / line.removeprefix("gitdir: ")).resolve()
    return None


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.readline(4096).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _packed(file: Path, reference: str) -> str:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.split(" ", 1)[0] for line in lines if line.endswith(" " + reference)), "")
