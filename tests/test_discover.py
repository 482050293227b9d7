"""The stack as the console finds it, on real stacks, with no configuration file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
import redis

from opsconsole.config import FILE_NAME, Config, load_from
from opsconsole.model import Container, Service, SourceError
from opsconsole.model import Stack as Seen
from opsconsole.sources.connection import Connection
from opsconsole.sources.engine import DockerEngine
from opsconsole.stack.discover import StackDiscovery, engine_host, from_containers
from opsconsole.stack.drift import with_drift
from opsconsole.stack.safety import judge
from tests.conftest import StackFactory
from tests.parts.engine import Engine
from tests.parts.stacks import STACKS, Stack


@pytest.fixture
def docker(engine: Engine) -> Iterator[DockerEngine]:
    source = DockerEngine(engine.docker_host)
    yield source
    source.close()


def listed(docker: DockerEngine, project: str) -> tuple[Container, ...]:
    containers = docker.containers(project=project)
    docker.inspect_missing(containers)
    return docker.containers(project=project)


class Found:
    """One look at a running stack."""

    def __init__(self, stack: Stack, docker: DockerEngine) -> None:
        self.discovery = StackDiscovery(stack.directory, load_from(stack.directory), docker)
        self.containers = listed(docker, stack.project)
        self.stack: Seen = self.discovery.look(self.containers)
        self.connections: tuple[Connection, ...] = self.discovery.connections(self.stack, self.containers)
        self.drift = {one.service: one.drift for one in with_drift(self.containers, self.stack) if one.drift}

    def service(self, name: str) -> Service:
        return next(one for one in self.stack.services if one.name == name)


def answers(connection: Connection) -> bool:
    if connection.target.kind == "redis":
        with redis.Redis.from_url(connection.uri, socket_timeout=5) as cache:
            return bool(cache.ping())
    with pymongo.MongoClient[dict[str, object]](connection.uri, serverSelectionTimeoutMS=5000) as client:
        return bool(client.admin.command("listDatabases"))


# --- the shapes of the real systems ----------------------------------------------------------------


def test_mongodb_on_the_host_and_an_env_file_for_production(thynk: Stack, docker: DockerEngine) -> None:
    found = Found(thynk, docker)
    assert found.stack.name == thynk.project
    assert found.stack.compose_files == (str(thynk.directory / "compose.yaml"),)
    assert Path(found.stack.env_file).name == ".env.production.local"
    assert found.stack.compose_command.startswith("docker compose ")
    assert found.stack.data_directories == (str(thynk.directory / "backend/uploads"),)
    assert found.stack.backup_directory == str(thynk.directory / "backups")
    assert [(one.kind, one.name, one.service, one.database) for one in found.stack.databases] == [
        ("mongodb", "host", "", "thynk")
    ]
    assert [answers(one) for one in found.connections] == [True]
    assert {one.name: (one.url, one.origin) for one in found.stack.endpoints} == {
        "backend": (thynk.health_url, "healthcheck"),
        "frontend": (f"http://127.0.0.1:{thynk.ports['FRONTEND_PORT']}/", "published port"),
    }
    assert (found.stack.problems, found.drift) == ((), {})


def test_an_env_file_that_is_filled_into_the_compose_file(english_chat: Stack, docker: DockerEngine) -> None:
    found = Found(english_chat, docker)
    assert Path(found.stack.env_file).name == ".env.production.local"
    assert [(one.name, one.database) for one in found.stack.databases] == [("host", "online-discussion")]
    assert [answers(one) for one in found.connections] == [True]
    assert (found.stack.problems, found.drift) == ((), {})


def test_mongodb_and_redis_with_passwords_in_containers(mps: Stack, docker: DockerEngine) -> None:
    found = Found(mps, docker)
    assert [(one.kind, one.name, one.database) for one in found.stack.databases] == [
        ("mongodb", "mongodb", "mps_db_unified"),
        ("redis", "redis", ""),
    ]
    assert [answers(one) for one in found.connections] == [True, True]
    assert "redis-secret" not in repr(found.stack) + repr(found.connections)
    assert found.stack.endpoints[0].url == mps.health_url
    assert found.service("redis").has_healthcheck
    assert found.service("backend").depends_on == ("mongodb", "redis")
    assert (found.stack.problems, found.drift) == ((), {})
    volumes = judge(docker.volumes(found.containers, project=mps.project), found.stack, ())
    assert {one.database: one.safety for one in volumes if one.database} == {
        "mongodb": "not in any backup",
        "redis": "not in any backup",
    }


def test_a_replica_set_of_one_is_asked_directly(smokava_rs: Stack, docker: DockerEngine) -> None:
    found = Found(smokava_rs, docker)
    (connection,) = found.connections
    assert connection.uri.endswith("/smokava?directConnection=true")
    assert answers(connection)


def test_everything_that_can_be_wrong(troubled: Stack, docker: DockerEngine) -> None:
    found = Found(troubled, docker)
    assert [Path(file).name for file in found.stack.compose_files] == ["compose.yaml", "compose.override.yaml"]
    assert not found.service("debug").active
    assert {one.name: one.service for one in found.stack.databases} == {"forgetful": "forgetful", "cache": "cache"}
    assert [answers(one) for one in found.connections] == [True, True]
    assert found.stack.outside_binds == (str(troubled.directory.parent / f"{troubled.project}-outside"),)
    volumes = judge(docker.volumes(found.containers, project=troubled.project), found.stack, ())
    risky = {use.service for one in volumes if one.safety == "at risk" for use in one.used_by}
    assert risky == {"forgetful", "cache", "hostile"}


# --- what changes ----------------------------------------------------------------------------------


def test_a_look_that_changed_nothing_is_the_same_object_and_costs_next_to_nothing(
    mps: Stack, docker: DockerEngine
) -> None:
    found = Found(mps, docker)
    before = time.process_time()
    for _ in range(20):
        assert found.discovery.look(tuple(found.containers)) is found.stack
    assert (time.process_time() - before) / 20 < 0.005


def test_changes_of_files_and_containers_are_seen_at_the_next_look(
    stack_factory: StackFactory, docker: DockerEngine
) -> None:
    stack = stack_factory("smokava", seed=False)
    file = stack.directory / "docker-compose.yml"
    found = Found(stack, docker)
    assert found.drift == {}

    # The compose file changes: drift, until `up` has made it so.
    file.write_text(file.read_text().replace("restart: always", "restart: unless-stopped"))
    seen = found.discovery.look(found.containers)
    assert {one.service: one.drift != "" for one in with_drift(found.containers, seen)} == {
        "backend": True,
        "mongodb": True,
    }
    stack.compose("up", "--detach")
    containers = listed(docker, stack.project)
    seen = found.discovery.look(containers)
    assert [one.drift for one in with_drift(containers, seen)] == ["", ""]

    # A broken file: the last services stay, with one line that says so.
    good = file.read_text()
    file.write_text(good + "  nonsense: [\n")
    broken = found.discovery.look(containers)
    assert broken.services == seen.services
    assert "the compose configuration cannot be read" in broken.problems[0]
    assert all("\n" not in problem for problem in broken.problems)
    assert Found(stack, docker).stack.databases, "a fresh start on a broken file still finds the database"

    # A service that leaves the file.
    file.write_text(good)
    assert found.discovery.look(containers).problems == ()
    shorter = good.split("  backend:")[0] + "volumes:\n  mongodb_data:\n"
    file.write_text(shorter)
    seen = found.discovery.look(containers)
    assert {one.service: one.drift for one in with_drift(containers, seen)} == {
        "backend": "service backend is no longer in the compose file",
        "mongodb": "",
    }


def test_a_stopped_database_keeps_its_place(stack_factory: StackFactory, docker: DockerEngine) -> None:
    stack = stack_factory("smokava", seed=False)
    stack.compose("stop", "mongodb")
    found = Found(stack, docker)
    assert [one.name for one in found.stack.databases] == ["mongodb"]


# --- without an engine, without Compose ------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    directory = tmp_path / "mps"
    shutil.copytree(STACKS / "mps", directory)
    return directory


def test_the_first_look_knows_name_and_files_without_asking_anybody(copy: Path) -> None:
    discovery = StackDiscovery(copy, Config(), environment={"PATH": ""})
    seen = discovery.first_look()
    assert (seen.name, seen.services, seen.problems) == ("mps", (), ())
    assert [Path(file).name for file in seen.compose_files] == ["docker-compose.yml"]


def test_without_compose_the_file_is_read_and_the_problem_named(copy: Path) -> None:
    seen = StackDiscovery(copy, Config(), environment={"PATH": ""}).look(())
    assert [one.name for one in seen.services] == ["mongodb", "redis", "backend", "frontend"]
    assert [one.kind for one in seen.databases] == ["mongodb", "redis"]
    assert (seen.compose_command, seen.services[0].config_hash) == ("", "")
    assert seen.problems[0].startswith("Docker Compose is not installed")


def test_a_compose_that_hangs_is_given_up_once_and_tried_again_later(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n[ $2 = version ] && exec echo 2.40.3\necho x >> {calls}\nexec sleep 60\n")
    program.chmod(0o755)
    (copy / ".env.production.local").write_text("A=1\n")  # more than one way to render
    monkeypatch.setattr("opsconsole.stack.compose_program.TIMEOUT_SECONDS", 0.5)
    discovery = StackDiscovery(copy, Config(), environment={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    seen = discovery.look(())
    assert [problem for problem in seen.problems if "did not answer within" in problem]
    assert len(seen.services) == 4
    asked = len(calls.read_text().split())
    assert asked <= 2  # the configuration and its hashes, at once
    assert discovery.look(()) is seen
    assert len(calls.read_text().split()) == asked


def test_a_directory_without_a_stack_is_no_fault_but_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no compose file in") as raised:
        StackDiscovery(tmp_path, Config()).look(())
    assert raised.value.absent


def test_a_broken_compose_file_at_the_start_leaves_the_containers(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: [")
    label = ("com.docker.compose.project", "broken")
    container = Container(
        id="1", name="broken-db-1", project="broken", service="db", image="mongo:6", state="running", labels=(label,)
    )
    seen = StackDiscovery(tmp_path, Config(), project="broken").look([container])
    assert [(one.name, one.role) for one in seen.services] == [("db", "mongodb")]
    assert len([problem for problem in seen.problems if "cannot be read" in problem]) == 1


def test_bad_env_files_are_one_line_each_and_the_rest_works(engine: Engine, copy: Path) -> None:
    with (copy / ".env").open("a") as file:
        file.write("this is nonsense\n")
    seen = StackDiscovery(copy, Config()).look(())
    assert [problem for problem in seen.problems if "cannot be understood" in problem]
    assert [one.kind for one in seen.databases] == ["mongodb", "redis"]
    assert all("\n" not in problem for problem in seen.problems)


def test_settings_are_taken_up_while_it_runs_and_a_wrong_one_changes_nothing(copy: Path) -> None:
    discovery = StackDiscovery(copy, load_from(copy), environment={"PATH": ""})
    assert len(discovery.look(()).databases) == 2
    file = copy / FILE_NAME
    file.write_text("[redis]\nenabled = false\n")
    assert [one.kind for one in discovery.look(()).databases] == ["mongodb"]
    file.write_text("[redis]\nenable = true\n")
    os.utime(file, (1, 1))
    seen = discovery.look(())
    assert [one.kind for one in seen.databases] == ["mongodb"]
    assert "did you mean 'redis.enabled'?; the settings from before stay in force" in seen.problems[0]
    file.unlink()
    assert len(discovery.look(()).databases) == 2


# --- pure parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("", "127.0.0.1"),
        ("unix:///run/docker.sock", "127.0.0.1"),
        ("tcp://10.0.0.9:2376", "10.0.0.9"),
        ("ssh://ops@web.example.net", "web.example.net"),
    ],
)
def test_published_ports_are_where_the_engine_is(value: str, host: str) -> None:
    assert engine_host({"DOCKER_HOST": value}) == host


def test_services_of_containers_alone_have_the_environment_they_were_started_with() -> None:
    one = Container(id="1", name="c", service="db", image="mongo:6")
    read = from_containers([one], lambda _: {"MONGO_INITDB_ROOT_USERNAME": "a"})
    assert read.services["db"].environment == {"MONGO_INITDB_ROOT_USERNAME": "a"}
