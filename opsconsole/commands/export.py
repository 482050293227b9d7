"""`opsconsole backup export` and `backup import`: collections as JSON, out of a backup or the live database."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import add_plan_options, ask_for, failing, say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, site_of
from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.backups.mongo_json import Exported
    from opsconsole.commands import Commands

LIVE = "live"
MODES = ("new", "add", "upsert")


def add_commands(what: Commands) -> None:
    """Below `opsconsole backup`."""
    parser = what.add_parser(
        "export",
        help="collections as JSON, as mongoexport writes them",
        description="Write collections of a backup, or of the live database, as Extended JSON: one document in a line.",
    )
    add_stack_options(parser)
    parser.add_argument("backup", metavar="ID", help=f"a backup as everywhere, or `{LIVE}`")
    parser.add_argument("--collection", action="append", required=True, metavar="DB.NAME", help="which; several times")
    parser.add_argument(
        "--out", default="", metavar="PATH", help="file or directory, .gz and .zst pack it (default: here); - prints"
    )
    _add_server(parser)
    parser.add_argument("--json-array", action="store_true", help="one array in place of one document in a line")
    parser.add_argument("--canonical", action="store_true", help="every type is written out: it comes back as it was")
    parser.add_argument("--replace", action="store_true", help="replace a file that is there")
    parser.set_defaults(run=run_export)
    parser = what.add_parser(
        "import",
        help="documents of a JSON file into a collection",
        description="Read a file of JSON to its end, take a safety backup of MongoDB, then write the documents. What "
        "was added is taken out again when the server refuses a later one.",
    )
    add_stack_options(parser)
    parser.add_argument("file", metavar="FILE", help="one document in a line, or one array; packed or not")
    parser.add_argument("--collection", required=True, metavar="DB.NAME", help="into which")
    _add_server(parser)
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="new",
        help="new: it must have no documents (default); add: beside those; upsert: in place of those with the same _id",
    )
    add_plan_options(parser)
    parser.set_defaults(run=run_import)


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        default="",
        metavar="NAME",
        help="of this server, where several have the database",
    )


def run_export(arguments: argparse.Namespace) -> int:
    from opsconsole.backups.mongo_json import Form
    from opsconsole.operations import exporting

    paths = tuple(dict.fromkeys(_path(one) for one in arguments.collection))
    if arguments.out == "-" and len(paths) > 1:
        raise SourceError("only one collection can be printed", "Name a directory with --out.")
    site = site_of(arguments)
    form = Form(canonical=arguments.canonical, array=arguments.json_array)
    where = sys.stdout.buffer if arguments.out == "-" else Path(arguments.out or ".").absolute()
    wanted = exporting.Wanted(
        backup="" if arguments.backup == LIVE else arguments.backup,
        paths=paths,
        server=arguments.server,
        form=form,
        replace=arguments.replace,
    )
    with failing():
        done = exporting.export(site.scope(), site.config(), wanted, where)
    for path, (file, one) in done.items():
        print(printable(_said(path, file, one)), file=sys.stderr)
    return 0


def _said(path: str, file: str, one: Exported) -> str:
    exact = f"; {one.inexact:,} hold what JSON cannot say exactly" if one.inexact else ""
    return f"{path}: {one.documents:,} documents, {one.size:,} bytes of JSON{exact}" + (f" -> {file}" if file else "")


def run_import(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.orders import ImportOrder
    from opsconsole.operations.requests import Request

    database, _, name = _path(arguments.collection).partition(".")
    file = Path(arguments.file).absolute()
    site = site_of(arguments)
    say_unfinished(site.directory)
    order = ImportOrder(
        path=str(file), database=database, collection=name, mode=arguments.mode, server=arguments.server
    )
    with failing():
        return ask_for(site, Request(what="import", imports=order), arguments)


def _path(text: str) -> str:
    if not all(text.partition(".")):
        raise SourceError(f"--collection {text} names no database", "Write it as database.collection.")
    return text
