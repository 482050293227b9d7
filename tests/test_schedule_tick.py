"""A tick does what is due once, keeps it, tells of failures, and gives way to another tick and another operation."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.backups import manifest
from opsconsole.config import Config
from opsconsole.config.sections import BackupsSection, NotifySection, ScheduleSection
from opsconsole.operations import lock, who
from opsconsole.operations.site import Site
from opsconsole.schedule import alarm, commands, records
from opsconsole.schedule.commands import Ended
from opsconsole.schedule.due import Kind, Outcome, Run
from opsconsole.schedule.tick import Around, tick
from tests import backup_samples
from tests.parts.machine import wait_until

NOW = datetime(2026, 1, 18, 2, 5, tzinfo=UTC)
COMPOSE = "name: shop\nservices:\n  web:\n    image: busybox\n"


class Nightly:
    """A stack with a schedule, whose commands are played; each one that runs is noted."""

    def __init__(self, directory: Path) -> None:
        (directory / "compose.yaml").write_text(COMPOSE)
        teller = directory / "tell.sh"
        teller.write_text('#!/bin/sh\necho "$OPSCONSOLE_EVENT|$OPSCONSOLE_TITLE|$OPSCONSOLE_PROBLEM" >> told\n')
        teller.chmod(0o755)
        self.site = Site(directory=directory)
        self.config = Config(schedule=ScheduleSection(verify_days=7), notify=NotifySection(command=("./tell.sh",)))
        self.now = NOW
        self.ran: list[str] = []
        self.ends: dict[Kind, Ended] = {}
        self.makes = True
        self.meanwhile: Callable[[], None] = lambda: None

    def run_one(self, kind: Kind, keep_open: int) -> Ended:
        self.ran.append(kind.value)
        self.meanwhile()
        if kind is Kind.BACKUP and self.makes:
            backup_samples.by_opsconsole(self.site.directory / "backups", f"{self.now:%Y%m%d_%H%M%S}")
        return self.ends.get(kind, Ended(code=0))

    def tick(self, minutes: int = 0) -> int:
        self.now += timedelta(minutes=minutes)
        self.ran.clear()
        return tick(self.site, self.config, Around(clock=lambda: self.now, zone=UTC, run_one=self.run_one))

    @property
    def runs(self) -> tuple[Run, ...]:
        return records.read(self.site.directory).runs

    @property
    def told(self) -> list[str]:
        path = self.site.directory / "told"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return (self.site.directory / ".opsconsole" / "schedule.log").read_text()


@pytest.fixture
def nightly(tmp_path: Path) -> Nightly:
    return Nightly(tmp_path)


def test_what_is_due_is_done_in_order_and_kept(nightly: Nightly) -> None:
    assert nightly.tick() == 0
    assert nightly.ran == ["backup", "verify", "prune"]
    backup = records.read(nightly.site.directory).last(Kind.BACKUP)
    assert backup is not None
    assert (backup.slot, backup.outcome, backup.backup) == ("2026-01-18 02:00", Outcome.DONE, "20260118_020500")
    assert nightly.tick(10) == 0
    assert not nightly.ran
    assert not nightly.told


def test_its_files_are_for_the_owner_alone(nightly: Nightly) -> None:
    nightly.tick()
    place = nightly.site.directory / ".opsconsole"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {path.name for path in place.iterdir()} >= {"schedule.json", "schedule.log", "schedule.lock"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}


def test_a_failure_is_told_with_its_last_line_and_tried_again_after_an_hour(nightly: Nightly) -> None:
    nightly.makes = False
    nightly.ends[Kind.BACKUP] = Ended(code=1, problem="mongodb://root:hunter2@db/ does not answer")
    assert nightly.tick() == 1
    assert nightly.ran == ["backup"]
    failed, too_old = nightly.told
    assert failed.startswith("failed|shop on ")
    assert failed.endswith("the scheduled backup failed|mongodb://root:********@db/ does not answer")
    assert too_old.startswith("backup-too-old|")
    assert "hunter2" not in nightly.log
    assert nightly.tick(10) == 0
    assert not nightly.ran
    nightly.ends.clear()
    nightly.makes = True
    assert nightly.tick(55) == 0
    assert nightly.ran == ["backup", "verify", "prune"]
    assert nightly.told[2].startswith("backup-good-again|")
    assert len(nightly.told) == 3


def test_a_backup_that_was_made_is_not_made_again_because_its_copy_failed(nightly: Nightly) -> None:
    nightly.ends[Kind.BACKUP] = Ended(code=1, problem="the copy failed")
    assert nightly.tick() == 1
    assert nightly.ran == ["backup", "verify", "prune"]
    (told,) = nightly.told
    assert told.endswith("the scheduled backup was made, and something is wrong|the copy failed")
    nightly.tick(90)
    assert not nightly.ran


def test_what_is_refused_is_tried_at_every_tick_and_told_once(nightly: Nightly) -> None:
    nightly.makes = False
    nightly.ends[Kind.BACKUP] = Ended(code=2, problem="the engine does not answer")
    assert [nightly.tick(10) for _ in range(4)] == [1, 0, 0, 0]
    assert nightly.ran == ["backup"]
    assert [one for one in nightly.told if one.startswith("failed")] == [nightly.told[0]]
    assert len(nightly.runs) == 1
    nightly.ends.clear()
    nightly.makes = True
    nightly.tick(10)
    assert nightly.ran == ["backup", "verify", "prune"]


def test_success_is_told_to_those_who_want_to_hear_of_it(nightly: Nightly) -> None:
    notify = msgspec.structs.replace(nightly.config.notify, on="always")
    nightly.config = msgspec.structs.replace(nightly.config, notify=notify)
    nightly.tick()
    assert [line.partition("|")[0] for line in nightly.told] == ["done"] * 3


def test_while_another_operation_has_the_stack_it_waits_and_tells_nobody(nightly: Nightly) -> None:
    nightly.tick()
    nightly.now += timedelta(days=1)
    holder = lock.new_holder(who.Who(login="mina"), "deploy of the stack shop", "x")
    with lock.Lock(nightly.site.directory, holder):
        assert nightly.tick() == 0
        assert not nightly.ran
    assert "waits: deploy of the stack shop by mina runs since" in nightly.log
    assert not [line for line in nightly.told if line.startswith("failed")]
    nightly.tick(10)
    assert nightly.ran == ["backup", "prune"]


def test_an_operation_that_was_quicker_costs_no_attempt(nightly: Nightly) -> None:
    nightly.makes = False
    nightly.ends[Kind.BACKUP] = Ended(code=2, problem="deploy of the stack shop runs")
    quicker = lock.Lock(nightly.site.directory, lock.new_holder(who.Who(login="mina"), "deploy", "x"))
    nightly.meanwhile = lambda: quicker.__enter__() and None
    nightly.tick()
    quicker.__exit__(None, None, None)
    assert nightly.ran == ["backup"]
    assert not nightly.runs
    assert not [line for line in nightly.told if line.startswith("failed")]


def test_the_age_of_the_newest_good_backup_is_told_once_per_change(nightly: Nightly) -> None:
    nightly.config = msgspec.structs.replace(nightly.config, schedule=ScheduleSection(backup="", verify_days=0))
    backup_samples.by_opsconsole(nightly.site.directory / "backups", "20260117_020000")
    nightly.tick()
    assert not nightly.told
    for _ in range(20):
        nightly.tick(20)
    (told,) = nightly.told
    assert told.startswith("backup-too-old|")
    assert "20260117_020000 is 2" in told and "the limit is 26 hours" in told
    backup_samples.by_opsconsole(nightly.site.directory / "backups", f"{nightly.now:%Y%m%d_%H%M%S}")
    nightly.tick(61)
    nightly.tick(61)
    assert [line.partition("|")[0] for line in nightly.told] == ["backup-too-old", "backup-good-again"]


def test_who_could_not_be_told_of_the_age_is_told_at_the_next_look(nightly: Nightly) -> None:
    nightly.config = msgspec.structs.replace(nightly.config, schedule=ScheduleSection(backup="", verify_days=0))
    teller = nightly.site.directory / "tell.sh"
    teller.chmod(0o644)
    nightly.tick()
    assert "could not tell: the program of [notify] cannot be run" in nightly.log
    teller.chmod(0o755)
    nightly.tick(61)
    nightly.tick(61)
    assert [line.partition("|")[0] for line in nightly.told] == ["backup-too-old"]


def test_backups_of_another_tool_count_and_half_ones_do_not(nightly: Nightly) -> None:
    backups = nightly.site.directory / "backups"
    config = Config(backups=BackupsSection(max_age_hours=26))
    backup_samples.by_opsconsole(backups, "20260118_010000", finished=False)
    assert alarm.look(nightly.site, config, NOW).too_old
    backup_samples.by_smokava(backups, "20260117_120000")
    found = alarm.look(nightly.site, config, NOW)
    assert (found.newest, found.too_old) == ("20260117_120000", False)
    backup_samples.by_opsconsole(backups, "20270118_010000")  # by a clock that was wrong
    assert alarm.look(nightly.site, config, NOW).newest == "20260117_120000"


def test_only_a_replica_set_gets_incremental_backups(nightly: Nightly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(commands.COMMANDS, Kind.INCREMENTAL, ("backup", "create", "--incremental"))
    nightly.tick()
    nightly.tick(7 * 60)
    assert not nightly.ran
    at_one_point(nightly.site.directory / "backups" / "20260118_020500")
    nightly.tick(61)  # looked at once an hour
    nightly.tick(10)
    assert nightly.ran == ["incremental"]
    last = records.read(nightly.site.directory).last(Kind.INCREMENTAL)
    assert last is not None and last.slot == "2026-01-18 02:00 +6h"


def at_one_point(place: Path) -> None:
    """As if its database were a replica set."""
    made = manifest.read(place)
    parts = tuple(
        msgspec.structs.replace(part, consistency=manifest.ONE_POINT) if part.kind == "mongo" else part
        for part in made.parts
    )
    (place / manifest.NAME).write_bytes(manifest.encode(msgspec.structs.replace(made, parts=parts)))


def test_records_that_cannot_be_read_are_begun_anew_and_it_is_said(nightly: Nightly) -> None:
    nightly.tick()
    (nightly.site.directory / ".opsconsole" / "schedule.json").write_text('{"runs": [')
    nightly.tick(10)
    assert "cannot be read: it is not what was written; begun anew" in nightly.log
    assert nightly.ran == ["backup", "verify", "prune"]


def test_a_log_that_has_grown_is_put_aside_and_three_older_ones_are_kept(tmp_path: Path) -> None:
    for number in range(6):
        log = records.Log(tmp_path)
        log.line(f"number {number}")
        os.write(log.fd, b"x" * (1 << 20))
        log.close()
    place = tmp_path / ".opsconsole"
    names = sorted(path.name for path in place.iterdir())
    assert names == ["schedule.log", "schedule.log.1", "schedule.log.2", "schedule.log.3"]
    assert "number 5" in (place / "schedule.log").read_text()
    assert "number 2" in (place / "schedule.log.3").read_text()


def test_it_remembers_so_many_runs_of_each_kind(tmp_path: Path) -> None:
    runs = [
        Run(kind=kind, slot=f"{number}", began=NOW + timedelta(hours=number), outcome=Outcome.DONE)
        for number in range(300)
        for kind in ((Kind.INCREMENTAL, Kind.VERIFY) if number < 2 else (Kind.INCREMENTAL,))
    ]
    records.write(tmp_path, records.Records(runs=tuple(runs)))
    kept = records.read(tmp_path)
    assert len(kept.runs) == 42
    assert kept.last(Kind.VERIFY) is not None


# --- real processes --------------------------------------------------------------------------------


def a_tick_of_its_own(directory: Path, work: str) -> subprocess.Popen[bytes]:
    """A process that ticks once; `work` is done in place of every command."""
    text = f"""
        import os, sys, time
        from datetime import UTC, datetime
        from pathlib import Path
        from opsconsole.config import Config
        from opsconsole.config.sections import ScheduleSection
        from opsconsole.operations.site import Site
        from opsconsole.schedule.commands import Ended
        from opsconsole.schedule.tick import Around, tick

        here = Path({str(directory)!r})
        def run_one(kind, keep_open):
            with open(here / "ran", "a") as file:
                file.write(kind.value + "\\n")
            {work}
            return Ended(code=0)
        settings = Config(schedule=ScheduleSection(verify_days=0))
        while not (here / "go").exists():
            pass
        now = datetime({NOW.year}, {NOW.month}, {NOW.day}, 2, 5, tzinfo=UTC)
        sys.exit(tick(Site(directory=here), settings, Around(clock=lambda: now, zone=UTC, run_one=run_one)))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], cwd=Path(__file__).parents[1])


def test_of_several_schedulers_at_the_same_time_one_works(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    racing = [a_tick_of_its_own(tmp_path, "time.sleep(0.2)") for _ in range(5)]
    (tmp_path / "go").touch()
    assert [one.wait(60) for one in racing] == [0] * 5
    assert (tmp_path / "ran").read_text().splitlines() == ["backup", "prune"]


def test_a_tick_that_is_killed_is_told_and_its_slot_tried_again(tmp_path: Path) -> None:
    nightly = Nightly(tmp_path)
    (tmp_path / "go").touch()
    killed = a_tick_of_its_own(tmp_path, "time.sleep(60)")
    wait_until(lambda: (tmp_path / "ran").exists(), 60, "the tick does not work")
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    assert nightly.tick(10) == 1
    assert nightly.ran == ["backup", "verify", "prune"]
    assert nightly.told[0].endswith("the scheduled backup failed|it was killed before it ended")


def test_a_tick_that_is_killed_after_its_backup_was_made_does_not_make_another(tmp_path: Path) -> None:
    nightly = Nightly(tmp_path)
    (tmp_path / "go").touch()
    killed = a_tick_of_its_own(tmp_path, "time.sleep(60)")
    wait_until(lambda: (tmp_path / "ran").exists(), 60, "the tick does not work")
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    backup_samples.by_opsconsole(tmp_path / "backups", "20260118_020501")
    nightly.tick(10)
    assert nightly.ran == ["verify", "prune"]
    backup = records.read(tmp_path).last(Kind.BACKUP)
    assert backup is not None and (backup.outcome, backup.backup) == (Outcome.DONE, "20260118_020501")


def test_what_a_killed_tick_has_started_keeps_the_schedule_held(tmp_path: Path) -> None:
    nightly = Nightly(tmp_path)
    (tmp_path / "go").touch()
    work = 'import subprocess; subprocess.Popen(["sleep", "60"], pass_fds=(keep_open,)); time.sleep(60)'
    killed = a_tick_of_its_own(tmp_path, work)
    wait_until(lambda: (tmp_path / "ran").exists() and sleepers(killed.pid), 60, "the tick does not work")
    (left,) = sleepers(killed.pid)
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    assert nightly.tick(10) == 0
    assert not nightly.ran
    os.kill(left, signal.SIGKILL)

    def goes_on() -> bool:
        nightly.tick()
        return bool(nightly.ran)

    wait_until(goes_on, 30, "the schedule stays held")


def sleepers(parent: int) -> list[int]:
    """The children of a process."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]


def test_a_command_of_ours_is_run_with_its_output_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    site = Site(directory=tmp_path, config_file=str(tmp_path / "other.toml"))
    (tmp_path / "other.toml").write_text("")
    log = records.Log(tmp_path)
    played = {Kind.BACKUP: ("history",), Kind.VERIFY: ("history", "nothing-of-this-name")}
    run_one = commands.run_command(site, log, played)
    with records.taken(tmp_path) as held:
        assert held is not None
        assert run_one(Kind.BACKUP, held) == Ended(code=0)
        refused = run_one(Kind.VERIFY, held)
    log.close()
    assert refused.code == 2
    assert "no operation nothing-of-this-name" in refused.problem
    assert "no operation yet" in log.path.read_text()
    assert json.dumps(list(commands.command(site, Kind.BACKUP))).count("--config") == 1
