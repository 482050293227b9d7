"""The record of an incident: nothing said is lost, by two operators, a kill or a full disk; nobody else reads it."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.incident import course
from opsconsole.incident.course import Entry, Incident
from opsconsole.incident.priority import Priority
from opsconsole.incident_room import records
from opsconsole.model import SourceError
from tests.parts.machine import wait_until
from tests.ui_sample import NOW

NOTES = """
import sys
from pathlib import Path
from opsconsole.incident_room import records
for number in range(int(sys.argv[3])):
    records.note(Path(sys.argv[1]), "i1", f"{sys.argv[2]} {number}", sys.argv[2])
    print(number, flush=True)
"""


def declared(directory: Path) -> Incident:
    return records.declare(directory, "the api answers 502", Priority.P2, "mina", ("api fails",))


def start(directory: Path, who: str, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", NOTES, str(directory), who, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_course_of_an_incident(tmp_path: Path) -> None:
    one = declared(tmp_path)
    assert (one.name, one.priority, one.is_open, one.declared_by) == ("i1", Priority.P2, True, "mina")
    records.note(tmp_path, "i1", "asked the\nbank \x1b[31mred", "sam")
    one = records.tick(tmp_path, "i1", "status", "sam")
    assert one.ticks["status"].who == "sam" and "status" not in {item.key for item in one.to_do}
    assert "status" not in records.tick(tmp_path, "i1", "status", "mina", done=False).ticks
    with pytest.raises(SourceError, match="no item coffee"):
        records.tick(tmp_path, "i1", "coffee", "sam")
    assert records.escalate(tmp_path, "i1", "mina").priority is Priority.P1
    with pytest.raises(SourceError, match="P1 already"):
        records.escalate(tmp_path, "i1", "mina")
    records.append(tmp_path, "i1", "action", "mina", text="began: rollback", operation="op-1", reason="bad deploy")
    one = records.close(tmp_path, "i1", "mina", "rolled back")
    assert not one.is_open and one.resolution == "rolled back" and one.operations == ("op-1",)
    with pytest.raises(SourceError, match="closed already"):
        records.close(tmp_path, "i1", "mina")
    assert "\x1b" not in one.notes[0].text and "\n" not in one.notes[0].text
    assert declared(tmp_path).name == "i2"  # a name is given once
    assert [each.name for each in records.all_incidents(tmp_path)] == ["i2", "i1"]
    assert [course.said(each).split()[0] for each in one.entries] == [
        "declared", "sam:", "done:", "not", "now", "began:", "closed",
    ]  # fmt: skip


def test_nobody_else_can_read_it_and_no_secret_of_a_known_form_is_kept(tmp_path: Path) -> None:
    declared(tmp_path)
    records.note(tmp_path, "i1", "tried mongodb://app:hunter2hunter2@db/ with password=geheim123", "sam")
    place = records.place(tmp_path, "i1")
    for path in (tmp_path / ".opsconsole", place.parent, place):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    text = (place / "record.jsonl").read_text()
    assert stat.S_IMODE((place / "record.jsonl").stat().st_mode) == 0o600
    assert "hunter2hunter2" not in text and "geheim123" not in text


def test_two_operators_write_at_once(tmp_path: Path) -> None:
    declared(tmp_path)
    writers = [start(tmp_path, who, 15) for who in ("mina", "sam")]
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == "" and writer.returncode == 0
    notes = records.read(tmp_path, "i1").notes
    for who in ("mina", "sam"):
        assert [one.text for one in notes if one.who == who] == [f"{who} {number}" for number in range(15)]
    assert [one.n for one in records.read(tmp_path, "i1").entries] == list(range(31))


def test_one_waits_until_the_other_has_written(tmp_path: Path) -> None:
    declared(tmp_path)
    with (records.place(tmp_path, "i1") / "record.jsonl").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        writer = start(tmp_path, "sam", 1)
        waits = re.compile(rf"-> FLOCK .* {writer.pid} ")
        wait_until(lambda: waits.search(Path("/proc/locks").read_text()), 30, "it does not wait for the lock")
        assert records.read(tmp_path, "i1").notes == ()
    assert writer.communicate(timeout=60)[1] == "" and len(records.read(tmp_path, "i1").notes) == 1


def test_two_declare_at_once_and_get_two_names(tmp_path: Path) -> None:
    code = "import sys; from tests.test_incident_records import declared; from pathlib import Path; "
    code += "print(declared(Path(sys.argv[1])).name)"
    two = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert sorted(one.communicate(timeout=60)[0].strip() for one in two) == ["i1", "i2"]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    declared(tmp_path)
    writer = start(tmp_path, "mina", 100_000)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(5)]
    writer.send_signal(signal.SIGKILL)
    said += writer.communicate(timeout=60)[0].splitlines()
    known = [one.text for one in records.read(tmp_path, "i1").notes]
    assert set(known) >= {f"mina {number.strip()}" for number in said if number.strip()}
    assert records.note(tmp_path, "i1", "after the kill", "sam").notes[-1].text == "after the kill"


def test_a_torn_line_is_left_and_the_next_record_stands_alone(tmp_path: Path) -> None:
    declared(tmp_path)
    path = records.place(tmp_path, "i1") / "record.jsonl"
    with path.open("ab") as file:
        file.write(b'{"n":1,"at":"2026-01-01T00:00:00Z","event":"no')
    one = records.note(tmp_path, "i1", "still here", "sam")
    assert [each.text for each in one.notes] == ["still here"] and [each.n for each in one.entries] == [0, 1]
    assert b'"event":"no\n' in path.read_bytes()


def test_a_disk_that_is_full_keeps_no_half_record(tmp_path: Path) -> None:
    declared(tmp_path)
    path = records.place(tmp_path, "i1") / "record.jsonl"
    before = path.read_bytes()
    child = os.fork()
    if child == 0:  # the limit holds for this process to its end
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, len(before) + 20))
        try:
            records.note(tmp_path, "i1", "a note that is longer than the room that is left", "sam")
        except SourceError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_bytes() == before
    assert records.note(tmp_path, "i1", "there is room again", "sam").notes[-1].text == "there is room again"


def test_an_incident_that_could_not_be_written_takes_no_name(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
        try:
            declared(tmp_path)
        except SourceError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert list((tmp_path / ".opsconsole" / "incidents").iterdir()) == []
    assert declared(tmp_path).name == "i1"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    declared(tmp_path)
    path, other = records.place(tmp_path, "i1") / "record.jsonl", tmp_path / "other"
    other.write_text("")
    path.unlink()
    path.symlink_to(other)
    with pytest.raises(SourceError, match="cannot be written"):
        records.note(tmp_path, "i1", "x", "sam")
    assert other.read_text() == ""


def test_a_p2_asks_for_escalation_after_thirty_minutes_and_never_escalates_by_itself() -> None:
    one = course.course("i1", [Entry(n=0, at=NOW, event="declare", priority=Priority.P2, text="x", who="mina")])
    assert one.escalates_in(NOW + timedelta(minutes=29)) == 60.0
    later = NOW + timedelta(minutes=45)
    assert one.escalates_in(later) == -900.0 and one.priority is Priority.P2
    lowered = Entry(n=1, at=NOW + timedelta(minutes=40), event="priority", priority=Priority.P3, who="mina")
    raised = msgspec.structs.replace(lowered, n=2, at=NOW + timedelta(minutes=41), priority=Priority.P2)
    one = course.course("i1", [*one.entries, lowered])
    assert one.escalates_in(later) is None
    # A P2 anew: its half hour begins anew.
    assert course.course("i1", [*one.entries, raised]).escalates_in(later) == 26 * 60.0


def test_who_ticked_first_did_it(tmp_path: Path) -> None:
    declared(tmp_path)
    records.tick(tmp_path, "i1", "logs", "mina")
    assert records.tick(tmp_path, "i1", "logs", "sam").ticks["logs"].who == "mina"
