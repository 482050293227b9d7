"""`opsconsole health`: every thing that was looked at, for scripts and monitors by its exit code."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.model import to_json

if TYPE_CHECKING:
    from opsconsole.monitor import Monitor


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add_stack_options: Callable[[argparse.ArgumentParser], None],
    monitor_of: Callable[[argparse.Namespace], Monitor],
) -> None:
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
    parser.set_defaults(
        run=lambda arguments: print_schema() if arguments.schema else run(arguments, monitor_of(arguments))
    )


def print_schema() -> int:
    import json

    import msgspec

    from opsconsole.health import Health

    print(json.dumps(msgspec.json.schema(Health), indent=2))
    return 0


def run(arguments: argparse.Namespace, monitor: Monitor) -> int:
    """Look once and print. Returns the exit code."""
    from opsconsole.health import check
    from opsconsole.health.latencies import with_kept
    from opsconsole.health.page import as_text

    monitor.start()
    snapshot = monitor.wait_until_settled(arguments.timeout)
    monitor.stop()
    snapshot = with_kept(snapshot, Path(monitor.directory))
    found = check(snapshot, monitor.thresholds)
    print(to_json(found) if arguments.json else as_text(found, snapshot, verbose=arguments.verbose), end="")
    return found.exit_code
