"""Back to a kept release: by hand, with every name of its images gone, with no registry, and back again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from opsconsole.cli import main
from opsconsole.config import Config
from opsconsole.incident_room import kept_releases
from opsconsole.model import Alert, AlertState, Reading, Severity, Snapshot, SourceState
from opsconsole.monitor import Monitor
from opsconsole.operations import chain, facts, journal, places, releases
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Fate
from opsconsole.real_sources import real_sources
from tests.deploy_stack import DeployStack, deploy_stack
from tests.operation_stack import FIXTURE
from tests.parts import engine as engines
from tests.parts import images
from tests.parts.engine import Engine
from tests.parts.machine import locked, wait_until

pytestmark = pytest.mark.usefixtures("forked_operations")

BREAKABLE = '["CMD-SHELL", "test ! -e /store/breaks-the-first"]'


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployStack]:
    """r1 and r2 are good, r2 runs. A file in the volume makes r1 ill."""
    with deploy_stack(engine, tmp_path_factory.mktemp("back"), "back") as made:
        made.write(version="1", test=BREAKABLE, replicas="1")
        assert run(made, "deploy") == 0
        made.write(version="2", level="debug", replicas="1")
        assert run(made, "deploy") == 0
        assert made.releases() == {"r1": "good", "r2": "good"}
        yield made


def run(stack: DeployStack, *words: str) -> int:
    return main([*words, "--yes", "--stack", str(stack.directory)])


def end(stack: DeployStack) -> journal.Entry:
    return journal.read(places.existing_operations(stack.directory)[-1])[-1]


def runs(stack: DeployStack) -> str:
    now = stack.current()
    return now.name if now else ""


def test_back_and_forth(stack: DeployStack, capsys: pytest.CaptureFixture[str]) -> None:
    kept, store = stack.kept(), stack.ids()[stack.name("store")]
    plan = stack.rollback()
    assert [(one.service, one.fate) for one in plan.changes] == [
        ("store", Fate.UNCHANGED), ("migrate", Fate.RECREATE), ("web", Fate.RECREATE),
    ]  # fmt: skip
    assert run(stack, "rollback", "previous-image") == 0
    assert runs(stack) == "r1" and stack.kept() == kept
    web = stack.inspected()[stack.name("web")]
    assert "LEVEL=info" in web["Config"]["Env"]  # type: ignore[index]
    assert stack.ids()[stack.name("store")] == store
    # The stack goes on to be read from the operator's own files.
    look = stack.look()
    assert look.compose_files == (str(stack.directory / "compose.yaml"),)
    seen = {one.service: one for one in look.containers}
    assert seen["web"].image == f"{stack.project}-web"
    capsys.readouterr()
    assert run(stack, "rollback", "previous-image") == 2
    assert "no release before the one that runs is kept" in capsys.readouterr().err
    assert run(stack, "rollback", "previous-image", "--to", "r2") == 0
    assert runs(stack) == "r2" and stack.kept() == kept
    assert main(["releases", "--stack", str(stack.directory)]) == 0
    listed = capsys.readouterr().out
    assert "* r2" in listed and "  r1" in listed
    assert chain.verify(stack.directory) == ()


def test_drift_names_the_release(stack: DeployStack) -> None:
    assert run(stack, "rollback", "previous-image", "--to", "r1") == 0
    monitor = Monitor(real_sources(stack.directory, Config(), read_only=True), directory=str(stack.directory))
    monitor.start()
    try:
        snapshot = monitor.wait_until_settled(20, sizes_seconds=0.0)
    finally:
        monitor.stop()
    drift = {one.service: one.drift for one in snapshot.containers}
    assert drift["web"].startswith("runs release r1") and drift["store"] == ""
    assert run(stack, "rollback", "previous-image", "--to", "r2") == 0


def test_what_no_release_has_is_recorded_before_a_rollback(stack: DeployStack) -> None:
    """Somebody typed `docker compose up` in between."""
    stack.write(version="3", level="trace", replicas="1")
    stack.compose("up", "--detach", "--build", "--wait", "web")
    images = stack.images()
    try:
        assert run(stack, "rollback", "previous-image", "--to", "r1") == 0
        assert runs(stack) == "r1" and stack.releases()["r3"] == "found"
        assert run(stack, "rollback", "previous-image", "--to", "r3") == 0
        assert stack.images()[stack.name("web")] == images[stack.name("web")]
        assert "LEVEL=trace" in stack.inspected()[stack.name("web")]["Config"]["Env"]  # type: ignore[index]
    finally:
        assert run(stack, "rollback", "previous-image", "--to", "r2") == 0


def test_what_was_found_ill_is_nothing_to_go_back_to(stack: DeployStack, capsys: pytest.CaptureFixture[str]) -> None:
    """The rollback that leads away from it records it, and the next one must not lead there again."""
    stack.write(version="2", level="debug", replicas="1", command='["sh", "-c", "exit 3"]')
    stack.compose("up", "--detach", "--build", "web")
    name = stack.name("web")
    wait_until(lambda: stack.inspected()[name]["State"]["Status"] == "restarting", 30, "it does not crash")  # type: ignore[index]
    stack.write(version="2", level="debug", replicas="1")
    assert run(stack, "rollback", "previous-image", "--to", "r2") == 0
    ill = max(stack.releases(), key=lambda one: int(one[1:]))
    found = releases.read(stack.directory, ill)
    assert (found.state, found.returnable) == (releases.State.FOUND, False)
    capsys.readouterr()
    assert run(stack, "rollback", "previous-image", "--to", ill) == 2
    assert f"{ill} was not well when it was recorded" in capsys.readouterr().err


def test_a_rollback_that_does_not_get_well_goes_back_to_where_it_was(
    stack: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    images, kept = stack.images(), stack.kept()
    stack.compose("exec", "-T", "store", "touch", "/store/breaks-the-first")
    try:
        assert run(stack, "rollback", "previous-image", "--to", "r1") == 3
    finally:
        stack.compose("exec", "-T", "store", "rm", "/store/breaks-the-first")
    last = end(stack)
    assert last.result is Result.ROLLED_BACK and "is unhealthy" in last.problem
    assert "WAY BACK, back to r2" in capsys.readouterr().out
    assert runs(stack) == "r2" and stack.images() == images and stack.kept() == kept
    assert stack.releases()["r1"] == "good"


def test_back_with_a_compose_file_that_cannot_be_read(stack: DeployStack, capsys: pytest.CaptureFixture[str]) -> None:
    file, kept = stack.directory / "compose.yaml", stack.kept()
    text = file.read_text()
    try:
        file.write_text("services: [this is broken")
        assert run(stack, "rollback", "previous-image", "--to", "r1") == 0
        assert "the compose file cannot be read now" in capsys.readouterr().out
        assert run(stack, "rollback", "previous-image", "--to", "r2") == 0
    finally:
        file.write_text(text)
    assert runs(stack) == "r2" and stack.kept() == kept


def test_images_that_are_gone_are_told_beforehand(stack: DeployStack, capsys: pytest.CaptureFixture[str]) -> None:
    """As `docker system prune -a` leaves it: the container that keeps an image goes first, then the image."""
    web = releases.read(stack.directory, "r1").service("web")
    assert web is not None
    keeper = f"opsconsole-{stack.project}-keeps-{web.image_id.removeprefix('sha256:')[:12]}"
    stack.engine.docker("rm", keeper)
    stack.engine.docker("image", "rm", "--force", web.image_id)
    ids = stack.ids()
    assert run(stack, "rollback", "previous-image", "--to", "r1") == 2
    said = capsys.readouterr().err
    assert "r1 cannot run: its images are gone from the engine (web)" in said and "system prune" in said
    assert stack.ids() == ids
    # Nor is it recommended: it would be a plan that refuses.
    containers = facts.observe(stack.directory, stack.config())[0]
    red = Alert(rule="crash-loop", subject="web", severity=Severity.CRITICAL, state=AlertState.FIRING,
                since=datetime.now(UTC), message="web crashes again and again")  # fmt: skip
    seen = Snapshot(sampled_at=datetime.now(UTC), containers=containers, alerts=(red,),
                    readings={"engine": Reading(source="engine", state=SourceState.OK)})  # fmt: skip
    before = kept_releases.ways_back(stack.directory, seen).before
    assert before is not None and (before.name, before.gone) == ("r1", ("web",))
    quiet = kept_releases.ways_back(stack.directory, msgspec.structs.replace(seen, alerts=())).before
    assert quiet is not None and not quiet.gone  # while nothing is red the engine is not asked


def test_restart_all_is_the_ordinary_restart(stack: DeployStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "restart-all", "--plan", "--stack", str(stack.directory)]) == 0
    assert "restart of the stack" in capsys.readouterr().out


@pytest.mark.timeout(180)
def test_a_replacement_that_was_killed_is_set_right(engine: Engine, tmp_path: Path) -> None:
    """Compose dies while the old container takes its time to stop: the new one stays half made, under an odd name."""
    with deploy_stack(engine, tmp_path, "halfmade") as made:
        slow = '["sh", "-c", "trap : TERM; while :; do sleep 1; done"]'
        made.write(init="false", command=slow, grace="4", replicas="1")
        assert run(made, "deploy") == 0
        process = subprocess.Popen(
            ["docker", "compose", "up", "--detach", "--no-deps", "--force-recreate", "web"],
            cwd=made.directory, env={**os.environ, **made.engine.env},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_until(lambda: any("_" in name for name in made.ids()), 30, "nothing is being replaced")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert sum("web" in name for name in made.ids()) == 2
        assert run(made, "deploy") == 0
        assert sorted(made.ids()) == [made.name("migrate"), made.name("store"), made.name("web")]
        assert runs(made) and made.running() == {"store", "web"}


# --- an engine of its own: everything on it may be pruned ------------------------------------------


@contextlib.contextmanager
def engine_of_its_own(patch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """In a network without a way out: no registry is reached from it."""
    with locked("pruned-engine"):
        own = engines.start(engines.PRUNED)
        try:
            for variable, value in own.env.items():
                patch.setenv(variable, value)
            images.build(own, FIXTURE)
            yield own
        finally:
            engines.stop(own)


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="an engine of one's own needs root")
def test_rollback_with_every_unused_image_pruned_and_no_registry(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_of_its_own(monkeypatch) as own, deploy_stack(own, tmp_path, "pruned") as made:
        made.write(version="1", replicas="1")
        assert run(made, "deploy") == 0
        first, kept = made.images(), made.kept()
        made.write(version="2", level="debug", replicas="1")
        assert run(made, "deploy") == 0
        assert made.images() != first
        own.docker("image", "prune", "--all", "--force")
        own.docker("builder", "prune", "--all", "--force")
        assert run(made, "rollback", "previous-image") == 0
        assert made.images() == first and made.kept() == kept
        # Without their containers the images are no longer held, tag or not: that is what the keepers are for.
        keepers = own.docker("ps", "--all", "--quiet", "--filter", "label=opsconsole.keeps").split()
        own.docker("rm", *keepers)
        own.docker("image", "prune", "--all", "--force")
        assert run(made, "rollback", "previous-image", "--to", "r2") == 2
        assert made.images() == first
        assert facts.observe(made.directory, Config())[0]
