"""What you type: every command. Nothing heavy is imported before it is needed: `--help` takes no time."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import sys
from collections.abc import Sequence

from opsconsole import __version__
from opsconsole.commands import (
    alerts,
    backup,
    collect,
    database,
    demo,
    deploy,
    doctor,
    health,
    incident,
    init,
    logs,
    maintenance,
    operations,
    persistence,
    restore,
    schedule,
    status,
)
from opsconsole.commands.chosen_stack import UsageError, add_stack_options
from opsconsole.commands.command_line import CommandLine
from opsconsole.commands.console import add_console_options, run_console
from opsconsole.model import SourceError
from opsconsole.text import mask_text, printable

EPILOG = """\
Without a command the console opens on the stack in this directory. Nothing is changed by looking.

  opsconsole                     the console; ? in it lists every key
  opsconsole --stack /srv/shop   the same for another directory, or the name of a running project
  opsconsole status              one look as text; --json for scripts; exit 0 well, 1 attention, 2 cannot look
  opsconsole health              the same as a list of checks: number, limit, what to do; -v shows what is well, too
  opsconsole logs -f backend     logs of one, several or all services, in a pipe too
  opsconsole restart --plan      what stop, start or restart would do; without --plan it asks and does it
  opsconsole deploy --plan       pull, build, recreate what changed, gate it; goes back by itself when a gate fails
  opsconsole update --plan       fetch and show what comes in; then fast-forward and deploy, and back with the commit
  opsconsole rollback previous-image   back to the release before; --to r4 names one, `releases` lists them
  opsconsole remove --plan       containers, networks and images go; volumes, directories and what others use stay
  opsconsole rollback emergency-stop   everything stopped within 10 s, evidence saved first
  opsconsole backup create       databases, files and configuration in one; also list, verify, prune, pin, export
  opsconsole restore latest --plan   what a restore would replace; --undo brings back what was there before
  opsconsole database validate   read collections for damage; also rebuild-index, and flush of Redis; by a plan
  opsconsole schedule install    backups by themselves: systemd timer or crontab, shown before it is written
  opsconsole verify-persistence  a score whose every point is a proof: mounts, a twin's restart, a restored backup
  opsconsole maintenance         the runbook's tasks: what is proven, what is due; `maintenance tick NAME`
  opsconsole incident show       what is red, what changed, what the runbook answers; also declare, note, report, bundle
  opsconsole collect --install   keep metrics and events while no console is open; collect status says what is kept
  opsconsole alerts              what fires; ack and silence with a note, history, rules of your own
  opsconsole history             who did what, when, from where, with what result; --verify checks every record
  opsconsole doctor              is everything here that the console needs, and how to mend what is not
  opsconsole init                write what was found as a commented opsconsole.toml
  opsconsole demo                the console on a simulated stack; needs no Docker
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; prints one line on stderr when it cannot go on."""
    _prepare_output()
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except (UsageError, SourceError) as error:
        hint = f" -> {error.hint}" if isinstance(error, SourceError) and error.hint else ""
        return _give_up(f"{error}{hint}", getattr(error, "exit_code", 2))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        on_the_way_out = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO) and not error.filename
        where = "the output could not be written: " if on_the_way_out else f"{error.filename or 'the system said'}: "
        return _give_up(f"{where}{error.strerror or error}")


def _prepare_output() -> None:
    """Output that cannot fail on a character, and nothing on the screen that is not meant for the operator."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without UTF-8 has not every character
    # What a source could not do is said in its line of the screen; Python would add a traceback of its own.
    logging.getLogger("opsconsole").addHandler(logging.NullHandler())


def _give_up(why: str, code: int = 2) -> int:
    print(f"opsconsole: {printable(mask_text(why))}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """The reader of the pipe has gone (`| head`), or a disk is full: Python would complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = CommandLine(
        prog="opsconsole",
        description="The terminal console for the server that runs a Docker Compose stack.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"opsconsole {__version__}")
    add_stack_options(parser, top=True)
    add_console_options(parser)
    parser.add_argument(
        "--or-demo", action="store_true", help="open the demo stack, and say so, where no engine or no stack is found"
    )
    parser.set_defaults(run=run_console)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    status.add_commands(commands)
    health.add_commands(commands)
    logs.add_commands(commands)
    doctor.add_commands(commands)
    init.add_commands(commands)
    demo.add_commands(commands)
    backup.add_commands(commands)
    database.add_commands(commands)
    restore.add_commands(commands)
    deploy.add_commands(commands)
    schedule.add_commands(commands)
    persistence.add_commands(commands)
    maintenance.add_commands(commands)
    incident.add_commands(commands)
    collect.add_commands(commands)
    alerts.add_commands(commands)
    operations.add_commands(commands)
    return parser
