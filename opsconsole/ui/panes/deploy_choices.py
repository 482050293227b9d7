"""What the numbers of the menu and the targets of a rollback ask for: one line for each, and for each release. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsconsole.backups.naming import LATEST
from opsconsole.model import DatabaseStatus, Stack
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.requests import Request
from opsconsole.ui.panes.backup_choices import saves
from opsconsole.ui.panes.menu_options import BACKUP, RESTART
from opsconsole.ui.screens.choosing import Choice
from opsconsole.ui.wording import plural

if TYPE_CHECKING:
    from opsconsole.operations.releases import Release
    from opsconsole.stack.git_changes import Commit

MENU: dict[int, tuple[Choice, ...]] = {
    1: (
        Choice("Deploy", "Pull and build everything first, then recreate only what changed.", Request(what="deploy")),
        Choice(
            "Deploy, build without cache",
            "The same; every build begins anew and takes longer.",
            Request(what="deploy", no_cache=True),
        ),
    ),
    2: (Choice("Update", "Fetch, show what comes, then deploy it.", Request(what="update")),),
    3: (Choice("Stop", "Stop every service. Containers and data stay.", Request(what="stop")),),
    4: (
        Choice("Restart all", "All services at once, then wait until they are well.", Request(what="restart")),
        Choice(
            "Restart all, rolling",
            "One container after the other, each waited for until it is well.",
            Request(what="restart", rolling=True),
        ),
        Choice("Start", "Start what is there and does not run.", Request(what="start")),
    ),
    8: (
        Choice(
            "Remove containers and images",
            "Of this stack only; images that releases keep stay, and so does all data.",
            Request(what="remove"),
        ),
        Choice(
            "Remove, releases too",
            "Also the images that releases keep: no rollback finds them then. Data stays.",
            Request(what="remove", releases=True),
        ),
    ),
}

CONFIGURATION = Request(what="config")

ROLLBACK: tuple[Choice, ...] = (
    Choice(
        "Previous images",
        "Back to the release before: its images, compose and env files. Data stays as it is now.",
        Request(what="previous-image"),
    ),
    Choice(
        "Configuration",
        "Compose and env files of a release or of a commit, which is asked next, with the images of now.",
        CONFIGURATION,
    ),
    Choice(
        "Last backup",
        "The data of the newest good backup: read and loaded first, then exchanged. What is live is kept.",
        Request(what="restore", restore=RestoreOrder(backup=LATEST)),
    ),
    Choice("Restart all", "Nothing is put back; every service starts again.", Request(what="restart-all")),
    Choice(
        "Emergency stop",
        "Everything DOWN within 10 s, evidence saved first. Needs no compose file.",
        Request(what="emergency-stop"),
    ),
)


def choices(number: int, stack: Stack | None = None, databases: Sequence[DatabaseStatus] = ()) -> list[Choice]:
    """What an option of the menu can mean; [] for those that lead elsewhere than to a plan."""
    if number == BACKUP:
        return saves(stack, databases)
    found = list(MENU.get(number, ()))
    if number == RESTART and stack is not None:
        found += [
            Choice(f"Restart only {one.name}", "This service, then wait until it is well.",
                   Request(what="restart", services=(one.name,)))
            for one in stack.services
            if one.active
        ]  # fmt: skip
    return found


def rollbacks(releases: Sequence[Release] = ()) -> list[Choice]:
    """Where one can go back to; then each release that is kept, newest first."""
    return [*ROLLBACK, *_kept(releases, "previous-image")]


def configurations(releases: Sequence[Release], commits: Sequence[Commit]) -> list[Choice]:
    """Whose compose and env files a rollback of the configuration can bring: of releases and of commits."""
    newest = Choice(
        "Newest release that differs",
        "Compose and env files of the newest good release that has others than today's.",
        CONFIGURATION,
    )
    changed = [
        Choice(
            f"Commit {one.id[:10]}",
            f"of {one.at.astimezone():%Y-%m-%d %H:%M}, {one.author}: {one.subject}",
            Request(what=CONFIGURATION.what, commit=one.id),
        )
        for one in commits
    ]
    return [newest, *_kept(releases, CONFIGURATION.what), *changed]


def _kept(releases: Sequence[Release], what: str) -> list[Choice]:
    return [
        Choice(
            f"Release {one.name}",
            f"of {one.at.astimezone():%Y-%m-%d %H:%M}, {plural(len(one.services), 'service')}"
            + (f", commit {one.commit[:10]}" if one.commit else ""),
            Request(what=what, to=one.name),
        )
        for one in sorted(releases, key=lambda one: one.number, reverse=True)
        if one.returnable
    ]
