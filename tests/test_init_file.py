"""`opsconsole init`: what was found, explained, loadable, and without a secret."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole import config
from opsconsole.config import keys, sections
from opsconsole.model import DatabaseTarget, Endpoint, Stack
from opsconsole.stack import init_file

STACK = Stack(
    name="shop",
    directory="/srv/shop",
    compose_files=("/srv/shop/compose.yaml", "/srv/shop/compose.override.yaml"),
    profiles=("full",),
    env_file="/srv/shop/.env.production.local",
    data_directories=("/srv/shop/backend/uploads", "/data/media"),
    databases=(
        DatabaseTarget(
            kind="mongodb",
            name="host",
            address="mongodb://admin:********@127.0.0.1:27017/shop",
            origin="MONGODB_URI in .env.production.local",
        ),
        DatabaseTarget(kind="redis", name="redis", service="redis", address="redis://x", origin="service redis"),
    ),
    endpoints=(
        Endpoint(name="web", url="http://127.0.0.1:8080/health?token=hunter2", service="web", origin="healthcheck"),
    ),
    backup_directory="/srv/shop/backups",
)


def uncommented(text: str) -> str:
    """The file with every setting that is in it switched on."""
    lines = (
        line[1:] if line.startswith("#") and not line.startswith(("# ", "#\n")) else line for line in text.splitlines()
    )
    return "\n".join(line for line in lines if line)


def load(directory: Path, text: str) -> config.Config:
    file = directory / "opsconsole.toml"
    file.write_text(text)
    return msgspec.structs.replace(config.load(file), path="")


def test_as_it_is_written_it_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, init_file.render(STACK)) == config.Config()


def test_switched_on_it_says_what_was_found(tmp_path: Path) -> None:
    found = load(tmp_path, uncommented(init_file.render(STACK)))
    assert found.stack == sections.StackSection(
        name="shop",
        compose_files=("compose.yaml", "compose.override.yaml"),
        profiles=("full",),
        env_file=".env.production.local",
    )
    assert found.mongodb.uri_env == "MONGODB_URI"
    assert found.redis.url_env == ""
    assert found.data.directories == ("backend/uploads", "/data/media")
    assert [(probe.name, probe.url[:24]) for probe in found.probes] == [("web", "http://127.0.0.1:8080/he")]
    assert [rule.name for rule in found.alerts.rule] == ["backend-memory", "killed", "login-failures"]
    assert msgspec.structs.replace(found.alerts, rule=()) == sections.AlertsSection()
    assert found.console == sections.ConsoleSection()


def test_every_key_is_there_with_its_explanation() -> None:
    text = init_file.render(STACK)
    for setting in keys.settings():
        assert " ".join(setting.description.split())[:60] in text
        if setting.table not in ("probes", "alerts.rule"):
            assert f"\n#{setting.key} = " in text


def test_no_secret_is_in_it() -> None:
    assert "hunter2" not in init_file.render(STACK)


@given(name=st.text(max_size=30), path=st.text(min_size=1, max_size=30))
def test_any_name_and_path_can_be_written_and_read_again(name: str, path: str) -> None:
    import tomllib

    stack = msgspec.structs.replace(STACK, name=name, data_directories=(f"/x/{path}",), databases=(), endpoints=())
    read = tomllib.loads(uncommented(init_file.render(stack)))
    assert read["stack"]["name"] == name.encode("utf-8", "replace").decode()
    assert len(read["data"]["directories"]) == 1


def test_an_empty_stack_has_an_example_probe(tmp_path: Path) -> None:
    text = init_file.render(Stack(name="x", directory="/srv/x"))
    assert load(tmp_path, text) == config.Config()
    assert len(load(tmp_path, uncommented(text)).probes) == 1


def test_it_is_written_whole_for_its_owner_only_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "opsconsole.toml"
    init_file.write(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        init_file.write(path, "two")
    assert path.read_text() == "one"
    init_file.write(path, "two", force=True)
    assert path.read_text() == "two"
    assert [file.name for file in tmp_path.iterdir()] == ["opsconsole.toml"]


def test_a_directory_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        init_file.write(tmp_path / "nowhere" / "opsconsole.toml", "x")
