"""What a killed process left of a backup's data is removed by whoever comes by, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.sources.throwaway_places import private_directory

_LEAVES = """
import os, sys
from pathlib import Path
from opsconsole.sources.throwaway_places import private_directory
with private_directory(Path(sys.argv[1])) as place:
    (place / "redis.rdb").write_text("decrypted")
    os.kill(os.getpid(), 9)
"""


def test_the_next_list_removes_it_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a}}\n")
    backups, state = tmp_path / "backups", tmp_path / ".opsconsole"
    for place in (backups, state):
        place.mkdir()
        subprocess.run([sys.executable, "-c", _LEAVES, str(place)], check=False)
        assert list(place.rglob("redis.rdb"))
    with private_directory(backups) as used:
        assert main(["--read-only", "backup", "list", "--stack", str(tmp_path)]) == 0
        assert len(list(backups.iterdir())) == 2, "who may only look removes nothing"
        assert main(["backup", "list", "--stack", str(tmp_path)]) == 0
        said = capsys.readouterr().err
        assert list(backups.iterdir()) == [used], "what is in use stays"
    assert list(state.glob(".opsconsole-proof-*")) == []
    assert "removed, as a process that was killed had left it behind" in said and str(state) in said


def test_a_tick_of_the_schedule_removes_it(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a}}\n")
    (tmp_path / "opsconsole.toml").write_text("[schedule]\nbackup = []\n")
    (tmp_path / "backups").mkdir()
    subprocess.run([sys.executable, "-c", _LEAVES, str(tmp_path / "backups")], check=False)
    main(["schedule", "run", "--stack", str(tmp_path)])
    assert list((tmp_path / "backups").iterdir()) == []
    assert "left it behind" in (tmp_path / ".opsconsole" / "schedule.log").read_text()
