"""`make bench`: the table, with ratios measured in this run.

python -m tests.bench [launch] [idle] [burst] [flow] [keys] [many] [mongo] [redis]     only these, default all
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.bench.keys import keys
from tests.bench.launch_idle import idle, launch
from tests.bench.logs import burst, flow
from tests.bench.mongo import mongo
from tests.bench.redis import redis
from tests.bench.rows import HEADING, Row
from tests.bench.stack import BenchStack, stack_of

SOME, MANY = 50, 200


def many(stack: BenchStack) -> Iterator[Row]:
    stack.scale(MANY)
    yield from launch(stack, MANY, 3, 1.5)


PARTS: dict[str, Callable[[BenchStack], Iterator[Row]]] = {
    "launch": lambda stack: launch(stack, SOME, 5, 1.3),
    "idle": lambda stack: idle(stack, SOME),
    "burst": burst,
    "flow": flow,
    "keys": keys,
    "many": many,
}

ALONE: dict[str, Callable[[], Iterator[Row]]] = {"mongo": mongo, "redis": redis}
"""What needs no stack."""


def main() -> int:
    wanted = sys.argv[1:] or [*PARTS, *ALONE]
    if unknown := [name for name in wanted if name not in {**PARTS, **ALONE}]:
        print(f"{__doc__}\nno such part: {', '.join(unknown)}", file=sys.stderr)
        return 2
    marks = [("set-up", time.monotonic())]
    print(HEADING)
    for name in (name for name in wanted if name in ALONE):
        marks.append((name, time.monotonic()))
        for row in ALONE[name]():
            print(row, flush=True)
    if on_stack := [name for name in wanted if name in PARTS]:
        marks.append(("stack", time.monotonic()))
        _on_stack(on_stack, marks)
    marks.append(("", time.monotonic()))
    spent = ", ".join(f"{name} {end - began:.0f}" for (name, began), (_, end) in pairwise(marks))
    print(f"{marks[-1][1] - marks[0][1]:.0f} s ({spent}); {_machine()}")
    return 0


def _on_stack(names: list[str], marks: list[tuple[str, float]]) -> None:
    with stack_of(SOME) as stack:
        print(f"engine {stack.engine.docker_host}")
        for name in names:
            marks.append((name, time.monotonic()))
            for row in PARTS[name](stack):
                print(row, flush=True)
        marks.append(("clean-up", time.monotonic()))


def _machine() -> str:
    busy = os.getloadavg()
    return f"{os.cpu_count()} cores, load {busy[0]:.1f} now and {busy[2]:.1f} over 15 min"


sys.exit(main())
