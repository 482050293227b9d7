"""`opsconsole backup`: backups are made, listed, verified, pinned and removed.

Exit codes are those of every operation: 0 done, 1 failed and nothing else changed, 2 nothing was done, 5 cancelled.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from opsconsole.commands import export
from opsconsole.commands.carrying_out import REFUSED, NotConfirmed, add_plan_options, ask_for, say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, site_of
from opsconsole.model import BackupClass, BackupState, SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opsconsole.commands import Commands
    from opsconsole.model import Backup
    from opsconsole.operations.site import Site

KINDS = ("mongo", "redis", "files", "config")
ID = "its directory, a file's name with or without its suffix, its number in `backup list`, or `latest`"


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "backup",
        help="make, list, verify, pin and remove backups of databases, files and configuration",
        description="Backups of the whole stack: MongoDB, Redis, directories with data, configuration.",
    )
    what = parser.add_subparsers(title="what", metavar="WHAT", required=True)
    _add_create(what)
    _add_list(what)
    _add_verify(what)
    _add_prune(what)
    _add_copy(what)
    _add_pins(what)
    _add_misdated(what)
    export.add_commands(what)
    _add_replica_set(what)


def _add_create(what: Commands) -> None:
    parser = what.add_parser(
        "create",
        help="make one now",
        description="Make a backup: published once every part is saved, on the disk and read back. A part that cannot "
        "be saved is a failed backup (exit code 1), and nothing is published. Then those go that no rule keeps.",
    )
    add_stack_options(parser)
    parser.add_argument(
        "--part", action="append", default=[], choices=KINDS, metavar="KIND", help=f"only this: {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--class",
        dest="backup_class",
        choices=[one.value for one in BackupClass],
        default=BackupClass.MANUAL.value,
        help="manual (default), scheduled or safety: each has its own rule for how long it is kept",
    )
    parser.add_argument(
        "--incremental",
        action="store_true",
        help="only what MongoDB wrote since the last backup; needs a replica set and a full backup",
    )
    parser.add_argument("--critical", action="store_true", help="keep it for ever")
    parser.add_argument("--why", default="", metavar="TEXT", help="a word about it, kept in its manifest")
    add_plan_options(parser)
    parser.set_defaults(run=run_create)


def _add_list(what: Commands) -> None:
    parser = what.add_parser("list", help="which there are, how good and why kept", description="List the backups.")
    add_stack_options(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, one backup a line")
    parser.set_defaults(run=run_list)


def _add_verify(what: Commands) -> None:
    parser = what.add_parser(
        "verify",
        help="whether one is what it says it is",
        description="Verify backups. Level 0: the manifest; 1: every byte by its hash; 2: everything in it is read and "
        "counted; 3: restored into throw-away servers and compared. Exit code 1 names what is wrong.",
    )
    add_stack_options(parser)
    parser.add_argument("backups", nargs="*", metavar="ID", help=f"{ID} (default: latest)")
    parser.add_argument("--level", type=int, choices=range(4), default=2, help="0 to 3 (default 2)")
    add_plan_options(parser)
    parser.set_defaults(run=run_verify)


def _add_prune(what: Commands) -> None:
    parser = what.add_parser(
        "prune",
        help="remove those that no rule keeps",
        description="Remove the backups that no rule keeps; --plan says which and why. Never the newest good one, the "
        "last one that a restore proved, pinned and critical ones.",
    )
    add_stack_options(parser)
    add_plan_options(parser)
    parser.set_defaults(run=run_prune)


def _add_copy(what: Commands) -> None:
    parser = what.add_parser(
        "copy",
        help="copy one to the place that [copy] names, and compare",
        description="Copy backups off this host, as each new one is by itself, and read the copy again.",
    )
    add_stack_options(parser)
    parser.add_argument("backups", nargs="*", metavar="ID", help=f"{ID} (default: latest)")
    add_plan_options(parser)
    parser.set_defaults(run=run_copy)


def _add_replica_set(what: Commands) -> None:
    parser = what.add_parser(
        "replica-set",
        help="make a standalone MongoDB a replica set of one node, which incremental backups take; --undo",
        description="Make a standalone MongoDB of the stack a replica set of one node, by a plan: safety backup, the "
        "lines in the compose file (shown as a difference; a key file where there are passwords), its container anew, "
        "rs.initiate, gate, every collection compared. A failure brings file and standalone back. Where the compose "
        "file cannot be changed with certainty, and for a MongoDB beside the stack, the steps by hand are printed.",
    )
    add_stack_options(parser)
    parser.add_argument("--server", default="", metavar="NAME", help="this MongoDB, where there are several")
    parser.add_argument("--guide", action="store_true", help="print the steps by hand, for this stack; nothing is done")
    parser.add_argument(
        "--initiate", action="store_true", help="the last step alone: of a server that was started with --replSet"
    )
    parser.add_argument("--undo", action="store_true", help="a standalone again after the last conversion")
    parser.add_argument("--operation", default="", metavar="ID", help="with --undo: this one, as in `history`")
    add_plan_options(parser)
    parser.set_defaults(run=run_replica_set)


def _add_pins(what: Commands) -> None:
    for verb, words in {"pin": "keep one until it is unpinned", "unpin": "let retention decide again"}.items():
        parser = what.add_parser(verb, help=words, description=f"{words[0].upper()}{words[1:]}.")
        add_stack_options(parser)
        parser.add_argument("backup", metavar="ID", help=ID)
        if verb == "pin":
            parser.add_argument("--why", default="", metavar="TEXT", help="what it is kept for")
        parser.set_defaults(run=lambda arguments, verb=verb: run_pin(arguments, pinned=verb == "pin"))


def _add_misdated(what: Commands) -> None:
    parser = what.add_parser(
        "misdated",
        help="say that a wrong clock dated one, so that new ones need not come after it; --undo",
        description="No backup is made while one is there that is dated later than now. Where the clock is right and "
        "that date is wrong, say so: it is kept, never counts as the newest, and new ones need not come after it.",
    )
    add_stack_options(parser)
    parser.add_argument("backup", metavar="ID", help=ID)
    parser.add_argument("--undo", action="store_true", help="its date is right")
    parser.set_defaults(run=run_misdated)


# --- commands --------------------------------------------------------------------------------------


def run_create(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.orders import BackupOrder
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    order = BackupOrder(
        backup_class=BackupClass(arguments.backup_class),
        why=arguments.why,
        critical=arguments.critical,
        incremental=arguments.incremental,
        parts=tuple(dict.fromkeys(arguments.part)),
    )
    return ask_for(site, Request(what="backup", backup=order), arguments)


def run_list(arguments: argparse.Namespace) -> int:
    import msgspec

    from opsconsole.backups import oplog_ranges, seconds
    from opsconsole.operations import backup_plans

    site = site_of(arguments)
    _remove_left_behind(site, read_only=bool(arguments.read_only))
    backups = _backups(site)
    if arguments.json:
        for one in backups:
            print(msgspec.json.encode(one).decode())
        return 0
    for number, one in enumerate(backups, 1):
        print(printable(_line(number, one)))
        if one.problem or one.check_problem:
            print(printable(f"      {one.problem or one.check_problem}"))
    for shown in oplog_ranges.ranges(backups):
        span = f"{seconds.local(shown.first)} to {seconds.local(shown.last)} ({seconds.zone_said(shown.last)})"
        print(printable(f"{shown.part}: every second from {span} can be restored (restore --at)"))
    if not backups:
        print("no backup yet: `opsconsole backup create` takes one")
    elif frozen := backup_plans.nothing_goes(site.directory, backups, site.config()):
        print(printable(frozen))
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    arguments.yes = True  # nothing but what is known of the backup is written
    request = Request(what="verify", backups=tuple(arguments.backups), level=arguments.level)
    return ask_for(site, request, arguments)


def run_copy(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    return ask_for(site, Request(what="copy", backups=tuple(arguments.backups)), arguments)


def run_prune(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    return ask_for(site, Request(what="prune"), arguments)


def run_pin(arguments: argparse.Namespace, *, pinned: bool) -> int:
    from opsconsole.backups import marks

    one = _to_mark(arguments)
    marks.pin(one, pinned=pinned, why=getattr(arguments, "why", ""))
    print(printable(f"{one.id} is {'pinned: nothing removes it until it is unpinned' if pinned else 'not pinned'}"))
    return 0


def run_misdated(arguments: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from opsconsole.backups import marks

    one = _to_mark(arguments)
    if not arguments.undo and one.taken_at <= datetime.now(UTC):
        raise SourceError(f"{one.id} is not dated later than now", "No backup waits for it: see `date`.")
    marks.misdate(one, misdated=not arguments.undo)
    said = "its date counts" if arguments.undo else "dated by a wrong clock: new backups need not come after it"
    print(printable(f"{one.id}: {said}"))
    return 0


def _to_mark(arguments: argparse.Namespace) -> Backup:
    """The backup of which something is to be written down. Raises SourceError."""
    from opsconsole.backups.naming import named

    site = site_of(arguments)
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that changes something")
    return named(_backups(site), arguments.backup)


def run_replica_set(arguments: argparse.Namespace) -> int:
    from opsconsole.operations import replica_sets, requests, set_plans

    site = site_of(arguments)
    if arguments.guide:
        print(replica_sets.guide_of(site.scope(), arguments.server), end="")
        return 0
    say_unfinished(site.directory)
    what = "undo-replica-set" if arguments.undo else "replica-set"
    request = requests.Request(what=what, server=arguments.server, operation=arguments.operation)
    try:
        return ask_for(site, request, arguments)
    except set_plans.ByHand as by_hand:
        if arguments.initiate:
            raise
        print(f"opsconsole: {printable(by_hand.problem)}. Nothing was changed; by hand it is:\n", file=sys.stderr)
        print(by_hand.guide, end="")
        return REFUSED


# --- the list --------------------------------------------------------------------------------------


def _backups(site: Site) -> Sequence[Backup]:
    from opsconsole.backups.policy import policy_of
    from opsconsole.operations import backup_acts

    return backup_acts.listed(site.scope(), policy_of(site.config()))


def _remove_left_behind(site: Site, *, read_only: bool) -> None:
    """A verification that was killed may have left decrypted data: it is not to lie there until the next one."""
    from opsconsole.operations import left_behind

    if not read_only and (said := left_behind.words(left_behind.remove_of(site))):
        print(f"opsconsole: {printable(said)}", file=sys.stderr)


def _line(number: int, one: Backup) -> str:
    state = one.state.value if one.state is not BackupState.GOOD or not one.check_problem else "damaged"
    level = (
        f"L{one.checked_level} {one.checked_at:%Y-%m-%d}" if one.checked_level is not None and one.checked_at else "-"
    )
    parts = ", ".join(dict.fromkeys(part.kind for part in one.parts if part.kind != "manifest"))
    marks = [one.backup_class.value, *(["pinned"] if one.pinned else []), *(["critical"] if one.critical else [])]
    kept = f"  kept: {one.kept}" if one.kept else f"  may go: {one.goes}" if one.goes else ""
    return (
        f"{number:>3}  {one.id:<32} {state:<10} {one.taken_at.astimezone():%Y-%m-%d %H:%M}  {one.size_bytes:>14,}  "
        f"{level:<13}  {' '.join(marks):<10} {parts}{kept}"
    )
