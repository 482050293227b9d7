"""`opsconsole stop`, `start`, `restart`, `operations`: a plan, a question, an operation, its journal.

Exit codes: 0 done, 1 a step or a gate failed, 2 nothing was done (refused, not confirmed, cannot look), 5 cancelled at
a safe point, 6 done, and there is less data than before. 3: a deploy or a rollback failed and went back to what ran
before; 4: it could not (`deploy_command`).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.operations.plan import Plan
    from opsconsole.operations.requests import Request, Site

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

AddOptions = Callable[[argparse.ArgumentParser], None]
Find = Callable[[argparse.Namespace], "tuple[Path, str, Config]"]

REFUSED = 2


class NotConfirmed(SourceError):
    """Nobody agreed to the plan: nothing was done."""


def add_commands(commands: Commands, add_stack_options: AddOptions, find: Find) -> None:
    """The commands that change something, and the ones that look at what was changed."""
    _add_stack_verbs(commands, add_stack_options, find)
    _add_remove(commands, add_stack_options, find)
    _add_operations(commands, add_stack_options, find)
    _add_history(commands, add_stack_options, find)


def _add_stack_verbs(commands: Commands, add_stack_options: AddOptions, find: Find) -> None:
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
        parser.set_defaults(run=lambda arguments, verb=verb: run_verb(arguments, verb, find))


def _add_remove(commands: Commands, add_stack_options: AddOptions, find: Find) -> None:
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
    parser.set_defaults(run=lambda arguments: run_remove(arguments, find))


def _add_operations(commands: Commands, add_stack_options: AddOptions, find: Find) -> None:
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
    parser.set_defaults(run=lambda arguments: run_operations(arguments, find))


def _add_history(commands: Commands, add_stack_options: AddOptions, find: Find) -> None:
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
    parser.set_defaults(run=lambda arguments: run_history(arguments, find))


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", action="store_true", help="print the plan and end; nothing is done")
    parser.add_argument("--json", action="store_true", help="the plan, or the journal's records, as JSON")
    parser.add_argument("-y", "--yes", action="store_true", help="answer the question (not where data is lost)")
    parser.add_argument(
        "--accept-loss",
        action="append",
        default=[],
        metavar="NAME",
        help="agree that this volume or database is lost or left behind, or that this stack is removed; the plan says "
        "which",
    )


# --- commands --------------------------------------------------------------------------------------


def run_verb(arguments: argparse.Namespace, verb: str, find: Find) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments, find)
    say_unfinished(site.directory)
    rolling = getattr(arguments, "rolling", False)
    return ask_for(site, Request(what=verb, services=tuple(arguments.services), rolling=rolling), arguments)


def ask_for(site: Site, request: Request, arguments: argparse.Namespace) -> int:
    """Make the plan of a request and carry it out. Returns the exit code."""
    from opsconsole.operations import requests, stack_plans
    from opsconsole.reading_line import ReadingLine

    line = ReadingLine()
    try:
        plan = requests.make_plan(site, request, line.hear)
    except stack_plans.NothingToDo as nothing:
        return say_nothing(nothing, arguments)
    except KeyboardInterrupt:
        line.end()
        print("\ngiven up before there was a plan; nothing was done", file=sys.stderr)
        return 130
    finally:
        line.end()
    return carry_out(site, plan, arguments)


def run_emergency_stop(arguments: argparse.Namespace, find: Find) -> int:
    from opsconsole.operations import requests, stack_plans

    site = site_of(arguments, find)
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


def run_remove(arguments: argparse.Namespace, find: Find) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments, find)
    say_unfinished(site.directory)
    return ask_for(site, Request(what="remove", releases=arguments.releases), arguments)


def run_operations(arguments: argparse.Namespace, find: Find) -> int:
    from opsconsole.operations import places, requests

    site = site_of(arguments, find)
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
        requests.ask_cancel(place)
        print(f"{place.name} was asked to end at the next safe point")
        return 0
    return ask_for(site, requests.Request(what=arguments.what, operation=place.name), arguments)


def run_history(arguments: argparse.Namespace, find: Find) -> int:
    from opsconsole import history_command

    directory, _, _ = find(arguments)
    return history_command.run(
        directory,
        operation=arguments.operation,
        verify=arguments.verify,
        as_json=arguments.json,
        as_markdown=arguments.markdown,
    )


# --- from the plan to the end ----------------------------------------------------------------------


def carry_out(site: Site, plan: Plan, arguments: argparse.Namespace) -> int:
    """Show the plan, ask, start the runner and follow its journal. Returns the exit code."""
    from opsconsole.operations import journal, requests
    from opsconsole.operations.plan import Kind, as_json, as_text

    if arguments.plan:
        print(as_json(plan) if arguments.json else as_text(plan), end="")
        return 0
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that changes something", "Look with --plan.")
    if not (arguments.json and arguments.yes):  # nobody is asked about a plan that was not shown
        print(as_text(plan), file=sys.stderr if arguments.json else sys.stdout, flush=True)
    requests.refuse_while_held(site, plan)  # before anybody is asked anything
    _confirm(plan, yes=arguments.yes, accepted=arguments.accept_loss)
    place, process = requests.begin(site, plan)
    try:
        code = follow(place, as_json=arguments.json, process=process)
        if plan.kind is Kind.EMERGENCY_STOP and not journal.has_ended(place):
            raise SourceError(f"the process of {place.name} ended too early")
        return code
    except KeyboardInterrupt:
        print(
            f"\nIt goes on without this terminal. Watch it: opsconsole operations watch {place.name}\n"
            f"End it at the next safe point: opsconsole operations cancel {place.name}",
            file=sys.stderr,
        )
        return 130


def follow(place: Path, *, as_json: bool, process: subprocess.Popen[bytes] | None = None) -> int:
    """Print an operation's journal until it ends. Returns its exit code, 1 when it was killed."""
    from opsconsole import history_command

    return history_command.follow(place, as_json=as_json, process=process)


def _confirm(plan: Plan, *, yes: bool, accepted: Sequence[str]) -> None:
    """Raises NotConfirmed. What no backup holds or a database would miss is agreed to by its name, never by --yes."""
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    for name in plan.to_accept:
        if name in accepted:
            continue
        becomes = plan.what_becomes_of(name)
        if not asks or yes:
            raise NotConfirmed(f"{becomes}; nothing was done", f"Agree with: --accept-loss {shlex.quote(name)}")
        if input(f"{printable(becomes)}. Type its name to agree: ").strip() != name:
            raise NotConfirmed("not confirmed; nothing was done")
    if yes:
        return
    if not asks:
        raise NotConfirmed("there is no terminal to ask on; nothing was done", "Look at --plan, then use --yes.")
    for sentence in plan.asks:
        print(printable(sentence))
    if plan.confirm:
        if input(f"Type {printable(plan.confirm)} to do it: ").strip() != plan.confirm:
            raise NotConfirmed("not confirmed; nothing was done")
        return
    if input("Do it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise NotConfirmed("not confirmed; nothing was done")


@contextmanager
def failing() -> Iterator[None]:
    """What is wrong with a backup or its key, and a database that does not answer, is a failure (exit code 1) and no
    wrong use of the command (2). Nothing was changed either way."""
    from opsconsole.backups.encryption import WrongKey
    from opsconsole.backups.verifying import BadBackup
    from opsconsole.sources.network import Explained

    try:
        yield
    except (BadBackup, WrongKey, Explained) as error:
        error.exit_code = 1
        raise


def site_of(arguments: argparse.Namespace, find: Find) -> Site:
    from opsconsole.operations.requests import Site

    directory, project, _ = find(arguments)
    named = str(Path(arguments.config).expanduser().absolute()) if arguments.config else ""
    return Site(directory=directory, project=project, config_file=named)


def say_unfinished(directory: Path) -> None:
    """What a kill or a reboot left half done, on stderr: before anything else is looked at or done."""
    from opsconsole.operations import unfinished

    try:
        left = unfinished.unfinished(directory)
    except SourceError as error:
        print(f"opsconsole: {printable(error.problem)}. {printable(error.hint)}", file=sys.stderr)
        return
    for one in left:
        print(f"opsconsole: {printable(one.words())}\n  {printable(one.advice())}", file=sys.stderr)


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


def say_nothing(nothing: SourceError, arguments: argparse.Namespace) -> int:
    """With --json on stderr: whoever reads records gets none."""
    hint = f" {nothing.hint}" if nothing.hint else ""
    print(printable(f"{nothing.problem}.{hint}"), file=sys.stderr if arguments.json else sys.stdout)
    return 0
