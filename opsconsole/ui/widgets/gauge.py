"""A share of something as a bar. The filled and the free part differ in shape, not only in colour."""

from __future__ import annotations

from textual.content import Content

WARNING_PERCENT = 80.0
CRITICAL_PERCENT = 90.0


def gauge(
    percent: float | None,
    width: int,
    *,
    warning: float = WARNING_PERCENT,
    critical: float = CRITICAL_PERCENT,
    ascii: bool = False,
) -> Content:
    """A bar of exactly `width` cells; an empty track while the value is not known."""
    full, half, free = ("#", "", "-") if ascii else ("━", "╸", "─")
    if percent is None:
        return Content.styled((" " if ascii else "╌") * width, "$foreground 30%")
    halves = round(min(100.0, max(0.0, percent)) / 100 * width * 2)
    if percent > 0 and width:
        halves = max(halves, 2 if ascii else 1)
    filled = full * (halves // 2) + (half if halves % 2 else "")
    return Content.assemble(
        (filled, level_style(percent, warning, critical)), (free * (width - len(filled)), "$foreground 30%")
    )


def level_style(percent: float | None, warning: float = WARNING_PERCENT, critical: float = CRITICAL_PERCENT) -> str:
    """The colour that goes with a share. Never the only sign: the number stands beside it."""
    if percent is None:
        return "$foreground 60%"
    if percent >= critical:
        return "$error"
    return "$warning" if percent >= warning else "$success"
