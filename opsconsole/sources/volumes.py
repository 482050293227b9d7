"""Where the stack's data lies: one row per volume, bind mount and tmpfs, and per database path that has none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import msgspec

from opsconsole.model import Container, Mount, Volume, VolumeKind, VolumeUse
from opsconsole.roles import DATA_PATHS, MONGODB, REDIS, role_of
from opsconsole.sources.engine_parse import ANONYMOUS, PROJECT, RUNNING_STATES, parse_time

# The option that moves a server's data away from where its image keeps it.
_DATA_OPTIONS = {MONGODB: "--dbpath", REDIS: "--dir"}


class EngineVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as the engine has it. Its options may hold the password of a share: the text form shows the name."""

    name: str
    driver: str = ""
    path: str = ""  # on the engine's host
    created_at: datetime | None = None
    options: dict[str, str] = {}
    identity: str = ""  # another one for a volume that was made anew under the same name; "" when that cannot be told

    def __repr__(self) -> str:
        return f"EngineVolume({self.name})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What a pretty-printed traceback shows."""
        return [("name", self.name)]


def engine_volumes(
    raw: Iterable[Mapping[str, Any]], *, local: bool = False, dated: bool = False
) -> dict[str, EngineVolume]:
    """Those of `GET /volumes`, by name. `local`: their paths are paths of this host; `dated`: the engine's date of a
    volume is that of its creation."""
    return {
        str(one["Name"]): EngineVolume(
            name=str(one["Name"]),
            driver=str(one.get("Driver") or ""),
            path=str(one.get("Mountpoint") or ""),
            created_at=parse_time(one.get("CreatedAt")),
            options={str(key): str(value) for key, value in (one.get("Options") or {}).items()},
            identity=(_root_identity(one) if local else "") or (str(one.get("CreatedAt") or "") if dated else ""),
        )
        for one in raw
        if one.get("Name")
    }


def _root_identity(raw: Mapping[str, Any]) -> str:
    """Of the directory above `_data`: the engine makes it with the volume and never touches it again."""
    root, data = os.path.split(str(raw.get("Mountpoint") or ""))
    if raw.get("Driver") != "local" or data != "_data":
        return ""
    try:
        found = os.stat(root)
    except OSError:
        return ""  # only root reads there
    return f"{found.st_dev}:{found.st_ino}:{found.st_ctime_ns}"


def volume_rows(
    containers: Sequence[Container], engine_volumes: Iterable[Mapping[str, Any]], project: str
) -> tuple[Volume, ...]:
    """The stack's volumes without sizes and safety, databases first, then by name.

    `engine_volumes` are those of `GET /volumes`; one that is labelled with `project` is a row even if nobody mounts it.
    """
    known = {str(raw.get("Name")): raw for raw in engine_volumes}
    rows: dict[str, Volume] = {}
    for container in containers:
        for row in _rows_of(container):
            before = rows.get(row.key)
            rows[row.key] = _merged(before, row) if before else row
    for name, raw in known.items():
        labels = raw.get("Labels") or {}
        key = f"volume:{name}"
        if key in rows:
            rows[key] = _with_facts(rows[key], raw)
        elif project and labels.get(PROJECT) == project:
            rows[key] = _with_facts(Volume(key=key, kind=VolumeKind.NAMED, name=name), raw)
    return tuple(sorted(rows.values(), key=lambda row: (not row.database, row.kind, row.name)))


def data_paths(container: Container) -> tuple[str, tuple[str, ...]]:
    """(role, directories) of a database container, the likeliest directory first; ("", ()) for any other."""
    role = role_of(container.image, container.command)
    if not role:
        return "", ()
    moved = data_directory_option(role, container.command.split())
    return role, (moved,) if moved else DATA_PATHS[role]


def data_directory_option(role: str, command: Sequence[str]) -> str:
    """The directory that a server's command line names for its data, "" when it leaves that to its image."""
    words = [part.strip("'\"") for word in command for part in word.split("=", 1)]
    option = _DATA_OPTIONS[role]
    moved = words[words.index(option) + 1] if option in words[:-1] else ""
    return moved if moved.startswith("/") else ""


def _rows_of(container: Container) -> Iterator[Volume]:
    role, directories = data_paths(container)
    covered = False
    for mount in container.mounts:
        holds_data = any(_covers(mount.destination, directory) for directory in directories)
        covered = covered or holds_data
        use = _use(container, mount.destination, mount.read_only)
        row = _row_of_mount(container, mount)
        yield msgspec.structs.replace(row, used_by=(use,), database=role if holds_data and not mount.read_only else "")
    if role and not covered:
        yield Volume(
            key=f"layer:{container.name}:{directories[0]}",
            kind=VolumeKind.LAYER,
            name=f"{container.name}:{directories[0]}",
            used_by=(_use(container, directories[0], read_only=False),),
            database=role,
        )


def _row_of_mount(container: Container, mount: Mount) -> Volume:
    if mount.kind == "bind":
        return Volume(key=f"bind:{mount.source}", kind=VolumeKind.BIND, name=mount.source, path=mount.source)
    if mount.kind == "tmpfs":
        place = f"{container.name}:{mount.destination}"
        return Volume(key=f"tmpfs:{place}", kind=VolumeKind.TMPFS, name=place)
    kind = VolumeKind.ANONYMOUS if mount.anonymous else VolumeKind.NAMED
    return Volume(key=f"volume:{mount.name}", kind=kind, name=mount.name, path=mount.source)


def _use(container: Container, destination: str, read_only: bool) -> VolumeUse:
    return VolumeUse(
        service=container.service,
        container=container.name,
        destination=destination,
        read_only=read_only,
        running=container.state in RUNNING_STATES,
    )


def _merged(one: Volume, other: Volume) -> Volume:
    return msgspec.structs.replace(
        one, used_by=one.used_by + other.used_by, database=one.database or other.database, path=one.path or other.path
    )


def _with_facts(row: Volume, raw: Mapping[str, Any]) -> Volume:
    # Engines from 24 on label what they name themselves; the label also tells a 64-digit name that somebody chose.
    anonymous = row.kind is VolumeKind.ANONYMOUS or ANONYMOUS in (raw.get("Labels") or {})
    return msgspec.structs.replace(
        row,
        kind=VolumeKind.ANONYMOUS if anonymous else VolumeKind.NAMED,
        path=str(raw.get("Mountpoint") or row.path),
        driver=str(raw.get("Driver") or ""),
        created_at=parse_time(raw.get("CreatedAt")),
    )


def _covers(destination: str, directory: str) -> bool:
    """Whether what is written into `directory` lands in the mount at `destination`."""
    return PurePosixPath(directory).is_relative_to(PurePosixPath(destination))
