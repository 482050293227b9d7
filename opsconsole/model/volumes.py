"""Where data lies, and whether it is safe there."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from opsconsole.model.record import Record


class VolumeKind(StrEnum):
    NAMED = "named"
    ANONYMOUS = "anonymous"
    BIND = "bind"
    TMPFS = "tmpfs"
    LAYER = "layer"  # a database path inside the container's own writable layer


class Safety(StrEnum):
    PERSISTENT = "persistent"
    AT_RISK = "at risk"
    ORPHANED = "orphaned"
    NOT_IN_BACKUP = "not in any backup"


class VolumeUse(Record, frozen=True):
    service: str
    container: str
    destination: str
    read_only: bool = False
    running: bool = True


class Volume(Record, frozen=True):
    """A place where data lies: a volume, a bind mount, or a database path that should be one."""

    key: str  # stable identity: "volume:<name>", "bind:<path>", "tmpfs:<container>:<path>", "layer:..."
    kind: VolumeKind
    name: str  # volume name or path as an operator would say it
    path: str = ""  # on the host
    driver: str = ""
    created_at: datetime | None = None
    size_bytes: int | None = None
    size_at: datetime | None = None  # when the size was measured
    used_by: tuple[VolumeUse, ...] = ()
    database: str = ""  # "mongodb" or "redis" if a database writes here
    safety: Safety = Safety.PERSISTENT
    reason: str = ""  # one sentence: why this safety


def volume_words(volume: Volume) -> str:
    """What an operator calls it: 64 hexadecimal digits and a container's name say less than the service does."""
    first = next(iter(volume.used_by), None)
    if volume.kind is VolumeKind.ANONYMOUS:
        return f"{first.service or first.container}'s volume {volume.name[:12]}" if first else volume.name[:12]
    if volume.kind in (VolumeKind.TMPFS, VolumeKind.LAYER) and first:
        return f"{first.service or first.container}:{first.destination}"
    return volume.name
