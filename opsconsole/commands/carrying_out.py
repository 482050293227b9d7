"""From a request to the end of its operation: the plan, the question, the process that runs it, its journal."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.operations.plan import Plan
    from opsconsole.operations.requests import Request
    from opsconsole.operations.site import Site


REFUSED = 2


class NotConfirmed(SourceError):
    """Nobody agreed to the plan: nothing was done."""


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", action="store_true", help="print the plan and end; nothing is done")
    parser.add_argument("--json", action="store_true", help="the plan, or the journal's records, as JSON")
    parser.add_argument("-y", "--yes", action="store_true", help="answer the question (not where something is LOST)")
    parser.add_argument(
        "--accept-loss",
        action="append",
        default=[],
        metavar="NAME",
        help="agree that what has this name is lost, that this database is left behind, or that this stack is removed; "
        "the plan says which",
    )


def ask_for(site: Site, request: Request, arguments: argparse.Namespace) -> int:
    """Make the plan of a request and carry it out. Returns the exit code."""
    from opsconsole.commands.reading_line import ReadingLine
    from opsconsole.operations import requests, stack_plans

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


def carry_out(site: Site, plan: Plan, arguments: argparse.Namespace) -> int:
    """Show the plan, ask, start the runner and follow its journal. Returns the exit code."""
    from opsconsole.operations import beginning, journal
    from opsconsole.operations.plan import Kind, as_json
    from opsconsole.operations.plan_text import as_text

    if arguments.plan:
        print(as_json(plan) if arguments.json else as_text(plan), end="")
        return 0
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that changes something", "Look with --plan.")
    if not (arguments.json and arguments.yes):  # nobody is asked about a plan that was not shown
        print(as_text(plan), file=sys.stderr if arguments.json else sys.stdout, flush=True)
    beginning.refuse_while_held(site, plan)  # before anybody is asked anything
    confirm(plan, yes=arguments.yes, accepted=arguments.accept_loss)
    place, process = beginning.begin(site, plan)
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
    from opsconsole.commands import history

    return history.follow(place, as_json=as_json, process=process)


def confirm(plan: Plan, *, yes: bool, accepted: Sequence[str]) -> None:
    """Raises NotConfirmed. What no backup holds or a database would miss is agreed to by its name, never by --yes."""
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    for name in plan.to_accept:
        if name in accepted:
            continue
        becomes = plan.what_becomes_of(name)
        if not asks or yes:
            files = any(one.name == name and one.in_container for one in plan.data)
            scratch = ", or name its directory once as one that may go (scratch under [deploy] in opsconsole.toml)"
            agree = f"Agree with: --accept-loss {shlex.quote(name)}{scratch if files else ''}"
            raise NotConfirmed(f"{becomes}; nothing was done", agree)
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
    from opsconsole.backups.faults import BadBackup
    from opsconsole.sources.network import Explained

    try:
        yield
    except (BadBackup, WrongKey, Explained) as error:
        error.exit_code = 1
        raise


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


def say_nothing(nothing: SourceError, arguments: argparse.Namespace) -> int:
    """With --json on stderr: whoever reads records gets none."""
    hint = f" {nothing.hint}" if nothing.hint else ""
    print(printable(f"{nothing.problem}.{hint}"), file=sys.stderr if arguments.json else sys.stdout)
    return 0
