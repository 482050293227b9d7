"""The terminal goes away, and the process with it: within two seconds, without using the processor."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.terminal import OPSCONSOLE, Terminal

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 2.0
STARTED = 30.0
SCRIPT = """
import sys, threading
from tests.ui_sample import Feed, well
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.terminal import NoTerminal

class Hanging(Feed):
    def start(self):
        # A source that hangs, on a thread that the interpreter would wait for at its end.
        threading.Thread(target=threading.Event().wait).start()

hanging = "hanging" in sys.argv
app = ConsoleApp((Hanging if hanging else Feed)(well()))
if hanging:
    app.busy[1] = "restart backend"
try:
    app.run()
except NoTerminal as reason:
    print(reason, file=sys.stderr)
    sys.exit(2)
sys.exit(app.return_code or 0)
"""


class Console:
    """The console in a process of its own, on a terminal whose other end is ours."""

    def __init__(self, *arguments: str, controlling: bool = True, screen_apart: bool = False) -> None:
        self.master, slave = pty.openpty()
        self.screen, screen_slave = pty.openpty() if screen_apart else (self.master, slave)
        for handle in {slave, screen_slave}:
            fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

        def take_terminal() -> None:
            os.setsid()
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=slave,
            stdout=screen_slave,
            stderr=screen_slave,
            preexec_fn=take_terminal,
        )
        for handle in {slave, screen_slave}:
            os.close(handle)
        self.seen = b""

    def wait_for(self, text: bytes, seconds: float = STARTED) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} was not painted; painted was {self.seen[-2000:]!r}"
            try:
                self.seen += os.read(self.screen, 65536)
            except OSError:  # the other end has gone
                assert text in self.seen, f"it ended without {text!r}: {self.seen[-2000:]!r}"

    def wait_for_silence(self, seconds: float = 0.5) -> None:
        """Until nothing has been painted for a while: a write that is under way would notice the loss by itself."""
        while select.select([self.screen], [], [], seconds)[0]:
            self.seen += os.read(self.screen, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def seconds_to_end(self) -> float:
        """How long it takes from now; fails when it takes longer than the limit."""
        before = time.monotonic()
        try:
            self.process.wait(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still there after {LIMIT} s")
        return time.monotonic() - before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for handle in {self.master, self.screen}:
            if handle >= 0:
                os.close(handle)


Start = Callable[..., Console]


@pytest.fixture
def console() -> Iterator[Start]:
    made: list[Console] = []

    def start(*arguments: str, controlling: bool = True, screen_apart: bool = False) -> Console:
        one = Console(*arguments, controlling=controlling, screen_apart=screen_apart)
        made.append(one)
        one.wait_for(b"All is well")
        one.wait_for_silence()
        return one

    yield start
    for one in made:
        one.close()


def hang_up(one: Console) -> None:
    """What sshd does when the line is cut."""
    os.close(one.master)
    if one.screen == one.master:
        one.screen = -1
    one.master = -1


@pytest.mark.parametrize("controlling", [True, False], ids=["with SIGHUP", "without any signal"])
def test_a_closed_terminal_ends_the_process(console: Start, controlling: bool) -> None:
    one = console(controlling=controlling)
    hang_up(one)
    one.seconds_to_end()


def test_it_does_not_spin_until_it_ends(console: Start) -> None:
    """Textual reads a dead terminal in a loop at 98 % of a core."""
    one = console("hanging", controlling=False)
    process = psutil.Process(one.process.pid)
    before = used = sum(process.cpu_times()[:2])
    hang_up(one)
    deadline = time.monotonic() + LIMIT
    while one.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            used = max(used, sum(process.cpu_times()[:2]))
    assert one.process.poll() is not None
    assert used - before < 0.7


def test_a_screen_that_cannot_be_written_ends_the_process(console: Start) -> None:
    one = console(screen_apart=True, controlling=False)
    os.close(one.screen)
    one.screen = one.master
    one.type(b"c")
    one.seconds_to_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_and_gives_the_terminal_back(console: Start, number: signal.Signals) -> None:
    one = console()
    one.process.send_signal(number)
    one.wait_for(b"\x1b[?1049l", LIMIT)  # the alternate screen is left
    one.seconds_to_end()
    assert one.process.returncode == 128 + number


def test_q_leaves_and_gives_the_terminal_back(console: Start) -> None:
    one = console()
    one.type(b"q")
    one.wait_for(b"\x1b[?1049l", LIMIT)
    one.seconds_to_end()
    assert one.process.returncode == 0


def test_q_does_not_wait_for_a_source_that_hangs(console: Start) -> None:
    one = console("hanging")
    one.type(b"q")
    one.wait_for(b"Leave the console")
    one.wait_for(b"restart backend")
    one.type(b"\t\r")
    one.wait_for(b"\x1b[?1049l", LIMIT)
    one.seconds_to_end()
    assert one.process.returncode == 0


@pytest.mark.parametrize("closed", ["stdin", "stderr"])
def test_without_a_terminal_it_says_so_and_ends(closed: str) -> None:
    master, slave = pty.openpty()
    try:
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL if closed == "stdin" else slave,
            capture_output=True,
            timeout=20,
            check=False,
        )
    finally:
        os.close(master)
        os.close(slave)
    assert result.returncode == 2
    assert f"{closed} is not a terminal" in result.stderr.decode()


def test_it_is_put_aside_and_brought_back_by_the_shell() -> None:
    with Terminal("bash", "--norc", "--noprofile", "-i", columns=80, rows=24, env={"PS1": "shell> "}) as terminal:
        terminal.wait_for("shell>")
        terminal.type(f"{OPSCONSOLE} demo\r")
        terminal.wait_for("Services", "overview containers")
        terminal.type("c")
        terminal.wait_for("Restarts")
        terminal.type("Ctrl+Z")
        terminal.wait_for("Stopped", lambda lines: not terminal.in_console)
        assert not terminal.cursor_hidden
        terminal.type("fg\r")
        terminal.wait_for("Restarts", lambda lines: terminal.in_console)
        terminal.type("v")
        terminal.wait_for("Safety")
        terminal.type("q")
        terminal.wait_for(lambda lines: not terminal.in_console)


def test_it_does_not_stop_where_no_shell_could_bring_it_back() -> None:
    with Terminal(OPSCONSOLE, "demo", columns=80, rows=24) as terminal:
        terminal.wait_for("Services")
        terminal.type("Ctrl+Z")
        terminal.wait_for("No shell waits for the terminal")
        terminal.type("c")
        terminal.wait_for("Restarts")
