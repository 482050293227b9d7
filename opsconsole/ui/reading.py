"""How far the reading of a backup is, between the thread that reads and the screen that waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.backups.progress import Cancelled, Pace
from opsconsole.ui.widgets.progress_lines import progress_lines
from opsconsole.ui.wording import Glyphs


class Reading:
    """One reading. `hear` is called by the thread, all else by the screen."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._now = ("", 0, 0)
        self._given_up = False

    def hear(self, what: str, done: int, total: int) -> None:
        """Raises Cancelled when nobody waits any more."""
        if self._given_up:
            raise Cancelled
        self._now = (what + self._pace.words(done, total), done, total)

    def give_up(self) -> None:
        """The thread ends at the next block that it reads."""
        self._given_up = True

    def lines(self, width: int, glyphs: Glyphs) -> Sequence[Content]:
        """Bytes of how many, what is read, rate and time left; nothing before anything is read."""
        text, done, total = self._now
        return progress_lines(text, done, total, "bytes", width, glyphs, stacked=True) if text else []
