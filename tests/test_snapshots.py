"""Each pane as it is painted at three sizes, held against `tests/snapshots/`.

After a wanted change: `UPDATE_SNAPSHOTS=1 .venv/bin/python -m pytest tests/test_snapshots.py`, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opsconsole.ui.app import ConsoleApp
from tests.screenshots import Picture, painted

FOLDER = Path(__file__).with_name("snapshots")
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
    async with painted(Picture(pane, [KEYS[pane]], size=SIZES[size])) as app:
        shown = lines_of(app)
    stored = FOLDER / f"{pane}-{size}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        stored.write_text(shown)
    assert shown == stored.read_text(), f"{stored.name} differs from what is painted now"
