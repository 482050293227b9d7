"""How the tests are spread over several processes: which of them stay together, and which begin first.

The tests of a file run in one process, one after the other, so that what they share per module is made once. A test
that looks at one of the stacks that are shared by all files goes with the others that do. `@pytest.mark.apart` lets a
long test run in another process than the rest of its file, where it gets its own copy of the module's fixtures.
"""

from __future__ import annotations

import os

import pytest

# Fixtures of conftest.py that take seconds to make, once in each process.
SHARED = ("mps", "troubled", "thynk", "english_chat", "smokava", "smokava_rs", "newer_engine")


def in_worker() -> bool:
    """Whether this is one of several processes that a test run is spread over."""
    return "PYTEST_XDIST_WORKER" in os.environ


def spread(items: list[pytest.Item]) -> None:
    """Give each test its group, and bring those to the front that take long: the end must not wait for one of them."""
    for item in items:
        if item.get_closest_marker("apart") is None:
            item.add_marker(pytest.mark.xdist_group(_shared(item) or item.path.stem))
    items.sort(key=_rank)


def _shared(item: pytest.Item) -> str:
    """The first of the shared fixtures that a test uses, by itself or as a parameter; else ""."""
    used = set(getattr(item, "fixturenames", ()))
    if callspec := getattr(item, "callspec", None):
        used |= {value for value in callspec.params.values() if isinstance(value, str)}
    return next((name for name in SHARED if name in used), "")


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("apart") is not None:
        return 0
    if _shared(item):
        return 1 + SHARED.index(_shared(item))
    return 1 + len(SHARED) + ("engine" not in getattr(item, "fixturenames", ()))
