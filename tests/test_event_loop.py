"""The screen answers at any time: nothing holds the event loop for more than 50 ms.

What is measured is the CPU time that the loop's own thread uses between two turns, the collector of garbage
included, so that a machine busy with other programs fails nobody. Waiting uses no CPU: what waits for a source, a
lock or a disk shows in the wall time, whose limit is far beyond what a busy machine does and far below "for ever".
"""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from opsconsole.demo import demo_sources
from opsconsole.model import Container, DatabaseStatus, LogLine, SourceState, Stack
from opsconsole.monitor import Monitor
from opsconsole.sources import LogRange, LogStream
from opsconsole.sources.log_lines import LineReader
from opsconsole.sources.log_order import LineQueue
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes import PANES

pytestmark = pytest.mark.alone

CONTAINERS, LINES_A_SECOND = 200, 5_000
LIMIT, WAITING_LIMIT = 0.050, 2.0
SECONDS = 5.0


class Hanging:
    """Databases that never answer."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.release = threading.Event()

    def look(self, stack: Stack, containers: Sequence[Container], *, collections: bool) -> tuple[DatabaseStatus, ...]:
        self.asked.set()
        self.release.wait()
        return ()

    def close(self) -> None:
        self.release.set()


class Flood:
    """Logs as an engine sends them, read and queued as those of an engine are, on a thread of their own."""

    problem = ""
    caught_up = True

    def __init__(self) -> None:
        self.written = 0
        self._queue = LineQueue()
        self._ended = threading.Event()
        self._containers: Sequence[Container] = ()

    def open(self, containers: Sequence[Container], wanted: LogRange) -> LogStream:
        self._containers = containers
        threading.Thread(target=self._write, daemon=True).start()
        return self

    def access(self, containers: Any) -> tuple[()]:
        return ()

    def read(self) -> list[LogLine]:
        return self._queue.take()

    def retarget(self, containers: Sequence[Container]) -> None:
        self._containers = containers

    def close(self) -> None:
        self._ended.set()

    def _write(self) -> None:
        readers = [LineReader(each.service, each.id) for each in self._containers[:10]]
        batch, began = 100, time.monotonic()
        while not self._ended.is_set():
            due = int((time.monotonic() - began) * LINES_A_SECOND)
            while self.written < due:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
                payloads = [
                    f"{stamp}.{number:09d}Z line {number} GET /orders/{number} 200 {'x' * (number % 120)}\n".encode()
                    for number in range(self.written, self.written + batch)
                ]
                frames = b"".join(struct.pack(">BxxxI", 1, len(payload)) + payload for payload in payloads)
                self._queue.put(readers[self.written // batch % len(readers)].feed(frames))
                self.written += batch
            self._ended.wait(0.02)


@dataclass
class Turns:
    """The longest that the loop was away: on the processor, and by the clock."""

    cpu: float = 0.0
    wall: float = 0.0
    count: int = 0

    async def watch(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            cpu, wall = time.thread_time(), time.monotonic()
            await asyncio.sleep(0.005)
            self.cpu = max(self.cpu, time.thread_time() - cpu)
            self.wall = max(self.wall, time.monotonic() - wall)
            self.count += 1


@asynccontextmanager
async def console(flood: Flood) -> AsyncIterator[Any]:
    """The console with its 200 containers and the flood, one source hanging."""
    sources = demo_sources(containers=CONTAINERS)
    hanging = Hanging()
    sources.databases, sources.logs = hanging, flood
    monitor = Monitor(sources)
    app = ConsoleApp(monitor)
    app.alone_in_process = True
    async with app.run_test(size=(120, 40)) as pilot:
        while len(monitor.snapshot.containers) < CONTAINERS or not hanging.asked.is_set():
            await pilot.pause(0.05)
        await app.go("logs")  # its stream goes on when another pane is shown
        yield pilot
        assert monitor.snapshot.readings["databases"].state is SourceState.WAITING


def never_away(turns: Turns) -> None:
    assert turns.count > 20
    assert turns.cpu <= LIMIT, f"the loop was away for {turns.cpu * 1000:.0f} ms of CPU"
    assert turns.wall <= WAITING_LIMIT, f"the loop was away for {turns.wall:.1f} s"


@pytest.mark.parametrize("pane", ["containers", "logs"])
async def test_nothing_holds_the_loop(pane: str, as_in_a_process_of_its_own: None) -> None:
    flood, turns = Flood(), Turns()
    async with console(flood) as pilot:
        shown = await pilot.app.go(pane)
        await pilot.pause(1.0)
        before = flood.written
        await turns.watch(SECONDS)
        assert flood.written - before > LINES_A_SECOND * SECONDS * 0.5
        if pane == "logs":
            await pilot.pause(0.2)
            assert len(shown.store) > LINES_A_SECOND * SECONDS * 0.5
    never_away(turns)


async def test_a_walk_through_the_panes_does_not_hold_it_either(as_in_a_process_of_its_own: None) -> None:
    turns = Turns()
    async with console(Flood()) as pilot:
        watching = asyncio.ensure_future(turns.watch(SECONDS))
        for pane in (*PANES, *PANES):  # built, and shown again
            shown = await pilot.app.go(pane.pane_id)
            if pane.pane_id == "metrics":
                shown.action_range(6)  # a day as it was kept
            await asyncio.sleep(SECONDS / 20)
        await watching
    never_away(turns)
