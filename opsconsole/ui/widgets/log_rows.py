"""How a log line becomes rows of the screen: time, service, level mark, text. No widget here.

Outside text passes `printable` here, once, and is never read as markup. Level and service are always
said in words or letters too; colour only repeats them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from zlib import crc32

from rich.cells import cell_len, chop_cells, get_character_cell_size, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from opsconsole.log_filter import Pattern
from opsconsole.model import LogLevel, LogLine
from opsconsole.text import printable
from opsconsole.ui.widgets.painting import Row

MARKS = {
    LogLevel.TRACE: "T",
    LogLevel.DEBUG: "D",
    LogLevel.INFO: "I",
    LogLevel.WARNING: "W",
    LogLevel.ERROR: "E",
    LogLevel.FATAL: "F",
    LogLevel.UNKNOWN: " ",
}
"""The letter in front of a line."""

_DARK = ("#62aee8", "#79c67d", "#d6a2e8", "#5fcac4", "#d9c27a", "#9fb4ff", "#8fd0a8", "#e0a98a", "#7cc7ff", "#c2b5f0")
_LIGHT = ("#1b68ab", "#24742c", "#8a2f9e", "#0b7370", "#76600a", "#4048b8", "#226a52", "#8c4a16", "#08607e", "#5d43a8")
_SIXTEEN = ("blue", "green", "magenta", "cyan", "bright_blue", "bright_green", "bright_magenta", "bright_cyan")
_NOT_BOLD = Style(bold=False)
_WIDEST_LABEL = 20
_MOST_PARTS = 4096


class Times(StrEnum):
    """How the time of a line is shown. Local time; the zone stands in the status line."""

    OFF = "off"
    CLOCK = "time"
    FULL = "date and time"


_TIME_WIDTH = {Times.OFF: 0, Times.CLOCK: 13, Times.FULL: 24}


@dataclass(frozen=True, slots=True)
class Inks:
    """The styles of one theme."""

    base: Style
    muted: Style
    warning: Style
    error: Style
    hit: Style
    here: Style  # the hit where the search stands
    selected: Style
    services: tuple[str, ...]


def service_palette(*, ansi: bool, dark: bool) -> tuple[str, ...]:
    return _SIXTEEN if ansi else _DARK if dark else _LIGHT


_NO_STYLE = Style()
NO_INK = Inks(
    base=_NO_STYLE,
    muted=_NO_STYLE,
    warning=_NO_STYLE,
    error=_NO_STYLE,
    hit=_NO_STYLE,
    here=_NO_STYLE,
    selected=_NO_STYLE,
    services=_SIXTEEN,
)


class ServiceColours:
    """A colour number for each service, the same for the whole session and, mostly, in every session."""

    def __init__(self, amount: int) -> None:
        self._amount = amount
        self._numbers: dict[str, int] = {}

    def number(self, service: str) -> int:
        number = self._numbers.get(service)
        if number is None:
            taken = set(self._numbers.values())
            first = crc32(service.encode("utf-8", "replace")) % self._amount
            order = [(first + step) % self._amount for step in range(self._amount)]
            number = next((each for each in order if each not in taken), first)
            self._numbers[service] = number
        return number


@dataclass(slots=True)
class RowLook:
    """How rows are laid out. `labels` are the names of containers as they are shown."""

    times: Times = Times.CLOCK
    labels: Mapping[str, str] = field(default_factory=dict)
    label_width: int = 0  # 0 hides the column
    ascii: bool = False

    @property
    def prefix_width(self) -> int:
        return _TIME_WIDTH[self.times] + (self.label_width + 1 if self.label_width else 0) + 2

    def name(self, labels: Mapping[str, str], *, most: int = _WIDEST_LABEL) -> None:
        """Take the names of the containers that are followed. One name alone needs no column."""
        self.labels = {key: printable(label) for key, label in labels.items()}
        names = set(self.labels.values())
        self.label_width = min(most, max(map(cell_len, names), default=0)) if len(names) > 1 else 0


def shown_text(line: LogLine, *, ascii_only: bool = False) -> str:
    """The text of a line as it is shown, searched and copied."""
    if line.skipped:
        rule = "--" if ascii_only else "──"
        return f"{rule} {line.skipped:,} lines skipped {rule}"
    return printable(line.text)


def local_time(nanoseconds: int, times: Times) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000)
    clock = moment.strftime("%H:%M:%S" if times is Times.CLOCK else "%Y-%m-%d %H:%M:%S")
    return f"{clock}.{nanoseconds // 1_000_000 % 1000:03d}"


def parts_of(text: str, width: int) -> list[str]:
    """The rows of a wrapped line, cut at the edge as a terminal does."""
    if width < 1:
        return [text[:1]]
    if text.isascii():
        if len(text) <= width:
            return [text]
        return [text[start : start + width] for start in range(0, min(len(text), _MOST_PARTS * width), width)]
    if cell_len(text) <= width:
        return [text]
    return chop_cells(text, width)[:_MOST_PARTS] or [""]


def height_of(line: LogLine, width: int) -> int:
    """How many rows a line takes when its text has `width` cells."""
    text = line.text
    if len(text) <= width and text.isascii() and text.isprintable():
        return 1  # nearly every line
    return len(parts_of(shown_text(line), width))


def prefix_text(line: LogLine, level: LogLevel, look: RowLook) -> str:
    """What stands in front of a line's text."""
    return "".join(segment.text for segment in prefix(line, level, look, NO_INK, _NO_STYLE))


def prefix(line: LogLine, level: LogLevel, look: RowLook, inks: Inks, service: Style) -> list[Segment]:
    segments = []
    if look.times is not Times.OFF:
        segments.append(Segment(local_time(line.at, look.times) + " ", inks.muted))
    if look.label_width:
        label = look.labels.get(line.container) or printable(line.service)
        segments.append(Segment(set_cell_size(label, look.label_width) + " ", service))
    segments.append(Segment(MARKS[level] + " ", mark_style(level, inks)))
    return segments


def mark_style(level: LogLevel, inks: Inks) -> Style:
    if level in (LogLevel.ERROR, LogLevel.FATAL):
        return inks.error
    return inks.warning if level is LogLevel.WARNING else inks.muted


def text_style(line: LogLine, level: LogLevel, inks: Inks) -> Style:
    if line.skipped:
        return inks.warning
    if level in (LogLevel.ERROR, LogLevel.FATAL):
        return inks.error + _NOT_BOLD
    if level is LogLevel.WARNING:
        return inks.warning
    return inks.muted if level in (LogLevel.DEBUG, LogLevel.TRACE) else inks.base


Span = tuple[int, int, Style]


def hits(text: str, wanted: Pattern, style: Style) -> list[Span]:
    """Where the searched text stands, at most 200 times a line."""
    if wanted.regex is None:
        return []
    found: list[Span] = []
    for match in wanted.regex.finditer(text):
        if match.end() > match.start():
            found.append((match.start(), match.end(), style))
            if len(found) == 200:
                break
    return found


def styled(text: str, style: Style, spans: Iterable[Span]) -> list[Segment]:
    """The text cut where a span begins or ends; later spans lie over earlier ones."""
    marks = [(max(0, start), min(len(text), end), ink) for start, end, ink in spans if end > 0 and start < len(text)]
    if not marks:
        return [Segment(text, style)] if text else []
    edges = sorted({0, len(text), *(edge for start, end, _ in marks for edge in (start, end))})
    segments = []
    for begin, end in pairwise(edges):
        ink = style
        for first, last, over in marks:
            if first <= begin and end <= last:
                ink = ink + over
        segments.append(Segment(text[begin:end], ink))
    return segments


def window(text: str, left: int, width: int) -> tuple[int, str]:
    """The part of a text that is seen from cell `left` on: where it begins, and its characters."""
    if text.isascii():
        return left, text[left : left + width]
    start, cells = 0, 0
    while start < len(text) and cells < left:
        cells += get_character_cell_size(text[start])
        start += 1
    # Characters without a width (accents, joiners) take part of the length and none of the room.
    return start, text[start : start + 4 * width + 16]


def shifted(spans: Sequence[Span], by: int) -> list[Span]:
    return [(start - by, end - by, style) for start, end, style in spans]


def seen(body: Sequence[Segment], left: int, room: int) -> tuple[list[Segment], int]:
    """What of an unwrapped text is seen from cell `left` on, and at which character that begins."""
    if not left and sum(len(segment.text) for segment in body) <= room:
        return list(body), 0
    start, shown = window("".join(segment.text for segment in body), left, room)
    kept: list[Segment] = []
    at = 0
    for segment in body:
        begin, end = max(start, at), min(start + len(shown), at + len(segment.text))
        if begin < end:
            kept.append(Segment(segment.text[begin - at : end - at], segment.style))
        at += len(segment.text)
    return kept, start


def strip_of(segments: Sequence[Segment], width: int, base: Style) -> Strip:
    """Exactly `width` cells, whatever the characters take."""
    return Row(Segment.adjust_line_length(list(segments), width, base), width)


def length(segments: Sequence[Segment]) -> int:
    return sum(len(segment.text) for segment in segments)
