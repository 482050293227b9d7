"""From an arrow key to the moved highlight."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.logs import FLOW_RATE, Writer
from tests.bench.rows import Row, quantile
from tests.bench.screen import moves
from tests.bench.stack import CONTAINER, BenchStack
from tests.bench.terminal import Terminal

PRESSES = 40
# What stands in the rows that the highlight moves over, and within how many cells from the left.
IN_TABLE, IN_PICKER = (r"(?:beacon|flow)[ -]\d", 80), (r"beacon|flow", 24)
_DOWN, _UP = b"\x1b[B", b"\x1b[A"


def keys(stack: BenchStack) -> Iterator[Row]:
    """Nothing else goes on; then 5,000 log lines a second run down the same screen."""
    with stack.console() as terminal:
        terminal.wait_for(CONTAINER)
        terminal.send(b"c")
        terminal.wait_until_quiet(1.0)
        ours = _presses(terminal, IN_TABLE)
    with stack.floor() as terminal:
        terminal.wait_for(CONTAINER)
        terminal.wait_until_quiet(1.0)
        floor = _presses(terminal, IN_TABLE)
    yield from _rows("arrow key to moved highlight, idle", ours, floor, 2.0)
    stack.compose("--profile", "logs", "up", "-d", "flow")
    with stack.console() as terminal:
        terminal.wait_for(CONTAINER)
        terminal.send(b"l")
        terminal.wait_until_quiet(1.0)
        terminal.send(b"p")  # the list of services, beside the log
        ours = _under_flow(stack, terminal, IN_PICKER)
    with stack.floor(f"{stack.project}-flow-1") as terminal:
        terminal.wait_for(CONTAINER)
        floor = _under_flow(stack, terminal, IN_TABLE)
    yield from _rows(f"... beside a log of {FLOW_RATE:,} lines/s", ours, floor, 1.5)


def _rows(what: str, ours: list[float], floor: list[float], goal: float) -> Iterator[Row]:
    lost = f", {PRESSES - len(ours)} of {PRESSES} unanswered" if len(ours) < PRESSES else ""
    yield Row(f"{what}: median{lost}", "ms", quantile(ours, 0.5), {"floor": quantile(floor, 0.5)})
    yield Row("... p95", "ms", quantile(ours, 0.95), {"floor": quantile(floor, 0.95)}, f"<= {goal:g} x floor")


def _under_flow(stack: BenchStack, terminal: Terminal, rows: tuple[str, int]) -> list[float]:
    writer = Writer(stack, PRESSES * 0.2 + 3)
    time.sleep(1.5)  # until it runs evenly
    found = _presses(terminal, rows, pause=0.18)
    writer.wait()
    return found


def _presses(terminal: Terminal, rows: tuple[str, int], pause: float = 0.12) -> list[float]:
    """Milliseconds from each press to the moved highlight, sorted."""
    pressed = []
    for number in range(PRESSES):
        # Not in step with anything that is painted at a fixed rate.
        time.sleep(pause + 0.007 * (number % 7))
        pressed.append(terminal.send(_UP if number % 2 else _DOWN))
    time.sleep(0.5)
    return sorted(seconds * 1000 for seconds in moves(terminal.chunks, pressed, *rows))
