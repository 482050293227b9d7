"""`make bench`: the table, with ratios measured in this run.

python -m tests.bench [launch] [idle] [burst] [flow] [keys]     only these, default all
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.terminal import Terminal, engine_cpu_seconds
from tests.parts import engine as engines
from tests.parts import install, leftovers

OPSCONSOLE = [sys.executable, "-m", "opsconsole"]
FLOOR = [sys.executable, "-m", "tests.bench.floor"]
REPEATS = 5
IDLE_SECONDS = 30
BURST_LINES = 200_000
FLOW_RATE, FLOW_SECONDS = 5_000, 15

COMPOSE = """\
services:
  web:
    image: opsconsole-fixture/app:1
    command: ["sh", "-c", "while true; do sleep 60; done"]
    init: true
    stop_grace_period: 0s
    deploy: {replicas: %(containers)d}
  burst:
    image: opsconsole-fixture/app:1
    profiles: [logs]
    command: ["sh", "-c", "yes burst-line-%(padding)s | head -n %(lines)d; echo the-last-line-of-all; sleep 3600"]
  flow:
    image: opsconsole-fixture/app:1
    profiles: [logs]
    stop_grace_period: 0s
    command: ["sh", "-c", "while true; do sleep 3600; done"]
"""


@dataclass
class Row:
    """One line of the table: what was measured, and each program's figure beside the console's."""

    measure: str
    unit: str
    ours: float
    others: dict[str, float] = field(default_factory=dict)
    goal: str = ""

    def __str__(self) -> str:
        beside = "  ".join(
            f"{name} {value:.3g} (x{self.ours / value:.2f})" for name, value in self.others.items() if value
        )
        return f"{self.measure:<58} {self.ours:>9.3g} {self.unit:<6} {beside:<62} {self.goal}"


class Bench:
    """A stack of many idle containers on the engine, removed at the end."""

    def __init__(self, engine: engines.Engine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.environment = {**os.environ, **engine.env}
        self.project = directory.name.lower()

    def compose(self, *words: str) -> None:
        command = ["docker", "compose", "-p", self.project, *words]
        subprocess.run(command, cwd=self.directory, env=self.environment, check=True, capture_output=True, timeout=600)

    def run(self, *command: str) -> float:
        """Wall seconds of a command whose output is read and thrown away."""
        began = time.perf_counter()
        subprocess.run(command, cwd=self.directory, env=self.environment, check=True, capture_output=True, timeout=300)
        return time.perf_counter() - began

    def console(self, *words: str) -> Terminal:
        return Terminal([*OPSCONSOLE, *words], cwd=str(self.directory), env=self._painting())

    def floor(self) -> Terminal:
        return Terminal(FLOOR, cwd=str(Path.cwd()), env=self._painting())

    def _painting(self) -> dict[str, str]:
        return {
            **self.engine.env,
            "PYTHONPATH": str(Path.cwd()),
            "COMPOSE_PROJECT_NAME": self.project,
            "SSH_CONNECTION": "",
        }


@contextmanager
def stack_of(containers: int) -> Iterator[Bench]:
    install.install()
    engine = engines.find_or_start()
    with tempfile.TemporaryDirectory(prefix=leftovers.run_name()) as name:
        bench = Bench(engine, Path(name))
        text = COMPOSE % {"containers": containers, "padding": "x" * 106, "lines": BURST_LINES}
        (bench.directory / "compose.yaml").write_text(text)
        bench.compose("up", "-d", "--quiet-pull")
        try:
            yield bench
        finally:
            bench.compose("--profile", "*", "down", "-t", "0", "-v")
            if engine.ours:
                pass  # left running: `python -m tests.parts down` ends it


def median(measure: Callable[[], float], repeats: int = REPEATS) -> float:
    return statistics.median(measure() for _ in range(repeats))


def launch(bench: Bench, containers: int) -> Iterator[Row]:
    """From the command to the name of a container on the screen."""
    pattern = rb"web-?\d|web \d|\bweb\b"

    def console() -> float:
        with bench.console() as terminal:
            return terminal.wait_for(pattern)

    def floor() -> float:
        with bench.floor() as terminal:
            return terminal.wait_for(pattern)

    pairs = [(console(), floor()) for _ in range(REPEATS)]  # in turn: the machine's speed drifts
    others = {
        "floor": statistics.median(pair[1] for pair in pairs),
        "docker ps": median(lambda: bench.run("docker", "ps", "-a")),
        "docker stats": median(lambda: bench.run("docker", "stats", "--no-stream"), 1),
    }
    ours = statistics.median(pair[0] for pair in pairs)
    yield Row(f"launch to container names, {containers} containers", "s", ours, others, "<= 1.3 x floor")


def idle(bench: Bench, containers: int) -> Iterator[Row]:
    """CPU of our own and of the engine in a minute in which nobody types."""

    def cost(terminal: Terminal) -> tuple[float, float]:
        time.sleep(3)  # past the start
        own, engine = terminal.cpu_seconds(), engine_cpu_seconds()
        time.sleep(IDLE_SECONDS)
        scale = 60 / IDLE_SECONDS
        return (terminal.cpu_seconds() - own) * scale, (engine_cpu_seconds() - engine) * scale

    with bench.console() as terminal:
        terminal.wait_for(rb"web")
        terminal.send(b"c")
        ours = cost(terminal)
        memory = terminal.memory_bytes() / 1e6
    with bench.floor() as terminal:
        terminal.wait_for(rb"web")
        floor = cost(terminal)
    with Terminal(["docker", "stats"], env=bench.engine.env) as terminal:
        terminal.wait_for(rb"web")
        stats = cost(terminal)
    yield Row(
        f"idle, containers pane, {containers} containers: own CPU",
        "s/min",
        ours[0],
        {"docker stats": stats[0], "floor": floor[0]},
        "<= 1.2 s/min",
    )
    yield Row("... engine CPU that it causes", "s/min", ours[1], {"docker stats": stats[1]}, "<= 0.5 x docker stats")
    yield Row("... memory", "MB", memory, {}, "<= 150 MB")


def burst(bench: Bench) -> Iterator[Row]:
    """200,000 lines that are there already, until the last one is shown."""
    bench.compose("--profile", "logs", "up", "-d", "burst")
    container = f"{bench.project}-burst-1"
    deadline = time.monotonic() + 120
    while (
        "the-last-line"
        not in subprocess.run(
            ["docker", "logs", "--tail", "1", container],
            env=bench.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    ):
        if time.monotonic() > deadline:
            raise TimeoutError("the burst was not written")
    plain = median(lambda: bench.run("docker", "logs", container), 3)
    ours = median(lambda: bench.run(*OPSCONSOLE, "logs", "--tail", str(BURST_LINES + 1), "burst"), 3)
    yield Row(
        f"opsconsole logs, {BURST_LINES} lines in a pipe", "s", ours, {"docker logs": plain}, "<= 1.5 x docker logs"
    )

    def painted() -> tuple[float, float]:
        with bench.console() as terminal:
            terminal.wait_for(rb"web")
            terminal.send(b"l")
            terminal.wait_until_quiet(0.5)
            mark = len(terminal.chunks)
            at = terminal.send(b"6")
            first = terminal.wait_for(rb"the-last-line-of-all", since=mark, timeout=120)
            return first - (at - terminal.began), terminal.memory_bytes() / 1e6

    results = [painted() for _ in range(3)]
    shown = statistics.median(result[0] for result in results)
    yield Row("... in the console, key 6 until the last line is painted", "s", shown, {"docker logs": plain}, "<= 3 x")
    yield Row("... memory after it", "MB", max(result[1] for result in results), {}, "<= 150 MB")
    bench.compose("--profile", "logs", "rm", "-fsv", "burst")


def flow(bench: Bench) -> Iterator[Row]:
    """5,000 lines a second: how far behind the screen is, and what it costs."""
    bench.compose("--profile", "logs", "up", "-d", "flow")
    container = f"{bench.project}-flow-1"
    writer = Path(__file__).with_name("writer.py")

    def write() -> subprocess.Popen[bytes]:
        # Into the container's own log: what its first process would have written.
        source = subprocess.Popen(
            [sys.executable, str(writer), str(FLOW_SECONDS), str(FLOW_RATE)], stdout=subprocess.PIPE
        )
        sink = ["docker", "exec", "-i", container, "sh", "-c", "cat > /proc/1/fd/1"]
        return subprocess.Popen(sink, stdin=source.stdout, env=bench.environment)

    def lags(terminal: Terminal, offset: float) -> list[float]:
        found = []
        for at, data in terminal.chunks:
            stamps = re.findall(rb"LAG(\d{13})", data)
            if stamps:
                found.append((at + offset) * 1000 - max(map(int, stamps)))
        return found

    def watch(terminal: Terminal) -> tuple[list[float], float]:
        offset = time.time() - time.perf_counter()
        terminal.chunks.clear()
        before = terminal.cpu_seconds()
        writing = write()
        writing.wait(timeout=FLOW_SECONDS + 60)
        cost = (terminal.cpu_seconds() - before) * 60 / FLOW_SECONDS
        return lags(terminal, offset), cost

    with bench.console() as terminal:
        terminal.wait_for(rb"web")
        terminal.send(b"l")
        terminal.wait_until_quiet(0.5)
        ours, cost = watch(terminal)
        memory = terminal.memory_bytes() / 1e6
    with Terminal(["docker", "logs", "-f", "--tail", "0", container], env=bench.engine.env) as terminal:
        time.sleep(1)
        plain, plain_cost = watch(terminal)

    def quantile(values: list[float], share: float) -> float:
        return sorted(values)[min(len(values) - 1, int(len(values) * share))]

    yield Row(
        f"{FLOW_RATE} lines/s for {FLOW_SECONDS} s: lag median",
        "ms",
        quantile(ours, 0.5),
        {"docker logs": quantile(plain, 0.5)},
    )
    yield Row("... lag p95", "ms", quantile(ours, 0.95), {"docker logs": quantile(plain, 0.95)}, "<= 150 ms")
    yield Row("... own CPU", "s/min", cost, {"docker logs": plain_cost}, "<= 25 s/min")
    yield Row("... memory", "MB", memory, {}, "<= 150 MB")
    bench.compose("--profile", "logs", "rm", "-fsv", "flow")


def keys(bench: Bench) -> Iterator[Row]:
    """From an arrow key to the first thing painted after it."""

    def presses(terminal: Terminal) -> list[float]:
        found = []
        for number in range(40):
            terminal.wait_until_quiet(0.05, 1)
            at = terminal.send(b"\x1b[B" if number % 20 < 10 else b"\x1b[A")
            found.append(terminal.wait_for_output(after=at) * 1000)
        return sorted(found)

    with bench.console() as terminal:
        terminal.wait_for(rb"web")
        terminal.send(b"c")
        terminal.wait_until_quiet(1)
        ours = presses(terminal)
    with bench.floor() as terminal:
        terminal.wait_for(rb"web")
        terminal.wait_until_quiet(1)
        floor = presses(terminal)
    yield Row("arrow key to painted highlight, idle: median", "ms", ours[20], {"floor": floor[20]})
    yield Row("... p95", "ms", ours[38], {"floor": floor[38]}, "<= 2 x floor")


def main() -> None:
    wanted = sys.argv[1:] or ["launch", "idle", "burst", "flow", "keys"]
    print(f"{'measure':<58} {'console':>9} {'':<6} {'beside it, and console / it':<62} goal")
    with stack_of(50) as bench:
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "launch": lambda: launch(bench, 50),
            "idle": lambda: idle(bench, 50),
            "burst": lambda: burst(bench),
            "flow": lambda: flow(bench),
            "keys": lambda: keys(bench),
        }
        for name in wanted:
            for row in parts[name]():
                print(row, flush=True)


if __name__ == "__main__":
    main()
