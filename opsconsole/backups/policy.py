"""The rules of retention that the settings say."""

from __future__ import annotations

from opsconsole.backups.retention import Policy
from opsconsole.config import Config


def policy_of(config: Config) -> Policy:
    """As `[retention]` has it."""
    kept = config.retention
    return Policy(
        daily=kept.daily,
        weekly=kept.weekly,
        monthly=kept.monthly,
        keep_last=kept.keep_last or None,
        manual_last=kept.manual_last,
        manual_days=kept.manual_days,
        safety_last=kept.safety_last,
        safety_days=kept.safety_days,
        point_in_time_days=kept.point_in_time_days,
    )


def said(policy: Policy) -> str:
    """`Kept are 30 daily, 12 weekly and 12 monthly ones`."""
    if policy.keep_last is not None:
        return f"Kept are the last {policy.keep_last}"
    return f"Kept are {policy.daily} daily, {policy.weekly} weekly and {policy.monthly} monthly ones"
