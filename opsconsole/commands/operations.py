"""`opsconsole stop`, `start`, `restart`, `operations`: a plan, a question, an operation, its journal.

Exit codes: 0 done, 1 a step or a gate failed, 2 nothing was done (refused, not confirmed, cannot look), 5 cancelled at
a safe point, 6 done, and there is less data than before. 3: a deploy or a rollback failed and went back to what ran
before; 4: it could not (`deploy`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import (
    NotConfirmed,
    add_plan_options,
    ask_for,
    carry_out,
    follow,
    say_nothing,
    say_unfinished,
)
from opsconsole.commands.chosen_stack import add_stack_options, site_of, stack_of
from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.config import Config


def add_commands(commands: Commands) -> None:
    """The commands that change something, and the ones that look at what was changed."""
    _add_stack_verbs(commands)
    _add_remove(commands)
    _add_operations(commands)
    _add_history(commands)


def _add_stack_verbs(commands: Commands) -> None:
    helps = {
        "stop": "stop the stack or some services; containers and data stay",
        "start": "start what was stopped and wait until it is well",
        "restart": "restart the stack or some services and wait until they are well",
    }
    for verb, words in helps.items():
        parser = commands.add_parser(verb, help=words, description=f"{words[0].upper()}{words[1:]}.")
        add_stack_options(parser)
        parser.add_argument("services", nargs="*", metavar="SERVICE", help="these services only (default: all)")
        if verb == "restart":
            parser.add_argument(
                "--rolling", action="store_true", help="one container after the other, each waited for until it is well"
            )
        add_plan_options(parser)
        parser.set_defaults(run=lambda arguments, verb=verb: run_verb(arguments, verb))


def _add_remove(commands: Commands) -> None:
    parser = commands.add_parser(
        "remove",
        help="remove the stack's containers, networks and images; never its volumes and directories",
        description="Remove the containers, networks and images of this stack. Volumes, directories and images that "
        "others use stay. The stack's name is typed; without a terminal: --yes --accept-loss NAME. Works without a "
        "valid compose file.",
    )
    add_stack_options(parser)
    parser.add_argument(
        "--releases", action="store_true", help="also the images that releases keep: no rollback finds them then"
    )
    add_plan_options(parser)
    parser.set_defaults(run=run_remove)


def _add_operations(commands: Commands) -> None:
    parser = commands.add_parser(
        "operations",
        help="what runs or is half done; watch, cancel, finish or undo it",
        description="List the operations that run or were left half done; watch, cancel, finish or undo one.",
    )
    add_stack_options(parser)
    parser.add_argument(
        "what", nargs="?", choices=["watch", "cancel", "finish", "undo"], metavar="watch|cancel|finish|undo"
    )
    parser.add_argument("operation", nargs="?", metavar="ID", help="its id, or the end of it")
    add_plan_options(parser)
    parser.set_defaults(run=run_operations)


def _add_history(commands: Commands) -> None:
    parser = commands.add_parser(
        "history",
        help="who did what, when, from where, with what result",
        description="Who did what to this stack, when, from where and with what result; newest first.",
    )
    add_stack_options(parser)
    parser.add_argument("operation", nargs="?", metavar="ID", help="one operation with its steps and output")
    parser.add_argument("--markdown", action="store_true", help="with ID: as a report in Markdown")
    parser.add_argument("--verify", action="store_true", help="check every record; exit 1 names a touched one")
    parser.add_argument("--json", action="store_true", help="as JSON, one object per line")
    parser.set_defaults(run=run_history)


# --- commands --------------------------------------------------------------------------------------


def run_verb(arguments: argparse.Namespace, verb: str) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    rolling = getattr(arguments, "rolling", False)
    return ask_for(site, Request(what=verb, services=tuple(arguments.services), rolling=rolling), arguments)


def run_emergency_stop(arguments: argparse.Namespace) -> int:
    from opsconsole.operations import requests, stack_plans

    site = site_of(arguments)
    try:
        plan = requests.make_plan(site, requests.Request(what="emergency-stop"))
    except stack_plans.NothingToDo as nothing:
        return say_nothing(nothing, arguments)
    try:
        return carry_out(site, plan, arguments)
    except NotConfirmed:
        raise
    except SourceError as unwritten:
        return _stop_unrecorded(site.directory, site.config(), site.project or plan.stack, unwritten)


def _stop_unrecorded(directory: Path, config: Config, project: str, why: SourceError) -> int:
    """An emergency stop whose journal cannot be written still stops."""
    from opsconsole.operations import emergency

    print(printable(f"opsconsole: {why.problem}. Stopping without a journal and without evidence."), file=sys.stderr)
    if problem := emergency.stop_unrecorded(directory, config, project):
        print(printable(f"opsconsole: {problem}. Stop them by hand: docker stop NAME"), file=sys.stderr)
        return 1
    print("nothing of the stack runs any more")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    return ask_for(site, Request(what="remove", releases=arguments.releases), arguments)


def run_operations(arguments: argparse.Namespace) -> int:
    from opsconsole.operations import beginning, places, requests

    site = site_of(arguments)
    if arguments.what is None:
        return _list_operations(site.directory, as_json=arguments.json)
    if arguments.operation is None:
        raise SourceError(f"operations {arguments.what} needs an id", "See `opsconsole operations`.")
    place = places.operation_directory(site.directory, arguments.operation)
    if arguments.what == "watch":
        return follow(place, as_json=arguments.json)
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that changes something", "`watch` only looks.")
    if arguments.what == "cancel":
        beginning.ask_cancel(place)
        print(f"{place.name} was asked to end at the next safe point")
        return 0
    return ask_for(site, requests.Request(what=arguments.what, operation=place.name), arguments)


def run_history(arguments: argparse.Namespace) -> int:
    from opsconsole.commands import history

    directory, _, _ = stack_of(arguments)
    return history.run(
        directory,
        operation=arguments.operation,
        verify=arguments.verify,
        as_json=arguments.json,
        as_markdown=arguments.markdown,
    )


# --- from the plan to the end ----------------------------------------------------------------------


def _list_operations(directory: Path, *, as_json: bool) -> int:
    import msgspec

    from opsconsole.operations import journal, past, plan, unfinished

    running, left = unfinished.running(directory), unfinished.unfinished(directory)
    if as_json:  # as `history --json` has them
        names = {place.name for place in running} | {one.operation for one in left}
        for each in past.past(directory):
            if each.operation in names:
                print(msgspec.json.encode(each).decode())
        return 1 if left else 0
    for place in running:
        print(printable(f"runs: {plan.title(journal.read_plan(place))}  {place.name}"))
    for one in left:
        print(printable(one.words()))
        print(printable(f"  {one.advice()}"))
    if not running and not left:
        print("nothing runs and nothing is half done")
    return 1 if left else 0
