"""The doctor: everything that is missing is named, with what mends it, and nothing it meets stops it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from opsconsole import doctor
from opsconsole.doctor import Check, examine, report
from tests.parts.engine import Engine
from tests.parts.stacks import STACKS, Stack


def by_name(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in reversed(checks)}


def test_a_sound_host_with_a_sound_stack(mps: Stack) -> None:
    checks = by_name(examine(mps.directory))
    assert {name for name, check in checks.items() if check.failed} == set()
    assert mps.project in checks["stack"].found
    assert "4 services, 4 containers running" in checks["stack"].found
    assert checks["engine"].found.startswith("Docker ")
    assert checks["Compose"].found.startswith("docker compose ")
    assert "version 6.0" in checks["MongoDB"].found
    assert "version 7." in checks["Redis"].found
    assert "redis-secret" not in report(tuple(checks.values()))


def test_a_host_without_anything_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STACKS / "mps", tmp_path / "mps")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    checks = by_name(examine(tmp_path / "mps"))
    assert checks["engine"].failed
    assert "no.sock" in checks["engine"].found
    for name in ("engine", "Compose", "docker command", "git", "backups"):
        assert checks[name].state != doctor.OK
        assert checks[name].mend
    assert checks["stack"].found.startswith("mps: docker-compose.yml, 4 services")
    assert checks["MongoDB"].failed


def test_a_directory_without_a_stack_and_wrong_settings(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "opsconsole.toml").write_text("[alerts]\ncpu = 1\n")
    checks = by_name(examine(tmp_path))
    assert checks["settings"].failed
    assert "unknown key 'alerts.cpu'" in checks["settings"].found
    assert checks["stack"].failed
    assert "no compose file in" in checks["stack"].found


def test_an_env_file_that_everybody_can_read_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a}}")
    (tmp_path / ".env").write_text("PASSWORD=x")
    os.chmod(tmp_path / ".env", 0o644)
    assert by_name(examine(tmp_path))["env file"].mend.startswith("chmod o-r .env")
    os.chmod(tmp_path / ".env", 0o640)
    assert by_name(examine(tmp_path))["env file"].state == doctor.OK


def test_a_terminal_without_utf8_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getencoding", lambda: "ANSI_X3.4-1968")
    (locale, *_) = doctor.terminal_checks()
    assert (locale.state, locale.found) == ("warning", "ANSI_X3.4-1968, not UTF-8")
    assert "--ascii" in locale.mend


def test_a_logout_that_would_end_an_operation_is_a_warning() -> None:
    scope = ("systemd-run", "--user", "--scope")
    told = doctor.logout_check(scope, lingers=False)
    assert told.state == doctor.WARNING and told.mend == "loginctl enable-linger"
    for kept, lingers in ((scope, True), (("systemd-run", "--scope"), False), ((), False)):
        assert doctor.logout_check(kept, lingers=lingers).state == doctor.OK


def test_a_check_that_breaks_is_a_warning_and_hangs_end() -> None:
    def breaks() -> Check:
        raise ValueError("mongodb://u:hunter2@h")

    broken = doctor._guarded("git", breaks)
    assert broken.state == doctor.WARNING
    assert "hunter2" not in broken.found
    with pytest.raises(doctor.SourceError, match="no answer within 0 s"):
        doctor._within(0.01, __import__("threading").Event().wait)


def test_the_report_is_a_table_of_words() -> None:
    checks = (
        Check(name="git", found="git 2"),
        Check(name="engine", state="failed", found="no \x1b[2J socket", mend="start it " * 20),
        Check(name="clock", state="warning", found="x"),
    )
    lines = report(checks).splitlines()
    assert lines[0] == "ok       git     git 2"
    assert lines[1] == "failed   engine  no ␛[2J socket"
    assert lines[2].strip().startswith("-> start it")
    assert all(len(line) <= 110 for line in lines)
    assert lines[-1] == "1 failed, 1 warning of 3 checks"
    assert report(checks[:1]).endswith("all 1 checks passed\n")
