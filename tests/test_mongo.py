"""MongoDB as the console sees it, on real mongods: with and without password, in a set, ended, hung, restarted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import ServerSelectionTimeoutError

from opsconsole.database_work import View
from opsconsole.model import Container, DatabaseTarget, MongoStatus, Stack
from opsconsole.sources.connection import Connection
from opsconsole.sources.databases import Databases
from opsconsole.sources.mongo import MongoServer
from opsconsole.sources.mongo_faults import explain_failure
from opsconsole.sources.mongo_parse import Counters, members_from, set_problem, topology_of
from tests.parts.machine import wait_until
from tests.parts.servers import Server, free_port, initiate_replica_set

StartMongod = Callable[..., Server]

ORIGIN = "MONGODB_URI in .env"


def connection(uri: str, database: str = "") -> Connection:
    return Connection(target=DatabaseTarget(kind="mongodb", name="host", database=database, origin=ORIGIN), uri=uri)


@contextmanager
def asked(uri: str, database: str = "") -> Iterator[MongoServer]:
    server = MongoServer(connection(uri, database))
    try:
        yield server
    finally:
        server.close()


def look(uri: str) -> MongoStatus:
    with asked(uri) as server:
        return server.look()


@contextmanager
def client_of(server: Server) -> Iterator[pymongo.MongoClient[Any]]:
    with pymongo.MongoClient[Any](server.uri, serverSelectionTimeoutMS=5000) as client:
        yield client


def with_login(server: Server, user: str, password: str, rest: str = "/?authSource=admin&directConnection=true") -> str:
    return f"mongodb://{user}:{password}@127.0.0.1:{server.port}{rest}"


# --- what is seen of a server that is well -------------------------------------------------------------


def test_a_standalone_server_and_its_load(host_mongod: StartMongod) -> None:
    mongod = host_mongod()
    with asked(mongod.uri) as server, client_of(mongod) as client:
        first = server.look()
        client.shop.orders.insert_many([{"n": n} for n in range(50)])
        for n in range(20):
            client.shop.orders.insert_one({"n": n})
        second = server.look()
    assert (first.reachable, first.problem, first.topology, first.member_state) == (True, "", "standalone", "")
    assert first.version == "6.0.5"
    assert first.operations == {}, "a rate needs two looks"
    assert second.operations["insert"] > 0
    assert second.connections is not None and second.connections >= 2
    assert second.connections_available is not None and second.connections_available > 100
    assert second.memory_resident is not None and second.memory_resident > 2**20
    assert second.cache_total == 2**28
    assert second.cache_used is not None and 0 < second.cache_used < second.cache_total
    assert second.latency_seconds is not None and 0 < second.latency_seconds < 2
    assert second.sampled_at is not None and second.sampled_at.tzinfo is not None


def test_databases_collections_views_and_time_series(host_mongod: StartMongod) -> None:
    mongod = host_mongod()
    with client_of(mongod) as client:
        client.shop.orders.insert_many([{"n": n, "text": "x" * 100} for n in range(200)])
        client.shop.orders.create_index("n")
        client.shop.command({"create": "open orders", "viewOn": "orders", "pipeline": []})
        client.shop.create_collection("measured", timeseries={"timeField": "at"})
        client.shop.measured.insert_many([{"at": datetime.now(UTC), "v": n} for n in range(10)])
        client.empty.create_collection("nothing")
    with asked(mongod.uri) as server:
        listed = server.list_databases()
    assert listed is not None
    assert [database.name for database in listed] == ["empty", "shop"]
    by_name = {collection.name: collection for collection in listed[1].collections}
    assert list(by_name) == ["measured", "open orders", "orders"], "system collections are hidden"
    orders = by_name["orders"]
    assert (orders.kind, orders.documents, orders.indexes) == ("collection", 200, 2)
    assert orders.data_bytes is not None and orders.data_bytes > 20_000
    assert orders.storage_bytes is not None and orders.index_bytes is not None
    assert (by_name["open orders"].kind, by_name["open orders"].documents) == ("view", None)
    assert (by_name["measured"].kind, by_name["measured"].documents) == ("timeseries", None)
    assert listed[1].data_bytes is not None and listed[1].data_bytes >= orders.data_bytes
    assert listed[0].collections[0].documents == 0


def test_listing_never_scans(host_mongod: StartMongod) -> None:
    mongod = host_mongod()
    with client_of(mongod) as client:
        client.shop.orders.insert_many([{"n": n} for n in range(1000)])
        client.shop.command({"profile": 2})
        with asked(mongod.uri) as server:
            assert server.list_databases()
        client.shop.command({"profile": 0})
        read = sum(
            entry.get("docsExamined", 0) for entry in client.shop["system.profile"].find({"appName": "opsconsole"})
        )
        asked_for = client.shop["system.profile"].count_documents({"appName": "opsconsole"})
    assert asked_for > 0
    assert read < 10


def test_one_node_replica_set(host_mongod: StartMongod) -> None:
    mongod = host_mongod(replset=True)
    status = look(f"mongodb://127.0.0.1:{mongod.port}/shop?replicaSet=rs0")
    assert (status.reachable, status.problem) == (True, "")
    assert (status.topology, status.member_state) == ("replica set rs0", "PRIMARY")
    assert [(member.state, member.health, member.lag_seconds) for member in status.members] == [("PRIMARY", True, None)]


def test_a_member_name_that_this_host_does_not_know(host_mongod: StartMongod) -> None:
    """The classic of a set in a container: its member is called mongodb:27017, which only containers resolve."""
    port = free_port()
    name = "opsctest-db-mongodb"
    mongod = host_mongod(options=("--replSet", "rs0", "--oplogSize", "64"), port=port)
    with known_name(name):
        initiate_replica_set(mongod.uri, f"{name}:{port}")
    status = look(f"mongodb://127.0.0.1:{port}/shop?replicaSet=rs0")
    assert (status.reachable, status.topology) == (True, "replica set rs0")
    assert [member.name for member in status.members] == [f"{name}:{port}"]


@contextmanager
def known_name(name: str) -> Iterator[None]:
    """Let this machine know a name for as long as a set is initiated with it."""
    hosts = Path("/etc/hosts")
    before = hosts.read_text()
    try:
        hosts.write_text(f"{before.rstrip()}\n127.0.0.1 {name}\n")
    except OSError:
        pytest.skip("needs to write /etc/hosts")
    try:
        yield
    finally:
        now = hosts.read_text()
        hosts.write_text("".join(line for line in now.splitlines(keepends=True) if name not in line))


def test_a_set_that_was_never_initiated(host_mongod: StartMongod) -> None:
    mongod = host_mongod(options=("--replSet", "rs0"))
    with asked(mongod.uri) as server:
        status = server.look()
        assert server.list_databases() is None
    assert status.reachable
    assert status.topology == "replica set (not initiated)"
    assert status.problem == "the replica set was never initiated: nothing can be written"
    assert "rs.initiate()" in status.hint


def test_the_wrong_replica_set_in_the_address(host_mongod: StartMongod) -> None:
    mongod = host_mongod()
    status = look(f"mongodb://127.0.0.1:{mongod.port}/shop?replicaSet=rs9")
    assert status.reachable
    assert status.problem == "the address asks for replica set rs9, and this server is in no replica set"


def test_a_set_that_lost_its_primary(host_mongod: StartMongod) -> None:
    mongod = host_mongod(replset=True)
    with asked(mongod.uri) as server:
        assert server.look().member_state == "PRIMARY"
        with client_of(mongod) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            # A second member that nobody can reach: this one alone is no majority any more.
            config["members"].append({"_id": 1, "host": f"127.0.0.1:{free_port()}", "priority": 1})
            client.admin.command({"replSetReconfig": config, "force": True})
        status = wait_until(lambda: (found := server.look()).member_state != "PRIMARY" and found, 60, "still primary")
        assert server.list_databases() is not None, "a secondary can be read"
    assert status.reachable
    assert status.problem == "replica set rs0 has no primary: nothing can be written"
    assert [member.health for member in status.members].count(False) == 1


# --- passwords and privileges --------------------------------------------------------------------------


def test_passwords(host_mongod: StartMongod) -> None:
    mongod = host_mongod(auth=True)
    good = look(mongod.uri)
    assert (good.reachable, good.problem) == (True, "")

    wrong = look(with_login(mongod, "root", "hunter2hunter2"))
    assert (wrong.reachable, wrong.refused) == (False, True)
    assert wrong.problem == f"the password of user root was refused ({ORIGIN})"
    assert "authSource" in wrong.hint

    elsewhere = look(with_login(mongod, "root", "secret", "/shop?directConnection=true"))
    assert 'database "shop"' in elsewhere.hint, "the usual cause: authSource=admin is missing"

    none = look(f"mongodb://127.0.0.1:{mongod.port}/")
    assert (none.reachable, none.refused) == (False, True)
    assert none.problem == "MongoDB wants a password and none is configured"
    assert (none.version, none.topology) == ("6.0.5", "standalone"), "known without a password"

    for status in (good, wrong, elsewhere, none):
        assert "hunter2hunter2" not in repr(status)
        assert "secret" not in repr(status)


def test_privileges_that_are_missing_leave_gaps(host_mongod: StartMongod) -> None:
    mongod = host_mongod(auth=True, replset=True)
    with client_of(mongod) as client:
        client.shop.orders.insert_many([{"n": n} for n in range(7)])
        client.hidden.orders.insert_one({})
        client.shop.command("createUser", "app", pwd="apppass", roles=[{"role": "read", "db": "shop"}])
        client.shop.command("createUser", "nobody", pwd="nopass", roles=[])
    with asked(with_login(mongod, "app", "apppass", "/shop"), "shop") as server:
        status = server.look()
        listed = server.list_databases()
        views = (View.OPERATIONS, View.SLOW, View.INDEXES)
        said = {view: server.at_work(view, (("shop", "orders"),)).said for view in views}
    assert status.slow == (), "operations of its own user can be seen by everybody"
    assert all(any("clusterMonitor" in line for line in lines) for lines in said.values()), said
    assert (status.reachable, status.version, status.topology) == (True, "6.0.5", "replica set rs0")
    assert (status.connections, status.operations) == (None, {})
    assert status.problem == "authenticated, but user app may not read serverStatus and replSetGetStatus"
    assert "clusterMonitor" in status.hint
    assert [member.state for member in status.members] == ["PRIMARY"], "hello tells that much"
    assert listed is not None
    assert [(one.name, [c.documents for c in one.collections]) for one in listed] == [("shop", [7])]

    with asked(with_login(mongod, "nobody", "nopass", "/shop"), "shop") as server:
        listed = server.list_databases()
        status = server.look()
    assert status.reachable
    assert "and the collections of shop" in status.problem
    assert listed is not None
    assert [(one.name, one.data_bytes, one.collections) for one in listed] == [("shop", None, ())]


# --- servers that cannot be asked ----------------------------------------------------------------------


def test_why_a_server_cannot_be_reached() -> None:
    port = free_port()
    refused = look(f"mongodb://127.0.0.1:{port}/shop")
    assert refused.problem == f"MongoDB at 127.0.0.1:{port} refuses connections: nothing listens there"
    assert ORIGIN in refused.hint
    assert not refused.reachable and not refused.refused and refused.sampled_at is None

    unknown = look("mongodb://admin:hunter2hunter2@no-such-host.invalid:27017/shop")
    assert unknown.problem == "MongoDB: this host does not know the name no-such-host.invalid"

    assert "hunter2hunter2" not in repr(unknown)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://admin:hunter2@hunter2@127.0.0.1/", "user and password must be percent-encoded"),
        ("mongodb://admin:hunter2/hunter2@127.0.0.1/", "user and password must be percent-encoded"),
        ("mongodb://admin:hunter2hunter2@127.0.0.1:hunter2/", "percent-encoded"),
        ("http://admin:hunter2hunter2@127.0.0.1/", "it must begin with mongodb://"),
        ("mongodb://admin:hunter2hunter2@127.0.0.1:99999/", "its port must be a number"),
        ("mongodb://admin:hunter2hunter2@a,b/?directConnection=true", "one of its options"),
    ],
)
def test_an_address_that_is_none(uri: str, reason: str) -> None:
    status = look(uri)
    assert status.problem.startswith(f"{ORIGIN} is not a MongoDB address")
    assert reason in status.problem
    assert "hunter2" not in repr(status)


def test_an_unknown_option_warns_nobody(host_mongod: StartMongod, recwarn: pytest.WarningsRecorder) -> None:
    assert look(host_mongod().uri + "&madeUp=1").reachable
    assert not [warning for warning in recwarn if "option" in str(warning.message)]


def test_something_else_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    peer.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n" * 4)

        threading.Thread(target=talk, daemon=True).start()
        status = look(f"mongodb://127.0.0.1:{port}/")
        listener.shutdown(socket.SHUT_RDWR)
    assert status.problem == f"MongoDB at 127.0.0.1:{port} does not answer as MongoDB does"


def test_an_answer_that_did_not_come_before_the_driver_gave_up(host_mongod: StartMongod) -> None:
    """On a busy host the driver may end its search before the first greeting has failed: it names no cause then."""
    mongod = host_mongod()
    os.kill(mongod.process.pid, signal.SIGSTOP)
    try:
        with pymongo.MongoClient[dict[str, Any]](
            mongod.uri, serverSelectionTimeoutMS=200, connectTimeoutMS=20000
        ) as client:
            with pytest.raises(ServerSelectionTimeoutError, match="found yet") as gave_up:
                client.admin.command("ping")
            said = explain_failure(gave_up.value, connection(mongod.uri), client)
    finally:
        os.kill(mongod.process.pid, signal.SIGCONT)
    assert said.problem == f"MongoDB at 127.0.0.1:{mongod.port} does not answer in time"


def test_tls(host_mongod: StartMongod, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    key = tmp_path / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made = [*command, "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    key.write_text((tmp_path / "key").read_text() + (tmp_path / "certificate").read_text())

    plain = host_mongod()
    over_plain = look(f"mongodb://127.0.0.1:{plain.port}/?tls=true")
    assert over_plain.problem == f"the TLS handshake with MongoDB at 127.0.0.1:{plain.port} failed"

    options = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(key))
    wants_tls = host_mongod(options=options)
    without = look(f"mongodb://127.0.0.1:{wants_tls.port}/")
    assert without.problem == f"MongoDB at 127.0.0.1:{wants_tls.port} closed the connection"
    assert "TLS" in without.hint
    self_signed = look(f"mongodb://localhost:{wants_tls.port}/?tls=true")
    assert "certificate of MongoDB" in self_signed.problem and "self-signed" in self_signed.problem
    trusted = look(f"mongodb://localhost:{wants_tls.port}/?tls=true&tlsCAFile={tmp_path / 'certificate'}")
    assert trusted.reachable


# --- servers that go and come back ---------------------------------------------------------------------


class Watched:
    """The database source over one server, as the monitor asks it."""

    def __init__(self, uri: str, *, service: str = "", patience: float = 5.0) -> None:
        target = DatabaseTarget(kind="mongodb", name="mongodb", service=service, origin=ORIGIN)
        self.connections = [Connection(target=target, uri=uri)]
        self.source = Databases(lambda stack, containers: self.connections, patience_seconds=patience)
        self.containers: tuple[Container, ...] = ()

    def look(self, *, collections: bool = False) -> MongoStatus:
        (status,) = self.source.look(Stack(name="s", directory="/"), self.containers, collections=collections)
        assert isinstance(status, MongoStatus)
        return status


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def start(uri: str, **options: Any) -> Watched:
        made.append(Watched(uri, **options))
        return made[-1]

    yield start
    for one in made:
        one.source.close()


def test_killed_and_restarted(host_mongod: StartMongod, watch: Callable[..., Watched]) -> None:
    mongod = host_mongod()
    with client_of(mongod) as client:
        client.shop.orders.insert_one({})
    watched = watch(mongod.uri)
    well = wait_until(lambda: (found := watched.look(collections=True)).databases and found, 30, "no list")
    assert well.reachable and [database.name for database in well.databases] == ["shop"]

    mongod.stop(kill=True)
    gone = watched.look()
    assert not gone.reachable
    assert "refuses connections" in gone.problem
    assert gone.version == "6.0.5", "the last data stays"
    assert [database.name for database in gone.databases] == ["shop"]
    assert gone.sampled_at == well.sampled_at, "with the time of the last good answer"

    host_mongod(directory=mongod.directory, port=mongod.port)
    back = watched.look()
    assert (back.reachable, back.problem) == (True, "")
    assert back.sampled_at is not None and well.sampled_at is not None and back.sampled_at > well.sampled_at
    assert back.operations == {}, "counters began anew: no negative rates"


def test_restarted_between_two_looks(host_mongod: StartMongod, watch: Callable[..., Watched]) -> None:
    """The kept connection is dead, the server is well: that is no fault to show."""
    mongod = host_mongod()
    watched = watch(mongod.uri)
    assert watched.look().reachable
    mongod.stop(kill=True)
    host_mongod(directory=mongod.directory, port=mongod.port)
    assert (watched.look().reachable, watched.look().problem) == (True, "")


def test_a_server_that_hangs_delays_nobody(
    host_mongod: StartMongod, host_redis: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    mongod = host_mongod()
    watched = watch(mongod.uri, patience=1.0)
    redis_target = DatabaseTarget(kind="redis", name="redis")
    watched.connections.append(Connection(target=redis_target, uri=host_redis().uri))

    def both() -> tuple[Any, ...]:
        return watched.source.look(Stack(name="s", directory="/"), (), collections=True)

    assert all(status.reachable for status in both())
    os.kill(mongod.process.pid, signal.SIGSTOP)
    try:
        mongo, redis = both()
        assert redis.reachable
        assert not mongo.reachable and "no answer for" in mongo.problem  # it is still asked: nobody waits for the end
        assert mongo.version == "6.0.5"
        late = wait_until(lambda: "in time" in (found := both()[0]).problem and found, 30, "never named")
        assert late.problem == f"MongoDB at 127.0.0.1:{mongod.port} does not answer in time"
        assert "no answer for" in both()[0].problem
        begun = time.monotonic()
        watched.source.close()
        assert time.monotonic() - begun < 2.5  # the question goes on for 3 s and more
    finally:
        os.kill(mongod.process.pid, signal.SIGCONT)
    wait_until(lambda: both()[0].reachable, 30, "does not come back")


def test_a_stopped_container_is_named(watch: Callable[..., Watched]) -> None:
    neighbour = socket.create_server(("127.0.0.1", 0))
    watched = watch(f"mongodb://127.0.0.1:{neighbour.getsockname()[1]}/", service="mongodb")
    finished = datetime.now(UTC) - timedelta(minutes=4, seconds=10)
    stopped = Container(
        id="a", name="s-mongodb-1", service="mongodb", state="exited", exit_code=137, finished_at=finished
    )
    watched.containers = (stopped,)
    status = watched.look()
    with neighbour, pytest.raises(BlockingIOError):
        neighbour.setblocking(False)
        neighbour.accept()  # its address may be another container's by now: it is not asked
    assert status.problem == "service mongodb is not running (exited 137, 4 minutes ago)"
    assert status.hint == "read its log, then: docker compose up -d mongodb"


def test_a_changed_password_is_used_at_once(host_mongod: StartMongod, watch: Callable[..., Watched]) -> None:
    mongod = host_mongod(auth=True)
    watched = watch(mongod.uri)
    assert watched.look().reachable
    target = watched.connections[0].target
    watched.connections[0] = Connection(target=target, uri=with_login(mongod, "root", "changed"))
    refused = watched.look()
    assert (refused.reachable, refused.refused) == (False, True)
    assert refused.version == "", "seen with another password: that is another connection's data"
    watched.connections[0] = Connection(target=target, uri=mongod.uri)
    assert watched.look().reachable


def test_another_way_in_is_tried(host_mongod: StartMongod, watch: Callable[..., Watched]) -> None:
    mongod = host_mongod(auth=True)
    watched = watch("")
    target = watched.connections[0].target
    closed = f"mongodb://127.0.0.1:{free_port()}/"
    wrong = with_login(mongod, "root", "changed")
    watched.connections[0] = Connection(target=target, uri=closed, others=(wrong, mongod.uri))
    begun = time.monotonic()
    assert [watched.look().reachable for _ in range(3)] == [True] * 3
    assert time.monotonic() - begun < 5  # each that waited for the closed one would take 2 s
    watched.connections[0] = Connection(target=target, uri=closed, others=(wrong,))
    assert "was refused" in watched.look().problem, "what an answering server says tells more"


def test_no_way_to_the_server_is_said_as_it_was_found(watch: Callable[..., Watched]) -> None:
    watched = watch("")
    target = watched.connections[0].target
    watched.connections[0] = Connection(target=target, problem="mongodb publishes no port", hint="publish one")
    status = watched.look(collections=True)
    assert (status.reachable, status.problem, status.hint) == (False, "mongodb publishes no port", "publish one")


def test_no_database_at_all(watch: Callable[..., Watched]) -> None:
    watched = watch("mongodb://127.0.0.1/")
    watched.connections.clear()
    assert watched.source.look(Stack(name="s", directory="/"), (), collections=True) == ()


def test_a_connection_does_not_show_its_password() -> None:
    assert "hunter2" not in repr(connection("mongodb://admin:hunter2@127.0.0.1/"))


# --- pure parts ----------------------------------------------------------------------------------------


def test_rates() -> None:
    first = Counters(10.0, {"insert": 100, "query": 7})
    second = Counters(20.0, {"insert": 150, "query": 7})
    assert second.rates_since(first) == {"insert": 5.0, "query": 0.0}
    assert second.rates_since(None) == {}
    assert first.rates_since(second) == {}, "no time has passed"
    assert Counters(30.0, {"insert": 3, "query": 9}).rates_since(second) == {}, "the server restarted"


def test_lag_and_health_of_members() -> None:
    now = datetime.now(UTC)
    replica = {
        "members": [
            {"name": "a:1", "stateStr": "PRIMARY", "health": 1.0, "optimeDate": now},
            {"name": "b:1", "stateStr": "SECONDARY", "health": 1.0, "optimeDate": now - timedelta(seconds=40)},
            {"name": "c:1", "stateStr": "(not reachable/healthy)", "health": 0.0, "optimeDate": datetime.now(UTC)},
        ]
    }
    members = members_from({}, replica)
    assert [(member.lag_seconds, member.health) for member in members] == [(None, True), (40.0, True), (None, False)]
    assert set_problem({"setName": "rs0"}, members, "rs0") == ("", "")
    assert "no primary" in set_problem({"setName": "rs0"}, members[1:], "")[0]
    assert topology_of({"msg": "isdbgrid"}) == "sharded cluster"
