"""Real database servers on the host, each in a directory of its own, ended with the process that started them.

Start them from the main thread: the kernel ends them together with the thread they were started from.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import random
import secrets
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import pymongo
import redis

from tests.parts.install import MONGOD, find
from tests.parts.machine import PartsError, lock_file, wait_until

LOCAL = "127.0.0.1"
# A new server fills its journal with three files of 100 MB beforehand: 60 servers in a run are 18 GB of disk.
SMALL_JOURNAL = ("--wiredTigerEngineConfigString", "log=(file_max=8MB,prealloc=false)")
_ports: set[int] = set()


@dataclass
class Server:
    """A database server that runs on the host."""

    port: int
    uri: str
    directory: Path
    log: Path
    process: subprocess.Popen[bytes]
    user: str = ""
    password: str = ""

    def stop(self, *, kill: bool = False) -> None:
        """End it, cleanly or as if the power went; its directory stays."""
        if self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
        self.process.wait(timeout=60)


def free_port() -> int:
    """A port nobody listens on, outside the range the kernel hands out to outgoing connections.

    Nobody else gets it while this process lives: between asking for it and listening on it seconds may pass.
    """
    for _ in range(200):
        port = random.randint(20000, 31999)
        with contextlib.suppress(OSError), contextlib.closing(socket.socket()) as probe:
            if port not in _ports and _reserve(port):
                probe.bind(("", port))
                return port
    raise PartsError("no free port between 20000 and 31999")


def _reserve(port: int) -> bool:
    """Take the lock of this port, one byte of a file, until this process ends; OSError when another one has it."""
    fcntl.lockf(_ports_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    _ports.add(port)
    return True


@functools.cache
def _ports_file() -> BinaryIO:
    # Never closed: that would free every lock of this process.
    return lock_file("ports")


def start_mongod(
    directory: Path,
    *,
    auth: bool = False,
    replset: bool = False,
    bind: tuple[str, ...] = (LOCAL,),
    port: int | None = None,
    oplog_megabytes: int = 64,
    options: tuple[str, ...] = (),
) -> Server:
    """Start mongod on a directory; with auth there is a user root/secret, with replset it is primary on return.

    An existing directory is started as it is: its user and its replica set are there already.
    """
    if not MONGOD.exists():
        raise PartsError("mongod is missing; run: python -m tests.parts install")
    fresh = not (directory / "WiredTiger").exists()
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = directory.with_name(f"{directory.name}.log")
    words = [str(MONGOD), "--dbpath", str(directory), "--port", str(port), "--bind_ip", ",".join(bind)]
    words += ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", *SMALL_JOURNAL, *options]
    if auth:
        words += ["--auth"]
    if replset:
        words += ["--replSet", "rs0", "--oplogSize", str(oplog_megabytes)]
    if auth and replset:
        words += ["--keyFile", str(_key_file(directory))]
    process = _start(words, log)
    server = Server(port, f"mongodb://{LOCAL}:{port}/?directConnection=true", directory, log, process)
    try:
        wait_until(lambda: _listens(server), 60, f"mongod does not listen, see {log}")
        if replset and fresh:
            _initiate(server.uri, f"{LOCAL}:{port}")
        if auth:
            server.user, server.password = "root", "secret"
            if fresh:
                _create_root(server)
            login = f"{quote(server.user)}:{quote(server.password)}"
            server.uri = f"mongodb://{login}@{LOCAL}:{port}/?authSource=admin&directConnection=true"
        if replset:
            wait_until(lambda: hello(server.uri)["isWritablePrimary"], 60, "the replica set has no primary")
    except BaseException:
        server.stop(kill=True)
        raise
    return server


def start_redis(
    directory: Path,
    *,
    password: str = "",
    appendonly: bool = False,
    port: int | None = None,
    options: tuple[str, ...] = (),
) -> Server:
    """Start redis-server on a directory."""
    program = find("redis-server")
    if program is None:
        raise PartsError("redis-server is missing; run: python -m tests.parts install")
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = directory.with_name(f"{directory.name}.log")
    words = [program, "--port", str(port), "--bind", LOCAL, "--dir", str(directory), "--save", "3600 1 300 100"]
    words += ["--appendonly", "yes" if appendonly else "no", *options]
    if password:
        words += ["--requirepass", password]
    process = _start(words, log)
    login = f":{quote(password, safe='')}@" if password else ""
    server = Server(port, f"redis://{login}{LOCAL}:{port}", directory, log, process, password=password)
    try:
        wait_until(lambda: _pings(server), 30, f"redis-server does not answer, see {log}")
    except BaseException:
        server.stop(kill=True)
        raise
    return server


def hello(uri: str) -> dict[str, Any]:
    """What a MongoDB server says of itself."""
    with pymongo.MongoClient[Any](uri, serverSelectionTimeoutMS=2000) as client:
        answer: dict[str, Any] = client.admin.command("hello")
        return answer


def initiate_replica_set(uri: str, member: str) -> None:
    """Make a server the only member of its replica set and wait until it is the primary."""
    _initiate(uri, member)
    wait_until(lambda: hello(uri)["isWritablePrimary"], 60, "the replica set has no primary")


def _start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    setpriv = find("setpriv")
    if setpriv is not None:
        # A test run that is killed takes its servers with it.
        words = [setpriv, "--pdeathsig", "KILL", *words]
    with log.open("ab") as output:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _listens(server: Server) -> bool:
    _still_runs(server)
    with socket.create_connection((LOCAL, server.port), timeout=2):
        return True


def _pings(server: Server) -> bool:
    _still_runs(server)
    with contextlib.closing(redis.Redis.from_url(server.uri)) as client:
        return bool(client.ping())


def _still_runs(server: Server) -> None:
    if server.process.poll() is not None:
        last = server.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise PartsError(f"the server ended with {server.process.returncode}: {last}")


def _initiate(uri: str, member: str) -> None:
    with pymongo.MongoClient[Any](uri, serverSelectionTimeoutMS=20000) as client:
        config = {"_id": "rs0", "members": [{"_id": 0, "host": member}]}
        client.admin.command("replSetInitiate", config)


def _create_root(server: Server) -> None:
    """The first user, created over the localhost exception."""

    def create() -> bool:
        with pymongo.MongoClient[Any](server.uri, serverSelectionTimeoutMS=5000) as client:
            client.admin.command("createUser", server.user, pwd=server.password, roles=["root"])
        return True

    # A new replica set may take a moment to accept writes.
    wait_until(create, 30, "the first user was not created")


def _key_file(directory: Path) -> Path:
    path = directory.with_name(f"{directory.name}.key")
    if not path.exists():
        path.write_text(secrets.token_hex(64))
        path.chmod(0o600)
    return path
