"""Rules of one's own in opsconsole.toml: what they mean, and what is said of one that means nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsconsole import applied, config
from opsconsole.alert_settings import BUILT_IN, RuleSettings, metrics, seconds
from opsconsole.alerts import RULES, AlertMemory, Thresholds, evaluate
from opsconsole.config import Config
from opsconsole.config.sections import AlertsSection
from opsconsole.model import Alert, AlertState, Disk, HostSample, Severity
from tests.test_alerts import at, snapshot

RULE = '[[alerts.rule]]\nname = "mine"\n'
METRIC = RULE + 'metric = "host_cpu_percent"\nthreshold = 50\n'
EVENT = RULE + 'event = "die"\nthreshold = 3\n'
LOG = RULE + 'log = "login failed"\nthreshold = 3\n'
DURATION = 'a duration of at most a week such as "30s", "5m" or "2h"'


def load(directory: Path, text: str) -> Config:
    file = directory / config.FILE_NAME
    file.write_text(text)
    return config.load(file)


def test_a_rule_of_each_kind_is_read(tmp_path: Path) -> None:
    text = f"""
        [alerts]
        off = ["volume-risk"]
        tell = "critical"
        cooldown = "1h"
        {METRIC.replace("mine", "busy")}
        of = "web-*"
        comparison = ">="
        for = "90s"
        cooldown = "10m"
        action = "look"
        {EVENT.replace("mine", "killed")}
        exit_codes = [137, 139]
        within = "1h30m"
        severity = "critical"
        {LOG.replace("mine", "logins")}
        of = ["backend", "worker"]
        for = "2m"
    """
    found = load(tmp_path, text).alerts
    busy, killed, logins = found.rule
    assert (found.off, found.tell, found.cooldown) == (("volume-risk",), "critical", "1h")
    assert (busy.subjects, busy.compares, busy.hold_seconds, busy.cooldown) == (("web-*",), ">=", 90, "10m")
    assert (killed.exit_codes, killed.within_seconds, killed.severity) == ((137, 139), 5400, "critical")
    assert (logins.subjects, logins.compares, logins.hold_seconds) == (("backend", "worker"), ">=", 120)
    assert RuleSettings(name="x", metric="host_load1", threshold=1).compares == ">"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            RULE + "threshold = 1",
            "key 'alerts.rule[0]' expected one of metric, event and log, got none of them (rule mine)",
        ),
        (
            METRIC + 'event = "die"',
            "key 'alerts.rule[0]' expected one of metric, event and log, got metric and event (rule mine)",
        ),
        (RULE + 'metric = "host_cpu_percent"', "key 'alerts.rule[0].threshold' is missing"),
        ("[[alerts.rule]]\nthreshold = 1", "key 'alerts.rule[0].name' is missing"),
        (
            RULE + 'metric = "host_cpu"\nthreshold = 1',
            'key \'alerts.rule[0].metric\' cannot be "host_cpu", did you mean "host_cpu_percent"?',
        ),
        (
            RULE + 'event = "explode"\nthreshold = 1',
            "key 'alerts.rule[0].event' cannot be \"explode\"; possible: die, oom, start, unhealthy",
        ),
        (METRIC.replace("50", '"50"'), "key 'alerts.rule[0].threshold' expected a number, got a string"),
        (METRIC.replace("50", "inf"), "key 'alerts.rule[0].threshold' expected a number, got inf"),
        (METRIC + "for = 5", f"key 'alerts.rule[0].for' expected {DURATION}, got 5"),
        (METRIC + 'for = "5"', f"key 'alerts.rule[0].for' expected {DURATION}, got \"5\""),
        (METRIC + 'for = "8d"', f"key 'alerts.rule[0].for' expected {DURATION}, got \"8d\""),
        (METRIC + 'cooldown = "soon"', f"key 'alerts.rule[0].cooldown' expected {DURATION}, got \"soon\""),
        ('[alerts]\ncooldown = "soon"', f"key 'alerts.cooldown' expected {DURATION}, got \"soon\""),
        ("[alerts]\ncooldown = 30", f"key 'alerts.cooldown' expected {DURATION}, got 30"),
        (
            METRIC + 'comparison = "=>"',
            'key \'alerts.rule[0].comparison\' cannot be \'=>\'; possible: ">", ">=", "<", "<=", "==", "!="',
        ),
        (
            METRIC + 'severity = "page"',
            "key 'alerts.rule[0].severity' cannot be 'page'; possible: \"warning\", \"critical\"",
        ),
        (METRIC + "fro = 1", "unknown key 'alerts.rule[0].fro', did you mean 'alerts.rule[0].for'?"),
        (
            METRIC + "zzz = 1",
            "unknown key 'alerts.rule[0].zzz'; known here: name, metric, event, log, of, ",
        ),
        (METRIC + "exit_codes = [1]", "key 'alerts.rule[0].exit_codes' belongs beside event = \"die\""),
        (METRIC + 'within = "5m"', "key 'alerts.rule[0].within' belongs beside event; "),
        (EVENT + 'for = "5m"', "key 'alerts.rule[0].for' belongs beside metric or log; "),
        (EVENT + 'within = "0s"', "key 'alerts.rule[0].within' expected a duration above 0, got \"0s\""),
        (
            EVENT + "exit_codes = [256]",
            "key 'alerts.rule[0].exit_codes[0]' expected a whole number of at most 255, got 256",
        ),
        (
            EVENT.replace("= 3", "= 0"),
            'key \'alerts.rule[0].threshold\' expected 1 event or more with ">=" or ">", got 0',
        ),
        (
            EVENT + 'comparison = "<"',
            'key \'alerts.rule[0].threshold\' expected 1 event or more with ">=" or ">", got 3',
        ),
        (
            LOG.replace("login failed", "(a"),
            "key 'alerts.rule[0].log' expected a regular expression, got \"(a\": no valid expression (",
        ),
        (
            LOG.replace("login failed", "(a+)+"),
            "key 'alerts.rule[0].log' expected a regular expression, got \"(a+)+\": a repeat inside a repeat can take",
        ),
        (METRIC.replace("mine", "My rule"), "key 'alerts.rule[0].name' expected 1 to 40 small letters, digits and -"),
        (
            METRIC.replace("mine", "cpu"),
            "key 'alerts.rule[0].name' expected a name of its own: \"cpu\" is a rule of the console, see [alerts]",
        ),
        (
            METRIC + EVENT,
            "key 'alerts.rule[1].name' expected a name of its own: \"mine\" is that of alerts.rule[0], too",
        ),
        ('[alerts.rule]\nname = "x"', "key 'alerts.rule' expected a list of tables: write [[alerts.rule]]"),
        ('[alerts]\noff = ["cpus"]', 'key \'alerts.off[0]\' cannot be "cpus", did you mean "cpu"?'),
        ("[alerts]\ntell = 1", "key 'alerts.tell' expected a string, got a whole number"),
    ],
)
def test_a_rule_that_means_nothing_is_one_line_with_key_and_expectation(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(config.ConfigError) as raised:
        load(tmp_path, text)
    assert raised.value.problem.startswith(f"{tmp_path / config.FILE_NAME}: {problem}")
    assert "\n" not in raised.value.problem


def test_durations() -> None:
    assert [seconds(text) for text in ("0s", "90s", "5m", "1h30m", "7d", "1h 5m")] == [0, 90, 300, 5400, 604800, 3900]
    assert [seconds(text) for text in ("", "5", "m", "-5m", "1.5h", "8d", "5m!", "9" * 30 + "s")] == [None] * 8


def test_the_names_of_the_consoles_rules_are_known() -> None:
    assert frozenset().union(*(rule.names for rule in RULES)) == BUILT_IN
    assert "alerts_firing" not in metrics() and len(metrics()) > 40


def test_what_is_off_is_not_judged_and_the_rest_of_its_rule_is() -> None:
    rules = applied.rules(Config(alerts=AlertsSection(off=("disk", "volume-risk"))))
    off = {name for rule in rules for name in rule.off}
    assert off == {"disk", "volume-risk"} and len(rules) == len(RULES)
    full = Disk(mount="/", used_percent=99, inodes_total=100, inodes_free=1)
    seen = snapshot(at(0), host=HostSample(disks=(full,)))
    for judged, expected in ((RULES, {"disk", "inodes"}), (rules, {"inodes"})):
        found, _ = evaluate(Thresholds(), AlertMemory(), seen, at(0), rules=judged)
        assert {alert.rule for alert in found} == expected


def test_each_rule_has_its_cooldown() -> None:
    own = RuleSettings(name="mine", metric="host_load1", threshold=1, cooldown="0s")
    cooldown = applied.cooldown(Config(alerts=AlertsSection(cooldown="1h", rule=(own,))))
    now = datetime(2026, 3, 1, tzinfo=UTC)

    def alert(rule: str) -> Alert:
        return Alert(
            rule=rule, subject="x", severity=Severity.WARNING, state=AlertState.FIRING, since=now, message="", action=""
        )

    assert (cooldown(alert("mine")), cooldown(alert("cpu"))) == (timedelta(0), timedelta(hours=1))


def test_every_limit_of_the_runbook_can_be_changed() -> None:
    section = AlertsSection(cpu_percent=10, memory_minutes=1, disk_percent=20, error_rate_percent=1, response_seconds=9)
    limits = applied.thresholds(Config(alerts=section))
    assert (limits.cpu_percent, limits.cpu_minutes) == (10, 5)
    assert (limits.memory_percent, limits.memory_minutes, limits.disk_percent) == (85, 1, 20)
    assert (limits.error_rate_percent, limits.response_seconds) == (1, 9)
