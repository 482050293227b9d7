"""Backups made, verified and removed by operations: whole or not at all, loud when a part is missing."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from opsconsole.backups import manifest, marks, publishing
from opsconsole.backups.faults import Level
from opsconsole.backups.verifying import verify
from opsconsole.cli import main
from opsconsole.model import BackupClass, BackupState
from opsconsole.operations import journal, launch, lock, places, unfinished
from opsconsole.operations.backup_acts import counts_of
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import BackupOrder
from tests import backup_samples as samples
from tests.backup_stack import CANARY, DATABASE, BackupStack, backup_stack
from tests.parts.engine import Engine
from tests.parts.install import find
from tests.parts.machine import wait_until
from tests.parts.servers import LOCAL, free_port, start_redis

pytestmark = pytest.mark.usefixtures("forked_operations")


@pytest.fixture(scope="module")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupStack]:
    with backup_stack(tmp_path_factory.mktemp("backup")) as made:
        yield made


@pytest.fixture
def stack(shared: BackupStack) -> BackupStack:
    shared.reset()
    return shared


def run(stack: BackupStack, *words: str) -> int:
    return main([*words, "--stack", str(stack.directory)])


def newest(stack: BackupStack) -> Path:
    return Path(max(stack.listed(), key=lambda one: one.id).path)


def test_a_backup_holds_everything(stack: BackupStack) -> None:
    assert run(stack, "backup", "create", "--why", "before the holidays", "--yes") == 0
    place = newest(stack)
    (one,) = stack.listed()
    assert one.state is BackupState.GOOD and one.checked_level == Level.HASHES and one.why == "before the holidays"
    held = manifest.read(place)
    assert [part.kind for part in held.parts] == ["mongo", "redis", "files", "config"]
    assert {f"{c.database}.{c.name}" for c in held.parts[0].collections if c.database == DATABASE} == {
        f"{DATABASE}.{name}" for name in ("users", "orders", "messages", "auditlogs")
    }
    for path in (place, *place.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


# --- without opsconsole ----------------------------------------------------------------------------


def by_hand(replaced: dict[str, str]) -> str:
    """The lines that README gives to restore without opsconsole, for other places than those it names."""
    text = (Path(__file__).parents[1] / "README.md").read_text().partition("- **No lock-in.**")[2]
    lines = text.partition("```\n")[2].partition("```")[0]
    for old, new in replaced.items():
        assert old in lines, f"README does not say {old}"
        lines = lines.replace(old, new)
    return lines


@pytest.fixture
def programs(stack: BackupStack, tmp_path: Path) -> Path:
    """`mongorestore` and `redis-cli`, told beforehand which servers are meant."""
    place = tmp_path / "bin"
    place.mkdir()
    stock = shutil.which("mongorestore")
    if stock is None:
        warnings.warn("mongorestore is not here: tests.stock_archive reads in its place", stacklevel=1)
        stand_in = f"cd {Path.cwd()}; exec {sys.executable} -m tests.stock_archive"
        words = f'archive=$(readlink -f "${{1#*=}}"); shift; {stand_in} "{stack.mongod.uri}" "--archive=$archive"'
    else:
        words = f'exec {stock} --uri="{stack.mongod.uri}"'
    (place / "mongorestore").write_text(f'#!/bin/sh\n{words} "$@"\n')
    port = free_port()
    (place / "redis-cli").write_text(f'#!/bin/sh\nexec {find("redis-cli")} -p {port} "$@"\n')
    (place / "redis.conf").write_text(
        f"port {port}\nbind {LOCAL}\ndir {tmp_path}/data\nappendonly yes\ndaemonize yes\n"
    )
    for one in place.iterdir():
        one.chmod(0o700)
    return place


def test_it_is_restored_without_opsconsole(stack: BackupStack, programs: Path, tmp_path: Path) -> None:
    """With the lines of README as they stand there: into a database that is gone, beside keys that are others, into an
    empty directory."""
    assert run(stack, "backup", "create", "--yes") == 0
    place, saved, env = newest(stack), stack.digest(), (stack.directory / ".env").read_bytes()
    with stack.mongo() as client:
        client.drop_database(DATABASE)
    shutil.rmtree(stack.directory / "uploads")
    (stack.directory / "uploads").mkdir()
    (stack.directory / ".env").unlink()
    (tmp_path / "data").mkdir()
    port = int((programs / "redis.conf").read_text().split()[1])
    old = start_redis(tmp_path / "data", port=port, appendonly=True)
    with redis.Redis.from_url(old.uri) as keys:
        keys.set("another", "one")
    lines = by_hand(
        {
            "backups/20260118_020000": str(place),
            "/srv/shop": str(stack.directory),
            "/var/lib/redis": str(tmp_path / "data"),
            "/etc/redis/redis.conf": str(programs / "redis.conf"),
        }
    )
    # Each line is a command that ends: the next one finds what it made.
    lines = lines.replace("redis-cli CONFIG", "until redis-cli PING 2>/dev/null; do sleep 0.05; done; redis-cli CONFIG")
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-exuo", "pipefail", "-c", lines], env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    own = stack.redis
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count(": OK") == len(manifest.read(place).files) - 1
        with redis.Redis.from_url(old.uri) as keys:
            wait_until(lambda: not keys.info("persistence")["aof_rewrite_in_progress"], 10, "it is not written anew")
            keys.shutdown()
        stack.redis = start_redis(tmp_path / "data", port=port, appendonly=True)
        assert stack.digest() == saved and (stack.directory / ".env").read_bytes() == env
    finally:
        (stack.redis if stack.redis is not own else old).stop(kill=True)
        stack.redis = own
        (stack.directory / ".env").write_bytes(env)


def test_no_secret_is_in_the_journal_or_on_a_command_line(stack: BackupStack) -> None:
    plan = stack.plan("backup", backup=BackupOrder())
    place, code = stack.run(plan)
    assert code == 0
    for path in place.iterdir():
        assert CANARY.encode() not in path.read_bytes(), path


def test_the_database_gone_is_a_failed_backup_and_the_others_stay(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stack, "backup", "create", "--yes") == 0
    before = stack.good()
    env = stack.directory / ".env"
    text = env.read_text()
    env.write_text(text.replace(str(stack.mongod.port), "1"))
    try:
        assert run(stack, "backup", "create", "--yes") == 1
    finally:
        env.write_text(text)
    assert "the mongo part host could not be saved" in capsys.readouterr().out
    assert stack.good() == before and stack.end().result is Result.FAILED
    assert [path.name for path in stack.backups.iterdir() if path.name.startswith(".partial")] == []
    # Nothing older goes before one is made again.
    assert run(stack, "backup", "prune", "--yes") == 0
    assert "nothing is removed: the last backup, begun" in capsys.readouterr().out
    assert run(stack, "backup", "create", "--yes") == 0
    assert run(stack, "backup", "prune", "--yes") == 0
    assert "every one of 2 backups is kept" in capsys.readouterr().out


def test_a_wrong_password_is_said_before_any_work_and_not_printed(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    env = stack.directory / ".env"
    text = env.read_text()
    env.write_text(text.replace(f"redis-{CANARY}", "wrong-password-7"))
    try:
        assert run(stack, "backup", "create", "--yes") == 1
    finally:
        env.write_text(text)
    said = capsys.readouterr()
    assert "refuses the password" in said.out and "wrong-password-7" not in said.out + said.err
    assert stack.good() == set()


# Each act is killed before and after what it publishes; the library's own sweep passes every point.
@pytest.mark.parametrize("at", ["O05", "B03", "B07", "B09", "B11", "B13", "O06.1", "B00", "B15"])
def test_killed_nothing_half_is_good_and_the_next_one_works(stack: BackupStack, at: str) -> None:
    assert run(stack, "backup", "create", "--yes") == 0
    before = stack.good()
    place, code = stack.run(stack.plan("backup", backup=BackupOrder()), OPS_KILL_AT=at)
    assert code == -signal.SIGKILL
    wait_until(lambda: lock.holder_of(stack.directory) is None, 30, "the lock is still held")
    assert before <= stack.good()
    for name in stack.good() - before:
        assert run(stack, "backup", "verify", name, "--level", "2") == 0
    assert [one.operation for one in unfinished.unfinished(stack.directory)] == [place.name]
    assert run(stack, "operations", "undo", place.name, "--yes") == 2
    assert run(stack, "operations", "finish", place.name, "--yes") == 0
    assert len(stack.good()) > len(before) and unfinished.unfinished(stack.directory) == ()
    assert [path.name for path in stack.backups.iterdir() if path.name.startswith((".partial", ".removed"))] == []


@pytest.mark.parametrize("at", ["B02:ENOSPC", "B05:EIO", "B08:ENOSPC", "B10:EACCES"])
def test_a_fault_of_the_disk_is_said_and_costs_nothing(stack: BackupStack, at: str) -> None:
    assert run(stack, "backup", "create", "--yes") == 0
    before = stack.good()
    _, code = stack.run(stack.plan("backup", backup=BackupOrder()), OPS_RAISE_AT=at)
    number = getattr(errno, at.partition(":")[2])
    assert code == 1 and os.strerror(number) in stack.end().problem
    assert stack.good() == before


def test_a_terminated_one_ends_as_cancelled(stack: BackupStack) -> None:
    plan = stack.plan("backup", backup=BackupOrder())
    place = journal.create(stack.directory, places.new_id("backup"), plan)
    journal.ask_cancel(place, "asked by a test")
    words = launch.words(stack.directory, place)
    assert subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 5
    assert stack.good() == set()


@pytest.mark.timeout(300)
def test_an_end_asked_for_at_any_point_leaves_a_whole_one_or_none(stack: BackupStack, tmp_path: Path) -> None:
    seen = tmp_path / "points"
    _, code = stack.run(stack.plan("backup", backup=BackupOrder()), OPS_STEPS_TO=str(seen))
    assert code == 0 and publishing.DECLARED.keys() <= set(seen.read_text().split())
    for at in publishing.DECLARED:
        before = stack.good()
        _, code = stack.run(stack.plan("backup", backup=BackupOrder()), OPS_RAISE_AT=f"{at}:SIGTERM")
        # With all data saved it is published rather than given up; only what comes after it is left out.
        assert (code, len(stack.good() - before)) == (5, int(at > "B05")), at
        assert before <= stack.good() and unfinished.unfinished(stack.directory) == (), at
        assert {path.name for path in stack.backups.iterdir() if path.name[0] != "."} == stack.good(), at
        assert [path.name for path in stack.backups.iterdir() if path.name.startswith(".partial")] == [], at
    for name in stack.good():
        assert verify(stack.backups / name, Level.HASHES).ok, name


def test_a_suspiciously_small_one_is_a_failure_and_nothing_older_goes(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    (stack.directory / "uploads" / "large.bin").write_bytes(os.urandom(1 << 20))
    for _ in range(3):
        assert run(stack, "backup", "create", "--yes") == 0
    (stack.directory / "uploads" / "large.bin").unlink()
    assert run(stack, "backup", "create", "--yes") == 1
    assert "is suspiciously small" in capsys.readouterr().out
    assert run(stack, "backup", "prune", "--yes") == 0
    assert "nothing is removed" in capsys.readouterr().out and len(stack.good()) == 4
    assert run(stack, "backup", "list") == 0  # where one is told to look
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("nothing is removed: the newest backup") and "suspiciously small" in said


def test_prune_says_why_and_removes_only_what_was_shown(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        assert run(stack, "backup", "create", "--yes") == 0
    assert run(stack, "backup", "pin", "3") == 0
    settings = stack.directory / "opsconsole.toml"
    text = settings.read_text()
    names = [one.id for one in stack.listed()]
    settings.write_text(text + "[retention]\nmanual_last = 1\nmanual_days = 0\n")
    try:
        capsys.readouterr()
        assert run(stack, "backup", "prune", "--plan") == 0
        said = capsys.readouterr().out
        assert f"{names[1]}  backup" in said and "older than the last 1 manual backups and 0 days" in said
        assert f"{names[2]} stays: pinned" in said and len(stack.good()) == 3
        assert run(stack, "backup", "prune", "--yes") == 0
    finally:
        settings.write_text(text)
    assert stack.good() == {names[0], names[2]}


def test_a_copy_that_cannot_be_made_anew_is_not_called_verified_any_longer(
    stack: BackupStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stack.directory / "opsconsole.toml"
    text = settings.read_text()
    assert run(stack, "backup", "create", "--yes") == 0
    far = tmp_path / "far"
    try:
        settings.write_text(f'{text}[copy]\nrsync = "{far}"\n')
        far.mkdir()
        assert run(stack, "backup", "copy", "--yes") == 0
        said = capsys.readouterr().out
        assert f"copied to {far} and verified" in said and "being compared with its copy" in said
        shutil.rmtree(far)
        far.write_text("the disk is not mounted")
        assert run(stack, "backup", "copy", "--yes") == 1
        (one,) = stack.listed()
        assert [(copy.place, copy.verified) for copy in one.copies] == [(str(far), False)]
        legacy = stack.backups / "backup_20250918_020000.archive"
        legacy.write_bytes(samples.mongo_archive(DATABASE))
        capsys.readouterr()
        assert run(stack, "backup", "copy", "backup_20250918_020000", "--yes") == 2
        assert "was not made by opsconsole" in capsys.readouterr().err
    finally:
        settings.write_text(text)


def test_a_clock_that_went_back_is_refused(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    later = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
    (stack.backups / f"{later:%Y%m%d_%H%M%S}").mkdir(parents=True)
    assert run(stack, "backup", "create", "--yes") == 1
    assert "the clock went back?" in capsys.readouterr().out


def test_a_backup_that_a_wrong_clock_dated_stops_no_other_once_that_is_said(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    later = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
    name = f"{later:%Y%m%d_%H%M%S}"
    (stack.backups / name).mkdir(parents=True)
    assert run(stack, "backup", "create", "--yes") == 1
    told = re.search(r"`opsconsole (backup misdated \S+)`", " ".join(capsys.readouterr().out.split()))
    assert told and told[1] == f"backup misdated {name}", "what is told to be done can be done"
    for marked in (told[1].split(), ("backup", "pin", name)):
        assert run(stack, "--read-only", *marked) == 2, "what is written down is a change, too"
    assert not (stack.backups / marks.DIRECTORY).exists()
    assert run(stack, *told[1].split()) == 0
    assert run(stack, "backup", "create", "--yes") == 0
    (made,) = stack.good()
    assert made < name
    assert next(one.note for one in stack.listed() if one.id == name) == "dated by a wrong clock"
    assert run(stack, "backup", "misdated", made) == 2, "its date is right"
    assert run(stack, "backup", "misdated", name, "--undo") == 0
    assert run(stack, "backup", "create", "--yes") == 1


def test_verify_names_the_file_that_is_wrong_and_it_is_remembered(
    stack: BackupStack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stack, "backup", "create", "--yes") == 0
    place = newest(stack)
    path = place / "redis.rdb"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert run(stack, "backup", "verify", "1", "--level", "1") == 1
    assert "redis.rdb" in capsys.readouterr().out
    (one,) = stack.listed()
    assert one.state is BackupState.DAMAGED and "redis.rdb" in one.problem
    assert marks.read(stack.backups, one.id).fault
    # What is told to be done about it can be done.
    assert run(stack, "backup", "prune", "--plan") == 0
    assert f"{one.id}, is damaged. `opsconsole backup list` says what is wrong with it" in capsys.readouterr().out
    assert run(stack, "backup", "create", "--yes") == 0
    assert run(stack, "backup", "prune", "--plan") == 0
    assert "nothing is removed" not in capsys.readouterr().out


def test_a_collection_that_is_required_has_to_be_in_it(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    settings = stack.directory / "opsconsole.toml"
    text = settings.read_text()
    assert run(stack, "backup", "create", "--yes") == 0
    try:
        settings.write_text(f'{text}[backups]\nrequired_collections = ["{DATABASE}.users", "{DATABASE}.bookings"]\n')
        assert run(stack, "backup", "verify", "latest", "--level", "1") == 0, (
            "what is in it is looked at from level 2 on"
        )
        assert run(stack, "backup", "verify", "latest", "--level", "2") == 1
    finally:
        settings.write_text(text)
    assert f"has no documents of {DATABASE}.bookings, which is required" in capsys.readouterr().out
    (one,) = stack.listed()
    assert one.state is BackupState.DAMAGED
    assert run(stack, "backup", "verify", one.id, "--level", "2") == 0
    assert stack.good() == {one.id}


def test_verify_tells_counts_to_scripts(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "backup", "create", "--yes") == 0
    capsys.readouterr()
    assert run(stack, "backup", "verify", "latest", "--level", "2", "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (ended,) = (one for one in records if one["event"] == "step-end")
    assert ended["counts"][f"{DATABASE}.users"] == 14 and ended["result"] == "done"


def test_counts_of_several_servers_do_not_hide_each_other() -> None:
    def part(name: str, documents: int) -> manifest.Part:
        held = manifest.HeldCollection(database="shop", name="users", documents=documents)
        return manifest.Part(kind="mongo", name=name, collections=(held,))

    redis = manifest.Part(kind="redis", name="redis")
    assert counts_of([part("one", 3), redis]) == {"shop.users": 3}
    assert counts_of([part("one", 3), part("two", 4), redis]) == {"one/shop.users": 3, "two/shop.users": 4}


def test_the_list_for_scripts(stack: BackupStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "backup", "create", "--part", "redis", "--critical", "--yes") == 0
    capsys.readouterr()
    assert run(stack, "backup", "list", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["asked"] == ["redis"] and told["critical"] and "critical, kept for ever" in told["kept"]
    assert told["backup_class"] == BackupClass.MANUAL
