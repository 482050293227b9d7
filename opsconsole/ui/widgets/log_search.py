"""Going from hit to hit in a log, in slices of time so that keys go on working in 100,000 lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from opsconsole.log_index import LogIndex
from opsconsole.model import LogLine

_SLICE = 0.012  # seconds between two turns of the event loop


def start_of_search(index: LogIndex, hit: int | None, top: int, bottom: int, step: int) -> int:
    """Position of the line to look at first: behind the last hit, else on the screen (rows `top` to `bottom`)."""
    if hit is not None and hit >= index.store.first:
        position = index.position_of(hit)
        found = position < index.lines and index.number_at(position) == hit
        return position + (1 if found else 0) if step > 0 else position - 1
    if not index.height:
        return -1
    row = top if step > 0 else bottom
    return index.position_of(index.at(min(max(0, row), index.height - 1))[0])


async def find(index: LogIndex, position: int, step: int, matches: Callable[[LogLine], bool]) -> int | None:
    """The number of the next matching line from a position on, going down (step 1) or up (-1); None without one."""
    until = perf_counter() + _SLICE
    while 0 <= position < index.lines:
        number = index.number_at(position)
        if number >= index.store.first:
            if matches(index.store[number]):
                return number
        elif step < 0:
            return None
        position += step
        if perf_counter() > until:
            await asyncio.sleep(0)
            # Lines that fell out meanwhile moved every position.
            position = index.position_of(number) + (step if number >= index.store.first or step < 0 else 0)
            until = perf_counter() + _SLICE
    return None
