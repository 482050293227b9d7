"""The Containers pane: rows, columns, details, and actions that touch only what was asked for."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from opsconsole.model import Container, Port, Service, Snapshot, SourceError
from opsconsole.operations.containers import Outcome, Target, Verb, apply, shell_command, summary
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes.container_lines import container_lines
from opsconsole.ui.panes.container_rows import ContainerRow, ports_text, rows_of
from opsconsole.ui.panes.containers import ContainersPane
from opsconsole.ui.wording import UNICODE
from tests import ui_sample as sample
from tests.ui_sample import NOW, Feed, container, painted, text_of, until

SIZES = [(80, 24), (120, 40), (200, 60), (60, 20)]


class Recorder:
    """Takes the place of the engine's three verbs where only the way to them is looked at."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.refusal: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def _do(self, verb: str, container_id: str) -> None:
        self.gate.wait(10)
        if self.refusal is not None:
            raise self.refusal
        self.done.append((verb, container_id))

    def start(self, container_id: str) -> None:
        self._do("start", container_id)

    def stop(self, container_id: str) -> None:
        self._do("stop", container_id)

    def restart(self, container_id: str) -> None:
        self._do("restart", container_id)


@asynccontextmanager
async def opened(
    snapshot: Snapshot, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, ContainersPane, Recorder, Pilot[Any]]]:
    engine = Recorder()
    app = ConsoleApp(Feed(snapshot, engine), clock=lambda: NOW, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(app.pane, ContainersPane)
        yield app, app.pane, engine, pilot
        assert app.faults == []


def id_of(snapshot: Snapshot, service: str) -> str:
    return next(one.id for one in snapshot.containers if one.service == service)


# --- rows ------------------------------------------------------------------------------------------


def test_rows_are_every_container_and_every_wanted_service_without_one() -> None:
    rows = {row.name: row for row in rows_of(sample.troubled())}
    assert list(rows) == ["backend", "frontend", "mongodb", "redis", "worker", "nginx"]
    assert rows["nginx"].container is None and rows["nginx"].standing.word == "not created"
    assert "mailer" in {row.name for row in rows_of(sample.troubled(), all_stopped=True)}


def test_services_of_other_profiles_and_of_no_replicas_are_not_missed() -> None:
    base = sample.well()
    assert base.stack is not None
    extra = (Service(name="debug", active=False), Service(name="off", replicas=0), Service(name="gone"))
    snapshot = sample.well(stack=msgspec.structs.replace(base.stack, services=(*base.stack.services, *extra)))
    assert [row.name for row in rows_of(snapshot) if row.container is None] == ["gone"]


def test_several_containers_of_a_service_are_told_apart() -> None:
    first, second = container("web"), container("web", id="f" * 64, name="shop-web-2", number=2)
    assert sorted(row.name for row in rows_of(sample.well(containers=(first, second), stack=None))) == ["web", "web 2"]


def test_ports_are_said_once_and_with_their_address_when_they_are_not_open_to_all() -> None:
    both = [Port(container_port=80, host_port=8080, host_address=address) for address in ("0.0.0.0", "::")]
    local = Port(container_port=5432, host_port=5432, host_address="127.0.0.1")
    assert ports_text([*both, local, Port(container_port=9)]) == "8080>80,127.0.0.1:5432"
    assert ports_text([Port(container_port=53, host_port=53, protocol="udp")]) == "53/udp"


@pytest.mark.parametrize("size", SIZES)
async def test_columns_by_width(size: tuple[int, int]) -> None:
    async with opened(sample.troubled(), size) as (app, _, _, _):
        text = text_of(app)
        for word in ("backend", "✗ unhealthy", "✗ out of memory", "▲ not created", "drift", "2.4 %", "182M/512M"):
            assert word in text, word
        heading = next(line for line in painted(app) if "State" in line)
        assert ("Net in, out/s" in heading) == (size[0] >= 120)
        assert ("Container" in heading and "Image" in heading) == (size[0] >= 200)


async def test_long_names_leave_room_for_the_restarts_on_eighty_cells() -> None:
    names = ("notification-dispatcher", "web")
    own = tuple(sample.container(name, health="unhealthy", restarts=1204) for name in names)
    async with opened(sample.well(containers=own, stack=sample.stack(*names)), (80, 24)) as (app, _, _, _):
        heading = next(line for line in painted(app) if "State" in line)
        row = next(line for line in painted(app) if "notification-d" in line)
        assert heading.rstrip().endswith("Restarts") and row.rstrip().endswith("1.2k")


async def test_nothing_known_is_not_called_well() -> None:
    async with opened(sample.well(containers=(), stack=None)) as (app, _, _, _):
        assert "no service, no container is known" in text_of(app) and "0 of 0" not in text_of(app)


async def test_every_snapshot_is_painted_as_it_comes_also_after_dialogs_and_messages() -> None:
    snapshot = sample.well()
    async with opened(snapshot) as (app, _, _, pilot):
        keys = ("r", "escape", "M", "", "escape", "", "T", "escape", "")  # M says something, which takes a line
        for percent, key in zip(range(11, 100, 11), keys, strict=True):
            busy = tuple(
                msgspec.structs.replace(one, usage=msgspec.structs.replace(one.usage, cpu_percent=float(percent)))
                for one in snapshot.containers
            )
            app.publish(msgspec.structs.replace(snapshot, containers=busy))
            await until(lambda: app.snapshot is not None and app.snapshot.containers == busy)  # noqa: B023
            await pilot.pause()
            if len(app.screen_stack) == 1:
                assert text_of(app).count(f"{percent} %") == len(busy)
            if key:
                await pilot.press(key)
            await pilot.pause()


async def test_what_is_wrong_with_the_row_is_said_in_a_sentence() -> None:
    async with opened(sample.troubled()) as (app, _, _, pilot):
        assert "curl: (22) The requested URL returned error: 500" in text_of(app)
        await pilot.press("j")
        await pilot.pause()
        assert "frontend: It runs image 1.4.1, the compose file says 1.4.2" in text_of(app)


async def test_stopped_ones_that_nobody_wants_are_hidden_until_asked_for() -> None:
    async with opened(sample.troubled()) as (app, _, _, pilot):
        assert "mailer" not in text_of(app) and "1 stopped one hidden, a shows all" in text_of(app)
        await pilot.press("a")
        await pilot.pause()
        assert "mailer" in text_of(app)


# --- details ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_details_say_all_that_is_known(size: tuple[int, int]) -> None:
    base = sample.troubled()
    full = msgspec.structs.replace(
        base.containers[0],
        drift="It runs another image.",
        mounts=sample.well().containers[2].mounts,
        ports=(Port(container_port=80, host_port=8080),),
    )
    snapshot = msgspec.structs.replace(base, containers=(full, *base.containers[1:]))
    async with opened(snapshot, size) as (app, _, _, pilot):
        await pilot.press("enter")
        await pilot.pause()
        assert full.id[:12] in painted(app)[0]
        seen = text_of(app)
        for _ in range(12):
            await pilot.press("pagedown")
            await pilot.pause()
            seen += text_of(app)
        words = (
            "It runs another image.", "exit code 1", "error: 500", "182 MiB of 512 MiB (36 %)", "8080>80",
            "/data/db → shop_mongo", "172.20.0.5", "********", "NODE_ENV=production", "unless-stopped",
            "com.docker.compose.service=backend", "node server.js",
        )  # fmt: skip
        for word in words:
            assert word in seen or word in seen.replace("\n", ""), word
        await pilot.press("escape")
        await pilot.pause()
        assert "Service" in text_of(app)


async def test_details_follow_their_container_and_say_when_it_is_gone() -> None:
    snapshot = sample.well()
    async with opened(snapshot) as (app, _, _, pilot):
        await pilot.press("enter")
        await pilot.pause()
        changed = msgspec.structs.replace(snapshot.containers[0], health="unhealthy")
        app.publish(msgspec.structs.replace(snapshot, containers=(changed, *snapshot.containers[1:])))
        await until(lambda: "unhealthy" in text_of(app))
        app.publish(msgspec.structs.replace(snapshot, containers=snapshot.containers[1:]))
        await until(lambda: "it is gone" in text_of(app))
        assert "shop-backend-1" in text_of(app)


@pytest.mark.parametrize("width", [40, 60, 200])
@pytest.mark.parametrize("row", rows_of(sample.hostile()) + rows_of(sample.troubled()), ids=lambda row: row.key[:6])
def test_details_fit_any_width_and_cut_nothing(row: ContainerRow, width: int) -> None:
    lines = container_lines(row, NOW, width, UNICODE)
    assert [line.plain for line in lines if line.cell_length > width] == []
    assert not any(sign in line.plain for line in lines for sign in "\x1b\x07\u202e")


# --- actions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["r", "s"])
async def test_the_question_names_its_target_and_enter_changes_nothing(key: str) -> None:
    snapshot = sample.well()
    async with opened(snapshot) as (app, _, engine, pilot):
        await pilot.press(key)
        await pilot.pause()
        text = text_of(app)
        target = id_of(snapshot, "backend")
        assert "shop-backend-1" in text and target[:12] in text
        assert "On web-1 at unix:///var/run/docker.sock" in text
        assert app.focused is not None and app.focused.id == "cancel"
        await pilot.press("enter")
        await pilot.pause()
        assert engine.done == [] and app.busy == {}
        for refusal in ("escape", "q", "n"):
            await pilot.press(key)
            await pilot.pause()
            await pilot.press(refusal)
            await pilot.pause()
        assert engine.done == []


@pytest.mark.parametrize(("key", "verb"), [("r", "restart"), ("s", "stop")])
async def test_confirmed_it_acts_on_the_id_of_the_moment_the_key_was_pressed(key: str, verb: str) -> None:
    snapshot = sample.well()
    async with opened(snapshot) as (app, pane, engine, pilot):
        await pilot.press("j", key)
        await pilot.pause()
        # While the question stands, the list turns around and the row under the cursor is another one.
        app.publish(msgspec.structs.replace(snapshot, containers=tuple(reversed(snapshot.containers)), stack=None))
        await until(lambda: app.snapshot is not snapshot)
        pane.table.move_to(id_of(snapshot, "redis"))
        await pilot.press("tab", "enter")
        await until(lambda: engine.done)
        assert engine.done == [(verb, id_of(snapshot, "frontend"))]
        await until(lambda: not app.busy)
        await pilot.pause()
        assert f"shop-frontend-1 {Verb(verb).done}" in text_of(app)


async def test_marked_containers_are_acted_on_together_and_only_those_it_applies_to() -> None:
    snapshot = sample.troubled()
    async with opened(snapshot) as (app, _, engine, pilot):
        await pilot.press("space", "j", "j", "j", "space")  # backend, and worker, which has stopped
        await pilot.press("r")
        await pilot.pause()
        assert "Restart backend?" in text_of(app)
        await pilot.press("escape", "u")
        await pilot.pause()
        assert "Start worker?" in text_of(app)
        await pilot.press("right", "enter")
        await until(lambda: engine.done)
        assert engine.done == [("start", id_of(snapshot, "worker"))]


async def test_a_failure_is_said_whole_and_stays() -> None:
    async with opened(sample.well()) as (app, _, engine, pilot):
        engine.refusal = SourceError("the engine said no to mongodb://app:hunter2@db", "Look at [/] the log.")
        await pilot.press("r")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await until(lambda: not app.busy and app.messages)
        await pilot.pause()
        text = " ".join(text_of(app).split())
        assert "shop-backend-1 was not restarted: the engine said no to" in text and "Look at [/] the log." in text
        assert "hunter2" not in text


async def test_the_screen_goes_on_while_the_engine_hangs_and_leaving_says_what_is_under_way() -> None:
    async with opened(sample.well()) as (app, _, engine, pilot):
        engine.gate.clear()
        await pilot.press("r")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await until(lambda: app.busy)
        await pilot.press("j", "j")
        await pilot.pause()
        assert "under way" in text_of(app)
        await pilot.press("q")
        await pilot.pause()
        assert "Leave the console?" in text_of(app) and "restart shop-backend-1" in text_of(app)
        await pilot.press("escape")
        engine.gate.set()
        await until(lambda: not app.busy)


async def test_read_only_refuses_although_the_key_is_pressed() -> None:
    async with opened(sample.troubled(), read_only=True) as (app, pane, engine, pilot):
        for key in ("r", "s", "u", "e"):
            await pilot.press(key)
            await pilot.pause()
            assert len(app.screen_stack) == 1
        pane.action_restart()
        pane.action_shell()
        await pilot.pause()
        assert "read-only" in text_of(app) and engine.done == []


async def test_a_service_without_a_container_offers_no_action_on_one() -> None:
    async with opened(sample.troubled()) as (app, _, engine, pilot):
        await pilot.press("G")
        await pilot.pause()
        assert "restart" not in painted(app)[-1]
        await pilot.press("r", "s", "u", "e")
        await pilot.pause()
        assert len(app.screen_stack) == 1 and engine.done == []


async def test_its_logs() -> None:
    async with opened(sample.troubled()) as (app, _, _, pilot):
        await pilot.press("j", "L")
        await pilot.pause()
        assert app.pane is not None and app.pane.pane_id == "logs"
        assert "frontend" in text_of(app)


# --- outcomes --------------------------------------------------------------------------------------


def targets(*names: str) -> list[Target]:
    return [Target(id=name * 12, name=name, service=name) for name in names]


def test_one_that_fails_does_not_keep_the_others_from_their_turn() -> None:
    class Picky(Recorder):
        def _do(self, verb: str, container_id: str) -> None:
            if container_id.startswith("b"):
                raise ValueError("no")
            super()._do(verb, container_id)

    engine: Any = Picky()
    outcomes = apply(engine, Verb.STOP, targets("a", "b", "c"))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert summary(outcomes) == "b was not stopped: ValueError: no. Run opsconsole doctor.; 2 stopped: a, c"
    assert summary([Outcome(Verb.START, targets("a")[0])]) == "a started"


def test_the_shell_is_a_list_for_the_same_engine_and_holds_no_outside_text_but_the_id() -> None:
    command = shell_command("unix:///run/other.sock", "abc; rm -rf /")
    assert command[:6] == ["docker", "--host", "unix:///run/other.sock", "exec", "-it", "abc; rm -rf /"]
    assert "abc" not in command[-1]


def test_a_container_is_named_by_what_it_was() -> None:
    one: Container = container("web")
    assert Target.of(one) == Target(one.id, "shop-web-1", "web")
