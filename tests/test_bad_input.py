"""Bad input and odd machines: one clear line for each, nothing lost, and the rest keeps working."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from opsconsole import config
from opsconsole.config import Config, ConfigError
from opsconsole.demo import demo_sources
from opsconsole.model import Container, Reading, Snapshot, SourceError, SourceState, to_json
from opsconsole.monitor import Monitor
from opsconsole.monitor.paces import Pace
from opsconsole.sources.commands import secrets_of_command
from opsconsole.sources.engine_address import resolve
from opsconsole.sources.engine_connection import EngineConnection
from opsconsole.sources.log_wire import EngineDialer, PlainDialer, dialer_for
from opsconsole.stack import compose, envfile, plain_file
from opsconsole.stack.discover import StackDiscovery, engine_host
from opsconsole.text import mask_text
from opsconsole.ui.panes.attention import concerns
from opsconsole.ui.panes.container_rows import rows_of
from tests.parts import leftovers
from tests.parts.engine import Engine
from tests.parts.machine import run, wait_until
from tests.test_cli import opsconsole

WEB = """\
services:
  web:
    image: opsconsole-fixture/app:1
    init: true
    command: ["sleep", "3600"]
"""


def directory_with(place: Path, text: str, name: str = "compose.yaml") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)
    return place


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that gave up said: one line on stderr, nothing else, exit code 2."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("opsconsole: "), done.stderr
    return done.stderr


# --- compose files ---------------------------------------------------------------------------------

BROKEN = {
    "not YAML": (WEB + "    environment: [A=1\n", "did not find expected ',' or ']'"),
    "a tab": (WEB + "\tx: 1\n", "line 6"),
    "unknown key": (WEB + "    imagee: x\n", "'imagee' not allowed"),
    "undefined volume": (WEB + "    volumes: [nope:/data]\n", "undefined volume nope"),
    "circle": (WEB + "    depends_on: [b]\n  b: {image: x, depends_on: [web]}\n", "dependency cycle"),
    "needed variable": (WEB + "    environment: {X: '${X:?for the thing}'}\n", "X is missing a value: for the thing"),
    "missing include": (WEB + "include: [gone/compose.yaml]\n", "gone/compose.yaml: no such file"),
    "missing env file": (WEB + "    env_file: [gone.env]\n", "gone.env not found"),
    "empty": ("", "empty compose file"),
    "a list": ("- a\n", "must be a mapping"),
    "services as a list": ("services: [a]\n", "services must be a mapping"),
    "a service as a number": ("services: {web: 5}\n", "services.web must be a mapping"),
    "not text": ("\x00\x01", "control characters are not allowed"),
    "an alias in itself": ("a: &a [*a]\n" + WEB, "cycle detected"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_compose_file_is_one_line_that_says_what_is_shown_and_what_to_do(
    case: str, engine: Engine, tmp_path: Path
) -> None:
    text, reason = BROKEN[case]
    directory_with(tmp_path, text)
    seen = StackDiscovery(tmp_path, Config()).look(())
    (problem,) = seen.problems
    assert problem.startswith("the compose configuration cannot be read: ") and reason in problem
    assert "; services are " in problem and problem.endswith("see it all with `docker compose config`")
    assert problem.isprintable()


def test_aliases_that_multiply_cost_neither_memory_nor_the_console(tmp_path: Path) -> None:
    levels = "".join(f"x{level}: &x{level} [{','.join([f'*x{level - 1}'] * 9)}]\n" for level in range(1, 12))
    directory_with(tmp_path, f"x0: &x0 [lol]\n{levels}{WEB}    labels: {{a: *x11}}\n")
    seen = StackDiscovery(tmp_path, Config(), environment={"PATH": ""}).look(())
    assert any("aliases multiply" in problem for problem in seen.problems)


def test_without_compose_a_broken_file_is_named_as_well(tmp_path: Path) -> None:
    directory_with(tmp_path, WEB + "  x: [\n")
    missing, broken = StackDiscovery(tmp_path, Config(), environment={"PATH": ""}).look(()).problems
    assert missing.startswith("Docker Compose is not installed") and f"{tmp_path}/compose.yaml: line " in broken


def test_what_is_no_compose_file_is_named(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    assert "(compose.yaml is a directory)" in one_line(opsconsole("status", cwd=tmp_path))
    (tmp_path / "opsconsole.toml").write_text('[stack]\ncompose_files = ["gone.yml"]\n')
    assert "gone.yml: no such file" in opsconsole("status", cwd=tmp_path).stdout


def test_services_without_compose_or_files_are_those_of_the_containers(tmp_path: Path) -> None:
    directory = directory_with(tmp_path / "shop", WEB)
    labels = (
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.project.working_dir", str(directory)),
        ("com.docker.compose.service", "web"),
    )
    web = Container(id="1", name="shop-web-1", project="shop", service="web", state="running", labels=labels)
    discovery = StackDiscovery(directory, Config(), environment={"PATH": ""})
    assert not [problem for problem in discovery.look([web]).problems if "does not exist" in problem]
    shutil.rmtree(directory)
    gone = discovery.look([web])
    assert [one.name for one in gone.services] == ["web"]
    assert gone.problems[0].startswith(f"{directory} does not exist (any more); services are known from their")
    directory_with(directory, WEB)
    assert not [problem for problem in discovery.look([web]).problems if "does not exist" in problem]


def test_compose_never_quotes_a_value() -> None:
    for said in (
        'failed to read /srv/.env: line 4: unterminated quoted value "hunter2',
        'failed to read /srv/.env: line 2: unexpected character "+" in variable name "A+B=hunter2"',
        """ERROR: Missing mandatory value for "environment" option interpolating {'A': '${A:?x}', 'B': 'hunter2'} """
        'in service "web": x',
    ):
        assert "hunter2" not in compose.complaint(said) and len(compose.complaint(said)) > 30


# --- env files -------------------------------------------------------------------------------------

ENV_FILES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "spaces, quotes, export": (
        b'A=hello world  \nexport B="x y" # note\n  C=\'$A "q"\'\nD=a#b\nUNKNOWN=1\n',
        {"A": "hello world", "B": "x y", "C": '$A "q"', "D": "a#b", "UNKNOWN": "1"},
        "",
    ),
    "CRLF": (b'A=1\r\n# c\r\nB="two words"\r\n', {"A": "1", "B": "two words"}, ""),
    "BOM": (b"\xef\xbb\xbfA=1\nB=2\n", {"A": "1", "B": "2"}, ""),
    "not UTF-8": (b"A=caf\xe9\nB=ok\n", {"A": "caf\ufffd", "B": "ok"}, "is not UTF-8 text"),
    "merge conflict": (b"A=1\n<<<<<<< HEAD\nB=2\n", {"A": "1", "B": "2"}, "line 2 cannot be understood"),
    "open quote": (b'A=1\nB="hunter2\nC=3\n', {"A": "1", "C": "3"}, "line 2 cannot be understood"),
    "zero bytes": (b"A=1\0\nB=2\n", {"A": "1", "B": "2"}, ""),
    "a megabyte": (b"A=" + b"x" * 1_000_000 + b"\nB=2\n", {"A": "x" * 1_000_000, "B": "2"}, ""),
}


@pytest.mark.parametrize("case", ENV_FILES)
def test_an_env_file_is_read_whatever_was_done_to_it(case: str, tmp_path: Path) -> None:
    content, values, problem = ENV_FILES[case]
    (tmp_path / ".env").write_bytes(content)
    read = envfile.read(tmp_path / ".env", {})
    assert read.values == values
    assert [problem in one for one in read.problems] == [True] * bool(problem)
    assert not any("hunter2" in one for one in read.problems)


def test_an_env_file_without_end_is_read_to_a_limit_and_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=1\n" + b"#" * envfile.LONGEST)
    read = envfile.read(tmp_path / ".env", {})
    assert read.values == {"A": "1"} and "larger than 1 MB" in read.problems[0]
    zero = envfile.read("/dev/zero", {})
    assert zero.values == {} and "larger than 1 MB" in zero.problems[0]


@pytest.mark.parametrize("case", ["CRLF", "BOM", "spaces, quotes, export"])
def test_our_reading_of_an_env_file_is_that_of_compose(case: str, engine: Engine, tmp_path: Path) -> None:
    content, values, _ = ENV_FILES[case]
    (tmp_path / ".env").write_bytes(content)
    uses = "".join(f"      {name}: ${{{name}}}\n" for name in values)
    directory_with(tmp_path, f"{WEB}    environment:\n{uses}")
    command = compose.find()
    assert command is not None
    files = compose.ComposeFiles(directory=str(tmp_path), files=(str(tmp_path / "compose.yaml"),), project="x")
    assert compose.render(command, files).services["web"].environment == values
    plain = plain_file.read(files.files, project="x", directory=str(tmp_path), variables=values)
    assert plain.services["web"].environment == values


# --- drift: none where there is none ---------------------------------------------------------------


@pytest.fixture
def project(engine: Engine) -> Iterator[Callable[[Path], str]]:
    """A project name of this test's own, in its directory's `.env`; all of it is removed afterwards."""
    names: list[str] = []

    def named(directory: Path) -> str:
        name = f"{leftovers.run_name()}bad{time.monotonic_ns() % 10**9}"
        with (directory / ".env").open("a") as file:
            file.write(f"COMPOSE_PROJECT_NAME={name}\n")
        names.append(name)
        return name

    yield named
    for name in names:
        leftovers.remove(engine, also=name)


def up(engine: Engine, cwd: Path, *words: str, **env: str) -> None:
    # PWD as a shell has it: Compose believes it, and knows by it that it stands in a symlink.
    run("docker", "compose", "up", "--detach", *words, env={**engine.env, "PWD": str(cwd), **env}, cwd=cwd)


def drift(engine: Engine, cwd: Path) -> dict[str, str]:
    done = opsconsole("status", "--json", cwd=cwd, env=engine.env)
    assert done.stderr == ""
    return {one["service"]: one["drift"] for one in json.loads(done.stdout)["containers"]}


def test_drift_is_claimed_only_where_up_would_recreate(
    engine: Engine, tmp_path: Path, project: Callable[[Path], str]
) -> None:
    """Started through a symlink, with a profile, scaled; joined to another container; with labels from a file: `up`
    leaves all of these as they are."""
    directory = directory_with(tmp_path / "real", WEB + "    env_file: [app.env]\n")
    with (directory / "compose.yaml").open("a") as file:
        service = "{image: opsconsole-fixture/app:1, init: true, command: [sleep, '3600']"
        file.write(f"  joined: {service}, network_mode: 'service:web'}}\n")
        file.write(f"  labelled: {service}, network_mode: none, label_file: [labels.env]}}\n")
        file.write(f"  edited: {service}, network_mode: none, profiles: [more]}}\n")
    (directory / "app.env").write_text('GREETING="hello  world"\nPRICE=a$$b\n')
    (directory / "labels.env").write_text("com.example.a=1\n")
    project(directory)
    link = tmp_path / "link"
    link.symlink_to(directory)
    up(engine, link, "--scale", "labelled=2", COMPOSE_PROFILES="more")
    assert drift(engine, directory) == dict.fromkeys(("web", "joined", "labelled", "edited"), "")
    text = (directory / "compose.yaml").read_text()
    at = text.index("  edited:")
    (directory / "compose.yaml").write_text(text[:at] + text[at:].replace("3600", "3601"))
    (directory / "app.env").write_text("GREETING=bye\n")
    found = drift(engine, directory)
    assert {name for name, said in found.items() if "another configuration" in said} == {"edited", "web"}


def test_without_compose_no_service_is_said_to_have_left_the_file(
    engine: Engine, tmp_path: Path, project: Callable[[Path], str]
) -> None:
    """A service of an included file is not seen without Compose: that is no drift."""
    directory = directory_with(tmp_path / "stack", "include: [inner/compose.yaml]\n")
    inner = WEB.replace("sleep", "sleep").replace("init: true", "init: true\n    network_mode: none")
    directory_with(directory / "inner", inner)
    (directory / "compose.yaml").write_text("include: [inner/compose.yaml]\n" + inner.replace("web:", "other:"))
    project(directory)
    up(engine, directory)
    assert drift(engine, directory) == {"web": "", "other": ""}
    done = opsconsole("status", "--json", cwd=directory, env={**engine.env, "PATH": "/nonexistent"})
    seen = json.loads(done.stdout)
    assert "not installed" in seen["stack"]["problems"][0]
    assert {one["service"]: one["drift"] for one in seen["containers"]} == {"web": "", "other": ""}
    (directory / "inner" / "compose.yaml").unlink()
    assert drift(engine, directory) == {"web": "", "other": ""}


# --- secrets ---------------------------------------------------------------------------------------

CANARIES = ('p@ss/w:rd%20"canary1', "zq9x", "canary2 zq9x", "canary3", "canary4", "canary5", "canary6", "canary7")


def test_no_secret_leaves_the_console(engine: Engine, tmp_path: Path, project: Callable[[Path], str]) -> None:
    (tmp_path / ".env").write_text(f"LONG='{CANARIES[0]}'\nSHORT={CANARIES[1]}\nJWT_SECRET={CANARIES[2]}\n")
    directory_with(
        tmp_path,
        """\
services:
  cache:
    image: redis:7
    network_mode: none
    command: ["redis-server", "--requirepass", "${LONG}"]
    healthcheck: {test: ["CMD", "redis-cli", "-a", "${LONG}", "ping"], interval: 1s}
  session:
    image: redis:7
    network_mode: none
    command: sh -c "exec redis-server --requirepass $SHORT"
    healthcheck: {test: "echo tried $SHORT; redis-cli -a $SHORT ping; false", interval: 1s}
  app:
    image: opsconsole-fixture/app:1
    init: true
    network_mode: none
    command: ["sleep", "3600"]
    environment: {JWT_SECRET: "${JWT_SECRET}", DATABASE_DSN: "u:canary3@tcp(db)/x", REDIS_URL: "redis://:canary4@h"}
    labels: {proxy.basicauth.users: "admin:canary5", backup.password: canary5}
    healthcheck:
      test: "echo Authorization: Bearer canary6; echo curl -u admin:canary7 https://h; echo $$JWT_SECRET; exit 1"
      interval: 1s
""",
    )
    name = project(tmp_path)
    up(engine, tmp_path)
    for service in ("cache", "session", "app"):
        asked = ("inspect", f"{name}-{service}-1", "--format", "{{len .State.Health.Log}}")
        wait_until(lambda asked=asked: int(engine.docker(*asked)) > 0, 60, f"{service} was not probed")  # type: ignore[misc]
    for words in (("status",), ("status", "--json"), ("doctor",), ("init", "--print"), ("init",), ("logs",)):
        said, lines = watched(*words, cwd=tmp_path, env=engine.env)
        assert said
        for canary in CANARIES:
            assert canary not in said, (words, canary)
            assert not [line for line in lines if canary in line], (words, canary)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (".env", "compose.yaml")]
    assert kept and not [path for path in kept for canary in CANARIES if canary in path.read_text(errors="replace")]


def watched(*words: str, cwd: Path, env: dict[str, str]) -> tuple[str, set[str]]:
    """What a command printed, and the command lines of its processes while it ran."""
    process = subprocess.Popen(
        [sys.executable, "-m", "opsconsole", *words],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: set[str] = set()

    def poll() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            while process.poll() is None:
                for one in parent.children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        lines.add(" ".join(one.cmdline()))

    watcher = threading.Thread(target=poll)
    watcher.start()
    said, _ = process.communicate(timeout=60)
    watcher.join()
    return said, lines


def test_passwords_of_command_lines_are_known_wherever_they_come_back() -> None:
    assert secrets_of_command(["redis-server", "--requirepass", "a b c"]) == ("a b c",)
    assert "zq9x" in secrets_of_command(["sh", "-c", "exec redis-server --requirepass zq9x"])
    assert "zq9x" in secrets_of_command(["redis-cli", "-a", "zq9x", "ping"])
    assert secrets_of_command(["sleep", "3600"]) == ()
    for text in (
        "Authorization: Basic YWRtaW46aHVudGVyMg",
        "curl -u admin:YWRtaW46aHVudGVyMg https://h",
        "got Bearer YWRtaW46aHVudGVyMg back",
    ):
        assert "YWRtaW46aHVudGVyMg" not in mask_text(text)
    assert mask_text("the bearer of news") == "the bearer of news"


def test_a_wrong_password_is_named_as_such_and_not_shown(
    engine: Engine, tmp_path: Path, host_mongod: Callable[..., Any]
) -> None:
    server = host_mongod(auth=True)
    directory_with(tmp_path, WEB)
    for login, words in (("root:canary-wrong@", "password"), ("", "password")):
        (tmp_path / ".env").write_text(f"MONGODB_URI=mongodb://{login}127.0.0.1:{server.port}/shop?authSource=admin\n")
        done = opsconsole("status", cwd=tmp_path, env=engine.env)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("MongoDB")]
        assert words in line and " -> " in line, line
        assert "canary-wrong" not in done.stdout + done.stderr
        assert done.returncode == 1


# --- the engine ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/run/x.sock", "unix:///run/x.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("  tcp://h:1 ", "tcp://h:1"),
        ("tcp://h", "tcp://h:2375"),
        ("h:99", "tcp://h:99"),
        ("tcp://[::1]:5", "tcp://[::1]:5"),
        ("", "unix:///var/run/docker.sock"),
        ("   ", "unix:///var/run/docker.sock"),
        ("ssh://ops@h", "ssh://ops@h"),
    ],
)
def test_an_address_means_what_docker_takes_it_for(written: str, meant: str, tmp_path: Path) -> None:
    # A socket directory of nobody's, so that no rootless engine of this account is found.
    environ = {"DOCKER_HOST": written, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert resolve(None, environ).host == meant


@pytest.mark.parametrize(
    "written",
    ["npipe:////./pipe/docker_engine", "tcp://[::1", "tcp://h:99999", "tcp://h:port", "tcp://", "fd://", "x://y",
     "tcp://u:canary@h:1", "tcp://\x1b]52;c;eA==\x07:1"],
)  # fmt: skip
def test_what_is_no_address_is_one_line(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="is no engine address here") as raised:
        resolve(None, {"DOCKER_HOST": written})
    assert raised.value.problem.isprintable() and "canary" not in raised.value.problem and raised.value.hint
    assert engine_host({"DOCKER_HOST": written}) == "127.0.0.1"
    monkeypatch.setenv("DOCKER_HOST", written)
    dialer = EngineDialer(None)
    with pytest.raises(OSError, match="no engine address"):
        dialer.dial("x", {})
    assert dialer.endpoint.isprintable() and "canary" not in dialer.endpoint


def test_an_address_that_is_none_does_not_stop_the_console(tmp_path: Path) -> None:
    directory_with(tmp_path, WEB)
    done = opsconsole("status", cwd=tmp_path, env={"DOCKER_HOST": "tcp://[::1"})
    assert (done.returncode, done.stderr) == (2, "")
    assert "is no engine address here -> Use unix:///path" in done.stdout and "stack " in done.stdout


def test_logs_and_ports_come_from_the_engine_of_the_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = sha256(b"prod").hexdigest()
    meta = tmp_path / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    (tmp_path / "config.json").write_text('{"currentContext": "prod"}')
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for host, address in (("tcp://prod.example:2375", "prod.example"), ("unix:///run/user/1/docker.sock", "127.0.0.1")):
        meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}))
        dialer = dialer_for(None)
        assert isinstance(dialer, PlainDialer) and dialer.endpoint == host
        assert engine_host({"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}) == address


Answer = Callable[[socket.socket], None]


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Callable[[Answer], str]]:
    """A socket that answers each question with these bytes and is no engine; its address."""
    servers: list[socket.socket] = []

    def serve(answer: Answer) -> str:
        path = tmp_path / f"{len(servers)}.sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen(64)
        servers.append(server)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=reply, args=(connection,), daemon=True).start()

        def reply(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection)

        threading.Thread(target=accept, daemon=True).start()
        return f"unix://{path}"

    yield serve
    for server in servers:
        server.close()


def http(status: str, body: str, headers: str = "Api-Version: 1.41\r\n") -> Answer:
    text = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
    return lambda connection: connection.sendall(text.encode())


def begin_and_hang(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    time.sleep(30)


WIRES: dict[str, tuple[Answer, str]] = {
    "garbage": (lambda connection: connection.sendall(b"\x00\x1b]52;c;x\x07 no\r\n" * 9), "it does not speak HTTP"),
    "a web server": (http("200 OK", "<html>", ""), "is not a usable Docker engine: it names no API version"),
    "another service": (http("404 Not Found", "{}", ""), "is not a usable Docker engine"),
    "no JSON": (http("200 OK", "<html>"), "is not a usable Docker engine"),
    "an ill engine": (http("500 Oh", "boom at redis://:canary@h"), "answers with an error: 500 boom"),
    "an engine that says why": (http("500 Oh", '{"message":"boom at redis://:canary@h"}'), "The engine refused: boom"),
    "too old": (http("200 OK", "{}", "Api-Version: 1.40\r\n"), "speaks API 1.40; 1.41 (Docker Engine 20.10) or newer"),
    "hangs up": (lambda connection: None, "ended the connection"),
    "breaks off": (
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        "ended the connection",
    ),
    "hangs": (lambda connection: time.sleep(30), "did not answer within 0.3 s"),
    "hangs in its answer": (begin_and_hang, "did not answer within 0.3 s"),
}


@pytest.mark.parametrize("case", WIRES)
def test_what_answers_like_no_engine_is_told_apart(case: str, wire: Callable[[Answer], str]) -> None:
    answer, expected = WIRES[case]
    connection = EngineConnection(wire(answer), timeout=0.3)
    with contextlib.closing(connection), pytest.raises(SourceError) as raised:
        connection.get("/version")
    assert expected in raised.value.problem and raised.value.hint
    assert raised.value.problem.isprintable() and "canary" not in raised.value.problem


def test_an_engine_that_hangs_is_not_asked_in_a_queue(wire: Callable[[Answer], str]) -> None:
    """Five sources that ask at once wait for one timeout together, not for five."""
    connection = EngineConnection(wire(WIRES["hangs"][0]), timeout=2.0)

    def order(_: int) -> str:
        try:
            connection.post("/containers/x/start")
        except SourceError as error:
            return error.problem
        return ""

    began = time.monotonic()
    with contextlib.closing(connection), ThreadPoolExecutor(5) as five:
        said = list(five.map(order, range(5)))
    assert all("did not answer within 2 s" in one for one in said)
    assert time.monotonic() - began < 10


def test_an_engine_that_never_answers_is_not_called_well(tmp_path: Path, wire: Callable[[Answer], str]) -> None:
    directory_with(tmp_path / "stack", WEB)
    done = opsconsole("status", "--timeout", "1", cwd=tmp_path / "stack", env={"DOCKER_HOST": wire(WIRES["hangs"][0])})
    assert done.returncode == 2
    assert "All well" not in done.stdout and "no answer yet -> wait longer with --timeout" in done.stdout


def test_a_compose_file_without_services_is_not_called_well(engine: Engine, tmp_path: Path) -> None:
    done = opsconsole("status", cwd=directory_with(tmp_path, "services: {}\n"), env=engine.env)
    assert done.returncode == 1
    assert "has no services: there is nothing to look at" in done.stdout and "All well" not in done.stdout


def test_an_engine_that_is_away_is_said_once(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/nowhere.sock"
    done = opsconsole("status", cwd=directory_with(tmp_path / "stack", WEB), env={"DOCKER_HOST": nowhere})
    assert done.returncode == 2
    assert done.stdout.count("There is no engine socket") == 1 and "CRITICAL" in done.stdout


def test_containers_that_come_and_go_upset_nobody(
    engine: Engine, tmp_path: Path, project: Callable[[Path], str]
) -> None:
    directory = directory_with(tmp_path, "services: {}\n")
    name = project(directory)
    over = threading.Event()

    def churn() -> None:
        labels = ("--label", f"com.docker.compose.project={name}", "--label", "com.docker.compose.service=x")
        while not over.is_set():
            app = engine.docker("run", "--detach", "--network=none", *labels, "opsconsole-fixture/app:1", "sleep", "60")
            engine.docker("rm", "--force", app)

    from opsconsole.real_sources import real_sources

    sources = real_sources(directory, Config(), project=name, read_only=True)
    quick = {topic: Pace(focused=0.05, background=0.05) for topic in ("engine", "usage", "volumes", "stack", "access")}
    monitor = Monitor(sources, directory=str(directory), project=name, paces=quick)
    failures: set[str] = set()
    seen: set[str] = set()

    def look(snapshot: Snapshot) -> None:
        failures.update(one.problem for one in snapshot.readings.values() if one.state is SourceState.FAILED)
        seen.update(one.id for one in snapshot.containers)

    monitor.subscribe(look)
    churners = [threading.Thread(target=churn) for _ in range(2)]
    for churner in churners:
        churner.start()
    try:
        monitor.start()
        wait_until(lambda: len(seen) >= 6, 60, "too few containers were seen")
    finally:
        over.set()
        for churner in churners:
            churner.join()
        monitor.stop()
    assert failures == set()


# --- odd machines ----------------------------------------------------------------------------------

AS_NOBODY = """
import importlib, os, pkgutil, sys
import opsconsole
for module in pkgutil.walk_packages(opsconsole.__path__, "opsconsole."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in ("docker", "docker.tls", "pymongo", "redis", "psutil", "httpx", "yaml", "humanize", "encodings.utf_8_sig",
             "encodings.idna", "encodings.latin_1", "dotenv.parser", "dotenv.variables", "concurrent.futures.thread"):
    importlib.import_module(name)
from opsconsole.cli import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def as_nobody(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a user without rights. All is imported before: the checkout may be closed to that user."""
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *words],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **env},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user may enter."""
    place = Path(tempfile.mkdtemp(prefix="opsctest-", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def test_a_socket_without_permission_names_its_group(open_place: Path) -> None:
    directory_with(open_place / "stack", WEB)
    path = open_place / "docker.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        if os.geteuid() == 0:
            os.chown(path, 0, 4)  # adm, or whatever has this number here
        path.chmod(0o060)
        done = as_nobody("status", "--stack", str(open_place / "stack"), DOCKER_HOST=f"unix://{path}")
    assert done.returncode == 2, done.stderr
    assert f"no permission for the engine socket {path}: it belongs to group " in done.stdout
    assert "usermod -aG" in done.stdout and "stack " in done.stdout


def test_what_this_user_may_not_read_is_one_line(open_place: Path) -> None:
    closed = directory_with(open_place / "closed", WEB)
    closed.chmod(0)
    assert "is closed to this user; start opsconsole as its owner" in one_line(
        as_nobody("status", "--stack", str(closed))
    )
    doctor = as_nobody("doctor", "--stack", str(closed))
    assert doctor.returncode == 1 and "is closed to this user" in doctor.stdout
    files = directory_with(open_place / "files", WEB)
    directory_with(files, "A=1\n", ".env")
    for name in ("compose.yaml", ".env"):
        (files / name).chmod(0)
    done = as_nobody("status", "--stack", str(files), DOCKER_HOST=f"unix://{files}/none.sock")
    assert (done.returncode, done.stderr) == (2, "")
    assert ".env cannot be read: Permission denied" in done.stdout
    assert "the compose configuration cannot be read" in done.stdout or "compose.yaml cannot be read" in done.stdout


def test_output_that_cannot_be_written_is_one_line(engine: Engine, tmp_path: Path) -> None:
    directory_with(tmp_path, WEB)
    command = [sys.executable, "-m", "opsconsole", "status"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "opsconsole: the output could not be written: No space left on device\n"
    closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], cwd=tmp_path, stderr=subprocess.PIPE)
    assert (closed.returncode, closed.stderr) == (1, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_character_is_too_much_for_a_locale(encoding: str, tmp_path: Path) -> None:
    place = tmp_path / "日本 [red]"
    directory_with(place, WEB)
    environment = {"PYTHONIOENCODING": encoding, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run(
        [sys.executable, "-m", "opsconsole", "status"],
        cwd=place,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (2, b"")
    assert "[red]" in done.stdout.decode(encoding)


def test_a_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    for command in ("status", "doctor", "logs", "init"):
        words = [sys.executable, "-m", "opsconsole", command]
        done = subprocess.run(
            ["sh", "-c", f'mkdir -p {gone}; cd {gone}; rmdir {gone}; exec "$@"', "sh", *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "no longer exists" in one_line(done)


def test_a_host_with_next_to_nothing_still_shows_the_stack(engine: Engine, tmp_path: Path) -> None:
    directory_with(tmp_path, WEB)
    bare = {"PATH": "/nonexistent", "DOCKER_HOST": engine.docker_host}
    done = subprocess.run(
        [sys.executable, "-m", "opsconsole", "status", "--json"],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    seen = json.loads(done.stdout)
    assert [one["name"] for one in seen["stack"]["services"]] == ["web"] and seen["engine"]["version"]
    doctor = subprocess.run(
        [sys.executable, "-m", "opsconsole", "doctor"], cwd=tmp_path, env=bare, capture_output=True, text=True
    )
    assert doctor.stderr == ""
    for missing in ("git ", "docker command", "Compose "):
        assert f"warning  {missing}" in doctor.stdout, doctor.stdout


def test_a_file_name_that_is_no_text_is_marked_in_the_json(engine: Engine, tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff\xfe"))
    directory_with(place, WEB)
    (place / "backups").mkdir()
    Path(os.fsdecode(os.fsencode(place) + b"/backups/mps_backup_\xff.tar.gz")).write_bytes(b"x")
    done = opsconsole("status", "--json", cwd=place, env=engine.env)
    assert done.stderr == "" and json.loads(done.stdout)["stack"]["directory"].endswith("/odd??")
    assert opsconsole("status", cwd=place, env=engine.env).stdout.count("odd\ufffd\ufffd")
    assert json.loads(to_json({"a": "\udcff", "b": 1})) == {"a": "?", "b": 1}


def test_a_backup_directory_full_of_traps_is_read_to_its_end(engine: Engine, tmp_path: Path) -> None:
    directory_with(tmp_path, WEB)
    backups = tmp_path / "backups"
    inside = backups / "20250918_162232"
    inside.mkdir(parents=True)
    for link, target in (
        (backups / "loop", "."),
        (backups / "self", "self"),
        (backups / "20250917_000000", "/"),
        (backups / "mps_backup_20250916_000000.tar.gz", "/dev/zero"),
        (inside / "back", ".."),
        (inside / "mongodb.archive", "/dev/zero"),
    ):
        link.symlink_to(target)
    os.mkfifo(backups / "mps_backup_20250919_162232.tar.gz")
    os.mkfifo(inside / "dump.archive")
    (backups / "20250915_000000\n\x1b]52;c;eA==\x07").mkdir()
    for number in range(2000):
        (backups / f"mps_backup_20240101_{number:06}.tar.gz").write_bytes(b"\x1f\x8b\x08")
    done = opsconsole("status", "--json", cwd=tmp_path, env=engine.env, timeout=60)
    seen = json.loads(done.stdout)
    assert seen["readings"]["backups"]["state"] == "ok"
    assert len(seen["backups"]) > 2000 and not [one for one in seen["backups"] if one["state"] == "good"]
    text = opsconsole("status", cwd=tmp_path, env=engine.env).stdout
    assert "\x1b" not in text and "no good backup" in text


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stack = 5", "key 'stack' expected a table, got a whole number"),
        ('[stack]\ncompose_files = "x"', "key 'stack.compose_files' expected a list, got a string"),
        ("[stack]\nname = 1979-05-27", "key 'stack.name' expected a string, got a date"),
        ("[alerts]\ncpu_percent = nan", "key 'alerts.cpu_percent' expected a number of at least 0, got nan"),
        ("[alerts]\ncpu_minutes = inf", "key 'alerts.cpu_minutes' expected a number, got inf"),
        ("[backups]\nmax_age_hours = 1e400", "key 'backups.max_age_hours' expected a number, got inf"),
        ('[backups]\ndirectory = "a\\u0000"', "key 'backups.directory' holds a zero byte"),
        ("[data]\ndirectories = [1]", "key 'data.directories[0]' expected a string"),
        ('[[probes]]\nname = "a"', "key 'probes[0].url' is missing"),
        ("[unknown]", "unknown table 'unknown'"),
        ("a.b.c = 1", "unknown table 'a'"),
        ("[stack", "not valid TOML"),
    ],
)
def test_a_wrong_value_is_one_line_with_file_key_and_what_was_expected(
    text: str, expected: str, tmp_path: Path
) -> None:
    path = directory_with(tmp_path, text, config.FILE_NAME) / config.FILE_NAME
    with pytest.raises(ConfigError) as raised:
        config.load_from(tmp_path)
    assert raised.value.problem.startswith(f"{path}: ") and expected in raised.value.problem
    assert raised.value.problem.isprintable()


def test_settings_that_are_no_file_are_named_and_never_waited_for(tmp_path: Path) -> None:
    path = tmp_path / config.FILE_NAME
    makers: tuple[tuple[Callable[[], object], str], ...] = (
        (path.mkdir, "is a directory"),
        (lambda: os.mkfifo(path), "is no ordinary file"),
        (lambda: path.symlink_to(path.name), "is a dead link"),
    )
    for make, expected in makers:
        make()
        with pytest.raises(ConfigError, match=expected):
            config.load_from(tmp_path)
        path.rmdir() if path.is_dir() else path.unlink()
    path.write_text("# nothing but comments\n" * 500_000)
    assert config.load_from(tmp_path) == Config(path=str(path))


def test_init_force_replaces_settings_that_cannot_be_read(tmp_path: Path) -> None:
    directory_with(tmp_path, WEB)
    path = tmp_path / config.FILE_NAME
    path.write_text("[stack")
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    assert "not valid TOML" in one_line(opsconsole("init", cwd=tmp_path, env=nowhere))
    assert path.read_text() == "[stack"
    assert opsconsole("init", "--force", cwd=tmp_path, env=nowhere).returncode == 0
    assert config.load(path) == Config(path=str(path))


# --- what nobody has told --------------------------------------------------------------------------


def test_without_an_answer_of_the_engine_no_service_is_said_to_have_no_container(tmp_path: Path) -> None:
    directory_with(tmp_path, WEB)
    stack = StackDiscovery(tmp_path, Config(), environment={"PATH": ""}).look(())
    now = datetime.now(UTC)
    for reading, said in (
        (Reading(source="engine", state=SourceState.FAILED, problem="away"), "not known"),
        (Reading(source="engine", state=SourceState.FAILED, problem="away", sampled_at=now), "not created"),
        (Reading(source="engine", state=SourceState.OK, sampled_at=now), "not created"),
    ):
        snapshot = Snapshot(sampled_at=now, stack=stack, readings={"engine": reading})
        assert [row.standing.word for row in rows_of(snapshot)] == [said]
        about = [concern.text for concern in concerns(snapshot) if "has no container" in concern.text]
        assert bool(about) == (said == "not created")


# --- a slow machine --------------------------------------------------------------------------------


def test_what_builds_on_the_stack_is_waited_for_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose that takes its time must not make a status that says there are no databases."""
    monkeypatch.setattr("opsconsole.monitor.LONGEST_NEED_WAIT", 0.1)
    sources = demo_sources()
    look, release = sources.stack.look, threading.Event()

    def slowly(containers: Any) -> Any:
        release.wait(20)
        return look(containers)

    asked = sources.databases.look

    def after_a_while(*arguments: Any, **options: Any) -> Any:
        threading.Event().wait(1.5)
        return asked(*arguments, **options)

    monkeypatch.setattr(sources.stack, "look", slowly)
    monkeypatch.setattr(sources.databases, "look", after_a_while)
    monitor = Monitor(sources)
    monitor.start()
    try:
        early = monitor.wait_until_settled(0.7, sizes_seconds=0)
        assert early.databases == () and early.readings["stack"].state is SourceState.WAITING
        threading.Timer(0.5, release.set).start()
        snapshot = monitor.wait_until_settled(20, sizes_seconds=0)
        assert snapshot.stack and snapshot.databases and snapshot.probes and snapshot.backups
    finally:
        monitor.stop()
