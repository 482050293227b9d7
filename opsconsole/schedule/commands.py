"""The commands of ours that the schedule runs, each as a process of its own with its output in the log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from opsconsole.model import Record
from opsconsole.operations import journal
from opsconsole.operations.places import existing_operations
from opsconsole.operations.site import Site
from opsconsole.schedule.due import Kind
from opsconsole.schedule.records import Log

COMMANDS: dict[Kind, tuple[str, ...]] = {
    Kind.BACKUP: ("backup", "create", "--class", "scheduled", "--yes"),
    Kind.INCREMENTAL: ("backup", "create", "--incremental", "--class", "scheduled", "--yes"),
    Kind.VERIFY: ("backup", "verify", "latest", "--level", "3"),
    Kind.PRUNE: ("backup", "prune", "--yes"),
}
"""What is run, without the stack. A kind that is not in here is never due."""

NAMES: Mapping[Kind, str] = {
    Kind.BACKUP: "the scheduled backup",
    Kind.INCREMENTAL: "the incremental backup",
    Kind.VERIFY: "the test restore of the newest backup",
    Kind.PRUNE: "the removal of old backups",
}


class Ended(Record, frozen=True):
    """How a command ended."""

    code: int
    problem: str = ""  # one line, when it failed: of its journal, else the last that it said
    hint: str = ""


RunOne = Callable[[Kind, int], Ended]
"""Run the command of this kind to its end. The file has to stay open in it."""


def command(site: Site, kind: Kind, commands: Mapping[Kind, tuple[str, ...]] = COMMANDS) -> tuple[str, ...]:
    """The words that are run."""
    config = ("--config", site.config_file) if site.config_file else ()
    # -P: the directory that we stand in is no place to import from, least of all as root.
    start = (sys.executable, "-P", "-m", "opsconsole")
    return (*start, *commands[kind], "--stack", site.project or str(site.directory), *config)


def run_command(site: Site, log: Log, commands: Mapping[Kind, tuple[str, ...]] = COMMANDS) -> RunOne:
    """Runs our own command line as a process, its output into the log."""

    def run_one(kind: Kind, keep_open: int) -> Ended:
        since, before = log.size, _newest(site)
        done = subprocess.run(
            command(site, kind, commands),
            cwd=site.directory,
            stdin=subprocess.DEVNULL,
            stdout=log.fd,
            stderr=log.fd,
            pass_fds=(keep_open,),
            check=False,
        )
        if not done.returncode:
            return Ended(code=0)
        after = _newest(site)
        end = journal.read(after)[-1:] if after is not None and after != before else ()
        if end and end[0].problem:
            return Ended(code=done.returncode, problem=end[0].problem, hint=end[0].hint)
        return Ended(code=done.returncode, problem=log.last_line(since).removeprefix("opsconsole: "))

    return run_one


def _newest(site: Site) -> Path | None:
    """Where the newest operation of the stack is kept."""
    return next(iter(existing_operations(site.directory)[-1:]), None)
