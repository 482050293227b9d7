"""What Compose makes of the files, asked of the real one; and how near our own reading comes without it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from opsconsole.config import Config
from opsconsole.model import Mount, Port, SourceError
from opsconsole.stack import compose, compose_parse, compose_program, envfile, files, plain_file, rendered, yaml_text
from opsconsole.stack.compose import ComposeCommand, ComposeFiles
from opsconsole.stack.plain_file import interpolate
from opsconsole.stack.reading import best_rendering
from tests.parts.engine import Engine
from tests.parts.machine import run
from tests.parts.stacks import STACKS

SHOP = """
services:
  mongodb:
    image: mongo:6.0
    ports: ["127.0.0.1:27117:27017"]
    environment:
      MONGO_INITDB_ROOT_USERNAME: admin
      MONGO_INITDB_ROOT_PASSWORD: ${PASSWORD}
    volumes: [mdata:/data/db, /data/configdb]
  redis:
    image: redis:7
    command: redis-server --requirepass "$${REDIS_PASSWORD}" --appendonly yes
    volumes: ["./redis:/data"]
    tmpfs: [/run]
  migrate:
    image: busybox
    restart: "no"
  debug:
    image: busybox
    profiles: [debug]
  web:
    build: .
    env_file: .env
    environment:
      - MONGODB_URI=mongodb://mongodb:27017/x
      - NOT_GIVEN
    ports: ["8080", "3000-3001:3000-3001", "[::1]:99:88", "5353:53/udp"]
    expose: [5000]
    healthcheck: {test: "curl -f http://localhost:3000/api/health || exit 1"}
    depends_on: {migrate: {condition: service_completed_successfully}}
    deploy: {replicas: 2}
    networks: {default: {aliases: [api]}}
    hostname: web-host
    extra_hosts: ["host.docker.internal:host-gateway"]
    secrets: [s1]
volumes:
  mdata: {}
secrets:
  s1: {file: ./secret.txt}
"""


@pytest.fixture
def shop(tmp_path: Path) -> ComposeFiles:
    (tmp_path / "compose.yaml").write_text(SHOP)
    (tmp_path / ".env").write_text("PASSWORD='a$b c'\nREDIS_PASSWORD=q\n")
    (tmp_path / "secret.txt").write_text("x")
    return ComposeFiles(directory=str(tmp_path), files=(str(tmp_path / "compose.yaml"),), project="shop")


@pytest.fixture
def command(engine: Engine) -> ComposeCommand:
    found = compose.find()
    assert found is not None
    return found


def rewrite(wanted: ComposeFiles, text: str) -> None:
    Path(wanted.files[0]).write_text(text)


# --- the real Compose ------------------------------------------------------------------------------


def test_the_plugin_is_found_with_its_version(command: ComposeCommand) -> None:
    assert str(command).startswith("docker compose 2.") or command.major > 2
    assert command.words[-1] == "compose"


def test_the_plugin_is_asked_itself_and_says_what_the_docker_command_says(
    command: ComposeCommand, shop: ComposeFiles
) -> None:
    assert Path(*command.direct).name == "docker-compose"
    slower = ComposeCommand(command.words, command.version)
    assert compose.render(slower, shop) == compose.render(command, shop)
    short = [run(*words, "version", "--short").stdout for words in (command.words, command.direct)]
    assert short[0] == short[1]


@pytest.fixture
def docker(tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A docker command with a plugin in the directory of its settings, and the environment that names it."""
    for name in ("docker", "cli-plugins/docker-compose"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy("/bin/true", tmp_path / name)
    return str(tmp_path / "docker"), {"DOCKER_CONFIG": str(tmp_path)}


def test_the_plugin_behind_the_docker_command_is_the_first_that_it_would_find(
    docker: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    own = str(tmp_path / "cli-plugins" / "docker-compose")
    assert compose_program.plugin_behind(*docker) == own
    assert compose_program.plugin_behind(docker[0], {"HOME": str(tmp_path)}) != own
    (tmp_path / "config.json").write_text('{"auths": {}}')
    assert compose_program.plugin_behind(*docker) == own


@pytest.mark.parametrize("how", ["a script", "another name", "more directories", "broken settings", "a plugin script"])
def test_where_another_docker_command_may_look_elsewhere_it_is_asked_itself(
    docker: tuple[str, dict[str, str]], tmp_path: Path, how: str
) -> None:
    program, environment = docker
    if how == "a script":
        Path(program).write_text('#!/bin/sh\nexec podman "$@"\n')
    elif how == "another name":
        Path(program).rename(tmp_path / "snap")
        Path(program).symlink_to("snap")
    elif how == "a plugin script":
        (tmp_path / "cli-plugins" / "docker-compose").write_text("#!/bin/sh\n")
    else:
        settings = '{"cliPluginsExtraDirs": ["/opt/plugins"]}' if how == "more directories" else "{"
        (tmp_path / "config.json").write_text(settings)
    assert compose_program.plugin_behind(program, environment) == ""


def test_no_compose_at_all_is_none(tmp_path: Path) -> None:
    assert compose.find({"PATH": str(tmp_path)}) is None


def test_everything_of_a_service_is_understood(command: ComposeCommand, shop: ComposeFiles) -> None:
    found = compose.render(command, shop)
    mongodb, redis, web = (found.services[name] for name in ("mongodb", "redis", "web"))
    assert (mongodb.role, redis.role, web.role) == ("mongodb", "redis", "")
    assert mongodb.environment["MONGO_INITDB_ROOT_PASSWORD"] == "a$b c"
    assert mongodb.ports == (Port(container_port=27017, host_address="127.0.0.1", host_port=27117),)
    assert mongodb.mounts == (
        Mount(kind="volume", destination="/data/db", name="shop_mdata"),
        Mount(kind="volume", destination="/data/configdb", anonymous=True),
    )
    assert redis.command == ("redis-server", "--requirepass", "${REDIS_PASSWORD}", "--appendonly", "yes")
    assert redis.mounts[0].source == f"{shop.directory}/redis"
    assert redis.mounts[1].kind == "tmpfs"
    assert web.environment["REDIS_PASSWORD"] == "q"
    assert "NOT_GIVEN" not in web.environment
    assert [(port.host_address, port.host_port, port.protocol) for port in web.ports] == [
        ("0.0.0.0", None, "tcp"),
        ("0.0.0.0", 3000, "tcp"),
        ("0.0.0.0", 3001, "tcp"),
        ("::1", 99, "tcp"),
        ("0.0.0.0", 5353, "udp"),
    ]
    assert web.health_test == ("CMD-SHELL", "curl -f http://localhost:3000/api/health || exit 1")
    assert (web.replicas, web.hostname, web.aliases, web.builds) == (2, "web-host", ("api",), True)
    assert web.extra_hosts == {"host.docker.internal": "host-gateway"}
    assert found.secret_files[web.secrets["/run/secrets/s1"]] == f"{shop.directory}/secret.txt"
    assert all(len(value) == 64 for value in found.hashes.values())
    assert set(found.hashes) == set(found.services)


def test_services_for_everyone_else_hold_no_environment(command: ComposeCommand, shop: ComposeFiles) -> None:
    services = {one.name: one for one in rendered.to_services(compose.render(command, shop), ())}
    assert (services["debug"].active, services["web"].active) == (False, True)
    assert services["migrate"].one_shot
    assert not services["web"].one_shot
    assert services["web"].image == "shop-web"
    assert "a$b" not in str(msgspec.json.encode(list(services.values())))
    assert {one.name for one in rendered.to_services(compose.render(command, shop), ("debug",)) if one.active} == set(
        services
    )


def test_variables_that_nothing_sets_are_named(command: ComposeCommand, shop: ComposeFiles) -> None:
    Path(shop.directory, ".env").write_text("")
    assert compose.render(command, shop).missing_variables == ("PASSWORD",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services:\n  web:\n    image: [a\n", "line"),
        ("services:\n  web:\n    imagee: a\n", "imagee"),
        ("services:\n  web: {image: a, depends_on: [nobody]}\n", "nobody"),
        ("services:\n  web: {image: a, env_file: missing.env}\n", "missing.env"),
        ("services:\n  web: {image: a, environment: {A: '${B:?set B in .env}'}}\n", "set B in .env"),
        ("", "empty"),
    ],
)
def test_a_broken_file_is_one_line_of_composes_own(
    command: ComposeCommand, shop: ComposeFiles, text: str, said: str
) -> None:
    rewrite(shop, text)
    with pytest.raises(SourceError) as raised:
        compose.render(command, shop)
    assert said in raised.value.problem
    assert "\n" not in raised.value.problem
    assert "level=warning" not in raised.value.problem
    assert "docker compose config" in raised.value.hint


def test_the_hash_is_the_one_of_the_container_with_an_env_file_too(
    command: ComposeCommand, engine: Engine, tmp_path: Path
) -> None:
    """`config --hash` leaves the values of `env_file` out; `create` writes labels without starting anything."""
    (tmp_path / "app.env").write_text("GREETING='hello $$ world'\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  with-file: {image: 'opsconsole-fixture/app:1', env_file: app.env, labels: {opsconsole.test: '1'}}\n"
        "  without: {image: 'opsconsole-fixture/app:1', command: [echo, $$HOME], labels: {opsconsole.test: '1'}}\n"
    )
    project = f"opsctest-hash-{tmp_path.name.lower()}"
    wanted = ComposeFiles(directory=str(tmp_path), files=(str(tmp_path / "compose.yaml"),), project=project)
    run = ("compose", "--project-directory", tmp_path, "--project-name", project)
    try:
        engine.docker(*run, "create")
        listed = engine.docker(
            *("ps", "--all", "--filter", f"label=com.docker.compose.project={project}", "--format"),
            '{{.Label "com.docker.compose.service"}} {{.Label "com.docker.compose.config-hash"}}',
        )
        carried = {line.split()[0]: frozenset({line.split()[1]}) for line in listed.splitlines()}
        assert set(carried) == {"with-file", "without"}
        found = compose.render(command, wanted, carried=carried).hashes
        assert {service: frozenset({value}) for service, value in found.items()} == carried
        (tmp_path / "app.env").write_text("GREETING=changed\n")
        changed = compose.render(command, wanted, carried=carried).hashes
        assert changed["with-file"] not in carried["with-file"]
        assert changed["without"] in carried["without"]
    finally:
        engine.docker(*run, "down", "--timeout", "0")


# --- our own reading -------------------------------------------------------------------------------


def test_our_own_reading_agrees_with_compose(command: ComposeCommand, shop: ComposeFiles) -> None:
    found = compose.render(command, shop)
    own = plain_file.read(
        shop.files, project="shop", directory=shop.directory, variables={"PASSWORD": "a$b c", "REDIS_PASSWORD": "q"}
    )
    assert_alike(found, own)


@pytest.mark.parametrize("name", ["thynk", "english-chat", "mps", "smokava", "smokava-rs", "troubled"])
def test_our_own_reading_agrees_on_every_fixture_stack(command: ComposeCommand, tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    shutil.copytree(STACKS / name, directory)
    files = tuple(
        str(file) for file in sorted(directory.glob("*compose*.y*ml"), key=lambda file: "override" in file.name)
    )
    (directory / ".env.production.local").touch()
    wanted = ComposeFiles(directory=str(directory), files=files, project="shop")
    found = compose.render(command, wanted, {**os.environ, "MONGO_PORT": "27099"})
    variables = {**envfile.read(directory / ".env", {}).values, "MONGO_PORT": "27099"}
    assert_alike(found, plain_file.read(files, project="shop", directory=str(directory), variables=variables))


def assert_alike(found: rendered.Rendered, own: rendered.Rendered) -> None:
    assert set(found.services) == set(own.services)
    for name, service in found.services.items():
        expected = msgspec.structs.asdict(msgspec.structs.replace(service, written_binds=()))
        assert msgspec.structs.asdict(msgspec.structs.replace(own.services[name], written_binds=())) == expected
    assert own.secret_files == found.secret_files
    assert own.by == "file"


def test_overrides_are_merged_as_compose_does(command: ComposeCommand, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "services:\n  web:\n    image: a\n    command: [x, y]\n    environment: [A=1, B=2]\n    ports: ['1:1']\n"
        "    extends: base\n  base:\n    image: b\n    volumes: ['./d:/d']\n"
    )
    (tmp_path / "b.yaml").write_text(
        "services:\n  web:\n    command: [z]\n    environment: {B: 3}\n    ports: ['2:2']\n  more: {image: c}\n"
    )
    wanted = ComposeFiles(
        directory=str(tmp_path), files=(str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")), project="shop"
    )
    own = plain_file.read(wanted.files, project="shop", directory=str(tmp_path), variables={})
    assert_alike(compose.render(command, wanted), own)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A-${A}", "1-1"),
        ("${N:-d}${N-e}", "de"),
        ("${E:-d}${E-e}", "d"),
        ("${A:+x}${N:+y}${E+z}${E:+w}", "xz"),
        ("${N:-${A:-x}}", "1"),
        ("${A:?must}", "1"),
        ("$$A $${A} cost 5$", "$A ${A} cost 5$"),
        ("${N", ""),
        ("${N:-{}}", "{}"),
    ],
)
def test_interpolation(text: str, value: str) -> None:
    assert interpolate(text, {"A": "1", "E": ""}, []) == value


def test_a_broken_file_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    for text, said in [("services: [", "line 1"), ("a: b: c", "line 1"), ("- 1", "expected a mapping"), ("\0", "")]:
        file.write_text(text)
        with pytest.raises(SourceError) as raised:
            plain_file.load(str(file))
        assert str(file) in raised.value.problem
        assert said in raised.value.problem
        assert "\n" not in raised.value.problem


def test_what_compose_v1_writes_keeps_its_numbers_and_yes_and_no() -> None:
    """It quotes each text that YAML 1.1 takes for something else."""
    written = "init: true\nports: ['22:22']\nretries: 2\nanswer: 'yes'\ncpus: 0.5\nday: 2024-01-01\nmode: '0777'\n"
    assert yaml_text.load(written, by_program=True) == {
        "init": True, "ports": ["22:22"], "retries": 2, "answer": "yes", "cpus": 0.5, "day": "2024-01-01",
        "mode": "0777",
    }  # fmt: skip


def test_yaml_reads_ports_and_words_as_they_are_written() -> None:
    found = yaml_text.load("a: 22:22\nb: no\nc: 0777\nd: ~\ne: !reset [1]\nf: 2024-01-01\n<<: {g: 1}")
    assert found == {"a": "22:22", "b": "no", "c": "0777", "d": None, "e": ["1"], "f": "2024-01-01", "g": "1"}


# --- Compose v1: its rendering as it was captured from 1.29.2 --------------------------------------

V1 = """
secrets:
  s1:
    file: /srv/shop/secret.txt
services:
  init:
    image: busybox
    restart: "no"
  redis:
    command: redis-server --requirepass a$$b"c --appendonly yes
    image: redis:7
    tmpfs:
    - /run
    volumes:
    - /srv/shop/r:/data:rw
    - mdata:/more:ro
    - /data/configdb
  web:
    build:
      context: /srv/shop
    depends_on:
      init:
        condition: service_completed_successfully
    environment:
      EMPTY: null
    expose:
    - 5000
    extra_hosts:
    - host.docker.internal:host-gateway
    healthcheck:
      test: curl -f http://localhost:3000/api/health || exit 1
    ports:
    - target: 8080
    - published: 3000
      target: 3000
    - ::1:99:88/tcp
    - 127.0.0.1:27117:27017/tcp
    secrets:
    - source: s1
version: '3.9'
volumes:
  mdata: {}
"""


def test_the_rendering_of_compose_v1_is_understood() -> None:
    found = compose_parse.parse(yaml_text.load(V1), project="shop", directory="/srv/shop")
    redis, web = found.services["redis"], found.services["web"]
    assert redis.mounts == (
        Mount(kind="bind", destination="/data", source="/srv/shop/r"),
        Mount(kind="volume", destination="/more", name="shop_mdata", read_only=True),
        Mount(kind="volume", destination="/data/configdb", anonymous=True),
        Mount(kind="tmpfs", destination="/run"),
    )
    assert [(port.container_port, port.host_address, port.host_port) for port in web.ports] == [
        (8080, "0.0.0.0", None),
        (3000, "0.0.0.0", 3000),
        (88, "::1", 99),
        (27017, "127.0.0.1", 27117),
    ]
    assert web.extra_hosts == {"host.docker.internal": "host-gateway"}
    assert found.secret_files == {"s1": "/srv/shop/secret.txt"}
    services = {one.name: one for one in rendered.to_services(found, ())}
    assert services["init"].one_shot
    assert services["web"].has_healthcheck


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ('time="2026" level=warning msg="The \\"A\\" variable is not set."\nno such file', "no such file"),
        ("The MONGO variable is not set. Defaulting to a blank string.\nERROR: broken", "ERROR: broken"),
        (
            "ERROR: The Compose file './x.yml' is invalid because:\nservices.web.image contains an invalid type",
            "ERROR: The Compose file './x.yml' is invalid because: services.web.image contains an invalid type",
        ),
        ("Traceback (most recent call last):\n  File x\nValueError: bad", "ValueError: bad"),
        ("", "no reason given"),
        ("bad \x1b]52;c;x\x07 uri mongodb://u:hunter2@h", "bad ␛]52;c;x␇ uri mongodb://u:********@h"),
    ],
)
def test_the_line_that_says_what_is_wrong(stderr: str, said: str) -> None:
    assert compose.complaint(stderr) == said


def test_without_a_container_to_ask_the_env_files_count_that_fill_most(command: ComposeCommand, tmp_path: Path) -> None:
    """As after a removal. A name with a default is never missed; one that a file gives is meant, all the same."""
    (tmp_path / "compose.yaml").write_text(
        'services: {web: {image: x, environment: {A: "${A:-default}", B: "${B:-}"}}}\n'
    )
    (tmp_path / ".env.production.local").write_text("MONGODB_URI=mongodb://host/db\n")
    usual, main = str(tmp_path / ".env"), str(tmp_path / ".env.production.local")

    def taken(text: str) -> tuple[str, ...]:
        (tmp_path / ".env").write_text(text)
        choice = files.choose(tmp_path, Config(), (), {})
        return best_rendering(command, choice, dict(os.environ), {})[1]

    assert taken("A=7\n") == ()
    assert taken("OTHER=7\n") == (main,)
    (tmp_path / ".env.production.local").write_text("B=7\n")
    assert taken("A=7\n") == (usual, main)
