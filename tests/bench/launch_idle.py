"""How soon the containers are on the screen, and what it costs to leave them there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from tests.bench.rows import Row
from tests.bench.stack import CONTAINER, BenchStack
from tests.bench.terminal import Terminal

IDLE_SECONDS, BETWEEN_SECONDS = 20.0, 8.0


def launch(stack: BenchStack, containers: int, repeats: int, goal: float) -> Iterator[Row]:
    """From the command to the name of a container on the screen."""
    pairs = [(_launch(stack.console), _launch(stack.floor)) for _ in range(repeats)]  # in turn: speed drifts
    listing = ("docker", "ps", "-a", "--filter", stack.filter)
    others = {
        "floor": statistics.median(pair[1] for pair in pairs),
        "docker ps": statistics.median(stack.seconds(*listing) for _ in range(3)),
    }
    if containers <= 50:
        others["docker stats"] = stack.seconds("docker", "stats", "--no-stream", *stack.names())
    ours = statistics.median(pair[0] for pair in pairs)
    yield Row(f"launch to container names, {containers} containers", "s", ours, others, f"<= {goal} x floor")


def _launch(open_terminal: Callable[[], Terminal]) -> float:
    with open_terminal() as terminal:
        return terminal.wait_for(CONTAINER) - terminal.began


def idle(stack: BenchStack, containers: int) -> Iterator[Row]:
    """CPU of our own and of the engine in a minute in which nobody types."""
    # What the engine does for others changes: it is measured before and after each program, and taken off.
    nobody = [_cost(stack, None, BETWEEN_SECONDS)[1]]
    with stack.console() as terminal:
        terminal.wait_for(CONTAINER)
        overview = _cost(stack, terminal, IDLE_SECONDS)
        terminal.send(b"c")
        list_of_them = _cost(stack, terminal, IDLE_SECONDS)
        memory = terminal.peak_memory_bytes() / 1e6
    nobody.append(_cost(stack, None, BETWEEN_SECONDS)[1])
    with stack.docker("stats", *stack.names()) as terminal:
        terminal.wait_for(CONTAINER)
        stats = _cost(stack, terminal, IDLE_SECONDS)
    nobody.append(_cost(stack, None, BETWEEN_SECONDS)[1])
    with stack.floor() as terminal:
        terminal.wait_for(CONTAINER)
        floor = _cost(stack, terminal, BETWEEN_SECONDS)

    def caused(cost: tuple[float, float]) -> float:
        around = nobody[1:] if cost is stats else nobody[:2]
        return max(0.0, cost[1] - sum(around) / 2)

    beside = {"docker stats": stats[0], "floor": floor[0]}
    engine = {"docker stats": caused(stats)}
    yield Row(f"idle, containers pane, {containers} containers: own CPU", "s/min", list_of_them[0], beside, "<= 1.2")
    yield Row("... engine CPU that it causes", "s/min", caused(list_of_them), engine, "<= 0.5 x docker stats")
    yield Row(f"idle, overview, {containers} containers: own CPU", "s/min", overview[0], beside, "<= 1.2")
    yield Row("... engine CPU that it causes", "s/min", caused(overview), engine, "<= 0.5 x docker stats")
    yield Row("... most memory at any time", "MB", memory, {}, "<= 150")
    yield Row("(the engine without any of them, on average)", "s/min", sum(nobody) / len(nobody), {}, "")


def _cost(stack: BenchStack, terminal: Terminal | None, seconds: float) -> tuple[float, float]:
    """CPU seconds a minute: the program's, the engine's."""
    time.sleep(4)  # past the start, the first looks and their rates
    own, engine = _own(terminal), stack.engine_cpu_seconds()
    began = time.monotonic()
    time.sleep(seconds)
    scale = 60 / (time.monotonic() - began)
    return (_own(terminal) - own) * scale, (stack.engine_cpu_seconds() - engine) * scale


def _own(terminal: Terminal | None) -> float:
    return terminal.cpu_seconds() if terminal is not None else 0.0
