"""What every drill is: one fault of the simulated stack, what is known of it, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from opsconsole.alert_findings import Thresholds
from opsconsole.demo.calm import Fault
from opsconsole.demo.databases import COLLECTIONS
from opsconsole.demo.drill_text import SAYS
from opsconsole.demo.fleet import Fleet, config_hash, digest
from opsconsole.demo.roles import NAME, Role
from opsconsole.incident.data_signs import Baseline
from opsconsole.incident.evidence import Change, ChangedFile, Kept, Known, What, gather
from opsconsole.incident.recommendation import Issue, Way
from opsconsole.model import Sign, Snapshot

BEGAN = timedelta(minutes=12)
"""So long before the console opens the fault began."""

THRESHOLDS = Thresholds(
    cpu_minutes=0, memory_minutes=0, error_minutes=0, response_minutes=0, unhealthy_minutes=0,
    container_memory_minutes=0, database_seconds=0, source_seconds=0,
)  # fmt: skip
"""The fault is twelve minutes old when it is first seen: nothing is waited for a second time."""


class Drill(Fault):
    """One incident. `issue` is the line of the decision matrix that fits it; `mended_by` the requests that mend it."""

    name = ""
    said = ""  # what the operator is told first
    issue: Issue
    mended_by: frozenset[str] = frozenset()
    by_hand = ""  # how it is mended by hand, where no plan does it

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.began = datetime.fromtimestamp(fleet.anchor, UTC) - BEGAN
        self.mended_at: datetime | None = None

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.fleet.now(), UTC)

    @property
    def ill(self) -> bool:
        return self.mended_at is None

    @property
    def says(self) -> Mapping[str, tuple[str, ...]]:
        return SAYS.get(self.name, {})

    def ill_from(self) -> datetime | None:
        return self.began if self.says else None

    def ill_until(self) -> datetime:
        return self.mended_at or self.now

    def practise(self, way: Way) -> str:
        """Do it on the simulated stack. What came of it, in a sentence."""
        if not self.ill:
            return "The stack is well already."
        if way.what in self.mended_by or (not way.what and self.by_hand and self.by_hand in way.command):
            self.mended_at = self.now
            return f"Drill: {way.command} was the way. The stack is well again; close the incident with a note."
        return f"Drill: {way.command} changes nothing here. Look at the evidence again."

    # --- what was read beside the Snapshot -------------------------------------------------------

    def known(self) -> Known:
        return msgspec.structs.replace(
            self._usual(),
            changes=(*self.changes(), *self._alerts(), *self._repair()),
            files=self.files() if self.ill else (),
            files_from="r8" if self.ill and self.files() else "",
        )

    def look(self, snapshot: Snapshot) -> tuple[Sign, ...]:
        """The signs that data is missing: a source of the monitor."""
        return gather(snapshot, self.known(), snapshot.sampled_at).data

    def changes(self) -> tuple[Change, ...]:
        return ()

    def files(self) -> tuple[ChangedFile, ...]:
        return ()

    def first_alert(self) -> tuple[str, str] | None:
        """(subject, text) of the alert that fired first."""
        return None

    def _alerts(self) -> tuple[Change, ...]:
        first = self.first_alert()
        if first is None:
            return ()
        at = self.began + timedelta(seconds=70)
        return (Change(at=at, what=What.ALERT, text=first[1], services=(first[0],), bad=True),)

    def _repair(self) -> tuple[Change, ...]:
        if self.mended_at is None:
            return ()
        what = What.RESTORE if self.issue is Issue.DATA else What.RESTART
        return (Change(at=self.mended_at, what=what, text="mended in this drill", operation="drill", done=True),)

    def _usual(self) -> Known:
        roles = self.fleet.roles
        release, before = (
            Kept(
                name=name,
                at=self.began - age,
                images={role.service: self.image(role) if name == "r8" else image_of(role) for role in roles},
                hashes={role.service: (config_hash(role),) for role in roles},
                commit=commit,
            )
            for name, age, commit in (
                ("r8", self.release_age, "4f2c91e"),
                ("r7", timedelta(days=6), "b81d03a"),
            )
        )
        counted = Baseline(
            at=self.began - timedelta(minutes=28),
            origin="the guard's count of the last restart",
            collections={f"mongodb {NAME}": {name: count for name, count, *_ in COLLECTIONS}},
        )
        return Known(release=release, before=before, baselines=(counted,))

    release_age = timedelta(hours=43)

    def image(self, role: Role) -> str:
        """What the newest release has of a service."""
        return image_of(role)


def image_of(role: Role) -> str:
    """The id that a role's image has on a good day."""
    return "sha256:" + digest(role.image)
