"""The configuration files of another version of a stack as they would stand, laid out beside it. Nothing is changed.

The copy repeats whole paths: `/srv/shop/compose.yaml` of the version is `<copy>/srv/shop/compose.yaml`. What the
version has comes from it; what it says nothing about (env files that git does not know, mostly) is a link to the file
itself; what would be gone with it is not there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from opsconsole.model import SourceError
from opsconsole.stack import yaml_text
from opsconsole.stack.plain_file import LONGEST, interpolate

_PREFIX = "look-"
_STALE_SECONDS = 3600.0
_LONGEST_PATH = 1024


class Content(NamedTuple):
    data: bytes
    link: bool = False  # then `data` is where it leads


class Version(Protocol):
    """What some files are in another version. Paths are absolute."""

    def content(self, path: str) -> Content | None:
        """None for a file that the version does not have, or that is too large for configuration."""

    def takes_away(self, path: str) -> bool:
        """Whether the version means a file to be gone that is there today."""

    def names(self, directory: str) -> Iterable[str]:
        """Files that it has in a directory."""

    def is_directory(self, path: str) -> bool:
        """Whether it has files somewhere below."""


class KeptFiles:
    """A version that is a handful of files."""

    def __init__(self, files: Mapping[str, bytes], gone: Collection[str] = ()) -> None:
        self._files = {os.path.normpath(path): data for path, data in files.items()}
        self._gone = frozenset(gone)

    def content(self, path: str) -> Content | None:
        return Content(self._files[path]) if path in self._files else None

    def takes_away(self, path: str) -> bool:
        return path in self._gone

    def names(self, directory: str) -> Iterable[str]:
        return [os.path.basename(path) for path in self._files if os.path.dirname(path) == directory]

    def is_directory(self, path: str) -> bool:
        return any(one.startswith(f"{path}/") for one in self._files)


class Copy:
    """Some files of a version, in place of those that are there today."""

    def __init__(self, root: Path, version: Version, variables: Mapping[str, str], directory: str) -> None:
        self.root = root
        self.brought: dict[str, str] = {}  # path -> SHA-256 of what the version has there
        self._version = version
        self._variables = variables
        self._directory = directory
        self._seen: set[str] = set()

    def at(self, path: str) -> str:
        """Where the file of this path is in the copy."""
        return f"{self.root}{os.path.normpath(path)}"

    def has(self, path: str) -> bool:
        return os.path.isfile(self.at(path))

    def names(self, directory: str) -> tuple[str, ...]:
        """Files that would stand in a directory."""
        try:
            today = [name for name in os.listdir(directory) if not self._version.takes_away(f"{directory}/{name}")]
        except OSError:
            today = []
        return tuple(dict.fromkeys([*self._version.names(directory), *today]))

    def add(self, paths: Iterable[str]) -> None:
        """Lay out files by their absolute paths, and all that they name."""
        waiting = [os.path.normpath(path) for path in paths]
        while waiting:
            path = waiting.pop()
            if path not in self._seen:
                self._seen.add(path)
                waiting += self._lay_out(path)

    def _lay_out(self, path: str) -> list[str]:
        """Put one file there; the paths that it names."""
        place = Path(self.at(path))
        found = self._version.content(path)
        from_disk = found is None and not self._version.takes_away(path) and os.path.isfile(path)
        if not (found or from_disk) or not self._is_ours(place.parent):
            return []
        if found is None:
            place.symlink_to(path)
        elif found.link:
            leads_to = os.fsdecode(found.data)
            place.symlink_to(leads_to)
            return [os.path.normpath(os.path.join(os.path.dirname(path), leads_to))]
        else:
            with place.open("xb") as file:
                file.write(found.data)
            self.brought[path] = hashlib.sha256(found.data).hexdigest()
        return list(self._named_in(place, path)) if path.endswith((".yml", ".yaml")) else []

    def _is_ours(self, parent: Path) -> bool:
        """Make a directory of the copy. A link that the version has may lead out of it: nothing is written there."""
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
    version: Version, paths: Sequence[str], *, directory: str, variables: Mapping[str, str], parent: Path
) -> Iterator[Copy]:
    """Files of a version, as long as the block runs. `parent` is a private directory that Compose can read from."""
    _remove_stale(parent)
    try:
        root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()  # mode 0700
    except OSError as error:
        raise SourceError(f"no place to look at another version: {parent}: {error.strerror}") from None
    try:
        copy = Copy(root, version, variables, directory)
        Path(copy.at(directory)).mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.add(paths)
        yield copy
    except OSError as error:
        raise SourceError(f"another version cannot be laid out to be looked at: {error.strerror}") from None
    finally:
        shutil.rmtree(root, ignore_errors=True)


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
