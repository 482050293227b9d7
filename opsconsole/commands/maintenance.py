"""`opsconsole maintenance`: the runbook's tasks, what of them is proven or ticked, and what is due.

Exit codes: 0 nothing is due, or ticked; 1 something is due, or an image is not current; 2 it could not be looked at or
written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import NotConfirmed
from opsconsole.commands.chosen_stack import add_stack_options, look_once, site_of
from opsconsole.model import to_json
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.maintenance.due import Row
    from opsconsole.maintenance.listing import Listing


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "maintenance",
        help="the runbook's tasks: what is proven, what is due; tick them",
        description="The daily, weekly, monthly and quarterly tasks of the runbook and those of [[maintenance.task]] "
        "in the settings. What can be known is looked at (a backup was taken, a restore was tested, the disks have "
        "room); the rest is ticked, with name and date. Without a word: list. Exit code 1: something is due. images: "
        "ask the registries whether they have newer images than those that run (nothing is pulled), and remember it; "
        "exit code 1: one has, or could not be asked.",
    )
    add_stack_options(parser)
    parser.add_argument(
        "what", nargs="?", choices=["list", "tick", "untick", "images"], metavar="list|tick|untick|images"
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="as the list calls it")
    parser.add_argument("--note", default="", metavar="TEXT", help="tick: a word about it")
    parser.add_argument("--by", default="", metavar="NAME", help="tick: who did it (default: who is logged in)")
    parser.add_argument("--due", action="store_true", help="list: only what is due")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.what in ("tick", "untick"):
        return run_tick(arguments)
    if arguments.what == "images":
        return run_images(arguments)
    return run_list(arguments)


def run_list(arguments: argparse.Namespace) -> int:
    from opsconsole.maintenance import images, listing
    from opsconsole.maintenance.ticks import Ledger
    from opsconsole.persistence import kept

    site = site_of(arguments)
    snapshot, directory = look_once(arguments)
    ticks, verdict, asked = Ledger(directory).read(), kept.read(directory), images.read(directory)
    found = listing.listing(site.config(), ticks, snapshot, verdict, datetime.now(UTC), asked=asked)
    if arguments.json:
        print(to_json(found), end="")
    else:
        for line in lines(found, only_due=arguments.due):
            print(printable(line))
    return 1 if found.due else 0


def run_tick(arguments: argparse.Namespace) -> int:
    from opsconsole.maintenance import listing
    from opsconsole.maintenance.ticks import Ledger
    from opsconsole.model import SourceError
    from opsconsole.operations.who import current

    site = site_of(arguments)
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that is written")
    if not arguments.tasks:
        raise SourceError(f"maintenance {arguments.what} needs a task", "See `opsconsole maintenance`.")
    known = listing.tasks(site.config())
    who = " ".join(arguments.by.split()) or current().words()
    undone = arguments.what == "untick"
    for name in arguments.tasks:
        made = listing.tick(
            known, Ledger(site.directory), name, who, datetime.now(UTC), note=arguments.note, undone=undone
        )
        said = "is not ticked any more" if undone else f"ticked by {made.who}"
        print(to_json(made) if arguments.json else printable(f"{made.task} for {made.slot}: {said}") + "\n", end="")
    return 0


def run_images(arguments: argparse.Namespace) -> int:
    from opsconsole.maintenance import images
    from opsconsole.model import SourceError

    snapshot, directory = look_once(arguments)
    if not snapshot.containers:
        raise SourceError("the stack has no container whose image could be asked for", "See `opsconsole status`.")
    found = images.ask_registries(snapshot.containers, datetime.now(UTC))
    if not arguments.read_only:
        images.write(directory, found)
    if arguments.json:
        print(to_json(found), end="")
    else:
        for one in found.images:
            print(printable(f"{one.state.value:<22} {one.name}  ({', '.join(one.services)})"))
            print(printable(f"{'':<22} {one.said}"))
    return 1 if found.of(images.State.NEWER, images.State.UNKNOWN) else 0


# --- the list --------------------------------------------------------------------------------------


def lines(found: Listing, *, only_due: bool = False) -> Iterator[str]:
    """Each rhythm under its name; `only_due` leaves out the rest."""
    every = ""
    for one in found.rows:
        if only_due and one not in found.due:
            continue
        if one.task.every.value != every:
            every = one.task.every.value
            yield f"{every}, {one.slot}"
        yield f"  {one.state.value:<7} {one.task.name:<18} {one.task.title}"
        yield f"          {_known(one)}"
        if one in found.due and one.task.how:
            yield f"          -> {one.task.how}"
    if found.problem:
        yield found.problem
    number = len(found.due)
    yield f"{number} {'task is' if number == 1 else 'tasks are'} due" if number else "nothing is due"


def _known(one: Row) -> str:
    if one.tick is not None:
        note = f": {one.tick.note}" if one.tick.note else ""
        return f"{one.tick.who}, {one.tick.at.astimezone():%Y-%m-%d %H:%M}{note}"
    if one.last is None:
        return one.said
    return f"{one.said}; last ticked {one.last.at.astimezone():%Y-%m-%d} by {one.last.who}"
