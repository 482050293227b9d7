"""The shell: header, panes, keys, help, palette, themes; at every size and when sources fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from opsconsole.model import Project, Reading, Snapshot, SourceState
from opsconsole.ui import themes
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.keys import EVERYWHERE, IN_LISTS
from opsconsole.ui.panes import PANES, sections
from opsconsole.ui.panes.backups import BackupsPane
from opsconsole.ui.widgets.footer import footer_lines, keys_line
from opsconsole.ui.widgets.header import header_line
from opsconsole.ui.wording import Tone
from tests import ui_sample as sample
from tests.ui_sample import NOW, Feed, painted, text_of, until

SIZES = [(80, 24), (120, 40), (200, 60), (60, 20)]


@asynccontextmanager
async def opened(
    snapshot: Snapshot | None, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    feed = Feed(snapshot)
    app = ConsoleApp(feed, clock=lambda: NOW, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot
        assert app.faults == []


async def delivered(pilot: Pilot[Any], app: ConsoleApp, snapshot: Snapshot) -> None:
    app.publish(snapshot)
    await until(lambda: app.snapshot is snapshot)
    await pilot.pause()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


# --- header and footer -----------------------------------------------------------------------------


def test_the_header_says_what_is_looked_at_and_how_it_is() -> None:
    line = header_line(sample.troubled(), NOW, 120, read_only=True).plain
    for word in ("shop", "on web-1", "engine 24.0.7", "main a1b2c3d+", "READ-ONLY", "1 critical, 1 warning", "live"):
        assert word in line
    assert "no alerts" in header_line(sample.well(), NOW, 120, read_only=False).plain
    assert " DEMO " in header_line(sample.well(demo=True), NOW, 60, read_only=False).plain


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 200])
def test_the_header_keeps_what_matters_most(width: int) -> None:
    line = header_line(sample.troubled(demo=True), NOW, width, read_only=True).plain
    if width >= 60:
        assert len(line) == width
        assert all(word in line for word in ("DEMO", "READ-ONLY", "1 critical"))


def test_old_data_is_told_by_its_age_in_words() -> None:
    old = NOW + timedelta(seconds=90)
    assert "data 90 s old" in header_line(sample.well(), old, 120, read_only=False).plain
    lost = sample.well(
        readings={"engine": Reading(source="engine", state=SourceState.FAILED, sampled_at=NOW, problem="refused")}
    )
    assert "unreachable, data 90 s old" in header_line(lost, old, 120, read_only=False).plain
    assert "looking" in header_line(None, NOW, 80, read_only=False).plain


@pytest.mark.parametrize("width", range(20, 200, 7))
def test_the_footer_fits_and_always_shows_help_and_quit(width: int) -> None:
    for actions in (EVERYWHERE, (*BackupsPane.actions, *IN_LISTS, *EVERYWHERE)):
        for most in (1, 2):
            lines = [line.plain for line in footer_lines(actions, width, most)]
            assert all(len(line) <= width for line in lines) and len(lines) <= most
            assert "? help" in lines[-1] and "q quit" in lines[-1]


def test_what_the_footer_has_no_room_for_is_counted_beside_the_help() -> None:
    actions = (*BackupsPane.actions, *IN_LISTS, *EVERYWHERE)
    own = [action for action in BackupsPane.actions if action.footer]
    for width, most in ((80, 1), (100, 1), (120, 1)):
        shown = "".join(line.plain for line in footer_lines(actions, width, most))
        missing = [action for action in own if f" {action.label} " not in shown]
        assert f"? help, {len(missing)} more " in shown
    for width, most in ((80, 2), (120, 2), (200, 1)):
        shown = "".join(line.plain for line in footer_lines(actions, width, most))
        assert all(f" {action.label} " in shown for action in own) and " ? help  q quit " in shown


def test_the_keys_of_a_line_stand_out_and_its_words_do_not() -> None:
    line = keys_line("j k PgUp move   a acknowledge   t type a path   type to find   ! incident")
    keys = [line.plain[span.start : span.end] for span in line.spans if "bold" in str(span.style)]
    assert [key for key in keys if key] == ["j k PgUp", "a", "t", "!"]


@pytest.mark.parametrize("name", [pane.pane_id for pane in PANES])
async def test_eighty_cells_have_room_for_the_whole_name_of_every_pane(name: str) -> None:
    async with opened(sample.well()) as (app, pilot):
        await app.go(name)
        await pilot.pause()
        names = painted(app)[1].split()
        assert names == [pane.pane_id.replace(pane.letter.lower(), pane.letter, 1) for pane in PANES]
        at = painted(app)[1].lower().find(names[-1].lower())
        await pilot.click("PaneTabs", offset=(at + 1, 0))  # where a name is seen it is also clicked
        await until(lambda: app.pane is not None and app.pane.pane_id == PANES[-1].pane_id)
        await until(lambda: app.focused is not None and app.pane in app.focused.ancestors)  # it is there as a whole
        await pilot.pause()


async def test_keys_that_came_with_the_cursor_move_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(sample.well(), (120, 40)) as (app, pilot):
        await app.go("backups")
        heights = set()
        for actions in (BackupsPane.actions, BackupsPane.actions[:3], ()):
            app.footer.show((*actions, *EVERYWHERE), "backups")
            await pilot.pause()
            heights.add(app.footer.size.height)
            assert "? help" in painted(app)[-1]
        await app.go("history")
        await pilot.pause()
        assert heights == {2} and app.footer.size.height == 1


# --- panes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_every_pane_is_reached_by_its_letter_and_by_tab(size: tuple[int, int]) -> None:
    async with opened(sample.troubled(), size) as (app, pilot):
        for entry in PANES:
            await pilot.press(entry.letter)
            await pilot.pause()
            assert app.pane is not None and app.pane.pane_id == entry.pane_id
            tabs = painted(app)[1]
            assert entry.pane_id in tabs or entry.pane_id.capitalize() in tabs
            assert app.focused is not None, "without a focus no key of the pane works"
        await pilot.press("tab")
        await pilot.pause()
        assert app.pane.pane_id == "overview"
        await pilot.press("shift+tab")
        await pilot.pause()
        assert app.pane.pane_id == PANES[-1].pane_id


async def test_only_the_visible_pane_is_shown_a_snapshot_and_has_its_sources_focused() -> None:
    async with opened(sample.well()) as (app, pilot):
        feed = app.monitor
        assert isinstance(feed, Feed)
        overview = app.pane
        await pilot.press("c")
        await pilot.pause()
        assert app.pane is not None and feed.focused[-1] == app.pane.topics
        assert overview is not None
        shown: list[Snapshot] = []
        overview.show = shown.append  # type: ignore[method-assign]
        await delivered(pilot, app, sample.troubled())
        assert shown == [] and "unhealthy" in text_of(app)
        await pilot.press("o")
        await pilot.pause()
        assert shown and shown[-1] is app.snapshot


async def test_snapshots_in_a_burst_are_folded_and_the_last_one_is_shown() -> None:
    async with opened(sample.well()) as (app, pilot):
        shown: list[Snapshot] = []
        assert app.pane is not None
        app.pane.show = shown.append  # type: ignore[method-assign]
        burst = [sample.well(sampled_at=NOW + timedelta(seconds=index)) for index in range(200)]
        for one in burst:
            app.publish(one)
        await until(lambda: app.snapshot is burst[-1])
        await pilot.pause()
        assert len(shown) <= 3 and shown[-1] is burst[-1]


async def test_a_pane_that_fails_is_named_and_the_console_goes_on() -> None:
    app = ConsoleApp(Feed(sample.well()), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()

        def broken(snapshot: Snapshot) -> None:
            raise RuntimeError("[/] broken")

        assert app.pane is not None
        app.pane.show = broken  # type: ignore[method-assign]
        app.publish(sample.troubled())
        await until(lambda: app.faults)
        await pilot.pause()
        assert "Overview cannot show all of what is there (RuntimeError: [/] broken)" in text_of(app)
        await pilot.press("c")
        await pilot.pause()
        assert "unhealthy" in text_of(app)


# --- keys ------------------------------------------------------------------------------------------


def test_no_key_means_two_things_in_one_place_and_no_letter_is_harmless_here_and_destructive_there() -> None:
    everywhere, in_lists, *panes = sections()
    for place in (everywhere, in_lists, *panes):
        keys = [key for action in place.actions for key in action.keys]
        assert len(keys) == len(set(keys)), place.title
    acts = [action for place in panes for action in place.actions if action.changes and not action.opens]
    changing = {key for action in acts for key in action.keys}
    harmless = {
        key
        for place in (everywhere, in_lists, *panes)
        for action in place.actions
        if not action.changes
        for key in action.keys
    }
    assert changing and not changing & harmless


def test_flow_control_and_delete_are_on_no_key() -> None:
    keys = {key for place in sections() for action in place.actions for key in action.keys}
    assert not keys & {"ctrl+s", "ctrl+q", "delete", "backspace"}
    bound = {binding.key for binding in ConsoleApp._merged_bindings.key_to_bindings.get("ctrl+q", [])}  # type: ignore[union-attr]
    assert not bound


async def test_ctrl_q_does_not_quit() -> None:
    async with opened(sample.well()) as (app, pilot):
        await pilot.press("ctrl+q", "ctrl+s")
        await pilot.pause()
        assert app.is_running and "All is well" in text_of(app)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving(key: str) -> None:
    app = ConsoleApp(Feed(sample.well()))  # type: ignore[arg-type]
    async with app.run_test() as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert not app._running or app._exit


async def test_a_snapshot_that_comes_when_the_screens_are_closed_is_let_go() -> None:
    """The sources are asked until the very end: what they say then must not end as a traceback."""
    async with opened(sample.well()) as (app, _):
        shown = app.snapshot
    app._latest = sample.troubled()
    app._deliver()
    assert app.snapshot is shown


async def test_every_action_is_in_the_help() -> None:
    async with opened(sample.well(), (140, 260)) as (app, pilot):
        await pilot.press("question_mark")
        await pilot.pause()
        text = " ".join(text_of(app).split())
        for place in sections():
            for action in place.actions:
                assert " ".join(action.help.split()) in text, action
        await pilot.press("escape")
        await pilot.pause()
        assert "All is well" in text_of(app)


async def test_the_palette_finds_an_action_by_a_part_of_its_name_and_does_it() -> None:
    async with opened(sample.troubled(), (100, 30)) as (app, pilot):
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"redraw")
        await pilot.press(*["backspace"] * 6)
        await pilot.press(*"containers", "space", *"details")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        await pilot.pause()
        assert app.pane is not None and app.pane.pane_id == "containers"
        assert "shop-backend-1" in painted(app)[0]  # its details


async def test_the_palette_says_the_whole_sentence_of_what_stands_under_the_cursor() -> None:
    async with opened(sample.well()) as (app, pilot):
        await pilot.press("colon", *"emergency")
        await pilot.pause()
        assert "after a question that says what it costs." in " ".join(text_of(app).split())
        await pilot.press("question_mark")
        await pilot.pause()
        assert "emergency?" in text_of(app), "what is typed is looked for, and asks for no help"


async def test_dialogs_that_are_picked_from_have_help_and_say_so() -> None:
    async with opened(sample.well()) as (app, pilot):
        await pilot.press("T")
        await pilot.pause()
        assert "? help" in painted(app)[-1]
        await pilot.press("question_mark")
        await pilot.pause()
        lines = [" ".join(line.split()) for line in painted(app)]
        assert lines[0].startswith("Keys") and "Here" in lines
        assert any(line.startswith("j k look") for line in lines) and "Esc as before" in lines
        await pilot.press("question_mark", "escape")
        await pilot.pause()
        assert painted(app)[0].lstrip().startswith("Theme"), "one Esc goes back to it"


async def test_without_a_choice_of_a_stack_there_is_help_too() -> None:
    app = ConsoleApp(None, choose=sample.PROJECTS)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: "Which stack?" in text_of(app))
        await pilot.press("question_mark")
        await until(lambda: "no single key destroys anything" in text_of(app))
        await pilot.press("escape")
        await until(lambda: "Which stack?" in text_of(app))


async def test_the_palette_opens_with_a_colon_and_closes_with_esc() -> None:
    async with opened(sample.well()) as (app, pilot):
        await pilot.press("colon")
        await pilot.pause()
        assert "type a part of what you want" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "All is well" in text_of(app)


async def test_read_only_is_said_and_hides_what_changes() -> None:
    async with opened(sample.well(), (120, 30), read_only=True) as (app, pilot):
        await pilot.press("c")
        await pilot.pause()
        assert "READ-ONLY" in painted(app)[0]
        assert "restart" not in painted(app)[-1] and "details" in painted(app)[-1]
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Restart the container" not in text_of(app)


async def test_full_size_and_back() -> None:
    async with opened(sample.well()) as (app, pilot):
        await pilot.press("z")
        await pilot.pause()
        assert "All is well" in painted(app)[0]
        await pilot.press("escape")
        await pilot.pause()
        assert "shop" in painted(app)[0]


async def test_f5_asks_every_source_now() -> None:
    async with opened(sample.well()) as (app, pilot):
        await pilot.press("f5", "ctrl+l")
        await pilot.pause()
        assert isinstance(app.monitor, Feed) and app.monitor.refreshed == 2


async def test_the_mouse_can_be_given_away() -> None:
    async with opened(sample.well(), (120, 30)) as (app, pilot):
        await pilot.press("M")
        await pilot.pause()
        assert "M takes it back" in text_of(app)
        await pilot.press("M")
        await pilot.pause()
        assert "works in the console again" in text_of(app)


async def test_what_was_reported_stays_until_esc_and_among_the_messages_for_good() -> None:
    async with opened(sample.well(), (100, 30)) as (app, pilot):
        app.report("backend was not restarted: [/] the engine said no", Tone.BAD)
        await pilot.press("v", "o")
        await pilot.pause()
        assert "backend was not restarted: [/] the engine said no" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "the engine said no" not in text_of(app)
        await pilot.press("f2")
        await pilot.pause()
        assert "the engine said no" in text_of(app)


# --- looks -----------------------------------------------------------------------------------------


async def test_a_theme_is_looked_at_kept_or_dropped() -> None:
    async with opened(sample.well(), (100, 30)) as (app, pilot):
        before = app.theme
        await pilot.press("T", "j", "j")
        await pilot.pause()
        assert app.theme == list(themes.SAID)[2]
        await pilot.press("escape")
        await pilot.pause()
        assert app.theme == before
        await pilot.press("T", "j", "enter")
        await pilot.pause()
        assert app.theme == "light" and "All is well" in text_of(app)


@pytest.mark.parametrize("theme", list(themes.SAID))
async def test_every_theme_paints_every_own_screen(theme: str) -> None:
    async with opened(sample.troubled(), (100, 30), theme=theme) as (app, pilot):
        for key in ("c", "enter", "escape", "question_mark", "escape", "r", "escape", "o"):
            await pilot.press(key)
            await pilot.pause()
        assert "need attention" in text_of(app)


@pytest.mark.parametrize(
    ("environment", "theme"),
    [
        ({"TERM": "xterm"}, "ansi"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "screen"}, "ansi"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "ansi"),
    ],
)
def test_a_terminal_of_sixteen_colours_is_given_its_own(environment: dict[str, str], theme: str) -> None:
    assert themes.first_choice(environment) == theme


async def test_an_unknown_theme_is_named_with_those_there_are() -> None:
    async with opened(sample.well(), (120, 30), theme="pink") as (app, _):
        assert "No theme is called pink; there are dark, light" in text_of(app)


async def test_no_color_paints_no_colour_and_still_shows_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(sample.troubled(), (100, 30)) as (app, pilot):
        await pilot.press("c", "j")
        await pilot.pause()
        reversed_parts = []
        for strip in app.screen._compositor.render_strips():
            filtered = strip.apply_filter(app.get_line_filters()[-1], app.screen.styles.background)
            for segment in filtered:
                assert segment.style is None or segment.style.color is None or segment.style.color.is_default
            reversed_parts += [part.text for part in strip if part.style is not None and part.style.reverse]
        assert any("frontend" in text for text in reversed_parts)


@pytest.mark.parametrize("pane", ["o", "c"])
@pytest.mark.parametrize("size", SIZES)
async def test_ascii_mode_paints_only_ascii(pane: str, size: tuple[int, int]) -> None:
    async with opened(sample.troubled(), size, ascii_only=True) as (app, pilot):
        for keys in ((pane,), ("enter",), ("escape", "r"), ("escape", "question_mark"), ("escape", "T"), ("escape",)):
            await pilot.press(*keys)
            await pilot.pause()
            for line in painted(app):
                assert line.isascii(), line


@pytest.mark.parametrize("size", [*SIZES, (40, 12), (20, 6), (10, 3), (1, 1)])
async def test_every_size_shows_something_and_resizing_never_fails(size: tuple[int, int]) -> None:
    async with opened(sample.troubled(), size) as (app, pilot):
        for width, height in ((200, 60), size, (33, 9), size):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
        for key in ("c", "o"):
            await pilot.press(key)
            await pilot.pause()
        if size[0] >= 20:
            assert "thin" in text_of(app)  # "10 things need attention", as far as there is room


async def test_hostile_names_everywhere_are_text() -> None:
    async with opened(sample.hostile(), (160, 60)) as (app, pilot):
        for entry in PANES:
            await pilot.press(entry.letter)
            await pilot.pause()
            text = text_of(app)
            assert not any(sign in text for sign in ("\x1b", "\x07", "\u202e")), entry.pane_id
        await pilot.press("c", "enter")
        await pilot.pause()
        assert "[@click=app.quit]x[/]" in text_of(app)
        await pilot.click(offset=(5, 0))
        await pilot.pause()
        assert app.is_running


# --- choosing a project ----------------------------------------------------------------------------


async def test_choosing_a_project_returns_it() -> None:
    app = ConsoleApp(None, choose=sample.PROJECTS)
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        text = text_of(app)
        assert "Which stack?" in text and "6 of 6" in text and "/srv/blog" in text and "[/]old" in text
        await pilot.press("j", "enter")
        await pilot.pause()
    assert app.return_value == sample.PROJECTS[1]


@pytest.mark.parametrize("projects", [sample.PROJECTS, ()])
async def test_leaving_without_a_choice_returns_none(projects: tuple[Project, ...]) -> None:
    app = ConsoleApp(None, choose=projects)
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        if not projects:
            assert "No Compose project is on this engine" in text_of(app)
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value is None


async def test_the_first_screen_comes_before_any_data_and_says_that_it_looks() -> None:
    async with opened(None) as (app, pilot):
        assert "looking" in painted(app)[0]
        waiting = msgspec.structs.replace(
            sample.well(), readings={"engine": Reading(source="engine")}, containers=(), databases=(), stack=None
        )
        await delivered(pilot, app, waiting)
        assert "Looking" in text_of(app) and "All is well" not in text_of(app)
