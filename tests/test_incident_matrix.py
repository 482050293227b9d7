"""The decision matrix: a pure function over the evidence, with the laws that it keeps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.incident.blame import BLAMED, waiting
from opsconsole.incident.data_signs import Baseline, Sign
from opsconsole.incident.evidence import LOOKED_BACK, Change, ChangedFile, Evidence, Kept, Known, What, gather, headline
from opsconsole.incident.matrix import recommend, ways
from opsconsole.incident.priority import ESCALATES_AFTER, Priority, escalates_at, fitting
from opsconsole.incident.recommendation import ANSWERS, NO_RESTART, Issue
from opsconsole.incident.snippets import snippets
from opsconsole.incident.symptoms import DRAGGING, FAILING, Ill
from opsconsole.incident_room.ways import request_of
from opsconsole.model import (
    Alert,
    AlertState,
    Backup,
    BackupState,
    Collection,
    DatabaseTarget,
    Endpoint,
    MongoDatabase,
    MongoStatus,
    Probe,
    Process,
    RedisKeyspace,
    RedisStatus,
    Severity,
    Snapshot,
    Usage,
)
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.requests import PLANS
from tests import ui_sample as sample
from tests.ui_sample import NOW, ago, container, host, stack

OLD = Kept(name="r4", at=ago(days=9), images={"backend": "sha256:old"}, hashes={"backend": ("h1",)})
CHANGED = ChangedFile(path=".env", release="r4", at=ago(minutes=11))
NO_WAY = ("no good backup", "no release is kept", "no release before", "every kept release", "until the engine answers",
          "images are gone")  # fmt: skip
RULES = ("crash-loop", "container-down", "container-unhealthy", "endpoint-down", "database-down", "disk", "cpu",
         "response-time", "engine-unreachable", "redis-memory", "database-refused", "error-rate")  # fmt: skip


def alert(rule: str, subject: str, since: datetime, **changes: Any) -> Alert:
    values: dict[str, Any] = dict(
        rule=rule, subject=subject, severity=Severity.CRITICAL, state=AlertState.FIRING, since=since,
        message=f"{subject}: {rule}", action="look",
    )  # fmt: skip
    return Alert(**{**values, **changes})


def snapshot(*alerts: Alert, **changes: Any) -> Snapshot:
    values: dict[str, Any] = dict(
        sampled_at=NOW,
        stack=stack("backend", "frontend", "mongodb", "redis"),
        containers=tuple(container(name) for name in ("backend", "frontend", "mongodb", "redis")),
        host=host(),
        alerts=alerts,
    )
    return Snapshot(**{**values, **changes})


def mongo(**documents: int) -> MongoStatus:
    target = DatabaseTarget(kind="mongodb", name="mongodb", service="mongodb")
    collections = tuple(Collection(name=name, documents=count) for name, count in documents.items())
    return MongoStatus(
        target=target, reachable=True, listed=True, databases=(MongoDatabase(name="shop", collections=collections),)
    )


def backup(name: str, taken_at: datetime) -> Backup:
    return Backup(
        id=name, path=f"/b/{name}", layout="opsconsole", taken_at=taken_at, size_bytes=1, state=BackupState.GOOD
    )


def deploy(minutes: float, **changes: Any) -> Change:
    at = ago(minutes=minutes)
    values: dict[str, Any] = dict(
        at=at, until=at + timedelta(minutes=1), what=What.DEPLOY, text="deploy of the stack shop by mina: deployed",
        services=("backend",), operation="op-1", code=True, config=False,
    )  # fmt: skip
    return Change(**{**values, **changes})


def answers(snap: Snapshot, known: Known = Known()) -> list[Issue]:  # noqa: B008 (frozen)
    return [one.issue for one in recommend(gather(snap, known, NOW))]


# --- each line of the matrix -----------------------------------------------------------------------


def test_a_crash_after_a_deploy_is_the_code() -> None:
    known = Known(changes=(deploy(14),), release=OLD, before=OLD)
    found = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW))
    assert found[0].issue is Issue.CODE and found[0].ways[0].what == "previous-image"
    assert any("deploy of the stack shop by mina" in line for line in found[0].evidence)
    assert any("r4" in line for line in found[0].evidence)
    assert any("data stays as it is now" in line for line in found[0].against)


def test_what_was_ill_before_the_deploy_is_not_its_work() -> None:
    known = Known(changes=(deploy(14),), release=OLD, before=OLD)
    assert answers(snapshot(alert("crash-loop", "backend", ago(minutes=30))), known) == [Issue.FAILURE]
    # An alert is as old as the console: what was recorded before it counts.
    told = Change(at=ago(minutes=30), what=What.ALERT, text="backend crashes", services=("backend",), bad=True)
    seen_late = snapshot(alert("crash-loop", "backend", ago(minutes=2)))
    assert answers(seen_late, known) == [Issue.CODE]
    assert answers(seen_late, msgspec.structs.replace(known, changes=(deploy(14), told))) == [Issue.FAILURE]


def test_another_configuration_with_the_same_image_is_the_configuration() -> None:
    made = container("backend", created_at=ago(minutes=9), image_id="sha256:old", config_hash="h2", state="restarting",
                     exit_code=1)  # fmt: skip
    known = Known(release=OLD, before=OLD, files_from="r4", files=(CHANGED,))
    snap = snapshot(alert("crash-loop", "backend", ago(minutes=8)), containers=(made,))
    found = recommend(gather(snap, known, NOW))
    assert [one.issue for one in found] == [Issue.CONFIGURATION]
    assert found[0].ways[0].what == "config"
    assert any(".env was changed" in line for line in found[0].evidence)
    assert "the images are the same as before" in found[0].evidence


def test_a_file_that_is_not_in_force_is_no_reason_and_that_is_said() -> None:
    known = Known(release=OLD, before=OLD, files_from="r4", files=(CHANGED,))
    snap = snapshot(alert("container-unhealthy", "backend", ago(minutes=8)))  # its container is days old
    (found,) = recommend(gather(snap, known, NOW))
    assert found.issue is Issue.FAILURE
    assert any(".env was changed" in line and "backend still run with what was there before" in line
               for line in found.against)  # fmt: skip
    stopped = container("mongodb", state="exited", exit_code=0, finished_at=ago(minutes=5))
    (found,) = recommend(gather(snapshot(alert("database-down", "mongodb", ago(minutes=4)), containers=(stopped,)),
                                known, NOW))  # fmt: skip
    assert (found.issue, found.ways[0].what) == (Issue.INFRASTRUCTURE, "start")


def test_an_emptied_collection_is_restored_from_a_backup_that_holds_it() -> None:
    """A backup that was taken after the loss holds the loss."""
    before, after = backup("good", ago(hours=7)), backup("empty", ago(hours=1))
    known = Known(
        baselines=(
            Baseline(at=before.taken_at, origin="the backup good", backup="good",
                     collections={"mongodb shop": {"users": 4000, "jobs": 3}}),
            Baseline(at=after.taken_at, origin="the backup empty", backup="empty",
                     collections={"mongodb shop": {"users": 0, "jobs": 0}}),
        )
    )  # fmt: skip
    snap = snapshot(databases=(mongo(users=0, jobs=0),), backups=(after, before))
    (found,) = recommend(gather(snap, known, NOW))
    assert found.issue is Issue.DATA
    assert [way.command for way in found.ways] == [
        "opsconsole restore good --collection shop.users",
        "opsconsole restore good",
    ]
    request = request_of(found.ways[0])
    assert request.restore is not None
    assert (request.restore.backup, request.restore.collections) == ("good", ("shop.users",))
    assert any("4,000 documents in the backup good, 0 now" in line for line in found.evidence)


@pytest.mark.parametrize("now", [{"users": 3900}, {"users": 401}, {"users": 9000}])
def test_fewer_documents_are_no_loss_as_long_as_some_are_there(now: dict[str, int]) -> None:
    held = Baseline(at=ago(hours=3), origin="the backup x", backup="x", collections={"mongodb shop": {"users": 4000}})
    assert answers(snapshot(databases=(mongo(**now),)), Known(baselines=(held,))) == []


def test_what_shrinks_by_itself_or_was_restored_since_is_no_loss() -> None:
    held = Baseline(at=ago(hours=3), origin="the backup x", backup="x", collections={"mongodb shop": {"users": 4000}})
    snap = snapshot(databases=(mongo(users=0),))
    assert answers(snap, Known(baselines=(held,))) == [Issue.DATA]
    ttl = msgspec.structs.replace(held, shrinking=("shop.users",))
    assert answers(snap, Known(baselines=(ttl,))) == []
    restored = Change(at=ago(minutes=5), what=What.RESTORE, text="restore", operation="op")
    lost = Sign(at=ago(hours=1), text="shop.users: 4,000 documents before, 0 now", operation="op-0")
    assert answers(snap, Known(losses=(lost,), changes=(restored,))) == []
    assert answers(snap, Known(losses=(lost,))) == [Issue.DATA]


@pytest.mark.parametrize(("keys", "policy", "lost"), [
    (0, "noeviction", True), (3, "noeviction", False), (0, "allkeys-lru", False),
])  # fmt: skip
def test_keys_that_are_gone_are_a_loss_where_redis_does_not_drop_them(keys: int, policy: str, lost: bool) -> None:
    status = msgspec.structs.replace(
        sample.REDIS, eviction_policy=policy, keyspaces=(RedisKeyspace(database=0, keys=keys),) if keys else ()
    )
    held = Baseline(at=ago(hours=3), origin="the backup x", backup="x", keys={"redis": 900})
    snap = snapshot(databases=(status,), backups=(backup("x", ago(hours=3)),))
    found = recommend(gather(snap, Known(baselines=(held,)), NOW))
    assert [one.issue for one in found] == ([Issue.DATA] if lost else [])
    assert not lost or [way.command for way in found[0].ways] == ["opsconsole restore latest --part redis"]
    assert not lost or request_of(found[0].ways[0]).restore == RestoreOrder(backup="latest", parts=("redis",))
    assert not lost or "the newest good backup that holds it is x" in found[0].evidence[1]
    emptied = Change(at=ago(hours=1), what=What.OTHER, text="flush", operation="op", emptied=("redis: ",))
    assert answers(snap, Known(baselines=(held,), changes=(emptied,))) == [], "somebody agreed to it"
    before = msgspec.structs.replace(emptied, at=ago(hours=4))
    assert bool(answers(snap, Known(baselines=(held,), changes=(before,)))) == lost
    counted = msgspec.structs.replace(held, backup="", origin="the guard's count")
    for one in recommend(gather(snap, Known(baselines=(counted,)), NOW)):
        assert "no good backup is known to hold it" in one.against[0] and "that holds it" not in one.evidence[1]


def test_a_restore_of_one_collection_says_nothing_of_the_others() -> None:
    held = Baseline(at=ago(hours=3), origin="the backup x", backup="x",
                    collections={"mongodb shop": {"users": 4000, "orders": 900}})  # fmt: skip
    part = Change(at=ago(minutes=5), what=What.RESTORE, text="restore", operation="op", restored=("shop.users",))
    found = gather(snapshot(databases=(mongo(users=10, orders=0),)), Known(baselines=(held,), changes=(part,)), NOW)
    assert [one.collection for one in found.data] == ["shop.orders"]


def test_a_full_disk_outweighs_a_deploy_and_speaks_against_it() -> None:
    known = Known(changes=(deploy(14),), release=OLD, before=OLD)
    snap = snapshot(alert("disk", "/", ago(minutes=13)), alert("crash-loop", "backend", ago(minutes=12)))
    first, second = recommend(gather(snap, known, NOW))
    assert (first.issue, second.issue) == (Issue.INFRASTRUCTURE, Issue.CODE)
    assert [way.what for way in first.ways] == ["", "emergency-stop"]
    may_go = msgspec.structs.replace(backup("old", ago(days=90)), goes="no rule keeps it")
    first, _ = recommend(gather(msgspec.structs.replace(snap, backups=(may_go,)), known, NOW))
    assert [way.what for way in first.ways] == ["", "prune", "emergency-stop"]
    assert any("that alone would explain it" in line for line in second.against)


def test_a_stopped_database_is_started_before_everything_is_stopped() -> None:
    gone = container("mongodb", state="exited", exit_code=0, finished_at=ago(minutes=9))
    snap = snapshot(alert("database-down", "mongodb", ago(minutes=8)), containers=(gone, container("backend")))
    (found,) = recommend(gather(snap, Known(), NOW))
    assert [(way.what, way.services) for way in found.ways] == [("start", ("mongodb",)), ("emergency-stop", ())]


def test_nothing_is_started_without_the_engine() -> None:
    snap = snapshot(alert("engine-unreachable", "engine", ago(minutes=1)),
                    alert("database-down", "mongodb", ago(minutes=1)))  # fmt: skip
    (found,) = recommend(gather(snap, Known(), NOW))
    assert [way.what for way in found.ways] == [""]


def test_the_command_that_starts_the_engine_is_taken_from_the_advice() -> None:
    def command(advice: str) -> str:
        snap = snapshot(alert("engine-unreachable", "engine", ago(minutes=1), action=advice))
        return recommend(gather(snap, Known(), NOW))[0].ways[0].command

    assert command("It has crashed: `sudo systemctl start docker`; or set DOCKER_HOST") == "sudo systemctl start docker"
    assert command("Only root may use it: start opsconsole with sudo").endswith("start opsconsole with sudo")
    assert command("") == "systemctl start docker"


@pytest.mark.parametrize(("problem", "broken"), [
    ("the compose configuration cannot be read: yaml: line 3: mapping values are not allowed", True),
    ("compose file docker-compose.yml: line 3 is no YAML", True),
    ("env file .env.production does not exist", True),
    ("the compose file uses API_KEY empty now: set in the env file what the stack needs", False),
    ("Docker Compose is not installed: the compose file is read without it", False),
])  # fmt: skip
def test_files_that_cannot_be_read_are_a_configuration_error(problem: str, broken: bool) -> None:
    snap = snapshot(stack=msgspec.structs.replace(stack("backend"), problems=(problem,)))
    assert answers(snap) == ([Issue.CONFIGURATION] if broken else [])


def test_a_rule_of_the_settings_is_red_too_and_one_about_backups_is_not() -> None:
    own = alert("orders-stuck", "backend", ago(minutes=4))
    (found,) = recommend(gather(snapshot(own, alert("backup-age", "backups", ago(hours=4))), Known(), NOW))
    assert found.issue is Issue.FAILURE and found.ways[0].services == ("backend",)


def busy(own: float, *processes: Process) -> Snapshot:
    """CPU at 97 % on 4 processors; each container uses so many percent of one."""
    used = tuple(container(name, usage=Usage(sampled_at=NOW, cpu_percent=own)) for name in ("backend", "frontend"))
    fully = host(cpu_percent=97.0, cpus=4, processes=processes)
    return snapshot(alert("cpu", "host", ago(minutes=9)), host=fully, containers=used)


def test_a_host_that_something_else_keeps_busy_is_not_mended_by_a_restart() -> None:
    hog = Process(pid=4711, name="ffmpeg", cpu_percent=371.0)
    (found,) = recommend(gather(busy(3.0, hog), Known(), NOW))
    assert found.issue is Issue.PERFORMANCE
    assert any("use 2 % of the 97 %: something else does" in line for line in found.against)
    (way,) = found.ways
    assert found.answer == NO_RESTART
    assert way.label == "See to ffmpeg (4711), which is not of this stack, by hand" and "kill 4711" in way.command
    assert not any("a restart hides" in line for line in found.against)


def test_a_process_that_may_be_one_of_the_stack_is_not_called_another() -> None:
    (found,) = recommend(gather(busy(70.0, Process(pid=7, name="node", cpu_percent=70.0)), Known(), NOW))
    assert [way.command for way in found.ways] == ["top -o %CPU"]


def test_nothing_is_done_about_what_is_not_seen_any_more_though_its_alert_lasts() -> None:
    since = ago(minutes=9)
    snap = snapshot(alert("crash-loop", "backend", since, unseen_since=ago(seconds=16)))
    assert not gather(snap, Known(), NOW).quiet and recommend(gather(snap, Known(), NOW)) == ()
    swings = snapshot(alert("crash-loop", "backend", since, unseen_since=ago(seconds=14)))
    assert [way.what for way in recommend(gather(swings, Known(), NOW))[0].ways] == ["restart", "restart-all"]
    other = snapshot(*snap.alerts, alert("container-unhealthy", "frontend", since))
    assert recommend(gather(other, Known(), NOW))[0].ways[0].services == ("frontend",)


@pytest.mark.parametrize("rule", ["error-rate", "response-time"])
def test_what_looks_back_is_left_alone_once_its_newest_answers_are_good(rule: str) -> None:
    def offered(*newest: float | None) -> bool:
        probe = Probe(endpoint=Endpoint(name="api", url="u", service="backend"), ok=True, newest=newest)
        red = alert(rule, "api", ago(minutes=4), limit=2.0)
        return bool(recommend(gather(snapshot(red, probes=(probe,)), Known(), NOW)))

    bad = None if rule == "error-rate" else 9.0
    assert offered(bad) and offered(0.1, bad, bad) and not offered(*[0.1] * 9, *[bad] * 20)


def test_another_alert_about_the_same_thing_makes_it_no_older() -> None:
    """The watcher of that one was stopped before it was over: its end is not on the time line."""
    slow = Change(
        at=ago(minutes=30), what=What.ALERT, text="backend is slow", services=("backend",), rule="response-time"
    )
    known = Known(changes=(deploy(14), slow), release=OLD, before=OLD)
    snap = snapshot(alert("crash-loop", "backend", ago(minutes=12)))
    assert answers(snap, known) == [Issue.CODE]
    same = msgspec.structs.replace(slow, rule="crash-loop")
    assert answers(snap, msgspec.structs.replace(known, changes=(deploy(14), same))) == [Issue.FAILURE]


def test_what_runs_is_waited_for_before_anything_else_is_begun() -> None:
    snap = snapshot(alert("crash-loop", "backend", ago(minutes=9)))
    runs = deploy(0.5, runs=True, until=NOW, text="rollback of the stack shop by mina: runs")
    assert waiting(gather(snap, Known(changes=(runs,)), NOW)) == (
        "rollback of the stack shop by mina: runs, since 30 s. Its end comes first: nothing begins beside it."
    )


def test_a_restart_of_something_else_says_nothing() -> None:
    snap = snapshot(alert("crash-loop", "backend", ago(minutes=9)), alert("response-time", "frontend", ago(minutes=2)))
    known = Known(changes=(rolled_back(5, services=("frontend",)),))
    assert not [line for one in recommend(gather(snap, known, NOW)) for line in one.against if "still so" in line]


def test_a_mend_of_a_moment_ago_is_not_said_to_have_failed() -> None:
    snap = snapshot(alert("crash-loop", "backend", ago(minutes=9)))
    for minutes, failed in ((1.5, False), (3, True)):  # it took one of them
        (found,) = recommend(gather(snap, Known(changes=(rolled_back(minutes),)), NOW))
        assert any("and it is still so" in line for line in found.against) == failed


def test_a_memory_that_something_else_fills_is_not_mended_by_a_restart() -> None:
    used = Usage(sampled_at=NOW, memory_bytes=100 << 20)
    full = host(memory_percent=93.0, memory_used=14 << 30)
    snap = snapshot(alert("memory", "host", ago(minutes=9)), host=full, containers=(container("backend", usage=used),))
    (found,) = recommend(gather(snap, Known(), NOW))
    assert [way.command for way in found.ways] == ["top -o %MEM"]
    assert any("hold 100.0 MiB of the 14.0 GiB in use: something else does" in line for line in found.against)


def test_a_host_that_the_stack_keeps_busy_is_restarted() -> None:
    (found,) = recommend(gather(busy(190.0), Known(), NOW))
    assert "frontend uses 190 % of a core" in found.evidence
    assert [way.what for way in found.ways] == ["restart", "restart-all"]


def test_who_keeps_a_host_busy_is_not_known_before_every_container_was_measured() -> None:
    snap = busy(0.0, Process(pid=4711, name="ffmpeg", cpu_percent=371.0))
    unmeasured = (*snap.containers, container("worker", usage=None))
    (found,) = recommend(gather(msgspec.structs.replace(snap, containers=unmeasured), Known(), NOW))
    assert [way.what for way in found.ways] == ["restart-all"]


@pytest.mark.parametrize(("keeps", "offered"), [(True, [""]), (False, ["", "restart", "restart-all"])])
def test_a_redis_that_loads_its_data_again_is_not_restarted_for_room(keeps: bool, offered: list[str]) -> None:
    target = DatabaseTarget(kind="redis", name="redis", service="redis")
    full = RedisStatus(target=target, reachable=True, aof_enabled=keeps)
    (found,) = recommend(gather(snapshot(alert("redis-memory", "redis", NOW), databases=(full,)), Known(), NOW))
    assert [way.what for way in found.ways] == offered
    assert any("loads the same data again" in line for line in found.against) == keeps


def test_both_are_said_when_code_and_configuration_came_together() -> None:
    known = Known(changes=(deploy(14, config=True),), release=OLD, before=OLD, files_from="r4")
    assert answers(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known) == [
        Issue.CODE, Issue.CONFIGURATION,
    ]  # fmt: skip


def test_a_deploy_that_did_not_touch_what_is_ill_says_so() -> None:
    known = Known(changes=(deploy(14, services=("frontend",)),), release=OLD, before=OLD)
    touched = recommend(gather(snapshot(alert("crash-loop", "frontend", ago(minutes=12))), known, NOW))[0]
    (other,) = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW))
    assert other.weight < touched.weight and "it did not touch backend" in other.against


# --- after something was done ----------------------------------------------------------------------


def rolled_back(minutes: float, **changes: Any) -> Change:
    text = "rollback of the stack shop by mina: done"
    return deploy(minutes, text=text, code=None, config=None, done=True, back=True, operation="op-2", **changes)


def test_a_deploy_that_was_taken_back_is_blamed_no_more_and_it_is_said_to_wait() -> None:
    """Alerts lag behind: for some minutes all looks as before."""
    known = Known(changes=(rolled_back(3), deploy(14)), release=OLD, before=None)
    evidence = gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW)
    (found,) = recommend(evidence)
    assert found.issue is Issue.FAILURE
    assert "rollback of the stack shop by mina: done, 3 min ago, and it is still so" in found.against
    assert waiting(evidence).startswith("rollback of the stack shop by mina: done, 2 min ago: what was red before it")
    later = gather(snapshot(alert("crash-loop", "backend", ago(minutes=1))), known, NOW)
    assert not waiting(later) and [one.issue for one in recommend(later)] == [Issue.FAILURE]  # it fell ill after it
    assert not waiting(gather(snapshot(), known, NOW))


def test_a_rollback_of_the_files_leaves_the_code_to_blame() -> None:
    known = Known(changes=(rolled_back(3, what=What.CONFIG), deploy(14)), release=OLD, before=OLD)
    found = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW))
    assert found[0].issue is Issue.CODE and found[0].ways


def test_only_the_deploys_that_are_blamed_say_what_they_brought() -> None:
    first = deploy(200, code=None, text="the first one")
    known = Known(changes=(deploy(14), first), release=OLD, before=OLD)
    (found,) = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW))
    assert not any("whether the images changed is not known" in line for line in found.against)


def test_what_an_operation_stops_and_starts_itself_is_told_by_its_own_line_alone() -> None:
    def seen(what: What, minutes: float, text: str, **changes: Any) -> Change:
        return Change(at=ago(minutes=minutes), what=what, text=text, services=("backend",), **changes)

    known = Known(changes=(
        deploy(14),
        seen(What.DEATH, 13.5, "backend ended: exit code 137", bad=True),
        seen(What.ALERT, 13.4, "backend is stopped"), seen(What.OVER, 13.2, "backend is stopped"),
        seen(What.HEALTH, 13.1, "backend is healthy"),
        seen(What.ALERT, 13.1, "backend fails"),  # and stays so
        seen(What.HEALTH, 13.1, "backend fails", bad=True),  # the probe says the same
        seen(What.DEATH, 11, "backend ended: exit code 1", bad=True),
    ))  # fmt: skip
    found = gather(snapshot(), known, NOW).changes
    assert [one.text for one in found] == [
        "backend ended: exit code 1", "backend fails", "deploy of the stack shop by mina: deployed",
    ]  # fmt: skip


def test_an_alert_whose_numbers_changed_is_on_the_time_line_once() -> None:
    told = Change(at=ago(minutes=9, seconds=1), what=What.ALERT, text="backend: 14 % errors", services=("backend",))
    over = Change(at=ago(minutes=8), what=What.OVER, text="backend fails", services=("backend",))
    now = alert("error-rate", "backend", ago(minutes=9), message="backend: 5 % errors")
    found = gather(snapshot(now), Known(changes=(told, over)), NOW).changes
    assert [one.text for one in found] == ["backend fails", "backend: 14 % errors"]


@pytest.mark.parametrize(("text", "named"), [
    ("CPU at 100 % (limit 80 %)", "CPU at 100 %"),
    ("backend: 12 % errors, 1 of 8 probes (limit 5 %)", "backend: 12 % errors, 1 of 8 probes"),
    ("backend crashes again and again: 3 restarts in 10 minutes (limit 3)", "backend crashes again and again"),
    ("2 containers of backend: each crashes again and again: 4 restarts in 10 minutes (limit 3)",
     "2 containers of backend: each crashes again and again"),
    ("redis uses 91 % of its maxmemory of 8.0 MiB (limit 90 %): then writes fail",
     "redis uses 91 % of its maxmemory of 8.0 MiB"),
])  # fmt: skip
def test_an_incident_is_called_after_what_is_wrong_without_the_numbers_that_change(text: str, named: str) -> None:
    assert headline(text) == named


# --- a way is there only where its plan can be made -------------------------------------------------


def test_a_first_deploy_is_not_blamed_and_nothing_is_rolled_back_to_nowhere() -> None:
    known = Known(changes=(deploy(14, first=True, code=None, config=None),), release=OLD)
    slow = snapshot(alert("response-time", "backend", ago(minutes=5)))
    (found,) = recommend(gather(slow, known, NOW))
    assert found.issue is Issue.PERFORMANCE
    assert any("the first deploy was 13 min ago" in line for line in found.against)
    (found,) = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=5))), known, NOW))
    assert found.issue is Issue.FAILURE and "no other deploy" in found.evidence[-1]


def test_without_a_release_before_the_restart_comes_first_and_the_reason_is_said() -> None:
    """The one that is kept is the one that runs: `rollback previous-image` has nowhere to go."""
    known = Known(changes=(deploy(14),), release=OLD)
    first, second = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW))
    assert (first.issue, first.ways[0].what) == (Issue.FAILURE, "restart")
    assert (second.issue, second.ways) == (Issue.CODE, ())
    assert "no release before the one that runs is kept" in second.against[0]


def test_a_release_whose_images_are_gone_is_not_gone_back_to() -> None:
    since = ago(minutes=12)
    pruned = msgspec.structs.replace(OLD, gone=("backend",), commit="4f2c91e77")
    known = Known(changes=(deploy(14),), release=OLD, before=pruned)
    first, second = recommend(gather(snapshot(alert("crash-loop", "backend", since)), known, NOW))
    assert (first.issue, first.ways[0].what) == (Issue.FAILURE, "restart")
    assert (second.issue, second.ways) == (Issue.CODE, ())
    assert "its images are gone from the engine (backend): check out its commit 4f2c91e" in second.against[0]
    older = msgspec.structs.replace(OLD, name="r3", skipped=("r4",))
    known = msgspec.structs.replace(known, before=older)
    (found,) = recommend(gather(snapshot(alert("crash-loop", "backend", since)), known, NOW))
    assert found.issue is Issue.CODE and "the images of r4 are gone" in found.against[0]
    assert request_of(found.ways[0]).to == "r3" and found.ways[0].command.endswith("--to r3")


@pytest.mark.parametrize(("release", "why"), [(None, "no release is kept"), (OLD, "as every kept release has them")])
def test_a_configuration_that_nobody_kept_is_not_rolled_back(release: Kept | None, why: str) -> None:
    moved = Change(at=ago(minutes=14), what=What.CONFIG, text="git: checkout", code=False)
    known = Known(changes=(moved,), release=release)
    first, second = recommend(gather(snapshot(alert("crash-loop", "backend", ago(minutes=12))), known, NOW))
    assert first.issue is Issue.FAILURE
    assert (second.issue, second.ways) == (Issue.CONFIGURATION, ()) and why in second.against[0]


def test_what_has_no_container_is_made_by_a_deploy() -> None:
    own = tuple(container(name) for name in ("frontend", "mongodb", "redis"))
    snap = snapshot(alert("service-missing", "backend", ago(minutes=5)), containers=own)
    (found,) = recommend(gather(snap, Known(), NOW))
    assert [way.what for way in found.ways] == ["deploy", "restart-all"]
    nothing = snapshot(alert("database-down", "mongodb", ago(minutes=5)), containers=())
    (found,) = recommend(gather(nothing, Known(), NOW))
    assert [way.what for way in found.ways] == ["deploy"]  # nothing runs: nothing is stopped


def test_only_the_engine_is_seen_to_while_it_does_not_answer() -> None:
    known = Known(changes=(deploy(14),), release=OLD, before=OLD)
    since = ago(minutes=5)
    snap = snapshot(alert("engine-unreachable", "engine", since), alert("endpoint-down", "backend", since))
    first, second = recommend(gather(snap, known, NOW))
    assert first.issue is Issue.INFRASTRUCTURE and (second.issue, second.ways) == (Issue.CODE, ())
    assert second.against[0] == "no plan can be made until the engine answers again"


def test_a_full_memory_is_not_put_down_to_a_deploy_that_did_not_touch_it() -> None:
    known = Known(changes=(deploy(14, config=True),), release=OLD, before=OLD, files_from="r4")
    found = recommend(gather(snapshot(alert("redis-memory", "redis", ago(minutes=5))), known, NOW))
    assert [one.issue for one in found] == [Issue.PERFORMANCE, Issue.CODE, Issue.CONFIGURATION]


# --- laws ------------------------------------------------------------------------------------------

subjects = st.sampled_from(("backend", "frontend", "mongodb", "redis", "/", "host", "engine"))
times = st.floats(0, 500).map(lambda minutes: ago(minutes=minutes))
alerts = st.builds(
    alert, st.sampled_from(RULES), subjects, times, severity=st.sampled_from(list(Severity)),
    state=st.sampled_from(list(AlertState)),
)  # fmt: skip
changes = st.builds(
    Change,
    at=times,
    what=st.sampled_from(list(What)),
    text=st.text(max_size=20),
    services=st.lists(subjects, max_size=2).map(tuple),
    bad=st.booleans(),
    code=st.sampled_from((None, True, False)),
    config=st.sampled_from((None, True, False)),
    operation=st.sampled_from(("", "op-1")),
)
some_known = st.builds(
    Known,
    changes=st.lists(changes, max_size=6).map(tuple),
    release=st.sampled_from((None, OLD)),
    before=st.sampled_from((None, OLD)),
    files_from=st.sampled_from(("", "r4")),
    files=st.lists(
        st.builds(ChangedFile, path=st.just(".env"), release=st.just("r4"), at=times), max_size=2
    ).map(tuple),
)  # fmt: skip
some_snapshots = st.lists(alerts, max_size=6).map(lambda found: snapshot(*found))


@settings(max_examples=50)
@given(some_known)
def test_a_quiet_system_recommends_nothing_whatever_changed(known: Known) -> None:
    pending = alert("cpu", "host", ago(minutes=1), state=AlertState.PENDING)
    over = alert("crash-loop", "backend", ago(minutes=1), state=AlertState.RESOLVED)
    soon = alert("backup-age", "backups", ago(minutes=1))
    evidence = gather(snapshot(pending, over, soon), known, NOW)
    assert evidence.quiet and recommend(evidence) == ()


@settings(max_examples=50)
@given(some_snapshots, some_known)
def test_every_recommendation_stands_on_evidence_and_leads_to_a_plan(snap: Snapshot, known: Known) -> None:
    evidence = gather(snap, known, NOW)
    found = recommend(evidence)
    assert bool(found) == (not evidence.quiet) or not evidence.symptoms
    assert len({one.issue for one in found}) == len(found)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    for one in found:
        assert one.evidence and one.against and one.answer in (ANSWERS[one.issue], NO_RESTART)
        assert one.ways or any(why in line for why in NO_WAY for line in one.against), one
        for way in one.ways:
            assert way.command and (not way.what or request_of(way).what in PLANS)
    assert len(ways(found)) == sum(len(one.ways) for one in found)
    assert snippets(evidence)
    assert fitting(evidence) in list(Priority)


@settings(max_examples=50)
@given(some_snapshots, some_known, st.randoms())
def test_the_order_in_which_things_were_read_does_not_matter(snap: Snapshot, known: Known, random: Any) -> None:
    shuffled = list(known.changes)
    random.shuffle(shuffled)
    turned = msgspec.structs.replace(snap, alerts=tuple(reversed(snap.alerts)))
    other = msgspec.structs.replace(known, changes=tuple(shuffled))
    one, two = (gather(s, k, NOW) for s, k in ((snap, known), (turned, other)))
    assert [(r.issue, r.weight, set(r.ways)) for r in recommend(one)] == [
        (r.issue, r.weight, set(r.ways)) for r in recommend(two)
    ]


@settings(max_examples=50)
@given(st.floats(0.1, 300), st.floats(0.1, 300))
def test_only_what_fell_ill_soon_after_a_deploy_is_put_down_to_it(ill: float, deployed: float) -> None:
    snap = snapshot(alert("container-unhealthy", "backend", ago(minutes=ill)))
    change = deploy(deployed)
    found = answers(snap, Known(changes=(change,), release=OLD, before=OLD))
    began = ago(minutes=ill)
    blamed = change.at - timedelta(seconds=60) <= began <= change.end + BLAMED
    assert (Issue.CODE in found) == blamed
    assert (Issue.FAILURE in found) == (not blamed)


@settings(max_examples=50)
@given(some_snapshots, some_known)
def test_lost_data_is_always_answered(snap: Snapshot, known: Known) -> None:
    lost = Sign(at=ago(minutes=3), text="shop.users: 4,000 documents before, 0 now", operation="op-0")
    no_restore = tuple(one for one in known.changes if one.what is not What.RESTORE)
    with_loss = msgspec.structs.replace(known, changes=no_restore, losses=(lost,))
    found = recommend(gather(snap, with_loss, NOW))
    assert found[0].issue is Issue.DATA and fitting(gather(snap, with_loss, NOW)) is Priority.P1


@settings(max_examples=50)
@given(some_known)
def test_the_time_line_is_newest_first_and_ends_six_hours_ago(known: Known) -> None:
    found = gather(snapshot(), known, NOW).changes
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    assert all(NOW - one.at <= LOOKED_BACK for one in found)


def test_only_a_p2_is_escalated_by_the_clock() -> None:
    assert [escalates_at(one, NOW) for one in Priority] == [None, NOW + ESCALATES_AFTER, None, None]
    assert timedelta(minutes=30) == ESCALATES_AFTER


def test_every_kind_of_illness_has_a_line_in_the_matrix() -> None:
    """One that no rule of the matrix knows would be shown red, with no answer."""
    known = {Ill.ENGINE, Ill.DISK, Ill.DATABASE, Ill.DATA} | FAILING | DRAGGING
    assert known == set(Ill)
    assert Evidence(now=NOW, snapshot=snapshot()).quiet
