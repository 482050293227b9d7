"""What a container uses, read from the kernel's cgroup files: microseconds for us, nothing for the engine.

Both cgroup versions, both drivers of the engine (`/docker/<id>` and `/system.slice/docker-<id>.scope`), and any
other parent by way of the container's first process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from opsconsole.sources.usage import Counters

# v1 has a hierarchy per controller; these four hold what we show.
_V1 = ("cpuacct", "memory", "blkio", "pids")
_UNLIMITED = 1 << 60  # v1 writes the largest multiple of the page size for "no limit"
_BLOCK_FILES = ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")


@dataclass(slots=True)
class _Place:
    """Where a container's numbers are. v2 has one directory, under the name ""."""

    directories: dict[str, str]
    pid: int = 0
    limit: int | None = None
    limit_known: bool = False
    unreadable: set[str] = field(default_factory=set)


class CgroupReader:
    """Reads the counters of containers on this host. For one thread at a time."""

    def __init__(self, root: str = "/sys/fs/cgroup", proc: str = "/proc") -> None:
        self._root = root
        self._proc = proc
        self._unified = os.path.exists(f"{root}/cgroup.controllers")
        self._places: dict[str, _Place] = {}

    def counters(self, container: str, pid: int = 0, *, host_network: bool = False) -> Counters | None:
        """The counters of one container, None when it has no cgroup here. `pid` is its first process if known."""
        place = self._places.get(container) or self._find(container, pid)
        if place is None:
            return None
        try:
            counters = self._read_v2(place) if self._unified else self._read_v1(place)
        except OSError:
            self._places.pop(container, None)  # it ended, or was moved: look again next time
            return None
        if host_network:
            return counters
        received, sent = self._network(place)
        return replace(counters, network_received=received, network_sent=sent)

    def forget(self, container: str) -> None:
        """Look again for this container: it was started, ended or given other limits."""
        self._places.pop(container, None)

    # --- finding -----------------------------------------------------------------------------------

    def _find(self, container: str, pid: int) -> _Place | None:
        names = ("",) if self._unified else _V1
        directories = {name: path for name in names if (path := self._known_path(name, container))}
        if len(directories) < len(names) and pid:
            directories |= self._paths_of_process(container, pid)
        if not directories:
            return None
        place = _Place(directories)
        self._places[container] = place
        return place

    def _known_path(self, controller: str, container: str) -> str:
        base = f"{self._root}/{controller}" if controller else self._root
        for path in (f"{base}/system.slice/docker-{container}.scope", f"{base}/docker/{container}"):
            if os.path.isdir(path):
                return path
        return ""

    def _paths_of_process(self, container: str, pid: int) -> dict[str, str]:
        """From /proc/<pid>/cgroup, if that process still is this container's (the number may be another's by now)."""
        try:
            text = _read(f"{self._proc}/{pid}/cgroup").decode()
        except OSError:
            return {}
        found = {}
        for name, path in parse_membership(text, container):
            if self._unified is (name == ""):
                directory = os.path.normpath(f"{self._root}/{name}/{path}")
                if name in ("", *_V1) and os.path.isdir(directory):
                    found[name] = directory
        return found

    # --- reading -----------------------------------------------------------------------------------

    def _read_v2(self, place: _Place) -> Counters:
        directory = place.directories[""]
        cpu = parse_flat(_read(f"{directory}/cpu.stat"))
        at, tick = datetime.now(UTC), time.monotonic()
        memory = self._optional(place, f"{directory}/memory.current")
        inactive = flat_value(self._optional(place, f"{directory}/memory.stat"), b"inactive_file") or 0
        if not place.limit_known:
            place.limit = _limit(self._optional(place, f"{directory}/memory.max"))
            place.limit_known = True
        read, written = parse_io_stat(self._optional(place, f"{directory}/io.stat"))
        return Counters(
            at=at,
            tick=tick,
            cpu_seconds=cpu["usage_usec"] / 1e6 if "usage_usec" in cpu else None,
            memory_bytes=_in_use(memory, inactive),
            memory_limit=place.limit,
            block_read=read,
            block_written=written,
            processes=_number(self._optional(place, f"{directory}/pids.current")),
        )

    def _read_v1(self, place: _Place) -> Counters:
        directories = place.directories
        cpu = _number(_read(f"{directories.get('cpuacct', '')}/cpuacct.usage"))
        at, tick = datetime.now(UTC), time.monotonic()
        base = directories.get("memory", "")
        memory = self._optional(place, f"{base}/memory.usage_in_bytes")
        inactive = flat_value(self._optional(place, f"{base}/memory.stat"), b"total_inactive_file") or 0
        if not place.limit_known:
            place.limit = _limit(self._optional(place, f"{base}/memory.limit_in_bytes"))
            place.limit_known = True
        read, written = parse_blkio(self._block_bytes(place))
        return Counters(
            at=at,
            tick=tick,
            cpu_seconds=None if cpu is None else cpu / 1e9,
            memory_bytes=_in_use(memory, inactive),
            memory_limit=place.limit,
            block_read=read,
            block_written=written,
            processes=_number(self._optional(place, f"{directories.get('pids', '')}/pids.current")),
        )

    def _optional(self, place: _Place, path: str) -> bytes | None:
        """A file of a controller that may be switched off: asked once, then left."""
        if path in place.unreadable:
            return None
        try:
            return _read(path)
        except OSError:
            place.unreadable.add(path)
            return None

    def _block_bytes(self, place: _Place) -> bytes | None:
        base = place.directories.get("blkio", "")
        for name in _BLOCK_FILES:
            content = self._optional(place, f"{base}/{name}")
            if content is not None:
                return content
        return None

    def _network(self, place: _Place) -> tuple[int | None, int | None]:
        """Bytes through every interface of the container but its loopback, seen through one of its processes."""
        for pid in (place.pid, None):
            pid = self._some_process(place) if pid is None else pid
            if not pid:
                continue
            try:
                received, sent = parse_net_dev(_read(f"{self._proc}/{pid}/net/dev"))
            except OSError:
                continue
            place.pid = pid
            return received, sent
        return None, None

    def _some_process(self, place: _Place) -> int:
        for directory in place.directories.values():
            try:
                first = _read(f"{directory}/cgroup.procs").split(maxsplit=1)
            except OSError:
                continue
            if first:
                return int(first[0])
        return 0


def runs_here(container: str, pid: int) -> bool:
    """Whether the process with this number belongs to the container, on this host and still."""
    try:
        return bool(pid) and container.encode() in _read(f"/proc/{pid}/cgroup")
    except OSError:
        return False


# --- formats ---------------------------------------------------------------------------------------


def parse_membership(text: str, container: str) -> Iterable[tuple[str, str]]:
    """(controller, path) for each line of /proc/<pid>/cgroup that names the container; v2 has the controller ""."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if container in path:
            for controller in controllers.split(","):
                yield controller, path


def flat_value(content: bytes | None, name: bytes) -> int | None:
    """One value of `name value` lines, as memory.stat has dozens of: to read them all takes as long as the file."""
    lines = b"\n" + (content or b"")
    start = lines.find(b"\n" + name + b" ")
    if start < 0:
        return None
    start += len(name) + 2
    end = lines.find(b"\n", start)
    return _number(lines[start : end if end >= 0 else len(lines)])


def parse_flat(content: bytes | None) -> dict[str, int]:
    """`name value` lines, as in cpu.stat."""
    pairs = (line.split() for line in (content or b"").decode(errors="replace").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isascii() and pair[1].isdigit()}


def parse_io_stat(content: bytes | None) -> tuple[int | None, int | None]:
    """v2 io.stat: `8:0 rbytes=1 wbytes=2 ...` per device, summed as (read, written)."""
    if content is None:
        return None, None
    read = written = 0
    for word in content.split():
        name, _, value = word.partition(b"=")
        if name == b"rbytes" and value.isdigit():
            read += int(value)
        elif name == b"wbytes" and value.isdigit():
            written += int(value)
    return read, written


def parse_blkio(content: bytes | None) -> tuple[int | None, int | None]:
    """v1 blkio: `8:0 Read 1` lines, summed as (read, written)."""
    if content is None:
        return None, None
    read = written = 0
    for line in content.splitlines():
        words = line.split()
        if len(words) == 3 and words[2].isdigit():
            if words[1] == b"Read":
                read += int(words[2])
            elif words[1] == b"Write":
                written += int(words[2])
    return read, written


def parse_net_dev(content: bytes) -> tuple[int, int]:
    """(received, sent) bytes over all interfaces but the loopback."""
    received = sent = 0
    for line in content.splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        fields = numbers.split()
        if len(fields) >= 9 and name.strip() != b"lo":
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def _limit(content: bytes | None) -> int | None:
    limit = _number(content)
    return None if limit is None or limit >= _UNLIMITED else limit


def _in_use(memory: bytes | None, inactive: int) -> int | None:
    usage = _number(memory)
    if usage is None:
        return None
    return usage - inactive if inactive < usage else usage


def _number(content: bytes | None) -> int | None:
    word = (content or b"").strip()
    return int(word) if word.isdigit() else None


def _read(path: str) -> bytes:
    """A kernel file in one read: they are made at the first read, and none of ours passes 64 KiB."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)
