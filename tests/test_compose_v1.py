"""Stacks that the old Compose (1.29, `docker-compose`) started: seen, no drift claimed where nobody can tell, and
deployed with it where there is no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.cli import main
from tests.deploy_stack import SMALL, DeployStack, deploy_stack
from tests.operation_stack import FIXTURE
from tests.parts.engine import Engine
from tests.parts.install import COMPOSE_V1, find, install_compose_v1
from tests.parts.machine import run
from tests.parts.stacks import Stack, copy_stack
from tests.test_cli import opsconsole


@pytest.fixture(scope="module")
def v1(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a host that has Compose v1 and nothing else of Docker."""
    install_compose_v1()
    programs = tmp_path_factory.mktemp("programs")
    (programs / "docker-compose").symlink_to(COMPOSE_V1)
    (programs / "git").symlink_to(find("git") or "/usr/bin/git")
    return {"DOCKER_HOST": engine.docker_host, "DOCKER_CONFIG": str(programs), "PATH": str(programs)}


@pytest.fixture(scope="module")
def stack(engine: Engine, v1: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Smokava, started by Compose v1."""
    made = copy_stack("smokava", engine, tmp_path_factory.mktemp("v1"))
    try:
        # It builds with the docker command unless it is told to do it as it did in its day.
        env = {**v1, "COMPOSE_DOCKER_CLI_BUILD": "0"}
        run(COMPOSE_V1, "up", "--detach", "--build", env=env, cwd=made.directory)
        made.wait_ready()
        made.seed()
        yield made
    finally:
        made.down()


def look(stack: Stack, env: dict[str, str]) -> dict[str, Any]:
    done = opsconsole("status", "--json", cwd=stack.directory, env=env)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def drift(seen: dict[str, Any]) -> dict[str, str]:
    return {one["service"]: one["drift"] for one in seen["containers"]}


@pytest.fixture
def compose_file(stack: Stack) -> Iterator[Callable[[str, str], None]]:
    """Replace something in the compose file; as it was afterwards."""
    path = stack.directory / "docker-compose.yml"
    good = path.read_text()

    def change(old: str, new: str) -> None:
        assert old in good
        path.write_text(good.replace(old, new))

    yield change
    path.write_text(good)


def test_a_host_with_the_old_compose_alone_shows_the_whole_stack(stack: Stack, v1: dict[str, str]) -> None:
    seen = look(stack, v1)
    assert sorted(one["name"] for one in seen["containers"]) == [
        f"{stack.project}_backend_1",
        f"{stack.project}_mongodb_1",
    ]
    assert (seen["stack"]["compose_command"], seen["stack"]["problems"]) == ("docker-compose 1.29.2", [])
    assert drift(seen) == {"backend": "", "mongodb": ""}
    (mongodb,) = seen["databases"]
    assert mongodb["reachable"] and mongodb["target"]["service"] == "mongodb"
    assert [one["ok"] for one in seen["probes"]] == [True]
    assert f"{stack.project}_mongodb_data" in {one["name"] for one in seen["volumes"]}
    logs = opsconsole("logs", "--tail", "3", "mongodb", cwd=stack.directory, env=v1)
    assert logs.returncode == 0 and len(logs.stdout.splitlines()) == 3
    doctor = opsconsole("doctor", cwd=stack.directory, env=v1)
    assert "docker-compose 1.29.2" in doctor.stdout and "no longer maintained" in doctor.stdout


def test_the_old_compose_tells_drift_where_there_is_some(
    stack: Stack, v1: dict[str, str], compose_file: Callable[[str, str], None]
) -> None:
    compose_file("restart: always", "restart: unless-stopped")
    assert set(drift(look(stack, v1)).values()) == {
        "runs another configuration than the compose file: the next `up` recreates it"
    }


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("volumes:\n  mongodb_data:", "volumes: [", "docker-compose.yml: line "),
        ("restart: always", "restrt: always", "Unsupported config option for services."),
        ("${MONGO_PORT:-27017}", "${NOT_SET:?is needed}", "is needed"),
        ("services:", "name: x\nservices:", "'name' does not match"),
        ("mongodb_data:/data/db", "nope:/data/db", 'is used in service "mongodb" but no declaration'),
    ],
)
def test_a_file_that_the_old_compose_refuses_is_one_line(
    stack: Stack, v1: dict[str, str], compose_file: Callable[[str, str], None], old: str, new: str, reason: str
) -> None:
    compose_file(old, new)
    seen = look(stack, v1)
    (problem,) = seen["stack"]["problems"]
    assert reason in problem and "; services are " in problem and "`docker-compose config`" in problem
    assert {one["service"] for one in seen["containers"]} == {"backend", "mongodb"}
    assert [one["reachable"] for one in seen["databases"]] == [True]


def test_a_newer_compose_claims_no_drift_of_what_the_old_one_started(stack: Stack) -> None:
    seen = look(stack, stack.env)
    assert seen["stack"]["compose_command"].startswith("docker compose ")
    assert drift(seen) == {"backend": "", "mongodb": ""}
    (problem,) = seen["stack"]["problems"]
    assert problem.startswith("containers were created by Compose 1.29.2 and this host has ")


def test_without_any_compose_the_stack_is_seen_all_the_same(stack: Stack, tmp_path: Path) -> None:
    seen = look(stack, {**stack.env, "PATH": str(tmp_path)})
    assert drift(seen) == {"backend": "", "mongodb": ""}
    assert seen["stack"]["problems"][0].startswith("Docker Compose is not installed")
    assert [one["reachable"] for one in seen["databases"]] == [True]


# --- deploys -----------------------------------------------------------------------------------------

BUILDS = SMALL.replace(
    "image: {name}-web:{version}\n    pull_policy: never", 'build: {{context: ., args: {{VERSION: "{version}"}}}}'
)


@pytest.fixture
def deployed(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployStack]:
    """Version 1 of a stack, deployed on a host whose docker command knows no Compose."""
    install_compose_v1()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker-compose").symlink_to(COMPOSE_V1)
    (programs / "git").symlink_to(find("git") or "/usr/bin/git")
    docker = f'#!/bin/sh\n[ "$1" = compose ] && exit 1\nexec {find("docker")} "$@"\n'
    (programs / "docker").write_text(docker)
    (programs / "docker").chmod(0o755)
    with deploy_stack(engine, tmp_path, "old") as made, monkeypatch.context() as host:
        host.setenv("PATH", str(programs))
        host.setenv("DOCKER_CONFIG", str(programs))
        (made.directory / "Dockerfile").write_text(f"FROM {FIXTURE}\nARG VERSION\nLABEL version=$VERSION\n")
        made.template = BUILDS
        made.write(version="1")
        assert main(["deploy", "--yes", "--stack", str(made.directory)]) == 0
        yield made


def runs(stack: DeployStack) -> dict[str, tuple[str, str]]:
    """By container: the version of its image, and the one in its environment."""
    found = {}
    for name, one in stack.inspected().items():
        config: Any = one["Config"]
        level = [line.removeprefix("LEVEL=") for line in config["Env"] if line.startswith("LEVEL=")]
        found[name.removeprefix(f"{stack.project}_")] = (config["Labels"].get("version", ""), "".join(level))
    return found


@pytest.mark.timeout(600)
def test_the_old_compose_deploys_and_comes_back_from_a_bad_version(
    deployed: DeployStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes the image's id into its fingerprints, and refuses keys of compose files that the newer ones write."""
    here = ["--stack", str(deployed.directory)]
    assert runs(deployed) == {"store_1": ("", ""), "web_1": ("1", "1")}
    store, kept = deployed.ids()[f"{deployed.project}_store_1"], deployed.images()
    deployed.write(version="2", test='["CMD-SHELL", "exit 1"]')
    assert main(["deploy", "--yes", *here]) == 3, capsys.readouterr().out
    assert runs(deployed) == {"store_1": ("", ""), "web_1": ("1", "1")} and deployed.images() == kept
    capsys.readouterr()
    deployed.write(version="3")
    assert main(["deploy", "--plan", *here]) == 0
    plan = capsys.readouterr().out
    assert "--file compose.yaml up" in plan and "back to r1 if it fails" in plan, "the files of the stack count again"
    assert "environment.LEVEL: 1 -> 3" in plan and "stays as it is: store" in plan
    assert main(["deploy", "--yes", *here]) == 0, capsys.readouterr().out
    assert runs(deployed)["web_1"] == ("3", "3") and deployed.ids()[f"{deployed.project}_store_1"] == store
    assert list(deployed.releases().values()).count("good") == 2
