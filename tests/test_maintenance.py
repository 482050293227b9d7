"""Maintenance: what is due by the calendar, what is proven by itself, and ticks that outlive everything."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from opsconsole.config import Config, ConfigError, load
from opsconsole.config.sections import MaintenanceSection, TaskSection
from opsconsole.demo.standing import DemoLedger
from opsconsole.maintenance.due import WRONG, Proof, Row, State, Tick, rows, slot
from opsconsole.maintenance.evidence import Limits, proofs
from opsconsole.maintenance.listing import listing, tasks, tick
from opsconsole.maintenance.ticks import NAME, Ledger, Ticks
from opsconsole.model import (
    Alert,
    AlertState,
    Backup,
    BackupState,
    Container,
    Disk,
    HostSample,
    Reading,
    Service,
    Severity,
    Snapshot,
    SourceError,
    SourceState,
    Stack,
)
from opsconsole.persistence.verdict import Check, Verdict
from opsconsole.runbook_tasks import RUNBOOK, Every, Task
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.screens.maintenance import MaintenanceScreen
from tests import pane_samples
from tests.children import in_a_child
from tests.pane_samples import console, painted

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia"), ZoneInfo("Australia/Lord_Howe"))
NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)  # a Sunday
DAILY = Task(name="error-logs", title="Review error logs", every=Every.DAILY)
MOMENTS = st.datetimes(datetime(2023, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
EVERY = st.sampled_from(list(Every))


def of(task: Task, ticks: Sequence[Tick], now: datetime, zone: object = UTC, proof: Proof | None = None) -> Row:
    (row,) = rows([task], ticks, {task.name: proof} if proof else {}, now, zone)  # type: ignore[arg-type]
    return row


def ticked(at: datetime, task: Task = DAILY, zone: object = UTC, *, undone: bool = False) -> Tick:
    return Tick(task=task.name, slot=slot(task.every, at, zone).name, at=at, who="mina", undone=undone)  # type: ignore[arg-type]


# --- what is due -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "at", "name", "begins"),
    [
        (Every.DAILY, "2026-03-29T00:30+01:00", "2026-03-29", "2026-03-29"),
        (Every.WEEKLY, "2025-12-31T12:00+01:00", "2026-W01", "2025-12-29"),
        (Every.MONTHLY, "2026-02-28T23:59+01:00", "2026-02", "2026-02-01"),
        (Every.QUARTERLY, "2026-12-31T23:59+01:00", "2026-Q4", "2026-10-01"),
        (Every.DAILY, "2026-01-31T23:30+00:00", "2026-02-01", "2026-02-01"),  # in Berlin the next day has begun
    ],
)
def test_slots_are_those_of_the_hosts_calendar(every: Every, at: str, name: str, begins: str) -> None:
    found = slot(every, datetime.fromisoformat(at), BERLIN)
    assert (found.name, f"{found.begins}") == (name, begins)


def test_a_task_is_due_until_it_is_ticked_and_again_in_its_next_slot() -> None:
    assert of(DAILY, (), NOW).state is State.DUE
    done = (ticked(NOW),)
    assert of(DAILY, done, NOW).state is State.TICKED
    assert of(DAILY, done, NOW + timedelta(hours=11, minutes=59)).state is State.TICKED
    tomorrow = of(DAILY, done, NOW + timedelta(hours=12))
    assert tomorrow.state is State.DUE and tomorrow.last == done[0]


def test_a_tick_can_be_taken_back_and_made_again() -> None:
    back = (ticked(NOW), ticked(NOW, undone=True))
    assert of(DAILY, back, NOW).state is State.DUE and of(DAILY, back, NOW).last is None
    assert of(DAILY, (*back, ticked(NOW)), NOW).state is State.TICKED


def test_what_is_proven_needs_no_tick_and_what_is_not_can_be_ticked_nevertheless() -> None:
    good, bad = Proof(holds=True, said="taken 02:00"), Proof(holds=False, said="too old")
    assert of(DAILY, (), NOW, proof=good).state is State.PROVEN
    assert of(DAILY, (), NOW, proof=bad).state is State.DUE
    assert of(DAILY, (ticked(NOW),), NOW, proof=bad).state is State.TICKED
    assert "cannot be known" in of(DAILY, (), NOW).said


@given(EVERY, MOMENTS, st.sampled_from(ZONES), st.timedeltas(timedelta(0), timedelta(days=100)))
def test_a_slot_that_was_ticked_is_never_due_again(every: Every, at: datetime, zone: object, later: timedelta) -> None:
    """Over both edges of summer time, and where a day was left out of the calendar."""
    task = replace(DAILY, every=every)
    done = (ticked(at, task, zone),)
    now = at + later
    same = slot(every, now, zone).name == done[0].slot  # type: ignore[arg-type]
    assert of(task, done, now, zone).state is (State.TICKED if same else State.DUE)


@given(EVERY, MOMENTS, st.sampled_from(ZONES), st.timedeltas(timedelta(0), WRONG))
def test_a_clock_that_is_set_back_makes_nothing_due_twice(
    every: Every, at: datetime, zone: object, back: timedelta
) -> None:
    task, other = replace(DAILY, every=every), replace(DAILY, name="backup")
    # Ticked before the clock was set back, and something else afterwards.
    done = (ticked(at, task, zone), ticked(at - back, other, zone))
    for now in (at - back, at):
        due = of(task, done, now, zone).state is State.DUE
        assert due == (slot(every, now, zone).name != done[0].slot)  # type: ignore[arg-type]


@given(
    EVERY, MOMENTS, st.sampled_from(ZONES), st.lists(st.timedeltas(timedelta(hours=1), timedelta(days=5)), max_size=40)
)
def test_whoever_ticks_what_is_due_does_so_once_for_each_slot(
    every: Every, at: datetime, zone: object, steps: list[timedelta]
) -> None:
    task = replace(DAILY, every=every)
    done: list[Tick] = []
    seen: set[str] = set()
    for step in steps:
        at += step
        seen.add(slot(every, at, zone).name)  # type: ignore[arg-type]
        while of(task, done, at, zone).state is State.DUE:
            done.append(ticked(at, task, zone))
    assert len(done) == len(seen) == len({one.slot for one in done})


def test_a_clock_that_ran_days_ahead_leaves_nothing_out() -> None:
    ahead = ticked(NOW + timedelta(days=3))
    right = ticked(NOW, replace(DAILY, name="backup"))
    then = NOW + timedelta(days=3)
    assert of(DAILY, (ahead, right), then).state is State.DUE
    assert of(DAILY, (ahead, right), NOW).last is None
    assert of(DAILY, (ahead, right, ticked(then)), then).state is State.TICKED


def test_a_clock_that_has_lost_its_date_makes_nothing_due_that_was_ticked_before() -> None:
    quarterly = replace(DAILY, name="infrastructure", every=Every.QUARTERLY)
    lost = ticked(datetime(2000, 1, 1, tzinfo=UTC))
    assert of(quarterly, (ticked(NOW, quarterly), lost), NOW).state is State.TICKED
    assert of(DAILY, (lost,), NOW).state is State.DUE


# --- tasks and settings ------------------------------------------------------------------------------


def test_the_runbooks_tasks_are_all_there_under_their_rhythm() -> None:
    counts = {every: sum(one.every is every for one in RUNBOOK) for every in Every}
    assert counts == {Every.DAILY: 4, Every.WEEKLY: 5, Every.MONTHLY: 5, Every.QUARTERLY: 4}
    assert len({one.name for one in RUNBOOK}) == len(RUNBOOK)


def test_own_tasks_stand_among_them_and_some_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "opsconsole.toml"
    file.write_text(
        '[maintenance]\nskip = ["dependencies"]\n'
        '[[maintenance.task]]\nname = "Rotate API keys"\nevery = "quarterly"\nnote = "https://wiki.example/keys"\n'
    )
    found = tasks(load(file))
    assert found[-1] == Task(name="rotate-api-keys", title="Rotate API keys", every=Every.QUARTERLY,
                             how="https://wiki.example/keys", own=True)  # fmt: skip
    assert len(found) == len(RUNBOOK) and "dependencies" not in {one.name for one in found}
    order = [list(Every).index(one.every) for one in found]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name = "x"\nevery = "yearly"',
         "key 'maintenance.task[0].every' cannot be 'yearly'; possible: \"daily\", \"weekly\", \"monthly\","),
        ('name = "x"', "key 'maintenance.task[0].every' is missing"),
        ('nme = "x"\nevery = "daily"',
         "unknown key 'maintenance.task[0].nme', did you mean 'maintenance.task[0].name'?"),
        ('name = "--"\nevery = "daily"', "key 'maintenance.task[0].name' has neither a letter nor a digit: '--'"),
        ('name = "Backup"\nevery = "daily"',
         "key 'maintenance.task[0].name' is called like the runbook's 'backup': 'Backup'"),
        ('name = "a b"\nevery = "daily"\n[[maintenance.task]]\nname = "A-B"\nevery = "weekly"',
         "key 'maintenance.task[1].name' is called like maintenance.task[0]: 'A-B'"),
        ('name = "x"\nevery = "daily"\n[maintenance]\nskip = ["backups"]',
         "key 'maintenance.skip[0]' names no task of the runbook: 'backups'; did you mean 'backup'?"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_own_task_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "opsconsole.toml"
    file.write_text(f"[[maintenance.task]]\n{text}\n")
    with pytest.raises(ConfigError) as error:
        load(file)
    assert problem in str(error.value) and "\n" not in str(error.value)


def test_a_task_to_skip_must_be_one(tmp_path: Path) -> None:
    file = tmp_path / "opsconsole.toml"
    file.write_text('[maintenance]\nskip = ["backup", "documentatoin"]\n')
    with pytest.raises(ConfigError, match=r"maintenance\.skip\[1\]' names no task .* did you mean 'documentation'\?"):
        load(file)


# --- evidence ----------------------------------------------------------------------------------------

BACKUP = Backup(
    id="20260118_020000",
    path="/backups/20260118_020000",
    layout="opsconsole",
    taken_at=NOW - timedelta(hours=10),
    size_bytes=1,
    state=BackupState.GOOD,
    checked_level=3,
    checked_at=NOW - timedelta(days=12),
)
WELL = Snapshot(
    sampled_at=NOW,
    stack=Stack(name="shop", directory="/srv/shop", services=(Service(name="api", image_id="sha256:new"),)),
    containers=(Container(id="1", name="shop-api-1", service="api", state="running", image="shop/api:1",
                          image_id="sha256:new", image_created=NOW - timedelta(days=9)),),
    host=HostSample(cpu_percent=12.4, memory_percent=61.0,
                    disks=(Disk(mount="/", used_percent=54.0, full_in_days=212.0),)),
    backups=(BACKUP,),
    readings={name: Reading(source=name, state=SourceState.OK, sampled_at=NOW)
              for name in (*pane_samples.SOURCES, "schedule")},
)  # fmt: skip
PROVEN = Verdict(stack="shop", at=NOW - timedelta(days=2),
                 checks=(Check(name="x", subject="", title="t", points=1, proven=True),))  # fmt: skip


def seen(snapshot: Snapshot, verdict: Verdict | None = PROVEN) -> dict[str, Proof]:
    return proofs(snapshot, verdict, NOW, Limits())


def alert(rule: str, state: AlertState = AlertState.FIRING) -> Alert:
    return Alert(rule=rule, subject="/", severity=Severity.WARNING, state=state, since=NOW, message=f"{rule} is bad")


def test_a_well_stack_proves_what_can_be_known() -> None:
    found = seen(WELL)
    assert all(one.holds for one in found.values())
    assert found["health"].said.startswith("all well: ")
    assert {name: one.said for name, one in found.items() if name != "health"} == {
        "backup": f"20260118_020000, taken today {BACKUP.taken_at.astimezone():%H:%M}",
        "resources": "CPU 12 %, memory 61 %, disk / 54 %",
        "capacity": "disk / is full in about 212 days at its present growth",
        "persistence": "100 % proven, 2 days ago",
        "security-updates": "the oldest image, shop/api:1, was built 9 days ago; no registry was asked lately",
        "restore-test": "20260118_020000 was restored for a test 12 days ago",
    }
    # Whether somebody read the logs cannot be known.
    assert "error-logs" not in found


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("health", {"alerts": (alert("disk"),)}, "1 thing needs attention: disks /: "),
        ("health", {"readings": {}}, "not known"),
        ("backup", {"backups": ()}, "no good backup"),
        ("backup", {"backups": (replace(BACKUP, taken_at=NOW - timedelta(hours=27)),)}, "too old"),
        ("backup", {"backups": (replace(BACKUP, check_problem="cut short"),)}, "no good backup"),
        ("backup", {"backups": (replace(BACKUP, in_future=True),)}, "no good backup"),
        ("resources", {"alerts": (alert("cpu"),)}, "cpu is bad"),
        ("resources", {"alerts": (alert("memory", AlertState.PENDING),)}, "memory is bad"),
        ("resources", {"host": replace(WELL.host, cpu_percent=99.0, cpus=2, load=(2.0, 1.9, 1.0))}, "CPU 99 %"),
        ("resources", {"host": None}, "not looked at"),
        ("capacity", {"host": HostSample(disks=(Disk(mount="/", full_in_days=12.0),))}, "about 12 days"),
        ("security-updates", {"stack": replace(WELL.stack, services=(Service(name="api", image_id="sha256:newer"),))},
         "api run older images than are here"),
        ("security-updates", {"containers": (replace(WELL.containers[0], image_created=NOW - timedelta(days=214)),)},
         "built 214 days ago"),
        ("restore-test", {"backups": (replace(BACKUP, checked_at=NOW - timedelta(days=32)),)}, "32 days ago"),
        ("restore-test", {"backups": (replace(BACKUP, checked_level=2),)}, "no backup was restored"),
        ("restore-test", {"backups": (replace(BACKUP, checked_at=NOW + timedelta(days=1)),)}, "no backup was restored"),
    ],
)  # fmt: skip
def test_what_is_not_so_is_no_proof(name: str, changes: dict[str, object], said: str) -> None:
    found = seen(replace(WELL, **changes))[name]
    assert not found.holds and said in found.said


def test_disks_that_were_watched_and_do_not_grow_are_proven() -> None:
    def capacity(*watched: float | None) -> Proof | None:
        disks = tuple(Disk(mount=f"/{n}", total_bytes=9, watched_days=days) for n, days in enumerate(watched))
        return seen(replace(WELL, host=HostSample(disks=disks))).get("capacity")

    assert capacity(7.0) == Proof(holds=True, said="the disk does not grow: watched for 7 days")
    assert capacity(7.0, 2.2) == Proof(holds=True, said="no disk grows: watched for 2 days")
    late = capacity(7.0, 0.5)
    assert late is not None and not late.holds and "one is watched for 12 h: too little to tell" in late.said
    assert capacity() is None and capacity(7.0, None) is None, "nothing is known of one"


def test_an_old_or_missing_verdict_proves_nothing() -> None:
    assert not seen(WELL, None)["persistence"].holds
    assert not seen(WELL, replace(PROVEN, at=NOW - timedelta(days=8)))["persistence"].holds
    lost = replace(PROVEN, checks=(replace(PROVEN.checks[0], proven=False),))
    assert seen(WELL, lost)["persistence"] == Proof(holds=False, said="0 % proven, 2 days ago")


def test_the_list_knows_what_is_due() -> None:
    found = listing(Config(), Ticks(ticks=(ticked(NOW),)), WELL, PROVEN, NOW, UTC)
    states = {row.task.name: row.state for row in found.rows}
    assert states["backup"] is State.PROVEN and states["error-logs"] is State.TICKED
    assert [row.task.name for row in found.due][:2] == ["security-logs", "dependencies"]
    first = listing(Config(), Ticks(), Snapshot(sampled_at=NOW), None, NOW, UTC)
    assert len(first.due) == len(RUNBOOK)


# --- the file ----------------------------------------------------------------------------------------


def lines_of(directory: Path) -> list[bytes]:
    return (directory / ".opsconsole" / NAME).read_bytes().splitlines()


def test_ticks_are_for_their_owner_and_come_back_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.read() == Ticks() and not (tmp_path / ".opsconsole").exists()
    made = [ticked(NOW + timedelta(hours=number)) for number in range(3)]
    for one in made:
        ledger.add(one)
    assert list(ledger.read().ticks) == made
    path = tmp_path / ".opsconsole" / NAME
    assert oct(path.stat().st_mode & 0o777) == "0o600" and oct(path.parent.stat().st_mode & 0o777) == "0o700"


def test_a_line_that_was_torn_costs_itself_only(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(ticked(NOW))
    path = tmp_path / ".opsconsole" / NAME
    with path.open("ab") as file:
        file.write(b'{"task":"backup","sl')
    ledger.add(ticked(NOW + timedelta(hours=1)))
    found = ledger.read()
    assert len(found.ticks) == 2 and "1 line is not what was written" in found.problem


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(ticked(NOW))
    before = lines_of(tmp_path)
    real, written = os.write, list[int]()

    def half(fd: int, data: bytes) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(real(fd, bytes(data)[:20]))
        return written[0]

    monkeypatch.setattr("opsconsole.durable.os.write", half)
    with pytest.raises(SourceError, match="No space left"):
        ledger.add(ticked(NOW))
    assert lines_of(tmp_path) == before


def test_many_who_tick_at_once_lose_nothing_and_a_kill_tears_at_most_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(ticked(NOW))

    def writes(number: int) -> None:
        for step in range(30):
            Ledger(tmp_path).add(replace(ticked(NOW), who=f"{number}/{step}", note="n" * 300))

    def killed() -> None:
        writes(9)
        os.kill(os.getpid(), 9)

    script = (
        "import sys; from pathlib import Path; from tests.test_maintenance import *\n"
        "for step in range(30): Ledger(Path(sys.argv[1])).add(replace(ticked(NOW), who=f'{sys.argv[2]}/{step}'))"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(number)]) for number in range(2)]
    assert in_a_child(killed) == -9
    assert [one.wait(60) for one in others] == [0, 0]
    found = ledger.read()
    assert not found.problem and len({one.who for one in found.ticks}) == 91


def test_one_waits_for_another_who_writes(tmp_path: Path) -> None:
    """Whose line may be torn, or taken back on a full disk, while it is written."""
    Ledger(tmp_path).add(ticked(NOW))
    with (tmp_path / ".opsconsole" / NAME).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = threading.Thread(target=lambda: Ledger(tmp_path).add(ticked(NOW, undone=True)))
        other.start()
        other.join(0.2)
        assert other.is_alive() and len(lines_of(tmp_path)) == 1
    other.join(30)
    assert len(lines_of(tmp_path)) == 2


def test_what_is_no_task_or_was_not_ticked_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with pytest.raises(SourceError, match="no task dishes"):
        tick(RUNBOOK, ledger, "dishes", "mina", NOW)
    with pytest.raises(SourceError, match="error-logs is not ticked for 2026-01-18"):
        tick(RUNBOOK, ledger, "error-logs", "mina", NOW, undone=True, zone=UTC)
    tick(RUNBOOK, ledger, "error-logs", "mina", NOW, note="nothing new", zone=UTC)
    assert of(DAILY, ledger.read().ticks, NOW).state is State.TICKED
    tick(RUNBOOK, ledger, "error-logs", "mina", NOW, undone=True, zone=UTC)
    assert of(DAILY, ledger.read().ticks, NOW).state is State.DUE


# --- the command -------------------------------------------------------------------------------------


def opsconsole(stack: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-P", "-m", "opsconsole", "maintenance", *words, "--stack", str(stack)]
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, env=environment
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_ticks_with_a_name_and_lists_without_an_engine(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: shop-under-test\nservices:\n  web:\n    image: busybox\n")
    code, out, err = opsconsole(
        tmp_path, "tick", "error-logs", "documentation", "--by", "mina", "--note", "two old ones"
    )
    assert (code, err) == (0, "") and "error-logs for 20" in out and "ticked by mina" in out
    code, out, err = opsconsole(tmp_path, "--json")
    found = {one["task"]["name"]: one for one in json.loads(out)["rows"]}
    assert code == 1 and found["error-logs"]["state"] == "ticked" and found["error-logs"]["tick"]["who"] == "mina"
    assert found["health"]["state"] == "due" and "engine" in found["health"]["said"]
    code, out, err = opsconsole(tmp_path, "untick", "documentation")
    assert code == 0 and "is not ticked any more" in out
    code, out, err = opsconsole(tmp_path, "untick", "documentation")
    assert code == 2 and "is not ticked" in err
    code, out, err = opsconsole(tmp_path, "tick")
    assert code == 2 and "needs a task" in err
    (tmp_path / "opsconsole.toml").write_text("[console]\nread_only = true\n")
    code, out, err = opsconsole(tmp_path, "tick", "backup")
    assert code == 2 and "read_only" in err and len(lines_of(tmp_path)) == 3


# --- the screen --------------------------------------------------------------------------------------


async def test_the_screen_ticks_and_takes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = DemoLedger(pane_samples.NOW)
    monkeypatch.setattr("opsconsole.ui.standing.ledger", lambda app: kept)
    snapshot = pane_samples.well()
    async with console(snapshot, pane="deploy", size=(100, 30)) as (app, pilot):
        await pilot.press("t")
        await until(app, pilot, "due")
        screen = app.screen
        assert isinstance(screen, MaintenanceScreen)
        await pilot.press("G")
        await until(app, pilot, "its name is continuity")
        await pilot.press("enter", *"done", "enter")
        await until(app, pilot, "ticked   Business continuity")
        assert "done" in "\n".join(painted(app))
        await pilot.press("enter", "tab", "enter")
        await until(app, pilot, "due      Business continuity")
        assert [one.undone for one in kept.read().ticks][-2:] == [False, True]
        app.publish(replace(snapshot, alerts=()))
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, MaintenanceScreen)


async def test_read_only_it_only_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = DemoLedger(pane_samples.NOW)
    before = kept.read()
    monkeypatch.setattr("opsconsole.ui.standing.ledger", lambda app: kept)
    async with console(pane_samples.well(), size=(100, 30), read_only=True) as (app, pilot):
        await pilot.press("t")
        await until(app, pilot, "due")
        assert "Enter tick" not in "\n".join(painted(app))
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, MaintenanceScreen) and kept.read() == before


async def until(app: ConsoleApp, pilot: object, text: str) -> None:
    for _ in range(250):
        if text in "\n".join(painted(app)):
            return
        await pilot.pause(0.02)  # type: ignore[attr-defined]
    raise AssertionError(f"{text!r} is not shown:\n" + "\n".join(painted(app)))


def test_settings_of_a_task_are_plain() -> None:
    section = MaintenanceSection(task=(TaskSection(name="Pay the bill", every="monthly"),))
    (own,) = [one for one in tasks(replace(Config(), maintenance=section)) if one.own]
    assert msgspec.json.decode(msgspec.json.encode(own), type=Task) == own
