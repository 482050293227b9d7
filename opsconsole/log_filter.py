"""Which log lines are shown: a pattern and a level, as the operator types them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from opsconsole.log_levels import RANK, LevelReader
from opsconsole.model import LogLevel, LogLine
from opsconsole.text import printable

LEVELS = (LogLevel.UNKNOWN, LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARNING, LogLevel.ERROR)
"""The steps of the level filter: all lines, then debug and worse, info and worse ..."""

# (a+)+ and (a|b*)* take longer than anybody waits on a line that almost matches, and `re` cannot be interrupted.
_REPEATED_REPEAT = re.compile(r"[+*}][^()]*\)(?:[+*]|\{\d+,)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to look for. `note` says how it was understood when that is not as it was typed."""

    typed: str = ""
    inverse: bool = False
    note: str = ""
    regex: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return self.regex is not None

    def matches(self, text: str) -> bool:
        return self.regex is None or (self.regex.search(text) is not None) != self.inverse


def pattern(typed: str, *, inverse: bool = False, may_invert: bool = True) -> Pattern:
    """Compile what was typed: a regular expression, `!` in front to invert it, `\\!` for a real one.

    Small letters match both cases, a capital anywhere makes it exact. What is no valid expression is
    looked for as it stands, and `note` says so.
    """
    wanted = typed
    if may_invert and wanted.startswith("!"):
        inverse = not inverse
        wanted = wanted[1:]
    if not wanted:
        return Pattern(typed)
    flags = re.NOFLAG if any(letter.isupper() for letter in _without_classes(wanted)) else re.IGNORECASE
    note = ""
    if _REPEATED_REPEAT.search(wanted):
        note = "a repeat inside a repeat can take for ever: looked for as plain text"
    else:
        try:
            return Pattern(typed, inverse, "", re.compile(wanted, flags))
        except (re.error, OverflowError, RecursionError) as error:
            note = f"no valid expression ({error}): looked for as plain text"
    return Pattern(typed, inverse, note, re.compile(re.escape(wanted), flags))


def _without_classes(wanted: str) -> str:
    """`\\S` and `\\W` are no capital letters of the operator's."""
    return re.sub(r"\\.", "", wanted)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What is shown. Patterns are matched against the line as it is printed."""

    pattern: Pattern = Pattern()
    level: LogLevel = LogLevel.UNKNOWN  # this one and worse; UNKNOWN shows all

    def __bool__(self) -> bool:
        """Whether anything can be hidden."""
        return bool(self.pattern) or self.level is not LogLevel.UNKNOWN

    def reader(self) -> Callable[[LogLine], bool]:
        """A function that says of each line, given in order, whether it is shown.

        In order, because a stack trace is shown with the error it belongs to. Marks of skipped lines are
        always shown: what is missing might have matched.
        """
        levels = LevelReader()
        least = RANK[self.level]
        regex, inverse = self.pattern.regex, self.pattern.inverse

        def shows(line: LogLine) -> bool:
            if line.skipped:
                return True
            # The level is read of hidden lines too: the next line may continue this one.
            if least and RANK[levels.read(line)] < least:
                return False
            return regex is None or (regex.search(printable(line.text)) is not None) != inverse

        return shows
