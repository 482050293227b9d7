"""`opsconsole database`: collections validated, an index built anew, Redis emptied: each by a plan."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import add_plan_options, ask_for, say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, site_of

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.operations.orders import DatabaseOrder


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "database",
        help="validate collections, build an index anew, empty Redis: each by a plan",
        description="What is done to a database server by hand, each by a plan that is shown first.",
    )
    what = parser.add_subparsers(title="what", metavar="WHAT", required=True)
    validate = what.add_parser(
        "validate",
        help="read collections and their indexes for damage",
        description="Read collections of MongoDB and their indexes as of the last checkpoint; nobody waits for it. "
        "Exit code 1 names what is not valid.",
    )
    validate.add_argument(
        "collections",
        nargs="*",
        metavar="DB.NAME",
        help="these only (default: those of the application, or all where its address names no database)",
    )
    rebuild = what.add_parser(
        "rebuild-index",
        help="drop one index of MongoDB and build it again",
        description="Drop one index of MongoDB and build it again from what it is made of; the plan keeps that.",
    )
    rebuild.add_argument("collection", metavar="DB.NAME")
    rebuild.add_argument("index", metavar="INDEX", help="its name")
    flush = what.add_parser(
        "flush",
        help="empty Redis, after a safety backup",
        description="Remove every key of Redis, or of one of its databases, after a safety backup. The server's name "
        "is typed; without a terminal: --yes --accept-loss NAME.",
    )
    flush.add_argument("--db", type=int, metavar="N", help="this database only (default: all of them)")
    for name, one in (("validate", validate), ("rebuild-index", rebuild), ("flush", flush)):
        add_stack_options(one)
        one.add_argument("--server", default="", metavar="NAME", help="where the stack has several of its kind")
        add_plan_options(one)
        one.set_defaults(run=lambda arguments, name=name: run(arguments, name))


def run(arguments: argparse.Namespace, what: str) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    return ask_for(site, Request(what=what, database=_order(arguments, what)), arguments)


def _order(arguments: argparse.Namespace, what: str) -> DatabaseOrder:
    from opsconsole.operations.orders import DatabaseOrder

    if what == "flush":
        return DatabaseOrder(kind="redis", server=arguments.server, redis_database=arguments.db)
    if what == "rebuild-index":
        named = (arguments.collection,)
        return DatabaseOrder(kind="mongodb", server=arguments.server, collections=named, index=arguments.index)
    return DatabaseOrder(kind="mongodb", server=arguments.server, collections=tuple(arguments.collections))
