"""What the log pane says about itself: ranges, and the line under the log. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from textual.content import Content

from opsconsole.model import LogLevel
from opsconsole.sources import LogRange
from opsconsole.text import printable
from opsconsole.ui.widgets.lines import flowed
from opsconsole.ui.widgets.log_rows import Times
from opsconsole.ui.wording import Glyphs, Tone, count, plural

TAIL, TAIL_OF_MANY, MANY = 1000, 200, 10
"""Last lines read of each container; fewer when more than `MANY` are followed."""

HEAD = 5000
"""First lines read, of all together."""


@dataclass(frozen=True, slots=True)
class Range:
    """One of the ranges on the keys 0-6. `wanted` gives the request for so many containers."""

    label: str
    wanted: Callable[[datetime, int], LogRange]
    follows: bool = True


def _last(label: str, **ago: int) -> Range:
    return Range(label, lambda now, containers: LogRange(since=now - timedelta(**ago)))


RANGES = (
    Range("tail", lambda now, containers: LogRange(tail=TAIL if containers <= MANY else TAIL_OF_MANY)),
    Range("first lines", lambda now, containers: LogRange(head=HEAD, follow=False), follows=False),
    _last("last minute", minutes=1),
    _last("last 5 minutes", minutes=5),
    _last("last 15 minutes", minutes=15),
    _last("last hour", hours=1),
    Range("all", lambda now, containers: LogRange()),
)


@dataclass(frozen=True, slots=True)
class LogState:
    """What there is to say. Two equal states look the same."""

    range: str
    follows: bool  # the range goes on with new lines
    following: bool  # the view stays at the end
    new_lines: int
    services: frozenset[str]
    of_services: int
    filter: str
    note: str
    level: LogLevel
    search: str
    search_note: str
    shown: int
    total: int
    forgotten: int
    skipped: int
    left: int
    times: Times
    problem: str
    waiting: bool
    zone: str


def status_lines(state: LogState, width: int, glyphs: Glyphs) -> list[Content]:
    """The lines under the log; a fact that does not fit goes on the next line."""
    lines = flowed([_where(state, glyphs), *_facts(state, width, glyphs)], width)
    if state.problem:
        lines.insert(0, Content.assemble((f"{glyphs.bad} {printable(state.problem)}", Tone.BAD)))
    if state.note:
        lines.append(Content.assemble((f"{glyphs.warning} {printable(state.note)}", Tone.WARNING)))
    return lines


def _where(state: LogState, glyphs: Glyphs) -> Content:
    if not state.follows:
        return Content.assemble(("not following, 0 does", Tone.MUTED))
    if not state.following:
        new = f", {plural(state.new_lines, 'new line')} below" if state.new_lines else ""
        return Content.assemble((f"{glyphs.warning} paused{new}", f"bold {Tone.WARNING}"), (" f follows", Tone.MUTED))
    return Content.assemble((f"{glyphs.good} following", Tone.GOOD))


def _facts(state: LogState, width: int, glyphs: Glyphs) -> list[Content]:
    facts = [Content.assemble((state.range, Tone.STRONG))]
    if state.waiting:
        facts.append(Content.assemble((f"{glyphs.busy} reading", Tone.ACCENT)))
    facts.append(_fact("of", _services(state)))
    if state.filter:
        facts.append(_fact("filter", printable(state.filter), Tone.ACCENT))
    if state.level is not LogLevel.UNKNOWN:
        worse = "" if state.level is LogLevel.ERROR else " and worse"
        facts.append(_fact("level", f"{state.level}{worse}", Tone.ACCENT))
    if state.search:
        note = f" ({state.search_note})" if state.search_note else ""
        facts.append(_fact("search", f"{printable(state.search)}{note}", Tone.ACCENT))
    if state.shown != state.total:
        facts.append(_fact("", f"{count(state.shown)} of {plural(state.total, 'line')}"))
    else:
        facts.append(_fact("", plural(state.total, "line")))
    if state.skipped:
        facts.append(Content.assemble((f"{glyphs.warning} {count(state.skipped)} skipped", Tone.WARNING)))
    if state.forgotten:
        facts.append(Content.assemble((f"{count(state.forgotten)} older ones not kept", Tone.MUTED)))
    if state.left:
        facts.append(_fact("from column", str(state.left + 1)))
    if state.times is not Times.OFF and width >= 80:
        facts.append(_fact("times in", state.zone))
    return facts


def _services(state: LogState) -> str:
    if not state.services:
        return plural(state.of_services, "service")
    if len(state.services) == 1:
        return printable(next(iter(state.services)))
    return f"{len(state.services)} of {plural(state.of_services, 'service')}"


def _fact(label: str, value: str, style: str = "") -> Content:
    return Content.assemble((f"{label} " if label else "", Tone.MUTED), (value, style))
