"""What belongs into a backup of a stack: its databases with the way to each, its directories, volumes, configuration.

A backup is possible with less than an operation needs: without Compose what the containers tell is enough, and without
an engine what the files tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import SourceError, Stack, VolumeKind
from opsconsole.operations import compose_call, facts, releases
from opsconsole.operations.census import is_data
from opsconsole.operations.facts import Look
from opsconsole.operations.reach import reach
from opsconsole.roles import data_path, role_of
from opsconsole.sources.connection import Connection
from opsconsole.stack.git import Repository

CONFIG = "config"
KINDS = ("mongo", "redis", "files", CONFIG)
"""Of parts, in the order in which they are saved."""

_KIND_OF = {"mongodb": "mongo", "redis": "redis"}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of this host that is one part of a backup."""

    name: str  # of the part
    path: Path
    volume: str = ""  # name of the volume, "" for a directory that is mounted


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a backup of this stack can hold. `connections` have passwords: it is not shown as it is."""

    look: Look
    stack: Stack
    connections: tuple[Connection, ...] = ()
    places: tuple[Place, ...] = ()
    offered: tuple[str, ...] = ()  # volumes that no backup holds, as one would name them in the settings
    notes: tuple[str, ...] = ()  # what could not be looked at

    def __repr__(self) -> str:
        return f"Scope({self.stack.name})"

    @property
    def directory(self) -> Path:
        """Of the backups."""
        return Path(self.stack.backup_directory)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of parts that there are."""
        there = {_KIND_OF[one.target.kind] for one in self.connections} | {CONFIG}
        return tuple(kind for kind in KINDS if kind in there or (kind == "files" and self.places))


def scope(directory: Path, config: Config, *, project: str = "") -> Scope:
    """Look at the stack. Raises SourceError when a volume that the settings name cannot be read here."""
    found, notes = _look(directory, config, project)
    behind = reach(found, config)
    places = (*_directories(behind.stack), *_volumes(found, config))
    return Scope(
        look=found,
        stack=behind.stack,
        connections=behind.connections,
        places=_apart(places, directory),
        offered=tuple(_offered(found, config)),
        notes=notes,
    )


def _look(directory: Path, config: Config, project: str) -> tuple[Look, tuple[str, ...]]:
    try:
        return facts.look(directory, config, project=project), ()
    except SourceError as error:
        without = f"the compose file was not read: {error.problem}"
    try:
        return facts.engine_look(directory, config, project=project), (without,)
    except SourceError as error:
        return facts.files_look(directory, config, project=project), (f"the engine was not asked: {error.problem}",)


# --- directories and volumes -----------------------------------------------------------------------


def _directories(stack: Stack) -> tuple[Place, ...]:
    """One that is not there yet holds nothing; `backup.sh` skips it, too."""
    return tuple(Place(name=Path(path).name, path=Path(path)) for path in stack.data_directories if os.path.isdir(path))


def _volumes(look: Look, config: Config) -> tuple[Place, ...]:
    found = []
    for name in config.backups.volumes:
        known = look.engine_volumes.get(name) or look.engine_volumes.get(f"{look.name}_{name}")
        if known is None:
            raise SourceError(
                f"there is no volume {name}, which [backups] volumes names",
                "See `docker volume ls` or the Volumes pane.",
            )
        if known.driver not in ("", "local") or known.options or not os.access(known.path, os.R_OK | os.X_OK):
            raise SourceError(
                f"the volume {known.name} cannot be read from here ({known.driver or 'local'})",
                "Run as root on the engine's host, or take it out of [backups] volumes.",
            )
        found.append(Place(name=name, path=Path(known.path), volume=known.name))
    return tuple(found)


def _apart(places: Sequence[Place], directory: Path) -> tuple[Place, ...]:
    """Two directories of the same name are called by their paths."""
    names = [place.name for place in places]
    return tuple(
        msgspec.structs.replace(place, name=compose_call.from_here(directory, place.path))
        if names.count(place.name) > 1
        else place
        for place in places
    )


def _offered(look: Look, config: Config) -> Iterator[str]:
    """Volumes of services that are no database and that write data there."""
    chosen = {*config.backups.volumes, *(f"{look.name}_{name}" for name in config.backups.volumes)}
    roles = {one.service: role_of(one.image, one.command) for one in look.containers}
    for volume in look.volumes:
        if volume.kind is not VolumeKind.NAMED or volume.name in chosen:
            continue
        uses = [use for use in volume.used_by if not use.read_only]
        databases = [use for use in uses if data_path(roles.get(use.service, ""), use.destination)]
        if uses and not databases and is_data(use.destination for use in uses):
            yield volume.name.removeprefix(f"{look.name}_")


# --- configuration ---------------------------------------------------------------------------------


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of the stack besides its data, for the part `config`. Holds secrets."""

    compose_files: tuple[Path, ...] = ()
    env_file: Path | None = None
    rendered: str = ""
    release: str = ""
    commit: str = ""
    branch: str = ""
    images: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Configuration({self.release})"


def configuration(found: Scope) -> Configuration:
    """As it is now. Never raises for what is not known: it is left out."""
    look = found.look
    repository = Repository(Path(look.directory)).look()
    kept = releases.all_releases(Path(look.directory))
    runs = releases.running(kept, look.containers, {one.service for one in look.containers}) if kept else None
    env_file = found.stack.env_file
    return Configuration(
        compose_files=tuple(Path(one) for one in found.stack.compose_files),
        env_file=Path(env_file) if env_file and os.path.isfile(env_file) else None,
        rendered=json.dumps(look.rendered.raw, indent=1) + "\n" if look.rendered.raw else "",
        release=runs.name if runs is not None else "",
        commit=repository.id,
        branch=repository.branch,
        images={one.service: one.image_id for one in look.containers if one.service and one.image_id},
    )
