"""What the settings mean for the alert rules and for the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from opsconsole.alert_findings import Thresholds

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.monitor import Pace

_AS_CONFIGURED = ("usage", "host")
_NOT_OFTENER_THAN_USUAL = ("stack", "databases", "probes")


def thresholds(config: Config) -> Thresholds:
    """The limits of the alert rules: the table [alerts], and the age of backups from [backups]."""
    return Thresholds(**msgspec.structs.asdict(config.alerts), backup_max_age_hours=config.backups.max_age_hours)


def paces(config: Config) -> dict[str, Pace]:
    """How often to look. What costs little follows the settings in both directions, what costs more only to slower."""
    from opsconsole.monitor import DEFAULT_PACES, Pace

    focused, background = config.console.refresh_seconds, config.console.background_refresh_seconds
    chosen = dict(DEFAULT_PACES)
    for name in _AS_CONFIGURED:
        chosen[name] = Pace(focused=focused, background=max(focused, background))
    for name in _NOT_OFTENER_THAN_USUAL:
        usual = DEFAULT_PACES[name]
        chosen[name] = Pace(focused=max(usual.focused, focused), background=max(usual.background, background))
    return chosen
