"""`opsconsole incident` without an engine: what is recorded does not need one, and what cannot be seen is said."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.config import load_from
from opsconsole.incident.priority import Priority
from opsconsole.incident_room import records
from opsconsole.incident_room.telling import MakingUp, its_turn


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    return tmp_path


def run(stack: Path, *words: str) -> int:
    return main(["incident", *words, "--stack", str(stack)])


def test_the_record_is_written_without_an_engine(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "declare", "P2", "bookings", "fail") == 0
    assert "i1 is open. P2 High: major functionality impaired. bookings fail" in capsys.readouterr().out
    assert run(stack, "note", "asked", "the", "bank") == 0
    assert run(stack, "tick", "status") == 0 and run(stack, "escalate", "--why", "half an hour") == 0
    assert run(stack, "list", "--json") == 0
    one = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (one["name"], one["priority"], one["title"]) == ("i1", "P1", "bookings fail")
    assert run(stack, "escalate") == 2 and run(stack, "tick", "coffee") == 2 and run(stack, "note", "") == 2
    assert "P1 already" in capsys.readouterr().err
    assert run(stack, "declare", "P9", "bookings") == 2  # and is no title
    assert "P9 is no priority -> There are P1, P2, P3, P4." in capsys.readouterr().err


def test_everybody_of_notify_is_told_once_of_each_step(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = stack / "tell.sh"
    program.write_text('#!/bin/sh\necho "$OPSCONSOLE_EVENT $OPSCONSOLE_SEVERITY $OPSCONSOLE_TITLE" >> told\n')
    program.chmod(0o755)
    settings = stack / "opsconsole.toml"
    settings.write_text('[notify]\ncommand = ["./tell.sh"]\n')
    assert run(stack, "declare", "P2", "bookings", "fail") == 0
    assert "Told by command." in capsys.readouterr().out
    assert run(stack, "note", "asked") == 0 and run(stack, "escalate") == 0
    assert run(stack, "escalate", "--to", "P1") == 0  # it is one already
    assert run(stack, "close", "--yes", "a disk") == 0
    told = (stack / "told").read_text().splitlines()
    assert told == [
        "incident-declared critical P2 incident i1 is open: bookings fail",
        "incident-priority critical P1 incident i1 has another priority: bookings fail",
        "incident-closed critical P1 incident i1 is closed: bookings fail",
    ]
    assert [one.text for one in records.read(stack, "i1").entries if one.event == "told"] == ["told by command"] * 3
    program.write_text("#!/bin/sh\necho the pager is off; exit 7\n")
    assert run(stack, "declare", "P3", "again") == 0
    assert "NOT told by command: the program of [notify] failed with exit code 7" in capsys.readouterr().out
    settings.write_text('[notify]\ncommand = ["./tell.sh"]\nincidents = false\n')
    assert run(stack, "close", "--yes") == 0
    assert "told" not in capsys.readouterr().out


def test_what_nobody_was_told_of_as_its_teller_was_killed_is_made_up_for_once(stack: Path) -> None:
    program = stack / "tell.sh"
    program.write_text('#!/bin/sh\necho "$OPSCONSOLE_EVENT $OPSCONSOLE_TITLE" >> told\n')
    program.chmod(0o755)
    (stack / "opsconsole.toml").write_text('[notify]\ncommand = ["./tell.sh"]\n')
    records.declare(stack, "bookings fail", Priority.P2, "mina", ("api fails",))  # and killed before it told
    declared = records.read(stack, "i1").entries[0].at
    making_up = MakingUp(stack, "shop", lambda: load_from(stack))
    assert making_up.look(declared + timedelta(seconds=29)) == "", "whoever did it is at it"
    later = declared + timedelta(seconds=31)
    with its_turn(stack, "i1", waits=False) as ours:
        assert ours and making_up.look(later) == "", "another tells it now"
    assert making_up.look(later) == "Nobody had heard that i1 is open. Told by command."
    assert making_up.look(later) == "" and MakingUp(stack, "shop", lambda: load_from(stack)).look(later) == ""
    assert (stack / "told").read_text() == "incident-declared P2 incident i1 is open: bookings fail\n"
    records.note(stack, "i1", "asked", "mina")
    records.prioritise(stack, "i1", Priority.P2, "mina")  # it is one already
    assert making_up.look(later + timedelta(minutes=5)) == ""
    closed = records.close(stack, "i1", "mina", "a disk").entries[-1].at
    assert making_up.look(closed + timedelta(hours=2)) == "", "old news"
    assert "i1 is closed" in making_up.look(closed + timedelta(seconds=40))


def test_what_is_red_keeps_an_incident_open_until_somebody_says_so(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stack, "declare") == 0  # from the worst that is red
    one = records.read(stack, "i1")
    assert one.title.startswith("the container engine cannot be reached") and one.priority == "P1"
    assert run(stack, "close", "mended") == 2
    assert "was not closed: 1 thing is still red" in capsys.readouterr().err
    assert run(stack, "close", "mended", "--yes") == 0 and not records.read(stack, "i1").is_open
    assert run(stack, "note", "late") == 2


def test_read_only_writes_nothing(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--read-only", "incident", "declare", "P3", "x", "--stack", str(stack)]) == 2
    assert "--read-only refuses everything that writes" in capsys.readouterr().err
    assert not (stack / ".opsconsole").exists()


def test_the_drills_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--incident", "list"]) == 0
    assert "slow-endpoint" in capsys.readouterr().out.split()
    assert main(["demo", "--incident", "coffee"]) == 2
