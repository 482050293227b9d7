"""Stacks that tests of many files look at: started when the first asks, gone when the last of their group has run.

A stack that stands there for nothing is not for free: its health checks and databases take a tenth of a processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests import spreading
from tests.parts.engine import Engine
from tests.parts.stacks import Stack, running_stack


class SharedStacks:
    """Those that run now, by name."""

    def __init__(self, engine: Engine, places: pytest.TempPathFactory) -> None:
        self._engine = engine
        self._places = places
        self._running: dict[str, Stack] = {}
        self._held = ExitStack()

    def get(self, name: str) -> Stack:
        """The running stack; the first time it is started and filled."""
        if name not in self._running:
            made = running_stack(name, self._engine, self._places.mktemp(name))
            self._running[name] = self._held.enter_context(made)
        return self._running[name]

    def close(self) -> None:
        """Take all of them away; who asks for one afterwards gets a new one."""
        self._running.clear()
        self._held.close()


_made: list[SharedStacks] = []


@contextmanager
def shared_stacks(engine: Engine, places: pytest.TempPathFactory) -> Iterator[SharedStacks]:
    """For one process of a test run."""
    made = SharedStacks(engine, places)
    _made.append(made)
    try:
        yield made
    finally:
        _made.remove(made)
        made.close()


def close_unused(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After a test: spread over several processes, the tests of another group do not come back to these stacks."""
    if nextitem is not None and spreading.ends_a_shared_group(item, nextitem):
        for made in _made:
            made.close()
