"""Each pane as it is painted at three sizes, held against `tests/snapshots/`.

After a wanted change: `UPDATE_SNAPSHOTS=1 .venv/bin/python -m pytest tests/test_snapshots.py`, then read the diff.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opsconsole.ui.app import ConsoleApp
from tests.operation_samples import DEPLOY, LOSING
from tests.screenshots import Picture, painted

FOLDER = Path(__file__).with_name("snapshots")
PATIENCE_SECONDS = 60.0
"""For the last layout to arrive on a machine that is busy with something else."""

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}
KEYS = {
    "overview": "o",
    "containers": "c",
    "volumes": "v",
    "logs": "l",
    "metrics": "m",
    "databases": "D",
    "backups": "b",
    "deploy": "d",
    "history": "h",
    "health": "H",
}


def lines_of(app: ConsoleApp) -> str:
    """What stands on the screen, without trailing blanks and without the scrollbar at the edge.

    Its thumb moves by an eighth of a cell with the order in which a log's lines and the layout arrive.
    """
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip(" ▁▂▃▄▅▆▇█") for strip in strips) + "\n"


@pytest.fixture(autouse=True)
def fixed_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    for variable in ("NO_COLOR", "SSH_CONNECTION", "TMUX"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pane", KEYS)
async def test_pane(pane: str, size: str) -> None:
    await compare(Picture(pane, [KEYS[pane]], size=SIZES[size]), size)


OPERATIONS = (
    Picture("attention", ["enter"]),
    Picture("plan", operations="past", plan=DEPLOY),
    Picture("plan-loss", operations="past", plan=LOSING),
    Picture("plan-typed", ["enter"], operations="past", plan=LOSING),
    Picture("operation", ["W"], operations="running"),
    Picture("operation-failed", ["h", "j", "enter"], operations="past"),
    Picture("operation-line", ["b"], operations="running"),
    Picture("half-done", operations="half done"),
    Picture("emergency-stop", ["X"], operations="past"),
    Picture("past", ["h"], operations="past"),
)


@pytest.mark.parametrize("size", SIZES)
async def test_incident(size: str) -> None:
    await compare(Picture("incident", ["exclamation_mark"], drill="crash-loop-after-deploy", size=SIZES[size]), size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("picture", OPERATIONS, ids=lambda picture: picture.name)
async def test_operation(picture: Picture, size: str) -> None:
    await compare(replace(picture, size=SIZES[size]), size)


@pytest.mark.parametrize("size", SIZES)
async def test_metrics_of_a_day(size: str) -> None:
    await compare(Picture("metrics-day", ["m", "6"], size=SIZES[size]), size)


STANDING = (
    Picture("maintenance", ["d", "t"]),
    Picture("persistence", ["v", "p"]),
    Picture("restore-second", ["b", "t", "left", "minus"], operations="past"),
)


@pytest.mark.parametrize("size", ("80x24", "120x40"))
@pytest.mark.parametrize("picture", STANDING, ids=lambda picture: picture.name)
async def test_standing(picture: Picture, size: str) -> None:
    await compare(replace(picture, size=SIZES[size]), size)


async def compare(picture: Picture, size: str) -> None:
    """Hold what is painted against what is stored."""
    stored = FOLDER / f"{picture.name}-{size}.txt"
    async with painted(picture) as app:
        shown = lines_of(app)
        if os.environ.get("UPDATE_SNAPSHOTS"):
            FOLDER.mkdir(exist_ok=True)
            stored.write_text(shown)
        end = time.monotonic() + PATIENCE_SECONDS
        while shown != stored.read_text() and time.monotonic() < end:
            await asyncio.sleep(0.1)
            shown = lines_of(app)
    assert shown == stored.read_text(), f"{stored.name} differs from what is painted"
