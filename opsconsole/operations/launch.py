"""Starts the process that runs an operation, so that it outlives the terminal, the SSH session and the console."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from opsconsole.operations.journal import open_private

_ASK_LOGIND = (
    "busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager", "KillUserProcesses",
)  # fmt: skip


def launch(directory: Path, place: Path, *, config: str = "", project: str = "") -> subprocess.Popen[bytes]:
    """Start the runner of the operation in `place`: own session, no terminal, output into a file. Returns at once."""
    log = open_private(place / "runner.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        return subprocess.Popen(
            [*scope(place.name), *words(directory, place, config=config, project=project)],
            cwd=str(directory),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def words(directory: Path, place: Path, *, config: str = "", project: str = "") -> tuple[str, ...]:
    """The command of the process that runs the operation in `place`."""
    # -P: the directory that we stand in is no place to import from, least of all as root.
    return (sys.executable, "-P", "-m", "opsconsole.run_operation", str(directory), place.name, config, project)


def scope(
    name: str,
    *,
    cgroup: str | None = None,
    root: bool | None = None,
    which: Callable[[str], str | None] = shutil.which,
    kills: Callable[[], bool] | None = None,
) -> tuple[str, ...]:
    """The words before the command where systemd ends everything of a login session with it; () elsewhere."""
    if cgroup is None:
        try:
            cgroup = Path("/proc/self/cgroup").read_text()
        except OSError:
            return ()
    in_session = any(".scope" in line and "session-" in line for line in cgroup.splitlines())
    if not in_session or which("systemd-run") is None or not (kills or logind_kills)():
        return ()
    user = () if (os.geteuid() == 0 if root is None else root) else ("--user",)
    return ("systemd-run", *user, "--scope", "--quiet", "--collect", f"--unit=opsconsole-{name}")


def logind_kills() -> bool:
    """Whether logind ends a session's processes with it (KillUserProcesses). Taken as no when it does not answer."""
    try:
        answer = subprocess.run(
            _ASK_LOGIND, stdin=subprocess.DEVNULL, capture_output=True, timeout=3, check=False, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.stdout.strip() == "b true"
