"""Garbage collection that nobody feels.

Left alone, Python walks through all objects of the program once a second while a log floods past: 130,000 objects,
50 ms on an idle machine and 300 on a busy one, in which no key is answered. Nearly all of them were made at the start
and stay to the end; they are set aside and never walked through again.
"""

from __future__ import annotations

import gc

_NEW_OBJECTS = 5_000
"""Made since the last walk through the young ones, which then takes 1 ms, and every fifth walk 10. With Python's own
700 it is ten walks a frame."""


def hold() -> None:
    """Collect nothing while the program is being loaded: nothing of it is garbage."""
    gc.disable()


def set_aside() -> None:
    """What is there now stays. Not for a program that makes many apps, as tests do: they would never be freed."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 5, 10)
    gc.enable()
