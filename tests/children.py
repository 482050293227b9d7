"""Work done in a process of its own, to be killed in the midst of it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable


def in_a_child(work: Callable[[], object], **variables: str) -> int:
    """Fork, and do the work there with these environment variables. The signal that ended it, negative, or its exit
    code: 1 when it raised."""
    with warnings.catch_warnings():
        # Python 3.12 warns of any other thread; the child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.environ.update(variables)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
