"""The pane of volumes: worst first, sizes with their age, one sentence that says why."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from opsconsole.model import Safety, Volume, VolumeKind
from opsconsole.operations.site import Site
from opsconsole.persistence import kept
from opsconsole.persistence.verdict import Check, Verdict
from opsconsole.ui.panes.volumes import measured_said, size_said, summary, worst_first
from opsconsole.ui.widgets.scrolled import Detail
from opsconsole.ui.wording import UNICODE
from tests import pane_samples
from tests.pane_samples import MB, NOW, ago, console, painted

DATA = Volume(key="volume:data", kind=VolumeKind.NAMED, name="data")


def test_the_worst_stands_first_and_databases_before_files() -> None:
    names = [(volume.safety, volume.name) for volume in worst_first(pane_samples.well().volumes)]
    assert [safety for safety, _ in names[:3]] == [Safety.AT_RISK, Safety.NOT_IN_BACKUP, Safety.ORPHANED]
    assert names[3] == (Safety.PERSISTENT, "thynk_mongo")


@pytest.mark.parametrize(
    ("volume", "measured", "said"),
    [
        (msgspec.structs.replace(DATA, size_bytes=1200 * MB, size_at=ago(minutes=4)), True, "1.2 GiB 4 m ago"),
        (msgspec.structs.replace(DATA, size_bytes=0, size_at=NOW), True, "0 B just now"),
        (DATA, False, "measuring…"),
        (DATA, True, "not measured"),
        (msgspec.structs.replace(DATA, kind=VolumeKind.TMPFS), False, "in memory"),
    ],
)
def test_a_size_says_its_age_or_why_there_is_none(volume: Volume, measured: bool, said: str) -> None:
    shown = f"{size_said(volume, UNICODE, measured=measured)} {measured_said(volume, NOW)}"
    assert shown.strip() == said


def test_the_summary_counts_every_safety_and_admits_unmeasured_volumes() -> None:
    (line,) = summary(pane_samples.well().volumes, 120, UNICODE)
    assert line.plain == (
        "✗ 1 at risk   ▲ 1 not in any backup   ○ 1 orphaned   ✓ 3 persistent   at least 6.5 GiB together"
    )


async def test_rows_name_safety_size_and_users_and_the_reason_stands_below() -> None:
    async with console(pane_samples.well(), pane="volumes", size=(120, 40)) as (app, pilot):
        lines = painted(app)
        row = next(line for line in lines if "./backend/uploads" in line)
        assert "▲ not in any backup" in row and "1.2 GiB" in row and "4 m ago" in row and "bind mount" in row
        below = "\n".join(lines)
        assert "At risk: An anonymous volume holds Redis' data" in below
        assert "redis → /data (read and write, not running)" in below
        await pilot.press("down")
        await pilot.pause()
        below = "\n".join(painted(app))
        assert "No backup that was found has a part for these files." in below
        assert "api → /app/uploads" in below and "nginx → /usr/share/nginx/uploads" in below


async def test_enter_gives_the_whole_pane_to_the_selected_volume_and_esc_gives_it_back() -> None:
    snapshot = pane_samples.well()
    uses = tuple(msgspec.structs.replace(snapshot.volumes[0].used_by[0], destination=f"/data/{n}") for n in range(60))
    worst = msgspec.structs.replace(snapshot.volumes[1], used_by=uses)
    snapshot = msgspec.structs.replace(snapshot, volumes=(worst,))
    async with console(snapshot, pane="volumes", size=(80, 24)) as (app, pilot):
        assert not any("/data/59" in line for line in painted(app))
        await pilot.press("enter")
        await pilot.pause()
        assert not any("Used by" in line for line in painted(app))
        await pilot.press("G")
        await pilot.pause()
        assert any("/data/59" in line for line in painted(app))
        await pilot.press("escape")
        await pilot.pause()
        assert any("Used by" in line for line in painted(app))
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert not app.query_one(Detail).is_open
        assert any("Used by" in line for line in painted(app))


async def test_the_open_volume_that_vanishes_gives_the_rows_back() -> None:
    snapshot = pane_samples.well()
    async with console(snapshot, pane="volumes") as (app, pilot):
        await pilot.press("enter")
        app.publish(msgspec.structs.replace(snapshot, volumes=()))
        await pilot.pause(0.2)
        assert not app.query_one(Detail).is_open
        assert any("nothing it writes outlives its containers" in line for line in painted(app))


async def test_the_filter_finds_volumes_by_the_service_that_uses_them() -> None:
    async with console(pane_samples.well(), pane="volumes") as (app, pilot):
        await pilot.press("slash", *"mongodb")
        await pilot.pause()
        text = "\n".join(painted(app))
        assert "thynk_mongo" in text and "./backend/uploads" not in text


async def test_the_last_proof_of_persistence_stands_above_and_p_opens_it(tmp_path: Path) -> None:
    gap = Check(name="time", subject="", title="how long a restore takes is known", points=5, said="none", get_it="do")
    kept.write(tmp_path, Verdict(stack="thynk", at=ago(days=3), checks=(gap, replace(gap, points=95, proven=True))))
    async with console(pane_samples.well(), pane="volumes", site=Site(directory=tmp_path)) as (app, pilot):
        said = "▲ persistence 95 %, 3 d ago; not proven: how long a restore takes is known"
        while not any(said in line for line in painted(app)):
            await pilot.pause(0.02)
        await pilot.press("p")
        await pilot.pause()
        text = "\n".join(painted(app))
        assert "✗ 0 of 5" in text and "→ do" in text and "✓ 95 of 95" in text


async def test_what_was_never_proven_says_the_command() -> None:
    async with console(pane_samples.well(), pane="volumes") as (app, _):
        assert any("persistence not verified yet: opsconsole verify-persistence" in line for line in painted(app))
