"""The terminal of the installed console goes away, and everything it started with it: within two seconds."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.console import Console
from tests.parts.engine import Engine
from tests.parts.install import find
from tests.parts.machine import run, wait_until
from tests.parts.servers import LOCAL, free_port
from tests.parts.stacks import Stack
from tests.terminal import OPSCONSOLE, Terminal

pytestmark = pytest.mark.alone

LIMIT = 2.0  # seconds
MOST_CPU = 1.0  # seconds of it, in those: a loop that reads a dead terminal uses all there is


def in_overview(console: Console) -> None:
    console.go("overview")


def in_logs(console: Console) -> None:
    console.go("logs", "following", "frontend ")


def in_dialog(console: Console) -> None:
    console.go("containers")
    console.press("r", shows="Restart backend?")


def in_shell(console: Console) -> None:
    console.go("containers")
    console.type("e")
    console.wait_for("Shell in", lambda lines: not console.in_console)
    console.type("echo $((40+2)); cat\r")
    console.wait_for(lambda lines: "42" in lines)


def hang_up(console: Console) -> None:
    console.hang_up()


def by_signal(number: int) -> Callable[[Console], None]:
    def send(console: Console) -> None:
        console.process.send_signal(number)

    return send


WAYS = {
    "the terminal closes on the overview": (in_overview, hang_up),
    "the terminal closes while logs come": (in_logs, hang_up),
    "the terminal closes behind a question": (in_dialog, hang_up),
    "the terminal closes in a shell": (in_shell, hang_up),
    "SIGHUP": (in_logs, by_signal(signal.SIGHUP)),
    "SIGTERM": (in_dialog, by_signal(signal.SIGTERM)),
    "SIGTERM in a shell": (in_shell, by_signal(signal.SIGTERM)),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_with_all_it_started_and_without_using_the_processor(mps: Stack, way: str) -> None:
    where, leave = WAYS[way]
    with Console(cwd=mps.directory) as console:
        console.started(mps.project)
        where(console)
        root = psutil.Process(console.process.pid)
        family = [root, *root.children(recursive=True)]
        used = psutil.Process(root.pid).cpu_times()
        began = time.monotonic()
        leave(console)
        _, status, usage = wait_for_end(console.process, LIMIT)
        assert time.monotonic() - began < LIMIT
        assert usage.ru_utime + usage.ru_stime - used.user - used.system < MOST_CPU
        wait_until(lambda: not [one for one in family[1:] if runs(one)], LIMIT, "a child is left")
        assert os.WIFEXITED(status)
        if console.master >= 0:  # the terminal is still there and is given back
            console.wait_for(lambda lines: not console.in_console)
            assert not console.cursor_hidden


def wait_for_end(process: subprocess.Popen[bytes], seconds: float) -> tuple[int, int, object]:
    """(pid, status, what it used), as `os.wait4` has it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return pid, status, usage
        time.sleep(0.01)
    raise AssertionError(f"still there after {seconds:g} s")


def runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


# --- over SSH --------------------------------------------------------------------------------------


class Login:
    """An SSH server on loopback with keys of its own, and how to log in to it."""

    def __init__(self, place: Path) -> None:
        self.port, self.place = free_port(), place
        for name in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name)
        (place / "authorized").write_text((place / "user.pub").read_text())
        (place / "known").write_text(f"[{LOCAL}]:{self.port} {(place / 'host.pub').read_text()}")
        settings = {
            "Port": self.port,
            "ListenAddress": LOCAL,
            "HostKey": place / "host",
            "AuthorizedKeysFile": place / "authorized",
            "PidFile": place / "sshd.pid",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "StrictModes": "no",
            # Without PAM an account with a locked password cannot log in by key either; only root can use PAM.
            "UsePAM": "yes" if os.geteuid() == 0 else "no",
        }
        (place / "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = find("sshd")
        assert sshd is not None
        with (place / "log").open("wb") as log:
            self.server = subprocess.Popen(
                [sshd, "-D", "-e", "-f", place / "config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._listens, 30, f"sshd does not listen, see {place / 'log'}")

    def command(self, remote: str) -> list[str]:
        """The ssh command for a remote one, with a terminal and nothing of the user's own settings."""
        options = {"UserKnownHostsFile": self.place / "known", "IdentitiesOnly": "yes", "StrictHostKeyChecking": "yes"}
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        where = f"{pwd.getpwuid(os.getuid()).pw_name}@{LOCAL}"
        return ["ssh", "-F", "none", "-tt", *words, "-i", str(self.place / "user"), "-p", str(self.port), where, remote]

    def close(self) -> None:
        family = [self.server.pid, *(child.pid for child in psutil.Process(self.server.pid).children(recursive=True))]
        for pid in reversed(family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.wait(10)

    def _listens(self) -> bool:
        with socket.create_connection((LOCAL, self.port), timeout=2):
            return True


@pytest.fixture
def login(tmp_path: Path, engine: Engine) -> Iterator[Login]:
    found = Login(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("where", [in_logs, in_shell])
def test_an_ssh_session_that_drops(mps: Stack, login: Login, where: Callable[[Console], None]) -> None:
    settings = {**mps.env, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    environment = " ".join(f"{key}={shlex.quote(value)}" for key, value in settings.items())
    remote = f"cd {shlex.quote(str(mps.directory))} && exec env {environment} {shlex.quote(OPSCONSOLE)}"
    with Session(login.command(remote)) as client:
        client.started(mps.project)
        where(client)
        below = psutil.Process(login.server.pid).children(recursive=True)
        consoles = [one for one in below if OPSCONSOLE in one.cmdline()]
        family = [*consoles, *(child for one in consoles for child in one.children(recursive=True))]
        assert consoles
        client.process.kill()  # no goodbye: the line is cut
        wait_until(lambda: not [one for one in family if runs(one)], LIMIT, "the remote console is left", interval=0.02)


class Session(Console):
    """A console at the other end of a command."""

    def __init__(self, command: list[str]) -> None:
        Terminal.__init__(self, *command)


@pytest.mark.parametrize("closed", ["stdin", "stdout"])
def test_without_a_terminal_it_says_so_in_one_line(mps: Stack, closed: str) -> None:
    redirected = "</dev/null" if closed == "stdin" else "| cat"
    with Terminal(
        "sh", "-c", f"{shlex.quote(OPSCONSOLE)} {redirected}; echo ended with $?", cwd=mps.directory
    ) as shell:
        shell.wait_for("the console needs a terminal: ", f"{closed} is not a terminal", "ended with ")
        assert "Traceback" not in shell.text()
        assert "\x1b" not in shell.output


def test_the_command_under_test_is_the_installed_one() -> None:
    assert Path(OPSCONSOLE).exists(), f"{sys.executable} has no opsconsole beside it"
