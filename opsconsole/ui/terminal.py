"""What happens when the terminal goes away: the process ends, soon, and without using the processor.

Textual 8.2.8 installs no handler for SIGHUP or SIGTERM and reads a closed terminal in a loop at 98 % of
a core. So while the console runs, a guard stands beside it: handlers for both signals, a thread that
sleeps until the terminal hangs up, and an eye on the thread that writes to it. Whatever comes first asks
the app to leave; what has not left a second later is ended, whether a source hangs or not.
"""

from __future__ import annotations

import contextlib
import locale
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

GRACE_SECONDS = 1.0
"""Between asking the app to leave and ending the process."""
LOST_GRACE_SECONDS = 0.3
"""The same when there is no terminal left to give back; meanwhile the framework reads it in a loop."""
WRITER_THREAD = "textual-output"
_LEAVE_SCREEN = "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?7h"


class NoTerminal(Exception):
    """The console cannot be drawn here. The text is one line for the operator."""


def require_terminal() -> None:
    """Raise NoTerminal unless keys can be read from stdin and the screen written (Textual writes to stderr)."""
    for stream, name, why in (
        (sys.__stdin__, "stdin", "keys are read from it"),
        (sys.__stderr__, "stderr", "the screen is drawn on it"),
        (sys.__stdout__, "stdout", "the size of the screen is asked from it"),
    ):
        if stream is None or stream.closed or not os.isatty(stream.fileno()):
            raise NoTerminal(
                f"{name} is not a terminal and {why}. Run it in a terminal, or use `opsconsole status` in a script."
            )
    if os.environ.get("TERM") == "dumb":
        raise NoTerminal(
            "TERM=dumb names a terminal that cannot place text. `export TERM=xterm-256color` if this one can, "
            "or use `opsconsole status`."
        )


def wants_ascii() -> bool:
    """Whether the locale cannot show box drawing."""
    return locale.getpreferredencoding(False).lower().replace("-", "") not in ("utf8", "utf8mb4")


def shell_waits() -> bool:
    """Whether a shell with job control takes the terminal back when this process stops, and can go on with it."""
    above = os.getppid()
    try:
        return os.getsid(above) == os.getsid(0) and os.getpgid(above) != os.getpgrp()
    except OSError:
        return False


class TerminalGuard:
    """While entered: SIGHUP, SIGTERM, a hang-up of stdin or a failed write end the process within two seconds."""

    def __init__(self, leave: Callable[[int], None]) -> None:
        """`leave(exit_code)` asks the app to go; it is called from any thread and must not block."""
        self._leave = leave
        self._left = threading.Event()
        self._ending = threading.Lock()
        self._signals: dict[int, Any] = {}
        self._excepthook = threading.excepthook
        self._attributes: list[Any] | None = None

    def __enter__(self) -> TerminalGuard:
        with contextlib.suppress(termios.error, OSError, ValueError):
            self._attributes = termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
        for number in (signal.SIGHUP, signal.SIGTERM):
            self._signals[number] = signal.signal(number, self._on_signal)
        threading.excepthook = self._on_thread_fault
        threading.Thread(target=self._wait_for_hangup, name="terminal-guard", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        threading.excepthook = self._excepthook
        for number, handler in self._signals.items():
            signal.signal(number, handler)

    def end(self, code: int, grace: float = GRACE_SECONDS) -> None:
        """Ask the app to leave; end the process if it has not within `grace` seconds. From any thread."""
        if not self._ending.acquire(blocking=False) and grace >= GRACE_SECONDS:
            return  # under way; only what leaves less time counts again
        threading.Thread(target=self._insist, args=(code, grace), name="terminal-guard-end", daemon=True).start()
        with contextlib.suppress(Exception):  # a loop that is closed already: the thread above ends us
            self._leave(code)

    def _insist(self, code: int, grace: float) -> None:
        # Also when the app has left: the interpreter joins threads at its end, and one may hang in a source.
        threading.Event().wait(grace)
        restore_terminal(self._attributes)
        os._exit(code)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.end(128 + number)

    def _on_thread_fault(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.thread is not None and arguments.thread.name == WRITER_THREAD:
            self.end(128 + signal.SIGHUP, LOST_GRACE_SECONDS)
        else:
            self._excepthook(arguments)

    def _wait_for_hangup(self) -> None:
        """Sleeps in poll: with no event asked for, the kernel reports only a hang-up or an error."""
        poll = select.poll()
        try:
            poll.register(sys.__stdin__.fileno(), 0)  # type: ignore[union-attr]
        except (OSError, ValueError):
            self.end(128 + signal.SIGHUP, LOST_GRACE_SECONDS)
            return
        while not self._left.is_set():
            # A second at most, for a console that has been left while the process goes on.
            if poll.poll(1000) and not self._left.is_set():
                self.end(128 + signal.SIGHUP, LOST_GRACE_SECONDS)
                return


def restore_terminal(attributes: list[Any] | None) -> None:
    """Give the terminal back as it was, if it is still there. Never blocks for long, never raises."""
    with contextlib.suppress(Exception):
        handle = sys.__stderr__.fileno()  # type: ignore[union-attr]
        if os.isatty(handle):
            _, writable, _ = select.select([], [handle], [], 0)
            if writable:
                os.write(handle, _LEAVE_SCREEN.encode())
    if attributes is not None:
        with contextlib.suppress(Exception):
            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, attributes)  # type: ignore[union-attr]
