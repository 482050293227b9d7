"""The job as cron runs it, on a stack with real databases: it makes the backup, and says so when it cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from opsconsole.schedule import records
from opsconsole.schedule.due import Kind, Outcome
from opsconsole.stack import envfile
from tests.backup_stack import CANARY, BackupStack, backup_stack
from tests.parts.engine import Engine

NOTIFY = """
[schedule]
verify_days = 0
[notify]
command = ["./tell.sh"]
on = "always"
"""
TELL = """#!/bin/sh
echo "$OPSCONSOLE_EVENT|$OPSCONSOLE_KIND|$OPSCONSOLE_BACKUP|$OPSCONSOLE_PROBLEM" >> told
echo "$OPSCONSOLE_HINT" >> hints
"""


@pytest.fixture
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    with backup_stack(tmp_path_factory.mktemp("schedule"), settings=NOTIFY) as made:
        (made.directory / "tell.sh").write_text(TELL)
        (made.directory / "tell.sh").chmod(0o755)
        yield made


def tick(stack: BackupStack) -> tuple[int, str]:
    words = [sys.executable, "-P", "-m", "opsconsole", "schedule", "run", "--stack", str(stack.directory)]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=170)
    return done.returncode, done.stdout + done.stderr


def test_the_job_makes_a_backup_once_and_the_catalogue_knows_it(stack: BackupStack) -> None:
    assert tick(stack) == (0, "")
    (made,) = stack.listed()
    assert (made.state.value, made.backup_class.value) == ("good", "scheduled")
    told = (stack.directory / "told").read_text().splitlines()
    assert told == [f"done|backup|{made.id}|", "done|prune||"]
    assert tick(stack) == (0, "")
    assert len(stack.listed()) == 1
    alarm = records.read_alarm(stack.directory)
    assert (alarm.newest, alarm.too_old) == (made.id, False)
    log = (stack.directory / ".opsconsole" / "schedule.log").read_text()
    assert made.id in log
    assert not [secret for secret in (CANARY, *passwords(stack)) if secret in log]


def test_a_database_that_is_down_is_told(stack: BackupStack) -> None:
    stack.mongod.stop(kill=True)
    code, said = tick(stack)
    assert code == 1
    assert "something scheduled failed" in said
    failed, too_old = (stack.directory / "told").read_text().splitlines()
    assert failed.startswith("failed|backup||") and len(failed) > len("failed|backup||") + 10
    assert too_old.startswith("backup-too-old|")
    assert CANARY not in failed
    # What went wrong, and what to do about it: not only the last line that was printed.
    assert "the mongo part host could not be saved: MongoDB at" in failed and "refuses connections" in failed
    assert (stack.directory / "hints").read_text().startswith("start it")
    last = records.read(stack.directory).last(Kind.BACKUP)
    assert last is not None and last.outcome in (Outcome.FAILED, Outcome.REFUSED)


def passwords(stack: BackupStack) -> list[str]:
    values = envfile.read(stack.directory / ".env").values
    return [value for name, value in values.items() if name.endswith(("_URI", "_URL")) and "@" in value]
