"""The attention screen: everything in whole sentences, and what an operator decides about an alert there."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from opsconsole.commands.status import as_text, exit_code
from opsconsole.demo import demo_sources
from opsconsole.model import Acknowledgement, Alert, AlertState, Severity, Silence
from opsconsole.monitor import Monitor
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes.attention import concerns
from opsconsole.ui.panes.overview_frame import Frame
from opsconsole.ui.panes.overview_lines import attention
from opsconsole.ui.screens.attention import AttentionScreen
from opsconsole.ui.widgets.header import alert_words
from opsconsole.ui.wording import UNICODE
from tests import ui_sample as sample
from tests.ui_sample import NOW, ago, painted

SEEN = Acknowledgement(who="mina", at=ago(minutes=3), note="restarting it")
SILENT = Silence(rule="cpu", subject="*", until=NOW + timedelta(hours=2), who="jonas", at=NOW, note="load test")


def firing(rule: str, **more: object) -> Alert:
    values = {"severity": Severity.CRITICAL, "state": AlertState.FIRING, "since": NOW, "message": f"{rule} said"}
    return Alert(rule=rule, subject="host", **{**values, **more})  # type: ignore[arg-type]


def test_what_is_seen_to_and_what_is_silent_stand_behind_what_is_not() -> None:
    snapshot = sample.well(
        alerts=(firing("disk", acknowledged=SEEN), firing("cpu", silenced=SILENT), firing("memory"), firing("inodes"))
    )
    assert [concern.word for concern in concerns(snapshot)] == ["critical", "critical", "acknowledged", "silenced"]
    lines = [line.plain for line in attention(Frame(snapshot, 120, UNICODE), 9)]
    assert lines[0].startswith("✗ 2 things need attention, 1 acknowledged, 1 silenced ─")
    assert "mina sees to it since" in lines[3] and "restarting it" in lines[3]
    assert "silenced until" in lines[4] and "by jonas: load test" in lines[4]
    assert alert_words(snapshot)[0] == "2 critical"


def test_when_all_is_seen_to_or_silent_nothing_new_is() -> None:
    snapshot = sample.well(alerts=(firing("disk", acknowledged=SEEN), firing("cpu", silenced=SILENT)))
    line = attention(Frame(snapshot, 120, UNICODE), 9)[0].plain
    assert line.startswith("✓ Nothing new needs attention, 1 acknowledged, 1 silenced")
    assert exit_code(snapshot) == 1, "what is acknowledged still fires"
    assert "(mina sees to it: restarting it)" in as_text(snapshot) and "silenced     cpu said" in as_text(snapshot)
    assert exit_code(sample.well(alerts=(firing("cpu", silenced=SILENT),))) == 0


async def shown(app: ConsoleApp, *texts: str) -> str:
    """The screen, once it shows all of this."""
    for _ in range(400):
        page = "\n".join(painted(app))
        if all(text in page for text in texts):
            return page
        await asyncio.sleep(0.02)
    raise AssertionError(f"{texts} are not shown:\n{page}")


def _unhealthy(app: ConsoleApp) -> list[Alert]:
    return [one for one in app.snapshot.alerts if one.rule == "container-unhealthy"] if app.snapshot else []


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_an_alert_is_acknowledged_taken_back_and_silenced(size: tuple[int, int]) -> None:
    app = ConsoleApp(Monitor(demo_sources(clock=lambda: NOW), clock=lambda: NOW), clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        await shown(app, "things need attention")
        await pilot.press("enter")
        await shown(app, "container-unhealthy")
        screen = app.screen
        assert isinstance(screen, AttentionScreen)
        await pilot.press("a")
        await shown(app, "I see to it")
        await pilot.press(*"index", "enter")
        await shown(app, "is acknowledged.")
        for _ in range(400):
            if any(one.acknowledged for one in _unhealthy(app)):  # the next look brings it
                break
            await asyncio.sleep(0.02)
        await pilot.pause()
        found = {alert.rule: alert for alert in app.monitor.alerts.judge(app.snapshot, NOW)}  # type: ignore[union-attr,arg-type]
        seen = found["container-unhealthy"].acknowledged
        assert seen is not None and seen.note == "index" and seen.who
        await pilot.press("a")  # the cursor went with it
        await shown(app, "Nobody sees to search any more?")
        await pilot.press("tab", "enter")
        await shown(app, "Nobody sees to container-unhealthy of search now.")
        await pilot.press("S")
        await shown(app, "only search, until")
        await pilot.press("j", "enter")
        await shown(app, "Enter silences it")
        await pilot.press("enter")
        await shown(app, "is silent until")
        found = {alert.rule: alert for alert in app.monitor.alerts.judge(app.snapshot, NOW)}  # type: ignore[union-attr,arg-type]
        silenced = found["container-unhealthy"].silenced
        assert silenced is not None and silenced.until == NOW + timedelta(hours=1)
        await pilot.press("S", "enter")
        await shown(app, "The silence of container-unhealthy is over.")
        await pilot.press("escape")
        await shown(app, "things need attention")


async def test_a_read_only_console_decides_nothing() -> None:
    app = ConsoleApp(Monitor(demo_sources(clock=lambda: NOW), clock=lambda: NOW), read_only=True, clock=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, "things need attention")
        await pilot.press("enter", "a")
        await shown(app, "Refused: this console is read-only")
        assert isinstance(app.screen, AttentionScreen)


async def test_the_cursor_goes_through_all_of_it_and_what_is_no_alert_says_so() -> None:
    app = ConsoleApp(sample.Feed(sample.troubled()), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        count = len(concerns(sample.troubled()))
        await pilot.press(*["j"] * (count + 3))
        last = concerns(sample.troubled())[-1]
        page = painted(app)
        marked = [line for line in page if line.startswith(" │")]
        assert any(last.subject in line for line in marked), page
        await pilot.press(*["k"] * (count + 3))
        plain = next(place for place, one in enumerate(concerns(sample.troubled())) if one.alert is None)
        await pilot.press(*["j"] * plain, "a")
        await shown(app, "This is no alert")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_alerts_did_is_read_newest_first(size: tuple[int, int]) -> None:
    app = ConsoleApp(Monitor(demo_sources(clock=lambda: NOW), clock=lambda: NOW), clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        await shown(app, "things need attention")
        await pilot.press("enter", "h")
        page = await shown(app, "What alerts did   9 changes in seven days")
        order = (
            "acknowledged",
            "by mina from 10.0.0.7",
            "firing",
            "silenced",
            "by jonas until",
            "resolved",
            "not told",
        )
        places = [page.index(word) for word in order]
        assert places == sorted(places), page
        assert "by webhook: the address answered 503" in page
        await pilot.press("escape")
        await shown(app, "h what was")


async def test_a_console_that_keeps_nothing_says_so() -> None:
    app = ConsoleApp(sample.Feed(sample.troubled()), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "h")
        await shown(app, "Nothing is kept yet")
