"""`opsconsole alerts`: what is kept is listed, decided about and told as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsconsole import alert_words, cli
from opsconsole.alert_keeping import KeptAlerts
from opsconsole.alert_settings import BUILT_IN
from opsconsole.collecting.service import taken
from opsconsole.metrics import COLLECTOR, MetricsReader, MetricsStore, metrics_file
from opsconsole.model import Disk, HostSample
from tests.test_alerts import snapshot


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A stack in whose store a collector has just found two full disks."""
    now = datetime.now(UTC)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    path = metrics_file(tmp_path)
    keeper = KeptAlerts(tmp_path, lambda: now, holder="web-1 pid 7")
    disks = tuple(Disk(mount=mount, used_percent=95, free_bytes=2**30) for mount in ("/", "/srv"))
    seen = snapshot(now, host=HostSample(disks=disks))
    keeper.judge(seen, now)
    with MetricsStore(path) as store, store.writing() as writing:
        writing.take_lease("web-1 pid 7", now, seconds=600, rank=COLLECTOR)
        keeper.keep(writing, seen, now)
    return tmp_path


def run(directory: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = cli.main(["--stack", str(directory), "alerts", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_what_fires_is_listed_with_what_was_decided(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(directory, capsys)
    assert code == 1
    assert "CRITICAL  disk  /srv  since " in said and "disk /srv at 95 % (limit 90 %), 1.0 GiB free" in said
    assert run(directory, capsys, "ack", "disk", "/srv", "--note", "making\nroom")[0] == 0
    assert run(directory, capsys, "silence", "disk", "/", "--for", "2h", "--note", "known")[0] == 0
    code, said = run(directory, capsys)
    assert code == 1 and "sees to it since" in said and ": making room" in said
    assert "silenced until" in said and ": known" in said
    found = json.loads(run(directory, capsys, "list", "--json")[1])
    by_subject = {alert["subject"]: alert for alert in found["alerts"]}
    assert by_subject["/srv"]["acknowledged"]["note"] == "making room"
    assert by_subject["/"]["silenced"]["rule"] == "disk" and found["judged_by"] == "web-1 pid 7"
    assert run(directory, capsys, "silence", "*", "--until", "23:59")[0] == 0
    assert run(directory, capsys)[0] == 0, "all of it is silent"


def test_it_can_be_taken_back_and_all_of_it_is_history(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(directory, capsys, "ack", "disk", "/", "--note", "on it")
    run(directory, capsys, "silence", "disk", "--for", "1d")
    assert run(directory, capsys, "ack", "disk", "/", "--undo")[0] == 0
    assert run(directory, capsys, "silence", "disk", "--undo")[0] == 0
    alerts = json.loads(run(directory, capsys, "list", "--json")[1])["alerts"]
    assert all(alert["acknowledged"] is None and alert["silenced"] is None for alert in alerts)
    code, said = run(directory, capsys, "history")
    lines = said.splitlines()
    assert code == 0 and len(lines) == 6
    assert [line.split()[1] for line in lines] == ["firing"] * 2 + [
        "acknowledged",
        "silenced",
        "acknowledged",
        "silenced",
    ]
    assert lines[2].endswith(": on it") and "taken back by" in lines[4]
    assert len(json.loads(run(directory, capsys, "history", "--json")[1])) == 6
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert run(directory, capsys, "history", "--since", later)[1] == "nothing changed in this time\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ack"], "ack needs the rule of an alert"),
        (["ack", "cpu"], "no alert cpu"),
        (["ack", "cpus"], "no rule is called cpus -> Did you mean cpu?"),
        (["ack", "disk"], "2 alerts of disk: say which one -> SUBJECT is one of "),
        (["ack", "disk", "/x"], "no alert disk of /x"),
        (["ack", "disk", "/", "--undo"], "nobody sees to disk of /"),
        (["silence", "disk"], "say until when: one of --for and --until"),
        (["silence", "disk", "--for", "1h", "--until", "08:00"], "say until when"),
        (["silence", "disk", "--for", "soon"], "--for soon is no duration"),
        (["silence", "disk", "--until", "25:00"], "--until 25:00 is no time"),
        (["silence", "disk", "--until", "2020-01-01"], "--until 2020-01-01 is not within the next 30 days"),
        (["silence", "dsik", "--for", "1h"], "no rule is called dsik -> Did you mean disk?"),
        (["silence", "disk", "--undo"], "disk of * is not silenced"),
    ],
)
def test_a_mistake_is_one_line_and_decides_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    before = MetricsReader(metrics_file(directory)).stored().events
    code, printed = run(directory, capsys, *words)
    assert code == 2 and printed.startswith(f"opsconsole: {said}") and printed.count("\n") == 1
    assert MetricsReader(metrics_file(directory)).stored().events == before


def test_a_console_that_may_change_nothing_decides_nothing(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "opsconsole.toml").write_text("[console]\nread_only = true\n")
    assert run(directory, capsys, "silence", "disk", "--for", "1h")[0] == 2
    assert run(directory, capsys)[0] == 1


def test_the_rules_are_shown_with_what_a_rule_can_be_about(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "opsconsole.toml").write_text(
        '[alerts]\noff = ["cpu"]\n[[alerts.rule]]\nname = "killed"\nevent = "die"\nexit_codes = [137]\nof = "worker"\n'
        'threshold = 3\nwithin = "1h"\n'
    )
    code, said = run(directory, capsys, "rules")
    assert code == 0 and "  cpu                  off       CPU of the host over 80 % for 5 min\n" in said
    assert "  disk                 critical  a disk is over 90 % full\n" in said
    assert alert_words.RULES.keys() == BUILT_IN and "{" not in said.partition("of your own")[0]
    assert "  killed  die with 137 of worker >= 3 within 1h, warning\n" in said
    assert "  host_cpu_percent " in said and "  oom " in said
    found = json.loads(run(directory, capsys, "rules", "--json")[1])
    assert found["off"] == ["cpu"] and found["own"][0]["name"] == "killed"
    assert run(directory, capsys, "silence", "killed", "--for", "1h")[0] == 0


def test_a_collector_that_can_store_nothing_is_not_nobody(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a full disk it judges and tells all the same, as long as it holds its lock."""
    with MetricsStore(metrics_file(directory)) as store:
        store.give_lease_back("web-1 pid 7")
    said = run(directory, capsys)[1]
    assert "Nobody keeps what is found" in said and "A collector runs" not in said
    with taken(directory):
        said = run(directory, capsys)[1]
        assert (
            "A collector runs and tells, but has stored nothing of late" in said
            and "Nobody keeps what is found" not in said
        )
        assert json.loads(run(directory, capsys, "list", "--json")[1])["unstored"] is True
