"""Is all well? Every thing that was looked at, worst first; below it the number, the limit and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from textual.content import Content

from opsconsole.alert_findings import Thresholds
from opsconsole.health import HealthLine, Verdict, check
from opsconsole.health.checking import worst_first
from opsconsole.health.databases import name_of
from opsconsole.model import DatabaseTarget, Snapshot
from opsconsole.operations.orders import DatabaseOrder
from opsconsole.operations.requests import Request
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.rows_and_detail import RowsAndDetail
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import flowed, wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Glyphs, Tone

_TONES = {
    Verdict.CRITICAL: Tone.BAD,
    Verdict.ATTENTION: Tone.WARNING,
    Verdict.UNKNOWN: Tone.WARNING,
    Verdict.WELL: Tone.GOOD,
    Verdict.NOTHING: Tone.MUTED,
}
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
AREA_WORDS = {"mongodb": "MongoDB", "redis": "Redis"}
_LABEL = 12
SILENCED = "silenced"


def word_of(line: HealthLine) -> str:
    return line.verdict.value if line.silenced_until is None else SILENCED


def tone_of(line: HealthLine) -> Tone:
    return _TONES[line.verdict] if line.silenced_until is None else Tone.MUTED


def signed(word: str, glyphs: Glyphs) -> str:
    """A verdict with its sign: colour alone says nothing."""
    signs = {
        Verdict.CRITICAL: glyphs.bad,
        Verdict.ATTENTION: glyphs.warning,
        Verdict.UNKNOWN: glyphs.unknown,
        Verdict.WELL: glyphs.good,
    }
    return f"{signs.get(Verdict(word), glyphs.off) if word != SILENCED else glyphs.off} {word}"


def key_of(line: HealthLine) -> str:
    return f"{line.area} {line.subject} {line.looked_at}"


def summary(lines: Sequence[HealthLine], width: int, glyphs: Glyphs) -> list[Content]:
    """How many there are of each verdict."""
    tones = {word_of(line): tone_of(line) for line in lines}
    counts = Counter(word_of(line) for line in lines)
    return flowed(
        [Content.styled(signed(word, glyphs).replace(" ", f" {counts[word]} ", 1), tones[word]) for word in counts],
        width,
        gap=3,
    )


def detail(line: HealthLine, width: int, glyphs: Glyphs) -> list[Content]:
    """What was looked at, what was found, what it is compared with, and what to do."""
    tone = tone_of(line)
    which = f"{AREA_WORDS.get(line.area, line.area)}, {line.subject}" if line.subject != line.area else line.area
    said = [
        ("which", which, ""),
        ("looked at", line.looked_at, ""),
        ("found", line.number, tone),
        ("limit", line.limit, ""),
    ]
    lines = [
        part
        for label, text, style in said
        if text
        for part in _labelled(label, wrapped(text, width - _LABEL, style=style))
    ]
    if line.silenced_until is not None:
        lines += _labelled("silenced", [Content(f"until {line.silenced_until:%Y-%m-%d %H:%M} UTC: it does not count")])
    if line.action:
        lines += wrapped(f"{glyphs.arrow} {line.action}", width, style=Tone.ACCENT)
    return lines


def _labelled(label: str, said: Sequence[Content]) -> list[Content]:
    return [
        Content.assemble((f"{'' if number else label:<{_LABEL}}", Tone.MUTED), part) for number, part in enumerate(said)
    ]


class HealthPane(RowsAndDetail[HealthLine]):
    pane_id = "health"
    title = "Health"
    letter = "H"
    topics = frozenset({"usage", "host", "databases", "probes", "backups", "schedule"})
    sources = ()  # what fails is a line that says so
    actions = (
        *RowsAndDetail.actions,
        Action("app.maintenance", ("t",), "maintenance", "Tasks of the runbook: what is due.", footer=12,
               palette=False),
        Action("validate", ("V",), "validate", "On a line of MongoDB: validate its collections; a plan is shown first.",
               footer=11, changes=True, opens=True),
    )  # fmt: skip
    _snapshot: Snapshot | None = None

    def make_table(self) -> RowTable[HealthLine]:
        return RowTable(
            (
                Column(
                    "verdict", "Health", 12, self._verdict, order=lambda line: _RANK[line.verdict], descending=False
                ),
                Column("area", "What", 12, lambda line: AREA_WORDS.get(line.area, line.area)),
                Column("subject", "Which", 14, lambda line: line.subject),
                Column("number", "Found", 44, self._number, grow=True, most=90),
                Column("limit", "Limit", 20, lambda line: line.limit, priority=1, grow=True, most=46),
                Column("looked_at", "Looked at", 26, lambda line: line.looked_at, priority=2, grow=True, most=50),
            ),
            key=key_of,
            empty="Looking.",
            marks=False,
            muted=lambda line: line.verdict is Verdict.NOTHING,
            search=lambda line: (
                f"{word_of(line)} {line.area} {line.subject} {line.number} {line.looked_at} {line.action}"
            ),
        )

    def _verdict(self, line: HealthLine) -> CellText:
        return signed(word_of(line), self.glyphs).removesuffix(" there"), tone_of(line)

    def _number(self, line: HealthLine) -> CellText:
        return line.number, tone_of(line) if line.counts else Tone.PLAIN

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        monitor, glyphs = self.console_app.monitor, self.glyphs
        lines = worst_first(check(snapshot, monitor.thresholds if monitor is not None else Thresholds()).lines)
        self.show_rows(lines, snapshot.sampled_at, lambda width: summary(lines, width, glyphs))

    def detail_of(self, record: HealthLine, width: int) -> Sequence[Content]:
        return detail(record, width, self.glyphs)

    def _target(self) -> DatabaseTarget | None:
        """The MongoDB that the row under the cursor is about."""
        line, found = self.table.current, self._snapshot.databases if self._snapshot is not None else ()
        if line is None or line.area != "mongodb":
            return None
        return next(
            (one.target for one in found if one.target.kind == line.area and name_of(one) == line.subject), None
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._target() is not None if action == "validate" else super().check_action(action, parameters)

    def action_validate(self) -> None:
        target, operating = self._target(), self.console_app.operating
        if target is not None and not operating.refused(changes=True):
            order = DatabaseOrder(kind=target.kind, server=target.name)
            operating.plan(Request(what="validate", database=order), f"validate {target.name}")
