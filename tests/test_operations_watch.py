"""What is seen of operations from outside: how far one is, what it writes, what runs and what is half done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.commands import history
from opsconsole.operations import journal, past
from opsconsole.operations.attached import Attached, Standing
from opsconsole.operations.course import Course, Mark, Part, course
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.watch import Watch
from tests.operation_samples import (
    BUILD_OUTPUT,
    DEPLOY,
    RESTART,
    OperationSamples,
    begun,
    half_done,
    running_deploy,
    samples,
    step,
)
from tests.parts.machine import wait_until

NOW = datetime(2026, 3, 12, 14, 32, 10, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[OperationSamples]:
    found = samples(tmp_path, NOW)
    yield found
    found.close()


def of(place: Path) -> Course:
    return course(journal.read_plan(place), journal.read(place))


def attached(place: Path) -> Attached:
    one = Attached(place)
    ready: list[bool] = []
    one.start(lambda: ready.append(True))
    wait_until(lambda: bool(ready), 10, "nothing was read", interval=0.01)
    return one


# --- how far it is ---------------------------------------------------------------------------------


def test_a_course_has_the_marks_and_times_of_its_steps(made: OperationSamples) -> None:
    found = of(running_deploy(made))
    assert [one.mark for one in found.steps[:4]] == [Mark.DONE, Mark.DONE, Mark.RUNNING, Mark.TO_COME]
    assert found.current == found.reached == 2
    assert found.steps[1].seconds == 6.0
    assert found.seconds(NOW) == 34.0
    assert found.progress is not None and (found.progress.done, found.progress.total) == (9, 14)
    assert not found.returns  # nothing that turns back has begun


def test_the_way_back_stands_under_the_steps_once_it_is_taken(made: OperationSamples) -> None:
    place = next(place for place in made.places if journal.read(place)[-1].result is Result.ROLLED_BACK)
    found = of(place)
    assert [one.part for one in found.steps[-2:]] == [Part.STEPS, Part.WAY_BACK]
    assert found.failed is not None and found.failed.id == "gate:api"
    assert found.steps[found.reached or 0].id == "gate:api"
    assert found.turned is not None and not found.returns


def test_a_cancel_goes_back_once_a_step_that_turns_back_has_begun(made: OperationSamples) -> None:
    place = made.add(DEPLOY, timedelta(seconds=50), [*step(DEPLOY, 0, 0, 1), *begun(DEPLOY, 4, 2)], number=9)
    assert of(place).returns


def test_records_of_another_version_do_no_harm() -> None:
    at = NOW
    entries = [
        Entry(n=0, at=at, event="something new", previous=""),
        Entry(n=1, at=at, event="step", previous="", step="unknown", title="A step that the plan does not have"),
        Entry(n=2, at=at, event="step-end", previous="", step="never begun", result=Result.DONE),
        Entry(n=3, at=at, event="progress", previous="", text="3 of 7"),
    ]
    found = course(RESTART, entries)
    assert [one.id for one in found.steps] == ["restart", "gate", "unknown"]
    assert found.progress is not None
    assert course(None, entries).steps[0].mark is Mark.RUNNING


def test_how_long_it_takes_is_known_from_the_last_good_ones_alike(made: OperationSamples) -> None:
    known = past.expected(made.directory, DEPLOY)
    assert (known.seconds, known.of) == (111.0, 1)  # the one that failed does not count
    assert known.by_step["soak"] == 60.0
    for number, seconds in ((20, 91.0), (21, 301.0)):
        events = [event for at in range(8) for event in step(DEPLOY, at, at, 2.0)]
        end = (seconds, {"event": "end", "result": Result.DONE, "seconds": seconds})
        made.add(DEPLOY, timedelta(minutes=30), [*events, end], number=number)
    assert past.expected(made.directory, DEPLOY).seconds == 111.0
    assert past.expected(made.directory, DEPLOY, operation=made.places[0].name).seconds is None
    other = msgspec.structs.replace(RESTART, only=())
    assert past.expected(made.directory, other).seconds is None


# --- attached --------------------------------------------------------------------------------------


def test_attached_to_a_running_one_everything_so_far_is_there_and_the_rest_comes(made: OperationSamples) -> None:
    place = running_deploy(made)
    one = attached(place)
    try:
        assert one.standing is Standing.RUNNING
        assert one.expected.seconds == 111.0
        text = [line.text for line in one.take()]
        assert text[:3] == ["=== " + DEPLOY.steps[at].title for at in range(3)]
        assert text[3:] == BUILD_OUTPUT.splitlines()
        with (place / "output.log").open("a") as file:
            file.write("#10 half a li")
            file.flush()
            file.write("ne, then the rest\n")
        wait_until(lambda: len(one._lines) == 1, 10, "the new line did not come", interval=0.01)
        assert one.take()[0].text == "#10 half a line, then the rest"
        (place / "cancel").write_text("asked by mina")
        wait_until(lambda: one.cancel_asked == "asked by mina", 10, "the request was not seen", interval=0.01)
        made.close()  # kill -9
        wait_until(lambda: one.standing is Standing.HALF_DONE, 10, "it is not called half done", interval=0.01)
    finally:
        one.close()


def test_output_stands_under_the_step_that_wrote_it_also_when_all_is_read_at_once(made: OperationSamples) -> None:
    place = next(place for place in made.places if journal.read(place)[-1].result is Result.ROLLED_BACK)
    one = attached(place)
    text = [line.text for line in one.take()]
    build = text.index("=== Build api, worker")
    assert text[build + 1 : build + 1 + len(BUILD_OUTPUT.splitlines())] == BUILD_OUTPUT.splitlines()
    assert any(line.startswith("=== failed: harbour-api-1 is unhealthy") for line in text)
    assert any(line.startswith("=== WAY BACK, back to r7") for line in text)
    assert one.standing is Standing.ENDED


def test_what_later_steps_wrote_is_not_put_to_a_step_that_ran_no_command(
    made: OperationSamples, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[tuple[float, dict[str, object]]] = []
    for at, (begins, text) in enumerate(((0, "all is there"), (0, ""), (len("pulled\n"), ""))):
        one = DEPLOY.steps[at]
        events.append((at + 0.1, {"event": "step", "step": one.id, "title": one.title, "output_from": begins}))
        ended = {"event": "step-end", "step": one.id, "result": Result.DONE, "seconds": 0.5, "text": text}
        events.append((at + 0.6, ended))
    events.append((4.0, {"event": "end", "result": Result.DONE, "seconds": 4.0}))
    place = made.add(DEPLOY, timedelta(minutes=5), events, output="pulled\nbuilt\n", number=31)
    steps = [one.title for one in DEPLOY.steps]
    wanted = [f"=== {steps[0]}", "=== done: all is there", f"=== {steps[1]}", "pulled", f"=== {steps[2]}", "built"]
    assert [line.text for line in attached(place).take()] == wanted
    assert history.follow(place, as_json=False) == 0
    said = [line.split("> ")[-1].strip() for line in capsys.readouterr().out.splitlines()]
    known = (*steps, "pulled", "built")
    assert [line for line in said if line in known] == [steps[0], steps[1], "pulled", steps[2], "built"]


def test_of_a_huge_output_only_the_end_is_kept(made: OperationSamples) -> None:
    end = [(1.0, {"event": "end", "result": Result.DONE, "seconds": 1.0})]
    place = made.add(RESTART, timedelta(hours=1), [*begun(RESTART, 0, 0), *end], number=30)
    line = "x" * 99 + "\n"
    with (place / "output.log").open("w") as file:
        for _ in range(100):
            file.write(line * 1000)  # 10 MB
        file.write("the last line\n")
    one = attached(place)
    lines = one.take()
    assert lines[-1].text == "the last line"
    assert sum(len(line.text) for line in lines) < 5 << 20


def test_a_process_that_ended_before_it_did_anything(made: OperationSamples) -> None:
    import subprocess

    place = made.add(RESTART, timedelta(seconds=1), [], number=31)
    (place / "journal.jsonl").unlink()
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        one = Attached(place, process)
        one.start()
        wait_until(lambda: one.standing is Standing.NOTHING_DONE, 10, "it is not said to be over", interval=0.01)


# --- what runs -------------------------------------------------------------------------------------


def test_the_watch_sees_what_others_begin_what_ends_and_what_is_killed(made: OperationSamples) -> None:
    watch = Watch(made.directory, lambda seen: None)

    def look() -> tuple[list[str], list[str]]:
        watch.seen = watch.look()
        return [one.title for one in watch.seen.running], [one.operation for one in watch.seen.half_done]

    assert look() == ([], [])
    place = running_deploy(made)
    assert look() == (["deploy of the stack harbour"], [])
    one = watch.seen.running[0]
    assert (one.number, one.of, one.step) == (3, 8, "Build api, worker")
    assert one.who is not None and one.who.words() == "mina (as root) from 10.20.0.7"
    # It goes on: only its own records are read.
    line = msgspec.json.encode(Entry(n=9, at=NOW, event="step-end", previous="", step="build", result=Result.DONE))
    with (place / "journal.jsonl").open("ab") as file:
        file.write(line + b"\n" + b'{"n": 10, "torn')
    assert look()[0] and watch.seen.running[0].number == 3
    made.close()
    assert look() == ([], [place.name])


def test_an_idle_look_reads_nothing(made: OperationSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    half_done(made)
    watch = Watch(made.directory, lambda seen: None)
    watch.seen = watch.look()
    assert watch.seen.half_done

    def no_reading(*arguments: object, **options: object) -> None:
        raise AssertionError(f"an idle look has opened {arguments}")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_reading)
        patch.setattr(os, "scandir", no_reading)
        patch.setattr(Path, "read_bytes", no_reading)
        for _ in range(3):
            assert watch.look() is watch.seen


def test_what_ended_is_not_read_again(made: OperationSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(made.directory, lambda seen: None)
    watch.seen = watch.look()
    reads: list[str] = []
    read = journal.read
    monkeypatch.setattr(journal, "read", lambda place: reads.append(place.name) or read(place))  # type: ignore[func-returns-value]
    place = half_done(made)
    watch.seen = watch.look()
    assert {*reads} == {place.name}


def test_no_directory_and_a_closed_one(tmp_path: Path) -> None:
    watch = Watch(tmp_path, lambda seen: None)
    assert watch.look().running == ()
    (tmp_path / ".opsconsole").mkdir()
    (tmp_path / ".opsconsole" / "operations").write_text("not a directory")
    watch = Watch(tmp_path, lambda seen: None)
    assert watch.look().running == ()


def test_the_list_of_the_past_does_not_read_again_what_it_knows(
    made: OperationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = past.past(made.directory)
    assert [one.result for one in first] == ["done", "rolled-back", "done"]
    assert [one.exit_code for one in first] == [0, 3, 0]
    reads: list[str] = []
    read = journal.read
    monkeypatch.setattr(journal, "read", lambda place: reads.append(place.name) or read(place))  # type: ignore[func-returns-value]
    place = half_done(made)
    again = past.past(made.directory, {one.operation: one for one in first})
    assert reads == [place.name]
    assert [one.result for one in again] == ["half done", "done", "rolled-back", "done"]
