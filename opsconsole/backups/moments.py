"""When a backup was taken, as its name says it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

_MOMENT = re.compile(
    r"(?<!\d)(?P<year>(?:19|20|21)\d\d)(?P<dash>[-.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
    r"(?:[_T.\- ]?(?P<hour>\d\d)[:.\-]?(?P<minute>\d\d)(?:[:.\-]?(?P<second>\d\d))?(?P<utc>Z)?)?(?!\d)"
)


def moment_in(name: str) -> bool:
    """Whether a file or directory name carries a date."""
    return _MOMENT.search(name) is not None


def moment_of(name: str, zone: tzinfo | None = None) -> datetime | None:
    """The date and time in a name, as UTC. `20260118_020000`, `2026-01-18T02:00:00Z`, `2026-01-18`, ...

    A name says the time of the host's clock: it is read in `zone`, the host's own by default, unless it ends
    in Z. A date alone is its midnight. None when there is no date in the name, or one that no calendar has.
    """
    for found in _MOMENT.finditer(name):
        try:
            moment = datetime(
                int(found["year"]),
                int(found["month"]),
                int(found["day"]),
                int(found["hour"] or 0),
                int(found["minute"] or 0),
                int(found["second"] or 0),
            )
            aware = moment.replace(tzinfo=UTC if found["utc"] else zone)
            return aware.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
