"""Is all well? Every thing that was looked at as one line: the number, its limit, and what to do.

Pure functions over a Snapshot. What could not be looked at is never well: it has a line that says so.
"""

from __future__ import annotations

from opsconsole.health.checking import check
from opsconsole.health.lines import AREAS, COULD_NOT_LOOK, Health, HealthLine, Verdict, exit_code

__all__ = ["AREAS", "COULD_NOT_LOOK", "Health", "HealthLine", "Verdict", "check", "exit_code"]
