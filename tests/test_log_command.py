"""`opsconsole logs` as it is typed: real containers, real pipes, real signals."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsconsole.commands.logs import BadOption, parse_since
from tests.parts.engine import LABEL, Engine
from tests.parts.leftovers import run_name
from tests.parts.machine import wait_until

APP = "opsconsole-fixture/app:1"
COMMAND = [sys.executable, "-m", "opsconsole", "logs"]
LINES = """
echo '{"level":"info","msg":"started"}'
echo '[ERROR] it broke'
echo '    at main (/app/x.js:1)'
printf 'clear \\033[2J \\033]52;c;b3duZWQ=\\007 \\302\\2332J \\342\\200\\256bidi end\\n'
echo 'WARN slow' >&2
sleep 0.5
echo ready
"""


class Project:
    """Containers that Compose could have made."""

    def __init__(self, engine: Engine, name: str, directory: Path) -> None:
        self.engine = engine
        self.name = name
        self.directory = directory

    def start(self, service: str, script: str, number: int = 1) -> str:
        labels = {
            "com.docker.compose.project": self.name,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": str(number),
            "com.docker.compose.project.working_dir": str(self.directory),
            LABEL: "1",
        }
        flags = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        name = f"{self.name}-{service}-{number}"
        words = ["run", "--detach", "--init", "--stop-timeout", "0", "--name", name, *flags, APP, "sh", "-c", script]
        return self.engine.docker(*words)

    def command(self, *words: str) -> list[str]:
        return [*COMMAND, "--stack", self.name, *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
        )


@pytest.fixture(scope="module")
def project(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A service that has written what there is to write, and one with two containers."""
    made = Project(engine, f"{run_name()}logcommand", tmp_path_factory.mktemp("stack"))
    made.start("web", f"{LINES} sleep 600")
    made.start("pair", "echo I am one; sleep 600", 1)
    made.start("pair", "echo I am two; sleep 600", 2)
    wait_until(lambda: engine.docker("logs", f"{made.name}-web-1").endswith("ready"), 60, "web wrote nothing")
    yield made
    names = engine.docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={made.name}")
    engine.docker("rm", "--force", *names.split())


# --- what is printed -------------------------------------------------------------------------------


def test_all_services_with_their_names_in_front(project: Project) -> None:
    told = project.run()
    assert (told.returncode, told.stderr) == (0, "")
    assert sorted(told.stdout.splitlines()) == sorted(
        [
            'web    | {"level":"info","msg":"started"}',
            "web    | [ERROR] it broke",
            "web    |     at main (/app/x.js:1)",
            "web    | clear ␛[2J ␛]52;c;b3duZWQ=␇ <U+009B>2J <U+202E>bidi end",
            "web    | WARN slow",
            "web    | ready",
            "pair-1 | I am one",
            "pair-2 | I am two",
        ]
    )


def test_one_service_needs_no_name(project: Project) -> None:
    assert project.run("web", "--tail", "1").stdout == "ready\n"
    told = project.run("web", "--tail", "1", "--timestamps")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ready\n", told.stdout)
    assert project.run("web", "--tail", "0").stdout == ""


def test_grep_level_and_time(project: Project) -> None:
    told = project.run("web", "--grep", "broke|slow")
    assert sorted(told.stdout.splitlines()) == ["WARN slow", "[ERROR] it broke"]
    assert "broke" not in project.run("web", "--grep", "broke", "--invert").stdout
    assert project.run("web", "--grep", "!x").stdout == ""
    told = project.run("web", "--grep", "a[b")
    assert (told.returncode, told.stdout) == (0, "") and "looked for as plain text" in told.stderr
    # The stack trace comes with its error.
    assert project.run("web", "--level", "error").stdout.splitlines() == [
        "[ERROR] it broke",
        "    at main (/app/x.js:1)",
    ]
    assert len(project.run("web", "--level", "warn").stdout.splitlines()) == 3
    assert len(project.run("web", "--since", "1h").stdout.splitlines()) == 6
    assert project.run("web", "--since", "2100-01-01").stdout == ""
    assert len(project.run("web", "--since", "1970-01-02T00:00:00Z").stdout.splitlines()) == 6


def test_json_is_exact_and_cannot_act_either(project: Project) -> None:
    told = project.run("web", "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.stdout.isascii() and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", told.stdout)
    assert [line["level"] for line in lines if line["stream"] == "stdout"] == ["info", "error", "error", None, None]
    hostile = next(line for line in lines if line["text"].startswith("clear"))
    assert hostile["text"] == "clear \x1b[2J \x1b]52;c;b3duZWQ=\x07 \x9b2J \u202ebidi end"
    assert hostile["service"] == "web" and len(hostile["container"]) == 64
    assert datetime.fromisoformat(hostile["at"]).tzinfo is UTC
    assert next(line for line in lines if line["text"] == "WARN slow")["stream"] == "stderr"


def test_raw_is_raw(project: Project) -> None:
    assert "\x1b]52;c;b3duZWQ=\x07" in project.run("web", "--raw").stdout


def on_a_terminal(command: list[str], **environment: str) -> str:
    """What a command writes to a real terminal."""
    near, far = pty.openpty()
    # A locale without UTF-8 as well: nothing may stop the output.
    process = subprocess.Popen(
        command, stdin=far, stdout=far, stderr=far, env={**os.environ, "LC_ALL": "C", **environment}
    )
    os.close(far)
    out = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([near], [], [], 0.2)[0]:
            try:
                data = os.read(near, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
    os.close(near)
    assert process.wait(10) == 0
    return out.decode()


def test_colours_are_for_terminals_only(project: Project) -> None:
    shown = on_a_terminal(project.command("web", "pair"))
    assert "\x1b[31m[ERROR] it broke\x1b[0m" in shown and "\x1b[33mWARN slow\x1b[0m" in shown
    assert set(re.findall(r"\x1b.?", shown)) == {"\x1b["}
    assert "\x1b[2J" not in shown and "\x07" not in shown
    assert "\x1b" not in on_a_terminal(project.command("web", "--no-color"))
    assert "\x1b" not in on_a_terminal(project.command("web"), NO_COLOR="1")
    assert "\x1b" not in project.run().stdout


# --- how it ends -----------------------------------------------------------------------------------


def test_no_such_service(project: Project) -> None:
    told = project.run("nope", "web", "no\x1b[2Jne")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "opsconsole: no such service: no␛[2Jne, nope (there are: pair, web)\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), "--since yesterday is no time -> use 5m, 2h, 1d or a time such as"),
        (("--level", "loud"), "--level loud is no level -> there are: trace, debug, info, warning, error, fatal"),
        (("--tail", "-3"), "--tail needs a number of 0 or more"),
    ],
)
def test_options_that_make_no_sense(project: Project, words: tuple[str, ...], said: str) -> None:
    told = project.run(*words)
    assert told.returncode == 2 and told.stdout == ""
    assert said in told.stderr and told.stderr.count("\n") == 1


def test_an_engine_that_is_not_there(project: Project, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    told = subprocess.run(
        [*COMMAND, "--stack", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
    )
    assert told.returncode == 2 and told.stdout == ""
    assert "none.sock" in told.stderr and told.stderr.count("\n") == 1


def test_a_closed_pipe_ends_it_quietly(project: Project) -> None:
    script = f'{" ".join(project.command("-f"))} | head -n 2; echo "${{PIPESTATUS[0]}}" >&2'
    project.start("chatty", "while :; do echo tick; usleep 1000; done")
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert len(told.stdout.splitlines()) == 2
    assert told.stderr == "0\n"


@pytest.fixture
def followed(project: Project) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []

    def follow(*words: str) -> subprocess.Popen[str]:
        made.append(
            subprocess.Popen(project.command("-f", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return made[-1]

    yield follow
    for process in made:
        process.kill()
        process.communicate()


def test_following_goes_on_through_a_recreate_until_ctrl_c(
    project: Project, followed: Callable[..., subprocess.Popen[str]]
) -> None:
    old = project.start("comes-and-goes", "echo I am the first; sleep 600")
    process = followed("comes-and-goes")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "I am the first\n"
    project.engine.docker("rm", "--force", old)
    project.start("comes-and-goes", "echo I am the second; sleep 600")
    assert process.stdout.readline() == "I am the second\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_a_flood_goes_through_a_slow_pipe_whole(project: Project) -> None:
    """No line is dropped for a pipe, however slowly it is read: reading the engine waits instead."""
    identity = project.start(
        "flood", "yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -n 150000 | cat -n; sleep 600"
    )
    engine = project.engine
    wait_until(lambda: engine.docker("logs", "--tail", "1", identity).lstrip().startswith("150000"), 60, "no flood")
    with subprocess.Popen(project.command("flood", "--since", "1h"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1000)
        time.sleep(2)  # the reader is away: the pipe, the queue and the socket fill up
        rest = process.stdout.read()
    lines = rest.splitlines()
    assert lines[-1].split()[0] == b"150000"
    assert len(lines) >= 149_900 and not any(line.startswith(b"--") for line in lines)
    numbers = [int(line.split()[0]) for line in lines[1:]]
    assert numbers == list(range(numbers[0], 150_001))


# --- times -----------------------------------------------------------------------------------------


def test_since() -> None:
    now = datetime(2026, 3, 2, 3, 14, 15, tzinfo=UTC)
    assert parse_since("90s", now) == now - timedelta(seconds=90)
    assert parse_since("1h30m", now) == now - timedelta(minutes=90)
    assert parse_since("2w", now) == now - timedelta(days=14)
    assert parse_since("2026-01-31T02:00:00Z", now) == datetime(2026, 1, 31, 2, tzinfo=UTC)
    assert parse_since("2026-01-31T02:00:00+03:30", now) == datetime(2026, 1, 30, 22, 30, tzinfo=UTC)
    assert parse_since("1700000000", now) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    local = parse_since("2026-01-31", now)
    assert local.astimezone().replace(tzinfo=None) == datetime(2026, 1, 31)
    for wrong in ("", "5", "m", "5 minutes", "-5m", "2026-13-01", "99999-01-01", "１m"):
        with pytest.raises(BadOption):
            parse_since(wrong, now)
