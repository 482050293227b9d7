"""A program in a real pseudo-terminal: what it paints, when, and what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import psutil

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|.)", re.DOTALL)


class Terminal:
    """Runs `argv` in a pty of `columns` x `rows` and drains it on a thread, as a terminal would."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        columns: int = 120,
        rows: int = 40,
    ) -> None:
        self.began = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child
            os.chdir(cwd)
            environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
            environment.pop("NO_COLOR", None)
            os.execvpe(argv[0], list(argv), environment)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.chunks: list[tuple[float, bytes]] = []
        self._arrived = threading.Condition()
        self._closed = False
        threading.Thread(target=self._drain, daemon=True).start()

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
        """Seconds from the start of the program until `pattern` (regex, sequences removed) was painted."""
        wanted, deadline, text, seen = re.compile(pattern), time.perf_counter() + timeout, b"", since
        with self._arrived:
            while True:
                while seen < len(self.chunks):
                    at, data = self.chunks[seen]
                    seen += 1
                    text = (text + _SEQUENCE.sub(b"", data))[-200_000:]
                    if wanted.search(text):
                        return at - self.began
                left = deadline - time.perf_counter()
                if left <= 0 or not self._arrived.wait(left):
                    raise TimeoutError(f"{pattern!r} was not painted within {timeout:.0f} s; last: {text[-300:]!r}")

    def send(self, keys: bytes) -> float:
        """Type keys. Returns when (perf_counter)."""
        at = time.perf_counter()
        os.write(self._fd, keys)
        return at

    def wait_for_output(self, *, after: float, timeout: float = 5.0) -> float:
        """Seconds from `after` until the program wrote anything."""
        deadline = time.perf_counter() + timeout
        with self._arrived:
            while True:
                later = [at for at, _ in self.chunks[-50:] if at > after]
                if later:
                    return min(later) - after
                left = deadline - time.perf_counter()
                if left <= 0 or not self._arrived.wait(left):
                    raise TimeoutError(f"nothing was painted within {timeout} s")

    def wait_until_quiet(self, seconds: float = 0.15, timeout: float = 5.0) -> None:
        """Wait until nothing was painted for `seconds`."""
        deadline = time.perf_counter() + timeout
        while time.perf_counter() < deadline:
            with self._arrived:
                if not self._arrived.wait(seconds):
                    return

    def cpu_seconds(self) -> float:
        return tree_cpu_seconds(self.pid)

    def memory_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def close(self) -> None:
        self._closed = True
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._fd)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def tree_cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and its living children."""
    total = 0.0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
    except psutil.NoSuchProcess:
        pass
    return total


def engine_cpu_seconds() -> float:
    """CPU seconds of everything that is the engine: daemon, containerd and the containers' shims."""
    total = 0.0
    for process in psutil.process_iter(["name", "cpu_times"]):
        if (process.info["name"] or "").startswith(("dockerd", "containerd")):
            times = process.info["cpu_times"]
            if times is not None:
                total += times.user + times.system
    return total
