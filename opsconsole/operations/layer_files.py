"""Files that containers have written outside of their volumes and mounts: they go with the container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from opsconsole.model import Container, SourceError, Volume, VolumeKind
from opsconsole.operations.plan import DataEffect, Effect

_NAMED = 3


def written(containers: Sequence[Container], scratch: Sequence[str] = ()) -> dict[str, tuple[str, ...] | None]:
    """Paths by container, None where the engine could not tell. A container without such files is left out, and so are
    files below `scratch`, directories of which the settings say that they may go."""
    below = tuple(f"{place.rstrip('/')}/" for place in scratch)
    from opsconsole.sources.engine import DockerEngine

    found: dict[str, tuple[str, ...] | None] = {}
    engine = DockerEngine()
    try:
        for one in containers:
            try:
                found_here = engine.own_files(one)
                paths: tuple[str, ...] | None = tuple(path for path in found_here if not f"{path}/".startswith(below))
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
            why = ", ".join(left[:_NAMED]) + more
            yield DataEffect(name=name, what=what, effect=Effect.LOST, why=why, in_container=True)
