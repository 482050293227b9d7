"""`opsconsole verify-persistence`: a score whose every point is a proof, and how to get those that are missing.

Exit codes: 0 all is proven, 1 something is not, 2 the stack could not be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import NotConfirmed, ask_for, say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, site_of
from opsconsole.model import SourceError, to_json
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.operations.site import Site
    from opsconsole.persistence.verdict import Verdict


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "verify-persistence",
        help="will the data be there tomorrow? A score whose every point is a proof",
        description="Ask each database where it writes and hold that against its container's mounts; write a marker "
        "into a throw-away twin of it and restart that; look for a young good backup, and for one that was restored "
        "for a test and timed. Live data is not touched. 100 % is reached when all of it is proven (exit code 0; else "
        "1). The result is kept in .opsconsole/persistence.json.",
    )
    add_stack_options(parser)
    parser.add_argument(
        "--prove", action="store_true", help="first restore the newest good backup into throw-away servers (level 3)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as a report in Markdown")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from opsconsole.persistence import report

    site = site_of(arguments)
    say_unfinished(site.directory)
    if arguments.prove:
        _prove(site, arguments)
    verdict = _verdict(site, read_only=bool(arguments.read_only))
    if arguments.json:
        print(
            to_json({"stack": verdict.stack, "at": verdict.at, "score": verdict.score, "checks": verdict.checks}),
            end="",
        )
    else:
        print(report.markdown(verdict) if arguments.markdown else report.text(verdict), end="")
    return 0 if verdict.score == 100 else 1


def _prove(site: Site, arguments: argparse.Namespace) -> None:
    """As `backup verify latest --level 3`; what it says goes to stderr, as the report is what was asked for."""
    from opsconsole.operations.requests import Request

    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses every operation, --prove among them")
    words = argparse.Namespace(plan=False, json=False, yes=True, accept_loss=[], read_only=False)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            ask_for(site, Request(what="verify", backups=("latest",), level=3), words)
        except SourceError as error:  # the report says what is missing
            print(printable(f"opsconsole: nothing was proven: {error.problem}. {error.hint}"), file=sys.stderr)


def _verdict(site: Site, *, read_only: bool) -> Verdict:
    from opsconsole.persistence import gathering, kept, scoring

    facts = gathering.gather(site, _told)
    verdict = scoring.judge(facts, datetime.now(UTC))
    if not read_only:
        try:
            kept.write(site.directory, verdict)
        except SourceError as error:
            print(printable(f"opsconsole: the result is not kept: {error.problem}"), file=sys.stderr)
    return verdict


def _told(what: str) -> None:
    if sys.stderr.isatty():
        print(f"{printable(what)} ...", file=sys.stderr)
