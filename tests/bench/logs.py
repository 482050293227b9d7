"""Logs: 200,000 lines at once, and 5,000 a second."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.rows import Row, quantile
from tests.bench.stack import BURST_LINES, CONTAINER, LAST_LINE, OPSCONSOLE, BenchStack, wait_for_last_line
from tests.bench.terminal import Terminal

FLOW_RATE, FLOW_SECONDS = 5_000, 15
_BORN = re.compile(rb"LAG(\d{13})")


def burst(stack: BenchStack) -> Iterator[Row]:
    """200,000 lines that are there already, until the last one is shown."""
    stack.compose("--profile", "logs", "up", "-d", "burst")
    container = f"{stack.project}-burst-1"
    wait_for_last_line(stack, container)
    printed = [*OPSCONSOLE, "logs", "--tail", str(BURST_LINES + 1), "burst"]
    # In turn: the machine's speed drifts.
    turns = [(stack.seconds("docker", "logs", container), stack.seconds(*printed), _shown(stack)) for _ in range(3)]
    plain = {"docker logs": statistics.median(turn[0] for turn in turns)}
    piped = statistics.median(turn[1] for turn in turns)
    shown = statistics.median(turn[2][0] for turn in turns)
    memory = max(turn[2][1] for turn in turns)
    yield Row(f"opsconsole logs, {BURST_LINES:,} lines into a pipe", "s", piped, plain, "<= 3 x docker logs")
    yield Row("... in the console, from key 6 to the last line", "s", shown, plain, "<= 3 x docker logs")
    yield Row("... most memory at any time", "MB", memory, {}, "<= 150")
    stack.compose("--profile", "logs", "rm", "-fsv", "burst")


def _shown(stack: BenchStack) -> tuple[float, float]:
    """Seconds until the last line is painted, and the peak of memory in MB. The pane shows nothing of it before."""
    with stack.console() as terminal:
        terminal.wait_for(CONTAINER)
        terminal.send(b"l")
        terminal.wait_for(LAST_LINE.encode())  # the range that the pane opens with ends with it as well
        terminal.send(b"1")  # the first lines of the log: the last one leaves the screen
        terminal.wait_for(rb"first")
        terminal.wait_until_quiet(0.5)
        mark = len(terminal.chunks)
        pressed = terminal.send(b"6")
        return terminal.wait_for(LAST_LINE.encode(), since=mark) - pressed, terminal.peak_memory_bytes() / 1e6


class Writer:
    """Lines into a container's own log, as if its first process had written them."""

    def __init__(self, stack: BenchStack, seconds: float, rate: int = FLOW_RATE) -> None:
        self._births = stack.directory / "births"
        script = str(Path(__file__).with_name("writer.py"))
        command = [sys.executable, script, str(seconds), str(rate), str(self._births)]
        self._source = subprocess.Popen(command, stdout=subprocess.PIPE)
        container = f"{stack.project}-flow-1"
        sink = ["docker", "exec", "-i", container, "sh", "-c", "cat > /proc/1/fd/1"]
        self._sink = subprocess.Popen(sink, stdin=self._source.stdout, env=stack.environment)

    def wait(self) -> list[int]:
        """Wait for its end; when each batch was born (milliseconds since 1970)."""
        self._sink.wait(timeout=120)
        self._source.wait(timeout=10)
        return [int(line) for line in self._births.read_text().split()]


def flow(stack: BenchStack) -> Iterator[Row]:
    """5,000 lines a second: how far behind the screen is, and what it costs."""
    stack.compose("--profile", "logs", "up", "-d", "flow")
    with stack.console() as terminal:
        terminal.wait_for(CONTAINER)
        terminal.send(b"l")
        terminal.wait_until_quiet(1.0)
        ours, cost = _watched(stack, terminal)
        memory = terminal.peak_memory_bytes() / 1e6
    with stack.docker("logs", "-f", "--tail", "0", f"{stack.project}-flow-1") as terminal:
        time.sleep(1)
        plain, plain_cost = _watched(stack, terminal)
    what = f"{FLOW_RATE:,} lines/s for {FLOW_SECONDS} s in the logs pane"
    yield Row(f"{what}: lag, median", "ms", quantile(ours, 0.5), {"docker logs": quantile(plain, 0.5)})
    yield Row("... lag, p95", "ms", quantile(ours, 0.95), {"docker logs": quantile(plain, 0.95)}, "<= 150")
    yield Row("... own CPU", "s/min", cost, {"docker logs": plain_cost}, "<= 25")
    yield Row("... most memory at any time", "MB", memory, {}, "<= 150")


def _watched(stack: BenchStack, terminal: Terminal) -> tuple[list[float], float]:
    """The lag of each batch in milliseconds, and CPU seconds a minute."""
    first = len(terminal.chunks)
    offset = time.time() - time.perf_counter()
    before, began = terminal.cpu_seconds(), time.monotonic()
    births = Writer(stack, FLOW_SECONDS).wait()
    cost = (terminal.cpu_seconds() - before) * 60 / (time.monotonic() - began)
    time.sleep(1)  # what is still on its way
    chunks = [((at + offset) * 1000, data) for at, data in terminal.chunks[first:]]
    return lags(births, chunks), cost


def lags(births: Sequence[int], chunks: Sequence[tuple[float, bytes]]) -> list[float]:
    """For each batch the time from its birth until it, or a younger one, was painted."""
    found: list[float] = []
    waiting, tail = 0, b""
    for at, data in chunks:
        stamps = _BORN.findall(tail + data)
        tail = data[-20:]  # a line may straddle two chunks
        newest = max(map(int, stamps), default=0)
        while waiting < len(births) and births[waiting] <= newest:
            found.append(at - births[waiting])
            waiting += 1
    return found + [float("inf")] * (len(births) - waiting)
