"""`opsconsole init`: what was found, as a commented settings file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from opsconsole.commands.chosen_stack import (
    UsageError,
    add_stack_options,
    known_project,
    looking_monitor,
)
from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "init", help="write opsconsole.toml", description="Write what was found as a commented opsconsole.toml."
    )
    add_stack_options(parser)
    parser.add_argument("--force", action="store_true", help="replace the file that is there")
    parser.add_argument("--print", action="store_true", dest="print_only", help="print it, write nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from opsconsole.stack import init_file

    monitor, directory, project = looking_monitor(arguments, without_settings=arguments.force or arguments.print_only)
    try:
        project = known_project(monitor, directory, project)
        containers = monitor.sources.engine.containers(project=project, directory="" if project else str(directory))
    except SourceError as error:
        print(f"opsconsole: the engine was not asked: {printable(error.problem)}", file=sys.stderr)
        containers = ()
    text = init_file.render(monitor.sources.stack.look(containers))
    if arguments.print_only:
        print(text, end="")
        return 0
    path = directory / "opsconsole.toml"
    try:
        init_file.write(path, text, force=arguments.force)
    except FileExistsError:
        raise UsageError(
            f"{path} exists and was left as it is; --force replaces it, --print shows the new one."
        ) from None
    except OSError as error:
        raise UsageError(f"{path} could not be written: {error.strerror}.") from None
    print(f"wrote {path}; every key in it is optional")
    return 0
