"""The console in a real terminal, with the words for what an operator does in it."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.terminal import OPSCONSOLE, PATIENCE, Terminal, Wanted

PANES = {
    "overview": "o", "containers": "c", "volumes": "v", "logs": "l",
    "metrics": "m", "databases": "D", "backups": "b", "deploy": "d", "history": "h",
    "health": "H",
}  # fmt: skip
TABS = 1  # the row of the panes' names
_FOOTER_KEY = re.compile(r" (\S+|< >|\[ \]) ([a-z]+(?:[ /][a-z]+)*)(?:, \d+ more)? (?= |$)")


class Console(Terminal):
    """`opsconsole` with some words, in a directory."""

    def __init__(self, *words: str, cwd: str | Path = ".", **options: Any) -> None:
        super().__init__(OPSCONSOLE, *words, cwd=cwd, **options)

    def started(self, *texts: Wanted) -> list[str]:
        """Wait until the first look is over: the overview no longer says it looks, and shows these texts."""

        def looked(lines: list[str]) -> bool:
            return any("Services" in line for line in lines) and not any(
                "Looking" in line or line.endswith("looking") for line in lines
            )

        return self.wait_for(looked, *texts)

    def go(self, pane: str, *texts: Wanted) -> list[str]:
        """Go to a pane by its letter and wait until it is shown, with these texts."""
        self.type(PANES[pane])
        return self.wait_for(self.shows(pane), *texts)

    def shows(self, pane: str) -> Callable[[list[str]], bool]:
        """Whether this pane is the one that is open, as its name at the top says."""

        def shown(lines: list[str]) -> bool:
            column = lines[TABS].lower().find(pane)
            return column >= 0 and bool(self.cell(TABS, column).reverse)

        shown.__name__ = f"the {pane} pane"
        return shown

    def pane(self) -> str:
        """The pane that is open."""
        return next((name for name in PANES if self.shows(name)(self.lines())), "")

    def rests(self) -> bool:
        """Whether it runs, shows a pane and nothing is open in it."""
        return self.process.poll() is None and bool(self.pane()) and "quit" in self.footer_keys()

    def esc(self, *gone: str) -> list[str]:
        """Press Esc and wait until these are gone: a key right behind Esc would be another key (Alt and it)."""
        for text in gone:
            assert text in self.text()
        self.type("Esc")
        return self.wait_gone(*gone)

    def header(self) -> str:
        return self.lines()[0]

    def footer(self) -> str:
        """Its keys, also those of a second line."""
        lines = self.lines()
        return "".join(f"{line} " for line in lines[_last_rows(lines) :])

    def footer_keys(self) -> dict[str, str]:
        """What the footer offers: label -> key."""
        return {label: key for key, label in _FOOTER_KEY.findall(self.footer())}

    def cursor_row(self) -> int:
        """The row of the screen that the cursor of a table stands on; -1 without one."""
        lines = self.lines()
        footer = len(lines) + _last_rows(lines)
        grounds = [self.cell(row, 2).bg for row in range(len(lines))]
        common = Counter(grounds[2:footer]).most_common(1)[0][0]
        rows = [row for row in range(2, footer) if grounds[row] != common and self.cell(row, 2).bold]
        return rows[0] if rows else -1

    def cursor_line(self) -> str:
        row = self.cursor_row()
        return self.lines()[row] if row >= 0 else ""

    def put_cursor_on(self, text: str) -> None:
        """Move the cursor to the first row with this text, which is on the screen."""

        def both_are_shown(lines: list[str]) -> bool:
            return self.cursor_row() >= 0 and any(text in line for line in lines[2:-1])

        for seconds in (5, 5, PATIENCE):  # rows may change places while the keys are under way
            lines = self.wait_for(both_are_shown)
            steps = next(row for row, line in enumerate(lines) if row > TABS and text in line) - self.cursor_row()
            self.type(*("j" if steps > 0 else "k" for _ in range(abs(steps))))
            with contextlib.suppress(AssertionError):
                self.wait_for(lambda lines: text in self.cursor_line(), seconds=seconds)
                return
        self.wait_for(lambda lines: text in self.cursor_line(), seconds=1)


def _last_rows(lines: list[str]) -> int:
    """-2 where the keys at the bottom have two lines, else -1."""
    return -2 if len(lines) > 2 and lines[-2] and not _FOOTER_KEY.sub("", f"{lines[-2]} ").strip() else -1
