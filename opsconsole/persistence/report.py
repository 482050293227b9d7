"""A verdict as text, as Markdown, and as one line for the console. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from opsconsole.persistence.verdict import Check, Verdict
from opsconsole.text import printable

STALE = timedelta(days=31)
"""A verdict that is older says little about today."""


def text(verdict: Verdict) -> str:
    """For a terminal, a log or a mail."""
    return "\n".join(printable(line) for line in _lines(verdict)) + "\n"


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"Persistence of {verdict.stack}: {verdict.score} %   {verdict.at:%Y-%m-%d %H:%M} UTC"
    yield ""
    for one in verdict.checks:
        yield f"{_mark(one)}  {_points(one):>8}  {one.title}"
        yield f"                {one.said}"
        if one.get_it:
            yield f"                -> {one.get_it}"
    yield ""
    yield conclusion(verdict)


def conclusion(verdict: Verdict) -> str:
    """What the number means, in one sentence."""
    if verdict.score == 100:
        return "Everything that was asked for is proven."
    if not verdict.missing:
        return "Nothing could be asked for: no database and no backup was found."
    return f"{100 - verdict.score} of 100 points are not proven; behind each arrow stands how to get them."


def markdown(verdict: Verdict) -> str:
    """A report to keep: a table of all checks, then what is missing with the commands."""
    lines = [
        f"# Persistence of {_cell(verdict.stack)}: {verdict.score} %",
        "",
        f"{verdict.at:%Y-%m-%d %H:%M} UTC. {conclusion(verdict)}",
        "",
        "| | Points | What | Evidence |",
        "|---|---|---|---|",
        *(f"| {_word(one)} | {_points(one)} | {_cell(one.title)} | {_cell(one.said)} |" for one in verdict.checks),
    ]
    if verdict.missing:
        lines += ["", "## Not proven", ""]
        lines += [f"- {_cell(one.title)}: {_cell(one.said)}. To get it: {_cell(one.get_it)}" for one in verdict.missing]
    return "\n".join(lines) + "\n"


def line(verdict: Verdict | None, now: datetime) -> tuple[str, bool]:
    """(`persistence 92 % proven, 3 d ago: a backup was really restored within 31 days is missing`, whether all is
    well). `verdict` is the last one that was kept, None when there is none."""
    if verdict is None:
        return "persistence not verified yet: opsconsole verify-persistence", False
    age = now - verdict.at
    when = _ago(age)
    if verdict.score < 100:
        first = verdict.missing[0] if verdict.missing else None
        more = f" and {len(verdict.missing) - 1} more" if len(verdict.missing) > 1 else ""
        what = f"; not proven: {first.title}{more}" if first else ""
        return printable(f"persistence {verdict.score} %, {when}{what}"), False
    if age > STALE or age < -timedelta(minutes=5):
        return f"persistence 100 %, but {when}: opsconsole verify-persistence", False
    return f"persistence 100 % proven, {when}", True


def _ago(age: timedelta) -> str:
    minutes = age.total_seconds() / 60
    if minutes < -5:
        return "dated in the future"
    if minutes < 2:
        return "just now"
    for amount, unit in ((minutes / 1440, "d"), (minutes / 60, "h")):
        if amount >= 2:
            return f"{amount:.0f} {unit} ago"
    return f"{minutes:.0f} m ago"


def _word(one: Check) -> str:
    return "not counted" if not one.counted else "proven" if one.proven else "**missing**"


def _mark(one: Check) -> str:
    return "  -  " if not one.counted else "  ok " if one.proven else "  NO "


def _points(one: Check) -> str:
    return f"{one.points if one.proven else 0:.0f} of {one.points:.0f}" if one.counted else "-"


def _cell(text: str) -> str:
    """Outside text in a table of Markdown."""
    safe = printable(text).replace("\\", "\\\\")
    for character in "|`*_<>[]":
        safe = safe.replace(character, f"\\{character}")
    return safe
