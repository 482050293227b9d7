"""Releases: what ran, kept so that it can run again without a registry, a build or the operator's files.

    .opsconsole/releases/r4/release.json   which image and which configuration each service had
                            compose.yaml   Compose's own rendering with our image tags; holds secrets
                            files/         the compose and env files as they were

A release is written under another name and renamed when it is whole. Everything in it is readable by its owner only.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from opsconsole.durable import open_private, sync_directory
from opsconsole.model import Container, Record, SourceError
from opsconsole.operations.places import entries, state_directory
from opsconsole.operations.plan import Ending
from opsconsole.operations.steps import step

RELEASE_VERSION = 1
_NAME = re.compile(r"^r([1-9]\d{0,8})$")


class State(StrEnum):
    CANDIDATE = "candidate"  # a deploy is at work on it
    GOOD = "good"
    FAILED = "failed"
    FOUND = "found"  # it ran when it was recorded; nobody saw it being deployed


class KeptService(Record, frozen=True):
    """One service of a release. `hashes` are all config hashes that its containers may carry: of the operator's own
    files, and of the release's compose.yaml, where the image has another name."""

    name: str
    image: str = ""  # as the operator's configuration names it
    image_id: str = ""
    digests: tuple[str, ...] = ()
    tag: str = ""  # ours
    hashes: tuple[str, ...] = ()
    replicas: int = 1
    built: bool = False  # the stack builds its image: nobody else has a claim to its name
    job: bool = False  # others wait for its end
    ending: Ending = Ending.NEVER  # of its gate
    joins: tuple[str, ...] = ()  # services whose containers it shares something of: it is made anew with them
    restarts_with: tuple[str, ...] = ()  # `restart: true` in its depends_on
    ran: bool = True  # a container of it ran when the release was recorded
    well: bool = True  # it was not ill when the release was recorded
    drifted: bool = False  # its container ran a configuration that is no longer known: this one is the files'


class KeptFile(Record, frozen=True):
    """A compose or env file. `path` is relative to the stack's directory where it lies below it."""

    path: str
    stored: str  # below the release's directory
    sha256: str
    env: bool = False


class Release(Record, frozen=True):
    number: int
    state: State
    at: datetime
    version: int = RELEASE_VERSION
    project: str = ""
    operation: str = ""
    commit: str = ""
    env_hash: str = ""
    services: tuple[KeptService, ...] = ()
    files: tuple[KeptFile, ...] = ()

    @property
    def name(self) -> str:
        return f"r{self.number}"

    def service(self, name: str) -> KeptService | None:
        return next((one for one in self.services if one.name == name), None)

    @property
    def returnable(self) -> bool:
        """Whether it is one to go back to: it ran, and nobody saw it fail. What was found ill when a rollback began is
        what that rollback led away from."""
        return self.state is State.GOOD or (self.state is State.FOUND and all(one.well for one in self.services))


# --- the store -------------------------------------------------------------------------------------


def all_releases(directory: Path) -> tuple[Release, ...]:
    """Every release that can be read, oldest first."""
    found = []
    for name in entries(directory, "releases", _NAME):
        try:
            found.append(read(directory, name))
        except SourceError:
            continue  # torn by a disk that failed: it is not one to go back to
    return tuple(sorted(found, key=lambda one: one.number))


def read(directory: Path, name: str) -> Release:
    """Raises SourceError when it is not there or not ours."""
    path = place(directory, name) / "release.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError:
        raise SourceError(f"there is no release {name}", "See `opsconsole releases`.") from None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SourceError(f"the release {name} cannot be read: {error}", "See `opsconsole releases`.") from None


def place(directory: Path, name: str) -> Path:
    """Where a release is kept. Raises SourceError for what is no name of one."""
    if not _NAME.match(name):
        raise SourceError(f"{name} is no release", "A release is named r1, r2 ...; see `opsconsole releases`.")
    return _root(directory) / name


def compose_file(directory: Path, name: str) -> Path:
    """The rendering that runs without a registry and without a build."""
    return place(directory, name) / "compose.yaml"


def next_number(directory: Path) -> int:
    """One more than the highest there ever was: a name is never given twice."""
    try:
        highest = int((_root(directory) / "highest").read_text())
    except (OSError, ValueError):
        highest = 0
    return max([highest, *(one.number for one in all_releases(directory))]) + 1


def write(directory: Path, release: Release, compose: str, files: Mapping[str, bytes]) -> None:
    """Keep a release; one of the same number that is a candidate, or was found, is replaced. `files` are the bytes
    by `KeptFile.stored`. Raises OSError when the disk does not take it; nothing is left then."""
    root = _made_root(directory)
    new = root / f".new-{release.name}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    try:
        (new / "files").mkdir(mode=0o700)
        for stored, content in files.items():
            _write(new / stored, content)
        _write(new / "compose.yaml", compose.encode())
        _write(new / "release.json", msgspec.json.format(msgspec.json.encode(release), indent=1))
        for made in (new / "files", new):
            sync_directory(made)
        _write(root / "highest.new", str(max(release.number, next_number(directory) - 1)).encode())
        os.replace(root / "highest.new", root / "highest")
        step("D01")
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    remove(directory, release.name)
    new.rename(root / release.name)
    sync_directory(root)


def update(directory: Path, release: Release) -> None:
    """Write release.json anew; the old one stays until the new one is whole."""
    home = place(directory, release.name)
    _write(home / "release.new", msgspec.json.format(msgspec.json.encode(release), indent=1))
    os.replace(home / "release.new", home / "release.json")
    sync_directory(home)


def remove(directory: Path, name: str) -> None:
    """Forget a release. Its images are let go of by `image_keeping.reconcile`."""
    home = place(directory, name)
    gone = home.with_name(f".old-{name}")
    shutil.rmtree(gone, ignore_errors=True)
    try:
        home.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone, ignore_errors=True)


def tidy(directory: Path) -> None:
    """Remove what a kill has left of a release that was being written or removed. Only under the stack's lock."""
    root = _root(directory)
    for left in [*root.glob(".new-r*"), *root.glob(".old-r*")]:
        shutil.rmtree(left, ignore_errors=True)


# --- which one runs --------------------------------------------------------------------------------


def runs(container: Container, kept: KeptService) -> bool:
    """Whether a container is one of this service in this release."""
    return container.image_id == kept.image_id and (container.config_hash in kept.hashes or not kept.hashes)


def running(
    releases: Sequence[Release], containers: Sequence[Container], configured: Collection[str] = ()
) -> Release | None:
    """The newest release that what is there is of: every container of the stack's services, a container for each of
    its services. A job's container may have been tidied away."""
    for release in reversed(releases):
        kept = {one.name: one for one in release.services}
        own = [one for one in containers if one.service in kept or one.service in configured]
        there = {one.service for one in own}
        needed = {one.name for one in release.services if not one.job and one.replicas}
        if (
            own
            and release.state is not State.CANDIDATE
            and needed <= there <= kept.keys()
            and all(runs(one, kept[one.service]) for one in own)
        ):
            return release
    return None


def surplus(kept: Sequence[Release], limit: int, needed: Collection[str]) -> list[str]:
    """Names of those that go: all but the newest `limit` that one can go back to, those in `needed` (what runs, where
    the way back leads), and one that a deploy is at work on."""
    staying = {one.name for one in [one for one in kept if one.returnable][-limit:]} | set(needed)
    return [one.name for one in kept if one.name not in staying and one.state is not State.CANDIDATE]


def same_content(one: Release, other: Release) -> bool:
    """Whether two releases would run the same: images, configuration, env files."""

    def content(release: Release) -> dict[str, tuple[str, int]]:
        return {kept.name: (kept.image_id, kept.replicas) for kept in release.services}

    hashes = all(
        set(kept.hashes) & set(twin.hashes) for kept in one.services if (twin := other.service(kept.name)) is not None
    )
    return content(one) == content(other) and hashes and one.env_hash == other.env_hash


# --- files -----------------------------------------------------------------------------------------


def _root(directory: Path) -> Path:
    return directory / ".opsconsole" / "releases"


def _made_root(directory: Path) -> Path:
    root = state_directory(directory) / "releases"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


def _write(path: Path, content: bytes) -> None:
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
