"""Throw-away servers: to be had from any image, reached by nobody else, and gone whatever happens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from msgspec.structs import replace

from opsconsole.model import SourceError
from opsconsole.sources.throwaway import NoRoom, NoThrowaway, Wanted, throwaway
from opsconsole.sources.throwaway_maker import is_gone, mine
from opsconsole.sources.throwaway_program import complaint, reason, refuses_option
from tests.backup_samples import sha256_of
from tests.children import in_a_child
from tests.parts.engine import Engine
from tests.parts.install import MONGOD, find
from tests.parts.leftovers import run_name


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert not list(Path("/tmp").glob(f".opsconsole-proof-*-{os.getpid()}-*"))


# Other test runs use the same engine.
OPERATION = f"throwaway-test-{os.getpid()}"
MONGO = Wanted(kind="mongodb", image="mongo:6.0", operation=OPERATION)
REDIS = Wanted(kind="redis", image="redis:7", operation=OPERATION)


def ours(engine: Engine) -> list[str]:
    label = f"label=opsconsole.throwaway={OPERATION}"
    return engine.docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def image_from(engine: Engine, name: str, source: str, *changes: str) -> str:
    """An image like another one, with other settings; removed at the end of the run by its name."""
    tag = f"{run_name()}{name}:1"
    container = engine.docker("create", source, "nothing")
    words = [word for change in changes for word in ("--change", change)]
    engine.docker("commit", *words, container, tag)
    engine.docker("rm", container)
    return tag


def tried(wanted: Wanted, place: Path) -> None:
    with throwaway(wanted, place):
        pass


# --- in containers -----------------------------------------------------------------------------------


def test_an_image_with_its_own_ideas(engine: Engine, tmp_path: Path) -> None:
    """Another user, another entry point, a health check, and the labels by which Compose knows its containers."""
    image = image_from(
        engine,
        "ideas",
        "mongo:6.0",
        "USER 1001",
        'ENTRYPOINT ["/bin/false"]',
        'HEALTHCHECK CMD ["/bin/false"]',
        "LABEL com.docker.compose.project=shop com.docker.compose.service=mongodb",
        "ENV MONGO_INITDB_ROOT_USERNAME=root",
    )
    with throwaway(replace(MONGO, image=image), tmp_path) as server:
        assert server.words == f"a container of {image}" and server.ended() is None
        with pymongo.MongoClient[Any](server.connection.uri) as client:
            assert client.admin.command("getParameter", 1, ttlMonitorEnabled=1)["ttlMonitorEnabled"] is False
            assert set(client.list_database_names()) <= {"admin", "config", "local"}
        (found,) = json.loads(engine.docker("inspect", server.container))
        labels = found["Config"]["Labels"]
        assert labels["com.docker.compose.project"] == labels["com.docker.compose.service"] == ""
        assert labels["opsconsole.throwaway"] == OPERATION
        assert found["State"].get("Health") is None
        socket = Path(f"/tmp/.{server.container}")
        assert oct(socket.stat().st_mode & 0o777) == "0o700"
        # In the container itself nothing listens on any address.
        listening = engine.docker("exec", server.container, "/bin/cat", "/proc/net/tcp", "/proc/net/tcp6")
        assert not [line for line in listening.splitlines() if " 0A " in line]
    assert ours(engine) == [] and not socket.exists()


def test_an_image_that_has_no_such_program(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.environ["PATH"]
    for image, said in (
        ("opsconsole-fixture/app:1", "a container of opsconsole-fixture/app:1 has no redis-server"),
        ("sha256:" + "0" * 64, "is not on the engine any more"),
    ):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(NoThrowaway, match=said) as refused:
            tried(replace(REDIS, image=image), tmp_path)
        assert "this host has no redis-server" in refused.value.problem
        monkeypatch.setenv("PATH", path)
        with throwaway(replace(REDIS, image=image), tmp_path) as server:
            assert server.container == ""
        assert ours(engine) == []


def test_an_engine_elsewhere_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoThrowaway, match=r"the engine at tcp://192\.0\.2\.1:2375 is not on this host"):
        tried(Wanted(kind="mongodb", image="mongo:6.0"), tmp_path)


def test_a_server_that_does_not_start_says_why(engine: Engine, tmp_path: Path) -> None:
    wanted = replace(REDIS, options=("--maxmemory-policy", "nonsense"))
    with pytest.raises(NoThrowaway, match="redis-server of a container of redis:7 does not know an option"):
        tried(wanted, tmp_path)
    wanted = replace(MONGO, options=("--logpath", "/proc/nowhere"))
    with pytest.raises(SourceError, match=r"mongod in a container of mongo:6\.0 does not start: exit code"):
        tried(wanted, tmp_path)
    assert ours(engine) == []


def test_an_error_in_its_use_removes_it_too(engine: Engine, tmp_path: Path) -> None:
    volumes: list[str] = []
    with pytest.raises(ZeroDivisionError), throwaway(REDIS, tmp_path) as server:
        (found,) = json.loads(engine.docker("inspect", server.container))
        volumes += [mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume"]
        engine.docker("kill", "--signal", "TERM", server.container)
        raise ZeroDivisionError
    assert ours(engine) == []
    assert volumes and not set(volumes) & set(engine.docker("volume", "ls", "--quiet").split())


def test_while_it_starts_one_may_give_up(engine: Engine, tmp_path: Path) -> None:
    def waiting() -> None:
        assert len(ours(engine)) == 1
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        throwaway(MONGO, tmp_path, waiting),
    ):
        pass
    assert ours(engine) == []


def test_files_are_put_into_it(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(os.urandom(3_000_001))
    with throwaway(REDIS, tmp_path) as server:
        server.put(tmp_path / "given", "dump.rdb")
        said = engine.docker("exec", server.container, "/bin/sha256sum", "/opsconsole-proof/dump.rdb")
        assert said.split()[0] == sha256_of(tmp_path / "given")


# --- programs of this host ---------------------------------------------------------------------------


def test_only_a_program_of_the_right_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in (MONGOD, Path(str(find("redis-server")))):
        (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    for kind, version, said in (
        ("mongodb", "7.0.12", "mongod is of release 6.0, not 7.0"),
        ("mongodb", "5.0.1", "mongod is of release 6.0, not 5.0"),
        ("redis", "7.2.4", "redis-server is of release 7.0, not 7.2"),
    ):
        with pytest.raises(NoThrowaway, match=said):
            tried(Wanted(kind=kind, version=version), tmp_path)
    with throwaway(Wanted(kind="redis", version="6.2.1"), tmp_path) as server:
        assert server.words == f"{programs}/redis-server 7.0.15"
        (data,) = tmp_path.glob(".opsconsole-proof-*/data")
        assert oct(data.parent.stat().st_mode & 0o777) == "0o700"
    assert not data.exists()


def test_without_room_nothing_is_tried(tmp_path: Path) -> None:
    for wanted in (Wanted(kind="redis", disk=1 << 60), Wanted(kind="redis", memory=1 << 60)):
        with pytest.raises(NoRoom, match="would need"):
            tried(wanted, tmp_path)


def test_without_room_for_a_container(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match="MiB of disk"):
        tried(replace(REDIS, disk=1 << 60), tmp_path)
    assert ours(engine) == []


# --- makers ------------------------------------------------------------------------------------------


def test_makers_are_told_apart(tmp_path: Path) -> None:
    assert is_gone(mine()) is False
    place = tmp_path / "maker"

    def leave_a_mark() -> None:
        place.write_text(mine())

    assert in_a_child(leave_a_mark) == 0
    dead = place.read_text()
    assert is_gone(dead) is True and dead != mine()
    host, boot, process, started = mine().split("-")
    # The number was given to another process since, or the host was started anew.
    assert is_gone(f"{host}-{boot}-{process}-{int(started) + 1}") is True
    assert is_gone(f"{host}-ffff-{process}-{started}") is True
    # Of another host or another container nothing can be told.
    assert is_gone(f"ffffffff-{boot}-{process}-{started}") is None
    assert is_gone("") is None and is_gone("../..") is None


def test_what_logs_say() -> None:
    mongod = '{"t":{},"s":"F","c":"-","id":1,"ctx":"x","msg":"Out of room","attr":{"error":"28: No space left"}}'
    assert reason(["plain", mongod, "the end"]) == "Out of room 28: No space left"
    assert "\x1b" not in reason(["first", "last\x1b[2J", ""]) and reason(["first", "last", ""]) == "last"
    assert (reason([]), complaint(["all is well"])) == ("", "")
    assert refuses_option(["*** FATAL CONFIG FILE ERROR (Redis 6.2) ***"]) and not refuses_option(["Ready"])


def test_what_another_host_made_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    """Its process cannot be looked for from here; and no container is ours for its label alone."""
    host, boot, process, started = mine().split("-")
    gone = f"{host}-{boot}-{process}-{int(started) + 1}"
    names = {f"opsconsole-proof-{run_name()}other": f"ffffffff-{boot}-1-1", f"{run_name()}named": gone}
    names[f"opsconsole-proof-{run_name()}dead"] = gone
    try:
        for name, maker in names.items():
            words = ["--label", f"opsconsole.throwaway={OPERATION}", "--label", f"opsconsole.throwaway.maker={maker}"]
            engine.docker("create", "--name", name, *words, "redis:7")
        tried(REDIS, tmp_path)
        assert sorted(ours(engine)) == sorted(name for name in names if not name.endswith("dead"))
    finally:
        for name in names:
            engine.docker("rm", "--force", "--volumes", name, check=False)
