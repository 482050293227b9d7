"""What lies at the paths of this host that containers mount: nothing, an empty directory, data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum

from opsconsole.model import Container, Volume
from opsconsole.sources.volumes import EngineVolume
from opsconsole.stack.address import THIS_HOST
from opsconsole.stack.discover import engine_host
from opsconsole.stack.rendered import Rendered


class Ground(StrEnum):
    """What lies at a path of this host."""

    MISSING = "missing"
    EMPTY = "empty"
    FILLED = "filled"
    FILE = "file"
    UNKNOWN = "unknown"  # it cannot be read from here


def ground_of(
    rendered: Rendered,
    containers: Sequence[Container],
    volumes: Sequence[Volume],
    known: Mapping[str, EngineVolume],
) -> dict[str, Ground]:
    """What lies at the sources of all mounts and in the stack's volumes; {} for an engine on another host."""
    if engine_host(os.environ) != THIS_HOST:
        return {}
    mounts = [
        *(mount for one in containers for mount in one.mounts),
        *(mount for service in rendered.services.values() for mount in service.mounts),
    ]
    paths = {mount.source for mount in mounts if mount.kind == "bind"}
    names = {mount.name for mount in mounts} | {volume.name for volume in volumes}
    paths |= {known[name].path for name in names if name in known}
    return {path: _ground(path) for path in sorted(paths) if path}


def _ground(path: str) -> Ground:
    try:
        with os.scandir(path) as entries:
            # What mkfs leaves in a new disk is no content.
            return Ground.FILLED if any(entry.name != "lost+found" for entry in entries) else Ground.EMPTY
    except FileNotFoundError:
        return Ground.MISSING
    except NotADirectoryError:
        return Ground.FILE
    except OSError:
        return Ground.UNKNOWN
