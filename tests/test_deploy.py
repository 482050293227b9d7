"""Deploys on real stacks: what changes, what stays, and that a bad one is undone by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.operations import chain, journal, places, releases
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Fate
from opsconsole.operations.plan_text import as_text
from tests.deploy_stack import SETTINGS, DeployStack, deploy_stack
from tests.operation_stack import CANARY
from tests.parts.engine import Engine
from tests.parts.machine import wait_until
from tests.parts.servers import Server

pytestmark = pytest.mark.usefixtures("forked_operations")

LONG_SOAK = SETTINGS.replace("0.2", "600")


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployStack]:
    with deploy_stack(engine, tmp_path_factory.mktemp("deployed"), "deploy") as made:
        yield made


@pytest.fixture
def deployed(stack: DeployStack) -> DeployStack:
    """A good release of the ordinary files runs."""
    stack.write()
    if not stack.runs_its_files():
        assert deploy(stack) == 0
    return stack


def newest(stack: DeployStack) -> Path:
    return places.existing_operations(stack.directory)[-1]


def deploy(stack: DeployStack, *words: str) -> int:
    return main(["deploy", "--yes", *words, "--stack", str(stack.directory)])


def end(stack: DeployStack) -> journal.Entry:
    return journal.read(newest(stack))[-1]


# --- the first one, and ordinary ones ----------------------------------------------------------------


def test_first_deploy_over_what_a_script_started(stack: DeployStack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.compose("up", "--detach", "--build")
    before, kept = stack.ids(), stack.kept()
    images = stack.images()
    stack.write(version="2", level="debug")
    plan = stack.plan()
    assert [(one.service, one.fate) for one in plan.changes] == [
        ("store", Fate.UNCHANGED),
        ("migrate", Fate.PERHAPS),
        ("web", Fate.RECREATE),
    ]
    text = as_text(plan)
    assert "no release has what runs now: it is recorded as r1 first" in text
    assert "web: the container was made from another configuration" in text
    assert deploy(stack) == 0
    said = capsys.readouterr().out
    assert "DEPLOYED after" in said and "Recreate web" in said
    after = stack.ids()
    assert after[stack.name("store")] == before[stack.name("store")]
    assert all(after[stack.name("web", number)] != before[stack.name("web", number)] for number in (1, 2))
    assert stack.kept() == kept and stack.migrations() == 2
    assert stack.releases() == {"r1": "found", "r2": "good"}
    found = releases.read(stack.directory, "r1")
    web = found.service("web")
    assert web is not None and web.image_id == images[stack.name("web")] and web.drifted and web.replicas == 2
    assert chain.verify(stack.directory) == ()


def test_a_release_has_everything_and_only_its_owner_reads_it(deployed: DeployStack) -> None:
    now = deployed.current()
    assert now is not None
    home = releases.place(deployed.directory, now.name)
    for path in (home, *home.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    stored = {one.path: (home / one.stored).read_bytes() for one in now.files}
    assert stored["compose.yaml"] == (deployed.directory / "compose.yaml").read_bytes()
    assert CANARY.encode() in stored[".env"] and CANARY in (home / "compose.yaml").read_text()
    for one in now.services:
        assert deployed.engine.docker("image", "inspect", "--format", "{{.Id}}", one.tag) == one.image_id
    written = "".join(path.read_text(errors="replace") for path in newest(deployed).iterdir() if path.is_file())
    assert CANARY not in written and CANARY not in as_text(deployed.plan())


def test_nothing_changed_makes_no_release_and_touches_nothing(
    deployed: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    before, known, ran = deployed.ids(), deployed.releases(), deployed.migrations()
    assert deploy(deployed) == 0
    assert "nothing had changed" in capsys.readouterr().out
    assert deployed.ids() == before and deployed.releases() == known and deployed.migrations() == ran


def test_the_plan_reads_key_by_key_and_json_says_the_same(
    deployed: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.write(level="warning", replicas="1")
    for service in ("web", "store"):
        deployed.engine.docker("exec", deployed.name(service), "touch", "/forgotten")
    here = ["deploy", "--plan", "--stack", str(deployed.directory)]
    assert main(here) == 0
    said = capsys.readouterr().out
    assert "~ environment.LEVEL: info -> warning" in said and "containers 2 -> 1" in said
    assert f"{deployed.project}-data" in said and "Return to release" in said
    lost = [line for line in said.splitlines() if "1 file in no volume, LOST: /forgotten" in line]
    assert len(lost) == 1 and deployed.name("web") in lost[0]  # store stays as it is
    assert main([*here, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["returns_to"] == deployed.current().name  # type: ignore[union-attr]
    assert {one["service"]: one["fate"] for one in plan["changes"]} == {
        "store": "unchanged", "migrate": "perhaps", "web": "recreate",
    }  # fmt: skip
    before = deployed.ids()
    assert deploy(deployed) == 2 and deployed.ids() == before, "--yes does not answer for what is lost"
    assert f"Agree with: --accept-loss {deployed.name('web')}, or name its directory once" in capsys.readouterr().err
    deployed.write(level="warning", replicas="1", settings=f'{SETTINGS}scratch = ["/forgotten"]\n')
    assert deployed.plan().to_accept == ()
    for service in ("web", "store"):
        deployed.engine.docker("exec", deployed.name(service), "rm", "/forgotten")


def test_an_image_that_cannot_be_pulled_and_is_here_is_used(
    deployed: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """127.0.0.1:9 is a registry that nobody reaches."""
    name = f"127.0.0.1:9/{deployed.project}-pulled:1"
    file = deployed.directory / "compose.yaml"
    file.write_text(
        file.read_text().replace("image: opsconsole-fixture/app:1\n    pull_policy: never", f"image: {name}")
    )
    assert deploy(deployed) == 1
    assert f"{name} is not on this engine and could not be pulled" in end(deployed).hint
    deployed.engine.docker("tag", "opsconsole-fixture/app:1", name)
    try:
        kept = deployed.kept()
        assert deploy(deployed) == 0
        assert f"could not be pulled, so the ones that are here are used: {name}" in capsys.readouterr().out
        assert deployed.kept() == kept
    finally:
        deployed.engine.docker("image", "rm", name, check=False)


# --- bad ones ----------------------------------------------------------------------------------------

BAD = {
    "build": ({"more": "RUN false"}, 1, "exit code"),
    "does not start": ({"init": "false", "command": '["/no/such/program"]'}, 3, "no such file or directory"),
    "never healthy": ({"test": '["CMD-SHELL", "echo cannot reach the shop; exit 1"]'}, 3, "cannot reach the shop"),
    "job fails": ({"job": '["sh", "-c", "exit 9"]'}, 3, "ended with exit code 9"),
    "missing key": ({"level": "${NO_SUCH_KEY}"}, 1, "the variable NO_SUCH_KEY is not set"),
    "empty key": ({"level": "${EMPTY_KEY}"}, 1, "the variable EMPTY_KEY is empty in .env"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_deploy_changes_nothing_or_is_undone(deployed: DeployStack, name: str) -> None:
    changed, code, said = BAD[name]
    env = (deployed.directory / ".env").read_text()
    (deployed.directory / ".env").write_text(f"{env}EMPTY_KEY=\n" if name == "empty key" else env)
    before, kept = deployed.current(), deployed.kept()
    ids, images = deployed.ids(), deployed.images()
    assert before is not None
    deployed.write(version=f"bad {name}".replace(" ", "-"), **changed)
    try:
        assert deploy(deployed) == code
    finally:
        (deployed.directory / ".env").write_text(env)
    last = end(deployed)
    assert last.result is (Result.ROLLED_BACK if code == 3 else Result.FAILED)
    assert said in last.problem + " ".join(last.last_lines), last
    now = deployed.current()
    assert now is not None and now.name == before.name
    assert deployed.images() == images and deployed.kept() == kept
    if code == 1:
        assert deployed.ids() == ids and set(deployed.releases()) == {*deployed.releases(), before.name}
        assert "candidate" not in deployed.releases().values()
    else:
        assert deployed.ids()[deployed.name("store")] == ids[deployed.name("store")]
        assert list(deployed.releases().values())[-1] == "failed"
    assert chain.verify(deployed.directory) == ()


CRASHES = "while [ ! -e /store/crash ]; do sleep 0.2; done; echo the queue is gone; exit 7"


def test_one_that_crashes_after_its_gate_goes_back_and_its_last_words_are_kept(deployed: DeployStack) -> None:
    before = deployed.current()
    deployed.write(version="crashes", command=json.dumps(["sh", "-c", CRASHES]), settings=LONG_SOAK)
    place, process = deployed.begin(deployed.plan())
    deployed.wait_for_step(place, "soak")
    deployed.compose("exec", "-T", "store", "touch", "/store/crash")
    try:
        assert process.wait(120) == 3
    finally:
        deployed.compose("exec", "-T", "store", "rm", "/store/crash")
    last = journal.read(place)[-1]
    assert last.result is Result.ROLLED_BACK and "crashed and was started again" in last.problem
    assert "the queue is gone" in last.last_lines
    assert deployed.current() == before


def test_what_the_preflight_will_find_is_in_the_plan_already(
    deployed: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.write(level="${NO_SUCH_KEY}")
    assert main(["deploy", "--plan", "--stack", str(deployed.directory)]) == 0
    assert "Note: the preflight will fail: the variable NO_SUCH_KEY is not set" in capsys.readouterr().out


def test_a_port_that_another_holds_is_found_before_anything_is_touched(deployed: DeployStack) -> None:
    ids = deployed.ids()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        deployed.write(ports=f'["127.0.0.1:{port}:80"]', replicas="1")
        assert deploy(deployed) == 1
    assert re.search(rf"web: port {port} is held by \S+ \(process \d+\)", end(deployed).problem)
    assert deployed.ids() == ids


def test_a_database_beside_the_stack_that_is_not_well_stops_a_deploy_before_anything_runs(
    deployed: DeployStack, host_mongod: Callable[..., Server], host_redis: Callable[..., Server]
) -> None:
    """One hangs, one refuses the login; then both answer."""
    mongod, store = host_mongod(), host_redis(password="right")
    addresses = '[mongodb]\nuri = "{}"\n[redis]\nurl = "redis://:{}@127.0.0.1:{}"\n'
    ids = deployed.ids()
    os.kill(mongod.process.pid, signal.SIGSTOP)
    try:
        deployed.write(level="debug", settings=SETTINGS + addresses.format(mongod.uri, "wrong-4711", store.port))
        assert deploy(deployed) == 1
    finally:
        os.kill(mongod.process.pid, signal.SIGCONT)
    records = journal.read(newest(deployed))
    assert [one.step for one in records if one.event == "step"] == ["preflight"] and deployed.ids() == ids
    problem = end(deployed).problem
    assert f"127.0.0.1:{mongod.port} does not answer in time" in problem or "no answer for 3 seconds" in problem
    assert "the password of user default was refused" in problem and "wrong-4711" not in problem
    assert "Mend this and deploy again" in end(deployed).hint

    deployed.write(level="debug", settings=SETTINGS + addresses.format(mongod.uri, "right", store.port))
    assert deploy(deployed) == 0
    (looked,) = [one.text for one in journal.read(newest(deployed)) if one.step == "preflight" and one.text]
    assert f"127.0.0.1:{mongod.port}" in looked and looked.endswith("beside the stack answers")
    # Stopped as one stops it: nothing listens there any more.
    mongod.stop()
    deployed.write(level="info", settings=SETTINGS + addresses.format(mongod.uri, "right", store.port))
    assert deploy(deployed) == 1
    assert "refuses connections: nothing listens there (start it, " in end(deployed).problem


def test_when_the_way_back_fails_too_the_commands_are_said(
    deployed: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    before = deployed.current()
    assert before is not None
    file = releases.compose_file(deployed.directory, before.name)
    text = file.read_text()
    deployed.write(version="lost", command='["/no/such/program"]')
    file.write_text("broken: [")
    try:
        assert deploy(deployed) == 4
    finally:
        file.write_text(text)
    said = capsys.readouterr().out
    assert "ROLLBACK-FAILED after" in said
    assert f"--file {file.relative_to(deployed.directory)} up --detach --no-deps --no-build --pull never web" in said
    last = end(deployed)
    assert last.result is Result.ROLLBACK_FAILED and last.by_hand
    # What is said by hand does it.
    for command in last.by_hand:
        subprocess.run(command.split(), cwd=deployed.directory, check=True, capture_output=True, timeout=120)
    wait_until(lambda: deployed.current() == before, 20, "it does not come back by hand")


def test_a_cancel_in_the_soak_goes_back(deployed: DeployStack) -> None:
    before = deployed.current()
    deployed.write(version="cancelled", settings=LONG_SOAK)
    place, process = deployed.begin(deployed.plan())
    deployed.wait_for_step(place, "soak")
    assert main(["operations", "cancel", place.name, "--stack", str(deployed.directory)]) == 0
    assert process.wait(60) == 3
    assert "cancelled in the step Soak" in journal.read(place)[-1].problem
    assert deployed.current() == before


def test_a_file_that_changes_during_the_build_is_not_deployed_unseen(deployed: DeployStack) -> None:
    """The hook before a deploy holds it up until somebody has typed."""
    ids, file = deployed.ids(), deployed.directory / "compose.yaml"
    go = deployed.directory / "go"
    hook = json.dumps(["sh", "-c", f"while [ ! -e {go} ]; do sleep 0.1; done"])
    deployed.write(level="planned", settings=f"{SETTINGS}[hooks]\nbefore_deploy = {hook}\n")
    place, process = deployed.begin(deployed.plan())
    deployed.wait_for_step(place, "hook:before_deploy")
    file.write_text(file.read_text().replace("planned", "unseen"))
    go.touch()
    try:
        assert process.wait(60) == 1
    finally:
        go.unlink()
    last = journal.read(place)[-1]
    assert "service web: its configuration changed" in last.problem and "Look at the plan again" in last.hint
    assert deployed.ids() == ids and "candidate" not in deployed.releases().values()


def test_a_file_that_changes_between_two_services_ends_the_deploy(deployed: DeployStack) -> None:
    """The job that web waits for holds it up."""
    before, file = deployed.current(), deployed.directory / "compose.yaml"
    wait = "while [ ! -e /store/go ]; do sleep 0.1; done"
    deployed.write(level="planned", job=json.dumps(["sh", "-c", wait]))
    place, process = deployed.begin(deployed.plan())
    deployed.wait_for_step(place, "gate:migrate")
    file.write_text(file.read_text().replace("planned", "unseen"))
    deployed.compose("exec", "-T", "store", "touch", "/store/go")
    try:
        assert process.wait(60) == 3
    finally:
        deployed.compose("exec", "-T", "store", "rm", "/store/go")
    assert "compose.yaml changed while the deploy was at work" in journal.read(place)[-1].problem
    assert deployed.current() == before


# --- services that hang together -----------------------------------------------------------------

TOGETHER = """
services:
  web:
    image: opsconsole-fixture/app:1
    pull_policy: never
    init: true
    command: ["sleep", "3600"]
    environment: {{LEVEL: "{level}"}}
    healthcheck: {{test: {test}, interval: 700ms, timeout: 5s, retries: 2}}
  side:
    image: opsconsole-fixture/app:1
    pull_policy: never
    init: true
    command: ["sleep", "3600"]
    network_mode: service:web
    depends_on: [web]
    healthcheck: {{test: ["CMD-SHELL", "true"], interval: 700ms, timeout: 5s}}
  worker:
    image: opsconsole-fixture/app:1
    pull_policy: never
    init: true
    command: ["sleep", "3600"]
    depends_on: {{web: {{condition: service_healthy, restart: true}}}}
    healthcheck: {{test: ["CMD-SHELL", "true"], interval: 700ms, timeout: 5s}}
  tools:
    image: opsconsole-fixture/app:1
    pull_policy: never
    profiles: [tools]
    command: ["sleep", "3600"]
"""


def test_what_hangs_on_another_service_follows_it_there_and_back(engine: Engine, tmp_path: Path) -> None:
    """One shares web's network, one is to restart with it, one belongs to a profile that nobody chose."""
    with deploy_stack(engine, tmp_path, "together") as made:
        made.template = TOGETHER
        made.write(level="1")
        assert deploy(made) == 0
        assert set(made.ids()) == {made.name("web"), made.name("side"), made.name("worker")}
        made.write(level="2")
        assert {one.service: one.fate for one in made.plan().changes} == {
            "web": Fate.RECREATE, "side": Fate.PERHAPS, "worker": Fate.RESTART,
        }  # fmt: skip
        before, started = made.ids(), made.started()
        assert deploy(made) == 0
        follows(made, before, started)
        made.write(level="3", test='["CMD-SHELL", "exit 1"]')
        before, started = made.ids(), made.started()
        assert deploy(made) == 3
        follows(made, before, started)
        assert made.current() is not None and made.current().name == "r2"  # type: ignore[union-attr]


def follows(stack: DeployStack, before: dict[str, str], started: dict[str, str]) -> None:
    """The worker is the same container, started again; the other hangs on the web container of now."""
    now = stack.ids()
    assert now[stack.name("web")] != before[stack.name("web")]
    network = stack.inspected()[stack.name("side")]["HostConfig"]["NetworkMode"]  # type: ignore[index]
    assert network == f"container:{now[stack.name('web')]}"
    worker = now[stack.name("worker")]
    assert worker == before[stack.name("worker")] and stack.started()[worker] > started[worker]


# --- nothing there yet -------------------------------------------------------------------------------


def test_the_first_deploy_ever_has_nothing_to_return_to(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with deploy_stack(engine, tmp_path, "first") as new:
        new.write(test='["CMD-SHELL", "exit 1"]')
        assert deploy(new) == 1
        said = capsys.readouterr().out
        assert "when this fails there is nothing to return to" in said and "FAILED after" in said
        new.write()
        assert deploy(new) == 0
        images, kept = new.images(), new.kept()
        # Taken away, it comes back from its release; with its releases it is gone.
        here = ["--yes", "--accept-loss", new.project, "--stack", str(new.directory)]
        assert main(["remove", *here]) == 0 and new.images() == {}
        assert main(["rollback", "previous-image", "--yes", "--stack", str(new.directory)]) == 0
        assert new.images() == images and new.kept() == kept
        assert main(["remove", "--releases", *here]) == 0
        assert new.project not in engine.docker("ps", "--all", "--format", "{{.Names}}")
        assert new.project not in engine.docker("images", "--format", "{{.Repository}}")
