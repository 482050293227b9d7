"""The second that is chosen, where it lies in its range and what it takes; and what it takes to have any. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from textual.content import Content

from opsconsole.backups import seconds
from opsconsole.backups.oplog_ranges import Chain, Range
from opsconsole.model import Backup, BackupState, DatabaseStatus, MongoStatus
from opsconsole.ui.widgets.lines import fact, flowed, wrapped
from opsconsole.ui.wording import Glyphs, Tone, ago, plural

_FIELD = {"day": (0, 10), "hour": (11, 13), "minute": (14, 16), "second": (17, 19)}
_WIDEST = 100  # cells of the bar


def head(shown: Sequence[Range], width: int) -> list[Content]:
    if not shown:
        return []
    clock = seconds.zone_said(shown[-1].last)
    said = f"{plural(len(shown), 'range')} without a gap: every second in one can be had."
    return wrapped(f"{said} Times are of this host ({clock}).", width, style=Tone.MUTED)


def chosen(
    at: datetime,
    within: Range,
    chain: Chain | None,
    marked: str,
    said: str,
    now: datetime,
    width: int,
    glyphs: Glyphs,
) -> list[Content]:
    """The second with what is marked of it, a bar with the edges of its range, and the backups that it takes."""
    text = seconds.local(at)
    begin, end = _FIELD[marked]
    when = Content.assemble(
        ("To the end of  ", Tone.MUTED),
        (text[:begin], Tone.STRONG),
        (text[begin:end], "bold reverse"),
        (text[end:], Tone.STRONG),
        (f"  {seconds.zone_said(at)}", Tone.MUTED),
    )
    edge = "the first second" if at == within.first else "the last second" if at == within.last else ""
    facts = [
        when,
        fact("in UTC", f"{at.astimezone(UTC):{seconds.SHAPE}}") if at.astimezone().utcoffset() else Content(""),
        Content(ago(at, now)),
        Content.styled(edge, Tone.ACCENT) if edge else Content(""),
    ]
    lines = [
        *flowed(facts, width, gap=3),
        Content(""),
        *_bar(at, within, min(width, _WIDEST), glyphs),
        *(wrapped(said, width, style=Tone.WARNING) or [Content("")]),
    ]
    keys = (
        "+ and - step what is marked; Left and Right mark another part; t or a digit types it; g and G are the edges."
    )
    lines += wrapped(keys, width, style=Tone.MUTED)
    if chain is not None:
        slices = f" and {plural(len(chain.slices), 'incremental backup')} after it" if chain.slices else ""
        lines += wrapped(f"It takes the full backup {chain.base}{slices}.", width)
    lines += wrapped(
        "It is put together in a throw-away server, then restored as any backup is: compared, beside the live data. "
        "Redis and files have no seconds and stay as they are.",
        width,
        style=Tone.MUTED,
    )
    return lines


def _bar(at: datetime, within: Range, width: int, glyphs: Glyphs) -> list[Content]:
    whole = (within.last - within.first).total_seconds()
    share = (at - within.first).total_seconds() / whole if whole else 1.0
    here = round(share * (width - 1))
    full, free, mark = ("=", "-", "|") if glyphs.ascii else ("━", "─", "●")
    bar = Content.assemble((full * here, Tone.GOOD), (mark, Tone.ACCENT), (free * (width - 1 - here), Tone.MUTED))
    first, last = (seconds.local(one) for one in (within.first, within.last))
    gap = width - len(first) - len(last)
    edges = Content.styled(f"{first}{' ' * gap}{last}", Tone.MUTED)
    return [bar, edges] if gap > 0 else [bar]


# --- when there is none ----------------------------------------------------------------------------


def standalone(databases: Sequence[DatabaseStatus]) -> MongoStatus | None:
    """The MongoDB that keeps no list of its changes."""
    return next((one for one in databases if isinstance(one, MongoStatus) and one.topology == "standalone"), None)


def nothing(
    backups: Sequence[Backup],
    databases: Sequence[DatabaseStatus],
    width: int,
    glyphs: Glyphs,
) -> list[Content]:
    """Why no second can be had, and what it takes."""
    servers = [one for one in databases if isinstance(one, MongoStatus)]
    lines = wrapped("No second can be had yet.", width, style=Tone.WARNING)
    if not servers:
        return [*lines, *wrapped("This stack has no MongoDB that is known.", width)]
    if standalone(databases) is not None:
        why = (
            "MongoDB runs as a standalone server. Only a replica set, also one of a single node, keeps a list of its "
            "changes, of which incremental backups are made."
        )
        takes = (
            "It takes: the server started with --replSet and made a set (a short stop of MongoDB, the data stays), "
            "a full backup then, and incremental ones, which the schedule takes every 6 h."
        )
        how = "C shows the plan that does it, or the lines to write where that is not done from here."
        return [
            *lines,
            *wrapped(why, width),
            *wrapped(takes, width),
            *wrapped(f"{glyphs.arrow} {how}", width, style=Tone.ACCENT),
        ]
    full = any(one.oplog and one.state is not BackupState.INCREMENTAL for one in backups)
    if not full:
        why, how = "It takes a full backup of the replica set and incremental ones after it.", "B makes a backup."
    else:
        followed = any(one.state is BackupState.INCREMENTAL for one in backups)
        why = (
            "The incremental backups that are there follow on no full backup without a gap."
            if followed
            else "There is a full backup, and no incremental one after it."
        )
        how = "B makes one: only what was written since the last one."
    return [
        *lines,
        *wrapped(why, width),
        *wrapped(f"{glyphs.arrow} Esc, then {how}", width, style=Tone.ACCENT),
    ]
