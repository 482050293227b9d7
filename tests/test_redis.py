"""Redis as the console sees it, on real servers: passwords, ACLs, failed saves, loading, ended, hung, restarted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from opsconsole.model import DatabaseTarget, RedisKeyspace, RedisStatus, Stack
from opsconsole.sources.connection import Connection
from opsconsole.sources.databases import Databases
from opsconsole.sources.redis import RedisServer
from opsconsole.sources.redis_parse import standing_problem, status_from_info
from tests.parts.machine import wait_until
from tests.parts.servers import Server, free_port

StartRedis = Callable[..., Server]

ORIGIN = "REDIS_URL in .env"
TARGET = DatabaseTarget(kind="redis", name="redis", origin=ORIGIN)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@contextmanager
def asked(uri: str) -> Iterator[RedisServer]:
    server = RedisServer(Connection(target=TARGET, uri=uri))
    try:
        yield server
    finally:
        server.close()


def look(uri: str) -> RedisStatus:
    with asked(uri) as server:
        return server.look()


@contextmanager
def client_of(server: Server, database: int = 0) -> Iterator[Any]:
    with closing(redis.Redis(port=server.port, password=server.password or None, db=database)) as client:
        yield client


# --- what is seen of a server that is well -------------------------------------------------------------


def test_a_server_with_password_and_append_only_file(host_redis: StartRedis) -> None:
    server = host_redis(password="hunter2hunter2", appendonly=True, options=("--maxmemory", "50mb"))
    with client_of(server) as client, client_of(server, 3) as other, asked(server.uri) as watched:
        client.mset({f"key{n}": n for n in range(40)})
        other.set("short", 1, ex=1000)
        client.get("key1")
        client.get("missing")
        status = watched.look()
        assert status.rdb_last_save_at is None, "it reports its own start as a save: that is none"
        client.bgsave()
        wait_until(lambda: watched.look().rdb_last_save_at, 30, "no save")
        saved = watched.look()
    assert (status.reachable, status.refused, status.problem) == (True, False, "")
    assert (status.version, status.role, status.loading) == ("7.0.15", "master", False)
    assert status.keyspaces == (RedisKeyspace(database=0, keys=40), RedisKeyspace(database=3, keys=1, expires=1))
    assert (status.memory_limit, status.eviction_policy) == (50 * 2**20, "noeviction")
    assert status.memory_used is not None and 0 < status.memory_used < 50 * 2**20
    assert status.clients is not None and status.clients >= 1
    assert status.clients_limit is not None and status.clients_limit > 100
    assert status.hit_rate_percent == 50.0
    assert status.latency_seconds is not None and 0 < status.latency_seconds < 1
    assert (status.rdb_enabled, status.rdb_last_status) == (True, "ok")
    assert (status.aof_enabled, status.aof_last_status) == (True, "ok")
    assert status.rdb_changes_since_save == 41
    assert saved.rdb_changes_since_save == 0
    assert saved.rdb_last_save_at is not None
    assert abs(saved.rdb_last_save_at - datetime.now(UTC)) < timedelta(seconds=20)
    assert "hunter2hunter2" not in repr(status)


def test_no_limit_and_no_saves(host_redis: StartRedis) -> None:
    status = look(host_redis(options=("--save", "")).uri)
    assert status.memory_limit is None, "maxmemory 0 is no limit"
    assert status.rdb_enabled is False
    assert (status.aof_enabled, status.aof_last_status) == (False, "")
    assert status.hit_rate_percent is None, "nothing was read yet"


def test_full_memory(host_redis: StartRedis) -> None:
    server = host_redis(options=("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"))
    with client_of(server) as client:
        for n in range(60):
            client.set(f"key{n}", b"x" * 50_000)
    status = look(server.uri)
    assert status.memory_used is not None and status.memory_limit is not None
    assert status.memory_used > 0.8 * status.memory_limit
    assert status.evicted_keys is not None and status.evicted_keys > 0
    assert status.eviction_policy == "allkeys-lru"


# --- passwords and privileges --------------------------------------------------------------------------


def test_passwords(host_redis: StartRedis) -> None:
    server = host_redis(password="right-password")
    wrong = look(f"redis://:hunter2hunter2@127.0.0.1:{server.port}")
    assert (wrong.reachable, wrong.refused) == (False, True)
    assert wrong.problem == f"the password of user default was refused (WRONGPASS) ({ORIGIN})"
    none = look(f"redis://127.0.0.1:{server.port}/0")
    assert (none.reachable, none.refused) == (False, True)
    assert none.problem == "Redis wants a password and none is configured (NOAUTH)"
    unknown = look(f"redis://bob:hunter2hunter2@127.0.0.1:{server.port}")
    assert "the password of user bob was refused" in unknown.problem
    for status in (wrong, none, unknown):
        assert "hunter2hunter2" not in repr(status)


def test_a_password_that_the_server_does_not_ask_for(host_redis: StartRedis) -> None:
    """The compose file forgot requirepass: the application is configured with one, and everybody gets in."""
    server = host_redis()
    with asked(f"redis://:hunter2hunter2@127.0.0.1:{server.port}") as watched:
        status = watched.look()
        assert status.reachable
        assert "asks for no password" in status.problem
        assert "hunter2hunter2" not in repr(status)
        with client_of(server) as client:
            client.config_set("requirepass", "hunter2hunter2")
            client.client_kill_filter(skipme=True, _type="normal")
        status = watched.look()
    assert (status.reachable, status.problem) == (True, "")


def test_users_with_few_rights(host_redis: StartRedis) -> None:
    server = host_redis()
    with client_of(server) as client:
        client.execute_command("ACL SETUSER watcher on >watchpass +info")
        client.execute_command("ACL SETUSER app on >apppass ~* +@read")
    watcher = look(f"redis://watcher:watchpass@127.0.0.1:{server.port}")
    assert (watcher.reachable, watcher.problem) == (True, "")
    assert watcher.rdb_enabled is None, "CONFIG is forbidden to it"
    assert watcher.rdb_last_status == "ok"
    app = look(f"redis://app:apppass@127.0.0.1:{server.port}")
    assert (app.reachable, app.refused) == (False, True)
    assert app.problem == "authenticated, but user app may not run INFO (NOPERM)"
    assert "ACL SETUSER app +info" in app.hint


def test_config_that_was_renamed_away(host_redis: StartRedis) -> None:
    status = look(host_redis(options=("--rename-command", "CONFIG", "")).uri)
    assert (status.reachable, status.problem, status.rdb_enabled) == (True, "", None)


def test_protected_mode(host_redis: StartRedis) -> None:
    address = foreign_address()
    if not address:
        pytest.skip("needs an address that is not the loopback's")
    # The later --bind replaces the one of the fixture.
    server = host_redis(options=("--bind", "127.0.0.1", address, "--protected-mode", "yes"))
    status = look(f"redis://{address}:{server.port}")
    assert (status.reachable, status.refused) == (False, True)
    assert status.problem.startswith("Redis is in protected mode")


def foreign_address() -> str:
    """An address of this machine that is not the loopback's; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        found = str(probe.getsockname()[0])
        return "" if found.startswith("127.") else found
    return ""


def test_too_many_clients(host_redis: StartRedis) -> None:
    server = host_redis(options=("--maxclients", "1"))
    with client_of(server) as client:
        client.ping()
        status = look(server.uri)
    assert "maxclients reached" in status.problem


# --- persistence that fails ----------------------------------------------------------------------------


def test_a_save_that_fails(host_redis: StartRedis) -> None:
    """The data directory is removed under the server: what a full disk or a lost mount does to a save."""
    server = host_redis(options=("--save", "1 1", "--enable-protected-configs", "yes"))
    with client_of(server) as client, asked(server.uri) as watched:
        assert watched.look().problem == ""
        shutil.rmtree(server.directory)
        client.set("key", 1)
        client.bgsave()
        status = wait_until(lambda: (found := watched.look()).rdb_last_status == "err" and found, 30, "no failed save")
        assert status.reachable
        assert status.problem == "the last save of Redis failed: it refuses writes (MISCONF)"
        assert "BGSAVE" in status.hint
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.set("key", 2)
        client.config_set("stop-writes-on-bgsave-error", "no")
        assert watched.look().problem == "the last save of Redis failed"
        server.directory.mkdir()
        client.config_set("dir", str(server.directory))
        client.bgsave()
        wait_until(lambda: watched.look().problem == "", 30, "the fault stays on the screen")


def test_an_append_only_file_that_cannot_be_rewritten(host_redis: StartRedis) -> None:
    server = host_redis(appendonly=True, options=("--save", ""))
    with client_of(server) as client, asked(server.uri) as watched:
        client.set("key", 1)
        shutil.rmtree(server.directory)
        with suppress(redis.ResponseError):
            client.bgrewriteaof()
        status = wait_until(lambda: (found := watched.look()).aof_last_status == "err" and found, 30, "no failure")
    assert status.problem == "the last rewrite of Redis' append-only file failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_an_append_only_file_on_a_full_disk(host_redis: StartRedis, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], timeout=20)
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    server = None
    try:
        server = host_redis(
            directory=disk / "data", appendonly=True, options=("--appendfsync", "everysec", "--save", "")
        )
        with client_of(server) as client, asked(server.uri) as watched:
            for n in range(60):
                with suppress(redis.ResponseError):
                    client.set(f"key{n}", os.urandom(50_000))
            status = wait_until(lambda: (found := watched.look()).aof_last_status == "err" and found, 30, "no failure")
        assert status.problem == "Redis cannot write its append-only file and refuses writes (MISCONF)"
    finally:
        if server is not None:
            server.stop(kill=True)
        subprocess.run(["umount", "--lazy", str(disk)], timeout=20)


def test_loading_is_a_state_and_no_failure(host_redis: StartRedis) -> None:
    server = host_redis()
    with client_of(server) as client:
        client.mset({f"key{n}": "x" * 100 for n in range(20_000)})
        client.save()
    server.stop(kill=True)
    slow = ("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    words = ["redis-server", "--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(server.directory), *slow]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with asked(server.uri) as watched:
            status = wait_until(lambda: (found := watched.look()).reachable and found, 60, "it never answers")
            assert status.loading
            assert status.problem.startswith("Redis is loading its data")
            assert "LOADING" in status.problem
    finally:
        process.kill()
        process.wait(timeout=20)


# --- servers that cannot be asked, that go and come back -----------------------------------------------


def test_why_a_server_cannot_be_reached(host_mongod: Callable[..., Server]) -> None:
    port = free_port()
    refused = look(f"redis://:hunter2hunter2@127.0.0.1:{port}/0")
    assert refused.problem == f"Redis at 127.0.0.1:{port} refuses connections: nothing listens there"
    unknown = look("redis://:hunter2hunter2@no-such-host.invalid:6379")
    assert unknown.problem == "Redis: this host does not know the name no-such-host.invalid"
    socket_file = look("unix:///no/such/redis.sock")
    assert socket_file.problem == "Redis's socket /no/such/redis.sock cannot be opened"
    other = look(f"redis://:hunter2hunter2@127.0.0.1:{host_mongod().port}")
    assert "closed the connection" in other.problem or "does not answer as Redis does" in other.problem
    for status in (refused, unknown, socket_file, other):
        assert not status.reachable and not status.refused
        assert "hunter2hunter2" not in repr(status)


@pytest.mark.parametrize(
    "uri", ["http://:hunter2@127.0.0.1/", "redis://:hunter2/x@127.0.0.1:6379", "redis://:p@h:hunter2/"]
)
def test_an_address_that_is_none(uri: str) -> None:
    status = look(uri)
    assert status.problem == f"{ORIGIN} is not a Redis address"
    assert "hunter2" not in repr(status)


def test_tls(host_redis: StartRedis, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # Debian's Redis is built with TLS, others may not be: the handshake alone is what counts here.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def shake_hands() -> None:
            with suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(link, server_side=True) as wrapped:
                        wrapped.recv(100)

        threading.Thread(target=shake_hands, daemon=True).start()
        untrusted = look(f"rediss://127.0.0.1:{port}")
        assert "the TLS certificate of Redis" in untrusted.problem and "self-signed" in untrusted.problem
        plain = look(f"redis://127.0.0.1:{port}")
        assert plain.problem == f"Redis at 127.0.0.1:{port} closed the connection"
        listener.shutdown(socket.SHUT_RDWR)
    assert "TLS handshake with Redis" in look(f"rediss://127.0.0.1:{host_redis().port}").problem


def test_killed_restarted_and_hung(host_redis: StartRedis) -> None:
    server = host_redis(appendonly=True)
    source = Databases(lambda stack, containers: [Connection(target=TARGET, uri=server.uri)], patience_seconds=4)

    def status() -> RedisStatus:
        (found,) = source.look(Stack(name="s", directory="/"), (), collections=True)
        assert isinstance(found, RedisStatus)
        return found

    try:
        well = status()
        assert well.reachable
        server.stop(kill=True)
        again = host_redis(directory=server.directory, port=server.port, appendonly=True)
        assert (status().reachable, status().problem) == (True, ""), "a dead kept connection is no fault to show"
        again.stop(kill=True)
        gone = status()
        assert not gone.reachable and "refuses connections" in gone.problem
        assert gone.version == "7.0.15" and gone.sampled_at is not None, "the last data stays"
        third = host_redis(directory=server.directory, port=server.port, appendonly=True)
        assert status().reachable
        os.kill(third.process.pid, signal.SIGSTOP)
        begun = time.monotonic()
        hung = status()
        assert time.monotonic() - begun < 30
        assert not hung.reachable and "does not answer in time" in hung.problem
        os.kill(third.process.pid, signal.SIGCONT)
        wait_until(lambda: status().reachable, 30, "does not come back")
    finally:
        source.close()


# --- the parser, on what a Redis 7.0.15 really wrote ---------------------------------------------------

INFO = (Path(__file__).parent / "data" / "redis-7.0.15-info.txt").read_text()


def test_the_parser_on_real_text() -> None:
    settings = {"save": "3600 1 300 100", "maxclients": "10000"}
    status = status_from_info(TARGET, INFO, settings=settings, latency_seconds=0.001, now=NOW)
    assert (status.version, status.role, status.sampled_at) == ("7.0.15", "master", NOW)
    assert (status.memory_limit, status.clients_limit, status.rdb_enabled) == (20971520, 10000, True)
    assert [(keyspace.database, keyspace.keys) for keyspace in status.keyspaces] == [(0, 1), (3, 1)]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("loading", "1", "Redis is loading its data: clients get LOADING until it is done"),
        ("rdb_last_bgsave_status", "err", "the last save of Redis failed: it refuses writes (MISCONF)"),
        ("aof_last_write_status", "err", "Redis cannot write its append-only file and refuses writes (MISCONF)"),
        ("aof_last_bgrewrite_status", "err", "the last rewrite of Redis' append-only file failed"),
        ("role", "slave\r\nmaster_link_status:down", "this replica has lost its master"),
    ],
)
def test_one_changed_field_of_real_text(field: str, value: str, problem: str) -> None:
    lines = [f"{field}:{value}" if line.startswith(f"{field}:") else line for line in INFO.splitlines()]
    changed = "\r\n".join(lines)
    assert changed.count(f"{field}:{value}") == 1
    status = status_from_info(TARGET, changed, now=NOW)
    assert standing_problem(status, changed, {})[0] == problem


def test_valkey_writes_the_same_with_its_own_version() -> None:
    status = status_from_info(
        TARGET, INFO.replace("redis_version:7.0.15", "redis_version:7.2.4\r\nvalkey_version:8.0.1"), now=NOW
    )
    assert status.version == "8.0.1"


@pytest.mark.parametrize(
    "text", ["", "garbage", "a:b\r\nmaxmemory:much\r\ndb0:keys=x", "# Server\r\n:\r\n", "db0:\r\n"]
)
def test_odd_text_is_unknown_and_not_an_error(text: str) -> None:
    status = status_from_info(TARGET, text, now=NOW)
    assert (status.version, status.memory_used, status.rdb_enabled, status.aof_enabled) == ("", None, None, None)


def test_an_old_redis_does_not_count_its_saves() -> None:
    old = "server_time_usec:1700000100000000\r\nuptime_in_seconds:100\r\nrdb_last_save_time:{}\r\n"
    assert status_from_info(TARGET, old.format(1700000000), now=NOW).rdb_last_save_at is None
    saved = status_from_info(TARGET, old.format(1700000050), now=NOW).rdb_last_save_at
    assert saved == datetime.fromtimestamp(1700000050, UTC)
