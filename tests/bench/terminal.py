"""A program in a real pseudo-terminal: what it paints, when, and what it costs.

Unlike the terminal of the tests nothing is interpreted while the program runs: bytes are kept with the time they
came, so that measuring costs the measured program next to nothing. `screen.py` reads them afterwards.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

COLUMNS, ROWS = 120, 40

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|.)", re.DOTALL)
# Settings of a contributor that would change what is measured.
_FOREIGN = ("NO_COLOR", "SSH_", "TMUX", "TERM_PROGRAM", "COLUMNS", "LINES", "TEXTUAL", "COMPOSE_", "PYTHON")


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


class Terminal:
    """Runs `argv` in a pty and drains it on a thread, as a terminal would."""

    def __init__(self, argv: Sequence[str], *, cwd: str | Path = ".", env: Mapping[str, str] | None = None) -> None:
        self._fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = plain_environment() if env is None else dict(env)
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            argv, cwd=cwd, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.pid = self._process.pid
        self.chunks: list[tuple[float, bytes]] = []  # what came, and when (perf_counter)
        self._arrived = threading.Condition()
        self._closed = False
        self._drainer = threading.Thread(target=self._drain, daemon=True)
        self._drainer.start()

    def _drain(self) -> None:
        while not self._closed:
            try:
                ready, _, _ = select.select([self._fd], [], [], 0.2)
                if not ready:
                    continue
                data = os.read(self._fd, 65536)
            except (OSError, ValueError):
                return
            if not data:
                return
            with self._arrived:
                self.chunks.append((time.perf_counter(), data))
                self._arrived.notify_all()

    def wait_for(self, pattern: bytes, *, timeout: float = 60.0, since: int = 0) -> float:
        """When (perf_counter) `pattern` was painted: a regex over the text without its sequences, from the chunk
        `since` on."""
        wanted, deadline, text, seen = re.compile(pattern), time.perf_counter() + timeout, b"", since
        with self._arrived:
            while True:
                while seen < len(self.chunks):
                    at, data = self.chunks[seen]
                    seen += 1
                    # What was looked at stays only as long as a match may straddle two chunks.
                    text = text[-2000:] + data
                    if wanted.search(_SEQUENCE.sub(b"", text)):
                        return at
                left = deadline - time.perf_counter()
                if left <= 0 or not self._arrived.wait(left):
                    raise TimeoutError(f"{pattern!r} was not painted within {timeout:.0f} s; last: {text[-300:]!r}")

    def send(self, keys: bytes) -> float:
        """Type keys. Returns when (perf_counter)."""
        at = time.perf_counter()
        os.write(self._fd, keys)
        return at

    def wait_until_quiet(self, seconds: float = 0.15, timeout: float = 5.0) -> None:
        """Wait until nothing was painted for `seconds`."""
        deadline = time.perf_counter() + timeout
        while time.perf_counter() < deadline:
            with self._arrived:
                if not self._arrived.wait(seconds):
                    return

    def cpu_seconds(self) -> float:
        """CPU seconds of the program, of what it runs and of what it has run."""
        return tree_cpu_seconds(self.pid)

    def peak_memory_bytes(self) -> int:
        """The most memory the program has had resident at any time."""
        return peak_memory_bytes(self.pid)

    def close(self) -> None:
        self._closed = True
        self._process.kill()
        self._process.wait()
        self._drainer.join()
        os.close(self._fd)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def peak_memory_bytes(pid: int) -> int:
    """The most memory a process has had resident at any time; where that is not told, what it has now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return int(psutil.Process(pid).memory_info().rss)
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(found[1]) * 1024 if found else 0


def tree_cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, of its living children, and of those that have ended."""
    total = 0.0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
            if sys.platform == "linux":
                total += times.children_user + times.children_system
    except psutil.NoSuchProcess:
        pass
    return total
