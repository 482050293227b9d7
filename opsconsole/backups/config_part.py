"""The configuration as a part: what is needed to bring the same stack up again on an empty machine.

config/env                    the env file as it is, secrets included, so 0600 like everything in a backup
config/compose-1.yml ...      the compose files, in the order that Compose reads them
config/rendered.yml           what Compose makes of them
config/state.json             release, git commit, image digests, and where each file lies

Each name ends with .age when the backup is encrypted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from opsconsole.backups.encryption import NO_KEYS, NOBODY, SUFFIX, Keys, Recipients
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import HeldFile, Part, PartKind
from opsconsole.backups.packed_files import UnpackedFile, write_file
from opsconsole.backups.reading import Corrupt, FileReader, LimitReached, Meter, up_to
from opsconsole.model import Record, SourceError

DIRECTORY = "config"
STATE = "state.json"
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
    recipients: Recipients = NOBODY
    name: str = DIRECTORY
    kind: PartKind = "config"

    def save(self, place: Path) -> Part:
        """Raises SourceError for a file that the stack names and that cannot be read."""
        begun = time.monotonic()
        (place / DIRECTORY).mkdir(mode=0o700)
        sources = {f"compose-{number}{path.suffix}": path for number, path in enumerate(self.compose_files, 1)}
        if self.env_file is not None:
            sources["env"] = self.env_file
        held = [self._write(place, name, _read(path)) for name, path in sources.items()]
        if self.rendered:
            held.append(self._write(place, "rendered.yml", self.rendered.encode("utf-8", "surrogateescape")))
        state = State(
            release=self.release,
            git_commit=self.git_commit,
            git_branch=self.git_branch,
            git_changed=tuple(self.git_changed),
            images=dict(self.images),
            files={name: str(path) for name, path in sources.items()},
        )
        text = msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n"
        held.append(self._write(place, STATE, text))
        return Part(kind="config", name=self.name, files=tuple(held), seconds=time.monotonic() - begun)

    def _write(self, place: Path, name: str, data: bytes) -> HeldFile:
        path = f"{DIRECTORY}/{name}{self.recipients.suffix}"
        size, digest = write_file(place / path, data, self.recipients)
        return HeldFile(path=path, size=size, sha256=digest)


def read_kept(directory: Path, name: str, keys: Keys = NO_KEYS) -> bytes:
    """One file of the part, by its name before encryption: `env`. Raises SourceError."""
    path = directory / DIRECTORY / name
    sealed = path.with_name(f"{name}{SUFFIX}")
    return read_stored(sealed if os.path.lexists(sealed) else path, keys)


def read_stored(path: Path, keys: Keys = NO_KEYS) -> bytes:
    """One file of the part as it was saved, decrypted when its name ends with .age. Raises SourceError."""
    if path.suffix != SUFFIX:
        return _read(path)
    shown = f"{DIRECTORY}/{path.name}"
    try:
        with UnpackedFile(path, _LARGEST, keys) as reader:
            return up_to(reader, _LARGEST + 1)
    except Corrupt as fault:
        raise SourceError(f"{shown} {fault.problem}") from None
    except LimitReached:
        raise SourceError(f"{shown} is larger than {_LARGEST >> 20} MiB") from None
    except OSError as error:
        raise SourceError(f"{shown} cannot be read: {error.strerror or error}") from None


def read_state(directory: Path, keys: Keys = NO_KEYS) -> State:
    """What `state.json` of a backup says. Raises SourceError."""
    data = read_kept(directory, STATE, keys)
    try:
        return msgspec.json.decode(data, type=State)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SourceError(f"{DIRECTORY}/state.json is broken: {str(error)[:100]}") from None


def check_config_part(directory: Path, part: Part, keys: Keys = NO_KEYS) -> tuple[Fault, ...]:
    """Whether what is encrypted can be decrypted, and what the console wrote of a stack's state can be read."""
    faults = []
    for file in part.files:
        name = file.path.removeprefix(f"{DIRECTORY}/").removesuffix(SUFFIX)
        try:
            if name == STATE:
                read_state(directory, keys)
            elif file.path.endswith(SUFFIX):
                read_kept(directory, name, keys)
        except SourceError as error:
            faults.append(Fault(path=file.path, problem=error.problem.removeprefix(f"{file.path} ")))
    return tuple(faults)


def _read(path: Path) -> bytes:
    try:
        # The operator's own files: a link to a shared env file is followed.
        with FileReader(str(path.resolve(strict=True)), Meter(_LARGEST)) as reader:
            return up_to(reader, _LARGEST + 1)
    except LimitReached:
        raise SourceError(f"{path} is larger than {_LARGEST >> 20} MiB: is it the right file?") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}", f"ls -l {path}") from None
