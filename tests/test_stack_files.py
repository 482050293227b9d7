"""Which files, which name, which env file, which directories: by the rules of Compose and by what runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsconsole.config import Config
from opsconsole.config.sections import BackupsSection, DataSection, StackSection
from opsconsole.model import Container
from opsconsole.stack import files, places
from opsconsole.stack.compose_parse import parse
from opsconsole.stack.discover import is_stack_directory
from opsconsole.stack.files import Choice, choose, normalised
from opsconsole.stack.rendered import ServiceConfig


def started(directory: Path, project: str = "shop", files: str = "", env_file: str = "") -> Container:
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.project.working_dir": str(directory),
        "com.docker.compose.project.config_files": files,
        "com.docker.compose.project.environment_file": env_file,
    }
    return Container(id="1", name="c", project=project, service="web", labels=tuple(sorted(labels.items())))


def chosen(directory: Path, *containers: Container, config: Config | None = None, **environment: str) -> Choice:
    return choose(directory, config or Config(), containers, environment)


def write(directory: Path, **texts: str) -> None:
    for name, text in texts.items():
        (directory / name.replace("__", "-").replace("_", ".")).write_text(text)


def names(choice: Choice) -> list[str]:
    return [Path(file).name for file in choice.compose_files]


# --- compose files ---------------------------------------------------------------------------------


def test_the_default_names_in_composes_order_with_their_override(tmp_path: Path) -> None:
    write(tmp_path, docker__compose_yml="services: {}")
    assert names(chosen(tmp_path)) == ["docker-compose.yml"]
    write(tmp_path, compose_yaml="services: {}", compose_override_yml="services: {}")
    assert names(chosen(tmp_path)) == ["compose.yaml", "compose.override.yml"]


def test_compose_file_in_the_environment_or_the_env_file_counts(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml="", a_yml="", b_yml="", _env="COMPOSE_FILE=a.yml:b.yml\n")
    (tmp_path / ".env").write_text("COMPOSE_FILE=a.yml:b.yml\n")
    assert names(chosen(tmp_path)) == ["a.yml", "b.yml"]
    assert names(chosen(tmp_path, COMPOSE_FILE="b.yml")) == ["b.yml"]


def test_the_files_that_the_containers_were_started_with_count_while_they_exist(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml="", prod_yml="")
    one = started(tmp_path, files=f"{tmp_path}/prod.yml")
    assert names(chosen(tmp_path, one)) == ["prod.yml"]
    assert names(chosen(tmp_path, started(tmp_path, files="prod.yml"))) == ["prod.yml"]  # Compose v1
    (tmp_path / "prod.yml").unlink()
    assert names(chosen(tmp_path, one)) == ["compose.yaml"]


@pytest.mark.parametrize("written", ["{directory}/", ""], ids=["compose v2", "compose v1"])
def test_a_container_from_a_kept_release_leads_to_the_files_that_the_release_was_made_from(
    tmp_path: Path, written: str
) -> None:
    kept = tmp_path / ".opsconsole" / "releases" / "r2" / "compose.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text(f'{{"x-opsconsole": {{"compose_files": ["{tmp_path}/prod.yml"], "env_files": []}}}}')
    write(tmp_path, compose_yaml="services: {}\n", prod_yml="services: {}\n")
    label = written.format(directory=tmp_path) + ".opsconsole/releases/r2/compose.yaml"
    assert names(chosen(tmp_path, started(tmp_path, files=label))) == ["prod.yml"]


def test_what_is_configured_comes_first(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml="", x_yml="")
    config = Config(stack=StackSection(name="mine", compose_files=("x.yml",), profiles=("full",)))
    choice = chosen(tmp_path, started(tmp_path, "other"), config=config, COMPOSE_PROFILES="a,b")
    assert (names(choice), choice.name, choice.profiles) == (["x.yml"], "mine", ("full",))


def test_a_single_file_with_another_name_is_the_stack(tmp_path: Path) -> None:
    assert not is_stack_directory(tmp_path)
    write(tmp_path, docker__compose_prod_yml="services: {}")
    assert names(chosen(tmp_path)) == ["docker-compose.prod.yml"]
    assert is_stack_directory(tmp_path)
    write(tmp_path, docker__compose_dev_yml="services: {}")
    assert names(chosen(tmp_path)) == []


# --- project name ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "project"),
    [("English Chat", "englishchat"), ("MPS_launch-4", "mps_launch-4"), ("_.shop", "shop"), ("سرویس", ""), ("Öl", "l")],
)
def test_a_directorys_name_becomes_a_project_name(name: str, project: str) -> None:
    assert normalised(name) == project


def test_the_name_of_the_project(tmp_path: Path) -> None:
    directory = tmp_path / "My Shop"
    directory.mkdir()
    write(directory, compose_yaml="services: {}")
    assert chosen(directory).name == "myshop"
    write(directory, compose_yaml='# name: no\nname: "${TEAM:-blue}-shop"  # said\nservices: {}')
    assert chosen(directory).name == "blue-shop"
    assert chosen(directory, TEAM="red").name == "red-shop"
    (directory / ".env").write_text("COMPOSE_PROJECT_NAME=from-env\n")
    assert chosen(directory).name == "from-env"
    (directory / ".env.production.local").write_text("A=1\n")
    assert chosen(directory).name == "from-env"


def test_containers_that_run_under_another_name_tell_it(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml="services: {}")
    by_rule = chosen(tmp_path).name
    assert chosen(tmp_path, started(tmp_path, "staging")).name == "staging"
    assert chosen(tmp_path, started(tmp_path, "staging"), started(tmp_path, by_rule)).name == by_rule
    assert chosen(tmp_path, started(tmp_path / "elsewhere", "other")).name == by_rule


# --- env file --------------------------------------------------------------------------------------


def test_the_env_file_the_containers_were_started_with_comes_first(tmp_path: Path) -> None:
    for name in (".env", ".env.production", "stage.env"):
        (tmp_path / name).write_text(f"FROM={name}\nONLY_{name.count('.')}=1\n")
    assert Path(chosen(tmp_path).env.path).name == ".env.production"
    choice = chosen(tmp_path, started(tmp_path, env_file=f"{tmp_path}/stage.env"))
    assert (Path(choice.env.path).name, choice.env.values["FROM"]) == ("stage.env", "stage.env")
    assert choice.env_file_choices()[0] == (str(tmp_path / "stage.env"),)


def test_dot_env_fills_what_the_other_leaves_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=1\n")
    (tmp_path / ".env.production.local").write_text("B=2\n")
    choice = chosen(tmp_path)
    assert choice.env.values == {"A": "1", "B": "2"}
    assert choice.variables({"A": "9"})["A"] == "9"
    assert [len(paths) for paths in choice.env_file_choices()] == [1, 0, 2]


def test_a_configured_env_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    choice = chosen(tmp_path, config=Config(stack=StackSection(env_file="secret.env")))
    assert choice.problems == (f"env file {tmp_path}/secret.env does not exist",)


def test_without_any_env_file_nothing_is_wrong(tmp_path: Path) -> None:
    assert (chosen(tmp_path).env.path, chosen(tmp_path).problems) == ("", ())


# --- data and backups ------------------------------------------------------------------------------


def services(directory: Path, *volumes: str, image: str = "web:1") -> list[ServiceConfig]:
    raw = {"services": {"one": {"image": image, "volumes": list(volumes)}}}
    return list(parse(raw, project="shop", directory=str(directory)).services.values())


def data(directory: Path, *volumes: str, image: str = "web:1", config: Config | None = None) -> list[str]:
    found = places.data_directories(
        services(directory, *volumes, image=image), directory, str(directory / "backups"), config or Config()
    )
    return [str(Path(path).relative_to(directory)) if path.startswith(str(directory)) else path for path in found]


def test_bind_mounted_directories_that_are_written_hold_data(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    assert data(tmp_path, "./uploads:/app/uploads", "./not-made-yet:/app/x", "uploads:/named") == [
        "uploads",
        "not-made-yet",
    ]


@pytest.mark.parametrize(
    "volume",
    [
        "/var/run/docker.sock:/var/run/docker.sock",
        "/etc/localtime:/etc/localtime",
        "/proc:/host/proc",
        "/sys:/host/sys",
        "/:/rootfs",
        "./uploads:/app/uploads:ro",
        "./nginx.conf:/etc/nginx/nginx.conf",
        "./backups:/backups",
        "./backups/mongo:/dump",
        "./logs:/app/logs",
        "./code:/app",
        "./config.json:/app/config.json",
    ],
)
def test_what_holds_no_data_of_the_stack(tmp_path: Path, volume: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "package.json").touch()
    (tmp_path / "config.json").touch()
    assert data(tmp_path, volume) == []


def test_a_databases_own_files_are_no_data_directory_and_configuration_replaces_it_all(tmp_path: Path) -> None:
    assert data(tmp_path, "./mongo:/data/db", image="mongo:6") == []
    assert data(tmp_path, "./a:/app/a", config=Config(data=DataSection(directories=("b", "/srv/c")))) == ["b", "/srv/c"]


def test_relative_paths_that_lead_out_of_the_stack(tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    found = places.outside_binds(
        services(directory, "../shared:/x", "./in:/y", "/abs:/z", "./a/../../up:/w", "../shop/in:/v"), str(directory)
    )
    assert found == (str(tmp_path / "shared"), str(tmp_path / "up"))


def test_the_backup_directory(tmp_path: Path) -> None:
    def place(**variables: str) -> str:
        return places.backup_directory(tmp_path, "no-such-project", variables, Config())

    assert place() == str(tmp_path / "backups")
    assert place(BACKUP_PATH="/nowhere/b") == "/nowhere/b"
    (tmp_path / "backups").mkdir()
    assert place(BACKUP_PATH="/nowhere/b") == str(tmp_path / "backups")
    (tmp_path / "other").mkdir()
    assert place(BACKUP_DIR="other") == str(tmp_path / "other")
    config = Config(backups=BackupsSection(directory="../elsewhere"))
    assert places.backup_directory(tmp_path, "x", {}, config) == str(tmp_path.parent / "elsewhere")


def test_files_are_watched_before_they_exist(tmp_path: Path) -> None:
    watched = files.watched(tmp_path)
    assert str(tmp_path / "compose.override.yaml") in watched
    assert str(tmp_path / ".env.production.local") in watched
    assert str(tmp_path / "opsconsole.toml") in watched
