"""How the tests are spread over several processes: which of them stay together, and which begin first.

The tests of a file run in one process, one after the other, so that what they share per module is made once. A test
that looks at one of the stacks that are shared by all files goes with the others that do. A test whose `timeout` mark
allows more time than the others have is long: it may run in another process than the rest of its file, where it gets
its own copy of the module's fixtures.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict

import pytest

# Fixtures of conftest.py that take seconds to make.
SHARED = ("mps", "troubled", "thynk", "english_chat", "smokava", "smokava_rs", "newer_engine")

GUESSES = (
    ({"stack_factory", "slow"}, 6.0),
    ({"stack", "console"}, 4.0),
    ({"engine"}, 1.5),
    ({"host_mongod", "host_redis"}, 0.7),
)


BORROWED = "TESTS_ENGINE_IS_BORROWED"
"""Set by `tests.suite`, which has brought everything and borrowed the engine for both of its halves."""


def in_worker() -> bool:
    """Whether this is one of several processes that a test run is spread over."""
    return "PYTEST_XDIST_WORKER" in os.environ


def engine_is_borrowed() -> bool:
    """Whether another process has borrowed the engine for this one, too."""
    return in_worker() or BORROWED in os.environ


def spread(items: list[pytest.Item]) -> None:
    """Give each test its group, and bring the longest groups to the front: the end must not wait for one of them."""
    groups: dict[str, float] = defaultdict(float)
    for item in items:
        if not _is_long(item):
            item.add_marker(pytest.mark.xdist_group(_shared(item) or item.path.stem))
            groups[_group(item)] += _seconds(item)
    items.sort(key=lambda item: -groups.get(_group(item), math.inf))


def ends_a_shared_group(item: pytest.Item, following: pytest.Item) -> bool:
    """Whether this was the last test, of all processes, that looks at one of the shared stacks."""
    return in_worker() and _group(item) in SHARED and _group(following) != _group(item)


def _group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else ""


def _is_long(item: pytest.Item) -> bool:
    timeout = item.get_closest_marker("timeout")
    return timeout is not None and timeout.args[0] > float(item.config.getini("timeout") or 0)


def _shared(item: pytest.Item) -> str:
    """The first of the shared fixtures that a test uses, by itself or as a parameter; else ""."""
    used = set(getattr(item, "fixturenames", ()))
    if callspec := getattr(item, "callspec", None):
        used |= {value for value in callspec.params.values() if isinstance(value, str)}
    return next((name for name in SHARED if name in used), "")


def _seconds(item: pytest.Item) -> float:
    """A guess how long a test takes, from what it uses."""
    used = set(getattr(item, "fixturenames", ()))
    return next((seconds for names, seconds in GUESSES if used & names), 0.1)
