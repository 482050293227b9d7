"""The incident screen: what it says first, the way to a plan, the record; in a drill to the mended state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from opsconsole.demo import demo_sources
from opsconsole.demo.drill import THRESHOLDS
from opsconsole.demo.drill_room import DrillRoom
from opsconsole.incident.course import Entry, Incident, course
from opsconsole.incident.evidence import Known, gather
from opsconsole.incident.matrix import recommend
from opsconsole.incident.priority import Priority
from opsconsole.incident_room import records
from opsconsole.model import Alert, AlertState, BackupContents, Severity
from opsconsole.monitor import Monitor
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.operating import Operating
from opsconsole.ui.panes.logs import LogsPane
from opsconsole.ui.screens import incident_lines
from opsconsole.ui.screens.attention import AttentionScreen
from opsconsole.ui.screens.incident import IncidentScreen
from opsconsole.ui.screens.plan import PlanScreen
from opsconsole.ui.wording import ASCII, UNICODE
from tests import ui_sample as sample
from tests.test_incident_drills import Clock
from tests.ui_sample import HOSTILE, NOW, Feed, text_of, until

SIZES = [(60, 14), (80, 24), (200, 60)]


@asynccontextmanager
async def drilled(
    name: str, directory: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    clock = Clock()
    sources = demo_sources(clock=clock, drill=name)
    assert sources.drill is not None
    room = DrillRoom(sources.drill, directory, sources.backups.look_inside)
    app = ConsoleApp(Monitor(sources, thresholds=THRESHOLDS, clock=clock), clock=clock, room=room)
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.snapshot and app.snapshot.alerts and app.snapshot.databases and app.snapshot.backups)
        await pilot.press("exclamation_mark")
        await until(lambda: isinstance(app.screen, IncidentScreen) and app.screen.recommendations)
        yield app, pilot
        assert app.faults == []


async def shows(app: ConsoleApp, *texts: str) -> None:
    try:
        await until(lambda: all(text in text_of(app) for text in texts), 20)
    except TimeoutError:
        missing = [text for text in texts if text not in text_of(app)]
        raise AssertionError(f"not on the screen: {missing}\n{text_of(app)}") from None


async def test_a_drill_from_the_alert_to_the_mended_state(tmp_path: Path) -> None:
    async with drilled("crash-loop-after-deploy", tmp_path) as (app, pilot):
        await shows(app, "Red now", "each crashes again and again", "Bad deploy", "1 Roll the code back")
        await pilot.press("D")
        await shows(app, "Declare an incident", "P1 Critical: system down, data loss")
        assert app.screen.query_one(Input).value.startswith("P2 3 containers of backend")
        app.screen.query_one(Input).value = "bookings fail"
        await pilot.press("enter")
        await shows(app, "It begins with P1, P2, P3 or P4.")
        app.screen.query_one(Input).value = "P2 bookings fail"
        await pilot.press("enter")
        await shows(app, "Incident i1", "becomes P1 in", "bookings fail")
        await pilot.press("1")
        await shows(app, "A drill: nothing real is touched.", "opsconsole rollback previous-image")
        await pilot.press("y")
        await shows(app, "was the way.")
        await until(lambda: records.read(tmp_path, "i1").entries[-1].event == "action")
        assert "bad deploy: deploy of the stack harbour by sam" in records.read(tmp_path, "i1").entries[-1].reason
        await pilot.press("t")
        await shows(app, "Checklists of i1", "Check the status of the system")
        await pilot.press("enter")
        await until(lambda: "status" in records.read(tmp_path, "i1").ticks)
        await shows(app, f"{records.read(tmp_path, 'i1').ticks['status'].at.astimezone():%H:%M} ")
        await pilot.press("enter")
        await until(lambda: "status" not in records.read(tmp_path, "i1").ticks)
        await pilot.press("escape", "n")
        await shows(app, "A note")
        app.screen.query_one(Input).value = "the bank knows"
        await pilot.press("enter")
        await until(lambda: [one.text for one in records.read(tmp_path, "i1").notes] == ["the bank knows"])
        await pilot.press("E")
        await shows(app, "Raise the priority by one?")
        assert records.read(tmp_path, "i1").priority is Priority.P2  # asked first
        await pilot.press("y")
        await until(lambda: records.read(tmp_path, "i1").priority is Priority.P1)
        await shows(app, "Escalated.")
        await pilot.press("C")
        await shows(app, "Close i1")
        app.screen.query_one(Input).value = "rolled back"
        await pilot.press("enter")
        await until(lambda: not records.read(tmp_path, "i1").is_open)
        await shows(app, "none is open", "S saves its report", "S save report")
        await pilot.press("S")
        await shows(app, "Save the report")
        app.screen.query_one(Input).value = str(tmp_path / "report.md")
        await pilot.press("enter")
        await until(lambda: (tmp_path / "report.md").exists())
        assert "the bank knows" in (tmp_path / "report.md").read_text()


async def test_one_key_leads_to_the_logs_of_what_is_ill(tmp_path: Path) -> None:
    async with drilled("changed-env", tmp_path, (120, 30)) as (app, pilot):
        await pilot.press("l")
        await shows(app, "MongoServerError: Authentication failed.")
        assert isinstance(app.pane, LogsPane) and app.pane.following.services == {"backend"}


async def test_a_second_operator_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsconsole.ui.screens.incident.LOOKED_EVERY", 0.1)
    async with drilled("full-disk", tmp_path) as (app, _):
        records.declare(tmp_path, "the disk is full", Priority.P1, "sam from 10.0.0.7")
        await shows(app, "Incident i1", "declared by sam from 10.0.0.7")


# --- on a stack ------------------------------------------------------------------------------------


def feed(*alerts: Alert) -> Any:
    found = Feed(msgspec.structs.replace(sample.well(), alerts=alerts))
    found.sources = SimpleNamespace(
        logs=found.sources.logs, engine=None, backups=SimpleNamespace(look_inside=lambda backup: BackupContents())
    )
    return found


DOWN = Alert(
    rule="container-unhealthy", subject="backend", severity=Severity.CRITICAL, state=AlertState.FIRING, since=NOW,
    message="backend is unhealthy", action="see its log",
)  # fmt: skip


async def test_the_key_of_a_way_leads_to_its_plan_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Request, str]] = []
    monkeypatch.setattr(Operating, "plan", lambda self, request, words, begun: asked.append((request, words)))
    app = ConsoleApp(feed(DOWN), clock=lambda: NOW, site=Site(directory=tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.operating.looked)
        await pilot.press("exclamation_mark")
        await shows(app, "1 Restart backend", "no deploy and no change of the configuration")
        await pilot.press("1")
        assert asked == [(Request(what="restart", services=("backend",)), "Restart backend")]
        await pilot.press("9")
        assert len(asked) == 1
    assert app.faults == []


async def test_an_incident_is_opened_from_the_alert_under_the_cursor(tmp_path: Path) -> None:
    slow = msgspec.structs.replace(DOWN, rule="response-time", subject="api", message="api answers in 3 s",
                                   severity=Severity.WARNING)  # fmt: skip
    settings = '[notify]\ncommand = ["sh", "-c", "echo $OPSCONSOLE_EVENT >> told"]\n'
    (tmp_path / "opsconsole.toml").write_text(settings)
    app = ConsoleApp(feed(DOWN, slow), clock=lambda: NOW, site=Site(directory=tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.operating.looked)
        app.push_screen(AttentionScreen())
        await shows(app, "api answers in 3 s", "! incident")
        await pilot.press("j", "exclamation_mark")
        await shows(app, "Declare an incident")
        assert app.screen.query_one(Input).value == "P2 api answers in 3 s"
        await pilot.press("enter")
        await shows(app, "It is declared. The clock runs. Told by command.")
        assert records.read(tmp_path, "i1").title == "api answers in 3 s"
        assert (tmp_path / "told").read_text() == "incident-declared\n"


async def test_an_open_console_tells_what_nobody_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever declared it was killed before anybody heard of it."""
    monkeypatch.setattr("opsconsole.ui.incident.LOOKED_EVERY", 0.1)
    settings = '[notify]\ncommand = ["sh", "-c", "echo $OPSCONSOLE_EVENT >> told"]\n'
    (tmp_path / "opsconsole.toml").write_text(settings)
    declared = records.declare(tmp_path, "bookings fail", Priority.P2, "mina").declared_at
    assert declared is not None
    app = ConsoleApp(feed(), clock=lambda: declared + timedelta(minutes=1), site=Site(directory=tmp_path))
    async with app.run_test(size=(120, 24)):
        await shows(app, "Nobody had heard that i1 is open. Told by command.")
        await until(lambda: records.read(tmp_path, "i1").entries[-1].text == "told by command")
    assert (tmp_path / "told").read_text() == "incident-declared\n" and app.faults == []


async def test_earlier_incidents_are_listed_while_none_is_open_and_their_reports_can_be_read(tmp_path: Path) -> None:
    for title in ("the disk was full", "bookings failed"):
        one = records.declare(tmp_path, title, Priority.P2, "mina")
        records.close(tmp_path, one.name, "mina", "made room")
    app = ConsoleApp(feed(), clock=lambda: NOW, site=Site(directory=tmp_path), read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.operating.looked)
        await pilot.press("exclamation_mark")
        await shows(app, "2 of them; p reads their reports", "bookings failed: made room", "the disk was full")
        await pilot.press("p")
        await shows(app, "Earlier incidents, newest first")
        await pilot.press("j", "enter")
        await shows(app, "# Incident i1: the disk was full", "Resolution: made room")
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, IncidentScreen))
    assert app.faults == []


async def test_read_only_looks_and_offers_no_key_that_writes(tmp_path: Path) -> None:
    app = ConsoleApp(feed(DOWN), clock=lambda: NOW, site=Site(directory=tmp_path), read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.operating.looked)
        await pilot.press("exclamation_mark")
        await shows(app, "1 Restart backend")
        await pilot.press("D")
        await pilot.pause()
        assert isinstance(app.screen, IncidentScreen) and "declare" not in text_of(app).splitlines()[-1]
    assert not (tmp_path / ".opsconsole" / "incidents").exists()


async def test_every_pane_says_that_an_incident_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsconsole.ui.incident.LOOKED_EVERY", 0.1)
    app = ConsoleApp(feed(), clock=lambda: NOW, site=Site(directory=tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.operating.looked)
        assert "INCIDENT" not in text_of(app)
        records.declare(tmp_path, "the disk is full of " + 9 * "very large files ", Priority.P1, "sam")
        await shows(app, "INCIDENT i1 P1", "! shows it")
        await pilot.press("h")
        await shows(app, "INCIDENT i1 P1", "No operation yet")
        records.close(tmp_path, "i1", "sam", "made room")
        await until(lambda: "INCIDENT" not in text_of(app))


async def test_a_quiet_stack_says_so_and_what_comes_offers_its_keys_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsconsole.ui.screens.incident.LOOKED_EVERY", 3600)
    sees = feed()
    app = ConsoleApp(sees, clock=lambda: NOW, site=Site(directory=tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.operating.looked)
        await pilot.press("exclamation_mark")
        await shows(app, "Nothing is red, and no data is known to be missing.", "a system that is well is left alone")
        assert not any(isinstance(one, PlanScreen) for one in app.screen_stack)
        assert "1-9 plan" not in text_of(app)
        old = msgspec.structs.replace(DOWN, rule="backup-age", subject="backups", message="the newest good one is old")
        sees.publish(msgspec.structs.replace(sees.snapshot, alerts=(old,)))
        await shows(app, "Nothing is red", "1 alert of a kind that makes no incident: o shows it")
        sees.publish(msgspec.structs.replace(sees.snapshot, alerts=(DOWN,)))
        await shows(app, "1 Restart backend", "1-9 plan", "l logs")


# --- what is painted -------------------------------------------------------------------------------


def hostile_incident() -> Incident:
    text = " ".join(HOSTILE)
    return course("i1", [
        Entry(n=0, at=NOW, event="declare", priority=Priority.P1, text=text, who=text),
        Entry(n=1, at=NOW, event="tick", item="status", who=text),
        Entry(n=2, at=NOW, event="note", text=text, who=text),
    ])  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_the_screen_and_nothing_of_it_acts(size: tuple[int, int], glyphs: Any) -> None:
    alerts = tuple(
        msgspec.structs.replace(DOWN, subject=text, message=text, rule=rule)
        for text, rule in zip(
            HOSTILE, ("crash-loop", "disk", "cpu", "endpoint-down", "database-down") * 9, strict=False
        )
    )
    snapshot = msgspec.structs.replace(sample.troubled(), alerts=alerts)
    evidence = gather(snapshot, Known(problems=HOSTILE), NOW)
    lines = incident_lines.lines(evidence, recommend(evidence), hostile_incident(), size[0], glyphs)
    for line in lines:
        assert line.cell_length <= size[0], line.plain
        assert "\x1b" not in line.plain and "\n" not in line.plain
    assert not glyphs.ascii or all(sign not in line.plain for line in lines for sign in (UNICODE.good, UNICODE.arrow))


def test_what_is_left_out_of_a_long_text_is_marked() -> None:
    long = msgspec.structs.replace(DOWN, message=f"backend is unhealthy: {'x' * 300}")
    evidence = gather(msgspec.structs.replace(sample.well(), alerts=(long,)), Known(), NOW)
    for width in (40, 80, 120):
        lines = [line.plain for line in incident_lines.lines(evidence, (), None, width, UNICODE)]
        above = lines[: next(at for at, line in enumerate(lines) if line.startswith("Where to look"))]
        assert sum(line.endswith("…") for line in above) == 2  # among what is red, and among what changed


def test_what_happened_a_moment_ago_stands_under_the_rest() -> None:
    just_now = msgspec.structs.replace(DOWN, since=NOW - timedelta(seconds=0.779))
    evidence = gather(msgspec.structs.replace(sample.well(), alerts=(just_now,)), Known(), NOW)
    lines = [line.plain for line in incident_lines.lines(evidence, (), None, 80, UNICODE)]
    assert any("   0 s alert   backend is unhealthy" in line for line in lines), lines


@pytest.mark.parametrize("seconds", [0, 60 * 31])
def test_the_heading_says_when_it_is_time_to_escalate(seconds: int) -> None:
    one = course("i3", [Entry(n=0, at=NOW, event="declare", priority=Priority.P2, text="x", who="mina")])
    said = incident_lines.heading(one, NOW + timedelta(seconds=seconds)).plain
    assert ("E makes it a P1" in said) == bool(seconds) and len(said) <= 78
