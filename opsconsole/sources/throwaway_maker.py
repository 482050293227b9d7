"""Which process made a thing that is to be thrown away, so that what a killed one left is told from what is in use.

A maker is written into the names and labels of what it makes: `<host>-<boot>-<process>-<its start>`.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path

MAKER = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9]{1,10}-[0-9]{1,20}"
_WHOLE = re.compile(MAKER)


def mine() -> str:
    """This process."""
    return f"{_host()}-{_boot()}-{os.getpid()}-{_start_ticks(os.getpid()) or 0}"


def is_gone(maker: str) -> bool | None:
    """Whether the process has ended; None when that cannot be told from here: another host, another container."""
    if not _WHOLE.fullmatch(maker):
        return None
    host, boot, process, started = maker.split("-")
    if host != _host():
        return None
    return boot != _boot() or _start_ticks(int(process)) != int(started)


def _host() -> str:
    """Where process numbers mean the same."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()} {_read('/etc/machine-id')} {namespace}".encode()).hexdigest()[:8]


def _boot() -> str:
    return hashlib.sha256(_read("/proc/sys/kernel/random/boot_id").encode()).hexdigest()[:4]


def _start_ticks(process: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none or it is only a zombie."""
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
