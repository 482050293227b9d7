"""Somebody is told: a real program, a real HTTP server, Apprise; and what fails is said without a key in it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from opsconsole import notifying
from opsconsole.config import Config
from opsconsole.config.sections import NotifySection, StackSection
from opsconsole.notifying import Event, Message
from opsconsole.sources import messages

KEY = "T0KEN-of-the-webhook"


class Hook(ThreadingHTTPServer):
    """Keeps what is posted to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.hangs = threading.Event()
        self.got: list[tuple[str, dict[str, str]]] = []

    def url(self, path: str = f"/services/{KEY}") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        if self.server.status == 0:
            self.server.hangs.wait(30)
            return
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Quiet."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.hangs.set()
    server.shutdown()
    server.server_close()
    thread.join()


def sample(event: Event = Event.FAILED) -> Message:
    return notifying.message(
        event,
        "shop on alpha: the backup failed",
        problem="mongodb://admin:hunter2@db/ does not answer\nat all \x1b[2J",
        hint="Start it.",
        stack="shop",
        directory="/srv/shop",
        host="alpha",
        at=datetime(2026, 1, 18, 2, 0, tzinfo=UTC),
        kind="backup",
        log="/srv/shop/.opsconsole/schedule.log",
    )


def program(directory: Path, text: str) -> str:
    path = directory / "tell.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return "./tell.sh"


def config(**keys: object) -> Config:
    return Config(notify=NotifySection(**{"timeout_seconds": 10.0, **keys}))  # type: ignore[arg-type]


def test_a_program_gets_the_facts_as_variables_and_no_secret(tmp_path: Path) -> None:
    words = (program(tmp_path, 'pwd > got; echo "$1" >> got; env | grep ^OPSCONSOLE_ | sort >> got'), "one word; two")
    assert notifying.send(sample(), config(command=words), tmp_path) == ()
    where, word, *got = (tmp_path / "got").read_text().splitlines()
    assert (where, word) == (str(tmp_path), "one word; two")
    assert "OPSCONSOLE_PROBLEM=mongodb://admin:********@db/ does not answer at all ␛[2J" in got
    assert {"OPSCONSOLE_EVENT=failed", "OPSCONSOLE_KIND=backup", "OPSCONSOLE_AT=2026-01-18T02:00:00Z"} <= set(got)
    assert not [line for line in got if "hunter2" in line]


def test_a_program_that_fails_hangs_or_is_not_there_is_told_and_never_raised(tmp_path: Path) -> None:
    failing = config(command=(program(tmp_path, "echo the pager is out of reach; exit 7"),))
    assert notifying.send(sample(), failing, tmp_path) == (
        "the program of [notify] failed with exit code 7: the pager is out of reach",
    )
    hanging = config(command=(program(tmp_path, "sleep 60 & echo $! > child; wait"),), timeout_seconds=0.5)
    began = time.monotonic()
    assert notifying.send(sample(), hanging, tmp_path) == ("the program of [notify] did not end within 0.5 s",)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        child = int((tmp_path / "child").read_text())
        while True:  # until init has taken it
            os.kill(child, 0)
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                raise ProcessLookupError
    (told,) = notifying.send(sample(), config(command=("./nowhere",)), tmp_path)
    assert "nowhere is not there" in told


def test_an_address_gets_the_facts_as_json(tmp_path: Path, hook: Hook) -> None:
    assert notifying.send(sample(), config(webhook=hook.url()), tmp_path) == ()
    ((path, facts),) = hook.got
    assert path.endswith(KEY)
    assert facts["event"] == "failed"
    assert facts["text"].splitlines()[0] == facts["title"] == "shop on alpha: the backup failed"
    assert "hunter2" not in json.dumps(facts)


def test_the_address_may_stand_in_the_environment_or_in_the_env_file(tmp_path: Path, hook: Hook) -> None:
    settings = config(webhook_env="PAGER")
    assert notifying.send(sample(), settings, tmp_path, {"PAGER": hook.url("/one")}) == ()
    (tmp_path / "production.env").write_text(f"PAGER={hook.url('/two')}\n")
    settings = Config(notify=settings.notify, stack=StackSection(env_file="production.env"))
    assert notifying.send(sample(), settings, tmp_path, {}) == ()
    assert [path for path, _ in hook.got] == ["/one", "/two"]
    (told,) = notifying.send(sample(), config(webhook_env="NOT_THERE"), tmp_path, {})
    assert "NOT_THERE" in told and "neither in the environment nor in the env file" in told


@pytest.mark.parametrize(("status", "said"), [(404, "answers 404"), (500, "answers 500"), (302, "answers 302")])
def test_an_answer_that_is_no_success_is_told_without_the_key(
    tmp_path: Path, hook: Hook, status: int, said: str
) -> None:
    hook.status = status
    (told,) = notifying.send(sample(), config(webhook=hook.url()), tmp_path)
    assert said in told
    assert KEY not in told
    assert len(hook.got) == 1  # a redirect is not followed


def test_an_address_that_hangs_or_refuses_is_given_up_and_the_others_are_told(tmp_path: Path, hook: Hook) -> None:
    words = (program(tmp_path, "touch told"),)
    hook.status = 0
    began = time.monotonic()
    (told,) = notifying.send(sample(), config(command=words, webhook=hook.url(), timeout_seconds=0.5), tmp_path)
    assert "does not answer in time" in told and KEY not in told
    assert time.monotonic() - began < 20
    assert (tmp_path / "told").exists()
    nobody = f"http://user:{KEY}@127.0.0.1:1/{KEY}"
    (told,) = notifying.send(sample(), config(webhook=nobody), tmp_path)
    assert told == "the webhook at 127.0.0.1:1 refuses connections: nothing listens there"
    (told,) = notifying.send(sample(), config(webhook=f"http://[{KEY}/"), tmp_path)
    assert KEY not in told


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_sends_the_same(tmp_path: Path, hook: Hook, capfd: pytest.CaptureFixture[str]) -> None:
    port = hook.server_address[1]
    settings = config(apprise=(f"json://127.0.0.1:{port}/{KEY}",), apprise_env="MORE")
    assert notifying.send(sample(), settings, tmp_path, {"MORE": f"json://127.0.0.1:{port}/more"}) == ()
    assert [facts["title"] for _, facts in hook.got] == ["shop on alpha: the backup failed"] * 2
    assert "Start it." in hook.got[0][1]["message"]
    hook.status = 500
    (told,) = notifying.send(sample(), config(apprise=(f"json://127.0.0.1:{port}/{KEY}", f"x{KEY}")), tmp_path)
    assert told == "apprise did not reach json, an address without :// (nothing that Apprise knows)"
    assert KEY not in "".join(capfd.readouterr())


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(messages, "has_apprise", lambda: False)
    (told,) = notifying.send(sample(), config(apprise=("json://127.0.0.1/",)), tmp_path)
    assert told == "apprise is not installed: pip install 'opsconsole[apprise]'"


def test_who_wants_to_hear_of_what() -> None:
    assert not notifying.is_wanted(NotifySection(), Event.DONE)
    assert notifying.is_wanted(NotifySection(on="always"), Event.DONE)
    assert all(notifying.is_wanted(NotifySection(), event) for event in Event if event is not Event.DONE)
    assert notifying.ways(NotifySection(webhook_env="X", apprise=("y",))) == ("webhook", "apprise")
