"""Sheets of lines: what differs is painted anew and nothing else, one part that fails leaves the others, text can be
selected."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.content import Content

from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Painter, Sheet
from opsconsole.ui.widgets.side_by_side import SideBySide


def said(*lines: str) -> Painter:
    return lambda width: [Content(line) for line in lines]


class Showing(App[None]):
    def compose(self) -> ComposeResult:
        self.sheet, self.columns = Sheet(said("one", "two", "three")), SideBySide(3)
        self.scrolled = Scrolled(self.sheet, self.columns)
        yield self.scrolled

    def shown(self) -> list[str]:
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


async def test_only_lines_that_differ_are_painted_anew() -> None:
    app = Showing()
    async with app.run_test(size=(20, 8)) as pilot:
        await pilot.pause()
        painted = []
        strip = app.sheet._painted
        app.sheet._painted = lambda y: (painted.append(y), strip(y))[1]  # type: ignore[method-assign]
        app.sheet.paint(said("one", "2", "three"))
        await pilot.pause(0.1)
        assert app.shown()[:3] == ["one", "2", "three"] and painted == [1]
        app.sheet.display = False
        await pilot.pause(0.1)
        app.sheet.display = True
        app.sheet.paint(said("one", "2", "three", "four"))
        await pilot.pause(0.1)
        assert app.shown()[:5] == ["one", "2", "three", "four", ""]


async def test_a_part_that_fails_leaves_the_others() -> None:
    def fails(width: int) -> list[Content]:
        raise ValueError("no number")

    app = Showing()
    async with app.run_test(size=(40, 10)) as pilot:
        app.columns.paint([[said("left"), fails, said("below")], [said("right")]], gap=1)
        await pilot.pause(0.1)
        lines = app.shown()[3:9]
        assert lines[0].split() == ["left", "right"] and lines[2].startswith("This part cannot")
        assert lines[4] == "below"
        app.columns.paint([[said("alone")]])
        await pilot.pause(0.1)
        assert [line for line in app.shown()[3:] if line] == ["alone"]


async def test_the_focus_styles_nothing_inside() -> None:
    app = Showing()
    async with app.run_test(size=(20, 8)) as pilot:
        await pilot.pause()
        styled = []
        app.sheet.notify_style_update = lambda: styled.append(1)  # type: ignore[method-assign]
        app.scrolled.focus()
        await pilot.pause(0.1)
        assert app.scrolled.has_focus and not styled


async def test_text_is_selected_with_the_mouse() -> None:
    app = Showing()
    async with app.run_test(size=(20, 8)) as pilot:
        await pilot.hover(Sheet, offset=(1, 0))
        await pilot.pause(0.1)
        await pilot.mouse_down(Sheet, offset=(1, 0))
        await pilot.hover(Sheet, offset=(2, 1))
        await pilot.pause(0.1)
        await pilot.mouse_up(Sheet, offset=(2, 1))
        assert app.screen.get_selected_text() == "ne\ntwo"
