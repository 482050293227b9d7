"""The files of a commit, as another version of the stack that is checked out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from opsconsole.stack.copies import Content
from opsconsole.stack.git_program import Git
from opsconsole.stack.plain_file import LONGEST

_LINK, _GITLINK = "120000", "160000"


class _Blob(NamedTuple):
    mode: str
    id: str
    bytes: int


class GitVersion:
    """Implements `copies.Version`. `partly`: the tree stays where it is, only compose files are taken from the commit
    (and with it away), and env files that it has."""

    def __init__(self, git: Git, commit: str, *, partly: bool = False) -> None:
        self._git = git
        self._then = _blobs(git, commit)
        self._now = frozenset(_blobs(git, "HEAD"))
        self._partly = partly

    def content(self, path: str) -> Content | None:
        blob = self._then.get(self._relative(path))
        if self._partly and not (is_compose_file(path) or is_env_file(path)):
            return None
        if blob is None or blob.mode == _GITLINK or blob.bytes > LONGEST:
            return None
        return Content(self._git.ask("cat-file", "blob", blob.id), link=blob.mode == _LINK)

    def takes_away(self, path: str) -> bool:
        relative = self._relative(path)
        meant = not self._partly or is_compose_file(path)
        return meant and relative in self._now and relative not in self._then

    def names(self, directory: str) -> Iterable[str]:
        place = self._relative(directory)
        inside = "" if place == "." else f"{place}/"
        below = (path[len(inside) :] for path in self._then if path.startswith(inside))
        return [name for name in below if "/" not in name]

    def is_directory(self, path: str) -> bool:
        inside = f"{self._relative(path)}/"
        return not self._partly and any(one.startswith(inside) for one in self._then)

    def blob(self, path: str) -> str:
        """Id of the content that a file has in the commit, "" when it has none."""
        found = self._then.get(self._relative(path))
        return found.id if found else ""

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._git.top)


def is_compose_file(path: str) -> bool:
    return path.endswith((".yml", ".yaml"))


def is_env_file(path: str) -> bool:
    name = os.path.basename(path)
    return name.startswith(".env") or name.endswith(".env")


def _blobs(git: Git, commit: str) -> dict[str, _Blob]:
    """Every file of a commit by its path relative to the top."""
    found = {}
    for line in git.ask("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0"):
        described, _, path = line.partition(b"\t")
        if path:
            mode, _, blob, size = described.decode().split()
            found[os.fsdecode(path)] = _Blob(mode, blob, int(size) if size.isdigit() else 0)
    return found
