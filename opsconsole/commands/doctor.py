"""`opsconsole doctor`: is everything here that the console needs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsconsole.commands.chosen_stack import (
    UsageError,
    absolute,
    add_stack_options,
    find_stack,
)
from opsconsole.model import SourceError

if TYPE_CHECKING:
    from opsconsole.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check what the console needs on this host",
        description="Check what the console needs on this host.",
    )
    add_stack_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from opsconsole import doctor

    try:
        directory, _ = find_stack(arguments.stack)
    except (UsageError, SourceError):
        directory = absolute(arguments.stack or ".")
    checks = doctor.examine(directory)
    print(doctor.report(checks), end="")
    return 1 if any(check.failed for check in checks) else 0
