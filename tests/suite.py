"""All tests on one engine: spread over several processes first, then those that measure time or CPU alone.

python -m tests.suite              what `make test` runs
python -m tests.suite -k redis     words for pytest
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import offline
from tests.parts.borrowed import borrowed_engine
from tests.parts.machine import PartsError
from tests.spreading import BORROWED

# Most tests wait for something: on two processors four processes took 890 s and five 830. Before the tests took less of
# a processor six were no faster than four, and what waits for a screen no longer saw it in time.
PROCESSES = (os.cpu_count() or 1) + 3

# In the order of `tests.spreading`: by itself pytest-xdist keeps what it takes for small, our longest, to the end.
SPREAD = ("-m", "not alone", f"--numprocesses={PROCESSES}", "--dist=loadgroup", "--no-loadscope-reorder")
ALONE = ("-m", "alone")

# When the engine or the disk is gone for everybody, each further test would wait until its time is over.
MOST_FAILURES = "--maxfail=25"
NEEDED_BYTES = 5 * 1024**3
"""Free space below the directory for temporary files, where the engine of ours and the servers of the tests live."""


def main() -> int:
    """Run both halves; 1 when either has failed."""
    began = time.monotonic()
    words = sys.argv[1:]
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < NEEDED_BYTES:
        print(f"tests: {tempfile.gettempdir()} has {free / 1024**3:.1f} GiB free, 5 are needed", file=sys.stderr)
        return 1
    compiling = None if words else _compile_tests()
    try:
        with contextlib.nullcontext() if offline() else borrowed_engine():
            if compiling:
                compiling.wait()
            alone = () if any(Path(word.partition("::")[0]).exists() for word in words) else _files_with_tests_alone()
            codes = [_pytest(*half, *words) for half in (SPREAD, (*ALONE, *alone))]
    except PartsError as problem:
        print(f"tests: {problem}", file=sys.stderr)
        return 1
    finally:
        if compiling:
            compiling.kill()
    print(f"both halves together took {time.monotonic() - began:.0f} s")
    return _together(codes)


def _compile_tests() -> subprocess.Popen[bytes]:
    """Let pytest read all tests once while the engine starts: in a new clone every process would compile them all."""
    words = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _files_with_tests_alone() -> tuple[str, ...]:
    """Where the second half is: to read all the other files again takes as long as some of its tests."""
    return tuple(sorted(str(path) for path in Path("tests").glob("test_*.py") if "mark.alone" in path.read_text()))


def _pytest(*words: str) -> int:
    print(f"pytest {' '.join(words)}", flush=True)
    command = [sys.executable, "-m", "pytest", "--durations=15", MOST_FAILURES, *words]
    return subprocess.run(command, env={**os.environ, BORROWED: "1"}).returncode


def _together(codes: list[int]) -> int:
    """A half that holds none of the chosen tests is no failure, unless the other holds none either."""
    found = [code for code in codes if code != pytest.ExitCode.NO_TESTS_COLLECTED]
    return max(found) if found else int(pytest.ExitCode.NO_TESTS_COLLECTED)


if __name__ == "__main__":
    sys.exit(main())
