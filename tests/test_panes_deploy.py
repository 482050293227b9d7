"""The menu that people know by heart, and the facts of the stack beside it."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from opsconsole.model import Service, Stack
from opsconsole.ui.panes.menu_options import OPTIONS, compose_line
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


@pytest.mark.parametrize("number", [6, 7])
async def test_the_others_say_that_nothing_was_changed_and_what_to_use_today(number: int) -> None:
    async with console(pane_samples.well(), size=(200, 60)) as (app, pilot):
        await pilot.press(str(number))
        await pilot.pause()
        text = " ".join(" ".join(line[:70].split()) for line in painted(app))
        assert f"▲ {NINE_LINES[number - 1]}: this version looks and does not change anything yet" in text
        assert "nothing was changed" in text
        assert f"Today: ./deploy.sh of this stack, option {number}" in text
        app.publish(msgspec.structs.replace(pane_samples.well()))
        await pilot.pause(0.2)
        assert "nothing was changed" in " ".join("\n".join(line[:70] for line in painted(app)).split())


async def test_enter_does_what_the_digit_does() -> None:
    async with console(pane_samples.well(), size=(200, 60)) as (app, pilot):
        await pilot.press("down", "down", "down", "down", "down", "enter")
        await pilot.pause()
        assert any("6 Backup database and files: this version" in line for line in painted(app))


@pytest.mark.parametrize("keys", ["1", "2", "3", "4", "8", "R", "X"])
async def test_where_there_is_nothing_to_operate_on_it_says_so(keys: str) -> None:
    async with console(pane_samples.well()) as (app, pilot):
        await pilot.press(keys)
        await pilot.pause()
        assert "This is the demo: nothing is operated on." in "\n".join(painted(app))


async def test_read_only_says_so_and_names_no_command() -> None:
    async with console(pane_samples.well(), size=(200, 60), read_only=True) as (app, pilot):
        await pilot.press("6")
        await pilot.pause()
        text = " ".join(" ".join(line[:60].split()) for line in painted(app))
        assert "refused. This console is read-only" in text
        assert "deploy.sh" not in text


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


@pytest.mark.parametrize(
    ("stack", "command"),
    [
        (Stack(name="a", directory="/a", compose_files=("/a/compose.yaml",)), "docker compose -p a"),
        (
            Stack(name="a", directory="/a", compose_files=("/a/docker-compose.yml", "/a/docker-compose.override.yml")),
            "docker compose -p a",
        ),
        (
            Stack(name="a", directory="/a", compose_files=("/a/prod.yml",), compose_command="docker-compose 1.29.2"),
            "docker-compose -p a -f prod.yml",
        ),
        (
            Stack(
                name="a", directory="/a b", compose_files=("/x y/c.yml",), env_file="/a b/.env.prod", profiles=("p",)
            ),
            "docker compose -p a -f '/x y/c.yml' --env-file .env.prod --profile p",
        ),
        (Stack(name="a", directory="/a", env_file="/a/.env"), "docker compose -p a"),
    ],
)
def test_the_compose_command_is_the_one_of_this_stack(stack: Stack, command: str) -> None:
    assert compose_line(stack) == command


def test_a_name_with_shell_signs_is_quoted() -> None:
    stack = Stack(name="a;rm -rf ~", directory="/a", profiles=("$(id)",))
    assert shlex.split(compose_line(stack)) == ["docker", "compose", "-p", "a;rm -rf ~", "--profile", "$(id)"]
