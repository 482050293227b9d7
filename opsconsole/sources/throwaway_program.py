"""How a throw-away server is started, and how one sees that it answers: the same in a container and on the host.

It listens on a Unix socket and on no network: nobody else on this host, in no container and on no other machine can
reach what is loaded into it, and no port is taken.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence
from urllib.parse import quote

from opsconsole.model import DatabaseTarget, Record
from opsconsole.sources.connection import Connection
from opsconsole.text import printable

START_SECONDS = 180.0
CACHE_GB = "0.25"
"""Of MongoDB's own cache, beside a live server that has most of the memory: loading is as fast with it."""

_SAYS_WHY = re.compile(r'"s":"[FE]"|FATAL|Fatal|Terminating|[Ee]rror|[Cc]orrupt|Bad directive')
_REFUSED_OPTION = re.compile(r"Bad directive|FATAL CONFIG FILE ERROR|[Uu]nrecognised option|Unknown argument")


class Start(Record, frozen=True):
    """One way to start a server: another one follows for versions that do not know its options."""

    programs: tuple[str, ...]
    words: tuple[str, ...]


def starts(kind: str, data: str, at: str, options: Sequence[str] = ()) -> tuple[Start, ...]:
    """For a "mongodb" or "redis" whose files lie in `data` and that listens on the socket `at`, best way first."""
    if kind == "mongodb":
        # --nounixsocket is about the socket that mongod makes in /tmp besides, in the place of the live server's.
        words = ["--dbpath", data, "--bind_ip", at, "--nounixsocket", "--filePermissions", "0777"]
        # A restore waits for the journal at each of its steps; what is thrown away need not wait 30 ms for it.
        words += [
            "--journalCommitInterval",
            "1",
            "--wiredTigerCacheSizeGB",
            CACHE_GB,
            "--setParameter",
            "ttlMonitorEnabled=false",
        ]
        return (Start(programs=("mongod",), words=(*words, *options)),)
    programs = ("redis-server", "valkey-server")
    words = ["--port", "0", "--unixsocket", at, "--unixsocketperm", "777", "--dir", data]
    words += ["--dbfilename", "dump.rdb", "--save", "", "--appendonly", "no", *options]
    # Since 7.0: values may be compared (DEBUG), and every value is looked through before it is taken.
    modern = ("--enable-debug-command", "yes", "--sanitize-dump-payload", "yes")
    return (Start(programs=programs, words=(*words, *modern)), Start(programs=programs, words=tuple(words)))


def connection_to(kind: str, at: str) -> Connection:
    """By its socket."""
    uri = f"mongodb://{quote(at, safe='')}/?directConnection=true" if kind == "mongodb" else f"unix://{at}"
    return Connection(target=DatabaseTarget(kind=kind, name="throw-away", address=uri, origin="throw-away"), uri=uri)


def answers(kind: str, at: str) -> bool:
    """Whether the server is ready: mongod listens only then, Redis says so."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as link:
        link.settimeout(2.0)
        try:
            link.connect(at)
            if kind == "mongodb":
                return True
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def reason(log: Sequence[str]) -> str:
    """What the last lines of a server's log say of why it ended; "" when they say nothing."""
    lines = [line.strip() for line in log if line.strip()]
    return complaint(lines) or (_message(lines[-1]) if lines else "")


def complaint(log: Sequence[str]) -> str:
    """The last line of a server's log that tells of a failure, "" when none does."""
    telling = [line.strip() for line in log if _SAYS_WHY.search(line)]
    return _message(telling[-1]) if telling else ""


def refuses_option(log: Sequence[str]) -> bool:
    """Whether a server ended because it does not know an option that it was given."""
    return any(_REFUSED_OPTION.search(line) for line in log)


def _message(line: str) -> str:
    """The words of a line that mongod writes as JSON; another line as it is."""
    import json

    try:
        found = json.loads(line)
        text = f"{found['msg']} {found.get('attr', {}).get('error', '')}".strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        text = line
    return printable(text)[:200]
