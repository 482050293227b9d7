"""From a standalone MongoDB to a set of one node: the lines are right for the server at hand, and they work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from opsconsole.backups.replica_set_guide import Address, GuideStep, Standalone, guide, member, text, why_by_hand
from opsconsole.backups.replica_set_making import initiate, state_of
from opsconsole.cli import main
from opsconsole.model import DatabaseTarget, SourceError, Stack
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.facts import Look
from opsconsole.operations.replica_sets import server, standalone
from opsconsole.sources.connection import Connection
from opsconsole.sources.network import Explained
from opsconsole.stack.rendered import Rendered, ServiceConfig
from tests.backup_stack import backup_stack
from tests.mongo_zoo import connection_to
from tests.parts.engine import Engine
from tests.parts.servers import hello, start_mongod

SMOKAVA = Standalone(service="mongodb", addresses=(Address(where="MONGODB_URI of backend", host="mongodb"),))
MPS = Standalone(
    service="mongodb",
    auth=True,
    compose="docker-compose",
    compose_file="docker-compose.yml",
    command=("mongod", "--wiredTigerCacheSizeGB", "1"),
    addresses=(
        Address(where="MONGODB_URI of backend", host="mongodb", options=(("authSource", "admin"),)),
        Address(where="backup.sh", host="127.0.0.1", inside=False),
    ),
)
THYNK = Standalone(addresses=(Address(where="MONGODB_URI of backend", host="host.docker.internal"),), auth=True)


def lines(server: Standalone, word: str) -> tuple[str, ...]:
    """Those of the first step that says so."""
    return next(step.lines for step in guide(server) if word in step.what)


def test_a_service_without_a_password() -> None:
    (command,) = lines(SMOKAVA, "at the service mongodb")
    assert yaml.safe_load(command) == {"command": ["mongod", "--replSet", "rs0", "--bind_ip_all"]}
    assert member(SMOKAVA) == "mongodb:27017"
    assert not any("keyfile" in line for step in guide(SMOKAVA) for line in step.lines)
    (started,) = lines(SMOKAVA, "Make it the only member")
    assert started == (
        "docker compose exec mongodb mongosh --quiet --port 27017 --eval "
        """'rs.initiate({_id: "rs0", members: [{_id: 0, host: "mongodb:27017"}]})'"""
    )
    (address,) = lines(SMOKAVA, "Addresses")
    assert "works as it is" in address and "replicaSet=rs0" in address


def test_a_service_with_a_password_needs_a_key() -> None:
    changed = yaml.safe_load("\n".join(lines(MPS, "In docker-compose.yml")))
    assert changed["command"] == [
        *("mongod", "--wiredTigerCacheSizeGB", "1", "--replSet", "rs0", "--keyFile", "/etc/mongo-keyfile"),
        "--bind_ip_all",
    ]
    assert changed["volumes"] == ["./mongo-keyfile:/etc/mongo-keyfile:ro"]
    (started,) = lines(MPS, "Make it the only member")
    assert started.startswith("docker-compose exec mongodb mongosh") and " -u root -p " in started
    assert [line.partition(":")[0] for line in lines(MPS, "Addresses")] == ["# MONGODB_URI of backend", "# backup.sh"]
    assert "directConnection=true" in lines(MPS, "Addresses")[1]


def test_the_key_is_at_no_moment_readable_by_others(tmp_path: Path) -> None:
    (making,) = (line for line in lines(MPS, "prove themselves") if "openssl rand" in line)
    subprocess.run(["sh", "-c", f"umask 022; {making}; umask"], cwd=tmp_path, check=True, timeout=30)
    (key,) = tmp_path.iterdir()
    assert key.stat().st_mode & 0o077 == 0 and len(key.read_bytes()) > 1000


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (("--auth",), ["mongod", "--auth", "--replSet", "rs0", "--bind_ip_all"]),
        (("mongod", "--bind_ip", "0.0.0.0"), ["mongod", "--bind_ip", "0.0.0.0", "--replSet", "rs0"]),
        (("mongod", "--replSet", "old"), ["mongod", "--replSet", "rs0", "--bind_ip_all"]),
        (("mongod", "--replSet=old", 'a"b$c\\'), ["mongod", 'a"b$$c\\', "--replSet", "rs0", "--bind_ip_all"]),
    ],
)
def test_the_command_keeps_what_it_has(command: tuple[str, ...], wanted: list[str]) -> None:
    (line,) = lines(Standalone(service="db", command=command), "at the service db")
    assert yaml.safe_load(line) == {"command": wanted}


def test_a_shells_script_is_not_rewritten() -> None:
    (line,) = lines(Standalone(service="db", command=("sh", "-c", "exec mongod --auth")), "at the service db")
    assert line == "# in its command, behind mongod: --replSet rs0"


@pytest.mark.parametrize(
    ("entrypoint", "command", "tls", "why"),
    [
        (("docker-entrypoint.sh",), ("mongod",), "", ""),
        (("docker-entrypoint.sh",), ("mongod", "--config", "/etc/mongod.conf"), "", ""),
        (("docker-entrypoint.sh",), ("--auth",), "", ""),
        (("/entrypoint.sh",), ("mongod",), "", ""),
        ((), ("/usr/bin/mongod", "-f", "/etc/mongod.conf"), "", ""),
        (("numactl", "--interleave=all", "mongod"), (), "", ""),
        (
            ("/opt/scripts/entrypoint.sh",),
            ("/opt/scripts/run.sh",),
            "",
            "started by /opt/scripts/entrypoint.sh /opt/scr",
        ),
        (("/start",), ("--auth",), "", "started by /start --auth"),
        ((), (), "", "started by what its image says"),
        (("docker-entrypoint.sh",), ("mongod",), "requireTLS", r"speaks TLS \(requireTLS\).*has the name db is not"),
    ],
)
def test_how_a_server_is_started_and_speaks_decides(
    entrypoint: tuple[str, ...], command: tuple[str, ...], tls: str, why: str
) -> None:
    said = why_by_hand(entrypoint, command, tls, "db")
    assert re.search(why, said) if why else not said


def test_a_server_that_speaks_tls_has_its_own_lines(tmp_path: Path) -> None:
    secured = Standalone(service="db", tls=True)
    (line,) = lines(secured, "certificate has to have the name db")
    assert " --tls --tlsCAFile " in line
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db", "-days", "2")
    key, made = tmp_path / "key.pem", tmp_path / "made.pem"
    subprocess.run([*words, "-keyout", key, "-out", made], check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + key.read_bytes())
    options = ("--tlsMode", "allowTLS", "--tlsCertificateKeyFile", str(made), "--tlsCAFile", str(made))
    server = start_mongod(tmp_path / "data", options=options)
    try:
        assert state_of(connection_to(server.uri)).tls == "allowTLS"
    finally:
        server.stop(kill=True)


def test_a_mongod_on_the_host_goes_by_the_name_that_containers_use() -> None:
    assert member(THYNK) == "host.docker.internal:27017" and member(Standalone()) == "127.0.0.1:27017"
    config = yaml.safe_load("\n".join(lines(THYNK, "/etc/mongod.conf")))
    assert config == {"replication": {"replSetName": "rs0"}, "security": {"keyFile": "/etc/mongo-keyfile"}}
    assert any("/etc/hosts" in line for line in lines(THYNK, "has to know that name"))
    assert not any("/etc/hosts" in line for step in guide(Standalone()) for line in step.lines)
    assert lines(THYNK, "Make it the only member")[0].startswith("mongosh ")


def test_addresses_that_are_right_already_are_not_mentioned() -> None:
    right = Address(where="A", host="db", options=(("replicaSet", "rs0"),))
    direct = Address(where="B", host="localhost", options=(("directConnection", "true"),))
    other = Address(where="C", host="db", options=(("replicaSet", "old"),))
    assert not [step for step in guide(Standalone(service="db", addresses=(right, direct))) if "Addresses" in step.what]
    assert "has to become replicaSet=rs0" in lines(Standalone(service="db", addresses=(other,)), "Addresses")[1]


def test_of_several_servers_each_has_its_own_addresses_and_name() -> None:
    web = {"SHOP_URI": "mongodb://db:27017/shop", "LOG_URI": "mongodb://log-db/log", "OUT": "mongodb://elsewhere/x"}
    services = {
        "db": ServiceConfig(name="db"),
        "log": ServiceConfig(name="log", aliases=("log-db",)),
        "web": ServiceConfig(name="web", environment=web),
    }
    targets = [DatabaseTarget(kind="mongodb", name=name, service=name) for name in ("db", "log")]
    found = Scope(
        look=Look(name="shop", directory="/srv/shop", rendered=Rendered(services=services)),
        stack=Stack(name="shop", directory="/srv/shop"),
        connections=tuple(Connection(target=one) for one in targets),
    )
    known = {one.target.name: standalone(found, one) for one in found.connections}
    assert {name: [one.host for one in server.addresses] for name, server in known.items()} == {
        "db": ["db", "elsewhere"],
        "log": ["log-db", "elsewhere"],
    }
    assert [member(known["db"]), member(known["log"])] == ["db:27017", "log-db:27017"]
    with pytest.raises(SourceError, match="several MongoDB servers: db, log"):
        server(found)
    assert server(found, "log").target.name == "log"


def test_the_printed_guide_is_numbered_and_harmless() -> None:
    said = text([GuideStep(what="One\x1b[2J", lines=("a", "b")), GuideStep(what="Two")])
    assert said.splitlines()[0].startswith("1. One") and "2. Two" in said and "\x1b" not in said
    assert "       a" in said.splitlines()
    assert len(text(guide(MPS)).splitlines()) > 20


def test_a_mongod_on_the_host_has_the_guide_and_its_last_step(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with backup_stack(tmp_path) as stack:
        words = ["backup", "replica-set", "--yes", "--stack", str(stack.directory)]
        assert main(words) == 2
        said = capsys.readouterr()
        assert "runs beside the stack" in said.err and "/etc/mongod.conf" in said.out
        before = stack.digest()
        stack.mongod.stop()
        options = ("--replSet", "rs0", "--oplogSize", "16")
        stack.mongod = start_mongod(stack.mongod.directory, port=stack.mongod.port, options=options)
        assert main([*words, "--initiate"]) == 0
        assert hello(stack.mongod.uri)["hosts"] == [f"127.0.0.1:{stack.mongod.port}"]
        assert stack.digest() == before and stack.end().result is not None
        assert main([*words, "--undo"]) == 2
        assert "no conversion by opsconsole" in capsys.readouterr().err


def test_the_one_step_that_is_done_for_the_operator(tmp_path: Path) -> None:
    server = start_mongod(tmp_path / "data")
    connection = connection_to(server.uri)
    try:
        with pytest.raises(Explained, match="was not started as a member of a set"):
            initiate(connection, "127.0.0.1:1")
        server.stop()
        options = ("--replSet", "rs7", "--oplogSize", "16")
        server = start_mongod(server.directory, port=server.port, options=options)
        with pytest.raises(Explained, match="does not find itself under the name"):
            initiate(connection, "127.0.0.1:1")
        assert initiate(connection, f"127.0.0.1:{server.port}") == "rs7"
        assert hello(server.uri)["isWritablePrimary"]
        assert initiate(connection, "another.one:27017") == "rs7", "done before, so nothing is changed"
        assert hello(server.uri)["me"] == f"127.0.0.1:{server.port}"
    finally:
        server.stop(kill=True)
