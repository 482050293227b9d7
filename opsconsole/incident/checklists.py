"""The runbook's lists of what is done in an incident: immediate actions, communication, resolution."""

from __future__ import annotations

from opsconsole.incident.priority import Priority
from opsconsole.model import Record, SourceError


class Item(Record, frozen=True):
    """One thing to do. `key` is how it is ticked on the command line and in the record."""

    key: str
    part: str
    text: str
    priorities: tuple[Priority, ...] = (Priority.P1, Priority.P2)


IMMEDIATE, COMMUNICATION, RESOLUTION = "Immediate actions", "Communication", "Resolution"
_EVERY = tuple(Priority)
_P1 = (Priority.P1,)
_P2 = (Priority.P2,)

ITEMS = (
    Item(key="status", part=IMMEDIATE, text="Check the status of the system", priorities=_EVERY),
    Item(key="logs", part=IMMEDIATE, text="Check the recent logs of what is ill", priorities=_EVERY),
    Item(key="data", part=IMMEDIATE, text="Is data missing or wrong? Then the data rollback", priorities=_P1),
    Item(key="restart", part=IMMEDIATE, text="Try a soft restart, where the matrix says so", priorities=_P2),
    Item(key="stakeholders", part=COMMUNICATION, text="Notify stakeholders, at once for a P1"),
    Item(key="status-page", part=COMMUNICATION, text="Update the status page"),
    Item(key="timeline", part=COMMUNICATION, text="Document the time line (notes; the rest is recorded here)",
         priorities=_EVERY),
    Item(key="root-cause", part=RESOLUTION, text="Identify the root cause", priorities=_EVERY),
    Item(key="fix", part=RESOLUTION, text="Implement the fix", priorities=_EVERY),
    Item(key="verify", part=RESOLUTION, text="Verify the resolution: nothing red, data counted", priorities=_EVERY),
    Item(key="review", part=RESOLUTION, text="Agree on the post-incident review"),
)  # fmt: skip


def items(priority: Priority) -> tuple[Item, ...]:
    """Those for an incident of this priority, in their order."""
    return tuple(one for one in ITEMS if priority in one.priorities)


def item(key: str) -> Item:
    """By its key. Raises SourceError."""
    found = next((one for one in ITEMS if one.key == key), None)
    if found is None:
        raise SourceError(f"no item {key} in the checklists", f"There are {', '.join(one.key for one in ITEMS)}.")
    return found
