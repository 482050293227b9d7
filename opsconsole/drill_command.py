"""`opsconsole demo --incident NAME`: an incident to practise on, on the simulated stack."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from opsconsole.model import SourceError


def run(
    arguments: argparse.Namespace,
    run_app: Callable[..., int],
    print_status: Callable[..., int],
    need_terminal: Callable[[], None],
) -> int:
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
        return print_status(monitor, as_json=arguments.json, seconds=20.0)
    need_terminal()
    drill = sources.drill
    assert drill is not None
    with tempfile.TemporaryDirectory(prefix="opsconsole-drill-") as directory:
        room = DrillRoom(drill, Path(directory), sources.backups.look_inside)
        return run_app(arguments, monitor, note=f"Drill: {drill.said} Press ! and find out.", room=room)
