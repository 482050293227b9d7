"""The stack that is measured: many idle containers and, when asked for, two that write logs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.bench.terminal import Terminal, plain_environment
from tests.parts import engine as engines
from tests.parts import images, install, leftovers
from tests.parts.machine import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
OPSCONSOLE = [sys.executable, "-m", "opsconsole"]
FLOOR = [sys.executable, "-m", "tests.bench.floor"]

# A word that stands in no path, project or image name: where it is painted with a number, a container is painted.
SERVICE = "beacon"
CONTAINER = rb"beacon[ -]\d+"

BURST_LINES = 200_000
LAST_LINE = "the-last-line-of-all"

COMPOSE = """\
name: {project}
services:
  beacon:
    image: opsconsole-fixture/app:1
    command: ["sh", "-c", "while true; do sleep 600; done"]
    init: true
    stop_grace_period: 0s
    deploy: {{replicas: {containers}}}
  burst:
    image: opsconsole-fixture/app:1
    profiles: [logs]
    stop_grace_period: 0s
    command: ["sh", "-c", "yes burst-line-{padding} | head -n {lines}; echo {last}; exec sleep 36000"]
  flow:
    image: opsconsole-fixture/app:1
    profiles: [logs]
    init: true
    stop_grace_period: 0s
    command: ["sh", "-c", "while true; do sleep 600; done"]
"""


class BenchStack:
    """A Compose project on the engine, removed at the end."""

    def __init__(self, engine: engines.Engine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.project = directory.name.lower()
        self.environment = {**plain_environment(), **engine.env, "PYTHONPATH": str(CHECKOUT)}
        self._daemons = _daemons(engine)

    def write(self, containers: int) -> None:
        text = COMPOSE.format(
            project=self.project, containers=containers, padding="x" * 108, lines=BURST_LINES, last=LAST_LINE
        )
        (self.directory / "compose.yaml").write_text(text)

    def compose(self, *words: str) -> None:
        subprocess.run(
            ["docker", "compose", *words], cwd=self.directory, env=self.environment, check=True, capture_output=True
        )

    def scale(self, containers: int) -> None:
        self.write(containers)
        self.compose("up", "-d", "--quiet-pull")

    def names(self) -> list[str]:
        """The names of its containers."""
        listing = ["ps", "-a", "--filter", self.filter, "--format", "{{.Names}}"]
        return self.engine.docker(*listing).split()

    @property
    def filter(self) -> str:
        return f"label=com.docker.compose.project={self.project}"

    def seconds(self, *command: str) -> float:
        """Wall seconds of a command whose output is read and thrown away."""
        began = time.perf_counter()
        subprocess.run(
            command, cwd=self.directory, env=self.environment, check=True, stdout=subprocess.PIPE, timeout=300
        )
        return time.perf_counter() - began

    def console(self, *words: str) -> Terminal:
        return Terminal([*OPSCONSOLE, *words], cwd=self.directory, env=self.environment)

    def floor(self, *words: str) -> Terminal:
        return Terminal([*FLOOR, self.project, *words], cwd=self.directory, env=self.environment)

    def docker(self, *words: str) -> Terminal:
        return Terminal(["docker", *words], cwd=self.directory, env=self.environment)

    def engine_cpu_seconds(self) -> float:
        """CPU seconds of everything that is the engine: the daemon, containerd, the containers' shims."""
        return sum(map(_cpu_of, self._daemons)) + sum(map(_cpu_of, _shims(self._daemons)))


def _daemons(engine: engines.Engine) -> list[psutil.Process]:
    """The engine's dockerd and containerd. One of ours is told from others by its process id."""
    if engine.home is not None:
        root = psutil.Process(int(engine.home.pidfile.read_text()))
        return [root, *(child for child in root.children() if child.name() == "containerd")]
    return [process for process in psutil.process_iter() if process.name() in ("dockerd", "containerd")]


def _shims(daemons: Sequence[psutil.Process]) -> list[psutil.Process]:
    """A shim names on its command line the socket of the containerd that it belongs to."""
    directories = [word.rpartition("/")[0] for daemon in daemons for word in daemon.cmdline() if "containerd/" in word]
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        if (process.info["name"] or "").startswith("containerd-shim"):
            words = process.info["cmdline"] or []
            if not directories or any(word.startswith(place) for word in words for place in directories):
                found.append(process)
    return found


def _cpu_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def stack_of(containers: int) -> Iterator[BenchStack]:
    """Installs what is missing, finds or starts an engine, starts the stack; takes away what it has brought."""
    install.install()
    engine, started = engines.ensure()
    try:
        images.build_all(engine)
        leftovers.remove(engine)
        with tempfile.TemporaryDirectory(prefix=leftovers.run_name()) as name:
            stack = BenchStack(engine, Path(name))
            try:
                stack.scale(containers)
                yield stack
            finally:
                leftovers.remove(engine, also=stack.project)
    finally:
        if started:
            engines.stop(engine)


def wait_for_last_line(stack: BenchStack, container: str) -> None:
    """Until the burst is written whole."""
    wait_until(
        lambda: LAST_LINE in stack.engine.docker("logs", "--tail", "1", container), 120, "the burst was not written"
    )
