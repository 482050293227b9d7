"""The configuration as a part: what is needed to bring the same stack up again on an empty machine.

config/env                    the env file as it is, secrets included, so 0600 like everything in a backup
config/compose-1.yml ...      the compose files, in the order that Compose reads them
config/rendered.yml           what Compose makes of them
config/state.json             release, git commit, image digests, and where each file lies
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from opsconsole.backups.manifest import HeldFile, Part, PartKind, sha256
from opsconsole.backups.reading import FileReader, LimitReached, Meter, up_to
from opsconsole.backups.verifying import Fault
from opsconsole.durable import write_private
from opsconsole.model import Record, SourceError

DIRECTORY = "config"
_LARGEST = 16 << 20


class State(Record, frozen=True):
    """What is true of a stack besides its files."""

    release: str = ""
    git_commit: str = ""
    git_branch: str = ""
    git_changed: tuple[str, ...] = ()  # files that differ from the commit
    images: dict[str, str] = {}  # digest by service
    files: dict[str, str] = {}  # where each file of this part was read, by its name here


@dataclass(frozen=True)
class ConfigSaver:
    """Saves the configuration. `rendered` is Compose's own text; "" when there is no Compose to ask."""

    compose_files: Sequence[Path] = ()
    env_file: Path | None = None
    rendered: str = ""
    release: str = ""
    git_commit: str = ""
    git_branch: str = ""
    git_changed: Sequence[str] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    name: str = DIRECTORY
    kind: PartKind = "config"

    def save(self, place: Path) -> Part:
        """Raises SourceError for a file that the stack names and that cannot be read."""
        begun = time.monotonic()
        (place / DIRECTORY).mkdir(mode=0o700)
        sources = {f"compose-{number}{path.suffix}": path for number, path in enumerate(self.compose_files, 1)}
        if self.env_file is not None:
            sources["env"] = self.env_file
        held = [_write(place, name, _read(path)) for name, path in sources.items()]
        if self.rendered:
            held.append(_write(place, "rendered.yml", self.rendered.encode("utf-8", "surrogateescape")))
        state = State(
            release=self.release,
            git_commit=self.git_commit,
            git_branch=self.git_branch,
            git_changed=tuple(self.git_changed),
            images=dict(self.images),
            files={name: str(path) for name, path in sources.items()},
        )
        held.append(_write(place, "state.json", msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n"))
        return Part(kind="config", name=self.name, files=tuple(held), seconds=time.monotonic() - begun)


def read_state(directory: Path) -> State:
    """What `state.json` of a backup says. Raises SourceError."""
    data = _read(directory / DIRECTORY / "state.json")
    try:
        return msgspec.json.decode(data, type=State)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SourceError(f"{DIRECTORY}/state.json is broken: {str(error)[:100]}") from None


def check_config_part(directory: Path, part: Part) -> tuple[Fault, ...]:
    """Whether what the console wrote of a stack's state can be read."""
    path = f"{DIRECTORY}/state.json"
    if not any(file.path == path for file in part.files):
        return ()
    try:
        read_state(directory)
    except SourceError as error:
        return (Fault(path=path, problem=error.problem.removeprefix(f"{path} ")),)
    return ()


def _read(path: Path) -> bytes:
    try:
        # The operator's own files: a link to a shared env file is followed.
        with FileReader(str(path.resolve(strict=True)), Meter(_LARGEST)) as reader:
            return up_to(reader, _LARGEST + 1)
    except LimitReached:
        raise SourceError(f"{path} is larger than {_LARGEST >> 20} MiB: is it the right file?") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}", f"ls -l {path}") from None


def _write(place: Path, name: str, data: bytes) -> HeldFile:
    path = f"{DIRECTORY}/{name}"
    write_private(place / path, data)
    return HeldFile(path=path, size=len(data), sha256=sha256(data))
