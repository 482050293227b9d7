"""Lines put into a compose file: nothing of it goes, and what is not certain is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml

from opsconsole.stack.compose_edit import CannotEdit, with_options

OPTIONS = ("--replSet", "rs0")
KEY = "./mongo-keyfile:/etc/mongo-keyfile:ro"


def edited(text: str, *, volume: str = KEY) -> tuple[list[str], dict[str, Any]]:
    """The lines that came, and what the service is then. Nothing of the text is gone."""
    new = with_options(text, "db", OPTIONS, image=("mongod",), volume=volume)
    came = Counter(new.splitlines())
    came.subtract(Counter(text.splitlines()))
    body: dict[str, Any] = yaml.safe_load(new)["services"]["db"]
    assert [
        line for line in text.splitlines() if "#" in line and not any(line.split("#")[1] in one for one in came)
    ] == []
    return [line for line, count in came.items() if count > 0], body


@pytest.mark.parametrize(
    ("body", "lines", "command"),
    [
        ("    command: mongod --auth  # why\n", ["    command: mongod --auth --replSet rs0  # why"], None),
        ('    command: "mongod --auth"\n', ['    command: "mongod --auth --replSet rs0"'], None),
        ('    command: [mongod, "--auth"] # a\n', ['    command: [mongod, "--auth", "--replSet", "rs0"] # a'], None),
        (
            "    command:\n    - mongod  # one\n    # two\n    - --auth\n    # end\n",
            ['    - "--replSet"', '    - "rs0"'],
            ["mongod", "--auth", "--replSet", "rs0"],
        ),
        (
            "    image: mongo:6.0  # old\n",
            ['    command: ["mongod", "--replSet", "rs0"]'],
            ["mongod", "--replSet", "rs0"],
        ),
        ("    command:\n      - mongod", ['      - "--replSet"', '      - "rs0"'], ["mongod", "--replSet", "rs0"]),
    ],
)
def test_options_are_put_at_the_end_of_the_command(body: str, lines: list[str], command: list[str] | None) -> None:
    for newline in ("\n", "\r\n"):
        text = f"# top\nservices:\n  web: {{image: a}}\n  db:\n{body}".replace("\n", newline)
        came, found = edited(text, volume="")
        assert came == lines
        assert command is None or found["command"] == command


@pytest.mark.parametrize(
    ("body", "volumes"),
    [
        ("    image: a\n", [KEY]),
        ("    image: a\n    volumes:\n    # data\n    - type: volume\n      source: x\n      target: /data/db\n", 2),
        ('    image: a\n    volumes: ["x:/data/db"]\n', ["x:/data/db", KEY]),
    ],
)
def test_one_more_volume(body: str, volumes: list[str] | int) -> None:
    _, found = edited(f"services:\n  db:\n{body}")
    assert KEY in found["volumes"]
    assert found["volumes"] == volumes if isinstance(volumes, list) else len(found["volumes"]) == volumes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("services:\n  db: {image: a}\n", "in one line"),
        ("x: &c [mongod]\nservices:\n  db:\n    command: *c\n", "reference"),
        ("services:\n  db:\n    command: sh -c 'exec mongod'\n", "script of a shell"),
        ('services:\n  db:\n    command: ["/bin/sh", "-c", "mongod"]\n', "script of a shell"),
        ("services:\n  db:\n    command: >\n      mongod\n      --auth\n", "several lines"),
        ("services:\n  db:\n    command: !reset []\n", "neither text nor a list"),
        ("services:\n  db:\n    command:\n", "empty"),
        ("services:\n  db: &m\n    command: mongod\n  b:\n    <<: *m\n", "more than its command"),
        ("services:\n  web:\n    image: a\n", "no service db of its own"),
        ("services: [\n", "not YAML"),
    ],
)
def test_what_is_not_certain_is_refused(text: str, why: str) -> None:
    with pytest.raises(CannotEdit, match=why):
        with_options(text, "db", OPTIONS, image=("mongod",), volume="")


def test_an_image_that_starts_a_shell_is_not_added_to() -> None:
    with pytest.raises(CannotEdit, match="script of a shell"):
        with_options("services:\n  db:\n    image: a\n", "db", OPTIONS, image=("sh", "-c", "exec mongod"))
