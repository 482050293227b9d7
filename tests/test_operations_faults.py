"""What fails around a deploy while it works: the engine, the disk, the terminal. It is loud, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, places, releases, unfinished
from opsconsole.operations.journal import Result
from tests.deploy_stack import SMALL, DeployStack, deploy_stack
from tests.operation_stack import FIXTURE
from tests.parts import engine as engines
from tests.parts import images
from tests.parts.disk import fill, small_disk
from tests.parts.engine import Engine
from tests.parts.machine import locked, wait_until
from tests.terminal import OPSCONSOLE, Terminal

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an engine and a disk of one's own need root")

SETTINGS = "[deploy]\nsoak_seconds = 0\ngate_seconds = 30\n"
STUBBORN = '["sh", "-c", "trap : TERM; until [ -e /tmp/let-go ]; do sleep 0.2; done"]'
"""A deploy that replaces it waits until it is let go."""


@contextlib.contextmanager
def first_version(engine: Engine, place: Path, word: str, *, grace: int = 60) -> Iterator[DeployStack]:
    """Version 1 runs, by a deploy, and the files say version 2."""
    with deploy_stack(engine, place, word) as made:
        made.template = SMALL.replace(
            "stop_grace_period: 1s\n    environment", f"stop_grace_period: {grace}s\n    environment"
        )
        for version in ("1", "2"):
            container = engine.docker("create", "--label", f"version={version}", FIXTURE, "x")
            engine.docker("commit", "--change", f"LABEL version={version}", container, f"{made.project}-web:{version}")
            engine.docker("rm", container)
        made.write(version="1", settings=SETTINGS, command=STUBBORN)
        yield made


def deployed(made: DeployStack) -> DeployStack:
    assert main(["deploy", "--yes", "--stack", str(made.directory)]) == 0
    made.write(version="2", settings=SETTINGS)
    return made


def newest(made: DeployStack) -> Path:
    return places.existing_operations(made.directory)[-1]


def version(made: DeployStack) -> str:
    """That of the one container of web, which runs."""
    containers = [one for name, one in made.inspected().items() if "web" in name]
    assert [one["State"]["Status"] for one in containers] == ["running"]  # type: ignore[index]
    return str(containers[0]["Config"]["Labels"]["version"])  # type: ignore[index]


def ops(made: DeployStack, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OPSCONSOLE, *words], cwd=made.directory, env={**os.environ, **made.engine.env}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180, check=False,
    )  # fmt: skip


def begin_deploy(made: DeployStack) -> subprocess.Popen[str]:
    """The installed command, until Compose waits for the old container to end."""
    before = len(places.existing_operations(made.directory))
    process = subprocess.Popen(
        [OPSCONSOLE, "deploy", "--yes"], cwd=made.directory, env={**os.environ, **made.engine.env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until_it_recreates(made, before)
    return process


def wait_until_it_recreates(made: DeployStack, before: int) -> None:
    wait_until(lambda: len(places.existing_operations(made.directory)) > before, 60, "it does not begin")
    wait_until(lambda: any("_" in name for name in made.ids()), 60, "nothing is being replaced")


def let_go(made: DeployStack) -> None:
    """The container that is being replaced may end."""
    made.engine.docker("exec", made.name("web"), "touch", "/tmp/let-go", check=False)


# --- the engine --------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_the_engine_is_stopped_in_mid_deploy(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back waits for it and leads to the version before. Away for longer than it waits, exit code 4 and the
    commands, which do it once the engine is back."""
    with locked("pruned-engine"):
        own = engines.start(engines.PRUNED)
        try:
            for variable, value in own.env.items():
                monkeypatch.setenv(variable, value)
            images.build(own, FIXTURE)
            with first_version(own, tmp_path, "halted", grace=5) as made:
                _halt_in_mid_deploy(deployed(made))
                _halt_for_good(made)
        finally:
            engines.stop(own)


def _halt_in_mid_deploy(made: DeployStack) -> None:
    kept = made.kept()
    process = begin_deploy(made)
    engines.halt(made.engine)
    place = newest(made)
    wait_until(lambda: any(one.event == "way-back" for one in journal.read(place)), 60, "it does not turn back")
    refused = ops(made, "stop", "--yes")
    assert refused.returncode == 2, refused.stdout  # nothing can be planned without an engine, and nothing is
    assert journal.is_alive(place) and process.poll() is None

    engines.resume(made.engine)
    said = process.communicate(timeout=180)[0]
    assert process.returncode == 3 and "ROLLED-BACK after" in said, said
    last = journal.read(place)[-1]
    assert last.result is Result.ROLLED_BACK and last.problem, last
    assert version(made) == "1" and made.kept() == kept
    assert chain.verify(made.directory) == ()
    assert [one.state.value for one in releases.all_releases(made.directory)] == ["good", "failed"]


def _halt_for_good(made: DeployStack) -> None:
    """It does not come back while the way back waits for it."""
    kept = made.kept()
    made.write(version="2", settings=f"{SETTINGS}engine_seconds = 0.5\n")
    process = begin_deploy(made)
    engines.halt(made.engine)
    said = process.communicate(timeout=180)[0]
    place = newest(made)
    last = journal.read(place)[-1]
    assert process.returncode == 4 and last.result is Result.ROLLBACK_FAILED and "ROLLBACK-FAILED after" in said, said
    assert last.by_hand and all(line in said for line in last.by_hand), said
    assert "how the stack stands now is not known" in " ".join(last.state)
    assert unfinished.unfinished(made.directory) == ()

    engines.resume(made.engine)
    environment = {**os.environ, **made.engine.env}
    for line in last.by_hand:
        subprocess.run(shlex.split(line), cwd=made.directory, env=environment, timeout=120, check=True)
    assert version(made) == "1" and made.kept() == kept
    assert chain.verify(made.directory) == ()


# --- the disk ----------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_the_disk_is_full_in_mid_deploy(engine: Engine, tmp_path: Path) -> None:
    """What is kept back is enough to go back and to record it."""
    with first_version(engine, tmp_path, "filled") as made, small_disk(made.directory / ".opsconsole"):
        deployed(made)
        kept = made.kept()
        process = begin_deploy(made)
        fill(made.directory / ".opsconsole")
        let_go(made)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 3 and "ROLLED-BACK after" in said, said
        assert f"the disk of {made.directory}/.opsconsole is full" in said
        last = journal.read(newest(made))[-1]
        assert last.result is Result.ROLLED_BACK and not unfinished.unfinished(made.directory)
        assert version(made) == "1" and made.kept() == kept
        assert chain.verify(made.directory) == ()


@pytest.mark.timeout(300)
def test_the_disk_is_full_and_what_was_kept_back_is_gone_too(engine: Engine, tmp_path: Path) -> None:
    with first_version(engine, tmp_path, "full") as made, small_disk(made.directory / ".opsconsole"):
        deployed(made)
        kept = made.kept()
        process = begin_deploy(made)
        place = newest(made)
        (made.directory / ".opsconsole" / "reserve").unlink()
        filler = fill(made.directory / ".opsconsole")
        let_go(made)
        said = process.communicate(timeout=120)[0]
        # What can be recorded no more is not done either: it ends there, and says so.
        assert process.returncode == 1 and "half done: deploy" in said, said
        assert f"opsconsole operations undo {place.name}" in said
        assert f"the disk of {made.directory}/.opsconsole is full" in said
        assert not journal.has_ended(place) and [one.operation for one in unfinished.unfinished(made.directory)]
        # A last record or two may still fit: it ends after the new version runs, or on its way back.
        assert version(made) in ("1", "2") and made.kept() == kept
        refused = ops(made, "operations", "undo", place.name, "--yes")
        assert refused.returncode == 2 and "No space left on device" in refused.stdout, refused.stdout

        stopped = ops(made, "rollback", "emergency-stop", "--yes")
        assert stopped.returncode == 0 and "without a journal" in stopped.stdout, stopped.stdout
        assert made.running() == set()
        made.compose("start")

        filler.unlink()
        undone = ops(made, "operations", "undo", place.name, "--yes")
        assert undone.returncode == 0, undone.stdout
        assert version(made) == "1" and made.kept() == kept
        assert not unfinished.unfinished(made.directory)
        assert releases.read(made.directory, "r1").state is releases.State.GOOD
        assert chain.verify(made.directory) == ()

        # Room for the plan, none for all of the evidence: it stops all the same.
        fill(made.directory / ".opsconsole", leave=16 << 10)
        stopped = ops(made, "rollback", "emergency-stop", "--yes")
        assert made.running() == set(), stopped.stdout


# --- the terminal ------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_the_terminal_is_closed_in_mid_deploy(engine: Engine, tmp_path: Path) -> None:
    """The operation goes on; a second terminal watches it to its end."""
    with first_version(engine, tmp_path, "hangup") as made:
        deployed(made)
        kept = made.kept()
        before = len(places.existing_operations(made.directory))
        with Terminal(OPSCONSOLE, "deploy", cwd=made.directory, env=made.engine.env) as first:
            first.wait_for("Do it? [y/N]")
            first.type("y\r")
            wait_until_it_recreates(made, before)
            first.hang_up()
            first.wait_for_end()
        place = newest(made)
        assert journal.is_alive(place) and not journal.has_ended(place)
        with Terminal(OPSCONSOLE, "operations", "watch", place.name, cwd=made.directory, env=made.engine.env) as second:
            second.wait_for("Recreate web")
            let_go(made)
            second.wait_for("DEPLOYED after")
            assert second.wait_for_end() == 0
        assert version(made) == "2" and made.kept() == kept
        assert chain.verify(made.directory) == ()
