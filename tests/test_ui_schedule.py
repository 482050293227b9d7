"""The schedule as the console shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsconsole.schedule.due import Due, Kind, Outcome, Run
from opsconsole.schedule.state import ScheduleState
from opsconsole.ui.screens.schedule import Known, ScheduleScreen, schedule_lines
from opsconsole.ui.wording import ASCII, UNICODE
from tests.restore_console import opened, shows, stack_directory
from tests.ui_sample import until

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return stack_directory(tmp_path)


def text(known: Known, width: int = 100) -> str:
    return "\n".join(line.plain for line in schedule_lines(known, NOW, width, UNICODE))


def test_what_is_installed_what_comes_and_what_was_done() -> None:
    state = ScheduleState(
        installed=("crontab",),
        coming=(Due(kind=Kind.BACKUP, slot="x", at=NOW + timedelta(hours=7)),),
        last=(
            Run(
                kind=Kind.BACKUP,
                slot="w",
                began=NOW - timedelta(hours=9),
                outcome=Outcome.DONE,
                backup="20260301_030000",
            ),
            Run(kind=Kind.VERIFY, slot="w", began=NOW, outcome=Outcome.FAILED, problem="no room"),
        ),
        ticked=NOW - timedelta(minutes=4),
        newest_good="20260301_030000",
        newest_good_at=NOW - timedelta(hours=9),
        problems=("verify: no room",),
    )
    said = text(Known(state=state, place="crontab of root", lines=("*/10 * * * * opsconsole",), copied="rsync nas:/b"))
    for one in ("verify: no room", "crontab of root", "*/10 * * * *", "last tick 4 m ago", "in 7 h", "20260301_030000",
                "rsync nas:/b", "nobody: see [notify]"):  # fmt: skip
        assert one in said, one
    assert all(line.cell_length <= 80 for line in schedule_lines(Known(state=state), NOW, 80, ASCII))


def test_none_is_installed() -> None:
    said = text(Known(state=ScheduleState(too_old=True)))
    assert "not installed: backups are made by hand only" in said and "schedule install" in said
    assert "newest good backup none, TOO OLD" in said and "nothing yet" in said


async def test_it_is_opened_from_the_backups(directory: Path) -> None:
    async with opened(directory) as (app, pilot):
        await pilot.press("S")
        await until(lambda: isinstance(app.screen, ScheduleScreen))
        await shows(app, "Schedule of backups", "Comes next", "who is told")
