"""The installed command in a real terminal on real stacks: it starts, and an operator looks around."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.console import PANES, Console
from tests.parts.engine import Engine
from tests.parts.stacks import Stack

SECRETS = {
    "mps": ("mongo-secret", "redis-secret", "signed, sealed"),
    "thynk": ("a secret with spaces",),
    "english_chat": ("rahasia panjang",),
    "smokava_rs": (),
    "troubled": (),
}
SERVICES = {
    "mps": ("mongodb", "redis", "backend", "frontend"),
    "thynk": ("backend", "frontend"),
    "english_chat": ("backend", "frontend"),
    "smokava_rs": ("mongodb", "backend"),
    "troubled": ("crashing", "unhealthy", "migrate", "failed", "forgetful", "cache", "chatty", "hostile"),
}
# What an operator must be told about each of the panes, once it has looked.
KNOWN = {
    "mps": {
        "databases": ("MongoDB ─", "6.0.5", "Redis ─", "7.0.15", "quests", "append log  ✓"),
        "volumes": ("_mongodb_d", "✓ persistent"),
        "backups": ("mps_backup_2025", "✓ good", "MongoDB, Redis"),
        "deploy": ("docker-compose.yml", "✓ Every container runs what the files say"),
        "metrics": ("✓ backend", "✓ frontend", "total ", "memory "),
        "logs": ("mongodb ", "frontend ", "following"),
    },
    "thynk": {
        "databases": ("MongoDB ─", "─ host", "6.0.5", "discussions"),
        "volumes": ("backend/uploads", "bind mount"),
        "backups": ("✓ good", "2 backups, 2 good"),
        "deploy": (".env.production.local", "✓ Every container runs what the files say"),
    },
    "english_chat": {
        "databases": ("MongoDB ─", "─ host", "online-discussion"),
        "backups": ("✓ good", "2 backups, 2 good"),
    },
    "smokava_rs": {
        "databases": ("replica set rs0", "PRIMARY", "smokava"),
        "backups": ("No backup in",),
    },
    "troubled": {
        "containers": ("5 of 8 well", "✗ restarting", "✗ unhealthy", "✗ exited 1", "✓ done"),
        "volumes": ("✗ at risk", "anonymous volume", "tmpfs"),
        "databases": ("forgetful", "cache"),
        "logs": ("chatty ", "following"),
    },
}


@pytest.fixture(params=SERVICES)
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def system(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["stack"])


def test_a_real_stack_is_shown_in_full_and_no_secret_with_it(stack: Stack, system: str, engine: Engine) -> None:
    with Console(cwd=stack.directory) as console:
        console.started(stack.project)
        assert socket.gethostname() in console.header()
        assert f"engine {engine.version()}" in console.header()
        assert "live" in console.header()
        for service in SERVICES[system]:
            assert re.search(rf"^ {service} +[✓✗▲]", console.text(), re.MULTILINE), service
        seen = [console.lines()]
        for pane in PANES:
            seen.append(console.go(pane, *KNOWN[system].get(pane, ())))
            seen += walk_details(console, pane)
        assert console.process.poll() is None
        # Also cut up between lines, or painted for a moment only.
        everything = "\n".join("\n".join([*lines, "".join(line.strip() for line in lines)]) for lines in seen)
        for secret in SECRETS[system]:
            assert secret not in everything
            assert secret not in console.output
        console.type("q")
        assert console.wait_for_end() == 0
        assert not console.in_console
        assert not console.cursor_hidden


def walk_details(console: Console, pane: str) -> Iterator[list[str]]:
    """Every screen that Enter opens from a pane."""
    if pane == "overview":
        yield console.press("Enter", shows="Esc back")
        console.esc("Esc back")
    if pane == "containers":
        rows = len(re.findall("^ [a-z]+ +[✓✗▲]", console.text(), re.MULTILINE))
        console.type("g")
        for _ in range(rows):
            yield console.press("Enter", shows="Esc back")
            console.type("G")
            yield console.wait_for("labels" if "labels" in console.text() else "Esc back")
            console.esc("Esc back")
            console.type("j")
    if pane in ("volumes", "backups") and "details" in console.footer_keys():
        console.type("Enter")
        yield console.wait_for(lambda lines: "close" in console.footer_keys())
        console.type("Enter")
        console.wait_for(lambda lines: "details" in console.footer_keys())
