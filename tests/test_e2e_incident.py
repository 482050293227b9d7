"""Faults really made on a real stack: the alert, the evidence, the answer, and through the screen to the fixed state.

A crash loop after a deploy, an emptied collection, MongoDB stopped, a changed env file. The others: test_e2e_faults.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from opsconsole.incident.priority import Priority
from opsconsole.incident_room import records
from tests.console import Console
from tests.deploy_stack import SETTINGS, make_images
from tests.faulty_stack import FaultyStack, run_the_plan
from tests.operation_stack import CANARY
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name
from tests.parts.machine import wait_until
from tests.parts.servers import free_port

COMPOSE = """
services:
  mongodb:
    image: mongo:6.0
    pull_policy: never
    ports: ["127.0.0.1:{port}:27017"]
    volumes: ["{name}-data:/data/db"]
    healthcheck: {{test: ["CMD", "mongod", "--version"], interval: 500ms, timeout: 5s}}
  web:
    image: {name}-web:{version}
    pull_policy: never
    init: true
    command: ["sh", "-c", 'echo "connecting with $$WEB_TOKEN"; test "$$LEVEL" = info || exit 3; {runs}']
    environment: {{LEVEL: "${{LEVEL}}", WEB_TOKEN: "{canary}"}}
    restart: unless-stopped
    stop_grace_period: 1s
    healthcheck: {{test: ["CMD-SHELL", "true"], interval: 500ms, timeout: 5s}}
volumes:
  {name}-data:
    name: {name}-data
"""
CRASHES = "until test -e /tmp/ill; do sleep 0.2; done; exit 1"  # once the deploy is over, and from then on
RUNS = "exec sleep 3600"


class Faulty(FaultyStack):
    """A web service with a MongoDB; released once, with a backup of its data."""

    def __init__(self, directory: Path, project: str, engine: Engine, port: int) -> None:
        super().__init__(directory, project, engine)
        self.port = port

    def write(self, *, version: str = "1", runs: str = RUNS) -> None:
        text = COMPOSE.format(name=self.project, port=self.port, version=version, runs=runs, canary=CANARY)
        (self.directory / "compose.yaml").write_text(text)

    def users(self) -> pymongo.collection.Collection[dict[str, Any]]:
        client = pymongo.MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{self.port}/?directConnection=true")
        return client["shop"]["users"]

    def level(self, word: str) -> None:
        (self.directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={self.project}\nLEVEL={word}\n")


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    project = f"{run_name()}incident"
    directory = tmp_path_factory.mktemp("incident") / project
    directory.mkdir()
    made = Faulty(directory, project, engine, free_port())
    (directory / "opsconsole.toml").write_text(SETTINGS)
    make_images(engine, project, ["1", "2"])
    made.level("info")
    made.write()
    try:
        made.opsconsole("deploy", "--yes")
        made.users().insert_many([{"name": f"user {number}"} for number in range(40)])
        made.opsconsole("backup", "create", "--yes")
        yield made
    finally:
        remove(engine, also=project)


def test_a_crash_loop_after_a_deploy_is_rolled_back_from_the_screen(stack: Faulty) -> None:
    stack.write(version="2", runs=CRASHES)
    stack.opsconsole("deploy", "--yes")
    stack.engine.docker("exec", f"{stack.project}-web-1", "touch", "/tmp/ill")
    with Console(cwd=stack.directory, columns=80, rows=24) as console:
        console.started(stack.project)
        console.press("!", shows="Bad deploy")
        console.wait_for("web crashes again and again", "1 Roll the code back to the release before", seconds=60)
        console.press("D", shows="Declare an incident")
        console.press("Enter", shows="It is declared. The clock runs.")
        console.wait_for("Incident i1", "becomes P1 in")
        console.type("1")
        operation = run_the_plan(console, stack, "r1")
        console.type("Esc")
        console.wait_for("Incident i1")
        record = records.read(stack.directory, "i1")
        assert record.priority is Priority.P2 and record.operations == (operation,)
        assert "bad deploy: deploy of the stack" in record.entries[-1].reason
        wait_until(lambda: "web" in stack.running(), 30, "the release before does not run")
        console.press("C", shows="Close i1")
        console.type("rolled back", "Enter")
        console.wait_for("none is open")
    stack.write()
    text = stack.opsconsole("incident", "report", "i1")
    assert "declared P2" in text and operation in text and "## Data" in text
    bundle = Path(stack.opsconsole("incident", "bundle", "i1").partition(": ")[0])
    with tarfile.open(bundle) as tar:
        inside = {one.name.removeprefix("incident-i1/"): tar.extractfile(one) for one in tar.getmembers()}
        texts = {name: file.read().decode() for name, file in inside.items() if file is not None}
    wanted = {f"evidence/{stack.project}-{name}-1.log" for name in ("web", "mongodb")}
    assert wanted | {"evidence/inspect.json", "evidence/snapshot.json", "report.md", "record.jsonl"} <= texts.keys()
    assert f"operations/{operation}/journal.jsonl" in texts
    assert "connecting with" in texts[f"evidence/{stack.project}-web-1.log"]
    assert not [name for name, text in texts.items() if CANARY in text]


def test_an_emptied_collection_is_restored_from_the_screen(stack: Faulty) -> None:
    stack.users().delete_many({})
    with Console(cwd=stack.directory, columns=120, rows=40) as console:
        console.started(stack.project)
        console.press("!", shows="less data: shop.users: 40 documents in")
        console.wait_for("Data corruption or loss → data rollback", "1 Restore only shop.users", "0 now")
        console.type("1")
        run_the_plan(console, stack, typed=stack.project)
        assert stack.users().count_documents({}) == 40
    assert '"data": []' in stack.opsconsole("incident", "show", "--json")


def test_a_stopped_mongodb_is_started_from_the_screen(stack: Faulty) -> None:
    stack.compose("stop", "mongodb")
    with Console(cwd=stack.directory, columns=80, rows=24) as console:
        console.started(stack.project)
        console.press("!", shows="Infrastructure failure")
        console.wait_for("1 Start mongodb", "2 Emergency stop of everything, then recover by hand", seconds=60)
        console.type("1")
        run_the_plan(console, stack, "mongodb")
        assert "mongodb" in stack.running() and stack.users().count_documents({}) == 40


def test_a_changed_env_file_is_rolled_back_from_the_screen(stack: Faulty) -> None:
    stack.level("wrong")
    stack.compose("up", "--detach")
    with Console(cwd=stack.directory, columns=80, rows=24) as console:
        console.started(stack.project)
        console.press("!", shows="Configuration error")
        console.wait_for("1 Roll the configuration back; the images stay", ".env was changed", seconds=60)
        console.type("1")
        run_the_plan(console, stack, ".env")
    assert "LEVEL=info" in (stack.directory / ".env").read_text()
    wait_until(lambda: "web" in stack.running(), 30, "web does not run")
