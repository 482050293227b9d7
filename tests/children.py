"""Work done in a process of its own, to be killed in the midst of it."""

from __future__ import annotations

import gc
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from opsconsole import run_operation as program
from opsconsole.config import load_from
from opsconsole.operations import runner


def in_a_child(work: Callable[[], object], **variables: str) -> int:
    """Fork, and do the work there with these environment variables. The signal that ended it, negative, or its exit
    code: the number that it returned, 1 when it raised."""
    return os.waitstatus_to_exitcode(os.waitpid(_forked(work, variables), 0)[1])


class Forked:
    """A process that `launch` has forked; what is asked of one that `subprocess` has started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int | None:
        return self._ended(0)

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode


def launch(directory: Path, place: Path, *, config: str = "", project: str = "") -> Forked:
    """As `operations.launch` does it, but that everything is imported already."""

    def work() -> int:
        os.chdir(directory)
        _leave_for(place)
        return program.main(str(directory), place.name, config, project)

    return Forked(_forked(work, {}))


def _forked(work: Callable[[], object], variables: dict[str, str]) -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of any other thread; the child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        # What the tests hold is not looked through for garbage: each page of it would be copied.
        gc.freeze()
        try:
            os.environ.update(variables)
            done = work()
            code = done if isinstance(done, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def run_operation(directory: Path, place: Path, **variables: str) -> int:
    """Run the operation in `place` to its end. As the command does it, but that everything is imported already: that
    takes two thirds of the time."""

    def work() -> int:
        _leave_for(place)
        return runner.run(directory, place, load_from(directory))

    return in_a_child(work, **variables)


def _leave_for(place: Path) -> None:
    """Into a session of its own, without a terminal, what it says into a file."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(place / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
