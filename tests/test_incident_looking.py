"""What is read beside the Snapshot: journals, the guard, releases, files, git, what was collected; and the report."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.alerts import AlertMemory, Thresholds, evaluate
from opsconsole.incident.course import Entry, course
from opsconsole.incident.data_signs import Baseline, Sign
from opsconsole.incident.evidence import Change, Known, What, gather
from opsconsole.incident.priority import Priority
from opsconsole.incident.report import bars, data_statement, markdown
from opsconsole.incident_room import bundle, looking, records, reporting
from opsconsole.incident_room.counts import Counts
from opsconsole.incident_room.room import Room
from opsconsole.metrics import Event, EventKind, MetricsStore, Value, metrics_file
from opsconsole.model import (
    Alert,
    AlertState,
    Backup,
    BackupContents,
    Collection,
    HeldCollection,
    HeldPart,
    MongoDatabase,
    Reading,
    Severity,
    SourceError,
    SourceState,
    VolumeKind,
)
from opsconsole.operations import releases
from opsconsole.operations.census import Census, DatabaseSeen, PlaceSeen
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import DataEffect, Effect, Kind
from opsconsole.operations.releases import KeptFile, KeptService, Release, State
from opsconsole.operations.site import Site
from tests import ui_sample as sample
from tests.git_trees import git
from tests.operation_samples import DEPLOY, LOSING, RESTART, RESTORE, OperationSamples, samples, step
from tests.ui_sample import NOW, ago


def nothing(backup: Backup) -> BackupContents:
    return BackupContents()


def look(directory: Path) -> Known:
    return looking.look(directory, sample.well(), nothing)


def test_operations_and_the_losses_of_their_guard_are_on_the_time_line(tmp_path: Path) -> None:
    made = samples(tmp_path, NOW)
    end = {"event": "end", "result": Result.DONE, "seconds": 7.0, "less": ("shop.users: 40 documents before, 0 now",)}
    guard = {"event": "guard", "text": "x", "less": ("shop.users: 40 documents before, 0 now",)}
    place = made.add(RESTART, timedelta(minutes=5), [*step(RESTART, 0, 0.2, 4.1), (6.0, guard), (7.0, end)], number=9)
    known = look(tmp_path)
    assert [(one.what, one.bad) for one in known.changes] == [
        (What.RESTART, False), (What.RESTART, False), (What.OTHER, True),  # a deploy that went back is no deploy
    ]  # fmt: skip
    assert "by mina" in known.changes[0].text and known.changes[2].text.endswith("rolled-back")
    (loss,) = known.losses
    assert loss.operation == place.name and loss.gone and "40 documents before" in loss.text
    assert not known.problems
    made.close()


def release(directory: Path, number: int, image: str, env: bytes, **changes: object) -> Release:
    values = dict(
        number=number, state=State.GOOD, at=ago(days=3 - number), env_hash=hashlib.sha256(env).hexdigest(),
        services=(KeptService(name="backend", image_id=image, hashes=(f"h-{env!r}",)),),
        files=(KeptFile(path=".env", stored="files/env", sha256=hashlib.sha256(env).hexdigest(), env=True),),
    )  # fmt: skip
    one = Release(**{**values, **changes})  # type: ignore[arg-type]
    releases.write(directory, one, "services: {}", {"files/env": env})
    return one


def test_releases_say_what_a_deploy_brought_and_which_files_are_not_theirs(tmp_path: Path) -> None:
    release(tmp_path, 1, "sha256:a", b"A=1\n")
    release(tmp_path, 2, "sha256:b", b"A=1\n")
    (tmp_path / ".env").write_bytes(b"A=1\n")
    known = look(tmp_path)
    assert known.release is not None and known.before is not None
    assert (known.release.name, known.before.name, known.files) == ("r2", "r2", ())  # nothing of it runs
    (tmp_path / ".env").write_bytes(b"A=2\n")
    os.utime(tmp_path / ".env", (ago(minutes=9).timestamp(),) * 2)
    (changed,) = look(tmp_path).files
    assert (changed.path, changed.release, changed.at) == (".env", "r2", ago(minutes=9))
    (tmp_path / ".env").unlink()
    assert look(tmp_path).files[0].at is None


def test_the_way_back_of_the_files_is_a_release_that_has_others(tmp_path: Path) -> None:
    release(tmp_path, 1, "sha256:a", b"A=1\n")
    (tmp_path / ".env").write_bytes(b"A=1\n")
    assert look(tmp_path).files_from == ""  # `rollback config` would have nothing to do
    release(tmp_path, 2, "sha256:a", b"A=2\n")
    (tmp_path / ".env").write_bytes(b"A=2\n")
    known = look(tmp_path)
    assert (known.files, known.files_from) == ((), "r1")


@pytest.mark.parametrize(("returns_to", "kept", "first"), [("", False, True), ("", True, False), ("r7", False, False)])
def test_a_deploy_is_the_first_where_nothing_ran_and_no_release_was_kept(
    tmp_path: Path, returns_to: str, kept: bool, first: bool
) -> None:
    made = OperationSamples(tmp_path, NOW)
    end = {"event": "end", "result": Result.DONE, "seconds": 1.0}
    made.add(msgspec.structs.replace(DEPLOY, returns_to=returns_to), timedelta(minutes=5), [(1.0, end)])
    if kept:
        release(tmp_path, 1, "sha256:a", b"A=1\n")
    (change,) = look(tmp_path).changes
    assert (change.what, change.first) == (What.DEPLOY, first)
    made.close()


def test_what_cannot_be_read_is_one_line_and_the_rest_is_there(tmp_path: Path) -> None:
    samples(tmp_path, NOW).close()
    (tmp_path / ".opsconsole" / "metrics.sqlite").write_bytes(b"no database" * 200)
    known = look(tmp_path)
    assert known.changes and len(known.problems) == 1 and known.problems[0].startswith("what was collected cannot be")


def test_moves_of_the_git_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "--message", f"commit {name}")
    snapshot = msgspec.structs.replace(sample.well(), sampled_at=datetime.now(UTC))
    changes = looking.look(tmp_path, snapshot, nothing).changes
    assert [one.text.rpartition(" (")[0] for one in changes] == [
        "git: commit (initial): commit a",
        "git: commit: commit b",
    ]
    assert {one.what for one in changes} == {What.CONFIG}


def test_counts_of_the_guard_and_of_backups_are_compared_with_now(tmp_path: Path) -> None:
    made = OperationSamples(tmp_path, NOW)
    end = {"event": "end", "result": Result.DONE, "seconds": 1.0}
    place = made.add(RESTART, timedelta(hours=2), [(1.0, end)])
    seen = Census(
        at=ago(hours=2),
        places={"volume:x": PlaceSeen(words="x", kind=VolumeKind.NAMED)},
        databases=(DatabaseSeen(kind="mongodb", name="mongodb", collections={"shop": {"users": 40, "jobs": 4}}),),
    )
    (place / "census-after.json").write_bytes(msgspec.json.encode(seen))
    backup = sample.backup(ago(hours=5), layout="opsconsole")
    held = HeldPart(kind="mongo", name="mongodb",
                    collections=(HeldCollection(database="shop", name="orders", documents=90),))  # fmt: skip
    status = msgspec.structs.replace(
        sample.MONGO,
        listed=True,
        databases=(MongoDatabase(name="shop", collections=(Collection(name="users", documents=0),)),),
    )
    snapshot = msgspec.structs.replace(sample.well(), databases=(status,), backups=(backup,))
    known = looking.look(tmp_path, snapshot, lambda one: BackupContents(parts=(held,)))
    found = gather(snapshot, known, NOW).data
    assert [(one.collection, one.backup) for one in found] == [("shop.users", ""), ("shop.orders", backup.id)]
    missing = Counts(tmp_path, lambda one: BackupContents(parts=(held,))).look(snapshot)
    assert missing == found
    # Who does not look at the incident screen is told, too, once it has been so for a minute.
    memory, fired = AlertMemory(), tuple[Alert, ...]()
    for seconds in (0, 30, 61):
        at = NOW + timedelta(seconds=seconds)
        counted = Reading(source="counts", state=SourceState.OK, sampled_at=at)
        seen = msgspec.structs.replace(
            snapshot, sampled_at=at, missing=missing, readings={**snapshot.readings, "counts": counted}
        )
        fired, memory = evaluate(Thresholds(), memory, seen, at)
    said = {one.subject: (one.state, one.severity) for one in fired if one.rule == "data-missing"}
    assert said == dict.fromkeys(("shop.users", "shop.orders"), (AlertState.FIRING, Severity.CRITICAL))
    assert not gather(seen, Known(), at).symptoms  # the incident screen tells it as missing data, once
    with pytest.raises(SourceError):
        Counts(tmp_path, nothing).look(msgspec.structs.replace(snapshot, databases=()))


def test_what_a_plan_emptied_is_no_loss_of_that_server(tmp_path: Path) -> None:
    made = OperationSamples(tmp_path, NOW)
    effect = DataEffect(name="cache", what="Redis", effect=Effect.REPLACED, database="redis")
    flush = msgspec.structs.replace(RESTART, kind=Kind.FLUSH, data=(effect,))
    end = {"event": "end", "seconds": 1.0}
    made.add(flush, timedelta(minutes=9), [(1.0, {**end, "result": Result.DONE})])
    made.add(flush, timedelta(minutes=5), [(1.0, {**end, "result": Result.FAILED})])
    assert [one.emptied for one in look(tmp_path).changes] == [(), ("cache: ",)]
    made.close()


def test_what_is_lost_after_a_restore_is_seen_by_the_count_that_ended_it(tmp_path: Path) -> None:
    made = OperationSamples(tmp_path, NOW)
    place = made.add(RESTORE, timedelta(minutes=9), [(90.0, {"event": "end", "result": Result.DONE, "seconds": 90.0})])
    seen = DatabaseSeen(kind="mongodb", name="mongodb", collections={"shop": {"users": 40}})
    census = Census(at=ago(minutes=8), databases=(seen,))  # while it still ran
    (place / "census-after.json").write_bytes(msgspec.json.encode(census))
    shop = MongoDatabase(name="shop", collections=(Collection(name="users", documents=0),))
    status = msgspec.structs.replace(sample.MONGO, listed=True, databases=(shop,))
    snapshot = msgspec.structs.replace(sample.well(), databases=(status,))
    assert [one.collection for one in looking.missing(tmp_path, snapshot, nothing)] == ["shop.users"]
    made.close()


def test_what_somebody_knew_when_the_incident_was_closed_is_no_loss_any_more(tmp_path: Path) -> None:
    backup = sample.backup(datetime.now(UTC) - timedelta(hours=5), layout="opsconsole")
    held = HeldPart(kind="mongo", name="mongodb", collections=tuple(
        HeldCollection(database="shop", name=name, documents=90) for name in ("orders", "users")
    ))  # fmt: skip
    status = msgspec.structs.replace(
        sample.MONGO,
        listed=True,
        databases=(MongoDatabase(name="shop", collections=(Collection(name="orders", documents=0),)),),
    )

    def missing() -> list[str]:
        now = datetime.now(UTC)
        snapshot = msgspec.structs.replace(sample.well(), sampled_at=now, databases=(status,), backups=(backup,))
        known = looking.look(tmp_path, snapshot, lambda one: BackupContents(parts=(held,)))
        assert not known.problems
        return [one.collection for one in gather(snapshot, known, now).data]

    assert missing() == ["shop.orders", "shop.users"]
    records.declare(tmp_path, "orders are empty", Priority.P1, "mina")
    records.close(tmp_path, "i1", "mina", "emptied on purpose", ("shop.orders: 90 documents in the backup x, 0 now",))
    assert missing() == ["shop.users"]


def test_what_was_collected_while_nobody_looked(tmp_path: Path) -> None:
    store = MetricsStore(metrics_file(tmp_path))
    died = [
        Event(at=ago(minutes=30 - n), kind=EventKind.DIED, subject="backend",
              facts={"container": "shop-backend-1", "exit_code": "1"})
        for n in range(20)
    ]  # fmt: skip
    stopped = Event(at=ago(minutes=3), kind=EventKind.DIED, subject="worker", facts={"exit_code": "143"})
    firing = Event(at=ago(minutes=29), kind=EventKind.ALERT_FIRING, subject="crash-loop backend",
                   facts={"rule": "crash-loop", "subject": "backend", "message": "backend crashes again"})  # fmt: skip
    well = [
        Event(at=ago(minutes=30 - n), kind=EventKind.HEALTH, subject="backend", facts={"health": "healthy"})
        for n in range(20)
    ]
    store.add_events([*died, *well, stopped, firing])
    for n in range(4):
        store.add_sample(ago(seconds=10 * n), [Value(name="host_cpu_percent", value=20.0 + n)], spacing=10)
    store.close()
    changes = {one.what: one for one in look(tmp_path).changes}
    assert changes.keys() == {What.DEATH, What.HEALTH, What.ALERT}
    assert changes[What.HEALTH].text == "backend is healthy, 20 times since"  # else a deploy is pushed off the screen
    death = changes[What.DEATH]
    assert death.text == "shop-backend-1 ended: exit code 1, 20 times since" and death.end - death.at == timedelta(
        minutes=19
    )
    assert changes[What.ALERT].services == ("backend",)
    assert reporting.collected(tmp_path, ago(minutes=1), NOW)["CPU %"][-1] in (20.0, 21.0)


# --- the report ------------------------------------------------------------------------------------


def test_the_report_says_what_was_done_and_what_is_not_known(tmp_path: Path) -> None:
    one = course("i4", [
        Entry(n=0, at=ago(minutes=50), event="declare", priority=Priority.P2, text="orders | fail <b>", who="mina"),
        Entry(n=1, at=ago(minutes=40), event="tick", item="status", who="sam"),
        Entry(n=2, at=ago(minutes=30), event="note", text="asked *the* bank", who="sam"),
    ])  # fmt: skip
    changes = (Change(at=ago(minutes=55), what=What.DEPLOY, text="deploy by mina: deployed", operation="op-1"),)
    evidence = gather(sample.well(), Known(changes=changes), NOW)
    text = markdown(one, evidence, [("restart", "plan\nrestarted")], {"CPU %": [1.0, 5.0, 9.0]}, (),
                    ["x is half done"])  # fmt: skip
    assert "# Incident i4: orders \\| fail \\<b>" in text
    lines = text.splitlines()
    assert next(n for n, line in enumerate(lines) if "deploy by mina" in line) < next(
        n for n, line in enumerate(lines) if "declared P2" in line
    )
    assert "- [x] Immediate actions: Check the status of the system (sam, 2026-03-02 02:34:15)" in lines
    assert "    CPU %  ▁▅█  1.0 to 9.0, at the end 9.0" in lines and "    restarted" in lines
    assert "- Not known: there is no earlier count and no backup to compare with." in lines
    assert "- [ ] x is half done" in lines and "- [ ] The incident is not closed." in lines
    assert bars([3.0, 3.0]) == "▁▁"


def test_the_report_says_what_data_is_missing_and_what_a_restore_did(tmp_path: Path) -> None:
    one = course("i1", [Entry(n=0, at=ago(minutes=50), event="declare", priority=Priority.P1, text="x", who="mina")])
    lost = Sign(at=ago(minutes=60), text="shop.users: 40 documents before, 0 now", operation="op-0")
    restored = Change(
        at=ago(minutes=20), what=What.RESTORE, text="restore of 20260302_020000 by mina", operation="op-1"
    )
    held = Baseline(at=ago(hours=3), origin="the backup x")
    said = data_statement(one, gather(sample.well(), Known(losses=(lost,), changes=(restored,)), NOW))
    assert said[0].startswith("Found by the guard at 2026-03-02 02:14:15: shop.users") and "safety backup" in said[1]
    said = data_statement(one, gather(sample.well(), Known(losses=(lost,), baselines=(held,)), NOW))
    assert said[0] == "Missing now: shop.users: 40 documents before, 0 now."
    (said_well,) = data_statement(one, gather(sample.well(), Known(baselines=(held,)), NOW))
    assert said_well.startswith("No sign of lost data: nothing is empty, gone or below a tenth of what it held in the")
    silent = tuple(msgspec.structs.replace(each, reachable=False) for each in sample.well().databases)
    away = msgspec.structs.replace(sample.well(), databases=silent)
    assert data_statement(one, gather(away, Known(baselines=(held,)), NOW)) == ["Not known: no database answers now."]
    away = msgspec.structs.replace(away, databases=(*silent[:1], *sample.well().databases[1:]))
    name, others = data_statement(one, gather(away, Known(baselines=(held,)), NOW))
    assert name == f"Not known of {silent[0].target.name}, which does not answer now." and "in the others" in others


def test_the_report_begins_with_what_was_red_what_was_done_and_what_is_left(tmp_path: Path) -> None:
    made = OperationSamples(tmp_path, NOW)
    end = {"event": "end", "result": Result.DONE, "seconds": 9.0}
    place = made.add(LOSING, timedelta(minutes=40), [*step(LOSING, 0, 0.2, 4.1), (9.0, end)])
    one = course("i1", [
        Entry(n=0, at=ago(minutes=50), event="declare", priority=Priority.P1, text="x", symptoms=("web is down",)),
        Entry(n=1, at=ago(minutes=40), event="action", text="began: deploy", operation=place.name),
        Entry(n=2, at=ago(minutes=30), event="close", text="deployed", symptoms=("CPU at 99 %",)),
    ])  # fmt: skip
    text = reporting.markdown(Room(tmp_path, nothing), one, sample.well())
    assert "- Red when it was declared: web is down\n" in text and "- Red when it was closed: CPU at 99 %\n" in text
    assert "- Done about it: deploy of the stack harbour by mina (as root) from 10.20.0.7: done after 0 min 9 s" in text
    assert "decision matrix" not in text  # what it says now is about another day
    assert "lost by deploy of the stack harbour, as its plan said: redis, 412 Redis keys: this Redis saves" in text
    assert "left behind by deploy of the stack harbour" in text
    made.close()


def test_the_bundle_holds_no_secret_and_is_for_its_owner_only(tmp_path: Path) -> None:
    """Without an engine, too: what can be had is in it, and what cannot is said."""
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    (tmp_path / ".env").write_text("DB_PASSWORD=canary-7788-openrye\n")
    made = samples(tmp_path, NOW)
    (made.places[-1] / "output.log").write_text("connecting with canary-7788-openrye\n")
    (made.places[-1] / "runner.log").write_text("mongodb://app:hunter2hunter2@db/\n")
    records.declare(tmp_path, "it is down", Priority.P1, "mina")
    records.append(tmp_path, "i1", "note", "sam", text="the password is canary-7788-openrye")
    one = records.read(tmp_path, "i1")
    room, site = Room(tmp_path, nothing), Site(directory=tmp_path)
    report = reporting.markdown(room, one, sample.well())
    path, said = bundle.bundle(site, msgspec.structs.replace(one, declared_at=NOW), sample.well(), report)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.parent == records.place(tmp_path, "i1")
    assert said.split()[0].isdigit()
    with tarfile.open(path) as tar:
        inside = {each.name: tar.extractfile(each) for each in tar.getmembers()}
        texts = {name: file.read().decode() for name, file in inside.items() if file is not None}
        assert all(each.mode == 0o600 for each in tar.getmembers())
    assert {"incident-i1/record.jsonl", "incident-i1/report.md"} <= texts.keys()
    assert any(name.endswith("/journal.jsonl") for name in texts)
    for name, text in texts.items():
        assert "canary-7788-openrye" not in text and "hunter2hunter2" not in text, name
        if name.endswith(".jsonl"):
            assert [json.loads(line) for line in text.splitlines()]
    assert not list(path.parent.glob(".bundle-*"))
    with pytest.raises(Exception, match="cannot be written"):
        bundle.bundle(site, one, sample.well(), report, path)
    made.close()
