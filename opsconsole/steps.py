"""Points of a long piece of work where it may be killed, and where a test does kill it.

Each such piece declares its points, and `step(name)` stands in the code at each of them. Without the variables below
it does nothing.

    OPS_KILL_AT=O05.2      the process kills itself there (SIGKILL), at the second passing of O05
    OPS_RAISE_AT=O05:EIO   an OSError with that number is raised there; O05:SIGTERM sends the process that signal;
                           several with commas
    OPS_STEPS_TO=FILE      the name of each point that is passed is appended to FILE
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Mapping


class Steps:
    """The declared points of one piece of work."""

    def __init__(self, declared: Mapping[str, str]) -> None:
        self.declared = declared
        self._passed: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        """Mark a point. Raises KeyError for one that is not declared, OSError when a test asked for it."""
        assert self.declared[name]
        self._passed[name] += 1
        if to := os.environ.get("OPS_STEPS_TO"):
            with open(to, "a", encoding="ascii") as file:
                file.write(f"{name}\n")
        if self._here(os.environ.get("OPS_KILL_AT", ""), name):
            os.kill(os.getpid(), signal.SIGKILL)
        for one in os.environ.get("OPS_RAISE_AT", "").split(","):
            wanted, _, fault = one.partition(":")
            if self._here(wanted, name):
                _be_at_fault(fault)

    def _here(self, wanted: str, name: str) -> bool:
        point, _, passing = wanted.partition(".")
        return point == name and self._passed[name] == int(passing or 1)


def _be_at_fault(fault: str) -> None:
    if fault.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[fault])
        return
    number = getattr(errno, fault, errno.EIO)
    raise OSError(number, os.strerror(number))
