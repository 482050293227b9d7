"""The processes that use most of this host, from /proc: one small file per process and look."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import dataclass

from opsconsole.model import Process
from opsconsole.sources.commands import shown_command

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """What we read of /proc/<pid>/stat; `started` is in ticks since boot and tells two users of one number apart."""

    name: str
    cpu_seconds: float
    started: int
    memory_bytes: int


class ProcessSampler:
    """Remembers each process's CPU time. For one thread at a time."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._before: dict[tuple[int, int], float] = {}
        self._at = 0.0

    def top(self, count: int) -> tuple[Process, ...]:
        """The `count` busiest, then largest processes. CPU in percent of one core, 0 at the first look."""
        stats = self._stats()
        now = time.monotonic()
        elapsed = now - self._at

        def percent(pid: int, stat: Stat) -> float:
            before = self._before.get((pid, stat.started))
            return 0.0 if before is None or elapsed <= 0 else max(0.0, stat.cpu_seconds - before) / elapsed * 100

        rows = [(percent(pid, stat), stat.memory_bytes, pid, stat) for pid, stat in stats.items()]
        rows.sort(key=lambda row: (-row[0], -row[1], row[2]))
        self._before = {(pid, stat.started): stat.cpu_seconds for pid, stat in stats.items()}
        self._at = now
        return tuple(self._process(pid, stat, share) for share, _, pid, stat in rows[:count])

    def _stats(self) -> dict[int, Stat]:
        found = {}
        try:
            names = os.listdir(self._proc)
        except OSError:
            return {}  # not Linux
        for name in names:
            if not name.isdigit():
                continue
            try:
                stat = parse_stat(_read(f"{self._proc}/{name}/stat"))
            except OSError:
                continue  # it ended
            if stat is not None:
                found[int(name)] = stat
        return found

    def _process(self, pid: int, stat: Stat, share: float) -> Process:
        try:
            with open(f"{self._proc}/{pid}/cmdline", "rb") as file:
                words = file.read(4096).decode(errors="replace").rstrip("\0").split("\0")
            owner = os.stat(f"{self._proc}/{pid}").st_uid
        except OSError:
            words, owner = [], -1
        command = shown_command(words) if any(words) else f"[{stat.name}]"  # a thread of the kernel has none
        return Process(
            pid=pid,
            name=stat.name,
            user=_user(owner),
            cpu_percent=share,
            memory_bytes=stat.memory_bytes,
            command=command,
        )


def _read(path: str) -> bytes:
    """Without the objects of `open`: they take as long as the reading, for each of hundreds of processes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 2048)
    finally:
        os.close(descriptor)


def parse_stat(content: bytes) -> Stat | None:
    """/proc/<pid>/stat. The name stands in brackets and may hold anything, brackets and spaces too."""
    head, closed, rest = content.rpartition(b")")
    fields = rest.split(None, 22)
    if not closed or len(fields) < 22:
        return None
    try:
        return Stat(
            name=head.partition(b"(")[2].decode(errors="replace"),
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            started=int(fields[19]),
            memory_bytes=max(0, int(fields[21])) * _PAGE,
        )
    except ValueError:
        return None


def _user(uid: int) -> str:
    if uid < 0:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
