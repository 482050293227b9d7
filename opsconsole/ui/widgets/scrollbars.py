"""Scrollbars for the ASCII mode: whole cells, no half blocks."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBar, ScrollBarRender


class WholeCells(ScrollBarRender):
    VERTICAL_BARS: ClassVar[list[str]] = [" "]
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "]


def draw_scrollbars(*, ascii_only: bool) -> None:
    """Choose how every scrollbar of the process is drawn."""
    ScrollBar.renderer = WholeCells if ascii_only else ScrollBarRender
