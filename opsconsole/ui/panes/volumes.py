"""Where the stack's data lies, whether it is safe there, and why not. Worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.model import Safety, Snapshot, SourceState, Volume, VolumeKind, VolumeUse
from opsconsole.text import printable
from opsconsole.ui import standing
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.rows_and_detail import RowsAndDetail
from opsconsole.ui.screens import persistence
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import fact, flowed, shorten_middle, wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Glyphs, Tone, ago, moment, sign, size

if TYPE_CHECKING:
    from opsconsole.persistence.verdict import Verdict

_RANK = {Safety.AT_RISK: 0, Safety.NOT_IN_BACKUP: 1, Safety.ORPHANED: 2, Safety.PERSISTENT: 3}
_TONE = {
    Safety.AT_RISK: Tone.BAD,
    Safety.NOT_IN_BACKUP: Tone.WARNING,
    Safety.ORPHANED: Tone.MUTED,
    Safety.PERSISTENT: Tone.GOOD,
}
_KIND = {
    VolumeKind.NAMED: "volume",
    VolumeKind.ANONYMOUS: "anonymous volume",
    VolumeKind.BIND: "bind mount",
    VolumeKind.TMPFS: "tmpfs (memory)",
    VolumeKind.LAYER: "container layer",
}
_ANSWERED = (SourceState.OK, SourceState.ABSENT)
NO_VOLUMES = "This stack has no volume and no bind mount: nothing it writes outlives its containers."


def size_said(volume: Volume, glyphs: Glyphs, *, measured: bool = False) -> str:
    """`1.2 GiB`; what has none says why: still being measured, not measurable, in memory.

    `measured` says that sizes were asked for and have been answered.
    """
    if volume.size_bytes is not None:
        return size(volume.size_bytes)
    if volume.kind is VolumeKind.TMPFS:
        return "in memory"
    return "not measured" if measured else f"measuring{glyphs.ellipsis}"


def measured_said(volume: Volume, now: datetime) -> str:
    return ago(volume.size_at, now) if volume.size_bytes is not None and volume.size_at else ""


def users_said(uses: Sequence[VolumeUse]) -> str:
    """`backend:/app/uploads`, once for all containers of a service."""
    return ", ".join(dict.fromkeys(f"{use.service or use.container}:{use.destination}" for use in uses)) or "nothing"


def worst_first(volumes: Iterable[Volume]) -> list[Volume]:
    """By safety, then what a database writes, then the largest."""
    return sorted(volumes, key=lambda one: (_RANK[one.safety], not one.database, -(one.size_bytes or 0), one.name))


def empty_said(snapshot: Snapshot) -> str:
    """What there is to say when there is no row."""
    reading = snapshot.readings.get("volumes")
    return NO_VOLUMES if reading is not None and reading.state in _ANSWERED else "Looking for volumes."


def summary(volumes: Sequence[Volume], width: int, glyphs: Glyphs) -> list[Content]:
    """How many there are of each safety, and how much they hold together."""
    counts = Counter(volume.safety for volume in volumes)
    parts: list[Content] = []
    for safety in sorted(counts, key=_RANK.__getitem__):
        tone = _TONE[safety]
        parts.append(Content.styled(f"{sign(tone, glyphs)} {counts[safety]} {safety.value}", tone))
    known = [volume.size_bytes for volume in volumes if volume.size_bytes is not None]
    if known:
        less = "" if len(known) == len(volumes) else "at least "
        parts.append(Content.styled(f"{less}{size(sum(known))} together", Tone.MUTED))
    return flowed(parts, width, gap=3)


def detail(volume: Volume, now: datetime, width: int, glyphs: Glyphs, *, measured: bool = False) -> list[Content]:
    """The sentence that says why, what it is, and every mount of it."""
    tone = _TONE[volume.safety]
    kind = _KIND[volume.kind]
    head = Content.assemble((printable(volume.name), Tone.STRONG), (f"  {kind}", Tone.MUTED))
    lines = [head]
    said = f"{volume.safety.value.capitalize()}: {volume.reason}" if volume.reason else volume.safety.value.capitalize()
    lines += wrapped(f"{sign(tone, glyphs)} {said}", width, style=tone)
    when = measured_said(volume, now)
    facts = [fact("size", size_said(volume, glyphs, measured=measured) + (f" {glyphs.dot} {when}" if when else ""))]
    if volume.path and volume.path != volume.name:
        facts.append(fact("path", shorten_middle(volume.path, max(12, width - 5), ellipsis=glyphs.ellipsis)))
    if volume.created_at:
        facts.append(fact("created", moment(volume.created_at, now)))
    if volume.driver:
        facts.append(fact("driver", volume.driver))
    if volume.database:
        facts.append(fact("written by", {"mongodb": "MongoDB", "redis": "Redis"}.get(volume.database, volume.database)))
    lines += flowed(facts, width, gap=3)
    for use in volume.used_by:
        state = "" if use.running else ", not running"
        mode = "read only" if use.read_only else "read and write"
        where = f"{use.service or use.container} {glyphs.arrow} {use.destination}"
        lines += wrapped(f"{glyphs.dot} {where} ({mode}{state})", width)
    if not volume.used_by:
        lines.append(Content.styled(f"{glyphs.dot} No container mounts it.", Tone.MUTED))
    return lines


class VolumesPane(RowsAndDetail[Volume]):
    pane_id = "volumes"
    title = "Volumes"
    letter = "v"
    topics = frozenset({"volumes", "backups"})
    sources = ("volumes", "sizes")
    actions = (
        *RowsAndDetail.actions,
        Action("persistence", ("p",), "persistence", "Show the last proof of persistence, point by point.", footer=12),
    )
    _measured = False
    _verdict: Verdict | None = None  # the last of verify-persistence

    def make_table(self) -> RowTable[Volume]:
        return RowTable(
            self._columns(),
            key=lambda volume: volume.key,
            empty="No volume.",
            marks=False,
            muted=lambda volume: bool(volume.used_by) and not any(use.running for use in volume.used_by),
            search=lambda one: f"{one.name} {one.path} {one.safety} {_KIND[one.kind]} {users_said(one.used_by)}",
        )

    def _columns(self) -> tuple[Column[Volume], ...]:
        return (
            Column("safety", "Safety", 19, self._safety, order=lambda volume: _RANK[volume.safety]),
            Column(
                "name",
                "Name",
                16,
                self._name_shown,
                grow=True,
                most=40,
            ),
            Column(
                "size",
                "Size",
                12,
                lambda volume: size_said(volume, self.glyphs, measured=self._measured),
                priority=1,
                align="right",
                order=lambda volume: volume.size_bytes,
                descending=True,
            ),
            Column("used", "Used by", 16, lambda volume: users_said(volume.used_by), priority=2, grow=True, most=70),
            Column("kind", "Kind", 16, lambda volume: _KIND[volume.kind], priority=3),
            Column(
                "measured",
                "Measured",
                10,
                lambda volume: (measured_said(volume, self.now), Tone.MUTED),
                priority=4,
                align="right",
                sortable=False,
            ),
        )

    def _name_shown(self, volume: Volume) -> CellText:
        most = 20 if volume.kind is VolumeKind.ANONYMOUS else 40  # 64 hexadecimal digits say no more than 20
        return shorten_middle(volume.name, most, ellipsis=self.glyphs.ellipsis)

    def _safety(self, volume: Volume) -> CellText:
        tone = _TONE[volume.safety]
        return f"{sign(tone, self.glyphs)} {volume.safety.value}", tone

    def show(self, snapshot: Snapshot) -> None:
        sizes = snapshot.readings.get("sizes")
        self._measured = sizes is not None and sizes.sampled_at is not None
        volumes = worst_first(snapshot.volumes)
        glyphs, empty = self.glyphs, empty_said(snapshot)
        verdict, now = self._verdict, snapshot.sampled_at
        self.show_rows(
            volumes,
            now,
            lambda width: [
                *(summary(volumes, width, glyphs) if volumes else wrapped(empty, width, style=Tone.MUTED)),
                *persistence.said(verdict, now, width, glyphs),
            ],
        )

    def entered(self) -> None:
        """Read what verify-persistence has left: another one may have run it since."""
        app = self.console_app

        def have(found: Verdict | None) -> None:
            if found != self._verdict:
                self._verdict = found
                if self.is_mounted and app.snapshot is not None:
                    self.show(app.snapshot)

        app.aside(lambda: standing.persistence(app), have, "persistence")

    def action_persistence(self) -> None:
        self.app.push_screen(persistence.PersistenceScreen(self._verdict))

    def detail_of(self, record: Volume, width: int) -> list[Content]:
        return detail(record, self.now, width, self.glyphs, measured=self._measured)
