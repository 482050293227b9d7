"""What the numbers of the menu and the targets of a rollback ask for. One line for each; pure.

A line whose operation this version does not have yet is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.operations.requests import PLANS, Request
from opsconsole.ui.screens.choosing import Choice

MENU: dict[int, tuple[Choice, ...]] = {
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
}

ROLLBACK: tuple[Choice, ...] = (
    Choice(
        "Emergency stop",
        "Everything DOWN within 10 s, evidence saved first. Needs no compose file.",
        Request(what="emergency-stop"),
    ),
)


def choices(number: int, services: Sequence[str] = ()) -> list[Choice]:
    """What an option of the menu can mean; [] when this version cannot do it yet."""
    found = [one for one in MENU.get(number, ()) if one.request.what in PLANS]
    if number == 4 and found:
        found += [
            Choice(f"Restart only {name}", "This service, then wait until it is well.",
                   Request(what="restart", services=(name,)))
            for name in services
        ]  # fmt: skip
    return found


def rollbacks() -> list[Choice]:
    return [one for one in ROLLBACK if one.request.what in PLANS]
