"""This machine: where our things live, how a command is run, how we wait."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parents[2]

# Downloads and unpacked programs: kept between runs.
CACHE = Path(os.environ.get("OPSCONSOLE_PARTS") or CHECKOUT / ".parts").absolute()

# Sockets and running state. Short on purpose: the path of a Unix socket may have about 107 characters, and containerd
# puts long ones below it.
RUN = Path(f"/tmp/opsconsole-parts-{os.getuid()}")
LOCKS = RUN.with_name(f"{RUN.name}-locks")

# Debian keeps dockerd, iptables and modprobe where an ordinary user's PATH does not look.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class PartsError(Exception):
    """A part is missing or does not work; the message is one line and says what to do."""


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
    check: bool = True,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure raises PartsError with the last line it wrote."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "PATH": PATH, **(env or {})},
            timeout=timeout,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as missing:
        raise PartsError(f"{words[0]} is not installed") from missing
    except subprocess.TimeoutExpired as late:
        raise PartsError(f"{' '.join(words)}: no end after {timeout:g} s") from late
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise PartsError(f"{' '.join(words)}: exit code {done.returncode}: {said[-1] if said else 'no output'}")
    return done


def works(*command: str | Path, env: Mapping[str, str] | None = None) -> bool:
    """Whether a command exists and ends well."""
    try:
        return run(*command, env=env, timeout=60, check=False).returncode == 0
    except PartsError:
        return False


def wait_until(condition: Callable[[], T], timeout: float, message: str, interval: float = 0.05) -> T:
    """Return the first truthy value of condition(); PartsError(message) if there is none in time.

    An exception counts as "not yet", and its text ends up in the message.
    """
    deadline = time.monotonic() + timeout
    while True:
        problem = ""
        try:
            if value := condition():
                return value
        except Exception as not_yet:
            problem = f" ({type(not_yet).__name__}: {not_yet})"
        if time.monotonic() >= deadline:
            raise PartsError(f"{message}: not within {timeout:g} s{problem}")
        time.sleep(interval)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time: all test runs of this machine share the engine, and those of one checkout the parts."""
    with lock_file(name, CACHE if name == "install" else LOCKS) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock_file(name: str, place: Path = LOCKS) -> BinaryIO:
    """An open file to lock, or parts of it."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        raise PartsError(f"{place} belongs to somebody else; remove it")
    return (place / f"{name}.lock").open("wb")


def say(text: str) -> None:
    """Progress, on stderr: stdout belongs to `env`."""
    print(f"parts: {text}", file=sys.stderr, flush=True)
