"""All tests on one engine: spread over several processes first, then those that measure time or CPU alone.

python -m tests.suite              what `make test` runs
python -m tests.suite -k redis     words for pytest
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from tests.conftest import offline
from tests.parts.borrowed import borrowed_engine
from tests.parts.machine import PartsError

# Most tests wait for something most of the time.
PROCESSES = (os.cpu_count() or 1) + 1

SPREAD = ("-m", "not alone", f"--numprocesses={PROCESSES}", "--dist=loadgroup")
ALONE = ("-m", "alone")


def main() -> int:
    """Run both halves; 1 when either has failed."""
    began = time.monotonic()
    try:
        with contextlib.nullcontext() if offline() else borrowed_engine():
            codes = [_pytest(*half, *sys.argv[1:]) for half in (SPREAD, ALONE)]
    except PartsError as problem:
        print(f"tests: {problem}", file=sys.stderr)
        return 1
    print(f"both halves together took {time.monotonic() - began:.0f} s")
    return _together(codes)


def _pytest(*words: str) -> int:
    print(f"pytest {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", "--durations=15", *words]).returncode


def _together(codes: list[int]) -> int:
    """A half that holds none of the chosen tests is no failure, unless the other holds none either."""
    found = [code for code in codes if code != pytest.ExitCode.NO_TESTS_COLLECTED]
    return max(found) if found else int(pytest.ExitCode.NO_TESTS_COLLECTED)


if __name__ == "__main__":
    sys.exit(main())
