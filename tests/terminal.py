"""A terminal of our own: a program runs in it, keys are typed, and what it paints is read from a real screen.

    with Terminal(OPSCONSOLE, "demo", columns=120, rows=40) as terminal:
        terminal.wait_for("All is well")
        terminal.type("c")
        assert terminal.cell(0, 0).reverse

A thread feeds everything the program writes to a pyte screen, as fast as it comes. Nothing here sleeps: every
wait is for something on the screen, and one that fails says what was there instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.quick_screen import QuickScreen

OPSCONSOLE = str(Path(sys.executable).with_name("opsconsole"))
"""The installed command."""

PATIENCE = 45.0
"""Seconds that a wait takes at most, on a machine that is busy with other tests."""

_FOREIGN = ("NO_COLOR", "SSH_CONNECTION", "SSH_TTY", "TMUX", "TERM_PROGRAM", "COLUMNS", "LINES", "LC_ALL", "TEXTUAL")
# Without a controlling terminal there is no SIGHUP and no SIGWINCH. A program of its own takes it, because a
# process with threads must not fork in Python.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)

# One whole control sequence at the beginning; None while the rest of it has not come yet.
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[P_^X][^\x1b]*(?:\x1b(?!\\)[^\x1b]*)*\x1b\\"
    r"|\x1b[()*+#%][0-9A-Za-z@]"
    r"|\x1b[^\[\]P_^X()*+#%]",
    re.DOTALL,
)

_KNOWN_TO_PYTE = re.compile(r"\x1b(?:\[[?]?[0-9;]*[@-~]|[78DEHMc])")

KEYS = {
    "Enter": "\r", "Esc": "\x1b", "Tab": "\t", "Shift+Tab": "\x1b[Z", "Backspace": "\x7f", "Space": " ",
    "Up": "\x1b[A", "Down": "\x1b[B", "Right": "\x1b[C", "Left": "\x1b[D", "Home": "\x1b[H", "End": "\x1b[F",
    "PgUp": "\x1b[5~", "PgDn": "\x1b[6~", "F1": "\x1bOP", "F2": "\x1bOQ", "F5": "\x1b[15~",
}  # fmt: skip


def key_bytes(name: str) -> str:
    """What a terminal sends for a key as the console writes it: `Enter`, `Ctrl+P`, `?`."""
    if name.startswith("Ctrl+"):
        return chr(ord(name.removeprefix("Ctrl+").upper()) - 64)
    return KEYS.get(name, name)


Wanted = str | re.Pattern[str] | Callable[[list[str]], Any]


class Terminal:
    """A program in a pseudo-terminal of `columns` x `rows`."""

    def __init__(
        self,
        *command: str | Path,
        columns: int = 120,
        rows: int = 40,
        cwd: str | Path = ".",
        env: Mapping[str, str] | None = None,
        bytes_per_second: int = 0,
    ) -> None:
        """With `bytes_per_second` it is at the end of a slow line."""
        self._pause = 4096 / bytes_per_second if bytes_per_second else 0.0
        self.master, slave = pty.openpty()
        _set_size(slave, columns, rows)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "PYTHONUTF8": "1"}
        environment |= env or {}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _TAKE_TERMINAL, *map(str, command)],
            cwd=cwd,
            env={key: value for key, value in environment.items() if value},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.raw = bytearray()  # every byte the program wrote
        self.titles: list[str] = []  # every title it gave the terminal
        self.clipboard: list[str] = []  # everything it put on the clipboard, as base64
        self._plain, self._alternate = QuickScreen(columns, rows), QuickScreen(columns, rows)
        self._screen = self._plain
        self._shown: list[str] | None = None  # the screen's lines, until something is painted
        self._held = ""  # the beginning of a sequence whose end has not come
        self._frame: list[str] | None = None  # what a frame holds that is not painted yet: its end has not come
        self._painted = threading.Condition()
        self._hurry = threading.Event()  # never set: its `wait` makes the line slow
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    # --- what a person does ------------------------------------------------------------------------

    def type(self, *keys: str) -> None:
        """Type text, or keys by their names in `KEYS` and as `Ctrl+X`."""
        data = "".join(key_bytes(key) for key in keys).encode()
        while data:
            data = data[os.write(self.master, data) :]

    def click(self, row: int, column: int) -> None:
        """Press and release the left button of the mouse on a cell (counted from 0)."""
        self.type(f"\x1b[<0;{column + 1};{row + 1}M", f"\x1b[<0;{column + 1};{row + 1}m")

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        with self._painted:
            for screen in (self._plain, self._alternate):
                screen.resize(rows, columns)
            self._shown = None
            _set_size(self.master, columns, rows)

    def hang_up(self) -> None:
        """Close the terminal, as its window or a lost connection does."""
        self._ended = True
        self._reader.join(PATIENCE)
        os.close(self.master)
        self.master = -1

    # --- what a person sees ------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The screen, from the top, without the blanks at the right."""
        with self._painted:
            return list(self._display())

    def text(self) -> str:
        return "\n".join(self.lines())

    def cell(self, row: int, column: int) -> Any:
        """One cell: data, fg, bg ("default", a name or six hex digits), bold, reverse, underscore ..."""
        with self._painted:
            return self._screen.buffer[row][column]

    def cells_of(self, text: str) -> list[Any]:
        """The cells that show a text, at its first place on the screen."""
        with self._painted:
            for row, line in enumerate(self._display()):
                column = line.find(text)
                if column >= 0:
                    return [self._screen.buffer[row][column + step] for step in range(len(text))]
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text()}")

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        return self._screen.columns, self._screen.lines

    @property
    def in_console(self) -> bool:
        """Whether the program shows its own screen and not the one below it."""
        return self._screen is self._alternate

    @property
    def cursor_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    @property
    def output(self) -> str:
        """Every byte the program wrote, as text."""
        with self._painted:
            return self.raw.decode("utf-8", "surrogateescape")

    # --- waiting -----------------------------------------------------------------------------------

    def wait_for(self, *wanted: Wanted, seconds: float = PATIENCE) -> list[str]:
        """Wait until all of it is on the screen at once: texts, patterns, or functions of the lines. The lines then."""
        deadline = time.monotonic() + seconds
        with self._painted:
            while True:
                lines = list(self._display())
                missing = [one for one in wanted if not _found(one, lines)]
                if not missing:
                    return lines
                left = deadline - time.monotonic()
                if left <= 0 or (self._ended and not self._reader.is_alive()):
                    break
                self._painted.wait(min(left, 0.5))
        names = ", ".join(one.__name__ if callable(one) else repr(one) for one in missing)
        state = "" if self.process.poll() is None else f" (it ended with {self.process.returncode})"
        raise AssertionError(f"not on the screen within {seconds:g} s{state}: {names}\n{_framed(lines)}")

    def wait_gone(self, *unwanted: str, seconds: float = PATIENCE) -> list[str]:
        """Wait until none of these texts is on the screen."""

        def none_of_them(lines: list[str]) -> bool:
            return not any(_found(text, lines) for text in unwanted)

        none_of_them.__name__ = f"no {' and no '.join(map(repr, unwanted))}"
        return self.wait_for(none_of_them, seconds=seconds)

    def press(self, *keys: str, shows: Wanted, seconds: float = PATIENCE) -> list[str]:
        """Type and wait for what it shows; it must not have been there before."""
        assert not _found(shows, self.lines()), f"{shows!r} is there already:\n{_framed(self.lines())}"
        self.type(*keys)
        return self.wait_for(shows, seconds=seconds)

    def wait_for_output(self, wanted: bytes, *, since: int = 0, seconds: float = PATIENCE) -> None:
        """Wait until the program has written these bytes, whatever they paint."""
        deadline = time.monotonic() + seconds
        with self._painted:
            while self.raw.find(wanted, since) < 0:
                left = deadline - time.monotonic()
                assert left > 0, f"{wanted!r} was not written; the last was {bytes(self.raw[-300:])!r}"
                self._painted.wait(min(left, 0.5))

    def wait_for_end(self, seconds: float = PATIENCE) -> int:
        """Wait until the program has ended; its exit code (minus the number of a signal)."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds:g} s:\n{_framed(self.lines())}") from None

    def close(self) -> None:
        """End the program, whatever it does."""
        self._ended = True
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the terminal's own work -------------------------------------------------------------------

    def _display(self) -> list[str]:
        """The lines, read off the screen once per painting."""
        if self._shown is None:
            self._shown = [line.rstrip() for line in self._screen.display]
        return self._shown

    def _read(self) -> None:
        decoder = _decoder()
        while not self._ended:
            ready, _, _ = select.select([self.master], [], [], 0.1)
            if not ready:
                continue
            try:
                data = os.read(self.master, 4096)
            except OSError:  # nobody holds the other end
                data = b""
            with self._painted:
                if data:
                    self.raw += data
                    self._paint(decoder.decode(data))
                else:
                    self._ended = True
                self._painted.notify_all()
            self._hurry.wait(self._pause)

    def _paint(self, text: str) -> None:
        text, self._held = self._held + text, ""
        at = 0
        while at < len(text):
            escape = text.find("\x1b", at)
            if escape < 0:
                self._feed(text[at:])
                return
            if escape > at:
                self._feed(text[at:escape])
            sequence = _SEQUENCE.match(text, escape)
            if sequence is None:
                self._held = text[escape:]
                return
            self._obey(sequence[0])
            at = sequence.end()

    def _feed(self, text: str) -> None:
        if self._frame is not None:
            self._frame.append(text)
        else:
            self._show(text)

    def _show(self, piece: str) -> None:
        self._shown = None
        if piece := piece.replace("\u200d", ""):  # pyte drops everything behind a joiner
            self._screen.feed(piece)

    def _obey(self, sequence: str) -> None:
        """What pyte does not know is done here or left out; it would print the rest of the sequence."""
        if sequence in ("\x1b[?1049h", "\x1b[?1049l"):
            self._frame = None
            self._screen = self._alternate if sequence.endswith("h") else self._plain
            self._shown = None
            if sequence.endswith("h"):
                self._screen.reset()
        elif sequence == "\x1b[?2026$p":
            self._answer("\x1b[?2026;2$y")  # frames are shown whole, as in the terminals of today
        elif sequence == "\x1b[?2026h":
            self._frame = self._frame or []
        elif sequence == "\x1b[?2026l":
            frame, self._frame = self._frame or [], None
            for piece in frame:
                self._show(piece)
        elif sequence.startswith("\x1b]"):
            self._operating_system(sequence[2:].rstrip("\x07\x1b\\"))
        elif _KNOWN_TO_PYTE.fullmatch(sequence):
            self._feed(sequence)

    def _operating_system(self, said: str) -> None:
        number, _, value = said.partition(";")
        if number in ("0", "1", "2"):
            self.titles.append(value)
        elif number == "52":
            self.clipboard.append(value.partition(";")[2])

    def _answer(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self.master, text.encode())


def opsconsole(*words: str, **options: Any) -> Terminal:
    """The installed console in a terminal of its own."""
    return Terminal(OPSCONSOLE, *words, **options)


def _found(wanted: Wanted, lines: Sequence[str]) -> bool:
    if callable(wanted):
        return bool(wanted(list(lines)))
    if isinstance(wanted, str):
        return any(wanted in line for line in lines)
    return wanted.search("\n".join(lines)) is not None


def _framed(lines: Sequence[str]) -> str:
    return "\n".join(["-" * 40, *(f"|{line}" for line in lines), "-" * 40])


def _set_size(handle: int, columns: int, rows: int) -> None:
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _decoder() -> Any:
    import codecs

    return codecs.getincrementaldecoder("utf-8")("replace")
