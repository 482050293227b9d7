"""The menu that people know by heart, and the facts of the stack beside it."""

from __future__ import annotations

import msgspec
import pytest

from opsconsole.model import Service, Stack
from opsconsole.ui.panes.menu_options import OPTIONS
from tests import pane_samples
from tests.pane_samples import console, painted

NINE_LINES = """\
1 Deploy (build and start containers)
2 Update from GitHub and redeploy
3 Stop containers
4 Restart containers
5 View logs
6 Backup database and files
7 Restore from backup
8 Remove containers and images
9 Exit""".splitlines()


def test_the_nine_lines_are_those_of_the_script() -> None:
    assert [f"{option.number} {option.line}" for option in OPTIONS] == NINE_LINES


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
async def test_all_nine_stand_on_the_screen_under_their_numbers(size: tuple[int, int]) -> None:
    async with console(pane_samples.well(), size=size) as (app, _):
        lines = [" ".join(line[:46].split()) for line in painted(app)]
        start = lines.index(NINE_LINES[0])
        assert lines[start : start + 9] == NINE_LINES


async def test_five_goes_to_the_logs_and_nine_leaves() -> None:
    went: list[str] = []
    async with console(pane_samples.well()) as (app, pilot):
        app.action_go = lambda pane: went.append(pane)  # type: ignore[method-assign,assignment]
        app.action_leave = lambda: went.append("left")  # type: ignore[method-assign]
        await pilot.press("5", "9")
        await pilot.pause()
    assert went == ["logs", "left"]


@pytest.mark.parametrize("keys", ["1", "2", "3", "4", "6", "7", "8", "R", "X"])
async def test_where_there_is_nothing_to_operate_on_it_says_so(keys: str) -> None:
    async with console(pane_samples.well()) as (app, pilot):
        await pilot.press(keys)
        await pilot.pause()
        assert "This is the demo: nothing is operated on." in "\n".join(painted(app))


async def test_the_facts_of_the_stack_and_what_differs_stand_beside_it() -> None:
    async with console(pane_samples.well(), size=(120, 40)) as (app, _):
        text = "\n".join(painted(app))
    for said in (
        "/srv/thynk",
        "docker-compose.yml, docker-compose.prod.yml",
        "docker compose 2.40.3",
        ".env.production.local",
        "production",
        "main",
        "3f2a91c+ (with changes that are not committed)",
        "▲ api: runs image api:1.4",
        "▲ mailer: there is no container of it",
    ):
        assert said in text, said


async def test_services_are_not_called_missing_before_the_engine_was_asked() -> None:
    snapshot = pane_samples.first_second()
    snapshot = msgspec.structs.replace(snapshot, stack=Stack(name="a", directory="/a", services=(Service(name="web"),)))
    async with console(snapshot) as (app, _):
        text = "\n".join(painted(app))
        assert "there is no container" not in text and "Not compared yet." in text and "✓" not in text
