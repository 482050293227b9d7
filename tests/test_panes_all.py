"""Volumes, metrics, databases, backups and deploy as painted: at every size, with every kind of Snapshot."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len

from opsconsole.model import Snapshot
from opsconsole.ui.app import ConsoleApp
from tests import pane_samples
from tests.pane_samples import console, painted

PANES = ("volumes", "metrics", "databases", "backups", "deploy")
SIZES = ((60, 20), (80, 24), (120, 40), (200, 60))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("sample", ["first_second", "well", "away", "huge", "hostile"])
async def test_every_pane_paints_every_snapshot_at_every_size(sample: str, size: tuple[int, int]) -> None:
    snapshot: Snapshot = getattr(pane_samples, sample)()
    async with console(snapshot, size=size) as (app, pilot):
        for pane in PANES:
            await app.go(pane)
            await pilot.pause()
            lines = painted(app)
            assert app.faults == [], f"{pane}: {app.faults}"
            assert len(lines) == size[1]
            for line in lines:
                assert cell_len(line) == size[0], f"{pane}: {line!r}"
                assert not any(ord(sign) < 32 or sign in "\x7f\x9b\u202e" for sign in line), f"{pane}: {line!r}"


@pytest.mark.parametrize("pane", PANES)
async def test_text_from_outside_is_shown_as_text(pane: str) -> None:
    async with console(pane_samples.hostile(), pane=pane, size=(200, 60)) as (app, _):
        text = "\n".join(painted(app))
        assert "[/red][@click=app.exit]" in text
        assert "␛]52;c;aGk=" in text
        assert app.is_running


@pytest.mark.parametrize("pane", PANES)
@pytest.mark.parametrize("sample", ["first_second", "well", "away"])
async def test_the_ascii_mode_paints_ascii_only(pane: str, sample: str) -> None:
    async with console(getattr(pane_samples, sample)(), pane=pane, ascii_only=True, size=(100, 60)) as (app, _):
        for line in painted(app):
            assert line[:-2].isascii(), repr(line)  # the last columns are the scrollbar's


@pytest.mark.parametrize("pane", ["volumes", "metrics", "backups", "databases", "deploy"])
@pytest.mark.parametrize("width", [60, 120])
async def test_an_unreachable_source_is_named_with_its_reason_and_the_age_of_the_data(pane: str, width: int) -> None:
    async with console(pane_samples.away(), pane=pane, size=(width, 40)) as (app, _):
        top = " ".join("\n".join(painted(app)[2:7]).split())
        assert "No answer from" in top
        assert "permission denied on /var/run/docker.sock" in top
        assert "data 3 m old" in top and "next try in 20 s" in top


async def test_a_resize_lays_the_pane_out_anew() -> None:
    async with console(pane_samples.well(), pane="metrics", size=(200, 60)) as (app, pilot):
        assert any("CPU" in line and "Disk and network" in line and "HTTP" in line for line in painted(app))
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert any("CPU" in line and "HTTP" in line for line in painted(app))
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert not any("CPU" in line and "HTTP" in line for line in painted(app))
        assert app.faults == []


async def test_a_painter_that_fails_leaves_the_console_standing() -> None:
    async with console(pane_samples.well(), pane="metrics") as (app, pilot):
        app.publish(msgspec.structs.replace(pane_samples.well(), probes=(None,)))
        await pilot.pause(0.2)
        text = "\n".join(painted(app))
        assert "CPU" in text
        assert app.is_running and isinstance(app, ConsoleApp)
        assert len(app.faults) == 1
