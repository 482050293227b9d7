"""Runs the commands of a step: no shell, no terminal, all output kept with its secrets masked."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from opsconsole.durable import write_all
from opsconsole.model import Record
from opsconsole.operations.journal import open_private
from opsconsole.stack.git_program import Account
from opsconsole.text import mask_text

LAST_LINES = 20
NOT_STARTED = 127
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 15.0  # between the request to end and SIGKILL
_LONGEST_LINE = 1 << 16
_PLAIN = {"COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain", "BUILDKIT_PROGRESS": "plain", "NO_COLOR": "1"}


class Ran(Record, frozen=True):
    """How a command ended, and where its output stands in output.log."""

    exit_code: int
    output_from: int
    output_to: int
    output_sha256: str
    last_lines: tuple[str, ...] = ()
    problem: str = ""  # why it did not run to its own end
    cut: bool = False  # because a cancel was asked


class Output:
    """output.log, growing."""

    def __init__(self, directory: Path, secrets: tuple[str, ...]) -> None:
        self._fd = open_private(directory / "output.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._secrets = secrets
        self.at = os.fstat(self._fd).st_size
        self._digest = hashlib.sha256()
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._lost: list[str] = []  # why, for each line that could not be written

    def begin(self) -> None:
        self._digest = hashlib.sha256()
        self._last.clear()
        self._lost.clear()

    def line(self, raw: bytes) -> None:
        text = mask_text(raw.decode(errors="replace").rstrip("\r\n"), self._secrets)
        self._last.append(text)
        self._keep(text.encode(errors="replace") + b"\n")

    def _keep(self, written: bytes) -> None:
        """On a full disk the command still runs to its end, and somebody reads what it says; the file tells the gap."""
        try:
            write_all(self._fd, written)
        except OSError as error:
            os.ftruncate(self._fd, self.at)
            self._lost.append(str(error.strerror))
            return
        self._digest.update(written)
        self.at += len(written)

    def ran(self, code: int, since: int, problem: str, cut: bool) -> Ran:
        if lost := self._lost:
            self._lost = []
            self._keep(f"({len(lost)} lines of output could not be kept: {lost[0]})\n".encode())
        os.fsync(self._fd)
        return Ran(
            exit_code=code,
            output_from=since,
            output_to=self.at,
            output_sha256=self._digest.hexdigest(),
            last_lines=tuple(line for line in self._last if line.strip()),
            problem=problem,
            cut=cut,
        )

    def close(self) -> None:
        os.close(self._fd)


def run(
    command: tuple[str, ...],
    output: Output,
    *,
    directory: str,
    seconds: float,
    keep_open: tuple[int, ...] = (),
    end_now: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> Ran:
    """Run one command to its end, `seconds` at most; `end_now` asks it to end earlier. `environment` is laid over
    ours, or over that of `account`, which is then whom it runs as. Never raises for a command that cannot be started:
    that is exit code 127 with the reason."""
    output.begin()
    since = output.at
    output.line(b"$ " + " ".join(command).encode(errors="replace"))
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**(account.environment if account else os.environ), **_PLAIN, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep_open,
            user=account.user if account else None,
            group=account.group if account and account.user is not None else None,
            extra_groups=account.groups if account and account.user is not None else None,
        )
    except OSError as error:
        problem = f"{command[0]} cannot be started: {error.strerror}"
        output.line(problem.encode())
        return output.ran(NOT_STARTED, since, problem, cut=False)
    problem, cut = _copied(process, output, seconds, end_now)
    return output.ran(process.returncode, since, problem, cut)


def _copied(
    process: subprocess.Popen[bytes], output: Output, seconds: float, end_now: Callable[[], bool]
) -> tuple[str, bool]:
    """Copy the output until the command ends or has to. (problem, cut)"""
    assert process.stdout is not None
    stream = process.stdout.fileno()
    deadline = time.monotonic() + seconds
    left, problem, cut, kill_at = b"", "", False, None
    while True:
        ready, _, _ = select.select([stream], [], [], _POLL_SECONDS)
        if ready:
            new = os.read(stream, _LONGEST_LINE)
            if not new:
                break
            *lines, left = (left + new).split(b"\n")
            for line in lines:
                output.line(line)
            if len(left) > _LONGEST_LINE:
                output.line(left)
                left = b""
        elif process.poll() is not None:
            break  # something that it started holds the pipe open
        now = time.monotonic()
        if kill_at is None and (now > deadline or end_now()):
            cut = now <= deadline
            problem = "it was cancelled" if cut else f"it did not end within {seconds:.0f} s"
            kill_at = now + _GRACE_SECONDS
            _signal(process, signal.SIGTERM)
        elif kill_at is not None and now > kill_at:
            _signal(process, signal.SIGKILL)
    if left:
        output.line(left)
    process.stdout.close()
    process.wait()
    return problem, cut


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
