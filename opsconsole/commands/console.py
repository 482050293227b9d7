"""`opsconsole` without a command: the console, on a stack of this host, on a chosen one or on the demo."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.chosen_stack import (
    UsageError,
    find_stack,
    load_config,
    make_monitor,
    running_projects,
)
from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.incident_room.room import Room
    from opsconsole.monitor import Monitor
    from opsconsole.operations.site import Site


def add_console_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="hide and refuse everything that changes something")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    parser.add_argument("--theme", metavar="NAME", help="dark, light, contrast or ansi (also: T in the console)")


def run_console(arguments: argparse.Namespace) -> int:
    need_terminal()
    try:
        directory, project = find_stack(arguments.stack)
    except (UsageError, SourceError) as error:
        if arguments.or_demo:
            return open_demo(arguments, why=str(error))
        if isinstance(error, SourceError) or arguments.stack:
            raise
        return choose_and_open(arguments, error)
    return open_console(arguments, directory, project)


def need_terminal() -> None:
    """Raises UsageError where the console cannot be drawn: before anything is asked or printed."""
    from opsconsole.ui.terminal import NoTerminal, require_terminal

    try:
        require_terminal()
    except NoTerminal as error:
        raise UsageError(f"the console needs a terminal: {error}") from None


def make_demo_monitor(containers: int) -> Monitor:
    from opsconsole.demo import demo_sources
    from opsconsole.monitor import Monitor

    return Monitor(demo_sources(containers=containers))


def open_console(arguments: argparse.Namespace, directory: Path, project: str) -> int:
    config = load_config(directory, arguments.config)
    arguments.theme = arguments.theme or config.console.theme or None
    arguments.ascii = arguments.ascii or config.console.ascii
    arguments.read_only = arguments.read_only or config.console.read_only
    monitor = make_monitor(directory, project or config.stack.name, config, read_only=arguments.read_only)
    from opsconsole.collecting import beside_console
    from opsconsole.operations import left_behind
    from opsconsole.operations.site import Site

    named = str(Path(arguments.config).expanduser().absolute()) if arguments.config else ""
    site = Site(directory=directory, project=project, config_file=named)
    if not arguments.read_only:
        left_behind.remove_aside(site)
    with beside_console.recording(monitor, directory, wanted=not arguments.read_only):
        return run_app(arguments, monitor, site=site)


def open_demo(arguments: argparse.Namespace, why: str = "") -> int:
    if why:
        print(f"opsconsole: {printable(why)} Opening the demo stack instead.", file=sys.stderr)
    return run_app(
        arguments,
        make_demo_monitor(getattr(arguments, "containers", 14)),
        note=f"This is the demo stack: {why}" if why else "",
    )


def choose_and_open(arguments: argparse.Namespace, error: Exception) -> int:
    from opsconsole.ui.app import choose_project

    projects = running_projects()
    if not projects:
        raise error
    chosen = choose_project(projects, ascii_only=arguments.ascii, theme=arguments.theme)
    if chosen is None:
        return 0
    return open_console(arguments, Path(chosen.directory or "."), chosen.name)


def run_app(
    arguments: argparse.Namespace,
    monitor: Monitor,
    note: str = "",
    site: Site | None = None,
    room: Room | None = None,
) -> int:
    from opsconsole.ui import pauses

    pauses.hold()
    monitor.begin()  # the engine answers while the screen is imported
    from opsconsole.ui.app import ConsoleApp

    app = ConsoleApp(
        monitor,
        read_only=arguments.read_only,
        ascii_only=arguments.ascii,
        theme=arguments.theme,
        note=note,
        site=site,
        room=room,
    )
    app.run()
    return app.return_code or 0
