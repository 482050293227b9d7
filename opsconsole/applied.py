"""What the settings mean for the alert rules and for the monitor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole import alert_settings
from opsconsole.alert_findings import Rule, Thresholds

if TYPE_CHECKING:
    from opsconsole.alert_keeper import AlertKeeper
    from opsconsole.config import Config
    from opsconsole.model import Alert
    from opsconsole.monitor.paces import Pace
    from opsconsole.sources.log_patterns import LogPattern

_AS_CONFIGURED = ("usage", "host")
_NOT_OFTENER_THAN_USUAL = ("stack", "databases", "probes")


def thresholds(config: Config) -> Thresholds:
    """The limits of the alert rules: the table [alerts], and the age of backups from [backups]."""
    limits = {
        name: getattr(config.alerts, name) for name in Thresholds.__struct_fields__ if hasattr(config.alerts, name)
    }
    return Thresholds(**limits, backup_max_age_hours=config.backups.max_age_hours)


def rules(config: Config) -> tuple[Rule, ...]:
    """The rules that are judged: the console's own without what is switched off, and those of the settings."""
    from opsconsole.alerts import RULES

    off = frozenset(config.alerts.off)
    built_in = tuple(rule._replace(off=rule.names & off) if rule.names & off else rule for rule in RULES)
    if not config.alerts.rule:
        return built_in
    from opsconsole.alert_own_rules import rules_of  # 20 ms before the first screen

    return (*built_in, *rules_of(config.alerts.rule))


def alert_keeper(directory: Path, config: Config, *, writes: bool) -> AlertKeeper:
    """What judges the alerts of a console, and keeps them beside the stack."""
    from opsconsole.alert_keeping import KeptAlerts

    return KeptAlerts(
        directory,
        lambda: datetime.now(UTC),
        thresholds=thresholds(config),
        rules=rules(config),
        writes=writes,
    )


def log_patterns(config: Config) -> tuple[LogPattern, ...]:
    """What the rules of the settings look for in logs."""
    from opsconsole.sources.log_patterns import LogPattern

    return tuple(
        LogPattern(rule=rule.name, expression=rule.log, of=rule.subjects) for rule in config.alerts.rule if rule.log
    )


def cooldown(config: Config) -> Callable[[Alert], timedelta]:
    """For how long nobody is told again of an alert that comes again."""
    usual = alert_settings.seconds(config.alerts.cooldown) or 0.0
    own = {rule.name: alert_settings.seconds(rule.cooldown) or 0.0 for rule in config.alerts.rule if rule.cooldown}
    return lambda alert: timedelta(seconds=own.get(alert.rule, usual))


def paces(config: Config) -> dict[str, Pace]:
    """How often to look. What costs little follows the settings in both directions, what costs more only to slower."""
    from opsconsole.monitor.paces import DEFAULT_PACES, Pace

    focused, background = config.console.refresh_seconds, config.console.background_refresh_seconds
    chosen = dict(DEFAULT_PACES)
    for name in _AS_CONFIGURED:
        chosen[name] = Pace(focused=focused, background=max(focused, background))
    for name in _NOT_OFTENER_THAN_USUAL:
        usual = DEFAULT_PACES[name]
        chosen[name] = Pace(focused=max(usual.focused, focused), background=max(usual.background, background))
    if any(rule.log for rule in config.alerts.rule):
        chosen["patterns"] = Pace(focused=15, background=15)
    return chosen
