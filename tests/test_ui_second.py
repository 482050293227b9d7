"""Guided restore to a second: the ranges, the second in one of them, what of it is restored, the plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from opsconsole.model import Backup, BackupState, MongoStatus, OplogSpan, OplogTime, Snapshot
from opsconsole.operations.site import Site
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes.backup_rows import summary
from opsconsole.ui.screens import moment_lines
from opsconsole.ui.screens.asking import AskingScreen
from opsconsole.ui.screens.moment import MomentScreen
from opsconsole.ui.screens.plan import PlanScreen
from opsconsole.ui.screens.restore_second import RestoreSecondScreen
from opsconsole.ui.wording import UNICODE, moment
from tests import ui_sample as sample
from tests.restore_console import OWN, Asked, catalog, shows, snapshot_of, stack_directory
from tests.ui_sample import NOW, Feed, text_of, until

BASE = datetime(2026, 3, 1, 2, 0, 10, tzinfo=UTC)  # of the backup OWN
END = BASE + timedelta(hours=6)
EARLIER = BASE - timedelta(days=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return stack_directory(tmp_path)


def span(begins: datetime, ends: datetime, continues: str = "") -> OplogSpan:
    return OplogSpan(
        part="mongodb", replica_set="rs0", set_id="ab", server="MongoDB 6.0.5",
        begins=OplogTime(time=int(begins.timestamp()), increment=1),
        ends=OplogTime(time=int(ends.timestamp()), increment=1), continues=continues,
    )  # fmt: skip


def backup(name: str, one: OplogSpan) -> Backup:
    state = BackupState.INCREMENTAL if one.continues else BackupState.GOOD
    taken = datetime.fromtimestamp(one.ends.time, UTC)
    return Backup(
        id=name, path=f"/b/{name}", layout="opsconsole", taken_at=taken, size_bytes=1000, state=state, oplog=(one,)
    )


def with_ranges(directory: Path) -> Snapshot:
    """A range of six hours on the backup OWN, and one of an hour the day before; a gap in between."""
    base = snapshot_of(directory)
    own = next(one for one in base.backups if one.id == OWN)
    return msgspec.structs.replace(
        base,
        backups=(
            backup("20260301_080010", span(BASE, END, OWN)),
            msgspec.structs.replace(own, state=BackupState.GOOD, oplog=(span(BASE, BASE),)),
            backup("20260228_030010", span(EARLIER, EARLIER + timedelta(hours=1), "20260228_020010")),
            backup("20260228_020010", span(EARLIER, EARLIER)),
        ),
    )


@asynccontextmanager
async def on(
    directory: Path, size: tuple[int, int] = (120, 40), snapshot: Snapshot | None = None, **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    feed = Feed(snapshot or with_ranges(directory))
    feed.sources.backups = catalog()
    app = ConsoleApp(feed, clock=lambda: NOW, site=Site(directory=directory), **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.operating.looked)
        await pilot.press("b")
        await pilot.pause()
        await pilot.press("t")
        await until(lambda: isinstance(app.screen, MomentScreen))
        yield app, pilot
        assert app.faults == []


def local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


LAST = END - timedelta(seconds=1)  # in the second at whose middle a slice ends more may have been written


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_ranges_the_second_its_zone_and_the_edges(directory: Path, size: tuple[int, int]) -> None:
    async with on(directory, size) as (app, pilot):
        await shows(app, "2 ranges without a gap", "To the end of", local(LAST), "the last second", local(BASE))
        assert f"It takes the full backup {OWN} and 1 incremental backup after it." in text_of(app)
        await pilot.press("g")
        await shows(app, "the first second")
        await pilot.press("minus")
        await shows(app, "This is the first second of the range: there is nothing beyond it.")
        await pilot.press("plus", "plus", "left", "plus", "left", "plus")
        assert app.screen.at == BASE + timedelta(hours=1, minutes=1, seconds=2)  # type: ignore[attr-defined]
        await pilot.press("G", "left", "plus")  # a day later is beyond the edge
        assert app.screen.at == LAST  # type: ignore[attr-defined]
        await pilot.press("down")
        await until(lambda: app.screen.at == EARLIER + timedelta(minutes=59, seconds=59))  # type: ignore[attr-defined]
        await shows(app, "It takes the full backup 20260228_020010")
        await pilot.press("escape")
        await until(lambda: not app.screen.is_modal)


async def test_a_second_is_typed_and_a_gap_is_never_taken(directory: Path) -> None:
    async with on(directory) as (app, pilot):
        await pilot.press("t")
        await until(lambda: isinstance(app.screen, AskingScreen))
        field = app.screen.query_one(Input)
        assert field.value == local(LAST)
        for text, said in (
            ("soon", "Soon is no time."),
            (local(EARLIER + timedelta(hours=3)), "That lies in a gap: nothing holds what was written between"),
            (local(END + timedelta(days=2)), "That is after the last second that can be had"),
            (local(EARLIER - timedelta(days=2)), "That is before the first second that can be had"),
        ):
            field.value = text
            await pilot.press("enter")
            await shows(app, said)
        field.value = local(EARLIER + timedelta(minutes=5))
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, MomentScreen))
        assert app.screen.at == EARLIER + timedelta(minutes=5)  # type: ignore[attr-defined]
        await shows(app, "It takes the full backup 20260228_020010")
        await pilot.press("1")
        await until(lambda: isinstance(app.screen, AskingScreen))
        assert app.screen.query_one(Input).value == "1"


async def test_from_a_second_over_its_collections_to_the_plan(directory: Path, asked: Asked) -> None:
    async with on(directory) as (app, pilot):
        await pilot.press("minus", "enter")
        await until(lambda: isinstance(app.screen, RestoreSecondScreen))
        at = LAST - timedelta(seconds=1)
        await shows(app, f"Restore MongoDB to {local(at)}", "users", "posts", "Counts are those of the full backup")
        assert "Redis" not in text_of(app)
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, PlanScreen) and bool(asked.requests))
        order = asked.requests[0].restore
        assert asked.requests[0].what == "restore" and order is not None
        assert (order.at, order.backup, order.parts, order.databases) == (at, "", ("mongo",), ())
        assert order.servers == ("mongodb",)
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, RestoreSecondScreen))
        await pilot.press("down", "down", "space", "enter")  # without the first collection
        await until(lambda: len(asked.requests) == 2)
        order = asked.requests[1].restore
        assert order is not None and len(order.collections) == 1 and order.at == at


async def test_backups_that_went_take_the_second_with_them(directory: Path) -> None:
    async with on(directory) as (app, _):
        snapshot = with_ranges(directory)
        app.publish(msgspec.structs.replace(snapshot, backups=snapshot.backups[2:]))
        await shows(app, "1 range without a gap", local(EARLIER + timedelta(minutes=59, seconds=59)))
        await shows(app, "The second that was chosen cannot be had any more.")
        app.publish(msgspec.structs.replace(snapshot, backups=snapshot.backups[3:]))
        await shows(app, "No second can be had yet.")


async def test_a_standalone_server_is_told_what_it_would_take(directory: Path, asked: Asked) -> None:
    standalone = msgspec.structs.replace(sample.MONGO, topology="standalone")
    snapshot = msgspec.structs.replace(snapshot_of(directory), databases=(standalone,))
    async with on(directory, (80, 24), snapshot) as (app, pilot):
        await shows(app, "No second can be had yet.", "runs as a standalone server", "--replSet", "? help")
        await pilot.press("enter", "plus", "t", "1")
        assert isinstance(app.screen, MomentScreen) and asked.requests == []
        await pilot.press("C")
        await until(lambda: isinstance(app.screen, PlanScreen) and bool(asked.requests))
        assert (asked.requests[0].what, asked.requests[0].server) == ("replica-set", sample.MONGO.target.name)


@pytest.mark.parametrize(
    ("backups", "said"),
    [
        ((), "It takes a full backup of the replica set and incremental ones after it."),
        ((backup("f", span(BASE, BASE)),), "There is a full backup, and no incremental one after it."),
        (
            (backup("f", span(BASE, BASE)), backup("s", span(END, END + timedelta(hours=1), "x"))),
            "follow on no full backup without a gap",
        ),
    ],
)
def test_why_there_is_none(backups: tuple[Backup, ...], said: str) -> None:
    status = MongoStatus(target=sample.MONGO.target, reachable=True, topology="replica set rs0")
    lines = moment_lines.nothing(backups, (status,), 200, UNICODE)
    assert any(said in line.plain for line in lines)


async def test_a_console_that_only_looks_plans_nothing(directory: Path, asked: Asked) -> None:
    async with on(directory, read_only=True) as (app, pilot):
        await shows(app, "2 ranges without a gap")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, MomentScreen) and asked.requests == []


def test_the_pane_says_until_when_and_nothing_without_a_range(directory: Path) -> None:
    snapshot = with_ranges(directory)
    said = "\n".join(line.plain for line in summary(snapshot, 120, UNICODE))
    assert f"to the second until {moment(LAST, snapshot.sampled_at)} (t)" in said
    alone = msgspec.structs.replace(snapshot, backups=snapshot.backups[3:])
    assert "to the second" not in "\n".join(line.plain for line in summary(alone, 120, UNICODE))
