"""`opsconsole collect` on a real stack: once, and as a service that is killed while things happen to containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsconsole.metrics import EventKind, MetricsReader, metrics_file
from opsconsole.model import SourceError
from tests.parts.machine import wait_until
from tests.parts.stacks import Stack

COLLECT = (sys.executable, "-P", "-m", "opsconsole", "collect")


def collect(stack: Stack, *words: str) -> tuple[int, str]:
    done = subprocess.run([*COLLECT, *words], cwd=stack.directory, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def told(reader: MetricsReader, kind: EventKind, subject: str) -> list[str]:
    now = datetime.now(UTC)
    try:
        found = reader.events(now - timedelta(minutes=10), now, kinds=[kind], subject=subject)
    except SourceError:
        return []
    return [event.facts.get("exit_code", "") or event.text for event in found]


def settings_that_tell(directory: Path) -> tuple[Path, Path]:
    """Settings with a rule about containers that were killed, and the file in which a program notes what it is told."""
    program, heard, settings = directory / "tell.sh", directory / "heard", directory / "opsconsole.toml"
    program.write_text(f'#!/bin/sh\necho "$OPSCONSOLE_EVENT: $OPSCONSOLE_ALERTS" >> {heard}\n')
    program.chmod(0o700)
    # What is told within two minutes of something else waits until they are over.
    settings.write_text(
        f'[notify]\ncommand = ["{program}"]\n[alerts]\noff = ["backup-age", "container-down"]\n'
        '[[alerts.rule]]\nname = "killed"\nevent = "die"\nexit_codes = [137]\n'
        'of = "frontend"\nthreshold = 1\nwithin = "10m"\nseverity = "critical"\n'
    )
    heard.touch()
    return settings, heard


def test_a_stack_is_collected_once_and_as_a_service_that_survives_a_kill(mps: Stack, tmp_path: Path) -> None:
    settings, heard = settings_that_tell(tmp_path)
    serve = [*COLLECT, "--every", "5s", "--config", str(settings)]
    text = tmp_path / "ops.prom"
    code, said = collect(mps, "--prometheus", str(text))
    assert (code, said) == (0, "")
    assert text.read_text().endswith("# EOF\n") and "opsconsole_mongodb_connections" in text.read_text()
    reader = MetricsReader(metrics_file(mps.directory))
    assert reader.latest("mongodb_up", datetime.now(UTC) - timedelta(minutes=1))[0].value == 1

    process = subprocess.Popen(serve, cwd=mps.directory, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: reader.stored().samples >= 2 and "runs" in collect(mps, "status")[1], 60, "not stored")
        frontend = mps.container("frontend")["Name"].lstrip("/")
        mps.engine.docker("kill", "--signal", "KILL", frontend)
        wait_until(lambda: told(reader, EventKind.DIED, "frontend"), 30, "the kill was not told")
        assert told(reader, EventKind.DIED, "frontend") == ["137"]
        wait_until(lambda: "\tkilled\tfrontend\t" in heard.read_text(), 30, "nobody was told of it")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        mps.engine.docker("start", frontend)  # nobody listens
        process = subprocess.Popen(serve, cwd=mps.directory, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: told(reader, EventKind.STARTED, "frontend"), 60, "the start was not caught up with")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert heard.read_text().count("\tkilled\tfrontend\t") == 1, "told again by the next one"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    now = datetime.now(UTC)
    kinds = [EventKind.COLLECTOR_STARTED, EventKind.COLLECTOR_STOPPED]
    began = [event.kind for event in reader.events(now - timedelta(minutes=10), now, kinds=kinds)]
    assert began == [EventKind.COLLECTOR_STARTED, EventKind.COLLECTOR_STARTED, EventKind.COLLECTOR_STOPPED]
    assert {path.stat().st_mode & 0o777 for path in (mps.directory / ".opsconsole").glob("metrics*")} == {0o600}
    assert "stopped" in (mps.directory / ".opsconsole" / "collect.log").read_text()


def test_where_nothing_may_be_written_nothing_is_collected(mps: Stack) -> None:
    before = os.listdir(mps.directory)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "opsconsole", "--read-only", "collect"],
        cwd=mps.directory,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "--read-only forbids to write" in done.stderr
    assert os.listdir(mps.directory) == before
