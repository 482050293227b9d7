"""`opsconsole health`: every thing that was looked at, for scripts and monitors by its exit code."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, looking_monitor, settled
from opsconsole.model import to_json

if TYPE_CHECKING:
    from opsconsole.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "health",
        help="is all well: each thing with its number, its limit and what to do",
        description="Is all well? Exit code 0 all well (or silenced), 1 something needs attention or is not known, "
        "2 the engine or the stack could not be looked at.",
    )
    add_stack_options(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="what is well, too, line by line")
    parser.add_argument("--json", action="store_true", help="every line as JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of --json and end")
    parser.add_argument(
        "--timeout", type=float, default=20.0, metavar="SECONDS", help="wait this long at most (default 20)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look once and print. Returns the exit code."""
    if arguments.schema:
        return print_schema()
    from opsconsole.health import check
    from opsconsole.health.latencies import with_kept
    from opsconsole.health.page import as_text

    monitor, directory, _ = looking_monitor(arguments)
    say_unfinished(directory)
    snapshot = settled(monitor, arguments.timeout)
    snapshot = with_kept(snapshot, directory)
    found = check(snapshot, monitor.thresholds)
    print(to_json(found) if arguments.json else as_text(found, snapshot, verbose=arguments.verbose), end="")
    return found.exit_code


def print_schema() -> int:
    import json

    import msgspec

    from opsconsole.health import Health

    print(json.dumps(msgspec.json.schema(Health), indent=2))
    return 0
