"""`opsconsole deploy`, `update`, `rollback`, `releases`: what runs, what is to run, and the way back.

Exit codes beside those of `operations`: 3 it failed and what ran before runs again, 4 it failed and so did
the way back; the commands to run by hand are printed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import add_plan_options, ask_for, failing, say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, site_of, stack_of
from opsconsole.commands.operations import run_emergency_stop
from opsconsole.model import SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.operations.releases import Release

TARGETS = {
    "previous-image": "the release before the one that runs, or the one that --to names: images and configuration",
    "config": "the compose and env files of a release (--to) or of a commit (--commit), with the images of now",
    "last-backup": "the data of the newest good backup, by a restore",
    "restart-all": "restart every container and wait until all are well",
    "emergency-stop": "stop everything at once, evidence saved first",
}


def add_commands(commands: Commands) -> None:
    _add_deploy(commands)
    _add_update(commands)
    _add_rollback(commands)
    _add_releases(commands)


def _add_deploy(commands: Commands) -> None:
    parser = commands.add_parser(
        "deploy",
        help="pull and build everything, then recreate what changed; goes back when it does not get well",
        description="Pull and build everything first, record a release, recreate what changed service by service and "
        "wait until it is well. When it does not get well, the release before runs again (exit code 3; 4 when even "
        "that failed).",
    )
    add_stack_options(parser)
    parser.add_argument("--no-cache", action="store_true", help="build without the cache")
    add_plan_options(parser)
    parser.set_defaults(run=run_deploy)


def _add_update(commands: Commands) -> None:
    parser = commands.add_parser(
        "update",
        help="fetch, show what comes in, fast-forward and deploy; goes back when it does not get well",
        description="Fetch from the branch that the tree follows and show the commits, the changed keys of the compose "
        "configuration and the variables that are missing. Then put local changes aside, fast-forward, deploy, and "
        "apply the local changes again. When it does not get well, the old commit and the release before come back. "
        "The fetch happens with --plan, too: it changes no file.",
    )
    add_stack_options(parser)
    _add_no_backup(parser)
    parser.add_argument("--no-fetch", action="store_true", help="do not ask the remote: take what was fetched before")
    add_plan_options(parser)
    parser.set_defaults(run=run_update)


def _add_rollback(commands: Commands) -> None:
    parser = commands.add_parser(
        "rollback",
        help=", ".join(TARGETS),
        description="Go back. "
        + " ".join(f"{name}: {words}." for name, words in TARGETS.items())
        + " An emergency stop needs no valid compose file and does not wait for another operation.",
    )
    add_stack_options(parser)
    parser.add_argument("target", choices=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--to", default="", metavar="rN", help="previous-image, config: this release")
    parser.add_argument("--commit", default="", metavar="ID", help="config: the files of this commit")
    parser.add_argument(
        "--undo", action="store_true", help="config: the files that the last one (or --operation) replaced"
    )
    parser.add_argument("--operation", default="", metavar="ID", help="with --undo: this one, as in `history`")
    _add_no_backup(parser, "config: ")
    add_plan_options(parser)
    parser.set_defaults(run=run_rollback)


def _add_no_backup(parser: argparse.ArgumentParser, of: str = "") -> None:
    parser.add_argument("--no-backup", action="store_true", help=f"{of}take no safety backup first")


def _add_releases(commands: Commands) -> None:
    parser = commands.add_parser(
        "releases",
        help="what was deployed and is kept to go back to",
        description="List the releases that are kept; the one that runs is marked.",
    )
    add_stack_options(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, one object per line")
    parser.set_defaults(run=run_releases)


def run_deploy(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    return ask_for(site, Request(what="deploy", no_cache=arguments.no_cache), arguments)


def run_update(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    site = site_of(arguments)
    say_unfinished(site.directory)
    # A fetch writes into .git: who may only look sees what was fetched before.
    fetch = not (arguments.no_fetch or arguments.read_only)
    return ask_for(site, Request(what="update", fetch=fetch, safety=not arguments.no_backup), arguments)


def run_rollback(arguments: argparse.Namespace) -> int:
    from opsconsole.operations.requests import Request

    if arguments.to and arguments.target not in ("previous-image", "config"):
        raise SourceError(f"--to does not belong to {arguments.target}", "See `opsconsole releases`.")
    if arguments.commit and (arguments.target != "config" or arguments.to):
        raise SourceError("--commit belongs to config, and not beside --to", "See `opsconsole rollback --help`.")
    if arguments.undo and (arguments.target != "config" or arguments.to or arguments.commit):
        raise SourceError("--undo belongs to config, and not beside --to and --commit", "See `rollback --help`.")
    if arguments.no_backup and arguments.target != "config":
        raise SourceError(f"--no-backup does not belong to {arguments.target}", "See `opsconsole rollback --help`.")
    if arguments.target == "emergency-stop":
        return run_emergency_stop(arguments)
    site = site_of(arguments)
    say_unfinished(site.directory)
    if arguments.target == "last-backup":
        from opsconsole.operations.orders import RestoreOrder

        with failing():
            return ask_for(site, Request(what="restore", restore=RestoreOrder(backup="latest")), arguments)
    request = Request(
        what="undo-config" if arguments.undo else arguments.target,
        to=arguments.to,
        commit=arguments.commit,
        operation=arguments.operation,
        safety=not arguments.no_backup,
    )
    return ask_for(site, request, arguments)


def run_releases(arguments: argparse.Namespace) -> int:
    import msgspec

    from opsconsole.operations import facts, releases

    directory, project, config = stack_of(arguments)
    kept = releases.all_releases(directory)
    try:
        containers = facts.observe(directory, config, project=project)[0]
    except SourceError:
        containers = ()  # the list is on the disk: only which one runs is not known
    current = releases.running(kept, containers, {one.service for one in containers})
    for one in reversed(kept):
        if arguments.json:
            print(msgspec.json.encode(one).decode())
        else:
            print(printable(_line(one, runs=one == current)))
    if not kept and not arguments.json:
        print("no release yet: the first deploy records one")
    return 0


def _line(release: Release, *, runs: bool) -> str:
    images = ", ".join(dict.fromkeys(one.image for one in release.services))
    mark = "*" if runs else " "
    return (
        f"{mark} {release.name:<5} {release.state.value:<9} {release.at:%Y-%m-%d %H:%M} UTC  "
        f"{release.commit or '-':<8}  {images}"
    )
