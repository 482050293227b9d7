"""How far something long is: a bar, how much of how much, and what it is at. Pure."""

from __future__ import annotations

from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.widgets.gauge import gauge
from opsconsole.ui.widgets.lines import flowed, wrapped
from opsconsole.ui.wording import Glyphs, Tone, count, duration, size

_BAR = 24  # cells


def progress_lines(
    text: str, done: int | None, total: int | None, unit: str, width: int, glyphs: Glyphs, *, stacked: bool = False
) -> list[Content]:
    """`unit` is "bytes", "seconds" or the noun of what is counted; without a total there is no bar. `stacked`: always
    two lines, so that nothing below moves when the text grows."""
    if not total or done is None:
        return wrapped(f"{glyphs.arrow} {text}", width, style=Tone.ACCENT)
    percent = min(100.0, 100.0 * done / total)
    bar = gauge(percent, min(_BAR, max(6, width // 4)), warning=101, critical=101, glyphs=glyphs)
    amount = f" {percent:3.0f} %  {_amount(done, unit)} of {_amount(total, unit)}"
    noun = "" if unit in ("bytes", "seconds") else f" {unit}"
    parts = [Content.assemble(bar, printable(amount + noun)), Content.styled(printable(text), Tone.ACCENT)]
    return parts if stacked else flowed(parts, width)


def _amount(number: int, unit: str) -> str:
    if unit == "bytes":
        return size(number)
    return duration(number) if unit == "seconds" else count(number)
