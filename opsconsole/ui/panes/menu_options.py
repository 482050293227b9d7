"""The nine lines that deploy.sh has always shown, under their numbers."""

from __future__ import annotations

from dataclasses import dataclass

RESTART, LOGS, BACKUP, RESTORE, EXIT = 4, 5, 6, 7, 9


@dataclass(frozen=True, slots=True)
class Option:
    number: int
    line: str


OPTIONS = (
    Option(1, "Deploy (build and start containers)"),
    Option(2, "Update from GitHub and redeploy"),
    Option(3, "Stop containers"),
    Option(RESTART, "Restart containers"),
    Option(LOGS, "View logs"),
    Option(BACKUP, "Backup database and files"),
    Option(RESTORE, "Restore from backup"),
    Option(8, "Remove containers and images"),
    Option(EXIT, "Exit"),
)


def option(number: int) -> Option:
    return OPTIONS[number - 1]
