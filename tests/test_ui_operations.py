"""The screens of an operation: the plan, the question, the course, what is half done, the history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from opsconsole.backups.progress import Told
from opsconsole.model import SourceError
from opsconsole.operations import beginning, journal, releases, requests
from opsconsole.operations.attached import Standing
from opsconsole.operations.beginning import Begun
from opsconsole.operations.course import Course, Mark, StepCourse
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.past import Expected
from opsconsole.operations.plan import DataEffect, Downtime, Effect, Plan
from opsconsole.operations.releases import Release, State
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from opsconsole.operations.stack_plans import NothingToDo
from opsconsole.operations.watch import Running
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.screens import plan_lines
from opsconsole.ui.screens.agree import TypeNamesScreen
from opsconsole.ui.screens.operation import OperationScreen
from opsconsole.ui.screens.operation_lines import state_lines
from opsconsole.ui.screens.plan import PlanScreen
from opsconsole.ui.widgets.operation_line import operation_line
from opsconsole.ui.wording import ASCII, UNICODE
from tests import ui_sample as sample
from tests.git_trees import git
from tests.operation_samples import (
    DEPLOY,
    LOSING,
    MINA,
    RESTART,
    OperationSamples,
    begun,
    half_done,
    running_deploy,
    samples,
)
from tests.ui_sample import HOSTILE, NOW, Feed, text_of, until

LOOKS = [((60, 12), False), ((80, 24), True), ((200, 60), False)]
"""Size, and whether ASCII only."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[OperationSamples]:
    found = samples(tmp_path, NOW)
    yield found
    found.close()


@asynccontextmanager
async def opened(
    made: OperationSamples | None, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    site = Site(directory=made.directory) if made is not None else None
    app = ConsoleApp(Feed(sample.well()), clock=lambda: NOW, site=site, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.operating.looked or site is None)
        await pilot.pause()
        yield app, pilot
        assert app.faults == []


async def shows(app: ConsoleApp, *texts: str) -> None:
    try:
        await until(lambda: all(text in text_of(app) for text in texts))
    except TimeoutError:
        missing = [text for text in texts if text not in text_of(app)]
        raise AssertionError(f"not on the screen: {missing}\n{text_of(app)}") from None


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were begun; nothing is started."""
    found: list[Plan] = []

    def begin(site: Site, plan: Plan) -> Begun:
        found.append(plan)
        raise SourceError("not in a test")

    monkeypatch.setattr(beginning, "begin", begin)
    return found


# --- the line on every screen ----------------------------------------------------------------------


def one_running(**changes: Any) -> Running:
    values: dict[str, Any] = dict(
        operation="20260302T031000000Z-deploy-000001", title="deploy of the stack shop", who=MINA,
        began=NOW - timedelta(seconds=75), number=3, of=8, step="Build api, worker",
    )  # fmt: skip
    return Running(**{**values, **changes})


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_the_line_keeps_what_runs_how_far_it_is_and_its_key(width: int, glyphs: Any) -> None:
    line = operation_line([one_running()], [], "", NOW, width, glyphs)
    assert line.cell_length == width
    assert line.plain.startswith(f"{glyphs.busy} deploy  step 3 of 8")
    assert line.plain.endswith("W watch")
    if width >= 120:
        assert "1:15" in line.plain and "by mina (as root) from 10.20.0.7" in line.plain
    assert line.plain.isascii() or glyphs is UNICODE


def test_the_line_says_the_way_back_a_cancel_and_that_there_are_more() -> None:
    line = operation_line([one_running(back=True, cancel_asked=True), one_running()], [], "", NOW, 160, UNICODE).plain
    assert "on its way back" in line and "cancel asked" in line and "+1 more" in line
    assert operation_line([], [], "", NOW, 80, UNICODE).plain == ""
    assert "cannot be seen: closed" in operation_line([], [], "closed", NOW, 80, UNICODE).plain


async def test_the_line_stands_on_every_screen_and_goes_when_it_is_over(made: OperationSamples) -> None:
    running_deploy(made)
    async with opened(made, (80, 24)) as (app, pilot):
        await shows(app, "deploy  step 3 of 8", "W watch")
        for keys in ("c", "l", "h", "d", "question_mark", "escape", "f2", "escape", "T", "escape", "z"):
            await pilot.press(keys)
            await pilot.pause()
            await shows(app, "deploy  step 3 of 8")
        await pilot.press("z")
        made.close()
        await shows(app, "HALF DONE: deploy", "W finish or undo")


# --- the plan --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "ascii_only"), LOOKS)
async def test_a_plan_names_what_is_lost_at_every_size(
    made: OperationSamples, size: tuple[int, int], ascii_only: bool
) -> None:
    async with opened(made, size, ascii_only=ascii_only) as (app, pilot):
        app.push_screen(PlanScreen("", plan=LOSING))
        await shows(app, "Plan: deploy of the stack harbour", "LOST or left behind: harbour_mongo")
        await pilot.press("pagedown", "pagedown", "pagedown")
        await pilot.press("pageup", "pageup", "pageup")
        await pilot.press("j", "j")
        await shows(app, "Step 3 of 8")
        await pilot.press("G")
        await shows(app, "The way back")
        assert not ascii_only or text_of(app).isascii()


def test_a_plan_says_of_each_step_what_it_runs_and_means() -> None:
    steps = plan_lines.steps_of(DEPLOY)
    assert [one.number for one in steps] == [*"12345678", "-"]
    text = "\n".join(line.plain for line in plan_lines.detail(DEPLOY, steps[4], 200, UNICODE))
    for said in (
        "$ docker compose --project-directory /srv/harbour --project-name harbour up --detach --no-deps --no-build api",
        "It is not cut short",
        "From here on a failure goes back to r7, once.",
        "is recreated if its image comes out as another one",
        "harbour_mongo  volume of mongodb",
        "about 6 s, as the last time",
        f"Fingerprint {DEPLOY.fingerprint[:12]}",
        "It makes the release r8",
    ):
        assert said in text, said
    assert "no data is touched" in plan_lines.summary(RESTART, UNICODE).plain


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_title_of_a_step_moves_nothing_below_it(width: int) -> None:
    begin = Entry(n=0, previous="", event="begin", at=NOW, operation="20260312T031416000Z-restart-abcdef")
    heights = set()
    for title in ("short", "a long one that waits until another is well " * 3):
        steps = (StepCourse(id="s1", title=title, mark=Mark.RUNNING, began=NOW),)
        lines = state_lines(Course(begin=begin, steps=steps), Standing.RUNNING, Expected(), NOW, width, UNICODE)
        heights.add(len(lines))
        assert all(line.cell_length <= width for line in lines) and title[:5] in lines[0].plain
    assert len(heights) == 1


def test_several_services_stay_down_and_one_stays() -> None:
    for services, said in ((("api",), "api stays down"), (("api", "db"), "api, db stay down")):
        downtime = tuple(Downtime(service=one, until_started=True) for one in services)
        assert said in plan_lines.summary(msgspec.structs.replace(RESTART, downtime=downtime), UNICODE).plain


async def test_foreign_text_in_a_plan_only_reads(made: OperationSamples, started: list[Plan]) -> None:
    for text in HOSTILE:
        data = (DataEffect(name=text, what=text, why=text, effect=Effect.LOST, database="mongodb"),)
        steps = tuple(
            msgspec.structs.replace(one, title=text, effect=text, commands=((text,),)) for one in DEPLOY.steps
        )
        plan = msgspec.structs.replace(DEPLOY, stack=text, data=data, steps=steps, notes=(text,), incoming=(text,))
        async with opened(made, (80, 24)) as (app, pilot):
            app.push_screen(PlanScreen(text, plan=plan))
            await pilot.pause()
            await pilot.press("enter")
            await until(lambda: isinstance(app.screen, TypeNamesScreen) and "Enter takes" in text_of(app))
            shown = text_of(app)
            assert not any(character in shown for character in "\x1b\x07\u202e")
            await pilot.press("escape", "escape")


async def test_the_question_is_on_cancel_and_says_what_and_where(made: OperationSamples, started: list[Plan]) -> None:
    async with opened(made) as (app, pilot):
        app.push_screen(PlanScreen("", plan=DEPLOY))
        await pilot.pause()
        await pilot.press("enter")
        await shows(app, "Deploy of the stack harbour?", "shop on web-1", "3 pieces of data kept")
        await pilot.press("enter")
        await pilot.pause()
        assert started == [] and "Run it" not in text_of(app)
        for keys in (["enter", "y"], ["enter", "tab", "enter"]):
            await pilot.press(*keys)
            await shows(app, "Not in a test.", "Nothing was done.")
        assert started == [DEPLOY, DEPLOY]


async def test_data_at_stake_is_agreed_to_by_its_names_typed(made: OperationSamples, started: list[Plan]) -> None:
    async with opened(made) as (app, pilot):
        app.push_screen(PlanScreen("", plan=LOSING))
        await pilot.pause()
        await pilot.press("enter")
        await shows(app, "harbour_mongo would be left behind", "(1 of 2)")
        await pilot.press("y", "enter")
        await shows(app, "That is not its name. Nothing was done.")
        app.screen.query_one(Input).value = "harbour_mongo"
        await pilot.press("enter")
        await shows(app, "redis would be lost", "(2 of 2)")
        await pilot.press("escape")
        await pilot.pause()
        assert started == []
        await pilot.press("enter")
        for name, number in zip(LOSING.to_accept, ("(1 of 2)", "(2 of 2)"), strict=True):
            await shows(app, number)
            app.screen.query_one(Input).value = name
            await pilot.press("enter")
        await until(lambda: started == [LOSING])


async def test_read_only_looks_at_plans_and_runs_none(made: OperationSamples, started: list[Plan]) -> None:
    async with opened(made, read_only=True) as (app, pilot):
        app.push_screen(PlanScreen("", plan=DEPLOY))
        await shows(app, "read-only: a plan can be looked at")
        assert "run it" not in text_of(app)
        await pilot.press("enter", "y")
        await shows(app, "nothing was done")
        await pilot.press("X")
        await pilot.pause()
        assert "EMERGENCY STOP?" not in text_of(app)
        assert started == []


async def test_the_plan_is_made_on_a_thread_and_can_be_given_up(
    made: OperationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    go_on = threading.Event()
    answers: list[Plan | SourceError] = [DEPLOY]

    def make_plan(site: Site, request: Request, told: Told) -> Plan:
        go_on.wait(20)
        answer = answers[0]
        if isinstance(answer, SourceError):
            raise answer
        return answer

    monkeypatch.setattr(requests, "make_plan", make_plan)
    async with opened(made) as (app, pilot):
        await pilot.press("d", "3")
        await shows(app, "Plan: Stop", "Making the plan", "Esc gives up")
        await pilot.press("escape")
        await until(lambda: not isinstance(app.screen, PlanScreen))
        go_on.set()
        for answer, said in (
            (NothingToDo("nothing runs", "See status."), "Nothing to do: nothing runs."),
            (SourceError("the engine does not answer", "Start it."), "The engine does not answer."),
            (DEPLOY, "Preflight: variables"),
        ):
            answers[0] = answer
            await pilot.press("3")
            await shows(app, said)
            assert not isinstance(answer, SourceError) or answer.hint in text_of(app)
            await pilot.press("escape")
            await until(lambda: not isinstance(app.screen, PlanScreen))


# --- the operation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "ascii_only"), LOOKS)
async def test_a_running_operation_at_every_size(
    made: OperationSamples, size: tuple[int, int], ascii_only: bool
) -> None:
    running_deploy(made)
    async with opened(made, size, ascii_only=ascii_only) as (app, pilot):
        await pilot.press("W")
        await shows(app, "Deploy of the stack harbour", "step 3 of 8: Build api", "34 s of about 1:51", "64 %")
        await shows(app, "#9 [worker 4/5]")
        assert not ascii_only or text_of(app).isascii()


async def test_it_ends_while_it_is_watched_and_what_failed_stays(made: OperationSamples) -> None:
    place = made.add(RESTART, timedelta(seconds=9), begun(RESTART, 0, 0.2), output="$ docker\n", runs=True, number=7)
    async with opened(made) as (app, pilot):
        await pilot.press("W")
        await shows(app, "step 1 of 2: Restart api, worker", "$ docker", "C cancel it")
        failed = {
            "event": "step-end", "step": "restart", "result": Result.FAILED, "seconds": 4.0, "exit_codes": (1,),
            "command": ("docker", "compose", "restart", "api"), "problem": "exit code 1",
        }  # fmt: skip
        end = {
            "event": "end", "result": Result.FAILED, "seconds": 4.5, "hint": "Free space.",
            "problem": "docker compose restart api: exit code 1", "state": ("running: shop-redis-1",),
            "last_lines": ("Error: no space left on device",),
            "by_hand": ("docker compose start api",), "less": ("collection shop.orders: 120 -> 90 documents",),
        }  # fmt: skip
        made.more(place, 4.2, failed)
        made.more(place, 4.5, end)
        await shows(
            app,
            "FAILED", "in the step: Restart api, worker", "command: docker compose restart api", "exit code: 1",
            "| Error: no space left on device", "now running: shop-redis-1", "Free space.",
            "$ docker compose start api", "LESS DATA", "shop.orders: 120 -> 90", "exit code of the operation: 1",
        )  # fmt: skip
        await pilot.press("escape", "f2")
        await shows(app, "Restart of api, worker in the stack harbour: FAILED after 4 s")


async def test_how_it_ended_is_said_where_nobody_watched_it(made: OperationSamples) -> None:
    place = made.add(RESTART, timedelta(seconds=9), begun(RESTART, 0, 0.2), runs=True, number=7)
    async with opened(made) as (app, pilot):
        await pilot.press("W")
        await shows(app, "step 1 of 2: Restart api, worker")
        await pilot.press("escape", "c")
        await shows(app, "6 of 6 well", "restart of api, worker  step 1 of 2")
        made.more(place, 4.5, {"event": "end", "result": Result.FAILED, "seconds": 4.5, "problem": "no space left"})
        made.close()
        await shows(app, "Restart of api, worker in the stack harbour: FAILED after 4 s: no space left. h shows all")
        assert "W watch" not in text_of(app)


async def test_a_rollback_offers_the_releases_that_are_kept(
    made: OperationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [
        Release(number=number, state=state, at=NOW - timedelta(days=number), commit="4f2c91e0aa")
        for number, state in ((1, State.FOUND), (2, State.FAILED), (3, State.GOOD))
    ]
    monkeypatch.setattr(releases, "all_releases", lambda directory: tuple(kept))
    asked: list[Request] = []
    monkeypatch.setattr(requests, "make_plan", lambda site, request, told: asked.append(request) or DEPLOY)
    async with opened(made) as (app, pilot):
        await pilot.press("d", "R")
        await shows(
            app, "Previous images", "Configuration", "Restart all", "Emergency stop", "Release r3", "Release r1"
        )
        assert "Release r2" not in text_of(app)
        await pilot.press("slash", *"r1", "enter", "enter")
        await until(lambda: asked == [Request(what="previous-image", to="r1")])


async def test_a_rollback_of_the_configuration_asks_of_which_release_or_commit(
    made: OperationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Release(number=3, state=State.GOOD, at=NOW - timedelta(days=3))
    monkeypatch.setattr(releases, "all_releases", lambda directory: (good,))
    asked: list[Request] = []
    monkeypatch.setattr(requests, "make_plan", lambda site, request, told: asked.append(request) or DEPLOY)
    git(made.directory, "init", "--quiet")
    for subject in ("The first one", f"A {HOSTILE} one"):
        (made.directory / "compose.yaml").write_text(subject)
        git(made.directory, "add", "compose.yaml")
        git(made.directory, "commit", "--quiet", "--message", subject)
    first = git(made.directory, "rev-parse", "HEAD~1")
    async with opened(made) as (app, pilot):
        for words, wanted in (
            ("r3", Request(what="config", to="r3")),
            (first[:9], Request(what="config", commit=first)),
            ("Newest", Request(what="config")),
        ):
            await pilot.press("d", "R")
            await shows(app, "Previous images", "Configuration")
            await pilot.press("slash", *"Configuration", "enter", "enter")
            await shows(app, "Newest release that differs", "Release r3", f"Commit {first[:10]}", "The first one")
            await pilot.press("slash", *words, "enter", "enter")
            await until(lambda wanted=wanted: asked[-1:] == [wanted])  # type: ignore[misc]
            await until(lambda: isinstance(app.screen, PlanScreen))
            await pilot.press("escape")


async def test_killed_while_it_is_watched_it_can_be_finished_or_undone(
    made: OperationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def make_plan(site: Site, request: Request, told: Told) -> Plan:
        asked.append(request)
        return RESTART

    monkeypatch.setattr(requests, "make_plan", make_plan)
    place = running_deploy(made)
    async with opened(made) as (app, pilot):
        await pilot.press("W")
        await shows(app, "step 3 of 8")
        made.close()
        await shows(app, "HALF DONE: its process was killed", "cut off", "F finish", "U undo")
        await pilot.press("U")
        await until(lambda: bool(asked))
        assert asked == [Request(what="undo", operation=place.name)]


async def test_a_cancel_says_what_it_means_and_asks_the_runner(made: OperationSamples) -> None:
    place = running_deploy(made)
    async with opened(made) as (app, pilot):
        await pilot.press("W")
        await shows(app, "C cancel it")
        await pilot.press("C")
        await shows(app, "Cancel the operation?", "The step that runs (Build api, worker) is ended.", "No further step")
        await pilot.press("escape")
        assert journal.cancel_asked(place) == ""
        await pilot.press("C", "y")
        await until(lambda: journal.cancel_asked(place) != "")
        await shows(app, "Asked to end at the next safe point")


async def test_the_output_is_searched_and_bounded(made: OperationSamples) -> None:
    place = running_deploy(made)
    with (place / "output.log").open("a") as file:
        file.writelines(f"line {number}\n" for number in range(120_000))
    async with opened(made) as (app, pilot):
        await pilot.press("W")
        screen = app.screen
        assert isinstance(screen, OperationScreen)
        await until(lambda: "line 119999" in text_of(app))
        assert len(screen.view.store) <= screen.view.store.max_lines
        await pilot.press("slash", *"line 1187[5]9", "enter")
        await shows(app, "line 118759", "search line 1187", "paused")
        await pilot.press("escape")
        await pilot.press("f")
        await shows(app, "line 119999")


async def test_a_refusal_offers_the_plan_anew(made: OperationSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "make_plan", lambda site, request, told: RESTART)
    end = {
        "event": "end", "result": Result.REFUSED, "seconds": 0.2,
        "problem": "the stack changed since the plan was made: file .env: its content changed; container api: is new",
    }  # fmt: skip
    place = made.add(RESTART, timedelta(seconds=1), [(0.2, end)], number=8)
    async with opened(made) as (app, pilot):
        app.operating.watch(place, request=Request(what="restart"), words="Restart")
        await shows(app, "refused: nothing was done", "  file .env: its content changed", "  container api: is new")
        await pilot.press("p")
        await shows(app, "Plan: restart of api, worker", "run it")


async def test_leaving_while_something_runs_says_that_it_goes_on(made: OperationSamples) -> None:
    place = running_deploy(made)
    async with opened(made) as (app, pilot):
        await pilot.press("W")
        await shows(app, "step 3 of 8")
        await pilot.press("q")
        await shows(app, "It goes on without this terminal", f"opsconsole operations watch {place.name}")
        await pilot.press("enter")
        await pilot.pause()
        assert app.is_running
        await pilot.press("q", "tab", "enter")
        await until(lambda: not app.is_running)
    assert journal.is_alive(place)


# --- half done, history ------------------------------------------------------------------------------


async def test_what_is_half_done_is_offered_at_the_start(made: OperationSamples) -> None:
    half_done(made)
    async with opened(made, (80, 24)) as (app, pilot):
        await shows(app, "An operation is half done", "restart of api, worker", "to come.", "Later")
        await pilot.press("enter")
        await shows(app, "HALF DONE: restart of api, worker", "W finish or undo")
        await pilot.press("W")
        await shows(app, "An operation is half done")
        await pilot.press("tab", "enter")  # Look
        await shows(app, "(cut off here)", "F finish")


async def test_the_history_tells_who_did_what_from_where_with_what_result(made: OperationSamples) -> None:
    async with opened(made) as (app, pilot):
        await pilot.press("h")
        await shows(app, "3 operations", "1 failed or half done", "rolled back", "mina", "10.20.0.7", "1:51")
        await pilot.press("j")
        await shows(app, "harbour-api-1 is unhealthy", "exit code 3")
        await pilot.press("enter")
        await shows(app, "FAILED and ROLLED BACK", "way back: Return to release r7", "MongoServerSelectionError")
        await pilot.press("escape")
        place = running_deploy(made)
        await shows(app, "4 operations", "running")
        assert place.exists()
        await pilot.press("V")  # the samples are not chained
        await shows(app, "line 1 was changed after it was written", "more: opsconsole history --verify")
        await pilot.press("escape")
        await until(lambda: "was changed" not in text_of(app))


async def test_an_operation_is_saved_as_markdown(made: OperationSamples, tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    async with opened(made) as (app, pilot):
        await pilot.press("h")
        await shows(app, "3 operations")
        for said in (f"Saved as {target}", "exists and was left as it is"):
            await pilot.press("S")
            await shows(app, "Save the operation")
            app.screen.query_one(Input).value = str(target)
            await pilot.press("enter")
            await shows(app, said)
    text = target.read_text()
    assert text.startswith("# restart of api, worker") and "## Plan" in text and "## Course" in text
    assert target.stat().st_mode & 0o777 == 0o600


async def test_nothing_to_operate_on_is_said_in_one_sentence() -> None:
    async with opened(None) as (app, pilot):
        for key in ("X", "d", "1", "R"):
            await pilot.press(key)
        await shows(app, "This is the demo: nothing is operated on.")
        await pilot.press("W")
        await shows(app, "No operation runs.")
        await pilot.press("h")
        await shows(app, "This is the demo: no operation was ever run on it.")


async def test_help_and_palette_know_every_key(made: OperationSamples) -> None:
    async with opened(made, (120, 60)) as (app, pilot):
        app.push_screen(PlanScreen("", plan=DEPLOY))
        await pilot.pause()
        await pilot.press("question_mark")
        await shows(app, "In a plan", "Run the plan, after a question.")
        await pilot.press("G")
        await shows(app, "In an operation", "Ask the operation to end at the next safe point")
        await pilot.press("escape", "escape")
        await pilot.press("colon", *"emergency", "enter")
        await shows(app, "EMERGENCY STOP?", "Stops all 6 running containers", "DOWN until")
