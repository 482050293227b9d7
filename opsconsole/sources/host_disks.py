"""The disks of this host. A mount that hangs (a network share whose server is gone) costs its own row, nothing else."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from opsconsole.model import Disk
from opsconsole.sources.disk_history import DiskHistory, days_until_full
from opsconsole.sources.lane import Lane

# File systems without a device of their own that hold data nevertheless.
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p"}
)
_NEVER = frozenset({"squashfs", "erofs", "iso9660", "overlay", "tmpfs", "devtmpfs", "ramfs"})

_ANSWER_SECONDS = 2.0
_TREND = timedelta(days=7)  # long enough for nightly backups to come and go, short enough to notice a new log


@dataclass(frozen=True, slots=True)
class _Mount:
    point: str
    device: str
    filesystem: str


@dataclass(frozen=True, slots=True)
class _Filling:
    """What statvfs says, None for a mount that is no directory or refuses to be asked."""

    numbers: os.statvfs_result | None


class DiskSampler:
    """Remembers who hangs and how fast each disk grows. For one thread at a time.

    `names` says in a word what a path is to the operator ("stack", "backups"); without one the path stands.
    """

    def __init__(self, history: DiskHistory | None = None, names: Mapping[str, str] | None = None) -> None:
        self._history = history or DiskHistory()
        self._names = names or {}
        self._fillings: dict[str, Lane[_Filling]] = {}
        self._places: dict[str, Lane[str]] = {}
        self._forecasts: dict[str, tuple[int, float] | None] = {}  # per mount: free bytes then, days then
        self._watched: dict[str, float] = {}  # per mount: days that the history of its forecast reaches back

    def disks(self, paths: Sequence[str]) -> tuple[Disk, ...]:
        """Every real disk and those that hold `paths`, in the order of their mount points."""
        mounts = _mounts()
        deadline = time.monotonic() + _ANSWER_SECONDS
        holders = self._holders(paths, mounts, deadline)
        wanted = _one_per_device([mount for mount in mounts if mount.point in holders or _is_real(mount)], set(holders))
        points = [mount.point for mount in wanted]
        fillings = _ask_all(self._fillings, "statvfs", points, _filling, deadline)
        rows = []
        for mount, known in zip(wanted, fillings, strict=True):
            if known is not None and known.numbers is None:
                continue
            holds = ", ".join(dict.fromkeys(self._names.get(path, path) for path in holders.get(mount.point, ())))
            rows.append(_disk(mount, known.numbers if known else None, holds))
        alive = {mount.point for mount in mounts}
        for gone in self._fillings.keys() - alive:
            del self._fillings[gone]
        return self._with_forecasts(sorted(rows, key=lambda row: row.mount))

    def _holders(self, paths: Sequence[str], mounts: Sequence[_Mount], deadline: float) -> dict[str, list[str]]:
        """Mount point -> the paths that lie on it."""
        found: dict[str, list[str]] = {}
        places: list[str | None] = _ask_all(self._places, "realpath", paths, _existing, deadline)
        for path, place in zip(paths, places, strict=True):
            if mount := _mount_of(place or os.path.normpath(path), mounts):
                found.setdefault(mount.point, []).append(path)
        return found

    def _with_forecasts(self, rows: Sequence[Disk]) -> tuple[Disk, ...]:
        now = datetime.now(UTC)
        learnt = False
        for row in rows:
            if not row.total_bytes:
                continue
            added = self._history.add(row.mount, now, row.used_bytes)
            learnt = learnt or added
            if added or row.mount not in self._forecasts:
                samples = self._history.samples(row.mount, since=now - _TREND)
                days = days_until_full(samples, row.free_bytes)
                self._watched[row.mount] = (samples[-1][0] - samples[0][0]) / timedelta(days=1) if samples else 0.0
                self._forecasts[row.mount] = None if days is None else (row.free_bytes, days)
        if learnt:
            self._history.save()
        return tuple(
            msgspec.structs.replace(row, full_in_days=self._days(row), watched_days=self._watched.get(row.mount))
            for row in rows
        )

    def _days(self, row: Disk) -> float | None:
        forecast = self._forecasts.get(row.mount)
        if forecast is None:
            return None
        free_then, days_then = forecast
        return days_then * row.free_bytes / free_then if free_then else 0.0


def filesystem_of(path: str) -> str:
    """The file system that a path of this host lies on: "ext4", "tmpfs"; "" when nothing is there. May hang with a
    network share."""
    if not os.path.lexists(path):
        return ""
    mount = _mount_of(os.path.realpath(path), _mounts())
    return mount.filesystem if mount is not None else ""


Answer = TypeVar("Answer")


def _ask_all(
    lanes: dict[str, Lane[Answer]], name: str, subjects: Sequence[str], question: Callable[[str], Answer], end: float
) -> list[Answer | None]:
    """The newest answer for each subject, None where there never was one. Whoever hung the last time is not waited
    for: the others must stay as fresh as they are."""
    asked = []
    for subject in subjects:
        lane = lanes.setdefault(subject, Lane(name))
        if not lane.busy:
            lane.ask(lambda subject=subject: question(subject))  # type: ignore[misc]
            asked.append(lane)
    for lane in asked:
        lane.wait(end)
    return [lanes[subject].answer for subject in subjects]


def _mounts() -> list[_Mount]:
    """What is mounted, the later of two at one point: that is the one seen. Reads a table, touches no disk."""
    import psutil

    table = {
        part.mountpoint: _Mount(part.mountpoint, part.device, part.fstype) for part in psutil.disk_partitions(all=True)
    }
    return sorted(table.values(), key=lambda mount: mount.point)


def _is_real(mount: _Mount) -> bool:
    if mount.filesystem in _NEVER:
        return False
    return mount.filesystem in _NETWORK or mount.filesystem == "zfs" or mount.device.startswith("/dev/")


def _one_per_device(mounts: Sequence[_Mount], holders: set[str]) -> list[_Mount]:
    """A device is mounted in many places (bind mounts, subvolumes) and is one disk: the place nearest the root
    stands for it, and those that hold something of the stack are always shown when the device is not."""
    chosen: dict[str, _Mount] = {}
    for mount in sorted(mounts, key=lambda mount: (len(mount.point), mount.point)):
        # tmpfs, overlay and the like all have the same device word; each of them is a disk of its own.
        key = mount.device if mount.device.startswith("/") or ":" in mount.device else f"{mount.device} {mount.point}"
        before = chosen.get(key)
        if before is None or (mount.point in holders and before.point not in holders):
            chosen[key] = mount
    return list(chosen.values())


def _existing(path: str) -> str:
    """The path without symbolic links, cut back to what is there: a backup directory may be made later."""
    real = os.path.realpath(path)
    while real != "/" and not os.path.lexists(real):
        real = os.path.dirname(real)
    return real


def _mount_of(path: str, mounts: Sequence[_Mount]) -> _Mount | None:
    holding = [mount for mount in mounts if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")]
    return max(holding, key=lambda mount: len(mount.point), default=None)


def _filling(point: str) -> _Filling:
    try:
        if not stat.S_ISDIR(os.stat(point).st_mode):
            return _Filling(None)  # a single file mounted into a container, such as /etc/hosts
        return _Filling(os.statvfs(point))
    except OSError:
        return _Filling(None)


def _disk(mount: _Mount, numbers: os.statvfs_result | None, holds: str) -> Disk:
    if numbers is None:
        return Disk(mount=mount.point, device=mount.device, filesystem=mount.filesystem, holds=holds)
    size = numbers.f_frsize
    total, free = numbers.f_blocks * size, numbers.f_bavail * size
    used = (numbers.f_blocks - numbers.f_bfree) * size
    return Disk(
        mount=mount.point,
        device=mount.device,
        filesystem=mount.filesystem,
        total_bytes=total,
        used_bytes=used,
        free_bytes=free,
        # As df: of what an ordinary user can ever use, for some is reserved for root.
        used_percent=used / (used + free) * 100 if used + free > 0 else 0.0,
        inodes_total=numbers.f_files or None,
        inodes_free=numbers.f_favail if numbers.f_files else None,
        holds=holds,
    )
