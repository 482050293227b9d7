"""The points of an operation where it may be killed, and where a test does kill it.

`step(name)` stands in the code at each of them. Without the variables below it does nothing.

    OPS_KILL_AT=O05.2      the process kills itself there (SIGKILL), at the second passing of O05
    OPS_RAISE_AT=O05:EIO   an OSError with that number is raised there
    OPS_STEPS_TO=FILE      the name of each point that is passed is appended to FILE
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

DECLARED = {
    "O00": "before the lock is taken",
    "O01": "the lock is held",
    "O02": "before the facts are compared",
    "O03": "the operation is recorded, nothing is done yet",
    "O04": "before a step is recorded",
    "O05": "the step is recorded, its act has not begun",
    "O06": "the act is over, its end is not recorded",
    "O07": "the end of the step is recorded",
    "O08": "all is done, the result is not recorded",
    "O09": "the result is recorded, the journal is not sealed",
    "O10": "sealed, the lock is still held",
}
"""Every point. A point that is not declared here cannot be passed."""

_passed: Counter[str] = Counter()


def step(name: str) -> None:
    """Mark a point. Raises KeyError for one that is not declared, OSError when a test asked for it."""
    assert DECLARED[name]
    _passed[name] += 1
    if to := os.environ.get("OPS_STEPS_TO"):
        with open(to, "a", encoding="ascii") as file:
            file.write(f"{name}\n")
    if _here(os.environ.get("OPS_KILL_AT", ""), name):
        os.kill(os.getpid(), signal.SIGKILL)
    wanted, _, fault = os.environ.get("OPS_RAISE_AT", "").partition(":")
    if _here(wanted, name):
        number = getattr(errno, fault, errno.EIO)
        raise OSError(number, os.strerror(number))


def _here(wanted: str, name: str) -> bool:
    point, _, passing = wanted.partition(".")
    return point == name and _passed[name] == int(passing or 1)
