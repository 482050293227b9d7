"""opsconsole.toml: every key is explained, every mistake is one line that names file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsconsole import config
from opsconsole.config import keys


def write(directory: Path, text: str) -> Path:
    file = directory / config.FILE_NAME
    file.write_text(text)
    return file


def test_without_a_file_everything_has_the_runbooks_default(tmp_path: Path) -> None:
    found = config.load_from(tmp_path)
    assert found.path == ""
    assert found.backups.max_age_hours == 26
    assert (found.alerts.cpu_percent, found.alerts.cpu_minutes) == (80, 5)
    assert (found.alerts.memory_percent, found.alerts.disk_percent) == (85, 90)
    assert (found.alerts.error_rate_percent, found.alerts.response_seconds) == (5, 2.0)
    assert (found.console.refresh_seconds, found.console.background_refresh_seconds) == (2, 10)


def test_a_file_is_read_in_full(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [stack]
        name = "shop"
        compose_files = ["compose.yaml", "compose.prod.yaml"]
        profiles = ["full"]
        [mongodb]
        uri_env = "MONGODB_URI"
        [redis]
        enabled = false
        [[probes]]
        url = "http://127.0.0.1:8080/health"
        expect_status = 204
        [[probes]]
        url = "https://example.com/"
        [alerts]
        cpu_minutes = 1
        """,
    )
    found = config.load_from(tmp_path)
    assert found.path == str(file)
    assert found.stack.compose_files == ("compose.yaml", "compose.prod.yaml")
    assert found.mongodb.uri_env == "MONGODB_URI"
    assert not found.redis.enabled
    assert [probe.expect_status for probe in found.probes] == [204, None]
    assert found.alerts.cpu_minutes == 1


def test_the_backup_may_have_one_time_several_or_none(tmp_path: Path) -> None:
    for text, times in (('"23:59"', ("23:59",)), ('["02:00", "14:30"]', ("02:00", "14:30")), ('""', ()), ("[]", ())):
        found = config.load(write(tmp_path, f"[schedule]\nbackup = {text}"))
        assert found.schedule.times == times
    assert config.Config().schedule.times == ("02:00",)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / config.FILE_NAME
    file.write_bytes(b'\xef\xbb\xbf[stack]\r\nname = "shop"\r\n')
    assert config.load(file).stack.name == "shop"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[backups]\nmax_age_hours = "a day"', "key 'backups.max_age_hours' expected a number, got a string"),
        ("[backups]\nmax_age_hour = 3", "unknown key 'backups.max_age_hour', did you mean 'backups.max_age_hours'?"),
        ("[backup]\n", "unknown table 'backup', did you mean 'backups'?"),
        ("[stack]\nmax_age_hours = 3", "unknown key 'stack.max_age_hours', it belongs into table [backups]"),
        ("[mongodb]\nzzz = 1", "unknown key 'mongodb.zzz'; known here: enabled, uri, uri_env"),
        ("[backups]\nmax_age_hours = 0", "key 'backups.max_age_hours' expected a number above 0, got 0"),
        ("[backups]\nmax_age_hours = 2026-01-01", "key 'backups.max_age_hours' expected a number, got a date"),
        ("[alerts]\ncpu_percent = 101", "key 'alerts.cpu_percent' expected a number of at most 100, got 101"),
        ("[alerts]\nrestarts = 1.5", "key 'alerts.restarts' expected a whole number, got a number"),
        ("[console]\nascii = 1", "key 'console.ascii' expected true or false, got a whole number"),
        (
            '[console]\ntheme = "pink"',
            'key \'console.theme\' cannot be \'pink\'; possible: "", "dark", "light", "contrast", "ansi"',
        ),
        ("[stack]\nprofiles = [1]", "key 'stack.profiles[0]' expected a string, got a whole number"),
        ('[[probes]]\nname = "x"', "key 'probes[0].url' is missing"),
        ('[[probes]]\nurl = "shop"', "key 'probes[0].url' expected an address that begins with http:// or https://"),
        (
            '[redis]\nurl = "cache"',
            "key 'redis.url' expected an address that begins with redis://, rediss:// or unix://",
        ),
        ("stack = 1", "key 'stack' expected a table, got a whole number"),
        (
            'path = "/x"',
            "unknown table 'path'; known here: stack, mongodb, redis, data, probes, backups, retention, schedule, "
            "persistence, maintenance, copy, notify, deploy, hooks, alerts, metrics, logs, console",
        ),
        (
            '[schedule]\nbackup = "2 am"',
            'key \'schedule.backup\' expected a time of day such as "02:00", got "2 am"',
        ),
        (
            '[schedule]\nbackup = ["02:00", "24:00"]',
            'key \'schedule.backup[1]\' expected a time of day such as "02:00", got "24:00"',
        ),
        ("[schedule]\nbackup = 2", "key 'schedule.backup' expected a string or a list, got a whole number"),
        ("[schedule]\nverify_days = -1", "key 'schedule.verify_days' expected a whole number of at least 0, got -1"),
        (
            '[copy]\nrclone = "far:backups"\nrsync = "far:/backups"',
            "table [copy] takes one of rclone, rsync and command, got rclone and rsync",
        ),
        (
            '[copy]\nrsync = "far:/backups"\nverify_command = ["true"]',
            "key 'copy.verify_command' belongs beside copy.command; rclone and rsync verify by themselves",
        ),
        ('[notify]\nwebhook = "x"', "key 'notify.webhook' expected an address that begins with http:// or https://"),
        ('[notify]\non = "success"', "key 'notify.on' cannot be 'success'; possible: \"failure\", \"always\""),
        ("nonsense", "not valid TOML: Expected '=' after a key in a key/value pair (at end of document)"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_expectation(tmp_path: Path, text: str, problem: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(config.ConfigError) as raised:
        config.load(file)
    assert raised.value.problem == f"{file}: {problem}"


def test_a_hostile_key_is_shown_as_text(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError) as raised:
        config.load(write(tmp_path, '[stack]\n"\\u001b]52;c;x\\u0007\\nname" = 1'))
    assert "\x1b" not in raised.value.problem
    assert "\n" not in raised.value.problem


def test_a_file_that_is_not_text_or_not_there_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / config.FILE_NAME
    file.write_bytes(b"[stack]\nname = '\xff'")
    with pytest.raises(config.ConfigError, match=r"is not UTF-8 text \(byte 16\)"):
        config.load(file)
    with pytest.raises(config.ConfigError, match="cannot be read: No such file"):
        config.load(tmp_path / "elsewhere.toml")
    with pytest.raises(config.ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


def test_every_key_says_what_it_is_for() -> None:
    assert not [f"{setting.table}.{setting.key}" for setting in keys.settings() if len(setting.description) < 10]
    assert len(list(keys.settings())) > 30
