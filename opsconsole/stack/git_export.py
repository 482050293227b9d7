"""The configuration files of a commit as they would stand in the tree, laid out beside it. The tree is not touched.

The copy repeats whole paths: `/srv/shop/compose.yaml` of the commit is `<copy>/srv/shop/compose.yaml`. What the commit
has comes from it; what git does not know (env files, mostly) is a link to the file itself; what only the commit that
is checked out has is not there, as it would not be.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opsconsole.model import SourceError
from opsconsole.stack import yaml_text
from opsconsole.stack.git_program import Git
from opsconsole.stack.plain_file import LONGEST, interpolate

_PREFIX = "look-"
_STALE_SECONDS = 3600.0
_LINK, _GITLINK = b"120000", b"160000"
_LONGEST_PATH = 1024


class Copy:
    """Some files of a commit, in place of those of the tree."""

    def __init__(self, root: Path, git: Git, commit: str, variables: Mapping[str, str], directory: str) -> None:
        self.root = root
        self._git = git
        self._variables = variables
        self._directory = directory
        self._then = blobs(git, commit)
        self._now = frozenset(blobs(git, "HEAD"))
        self._seen: set[str] = set()

    def at(self, path: str) -> str:
        """Where the file of this path is in the copy."""
        return f"{self.root}{os.path.normpath(path)}"

    def has(self, path: str) -> bool:
        return os.path.isfile(self.at(path))

    def names(self, directory: str) -> tuple[str, ...]:
        """Files that would stand in a directory of the tree: those of the commit and those git does not know."""
        place = os.path.relpath(directory, self._git.top)
        inside = "" if place == "." else f"{place}/"
        of_commit = [path[len(inside) :] for path in self._then if path.startswith(inside)]
        try:
            on_disk = [name for name in os.listdir(directory) if inside + name not in self._now]
        except OSError:
            on_disk = []
        return tuple(dict.fromkeys([*(name for name in of_commit if "/" not in name), *on_disk]))

    def add(self, paths: Iterable[str]) -> None:
        """Lay out files by their absolute paths in the tree, and all that they name."""
        waiting = [os.path.normpath(path) for path in paths]
        while waiting:
            path = waiting.pop()
            if path not in self._seen:
                self._seen.add(path)
                waiting += self._lay_out(path)

    def _lay_out(self, path: str) -> list[str]:
        """Put one file there; the paths that it names."""
        relative = os.path.relpath(path, self._git.top)
        place = Path(self.at(path))
        mode, blob, size = self._then.get(relative, (b"", "", 0))
        from_disk = not mode and relative not in self._now and os.path.isfile(path)
        if not (mode or from_disk) or mode == _GITLINK or size > LONGEST or not self._is_ours(place.parent):
            return []
        if from_disk:
            place.symlink_to(path)
        else:
            content = self._git.ask("cat-file", "blob", blob)
            if mode == _LINK:
                place.symlink_to(os.fsdecode(content))
                return [os.path.normpath(os.path.join(os.path.dirname(path), os.fsdecode(content)))]
            with place.open("xb") as file:
                file.write(content)
        return list(self._named_in(place, path)) if path.endswith((".yml", ".yaml")) else []

    def _is_ours(self, parent: Path) -> bool:
        """Make a directory of the copy. A link that the commit brings may lead out of it: nothing is written there."""
        if not Path(os.path.realpath(parent)).is_relative_to(self.root):
            return False
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return True

    def _named_in(self, place: Path, path: str) -> Iterator[str]:
        """Every text in a compose file that may be a relative path: env files, included and extended files."""
        try:
            raw = yaml_text.load(place.read_bytes()[:LONGEST].decode("utf-8-sig", "replace"))
        except (OSError, yaml_text.YamlError):
            return  # Compose says what is wrong with it
        for text in _texts(raw):
            name = interpolate(text, self._variables, [])
            if not name or "\n" in name or "\0" in name or len(name) > _LONGEST_PATH or os.path.isabs(name):
                continue
            for start in (os.path.dirname(path), self._directory):
                yield os.path.normpath(os.path.join(start, name))


@contextmanager
def copied(
    git: Git, commit: str, paths: Sequence[str], *, directory: str, variables: Mapping[str, str], parent: Path
) -> Iterator[Copy]:
    """Files of a commit, as long as the block runs. `parent` is a private directory that Compose can read from."""
    _remove_stale(parent)
    try:
        root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()  # mode 0700
    except OSError as error:
        raise SourceError(f"no place to look at the new version: {parent}: {error.strerror}") from None
    try:
        copy = Copy(root, git, commit, variables, directory)
        Path(copy.at(directory)).mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.add(paths)
        yield copy
    except OSError as error:
        raise SourceError(f"the new version cannot be laid out to be looked at: {error.strerror}") from None
    finally:
        shutil.rmtree(root, ignore_errors=True)


def blobs(git: Git, commit: str) -> dict[str, tuple[bytes, str, int]]:
    """Path relative to the top -> (mode, id, bytes) of every file of a commit."""
    found = {}
    for line in git.ask("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0"):
        described, _, path = line.partition(b"\t")
        if path:
            mode, _, blob, size = described.split()
            found[os.fsdecode(path)] = (mode, blob.decode(), int(size) if size.isdigit() else 0)
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _remove_stale(parent: Path) -> None:
    """What a killed look left behind."""
    for left in parent.glob(f"{_PREFIX}*"):
        try:
            if time.time() - left.lstat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
