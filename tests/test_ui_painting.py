"""Painting for less: the same cells as the framework's own, nothing left behind, nothing done twice for one look."""

from __future__ import annotations

import gc
import weakref

import pytest
from rich.segment import Segment
from textual._styles_cache import StylesCache
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip

from opsconsole.ui.panes import overview
from opsconsole.ui.panes.overview_frame import Frame
from opsconsole.ui.widgets.painting import Row
from opsconsole.ui.widgets.sheet import Sheet
from tests.pane_samples import console, well


class Showing(App[None]):
    CSS = "Sheet { padding: 1 2; background: navy; } .framed { border: solid red; }"

    def compose(self) -> ComposeResult:
        lines = [Content.assemble("plain ", ("bold", "bold red")), Content(""), Content("last 你好")]
        yield Sheet(lambda width: lines)
        yield Sheet(lambda width: lines, classes="framed")


def cells(strips: list[Strip]) -> list[tuple[str, object, object]]:
    """Every character with what is seen of its style."""
    return [
        (letter, style.bgcolor, None if letter == " " else style.color)
        for strip in strips
        for text, style, _ in strip
        if style is not None
        for letter in text
    ]


@pytest.mark.parametrize("place", [0, 1])
async def test_lines_look_as_the_framework_paints_them(place: int) -> None:
    app = Showing()
    async with app.run_test(size=(30, 20)) as pilot:
        await pilot.pause()
        sheet = list(app.query(Sheet))[place]
        whole = Region(0, 0, *sheet.region.size)
        for crop in (whole, Region(1, 2, 10, 2)):
            ours = sheet.render_lines(crop)
            assert cells(ours) == cells(StylesCache().render_widget(sheet, crop))


def test_a_painted_line_is_left_to_the_memory_at_once() -> None:
    gc.disable()
    try:
        row = Row([Segment("line")], 4)
        assert row.divide([4]) == [row] and [piece.text for piece in row.divide([1, 4])] == ["l", "ine"]
        gone = weakref.ref(row)
        del row
        assert gone() is None
    finally:
        gc.enable()


async def test_a_pane_that_comes_back_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Frame] = []
    services = overview.panels.services
    monkeypatch.setattr(
        overview.panels, "services", lambda frame, most: (asked.append(frame), services(frame, most))[1]
    )
    async with console(well(), pane="overview", size=(120, 40)) as (app, pilot):
        await pilot.pause(0.2)
        widgets = list(app.pane.query("*"))
        await app.go("volumes")
        await pilot.pause(0.2)
        asked.clear()
        await app.go("overview")
        await pilot.pause(0.2)
        assert len(asked) == 1 and list(app.pane.query("*")) == widgets
