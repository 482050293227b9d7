"""`opsconsole restore`: what a backup holds is put back, whole or in part, and undone by one command.

Exit codes: 0 done, 1 failed and nothing changed (also a backup that is not right), 2 nothing was done, 3 it failed and
all is as before, 4 it needs a hand: the commands are shown.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsconsole.commands.backup import ID, KINDS
from opsconsole.commands.carrying_out import add_plan_options, ask_for, failing, say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, site_of
from opsconsole.model import SourceError

if TYPE_CHECKING:
    from datetime import datetime

    from opsconsole.commands import Commands
    from opsconsole.operations.orders import RestoreOrder


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "restore",
        help="put back what a backup holds, whole or in part; --undo brings back what was there before",
        description="Every byte of the backup is read first and a safety backup is taken. Application services stop, "
        "everything is loaded beside the live data and compared, then it takes its place; databases stay up. When "
        "anything fails, everything is exchanged back (exit code 3). Without a choice: MongoDB, Redis and files. A "
        "choice can be given several times.",
    )
    add_stack_options(parser)
    parser.add_argument("backup", nargs="?", metavar="ID", help=ID)
    parser.add_argument(
        "--undo", action="store_true", help="bring back what the last restore (or --operation) replaced"
    )
    parser.add_argument("--operation", default="", metavar="ID", help="with --undo: this restore, as in `history`")
    parser.add_argument(
        "--part", action="append", default=[], choices=KINDS, metavar="KIND", help=f"only this: {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--server", action="append", default=[], metavar="NAME", help="only this server, where the stack has several"
    )
    parser.add_argument("--db", action="append", default=[], metavar="NAME", help="only this MongoDB database")
    parser.add_argument(
        "--collection", action="append", default=[], metavar="DB.NAME", help="only this collection of MongoDB"
    )
    parser.add_argument(
        "--to", action="append", default=[], metavar="[DB=]NEW", help="into a database of this name; DB stays as it is"
    )
    parser.add_argument(
        "--redis-db", action="append", default=[], type=int, metavar="N", help="only the keys of this Redis database"
    )
    parser.add_argument(
        "--redis-key", action="append", default=[], metavar="PATTERN", help="only keys that match, as KEYS has it"
    )
    parser.add_argument(
        "--files", action="append", default=[], metavar="NAME", help="only these files, as `--plan` names them"
    )
    parser.add_argument(
        "--at",
        default="",
        metavar="TIME",
        help="MongoDB as it was at the end of this second (2026-01-31T14:05:00; local time, or with Z); ID is left out",
    )
    parser.add_argument("--users", action="store_true", help="users and roles of MongoDB, too")
    add_plan_options(parser)
    parser.set_defaults(run=run_restore)


def run_restore(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    order = _order(arguments)
    site = site_of(arguments)
    say_unfinished(site.directory)
    with failing():
        if arguments.undo:
            return ask_for(site, Request(what="undo-restore", operation=arguments.operation), arguments)
        return ask_for(site, Request(what="restore", restore=order), arguments)


def _order(arguments: argparse.Namespace) -> RestoreOrder:
    from opsconsole.operations.orders import RestoreOrder

    chosen = (
        arguments.part,
        arguments.server,
        arguments.db,
        arguments.collection,
        arguments.to,
        arguments.redis_db,
        arguments.redis_key,
    )
    if arguments.undo and (arguments.backup or any(chosen) or arguments.files or arguments.users):
        raise SourceError("--undo takes no backup and no choice", "It brings back all that the restore replaced.")
    others = set(arguments.part) - {"mongo"} or arguments.redis_db or arguments.redis_key or arguments.files
    if arguments.at and (arguments.undo or arguments.backup or others):
        raise SourceError(
            "--at goes without ID, --undo, Redis and files", "It is of MongoDB, from the backups that reach it."
        )
    if not arguments.undo and not arguments.backup and not arguments.at:
        raise SourceError("which backup?", "Name one, or `latest`; `opsconsole backup list` lists them.")
    for path in arguments.collection:
        if not all(path.partition(".")):
            raise SourceError(f"--collection {path} names no database", "Write it as database.collection.")
    databases = tuple(dict.fromkeys(arguments.db))
    return RestoreOrder(
        backup=arguments.backup or "",
        parts=tuple(dict.fromkeys(arguments.part)),
        servers=tuple(dict.fromkeys(arguments.server)),
        databases=databases,
        collections=tuple(dict.fromkeys(arguments.collection)),
        to=tuple(
            _renamed(one, (*databases, *(path.partition(".")[0] for path in arguments.collection)))
            for one in arguments.to
        ),
        redis_databases=tuple(dict.fromkeys(arguments.redis_db)),
        redis_keys=tuple(dict.fromkeys(arguments.redis_key)),
        files=tuple(dict.fromkeys(arguments.files)),
        users=arguments.users,
        at=_moment(arguments.at) if arguments.at else None,
    )


def _moment(text: str) -> datetime:
    """A time by this host's clock, or with its own offset; in UTC."""
    from datetime import UTC, datetime

    from opsconsole.backups import seconds

    try:
        return seconds.typed(text, datetime.now(UTC))
    except SourceError as error:
        raise SourceError(f"--at: {error.problem}", error.hint) from None


def _renamed(text: str, databases: tuple[str, ...]) -> tuple[str, str]:
    """`old=new`, or `new` alone for the one database that is chosen."""
    old, equals, new = text.partition("=")
    if equals and old and new:
        return old, new
    if not equals and text and len(set(databases)) == 1:
        return databases[0], text
    raise SourceError(f"--to {text}: of which database?", "Write --to old=new, or choose one database with --db.")
