"""`rollback config` on a real stack: files of a release or a commit with the images of now, and back when it is bad."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import releases, unfinished
from opsconsole.operations.file_acts import KEPT
from opsconsole.operations.journal import Result
from tests.git_trees import git
from tests.operation_stack import CANARY
from tests.parts.engine import Engine
from tests.update_stack import BUILT, UpdateStack, update_stack

pytestmark = pytest.mark.usefixtures("forked_operations")


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpdateStack]:
    """Release r2 is the first one with LEVEL=info; r3 runs, with LEVEL=debug, a newer image and another env file."""
    with update_stack(engine, tmp_path_factory.mktemp("configured"), "config") as made:
        assert main(["deploy", "--yes", "--stack", str(made.directory)]) == 0
        made.good = releases.all_releases(made.directory)[-1].name  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def later(stack: UpdateStack) -> UpdateStack:
    """Another configuration and another image run."""
    directory = stack.directory
    (directory / "compose.yaml").write_text(stack.text(level="debug", more=', EXTRA_TOKEN: "${EXTRA_TOKEN}"'))
    stack.write_env("EXTRA_TOKEN=spring-0815-secret\n")
    (directory / "Dockerfile").write_text(BUILT.replace("version=1", "version=2"))
    stack.compose("up", "--detach", "--build", "--wait")
    return stack


def rollback(stack: UpdateStack, *words: str) -> int:
    return main(["rollback", "config", "--yes", *words, "--stack", str(stack.directory)])


def described(path: Path) -> tuple[bytes, int, int, int]:
    found = path.stat()
    return path.read_bytes(), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


def files(stack: UpdateStack) -> dict[str, tuple[bytes, int, int, int]]:
    return {name: described(stack.directory / name) for name in ("compose.yaml", ".env")}


def test_to_a_release(later: UpdateStack, capsys: pytest.CaptureFixture[str]) -> None:
    good: str = later.good  # type: ignore[attr-defined]
    images, before, store = later.images(), files(later), later.started()
    if os.geteuid() == 0:
        os.chown(later.directory / ".env", 4711, 4712)
        before = files(later)
    assert rollback(later, "--to", good, "--plan") == 0
    said = capsys.readouterr().out
    assert f"Put the files of {good} in place: compose.yaml, .env" in said
    assert "~ service web: environment.LEVEL: debug -> info" in said and "environment.EXTRA" in said
    assert files(later) == before, "a plan changes nothing"
    assert rollback(later, "--to", good) == 0
    after = files(later)
    assert after["compose.yaml"][0].decode() == later.text() and b"EXTRA" not in after[".env"][0]
    assert {name: one[1:] for name, one in after.items()} == {name: one[1:] for name, one in before.items()}
    assert later.images() == images, "the images of now"
    assert "LEVEL=info" in later.environment() and "EXTRA" not in later.environment()
    assert len(later.started().keys() & store.keys()) == 1, "only the service that changed was recreated"
    kept = later.newest() / KEPT
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in kept.iterdir())
    assert {before["compose.yaml"][0], before[".env"][0]} <= {path.read_bytes() for path in kept.iterdir()}
    written = "".join(path.read_text(errors="replace") for path in later.newest().iterdir() if path.is_file())
    assert "spring-0815-secret" not in written and CANARY not in written
    newest = releases.all_releases(later.directory)[-1]
    assert newest.state is releases.State.GOOD and newest.name != good
    # What is so already is not done again; without a name the newest one that differs is taken.
    assert rollback(later, "--to", good) == 0
    assert f"are as {good} has them" in capsys.readouterr().out
    # One command takes it back, and is refused where that would cost somebody's change.
    (later.directory / "compose.yaml").write_text(later.text() + "# mine\n")
    assert rollback(later, "--undo") == 2
    assert "compose.yaml was changed after it was put in place" in capsys.readouterr().err
    (later.directory / "compose.yaml").write_bytes(after["compose.yaml"][0])
    assert rollback(later, "--undo", "--no-backup") == 0
    assert files(later) == before and later.images() == images
    assert "LEVEL=debug" in later.environment() and "EXTRA" in later.environment()


def test_to_a_commit_that_is_bad_brings_every_file_back(later: UpdateStack, capsys: pytest.CaptureFixture[str]) -> None:
    git(later.directory, "stash", "--quiet")
    (later.directory / "compose.yaml").write_text(later.text(test="false"))
    git(later.directory, "commit", "--quiet", "--all", "--message", "This one is ill")
    bad = later.head()
    (later.directory / "compose.yaml").write_text(later.text())
    git(later.directory, "commit", "--quiet", "--all", "--message", "This one is well")
    git(later.directory, "checkout", "stash@{0}", "--", ".")
    git(later.directory, "stash", "drop", "--quiet")
    (later.directory / "compose.yaml").chmod(0o604)
    before, images, head = files(later), later.images(), later.head()
    assert rollback(later, "--commit", bad[:9]) == 3
    end = later.end()
    assert end.result is Result.ROLLED_BACK and "web" in end.problem
    assert files(later) == before and later.images() == images and later.head() == head
    assert "LEVEL=debug" in later.environment() and later.running() == {"store", "web"}
    failed = releases.all_releases(later.directory)[-1]
    assert failed.state is releases.State.FAILED and rollback(later, "--to", failed.name) == 2
    assert rollback(later, "--commit", "HEAD", "--plan") == 0
    said = capsys.readouterr().out
    assert "git will show compose.yaml as changed" in said and "environment.LEVEL: debug -> info" in said


@pytest.mark.parametrize(("at", "answer"), [("D05.1", "undo"), ("T04.1", "undo"), ("T05.1", "finish")])
def test_killed_and_finished_or_undone(later: UpdateStack, at: str, answer: str) -> None:
    before, images = files(later), later.images()
    good: str = later.good  # type: ignore[attr-defined]
    plan = later.plan("config", to=good)
    place, code = later.run(plan, OPS_KILL_AT=at)
    assert code == -signal.SIGKILL
    assert [one.operation for one in unfinished.unfinished(later.directory)] == [place.name]
    assert main(["operations", answer, place.name, "--yes", "--stack", str(later.directory)]) == 0
    assert unfinished.unfinished(later.directory) == () and later.images() == images
    if answer == "undo":
        assert files(later) == before and "LEVEL=debug" in later.environment()
    else:
        assert files(later)["compose.yaml"][0].decode() == later.text() and "LEVEL=info" in later.environment()


def test_killed_while_it_is_undone(later: UpdateStack) -> None:
    """One of the two files is back, the other is not."""
    before, images = files(later), later.images()
    good: str = later.good  # type: ignore[attr-defined]
    place, _ = later.run(later.plan("config", to=good), OPS_KILL_AT="T05.2")
    killed, code = later.run(later.plan("undo", operation=place.name), OPS_KILL_AT="T06.1")
    assert code == -signal.SIGKILL and files(later) != before
    assert [one.operation for one in unfinished.unfinished(later.directory)] == [killed.name]
    assert main(["operations", "undo", killed.name, "--yes", "--stack", str(later.directory)]) == 0
    assert files(later) == before and later.images() == images and "LEVEL=debug" in later.environment()
    assert unfinished.unfinished(later.directory) == ()


def test_a_file_that_somebody_changed_since_is_not_overwritten_by_the_undo(later: UpdateStack) -> None:
    good: str = later.good  # type: ignore[attr-defined]
    place, _ = later.run(later.plan("config", to=good), OPS_KILL_AT="T05.2")
    (later.directory / "compose.yaml").write_text(later.text(level="somebody's own"))
    assert main(["operations", "undo", place.name, "--yes", "--stack", str(later.directory)]) != 0
    assert "somebody's own" in (later.directory / "compose.yaml").read_text()
    assert "changed by somebody in between" in later.end().problem
    assert b"EXTRA" in files(later)[".env"][0], "the other file is back"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "r99"), "r99"),
        (("--commit", "0123456"), "no commit 0123456"),
        (("--commit", "--output=/tmp/x"), ""),
        (("--to", "r1", "--commit", "HEAD"), "not beside --to"),
    ],
)
def test_what_is_not_there_is_refused(
    later: UpdateStack, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    before = files(later)
    try:
        assert rollback(later, *words) == 2
    except SystemExit as ended:  # argparse
        assert ended.code == 2
    assert told in capsys.readouterr().err and files(later) == before


def test_an_image_that_is_not_here_is_said_before_anything_is_touched(
    later: UpdateStack, capsys: pytest.CaptureFixture[str]
) -> None:
    (later.directory / "compose.yaml").write_text(later.text().replace("build: .", "image: opsconsole-nowhere:9"))
    git(later.directory, "commit", "--quiet", "--all", "--message", "An image that is gone")
    (later.directory / "compose.yaml").write_text(later.text(level="debug"))
    before = files(later)
    assert rollback(later, "--commit", "HEAD") == 2
    assert "images that are not on this engine: opsconsole-nowhere:9" in capsys.readouterr().err
    assert files(later) == before
