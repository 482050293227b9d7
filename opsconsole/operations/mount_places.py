"""Where a path of a container is kept: which mount it falls into, and whether two of them are the same place. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

import msgspec

from opsconsole.model import Mount
from opsconsole.operations.facts import Look
from opsconsole.operations.ground import Ground
from opsconsole.stack.rendered import ServiceConfig


class Place(msgspec.Struct, frozen=True):
    """Where a path of a container is kept: the same place holds the same data."""

    mount: Mount
    key: str  # "volume:<name>", "bind:<path>", "tmpfs", "new" (a volume without a name)
    below: str = ""  # path inside a volume


def mounts_of(look: Look, service: ServiceConfig, above: tuple[str, ...] = ()) -> tuple[Mount, ...]:
    """Its own mounts and those it takes from other services; its own win."""
    own = {mount.destination.rstrip("/"): mount for mount in service.mounts}
    for name in service.volumes_from:
        other = look.rendered.services.get(name)
        if other is not None and name not in above:
            for mount in mounts_of(look, other, (*above, service.name)):
                own.setdefault(mount.destination.rstrip("/"), mount)
    return tuple(own.values())


def cover(mounts: Sequence[Mount], path: str) -> Place | None:
    """The mount that what is written to `path` lands in: the deepest one at or above it."""
    over = [mount for mount in mounts if _is_within(path, mount.destination)]
    if not over:
        return None
    mount = max(over, key=lambda one: len(one.destination.rstrip("/")))
    below = posixpath.relpath(path, mount.destination)
    below = "" if below == "." else below
    if mount.kind == "bind":
        return Place(mount, f"bind:{posixpath.join(mount.source, below).rstrip('/')}")
    return Place(mount, key_of(mount), below)


def same_place(one: Place | None, other: Place | None) -> bool:
    return one is not None and other is not None and (one.key, one.below) == (other.key, other.below)


def key_of(mount: Mount) -> str:
    if mount.kind == "bind":
        return f"bind:{mount.source}"
    if mount.kind == "tmpfs":
        return "tmpfs"
    return f"volume:{mount.name}" if mount.name else "new"


def _is_within(path: str, root: str) -> bool:
    path, root = path.rstrip("/") or "/", root.rstrip("/") or "/"
    return path == root or path.startswith(root.rstrip("/") + "/")


def state_of(look: Look, mount: Mount) -> Ground:
    """What lies in the mount now."""
    if mount.kind == "bind":
        return look.ground.get(mount.source, Ground.UNKNOWN)
    return look.ground_of_volume(mount.name) if mount.name else Ground.MISSING
