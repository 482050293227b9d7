"""Work done in a process of its own, to be killed in the midst of it."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from opsconsole.config import load_from
from opsconsole.operations import runner


def in_a_child(work: Callable[[], object], **variables: str) -> int:
    """Fork, and do the work there with these environment variables. The signal that ended it, negative, or its exit
    code: the number that it returned, 1 when it raised."""
    with warnings.catch_warnings():
        # Python 3.12 warns of any other thread; the child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ.update(variables)
            done = work()
            code = done if isinstance(done, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_operation(directory: Path, place: Path, **variables: str) -> int:
    """Run the operation in `place` to its end. As the command does it, but that everything is imported already: that
    takes two thirds of the time."""

    def work() -> int:
        os.setsid()
        log = os.open(place / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        return runner.run(directory, place, load_from(directory))

    return in_a_child(work, **variables)
