"""`opsconsole schedule`: backups by themselves. What is installed is one job that looks every ten minutes.

Exit codes: 0 done, or nothing was due; 1 something that was due failed, or somebody was not told; 2 nothing was done.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import NotConfirmed
from opsconsole.commands.chosen_stack import add_stack_options, site_of
from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.config import Config
    from opsconsole.operations.site import Site
    from opsconsole.schedule.installing import Change, Installed
    from opsconsole.schedule.job import Job, Work
    from opsconsole.schedule.state import ScheduleState

_WHAT = {
    "install": "a systemd timer where systemd runs, else lines in the crontab; shown before they are written",
    "show": "what is installed, what would be, what comes next and what was done last",
    "remove": "take it away again",
    "run": "what the job does: whatever is due now, and nothing else",
    "test-notify": "tell everybody of [notify] that this is a test",
}


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "schedule",
        help="backups by themselves: install, show or remove the job that makes them",
        description="The job looks every ten minutes what is due by [schedule] of the settings: the backup, the "
        "incremental ones in between on a replica set, the test restore of the newest, the removal of old ones. What "
        "was missed is made up once. " + " ".join(f"{name}: {words}." for name, words in _WHAT.items()),
    )
    add_stack_options(parser)
    parser.add_argument("what", choices=list(_WHAT), metavar="WHAT", help=", ".join(_WHAT))
    parser.add_argument("-y", "--yes", action="store_true", help="install, remove: answer the question")
    parser.add_argument("--plan", action="store_true", help="install, remove, run: say what would be done, do nothing")
    parser.add_argument("--json", action="store_true", help="show: as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.what == "run":
        return run_due(arguments)
    site = site_of(arguments)
    config = site.config()
    return {"install": run_install, "show": run_show, "remove": run_remove, "test-notify": run_test_notify}[
        arguments.what
    ](arguments, site, config)


# --- the job itself --------------------------------------------------------------------------------


def run_due(arguments: argparse.Namespace) -> int:
    """Nothing is printed when all goes well: cron mails what is."""
    from opsconsole.schedule import records, tick

    site = _site_of_job(arguments)
    if arguments.plan:
        return _print_due(site, site.config())
    try:
        config = site.config()
        if config.console.read_only or arguments.read_only:
            by = f"read_only in [console] of {config.path}" if config.console.read_only else "--read-only"
            raise NotConfirmed(f"{by} refuses every scheduled backup")
        code = tick.tick(site, config)
    except SourceError as error:
        log = records.Log(site.directory)
        log.line(f"{error.problem}. {error.hint}")
        log.close()
        raise
    if code:
        print(f"opsconsole: something scheduled failed: {_log_of(site)}", file=sys.stderr)
    return code


def _site_of_job(arguments: argparse.Namespace) -> Site:
    """The installed job names its directory in full: then nothing is searched, 144 times a day."""
    from opsconsole.operations.site import Site

    named = Path(arguments.stack or "")
    if not named.is_absolute() or not named.is_dir():
        return site_of(arguments)
    config = str(Path(arguments.config).expanduser().absolute()) if arguments.config else ""
    return Site(directory=named, config_file=config)


def _print_due(site: Site, config: Config) -> int:
    from opsconsole.schedule import commands, due, tick

    found = due.due(config.schedule, tick.situation(site.directory), datetime.now(UTC))
    for one in found:
        print(f"{one.kind.value} for {one.slot}: {shlex.join(commands.command(site, one.kind))}")
    if not found:
        print("nothing is due")
    return 0


# --- install, show, remove -------------------------------------------------------------------------


def run_install(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    from opsconsole.schedule import installing

    if not config.schedule.times and not config.schedule.verify_days:
        raise SourceError("there is nothing to schedule", "Set [schedule] in opsconsole.toml: backup, verify_days.")
    made = _job(site, config)
    change = installing.plan_install(made)
    show_change(change, "written")
    for note in (*change.notes, *_notes(site, config)):
        print(printable(note))
    print("It ticks every ten minutes and does what is due. What was missed is made up at the first tick.")
    if arguments.plan:
        return 0
    agree(arguments, "Install it?")
    installing.install(made, change)
    print(f"installed ({change.way.value}); see `opsconsole schedule show`, and {_log_of(site)}")
    return 0


def run_remove(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    from opsconsole.schedule.job import Work

    if take_away(arguments, site, config, Work.SCHEDULE):
        print("removed; backups and the records of the schedule are left as they are")
    return 0


def take_away(arguments: argparse.Namespace, site: Site, config: Config, work: Work) -> bool:
    """Show what was installed for this work, ask, and remove it. Whether it is gone now. Raises NotConfirmed."""
    from opsconsole.schedule import installing, telling

    stack = telling.stack_name(site, config)
    changes = installing.plan_remove(stack, work)
    if not changes:
        print("nothing is installed")
        return False
    for change in changes:
        show_change(change, "taken away")
    if arguments.plan:
        return False
    agree(arguments, "Take it away?")
    for change in changes:
        installing.remove(stack, change, work)
    return True


def run_show(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    from opsconsole.model import to_json
    from opsconsole.schedule import installing, state

    now = datetime.now(UTC)
    found = state.state(site.directory, config, now, project=site.project)
    if arguments.json:
        print(to_json(found), end="")
        return 1 if found.problems or found.too_old else 0
    made = _job(site, config)
    there = installing.installed(made.stack)
    for line in (*_state_lines(found, made.stack, config, now), *_installed_lines(there, made)):
        print(printable(line))
    return 1 if found.problems or found.too_old else 0


def _state_lines(found: ScheduleState, stack: str, config: Config, now: datetime) -> list[str]:
    from opsconsole.backups.copying import chosen_place
    from opsconsole.notifying import ways

    lines = [f"schedule of the stack {stack}: {', '.join(found.installed) or 'not installed'}"]
    for one in found.coming:
        lines.append(f"  next   {one.kind.value:<12} {_local(one.at)}{'  due now' if one.at <= now else ''}")
    for run in found.last:
        result = " ".join(filter(None, (run.outcome.value, run.backup, run.problem and f"({run.problem})")))
        lines.append(f"  last   {run.kind.value:<12} {_local(run.began)}  {result}")
    if found.newest_good_at is not None:
        old = "  TOO OLD" if found.too_old else ""
        lines.append(f"  newest good backup  {found.newest_good}  {_local(found.newest_good_at)}{old}")
    elif found.too_old:
        lines.append("  newest good backup  none")
    lines.append(f"  last tick           {_local(found.ticked) if found.ticked else 'never'}")
    lines.append(f"  copied              {chosen_place(config.copy) or 'nowhere: see [copy] in opsconsole.toml'}")
    lines.append(f"  who is told         {', '.join(ways(config.notify)) or 'nobody: see [notify] in opsconsole.toml'}")
    return lines + [f"  problem: {one}" for one in found.problems]


def _installed_lines(there: tuple[Installed, ...], made: Job) -> list[str]:
    """What is installed, and what would be where that is another thing."""
    from opsconsole.schedule import installing

    lines = []
    for one in there:
        lines += ["", f"installed ({one.place}):", *(f"    {line}" for line in one.text.splitlines())]
    try:
        change = installing.plan_install(made)
    except SourceError as error:
        return [*lines, "", f"{error.problem}. {error.hint}"]
    if all(text in one.text for _, text in change.texts for one in there) and there:
        return [*lines, "", "`schedule install` would write the same"]
    lines += ["", f"`schedule install` would write ({change.way.value}):"]
    for place, text in change.texts:
        lines += [f"  {place}", *(f"    {line}" for line in text.splitlines())]
    return [*lines, *change.notes]


def show_change(change: Change, becomes: str) -> None:
    """The exact lines and commands, before anything is done."""
    for place, text in change.texts:
        print(printable(f"{place}: these lines are {becomes}"))
        for line in text.splitlines():
            print(printable(f"    {line}"))
    for command in change.commands:
        print(printable(f"run: {shlex.join(command)}"))


def _notes(site: Site, config: Config) -> list[str]:
    import shutil

    from opsconsole.schedule import job

    notes = [
        f"{name} is set in this terminal only: the job will not see it. Write it into the stack's env file."
        for name in job.unseen_variables(site.directory, config)
    ]
    if shutil.which("docker") is None:
        notes.append("docker is not on the PATH of this terminal: the job will not find it either.")
    return notes


def agree(arguments: argparse.Namespace, question: str) -> None:
    """Raises NotConfirmed."""
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that changes something", "Look with --plan.")
    if arguments.yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NotConfirmed(
            "there is no terminal to ask on; nothing was done", "Look at it with --plan, then use --yes."
        )
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise NotConfirmed("not confirmed; nothing was done")


def run_test_notify(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    import socket

    from opsconsole import notifying
    from opsconsole.schedule import telling

    ways = notifying.ways(config.notify)
    if not ways:
        raise SourceError("nobody is named", "Set [notify] in opsconsole.toml: command, webhook or apprise.")
    stack, host = telling.stack_name(site, config), socket.gethostname()
    told = notifying.message(
        notifying.Event.TEST,
        f"{stack} on {host}: this is a test",
        problem="Nothing has happened: somebody wanted to know whether this arrives.",
        stack=stack,
        directory=str(site.directory),
        host=host,
        at=datetime.now(UTC),
    )
    problems = notifying.send(told, config, site.directory)
    for problem in problems:
        print(f"opsconsole: {printable(problem)}", file=sys.stderr)
    if not problems:
        print(f"told: {', '.join(ways)}")
    return 1 if problems else 0


def _job(site: Site, config: Config) -> Job:
    from opsconsole.schedule import job, telling

    return job.job(site, telling.stack_name(site, config))


def _log_of(site: Site) -> Path:
    return site.directory / ".opsconsole" / "schedule.log"


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"
