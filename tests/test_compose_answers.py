"""What Compose answered is asked for once, and again as soon as something that it depends on is another."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from opsconsole.model import SourceError
from opsconsole.stack import compose
from opsconsole.stack.compose import ComposeCommand, ComposeFiles
from tests.parts.engine import Engine

SHOP = "services:\n  web:\n    image: busybox\n    environment: {LEVEL: '${LEVEL-none}', ALSO: '${ALSO-none}'}\n"


class Counted:
    """The real Compose behind a script that counts its calls."""

    def __init__(self, engine: Engine, place: Path) -> None:
        found = compose.find()
        assert found is not None and found.direct
        self.script = place / "counting-compose"
        self.calls = place / "calls"
        self.calls.touch()
        self.script.write_text(f'#!/bin/sh\necho >> {self.calls}\nexec {found.direct[0]} "$@"\n')
        self.script.chmod(0o755)
        self.command = msgspec.structs.replace(found, direct=(str(self.script),))
        (place / "shop").mkdir()
        (place / "shop" / "compose.yaml").write_text(SHOP)
        self.directory = place / "shop"

    @property
    def wanted(self) -> ComposeFiles:
        return ComposeFiles(
            directory=str(self.directory), files=(str(self.directory / "compose.yaml"),), project="shop"
        )

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def look(self, **environment: str) -> dict[str, str]:
        """The web service's environment."""
        return compose.render(self.command, self.wanted, {**os.environ, **environment}).services["web"].environment

    def asked(self) -> int:
        """How often Compose was started since the last time this was asked."""
        count = len(self.calls.read_text())
        self.calls.write_text("")
        return count


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Counted:
    return Counted(engine, tmp_path)


def test_the_same_question_about_the_same_files_is_asked_once(shop: Counted) -> None:
    first = shop.look()
    assert shop.asked() == 2  # the configuration, and its hashes
    (shop.directory / "compose.yaml").touch()
    assert shop.look() == first == {"LEVEL": "none", "ALSO": "none"} and shop.asked() == 0


def test_whatever_the_answer_depends_on_makes_it_another_question(shop: Counted) -> None:
    shop.look()
    shop.write(".env", "LEVEL=debug\n")
    assert shop.look()["LEVEL"] == "debug"
    shop.write(".env", "LEVEL=error\n")
    assert shop.look()["LEVEL"] == "error"
    assert shop.look(ALSO="this")["ALSO"] == "this"
    shop.write("compose.yaml", SHOP.replace("LEVEL: '${LEVEL-none}'", "LEVEL: fixed"))
    assert shop.look()["LEVEL"] == "fixed"
    assert shop.asked() == 10
    shop.script.write_text(shop.script.read_text() + "# another program\n")
    shop.look()
    assert shop.asked() == 2


def test_files_that_name_others_are_read_again_each_time(shop: Counted) -> None:
    shop.write(
        "compose.yaml",
        SHOP.replace("environment: {LEVEL: '${LEVEL-none}'", "env_file: app.env\n    environment: {X: x"),
    )
    shop.write("app.env", "LEVEL=debug\n")
    assert shop.look()["LEVEL"] == "debug"
    shop.write("app.env", "LEVEL=error\n")
    assert shop.look()["LEVEL"] == "error"
    assert shop.asked() == 4


def test_what_failed_is_asked_again(shop: Counted) -> None:
    shop.write("compose.yaml", "services: [\n")
    for _ in range(2):
        with pytest.raises(SourceError):
            shop.look()
    assert shop.asked() == 4


def test_behind_the_docker_command_may_stand_another_one_each_time(shop: Counted) -> None:
    shop.script = shop.script.rename(shop.script.with_name("docker"))
    shop.command = ComposeCommand((str(shop.script),), shop.command.version)
    shop.look()
    shop.look()
    assert shop.asked() == 4
