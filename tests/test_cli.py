"""The commands as they are typed, on real stacks and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opsconsole.cli import main
from opsconsole.model import Snapshot
from tests.parts.machine import wait_until
from tests.parts.stacks import Stack

KEYS = {"stack", "engine", "containers", "volumes", "host", "databases", "probes", "backups", "alerts", "sampled_at"}


def opsconsole(
    *words: str, cwd: Path | str = ".", env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "opsconsole", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def status(stack: Stack, *words: str) -> tuple[int, Any]:
    done = opsconsole("status", "--json", *words, cwd=stack.directory, env=stack.env)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


# --- without an engine -----------------------------------------------------------------------------


def test_help_says_what_there_is() -> None:
    done = opsconsole("--help")
    assert done.returncode == 0
    for command in ("status", "logs", "doctor", "init", "demo"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("nonsense", ""),
        ("--nonsense", ""),
        ("status --nonsense", "status"),
        ("status extra", "status"),
        ("logs --tail x", "logs"),
        ("backup verify --level 9", "backup verify"),
        ("backup unpin", "backup unpin"),
        ("backup export live", "backup export"),
        ("backup import x.json", "backup import"),
        ("restore latest --part nonsense", "restore"),
        ("rollback nonsense", "rollback"),
        ("operations nonsense", "operations"),
        ("schedule nonsense", "schedule"),
        ("schedule run extra", "schedule"),
        ("collect nonsense", "collect"),
        ("database flush --db x", "database flush"),
        ("incident", "incident"),
        ("demo --containers x", "demo"),
        ("health \x1b[2J", "health"),
    ],
)
def test_a_line_that_is_wrong_is_told_in_one(line: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split(" "))
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.out == "" and told.err.count("\n") == 1 and "\x1b" not in told.err
    assert told.err.startswith("opsconsole: ")
    assert told.err.endswith(f" -> See `{' '.join(['opsconsole', *command.split(), '--help'])}`.\n")


def test_demo_status_is_the_same_snapshot() -> None:
    done = opsconsole("demo", "--json")
    assert done.returncode == 1  # some of its services are unhealthy on purpose
    found = json.loads(done.stdout)
    assert found.keys() >= KEYS and found["demo"] is True


def test_the_schema_describes_what_is_printed() -> None:
    schema = json.loads(opsconsole("status", "--schema").stdout)
    properties = schema["$defs"]["Snapshot"]["properties"]
    assert properties.keys() >= KEYS
    printed = opsconsole("demo", "--json").stdout
    assert json.loads(printed).keys() <= properties.keys()
    msgspec.json.decode(printed, type=Snapshot, strict=True)  # and every value has the type it says


def test_a_directory_without_a_stack_and_no_engine(tmp_path: Path) -> None:
    done = opsconsole("status", cwd=tmp_path, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "none.sock" in done.stderr


def test_the_console_needs_a_terminal(tmp_path: Path) -> None:
    done = opsconsole(cwd=tmp_path)
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_config_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    (tmp_path / "opsconsole.toml").write_text("[alerts]\ncpu_percnt = 80\n")
    done = opsconsole("status", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    for word in ("opsconsole.toml", "cpu_percnt", "cpu_percent"):
        assert word in done.stderr


def test_status_without_engine_still_says_what_the_files_say(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    done = opsconsole("status", "--json", cwd=tmp_path, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)
    assert [service["name"] for service in found["stack"]["services"]] == ["web"]
    assert found["readings"]["engine"]["state"] == "failed"
    assert found["host"]["cpus"] > 0


def test_health_without_engine_is_not_green(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    away = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = opsconsole("health", "--json", cwd=tmp_path, env=away)
    assert done.returncode == 2, done.stderr
    verdicts = {line["area"]: line["verdict"] for line in json.loads(done.stdout)["lines"]}
    assert verdicts["engine"] == verdicts["services"] == "not known" and verdicts["disks"] != "not known"


# --- on real stacks --------------------------------------------------------------------------------


def test_status_of_mps(mps: Stack) -> None:
    code, found = status(mps)
    assert found.keys() >= KEYS and found["schema"] == 1
    assert found["stack"]["name"] == mps.project
    services = {container["service"]: container for container in found["containers"]}
    assert services.keys() == {"backend", "frontend", "mongodb", "redis"}
    assert all(container["state"] == "running" for container in found["containers"])
    assert services["backend"]["usage"]["cpu_percent"] is not None
    mongodb = next(status for status in found["databases"] if status["kind"] == "mongodb")
    redis = next(status for status in found["databases"] if status["kind"] == "redis")
    assert mongodb["reachable"] and mongodb["version"].startswith("6.0") and mongodb["databases"]
    assert redis["reachable"] and redis["aof_enabled"] and redis["keyspaces"]
    assert {probe["ok"] for probe in found["probes"]} == {True}
    assert found["backups"] and found["volumes"]
    # Its newest backup is old, and nothing else is wrong with it.
    assert {alert["rule"] for alert in found["alerts"] if alert["state"] == "firing"} == {"backup-age"}
    assert code == 1


def test_health_of_mps(mps: Stack) -> None:
    done = opsconsole("health", "--json", cwd=mps.directory, env=mps.env)
    found = json.loads(done.stdout)
    ill = {
        (line["area"], line["looked_at"]) for line in found["lines"] if line["verdict"] not in ("well", "nothing there")
    }
    assert ill >= {("backups", "age of the newest good backup")}
    assert not {area for area, _ in ill} & {"engine", "services", "endpoints", "mongodb", "redis", "schedule"}, ill
    assert (done.returncode, found["exit_code"]) == (1, 1)
    services = {line["subject"]: line["number"] for line in found["lines"] if line["area"] == "services"}
    assert services.keys() == {"backend", "frontend", "mongodb", "redis"}
    assert "slow operations that run now" in {line["looked_at"] for line in found["lines"]}


def test_status_shows_no_secret(mps: Stack) -> None:
    secrets = [part for uri in (mps.mongo_uri, mps.redis_url) for part in [uri.split("@")[0].rsplit(":", 1)[1]]]
    assert all(len(secret) > 3 for secret in secrets)
    for words in (("status",), ("status", "--json"), ("health", "-v"), ("init", "--print"), ("doctor",)):
        done = opsconsole(*words, cwd=mps.directory, env=mps.env)
        for secret in secrets:
            assert secret not in done.stdout + done.stderr, words


def test_mongodb_on_the_host_is_found(thynk: Stack) -> None:
    _, found = status(thynk)
    (mongodb,) = found["databases"]
    assert mongodb["reachable"], mongodb
    assert mongodb["target"]["service"] == "" and mongodb["target"]["database"] == "thynk"
    assert any(volume["kind"] == "bind" for volume in found["volumes"])
    assert not [container for container in found["containers"] if container["drift"]], "drift where there is none"


def test_a_replica_set_is_known_as_one(smokava_rs: Stack) -> None:
    _, found = status(smokava_rs)
    (mongodb,) = found["databases"]
    assert mongodb["topology"].startswith("replica set") and mongodb["member_state"] == "PRIMARY"


def test_trouble_is_named(troubled: Stack) -> None:
    code, found = status(troubled)
    assert code == 1
    subjects = {alert["subject"] for alert in found["alerts"]}
    assert any("crashing" in subject for subject in subjects), subjects
    assert any(volume["safety"] == "at risk" for volume in found["volumes"])


def test_a_project_is_found_by_its_name(mps: Stack, tmp_path: Path) -> None:
    done = opsconsole("status", "--stack", mps.project, "--json", cwd=tmp_path, env=mps.env)
    assert json.loads(done.stdout)["stack"]["name"] == mps.project


def test_elsewhere_the_projects_are_named(mps: Stack, tmp_path: Path) -> None:
    done = opsconsole("status", cwd=tmp_path, env=mps.env)
    assert done.returncode == 2
    assert mps.project in done.stderr


def test_init_writes_what_was_found_once(stack_factory: Any) -> None:
    stack = stack_factory("smokava")
    done = opsconsole("init", cwd=stack.directory, env=stack.env)
    assert done.returncode == 0, done.stderr
    written = stack.directory / "opsconsole.toml"
    text = written.read_text()
    assert "max_age_hours" in text
    assert opsconsole("status", cwd=stack.directory, env=stack.env).returncode in (0, 1), "it must load back"
    again = opsconsole("init", cwd=stack.directory, env=stack.env)
    assert again.returncode == 2 and "--force" in again.stderr
    assert written.read_text() == text
    assert opsconsole("init", "--force", cwd=stack.directory, env=stack.env).returncode == 0


def test_logs_in_a_pipe(mps: Stack) -> None:
    done = opsconsole("logs", "mongodb", "--tail", "5", cwd=mps.directory, env=mps.env)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert "\x1b" not in done.stdout
    wrong = opsconsole("logs", "mongo", cwd=mps.directory, env=mps.env)
    assert wrong.returncode == 1 and "mongodb" in wrong.stderr


def test_logs_end_quietly_when_the_reader_goes(mps: Stack) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "opsconsole", "logs", "-f"],
        cwd=mps.directory,
        env={**os.environ, **mps.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    assert process.stdout.readline()
    process.stdout.close()

    def write_until_it_ends() -> bool:
        mps.compose("exec", "-T", "backend", "sh", "-c", "echo another line > /proc/1/fd/1")
        return process.poll() is not None

    wait_until(write_until_it_ends, 60, "it goes on without a reader", interval=0.2)
    assert "Traceback" not in process.stderr.read()


def test_doctor_on_a_good_host(mps: Stack) -> None:
    done = opsconsole("doctor", cwd=mps.directory, env=mps.env)
    assert done.returncode == 0, done.stdout
    for word in ("engine", "Compose", "MongoDB", "Redis"):
        assert word.lower() in done.stdout.lower()
