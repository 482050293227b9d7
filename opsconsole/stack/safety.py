"""Is the data safe where it lies? Pure: volumes, what the compose file wants, and the backups that exist."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from opsconsole.backups.naming import file_word
from opsconsole.model import Backup, BackupState, Safety, Service, Stack, Volume, VolumeKind, VolumeUse
from opsconsole.roles import MONGODB, REDIS, data_path

NAMES = {MONGODB: "MongoDB", REDIS: "Redis"}
PARTS = {MONGODB: "mongo", REDIS: "redis"}
FILES = "files"

# Memory that programs use as scratch space: nothing is expected to survive a stop.
_SCRATCH = re.compile(
    r"^/(?:tmp|run|var/run|var/tmp|var/lock|dev/shm|var/cache)(?:/|$)|/(?:\.?cache|caches|tmp|temp|sessions?)$"
)

# Of the host, mounted to be looked at or talked to: nothing of the stack's own lies there.
_HOST_PATHS = re.compile(r"^/(?:etc|proc|sys|dev|run|var/run|lib|usr|boot|bin|sbin)(?:/|$)|^/$|\.sock$")

_CONFIGDB = "/data/configdb"


def judge(volumes: Sequence[Volume], stack: Stack, backups: Sequence[Backup]) -> tuple[Volume, ...]:
    """The volumes with `safety` and `reason` filled. The worst that is true wins:
    at risk, then orphaned, then not in any backup, then persistent."""
    facts = _Facts(stack, backups)
    return tuple(facts.judged(volume) for volume in volumes)


def database_of(volume: Volume, services: Mapping[str, Service]) -> str:
    """The role of the database that writes into this volume, "" if none does."""
    if volume.database:
        return volume.database
    for use in volume.used_by:
        service = services.get(use.service)
        if service is not None and not use.read_only and data_path(service.role, use.destination):
            return service.role
    return ""


class _Facts:
    """What is asked again for every volume, looked up once."""

    def __init__(self, stack: Stack, backups: Sequence[Backup]) -> None:
        self.stack = stack
        self.services = {service.name: service for service in stack.services}
        self.wanted = {mount.name for service in stack.services for mount in service.mounts if mount.name}
        self.backups = backups
        self.holding = {kind: _newest_holding(kind, backups) for kind in (*PARTS.values(), FILES)}

    def judged(self, volume: Volume) -> Volume:
        database = database_of(volume, self.services)
        safety, reason = self.verdict(volume, database)
        return msgspec.structs.replace(volume, database=database, safety=safety, reason=reason)

    def verdict(self, volume: Volume, database: str) -> tuple[Safety, str]:
        if risk := self.risk(volume, database):
            return Safety.AT_RISK, risk
        if orphan := self.orphan(volume):
            return Safety.ORPHANED, orphan
        if spared := self.needs_no_backup(volume, database):
            return Safety.PERSISTENT, spared
        return self.backed_up(volume, database)

    def risk(self, volume: Volume, database: str) -> str:
        """Why data here may be lost by an everyday command, "" if it may not."""
        program = NAMES.get(database, "")
        where = _destinations(volume)
        match volume.kind:
            case VolumeKind.LAYER:
                who = program or "a database"
                return f"{who} writes {where} into the container itself: recreating the container loses it"
            case VolumeKind.TMPFS if program:
                return f"{program} writes {where} into memory: the data is gone when the container stops"
            case VolumeKind.TMPFS if not _is_scratch(volume):
                return f"{where} lies in memory: what is written there is gone when the container stops"
            case VolumeKind.ANONYMOUS if program:
                return (
                    f"{program} writes into an anonymous volume: after `down` and `up` it starts with a new, empty one"
                )
            case VolumeKind.BIND if volume.path in self.stack.outside_binds and _written(volume):
                return (
                    "a relative path that leads out of the stack's directory: "
                    "started from another place the stack finds other data"
                )
        return ""

    def orphan(self, volume: Volume) -> str:
        if volume.used_by or volume.kind not in (VolumeKind.NAMED, VolumeKind.ANONYMOUS):
            return ""
        if volume.name in self.wanted:
            return ""  # its container does not exist at the moment; the compose file still names it
        return "no container mounts it and no service of the compose file names it"

    def needs_no_backup(self, volume: Volume, database: str) -> str:
        """Why nothing here belongs into a backup, "" if it does."""
        if volume.kind is VolumeKind.TMPFS:
            return "scratch space in memory, empty after every stop by design: there is nothing to keep"
        if volume.used_by and not _written(volume):
            return "mounted read-only: the stack writes nothing here"
        if volume.kind is VolumeKind.ANONYMOUS and _destinations(volume) == _CONFIGDB:
            return "used by MongoDB config servers only, otherwise empty: there is nothing to keep"
        if volume.kind is VolumeKind.BIND and not database and not self.is_data(volume.path):
            if _HOST_PATHS.search(volume.path):
                return "belongs to the host, not to the stack's data"
            return "on the host's disk; holds configuration, code, logs or backups, not data of the stack"
        return ""

    def is_data(self, path: str) -> bool:
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in self.stack.data_directories)

    def chosen(self, volume: Volume) -> Backup | None:
        """The newest backup that holds a volume which the settings name, with or without the stack's name in front."""
        names = (volume.name, volume.name.removeprefix(f"{self.stack.name}_"))
        begins = tuple(f"files-{file_word(name)}.tar" for name in names)
        return _newest_holding(FILES, self.backups, begins=begins)

    def backed_up(self, volume: Volume, database: str) -> tuple[Safety, str]:
        kind = PARTS.get(database) or (FILES if volume.kind is VolumeKind.BIND else "")
        place = _place(volume)
        backup = self.holding[kind] if kind else self.chosen(volume)
        if backup is not None:
            return Safety.PERSISTENT, f"{place}, and in backup {backup.id}"
        lacking = f"no good backup with {NAMES.get(database) or 'files'} in it was found"
        if not kind:
            lacking = "no backup holds it: the next one does once [backups] volumes names it"
        return Safety.NOT_IN_BACKUP, f"{place}, but {lacking}"


def _newest_holding(kind: str, backups: Sequence[Backup], *, begins: tuple[str, ...] = ("",)) -> Backup | None:
    """The newest good backup with a sound part of this kind, in a file whose name begins so; one dated in the future
    only when there is no other."""
    holding = [
        backup
        for backup in backups
        if backup.state is BackupState.GOOD
        and any(
            part.kind == kind and part.ok and part.size_bytes > 0 and part.path.startswith(begins)
            for part in backup.parts
        )
    ]
    return max(holding, key=lambda backup: (not backup.in_future, backup.taken_at), default=None)


def _written(volume: Volume) -> bool:
    return any(not use.read_only for use in volume.used_by)


def _is_scratch(volume: Volume) -> bool:
    uses: tuple[VolumeUse, ...] = volume.used_by
    destinations = [use.destination for use in uses] or [volume.path or volume.name]
    return all(_SCRATCH.search(destination) for destination in destinations)


def _destinations(volume: Volume) -> str:
    return ", ".join(dict.fromkeys(use.destination for use in volume.used_by)) or volume.path or volume.name


def _place(volume: Volume) -> str:
    match volume.kind:
        case VolumeKind.BIND:
            return "on the host's disk"
        case VolumeKind.ANONYMOUS:
            return "an anonymous volume, replaced by a new one after `down` and `up`"
        case _:
            return "a named volume, kept by `down` and `up`"
