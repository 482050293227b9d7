"""More faults really made: the alert, the evidence, the answer, and through the screen to the fixed state.

A slow and failing endpoint, a CPU hog, Redis at maxmemory, a full disk, the engine stopped. Before each the stack is
well and nothing is recommended, and after each it is so again.
"""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from opsconsole.operations import places
from tests.deploy_stack import SETTINGS
from tests.faulty_stack import FaultyStack, close, console_of, declare, run_the_plan, see_it
from tests.parts import engine as engines
from tests.parts import images
from tests.parts.disk import fill, small_disk
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name
from tests.parts.machine import locked, wait_until
from tests.parts.servers import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a disk and an engine of one's own need root")

COMPOSE = """
services:
  redis:
    image: redis:7
    pull_policy: never
    command: ["redis-server", "--maxmemory", "8mb", "--maxmemory-policy", "noeviction"]
    ports: ["127.0.0.1:{redis}:6379"]
    # Without one each gate takes 10 s.
    healthcheck: {{test: ["CMD", "redis-cli", "ping"], interval: 1s}}
    stop_grace_period: 1s
    volumes: ["{name}-data:/data"]
  web:
    image: opsconsole-fixture/app:1
    pull_policy: never
    init: true
    command:
      - sh
      - -c
      - |
        echo : > /tmp/ill  # well after each start
        mkdir -p /tmp/www/cgi-bin
        cat > /tmp/www/cgi-bin/health << 'END'
        #!/bin/sh
        . /tmp/ill
        printf 'Status: %s\\r\\n\\r\\nhello\\n' "$${{status:-200 OK}}"
        END
        chmod 755 /tmp/www/cgi-bin/health
        exec httpd -f -p 80 -h /tmp/www
    restart: unless-stopped
    stop_grace_period: 1s
    ports: ["127.0.0.1:{web}:80"]
    healthcheck:
      test: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1/cgi-bin/health"]
      interval: 1s
      timeout: 10s
      retries: 1000
volumes:
  {name}-data:
    name: {name}-data
"""
# Other tests may use all of the processor and the memory, so that only the test of the CPU has a limit for it.
LIMITS = """
[console]
refresh_seconds = 0.5
[alerts]
cpu_percent = {cpu}
cpu_minutes = 0.03
memory_percent = 100
disk_percent = 98
error_minutes = 0
response_seconds = 0.6
response_minutes = 0
unhealthy_minutes = 0
"""


class Small(FaultyStack):
    """A web service with a health endpoint and a Redis, on a disk of 16 MB."""

    def __init__(self, directory: Path, project: str, engine: Engine) -> None:
        super().__init__(directory, project, engine)
        self.web, self.redis = free_port(), free_port()
        text = COMPOSE.format(name=project, web=self.web, redis=self.redis)
        (directory / "compose.yaml").write_text(text)
        (directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
        self.limit_cpu(100)

    def limit_cpu(self, percent: int) -> None:
        (self.directory / "opsconsole.toml").write_text(SETTINGS + LIMITS.format(cpu=percent))

    def in_web(self, script: str) -> None:
        self.engine.docker("exec", f"{self.project}-web-1", "sh", "-c", script)

    def answer(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/cgi-bin/health", timeout=1) as response:
            return str(response.read().decode())


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    project = f"{run_name()}faults"
    directory = tmp_path_factory.mktemp("faults") / project
    with small_disk(directory, size="16m"):
        made = Small(directory, project, engine)
        try:
            made.opsconsole("deploy", "--yes")
            # As if that was yesterday: what falls ill within the hour would be put down to it.
            for place in places.existing_operations(directory):
                place.rename(place.with_name(places.new_id("deploy", datetime.now(UTC) - timedelta(days=1))))
            made.is_well()
            yield made
        finally:
            remove(engine, also=project)


def test_a_slow_and_failing_endpoint_is_restarted_from_the_screen(stack: Small) -> None:
    with console_of(stack) as console:
        stack.in_web("echo 'sleep 3' > /tmp/ill")
        see_it(console, re.compile(r"web answers in \d\.\d s on average \(limit 0\.6 s\)"), "1 Restart web")
        console.wait_for("Performance degradation")
        console.esc("Performance degradation")
        stack.in_web("echo 'status=\"503 Service Unavailable\"' > /tmp/ill")
        see_it(console, "web fails: answers 503 Service Unavailable", "probes in 5 minutes (limit 5 %)")
        console.wait_for("Performance degradation", "a restart hides what it was", "1 Restart web")
        declare(console, "P1")  # nothing else answers from outside
        console.type("1")
        operation = run_the_plan(console, stack, "web")
        assert stack.newest_incident().operations == (operation,)
        wait_until(lambda: stack.answer() == "hello\n", 10, "it does not answer well")
        console.type("Esc")
        console.wait_for("Incident i")
        close(console, "restarted")
    stack.is_well()


def test_a_redis_at_its_maxmemory_gets_more_by_hand(stack: Small) -> None:
    client = redis.Redis(port=stack.redis)
    with client, console_of(stack) as console:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            for number in range(1000):
                client.set(f"session {number}", bytes(100_000))
        see_it(console, re.compile(r"redis uses \d+ % of its maxmemory of 8\.0 MiB \(limit 90 %\): then writes fail"))
        console.wait_for("Performance degradation", "1 Raise maxmemory of redis by hand: redis-cli CONFIG SET")
        console.wait_for("redis loads the same data again")  # against a restart
        declare(console, "P2")
        console.press("1", shows="yes writes it into the record")
        client.config_set("maxmemory", "64mb")
        console.type("y")
        wait_until(lambda: stack.newest_incident().entries[-1].event == "action", 10, "it is not in the record")
        last = stack.newest_incident().entries[-1]
        assert last.text == "by hand: redis-cli CONFIG SET maxmemory SIZE" and "redis uses" in last.reason
        assert client.set("session", "is kept")
        close(console, "raised to 64 MB")
    stack.is_well()


def test_room_is_made_on_a_full_disk(stack: Small) -> None:
    with console_of(stack) as console:
        filler = fill(stack.directory)
        see_it(console, re.compile(r"at\s+100\s+%\s+\(limit\s+98\s+%\)"), "Infrastructure failure")
        console.wait_for("1 Make room on", "2 Emergency stop of everything")  # there is no backup that may go
        console.press("D", shows="Declare an incident")
        console.press("Enter", shows=re.compile(r"Make\s+room,\s+then\s+say\s+it\s+again"))
        console.press("1", shows="yes writes it into the record")
        filler.unlink()
        console.type("y")
        console.wait_gone("yes writes it into the record")
        declare(console, "P2")
        close(console, "the filler is gone")
    stack.is_well()


@pytest.mark.alone
def test_a_hog_of_the_processor_is_restarted_from_the_screen(stack: Small) -> None:
    stack.limit_cpu(85)
    try:
        with console_of(stack) as console:
            stack.in_web("for one in $(seq $(nproc)); do (while :; do :; done) > /dev/null 2>&1 & done")
            see_it(console, re.compile(r"CPU at \d+ % \(limit 85 %\)"), "Performance degradation", "1 Restart web")
            console.type("1")
            run_the_plan(console, stack, "web")
            assert "while" not in stack.engine.docker("top", f"{stack.project}-web-1", "-o", "pid,args")
        stack.is_well()
    finally:
        stack.limit_cpu(100)


@pytest.mark.timeout(600)
def test_a_stopped_engine_is_started_by_hand(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked("pruned-engine"):
        own = engines.start(engines.PRUNED)
        try:
            for variable, value in own.env.items():
                monkeypatch.setenv(variable, value)
            images.build(own, "opsconsole-fixture/app:1")
            stack = FaultyStack(tmp_path, f"{run_name()}halted", own)
            (tmp_path / "compose.yaml").write_text(ALONE.format(name=stack.project))
            stack.up()
            stack.is_well()
            with console_of(stack) as console:
                engines.halt(own)
                see_it(console, "the container engine cannot be reached", "Infrastructure failure")
                console.wait_for(re.compile(r"1 Start the engine by hand: sudo systemctl start docker$", re.MULTILINE))
                console.wait_for("an emergency stop needs the engine, too: it must come back first")
                declare(console, "P1")
                console.press("1", shows="yes writes it into the record")
                engines.resume(own)
                console.type("y")
                console.wait_for("Nothing is red, and no data is known to be missing.")
                close(console, "started again")
            assert stack.newest_incident().entries[-2].text == "by hand: sudo systemctl start docker"
            wait_until(lambda: stack.running() == {"web"}, 30, "web does not run")
            stack.is_well()
        finally:
            if not engines.answers(own.docker_host):
                engines.resume(own)
            engines.stop(own)


ALONE = """
name: {name}
services:
  web:
    image: opsconsole-fixture/app:1
    pull_policy: never
    init: true
    command: ["sleep", "3600"]
    network_mode: none
    stop_grace_period: 1s
    restart: unless-stopped
"""
