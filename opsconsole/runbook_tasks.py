"""The maintenance tasks of the operations runbook, and the names by which tasks are called. Plain data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from enum import StrEnum

from opsconsole.model import Record
from opsconsole.text import printable


class Every(StrEnum):
    """How often, by the host's calendar."""

    DAILY = "daily"
    WEEKLY = "weekly"  # from Monday on
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


class Task(Record, frozen=True):
    name: str  # by which it is ticked
    title: str
    every: Every
    how: str = ""  # how it is done
    own: bool = False  # of the settings


RUNBOOK = (
    Task(name="health", title="Check system health", every=Every.DAILY, how="opsconsole health, or H in the console"),
    Task(name="error-logs", title="Review error logs", every=Every.DAILY,
         how="opsconsole logs --level error --since 1d, or l and L in the console"),
    Task(name="backup", title="Verify backup completion", every=Every.DAILY, how="opsconsole backup list"),
    Task(name="resources", title="Monitor resource usage", every=Every.DAILY, how="m in the console"),
    Task(name="security-logs", title="Review security logs", every=Every.WEEKLY,
         how="opsconsole logs --since 7d --grep 'auth|login|denied|refused'"),
    Task(name="dependencies", title="Update dependencies (dev environment)", every=Every.WEEKLY,
         how="where the code is developed"),
    Task(name="performance", title="Performance analysis", every=Every.WEEKLY, how="m and D in the console"),
    Task(name="capacity", title="Capacity planning review", every=Every.WEEKLY, how="disks and their forecast: m"),
    Task(name="persistence", title="Verify data persistence", every=Every.WEEKLY, how="opsconsole verify-persistence"),
    Task(name="security-updates", title="Security updates", every=Every.MONTHLY,
         how="opsconsole maintenance images, then update --plan; the package manager for the host"),
    Task(name="database", title="Database maintenance", every=Every.MONTHLY, how="D in the console: indexes, sizes"),
    Task(name="restore-test", title="Backup restore testing", every=Every.MONTHLY,
         how="opsconsole backup verify latest --level 3"),
    Task(name="documentation", title="Documentation updates", every=Every.MONTHLY),
    Task(name="disaster-recovery", title="Disaster recovery testing", every=Every.MONTHLY,
         how="on another host: install, copy a backup there, opsconsole restore"),
    Task(name="security-audit", title="Full security audit", every=Every.QUARTERLY),
    Task(name="benchmark", title="Performance benchmarking", every=Every.QUARTERLY),
    Task(name="infrastructure", title="Infrastructure review", every=Every.QUARTERLY),
    Task(name="continuity", title="Business continuity testing", every=Every.QUARTERLY),
)  # fmt: skip


def name_of(title: str) -> str:
    """`Rotate API keys` -> `rotate-api-keys`; "" when nothing is left."""
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")


def fault_of_names(own: Sequence[str], skipped: Sequence[str]) -> str:
    """What is wrong with the names of own tasks and of those that are skipped, as the settings have them; or ""."""
    known = [one.name for one in RUNBOOK]
    for number, name in enumerate(skipped):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            said = f"did you mean '{close[0]}'?" if close else f"possible: {', '.join(known)}"
            return f"key 'maintenance.skip[{number}]' names no task of the runbook: '{printable(name)}'; {said}"
    taken = {name: f"the runbook's '{name}'" for name in known}
    for number, title in enumerate(own):
        name = name_of(title)
        if not name:
            return f"key 'maintenance.task[{number}].name' has neither a letter nor a digit: '{printable(title)}'"
        if name in taken:
            return f"key 'maintenance.task[{number}].name' is called like {taken[name]}: '{printable(title)}'"
        taken[name] = f"maintenance.task[{number}]"
    return ""
