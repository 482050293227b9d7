"""The engine, borrowed for the time of a test run: the images are there, and afterwards it is as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.parts import engine as engines
from tests.parts import images, leftovers
from tests.parts.engine import Engine
from tests.parts.install import install


@contextlib.contextmanager
def borrowed_engine() -> Iterator[Engine]:
    """The engine that is there already, or one of ours that is started now and stopped at the end."""
    install()
    found, started = engines.ensure()
    leftovers.remove(found)
    images.build_all(found)
    images.hold_all(found)
    try:
        yield found
    finally:
        leftovers.remove(found, also=leftovers.run_name())
        if started:
            engines.stop(found)
        elif not found.ours:
            # A contributor's `mongo:6.0` must be the real one again.
            images.remove_ours(found)
