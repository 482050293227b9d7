"""`opsconsole demo`: the console on a simulated stack; with --incident an incident to practise on."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.chosen_stack import UsageError
from opsconsole.commands.console import (
    add_console_options,
    make_demo_monitor,
    need_terminal,
    open_demo,
    run_app,
)
from opsconsole.commands.status import print_status
from opsconsole.model import SourceError

if TYPE_CHECKING:
    from opsconsole.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo", help="open the console on a simulated stack", description="Open the console on a simulated stack."
    )
    add_console_options(parser)
    parser.add_argument("--containers", type=int, default=14, metavar="N", help="size of the stack (default 14)")
    parser.add_argument("--incident", metavar="NAME", help="practise an incident; `list` names them")
    parser.add_argument("--status", action="store_true", help="print its status instead of opening the console")
    parser.add_argument("--json", action="store_true", help="with --status: as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.containers < 1:
        raise UsageError("--containers needs a number of 1 or more.")
    if arguments.incident:
        return run_drill(arguments)
    if arguments.status or arguments.json:
        return print_status(make_demo_monitor(arguments.containers), json_wanted=arguments.json, seconds=20.0)
    need_terminal()
    return open_demo(arguments)


def run_drill(arguments: argparse.Namespace) -> int:
    """Open the console on the drill, or print its status. Its record is thrown away at the end. Raises SourceError."""
    from opsconsole.demo import demo_sources
    from opsconsole.demo.drill import THRESHOLDS
    from opsconsole.demo.drill_room import DrillRoom
    from opsconsole.demo.drills import DRILLS
    from opsconsole.monitor import Monitor

    if arguments.incident == "list":
        for name in DRILLS:
            print(name)
        return 0
    if arguments.incident not in DRILLS:
        raise SourceError(f"no drill {arguments.incident}", f"There are: {', '.join(DRILLS)}.")
    sources = demo_sources(containers=arguments.containers, drill=arguments.incident)
    monitor = Monitor(sources, thresholds=THRESHOLDS)
    if arguments.status or arguments.json:
        return print_status(monitor, json_wanted=arguments.json, seconds=20.0)
    need_terminal()
    drill = sources.drill
    assert drill is not None
    with tempfile.TemporaryDirectory(prefix="opsconsole-drill-") as directory:
        room = DrillRoom(drill, Path(directory), sources.backups.look_inside)
        return run_app(arguments, monitor, note=f"Drill: {drill.said} Press ! and find out.", room=room)
