"""A share of something as a bar. The filled and the free part differ in shape, not only in colour."""

from __future__ import annotations

from textual.content import Content

from opsconsole.ui.wording import Glyphs, Tone

WARNING_PERCENT = 80.0
CRITICAL_PERCENT = 90.0


def gauge(
    percent: float | None,
    width: int,
    *,
    warning: float = WARNING_PERCENT,
    critical: float = CRITICAL_PERCENT,
    glyphs: Glyphs,
) -> Content:
    """A bar of exactly `width` cells; an empty track while the value is not known."""
    full, half, free = ("#", "", "-") if glyphs.ascii else ("━", "╸", "─")
    if percent is None:
        return Content.styled((" " if glyphs.ascii else "╌") * width, Tone.MUTED)
    halves = round(min(100.0, max(0.0, percent)) / 100 * width * 2)
    if percent > 0 and width:
        halves = max(halves, 2 if glyphs.ascii else 1)
    filled = full * (halves // 2) + (half if halves % 2 else "")
    return Content.assemble(
        (filled, level_tone(percent, warning, critical)), (free * (width - len(filled)), Tone.MUTED)
    )


def level_tone(percent: float | None, warning: float = WARNING_PERCENT, critical: float = CRITICAL_PERCENT) -> Tone:
    """The tone that goes with a share. Never the only sign: the number stands beside it."""
    if percent is None:
        return Tone.MUTED
    if percent >= critical:
        return Tone.BAD
    return Tone.WARNING if percent >= warning else Tone.GOOD
