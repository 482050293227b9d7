"""The proof of persistence: what each point stands for, how a missing one is had, and that nothing live is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from opsconsole.backups import marks
from opsconsole.backups.faults import Level
from opsconsole.backups.keeping import Keeping, keeping, mongo_keeping, redis_keeping
from opsconsole.backups.twin import Twin, survives_restart
from opsconsole.config import Config
from opsconsole.config.sections import PersistenceSection
from opsconsole.demo.standing import proven
from opsconsole.model import Backup, BackupPart, BackupState, DatabaseTarget, Mount
from opsconsole.operations import journal
from opsconsole.operations.journal import Journal, Result
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Kind, Plan
from opsconsole.operations.site import Site
from opsconsole.persistence import gathering, kept, report, timing
from opsconsole.persistence.facts import Database, Facts, Home, Took
from opsconsole.persistence.gathering import home, in_memory, is_cache, runs_here
from opsconsole.persistence.scoring import holding, judge
from opsconsole.persistence.verdict import Check, Verdict
from opsconsole.sources.connection import Connection
from opsconsole.sources.throwaway import Wanted
from opsconsole.sources.volumes import EngineVolume
from tests.backup_stack import backup_stack
from tests.children import in_a_child
from tests.parts.install import MONGOD, find
from tests.parts.machine import wait_until
from tests.parts.servers import Server
from tests.parts.stacks import Stack

NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)
KEEPS = Keeping(program="MongoDB 6.0.5", directory="/data/db", lasts=True, said="journal on")
VOLUME = Mount(kind="volume", destination="/data/db", name="shop_mongo")
TWIN = Twin(survived=True, way="a container of mongo:6.0", seconds=1.5)
MONGO = Database(kind="mongodb", name="mongodb", keeping=KEEPS, mounts=(VOLUME,), twin=TWIN)
REDIS = Database(
    kind="redis",
    name="redis",
    keeping=replace(KEEPS, directory="/data"),
    mounts=(Mount(kind="volume", destination="/data", name="shop_redis"),),
    twin=TWIN,
)
HELD = tuple(BackupPart(kind=kind, path=kind, size_bytes=9) for kind in ("mongo", "redis", "config"))
BACKUP = Backup(
    id="20260118_020000",
    path="/srv/shop/backups/20260118_020000",
    layout="opsconsole",
    taken_at=NOW - timedelta(hours=10),
    size_bytes=27,
    state=BackupState.GOOD,
    parts=HELD,
    checked_level=3,
    checked_at=NOW - timedelta(days=2),
)
TOOK = Took(seconds=12.5, at=NOW - timedelta(days=2), how="test restore of 20260118_020000")
ALL = Facts(stack="shop", databases=(MONGO, REDIS), backups=(BACKUP,), took=TOOK)


def missing(facts: Facts, now: datetime = NOW) -> list[tuple[str, str]]:
    return [(one.name, one.subject) for one in judge(facts, now).missing]


def with_mongo(**changes: Any) -> Facts:
    return replace(ALL, databases=(replace(MONGO, **changes), REDIS))


# --- the score ---------------------------------------------------------------------------------------


def test_all_proven_is_100_and_says_what_that_rests_on() -> None:
    verdict = judge(ALL, NOW)
    assert verdict.score == 100 and not verdict.missing
    assert sum(one.points for one in verdict.checks) == 100
    said = [one.said for one in verdict.checks]
    assert said[0] == "it writes /data/db, as it says itself: volume shop_mongo, mounted at /data/db"
    assert said[2] == "a marker written into a container of mongo:6.0 was there after its restart (1.5 s)"
    assert said[-3:] == [
        "20260118_020000, 10 hours old (limit 26)",
        "20260118_020000 was restored into throw-away servers and compared, 2 days ago",
        "12.5 s (test restore of 20260118_020000)",
    ]


@pytest.mark.parametrize(
    ("mounts", "changes", "said"),
    [
        ((), {}, "into the container itself, which `down` removes"),
        ((replace(VOLUME, destination="/data/dbx"),), {}, "into the container itself"),
        ((replace(VOLUME, anonymous=True, name="f" * 64),), {}, "a volume without a name"),
        ((Mount(kind="tmpfs", destination="/data"),), {}, "that is memory (tmpfs)"),
        ((VOLUME,), {"memory_volumes": ("shop_mongo",)}, "that is memory (volume shop_mongo)"),
        ((Mount(kind="bind", destination="/data/db", source="/dev/shm/db"),), {"filesystem": "tmpfs"}, "/dev/shm/db"),
        ((replace(VOLUME, read_only=True),), {}, "mounted read-only"),
        ((replace(VOLUME, destination="/data"), Mount(kind="tmpfs", destination="/data/db")), {}, "memory (tmpfs)"),
    ],
)
def test_a_place_that_does_not_outlive_the_container_gives_no_point(
    mounts: tuple[Mount, ...], changes: dict[str, Any], said: str
) -> None:
    facts = with_mongo(mounts=mounts, **changes)
    assert missing(facts) == [("place", "mongodb")]
    (check,) = judge(facts, NOW).missing
    assert (
        said in check.said and "mount a named volume at /data/db" in check.get_it and "restore latest" in check.get_it
    )
    assert judge(facts, NOW).score == 87  # 12.5 of 100, rounded down


def test_it_is_the_servers_word_that_counts_and_not_what_its_image_does() -> None:
    moved = replace(KEEPS, directory="/srv/mongo")
    assert missing(with_mongo(keeping=moved)) == [("place", "mongodb")]
    deep = (Mount(kind="bind", destination="/srv", source="/srv/shop"),)
    assert not missing(with_mongo(keeping=moved, mounts=deep, filesystem="ext4"))
    assert holding("/srv/mongo", (VOLUME, *deep)) == deep[0]
    assert holding("/srv2", deep) is None


def test_on_the_host_the_directory_must_be_seen_and_elsewhere_nothing_is() -> None:
    assert not missing(with_mongo(home=Home.HOST, mounts=(), filesystem="ext4"))
    for filesystem, said in (("", "does not show it"), ("tmpfs", "that is memory")):
        (check,) = judge(with_mongo(home=Home.HOST, mounts=(), filesystem=filesystem), NOW).missing
        assert check.name == "place" and said in check.said
    (check,) = judge(with_mongo(home=Home.ELSEWHERE), NOW).missing
    assert check.get_it == "on that host: opsconsole verify-persistence"


def test_a_server_that_does_not_answer_proves_nothing() -> None:
    silent = Keeping(problem="MongoDB at db:27017 refuses connections", hint="start it")
    facts = with_mongo(keeping=silent, twin=Twin(problem=silent.problem, hint=silent.hint))
    assert missing(facts) == [("place", "mongodb"), ("kept", "mongodb"), ("restart", "mongodb")]
    assert all(one.said and one.get_it for one in judge(facts, NOW).missing)


def test_redis_keeps_nothing_unless_it_is_set_to_or_the_settings_say_that_it_may_lose_all() -> None:
    off = redis_keeping({"aof_enabled": "0", "redis_version": "7.0.15"}, {"dir": "/data", "save": ""})
    facts = replace(ALL, databases=(MONGO, replace(REDIS, keeping=off, twin=replace(TWIN, survived=False))))
    found = judge(facts, NOW)
    assert [(one.name, one.subject) for one in found.missing] == [("kept", "redis"), ("restart", "redis")]
    assert 'caches = ["redis"]' in found.missing[0].get_it and "appendonly yes" in found.missing[0].get_it
    cache = replace(facts, databases=(MONGO, replace(REDIS, cache=True, keeping=Keeping(), twin=Twin())))
    assert judge(cache, NOW).score == 100
    (named,) = [one for one in judge(cache, NOW).checks if one.subject == "redis"]
    assert not named.counted and "may be lost" in named.said
    # Nobody asks for a backup of a cache either.
    without = replace(BACKUP, parts=HELD[:1])
    assert judge(replace(cache, backups=(without,)), NOW).score == 100
    assert judge(replace(ALL, backups=(without,)), NOW).score < 100


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"taken_at": NOW - timedelta(hours=27)}, ["backup"]),
        ({"checked_level": 2}, ["restore"]),
        ({"checked_at": NOW - timedelta(days=32)}, ["restore"]),
        ({"checked_at": NOW + timedelta(hours=1)}, ["restore"]),  # by a clock that was wrong
        ({"check_problem": "files-uploads.tar.gz is cut short"}, ["backup", "restore"]),
        ({"state": BackupState.INCOMPLETE}, ["backup", "restore"]),
        ({"taken_at": NOW + timedelta(hours=1)}, ["backup", "restore"]),
        ({"parts": (HELD[0], replace(HELD[1], ok=False))}, ["backup", "restore"]),
        # Restored today, of last winter: nothing is said of the backups of today.
        ({"taken_at": NOW - timedelta(days=90), "checked_at": NOW}, ["backup", "restore"]),
    ],
)
def test_a_backup_counts_when_it_is_good_young_and_was_really_restored(
    changes: dict[str, Any], lost: list[str]
) -> None:
    assert [name for name, _ in missing(replace(ALL, backups=(replace(BACKUP, **changes),)))] == lost


def test_directories_with_data_belong_into_the_backup_too() -> None:
    facts = replace(ALL, files=("uploads",))
    assert [name for name, _ in missing(facts)] == ["backup", "restore"]
    assert "MongoDB and Redis and uploads" in judge(facts, NOW).missing[0].said
    held = replace(BACKUP, parts=(*HELD, BackupPart(kind="files", path="uploads.tar.gz", size_bytes=9)))
    assert judge(replace(facts, backups=(held,)), NOW).score == 100


def test_what_is_missing_says_the_command() -> None:
    fresh = replace(BACKUP, checked_level=1)
    found = {one.name: one.get_it for one in judge(replace(ALL, backups=(fresh,), took=None), NOW).missing}
    assert found["restore"].startswith("opsconsole verify-persistence --prove")
    assert found["time"] == found["restore"]
    found = {one.name: one.get_it for one in judge(replace(ALL, backups=(), took=None), NOW).missing}
    assert found["backup"] == "opsconsole backup create"
    assert found["restore"] == "opsconsole backup create, then: opsconsole verify-persistence --prove"
    old = replace(TOOK, at=NOW - timedelta(days=40))
    assert missing(replace(ALL, took=old)) == [("time", "")]


def test_where_nothing_is_asked_for_nothing_is_proven() -> None:
    assert judge(Facts(stack="shop"), NOW).score == 0
    assert Verdict(stack="shop", at=NOW).score == 0


checks = st.lists(
    st.builds(
        Check,
        name=st.just("x"),
        subject=st.just(""),
        title=st.just("t"),
        points=st.floats(0, 100),
        proven=st.booleans(),
    ),
    max_size=8,
)


@given(checks, st.integers(0, 7))
def test_only_a_score_without_a_gap_is_100_and_one_more_proof_never_lowers_it(found: list[Check], number: int) -> None:
    before = Verdict(stack="shop", at=NOW, checks=tuple(found))
    assert 0 <= before.score <= 100
    assert (before.score == 100) == (not before.missing and any(one.counted for one in found))
    if number < len(found):
        found[number] = replace(found[number], proven=True)
        assert Verdict(stack="shop", at=NOW, checks=tuple(found)).score >= before.score


keepings = st.builds(
    Keeping,
    directory=st.sampled_from(("", "/data/db", "/x")),
    lasts=st.sampled_from((None, True, False)),
    problem=st.sampled_from(("", "refused")),
)
databases = st.builds(
    Database,
    kind=st.sampled_from(("mongodb", "redis")),
    name=st.just("db"),
    home=st.sampled_from(list(Home)),
    cache=st.booleans(),
    keeping=keepings,
    mounts=st.sampled_from(((), (VOLUME,), (replace(VOLUME, anonymous=True),))),
    filesystem=st.sampled_from(("", "ext4", "tmpfs")),
    twin=st.builds(Twin, survived=st.sampled_from((None, True, False))),
)
backups = st.builds(
    replace,
    st.just(BACKUP),
    state=st.sampled_from(list(BackupState)),
    taken_at=st.sampled_from((NOW, NOW - timedelta(days=50))),
    checked_level=st.sampled_from((None, 1, 3)),
)


@given(st.lists(databases, max_size=3), st.lists(backups, max_size=2), st.sampled_from((None, TOOK)))
def test_whatever_is_missing_says_what_was_found_and_how_it_is_had(
    found: list[Database], taken: list[Backup], took: Took | None
) -> None:
    facts = replace(ALL, databases=tuple(found), backups=tuple(taken), took=took)
    for one in judge(facts, NOW).checks:
        assert one.said and (bool(one.get_it) == (one.counted and not one.proven))


# --- how long a restore takes ------------------------------------------------------------------------


def restored_by(directory: Path, day: int, order: RestoreOrder, result: Result = Result.DONE) -> None:
    name = f"202601{day:02}T020000000Z-restore-aaaaaa"
    written = Journal(journal.create(directory, name, Plan(kind=Kind.RESTORE, stack="s", directory="/", restore=order)))
    written.write("begin", operation=name, kind="restore", title=f"restore of the {day}th")
    written.write("end", result=result, seconds=float(day))
    written.close()


def test_the_newest_whole_restore_says_how_long_one_takes(tmp_path: Path) -> None:
    assert timing.took(tmp_path, tmp_path, ()) is None
    restored_by(tmp_path, 3, RestoreOrder(backup="20260101_020000"))
    restored_by(tmp_path, 4, RestoreOrder(backup="20260101_020000", databases=("shop",)))
    restored_by(tmp_path, 5, RestoreOrder(backup="20260101_020000"), Result.ROLLED_BACK)
    found = timing.took(tmp_path, tmp_path, ())
    assert found is not None and (found.seconds, found.how) == (3.0, "restore of the 3th")
    # A test restore is one, too; one that found a fault, or of a time when it was not measured, is none.
    check = marks.Check(level=Level.RESTORED, at=datetime.now(UTC) + timedelta(hours=1), seconds=7.5)
    for number, changes in enumerate(({"seconds": None}, {"problem": "cut short"}, {})):
        marks.write(tmp_path, f"b{number}", marks.Marks(checks=(replace(check, **changes),)))
    known = [replace(BACKUP, id=f"b{number}") for number in range(3)]
    assert timing.took(tmp_path, tmp_path, known[:2]) == found
    assert timing.took(tmp_path, tmp_path, known) == Took(seconds=7.5, at=check.at, how="test restore of b2")


# --- reports -----------------------------------------------------------------------------------------


def test_the_report_is_safe_to_read_and_says_the_number_first() -> None:
    hostile = replace(MONGO, name="\x1b[2Jdb|`x`", mounts=())
    verdict = judge(replace(ALL, databases=(hostile, REDIS), stack="shop\x1b]0;x\x07"), NOW)
    text, paper = report.text(verdict), report.markdown(verdict)
    assert text.startswith("Persistence of shop") and "87 %" in text.splitlines()[0]
    assert "\x1b" not in text + paper
    assert "-> opsconsole backup create; mount a named volume at /data/db" in text
    row = next(line for line in paper.splitlines() if "writes to a disk" in line)
    assert row.count("|") - row.count("\\|") == 5 and "**missing**" in row
    assert "## Not proven" in paper and "## Not proven" not in report.markdown(judge(ALL, NOW))


@pytest.mark.parametrize(
    ("verdict", "now", "said", "well"),
    [
        (None, NOW, "persistence not verified yet: opsconsole verify-persistence", False),
        (judge(ALL, NOW), NOW + timedelta(days=3), "persistence 100 % proven, 3 d ago", True),
        (judge(ALL, NOW), NOW + timedelta(days=40), "but 40 d ago: opsconsole verify-persistence", False),
        (judge(ALL, NOW), NOW - timedelta(days=1), "dated in the future", False),
        (judge(replace(ALL, took=None), NOW), NOW, "95 %, just now; not proven: how long a restore takes", False),
    ],
)
def test_one_line_says_the_last_result(verdict: Verdict | None, now: datetime, said: str, well: bool) -> None:
    text, good = report.line(verdict, now)
    assert said in text and good is well


def test_the_last_result_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    assert kept.read(tmp_path) is None
    kept.write(tmp_path, judge(ALL, NOW))
    assert kept.read(tmp_path) == judge(ALL, NOW)
    path = tmp_path / ".opsconsole" / kept.NAME
    assert oct(path.stat().st_mode & 0o777) == "0o600" and oct(path.parent.stat().st_mode & 0o777) == "0o700"
    path.write_text("{")
    assert kept.read(tmp_path) is None


def test_the_demo_has_one_to_show() -> None:
    (lost,) = proven(NOW).missing
    assert (lost.name, lost.subject) == ("place", "queue") and proven(NOW).score == 91


# --- what servers say of themselves ------------------------------------------------------------------


def test_mongod_tells_its_directory_its_journal_and_its_engine() -> None:
    status = {"version": "6.0.5", "pid": 7, "storageEngine": {"name": "wiredTiger", "persistent": True}}
    plain = mongo_keeping({"parsed": {}}, status)
    assert (plain.directory, plain.lasts, plain.options, plain.process) == ("/data/db", True, (), 7)
    moved = mongo_keeping({"parsed": {"storage": {"dbPath": "/srv/db", "journal": {"enabled": False}}}}, status)
    assert (moved.directory, moved.lasts, moved.options) == ("/srv/db", False, ("--nojournal",))
    memory = mongo_keeping({"parsed": {}}, {"storageEngine": {"name": "inMemory", "persistent": False}})
    assert memory.lasts is False and memory.options == ("--storageEngine", "inMemory")
    relative = mongo_keeping({"parsed": {"storage": {"dbPath": "db"}}}, status)
    assert relative.directory == "" and "relative" in relative.problem


@pytest.mark.parametrize(
    ("info", "settings", "lasts", "options"),
    [
        ({"aof_enabled": "1"}, {"dir": "/data", "save": "", "appendfsync": "everysec"}, True,
         ("--appendonly", "yes", "--appendfsync", "everysec")),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, {"dir": "/data"}, False, ("--appendonly", "yes")),
        ({"aof_enabled": "0"}, {"dir": "/data", "save": "3600 1 300 100"}, True,
         ("--save", "3600", "1", "--save", "300", "100")),
        ({"aof_enabled": "0", "rdb_last_bgsave_status": "err"}, {"dir": "/data", "save": "60 1"}, False,
         ("--save", "60", "1")),
        ({"aof_enabled": "0"}, {"dir": "/data", "save": ""}, False, ()),
        ({"aof_enabled": "0"}, {"dir": "", "save": ""}, None, ()),
    ],
)  # fmt: skip
def test_redis_tells_whether_it_keeps_anything(
    info: dict[str, str], settings: dict[str, str], lasts: bool | None, options: tuple[str, ...]
) -> None:
    found = redis_keeping(info, settings)
    assert (found.lasts, found.options) == (lasts, options)
    assert found.said and bool(found.mend) == (lasts is False) and bool(found.problem) == (not settings["dir"])


def test_a_volume_in_memory_and_a_process_of_this_host_are_known() -> None:
    assert in_memory(EngineVolume(name="x", options={"type": "tmpfs", "device": "tmpfs"}))
    assert not in_memory(EngineVolume(name="x", options={"type": "nfs"}))
    assert runs_here("mongodb", os.getpid()) is False and runs_here("redis", None) is None
    assert runs_here("redis", 4_194_305) is False  # more than any process has
    # What listens on a port of this host may lie behind a tunnel, or in a container of somebody else.
    published = server_of("mongodb", "mongodb://127.0.0.1:27017/")
    assert home(published, None, Keeping(process=os.getpid())) is Home.ELSEWHERE
    assert home(published, None, Keeping()) is Home.HOST
    assert home(server_of("mongodb", "mongodb://db.example:27017/"), None, Keeping()) is Home.ELSEWHERE


def test_only_a_redis_is_a_cache_and_one_in_no_container_is_called_by_its_kind() -> None:
    config = replace(Config(), persistence=PersistenceSection(caches=("redis", "queue")))
    queue = DatabaseTarget(kind="redis", name="queue", service="queue")
    assert is_cache(queue, config) and not is_cache(replace(queue, service="sessions"), config)
    assert is_cache(DatabaseTarget(kind="redis", name="host"), config)
    assert not is_cache(DatabaseTarget(kind="mongodb", name="queue", service="queue"), config)
    assert not is_cache(DatabaseTarget(kind="redis", name="host"), Config())


def server_of(kind: str, uri: str) -> Connection:
    return Connection(target=DatabaseTarget(kind=kind, name=kind), uri=uri)


def test_real_servers_are_asked_where_they_write(
    host_mongod: Callable[..., Server], host_redis: Callable[..., Server], tmp_path: Path
) -> None:
    mongod, cache = host_mongod(), host_redis(options=("--save", ""))
    told = keeping(server_of("mongodb", mongod.uri))
    assert Path(told.directory).is_dir() and told.directory.startswith(str(tmp_path)) and told.lasts is True
    assert told.program == "MongoDB 6.0.5" and runs_here("mongodb", told.process)
    told = keeping(server_of("redis", cache.uri))
    assert Path(told.directory).is_dir() and told.lasts is False and "every key" in told.said
    assert "refuses connections" in keeping(server_of("mongodb", "mongodb://127.0.0.1:1/")).problem


# --- twins -------------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """mongod and redis-server on the PATH."""
    place = tmp_path / "bin"
    place.mkdir()
    for program in (MONGOD, Path(str(find("redis-server")))):
        (place / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    yield place


def test_a_twin_keeps_the_marker_or_not_as_the_live_one_would(programs: Path, tmp_path: Path) -> None:
    wanted = Wanted(kind="redis", operation="verify-persistence")
    lost = survives_restart(wanted, tmp_path)
    assert (lost.survived, lost.problem) == (False, "")
    for options in (("--appendonly", "yes"), ("--save", "3600", "1")):
        assert survives_restart(replace(wanted, options=options), tmp_path).survived is True
    mongo = survives_restart(Wanted(kind="mongodb"), tmp_path)
    assert mongo.survived is True and mongo.seconds > 0 and "mongod 6.0.5" in mongo.way
    assert not list(tmp_path.glob(".opsconsole-proof-*"))


def test_what_a_killed_twin_leaves_is_removed_by_the_next(programs: Path, tmp_path: Path) -> None:
    wanted = Wanted(kind="redis", options=("--appendonly", "yes"))

    def dies() -> None:
        survives_restart(wanted, tmp_path, waiting=lambda: os.kill(os.getpid(), 9))

    assert in_a_child(dies) != 0
    assert list(tmp_path.glob(".opsconsole-proof-*"))
    assert survives_restart(wanted, tmp_path).survived is True
    assert not list(tmp_path.glob(".opsconsole-proof-*"))


def test_without_image_and_program_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = survives_restart(Wanted(kind="redis"), tmp_path)
    assert found.survived is None and "no throw-away server" in found.problem and found.hint


# --- whole stacks ------------------------------------------------------------------------------------


def opsconsole(stack: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-P", "-m", "opsconsole", *words, "--stack", str(stack)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def test_to_100_by_the_commands_that_it_names(programs: Path, tmp_path: Path) -> None:
    with backup_stack(tmp_path) as stack:
        before = stack.digest()
        code, _, err = opsconsole(stack.directory, "backup", "create", "--yes")
        assert code == 0, err
        code, out, err = opsconsole(stack.directory, "verify-persistence", "--prove", "--json")
        assert (code, json.loads(out)["score"]) == (0, 100), out + err
        last = kept.read(stack.directory)
        assert last is not None and last.score == 100
        assert stack.digest() == before
        (backup,) = (stack.directory / "backups").glob("2*")
        level3 = [one for one in marks.read(backup.parent, backup.name).checks if one.level is Level.RESTORED]
        assert level3[0].seconds is not None


def test_containers_are_held_against_what_their_servers_say(mps: Stack) -> None:
    label = f"label=opsconsole.throwaway={gathering.OPERATION}"
    facts = gathering.gather(Site(directory=mps.directory))
    assert [(one.kind, one.home, one.twin.survived) for one in facts.databases] == [
        ("mongodb", Home.CONTAINER, True),
        ("redis", Home.CONTAINER, True),
    ]
    assert [one.twin.way for one in facts.databases] == ["a container of mongo:6.0", "a container of redis:7"]
    assert mps.engine.docker("ps", "--all", "--quiet", "--filter", label) == ""
    found = {(one.name, one.subject): one for one in judge(facts, datetime.now(UTC)).checks}
    assert found["place", "mongodb"].proven and f"volume {mps.project}_mongodb_data" in found["place", "mongodb"].said
    assert found["place", "redis"].proven and found["kept", "redis"].said.startswith("appendonly yes")
    assert not found["restore", ""].proven
    assert msgspec.json.decode(msgspec.json.encode(judge(facts, NOW)), type=Verdict) == judge(facts, NOW)


def test_what_lies_in_memory_or_in_a_volume_without_a_name_is_not_persistent(troubled: Stack) -> None:
    site = Site(directory=troubled.directory)
    mongod = next(one for one in site.scope().connections if one.target.service == "forgetful")
    wait_until(lambda: keeping(mongod).directory, 60, "forgetful does not answer")
    lost = {(one.name, one.subject): one.said for one in judge(gathering.gather(site), datetime.now(UTC)).missing}
    assert lost["place", "cache"] == "it writes /data, as it says itself: that is memory (tmpfs)"
    assert lost["place", "forgetful"].startswith("it writes /data/db, as it says itself: a volume without a name")
    # What they are set to is no fault of theirs.
    assert {name for name, _ in lost} == {"place", "backup", "restore", "time"}
