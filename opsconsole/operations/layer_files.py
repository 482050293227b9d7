"""Files that containers have written outside of their volumes and mounts: they go with the container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from opsconsole.model import Container, SourceError, Volume, VolumeKind
from opsconsole.operations.plan import DataEffect, Effect

_NAMED = 3


def written(containers: Sequence[Container]) -> dict[str, tuple[str, ...] | None]:
    """Paths by container, None where the engine could not tell. A container without such files is left out."""
    from opsconsole.sources.engine import DockerEngine

    found: dict[str, tuple[str, ...] | None] = {}
    engine = DockerEngine()
    try:
        for one in containers:
            try:
                paths: tuple[str, ...] | None = engine.own_files(one)
            except SourceError:
                paths = None
            if paths != ():
                found[one.name] = paths
    finally:
        engine.close()
    return found


def effects(files: Mapping[str, tuple[str, ...] | None], volumes: Sequence[Volume]) -> Iterator[DataEffect]:
    """What a plan that takes these containers away says. A database in a layer is named as a volume already."""
    databases = tuple(f"{one.name}/" for one in volumes if one.kind is VolumeKind.LAYER)
    for name, paths in files.items():
        if left := [path for path in paths or () if not f"{name}:{path}".startswith(databases)]:
            what = "1 file in no volume" if len(left) == 1 else f"{len(left)} files in no volume"
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            yield DataEffect(name=name, what=what, effect=Effect.LOST, why=", ".join(left[:_NAMED]) + more)
