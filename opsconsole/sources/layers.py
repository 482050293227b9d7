"""What a container has written outside of its volumes and mounts: it goes with the container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from opsconsole.model import Container

_DELETED = 2
_THROWN_AWAY = ("/tmp", "/var/tmp", "/run", "/var/run", "/var/cache", "/var/lock", "/dev", "/proc", "/sys")
_MADE_BY_THE_ENGINE = ("/sbin/docker-init", "/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_REMADE = frozenset({"__pycache__", ".cache", ".npm"})


def own_files(changes: Iterable[Mapping[str, Any]], container: Container) -> tuple[str, ...]:
    """Files that it added or changed, from `GET /containers/{id}/changes`. An empty directory counts as one.

    Left out are directories of temporary files, caches, and places where something is mounted.
    """
    mounted = [mount.destination.rstrip("/") for mount in container.mounts]
    written = sorted(
        path
        for entry in changes
        if entry.get("Kind") != _DELETED and _is_kept(path := str(entry.get("Path") or ""), mounted)
    )
    parents = {str(parent) for path in written for parent in PurePosixPath(path).parents}
    return tuple(path for path in written if path not in parents)


def _is_kept(path: str, mounted: Sequence[str]) -> bool:
    if not path or path in _MADE_BY_THE_ENGINE or _REMADE.intersection(PurePosixPath(path).parts):
        return False
    if any(path == place or path.startswith(f"{place}/") for place in (*_THROWN_AWAY, *mounted)):
        return False
    return not any(place.startswith(f"{path}/") for place in (*mounted, *_THROWN_AWAY, *_MADE_BY_THE_ENGINE))
