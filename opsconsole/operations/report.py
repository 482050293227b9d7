"""What an operation did, for a person: its records as lines, and all of it as a report in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opsconsole.operations import journal, plan, plan_text
from opsconsole.operations.journal import Entry, Result
from opsconsole.text import printable


def lines_of(entry: Entry) -> Iterator[str]:
    """A record for a person."""
    at = f"{entry.at:%H:%M:%S}"
    if entry.event == "begin":
        yield f"{at}  {entry.title} by {entry.who.words() if entry.who else '?'}  {entry.operation}"
    elif entry.event == "step":
        yield f"{at}  > {entry.title}"
    elif entry.event == "step-end":
        mark = "ok" if entry.result is Result.DONE else str(entry.result).upper()
        codes = f", exit codes {' '.join(map(str, entry.exit_codes))}" if any(entry.exit_codes) else ""
        text = f": {entry.text}" if entry.text else ""
        yield f"{at}    {mark} in {entry.seconds:.1f} s{codes}{text}"
    elif entry.event == "end":
        yield f"{at}  {(entry.text or str(entry.result)).upper()} after {entry.seconds:.1f} s"
        if entry.problem:
            yield f"          {entry.problem}"
        yield from (f"          | {line}" for line in entry.last_lines)
        yield from (f"          now {line}" for line in entry.state)
        if entry.less:
            yield f"          DATA: less than before: {'; '.join(entry.less[:3])}{' ...' if entry.less[3:] else ''}"
        if entry.hint:
            yield f"          {entry.hint}"
        yield from (f"          by hand: {line}" for line in entry.by_hand)
    elif entry.event == "progress":
        of = f" ({entry.done} of {entry.total} {entry.unit})".replace(" )", ")") if entry.total else ""
        yield f"{at}    {entry.text}{of}"
    elif entry.event == "way-back":
        yield f"{at}  WAY BACK, {entry.text}: {entry.problem}"
    elif entry.event == "guard":
        yield from _guard_lines(at, entry)


def _guard_lines(at: str, entry: Entry) -> Iterator[str]:
    """Silence when nothing is less and everything could be compared."""
    yield from (f"{at}    DATA: {line}" for line in entry.notes)
    if entry.less:
        yield f"{at}    DATA: LESS THAN BEFORE"
        yield from (f"          - {line}" for line in entry.less)
        yield f"          {entry.hint}"


def markdown(place: Path) -> str:
    """One operation as a report: the plan, the course, the output of each command."""
    records = journal.read(place)
    what = journal.read_plan(place)
    course = [line for record in records for line in lines_of(record)]
    output = place / "output.log"
    text = output.read_text(errors="replace") if output.exists() else ""
    parts = [f"# {plan.title(what)}", "", f"Operation `{place.name}`", ""]
    for heading, body in (("Plan", plan_text.as_text(what)), ("Course (UTC)", "\n".join(course)), ("Output", text)):
        if body.strip():
            indented = ("    " + printable(line) for line in body.strip("\n").splitlines())
            parts += [f"## {heading}", "", *indented, ""]
    return "\n".join(parts)
