"""What is shown of the schedule, and the commands around it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.config import Config
from opsconsole.config.sections import ScheduleSection
from opsconsole.model import to_json
from opsconsole.schedule import commands, records
from opsconsole.schedule.due import Kind, Outcome, Run
from opsconsole.schedule.state import ScheduleState, state

NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    # A name that no schedule of this machine has.
    (tmp_path / "compose.yaml").write_text("name: shop-under-test\nservices:\n  web:\n    image: busybox\n")
    return tmp_path


def run(kind: Kind, hour: int, outcome: Outcome = Outcome.DONE, problem: str = "") -> Run:
    began = NOW.replace(hour=hour)
    return Run(kind=kind, slot="2026-01-18 02:00", began=began, ended=began, outcome=outcome, problem=problem)


def opsconsole(stack: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-P", "-m", "opsconsole", *words, "--stack", str(stack)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def test_it_tells_what_was_done_last_and_what_comes_next(stack: Path) -> None:
    runs = (run(Kind.BACKUP, 2), run(Kind.VERIFY, 3, Outcome.FAILED, "thynk.users has 3 documents less"))
    records.write(stack, records.Records(runs=runs, ticked=NOW))
    records.write_alarm(stack, records.Alarm(newest="20260118_020000", taken_at=NOW.replace(hour=2)))
    found = state(stack, Config(), NOW, zone=UTC)
    assert found.installed == ()
    assert [(one.kind, one.slot) for one in found.coming] == [
        (Kind.PRUNE, "2026-01-18 02:00"), (Kind.BACKUP, "2026-01-19 02:00"), (Kind.VERIFY, "2026-01-25 02:00"),
    ]  # fmt: skip
    assert [one.kind for one in found.last] == [Kind.BACKUP, Kind.VERIFY]
    assert found.problems == ("verify: thynk.users has 3 documents less",)
    assert (found.newest_good, found.too_old) == ("20260118_020000", False)
    assert msgspec.json.decode(to_json(found), type=ScheduleState) == found


def test_a_clock_that_went_back_and_records_that_are_broken_are_told(stack: Path) -> None:
    records.write(stack, records.Records(runs=(run(Kind.BACKUP, 13),)))
    assert state(stack, Config(), NOW, zone=UTC).problems == (
        "the clock went back: a run is dated 60 minutes later than now",
    )
    (stack / ".opsconsole" / "schedule.json").write_text("[]")
    (problem,) = state(stack, Config(), NOW, zone=UTC).problems
    assert "schedule.json cannot be read" in problem


def test_looking_changes_nothing(stack: Path) -> None:
    state(stack, Config(), NOW)
    assert [path.name for path in stack.iterdir()] == ["compose.yaml"]


def test_incremental_backups_are_announced_where_there_will_be_some(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(commands.COMMANDS, Kind.INCREMENTAL, ("backup", "create", "--incremental"))
    records.write(stack, records.Records(runs=(run(Kind.BACKUP, 2), run(Kind.PRUNE, 2), run(Kind.VERIFY, 2))))
    assert Kind.INCREMENTAL not in [one.kind for one in state(stack, Config(), NOW, zone=UTC).coming]
    records.write_alarm(stack, records.Alarm(incremental=True))
    found = state(stack, Config(schedule=ScheduleSection(incremental_hours=4)), NOW, zone=UTC)
    assert (found.coming[0].kind, found.coming[0].slot) == (Kind.INCREMENTAL, "2026-01-18 02:00 +8h")


def test_show_says_it_in_lines_and_as_json(stack: Path) -> None:
    code, said, _ = opsconsole(stack, "schedule", "show")
    assert code == 0
    assert "schedule of the stack shop-under-test: not installed" in said
    assert "who is told         nobody: see [notify] in opsconsole.toml" in said
    records.write(stack, records.Records(runs=(run(Kind.BACKUP, 2, Outcome.FAILED, "no \x1b[2J space"),)))
    code, said, _ = opsconsole(stack, "schedule", "show")
    assert code == 1
    assert "problem: backup: no ␛[2J space" in said
    code, said, _ = opsconsole(stack, "schedule", "show", "--json")
    assert (code, json.loads(said)["last"][0]["outcome"]) == (1, "failed")


def test_run_with_plan_says_what_is_due_and_does_nothing(stack: Path) -> None:
    code, said, _ = opsconsole(stack, "schedule", "run", "--plan")
    assert code == 0
    assert "backup create --class scheduled --yes --stack" in said
    assert not (stack / ".opsconsole").exists()


def test_who_may_only_look_runs_nothing_that_is_due(stack: Path) -> None:
    assert opsconsole(stack, "--read-only", "schedule", "run")[::2] == (
        2, "opsconsole: --read-only refuses every scheduled backup\n",
    )  # fmt: skip
    assert not (stack / ".opsconsole" / "operations").exists()
    assert opsconsole(stack, "--read-only", "schedule", "run", "--plan")[0] == 0


def test_a_test_message_reaches_whom_the_settings_name(stack: Path) -> None:
    assert opsconsole(stack, "schedule", "test-notify")[0] == 2
    (stack / "tell.sh").write_text('#!/bin/sh\necho "$OPSCONSOLE_EVENT $OPSCONSOLE_STACK" > told\n')
    (stack / "tell.sh").chmod(0o755)
    (stack / "opsconsole.toml").write_text('[notify]\ncommand = ["./tell.sh"]\n')
    assert opsconsole(stack, "schedule", "test-notify")[:2] == (0, "told: command\n")
    assert (stack / "told").read_text() == "test shop-under-test\n"
    (stack / "opsconsole.toml").write_text('[notify]\ncommand = ["./tell.sh"]\nwebhook = "http://127.0.0.1:1/KEY"\n')
    code, _, said = opsconsole(stack, "schedule", "test-notify")
    assert code == 1 and "refuses connections" in said and "KEY" not in said


def test_an_idle_tick_is_cheap(stack: Path) -> None:
    """Every ten minutes, on a small server: nothing heavy is imported when nothing is due."""
    moment = datetime.now(UTC)
    runs = tuple(
        Run(kind=kind, slot=f"{day:%Y-%m-%d} 02:00", began=moment, ended=moment, outcome=Outcome.DONE)
        for kind in (Kind.BACKUP, Kind.VERIFY, Kind.PRUNE)
        for day in (moment - timedelta(days=1), moment)
    )
    records.write(stack, records.Records(runs=runs, ticked=moment))
    records.write_alarm(stack, records.Alarm(looked=moment))
    text = (
        "import sys\nfrom opsconsole.cli import main\n"
        f"code = main(['schedule', 'run', '--stack', {str(stack)!r}])\n"
        "print(code, *{name.split('.')[0] for name in sys.modules})\n"
        "print(*(name for name in sys.modules if name.startswith('opsconsole.')))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.splitlines()
    code, *loaded = first.split()
    assert code == "0"
    assert not set(loaded) & {"pymongo", "bson", "redis", "docker", "httpx", "apprise", "textual", "yaml", "psutil"}
    assert "opsconsole.stack.discover" not in second.split()
