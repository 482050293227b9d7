"""What stands at the top of a pane while a source of it does not answer. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import SOURCE_WORDS, Reading
from opsconsole.text import printable
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.wording import Glyphs, Tone, age, duration

MOST_LINES = 4
"""Of one fault, on a narrow screen: a long message must not push the last data out of sight."""


def source_lines(failed: Sequence[Reading], now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """Which sources do not answer, why, how old their data is and when they are asked again.

    Sources with the same trouble are named together. One line where there is room; else the reason first, and
    the age of the data and the way out under it.
    """
    lines: list[Content] = []
    for problem, hint in dict.fromkeys((reading.problem, reading.hint) for reading in failed):
        alike = [reading for reading in failed if (reading.problem, reading.hint) == (problem, hint)]
        lines += _fault(alike, now, width, glyphs)
    return lines


def _fault(alike: Sequence[Reading], now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    names = [SOURCE_WORDS.get(reading.source, reading.source) for reading in alike]
    who = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    beginnings = [reading.failing_since for reading in alike if reading.failing_since]
    since = f" for {age(min(beginnings), now)}" if beginnings else ""
    reason, hint = alike[0].problem, alike[0].hint
    what = f"{glyphs.bad} No answer from {who}{since}" + (f": {reason}" if reason else "")
    data = _data(alike, now)
    said = printable(f"{what} {glyphs.arrow} {hint}" if hint else what)
    if cell_len(said) + len(data) + 3 <= width:
        return [Content.assemble((said, Tone.BAD), (f" ({data})", Tone.MUTED))]
    below = wrapped(f"{data} {glyphs.arrow} {hint}" if hint else data, width, indent=2, style=Tone.MUTED)
    return [*wrapped(what, width, style=Tone.BAD)[: MOST_LINES - 2], *below][:MOST_LINES]


def _data(alike: Sequence[Reading], now: datetime) -> str:
    sampled = [reading.sampled_at for reading in alike if reading.sampled_at]
    data = f"data {age(min(sampled), now)} old" if sampled else "no data yet"
    tries = [reading.retry_at for reading in alike if reading.retry_at]
    if tries:
        wait = round((min(tries) - now).total_seconds())
        data += f", next try in {duration(wait)}" if wait > 0 else ", trying again now"
    return data
