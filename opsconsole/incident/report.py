"""An incident as a report in Markdown: time line, actions, graphs as text, statement on data, open points. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from opsconsole.incident import course
from opsconsole.incident.course import Incident
from opsconsole.incident.evidence import Change, Evidence, What
from opsconsole.incident.matrix import recommend
from opsconsole.incident.priority import words
from opsconsole.text import printable

BEFORE = timedelta(hours=2)
"""The time line begins so long before the incident was declared."""

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60


def time_line(incident: Incident, evidence: Evidence) -> tuple[Change, ...]:
    """What happened around an incident and what was said and done in it, oldest first."""
    begins = (incident.declared_at or evidence.now) - BEFORE
    own = [
        Change(at=one.at, what=What.INCIDENT, text=course.said(one)) for one in incident.entries if one.event != "saw"
    ]
    around = [
        one for one in evidence.changes if one.at >= begins and (not incident.closed_at or one.at <= incident.closed_at)
    ]
    return tuple(sorted((*own, *around), key=lambda one: (one.at, one.what, one.text)))


def markdown(
    incident: Incident,
    evidence: Evidence,
    actions: Sequence[tuple[str, str]],
    series: Mapping[str, Sequence[float]],
    lost: Sequence[str] = (),
    open_points: Sequence[str] = (),
) -> str:
    """The report. `actions` are operations of that time, as (title, text); `series` the curves that are drawn; `lost`
    what their plans said goes."""
    stack = evidence.snapshot.stack.name if evidence.snapshot.stack else ""
    parts = [f"# Incident {incident.name}: {_text(incident.title)}", ""]
    parts += [f"- {line}" for line in _head(incident, evidence, stack)]
    parts += ["", "## Time line (UTC)", "", *_table(time_line(incident, evidence)), ""]
    parts += ["## Checklists", "", *_checklists(incident), ""]
    if incident.notes:
        parts += ["## Notes", "", *(f"- {_time(one.at)} {_text(course.said(one))}" for one in incident.notes), ""]
    if incident.is_open:
        parts += ["## What the decision matrix says now", "", *_matrix(evidence), ""]
    parts += ["## Actions", ""]
    for title, text in actions:
        parts += [f"### {_text(title)}", "", *(f"    {printable(line)}" for line in text.splitlines()), ""]
    if not actions:
        parts += ["No operation ran in that time.", ""]
    if series:
        until = incident.closed_at or evidence.now
        parts += [f"## Graphs, up to {_time(until)}", "", *(f"    {line}" for line in _graphs(series)), ""]
    parts += ["## Data", "", *(f"- {_text(line)}" for line in (*lost, *data_statement(incident, evidence))), ""]
    parts += ["## Open points", ""]
    parts += [f"- [ ] {_text(line)}" for line in (*_open(incident, evidence), *open_points)] or ["None."]
    return "\n".join(parts).rstrip("\n") + "\n"


def data_statement(incident: Incident, evidence: Evidence) -> list[str]:
    """What is known about lost data: what was found, and what it was compared with. Silence is no proof."""
    said = [f"Missing now: {one.text}." for one in evidence.data]
    begins = (incident.declared_at or evidence.now) - BEFORE
    said += [f"Found by the guard at {_time(one.at)}: {one.text}." for one in evidence.known.losses if one.at >= begins]
    for one in evidence.changes:
        if one.what is What.RESTORE and one.at >= begins:
            said.append(
                f"{one.text} at {_time(one.at)}: what was written after that backup is in the safety backup of this "
                "restore."
            )
    compared = list(dict.fromkeys(one.origin for one in evidence.known.baselines))
    asked = evidence.snapshot.databases
    silent = [one.target.name for one in asked if not one.reachable]
    if len(silent) == len(asked):
        said.append("Not known: no database answers now.")
    elif silent:
        said.append(f"Not known of {' and '.join(silent)}, which does not answer now.")
    if not compared:
        said.append("Not known: there is no earlier count and no backup to compare with.")
    elif not evidence.data and len(silent) < len(asked):
        said.append(
            f"No sign of lost data{' in the others' if silent else ''}: nothing is empty, gone or below a tenth of "
            f"what it held in {', '.join(compared)}. That fewer were removed cannot be seen by this."
        )
    return list(dict.fromkeys(said))


def _head(incident: Incident, evidence: Evidence, stack: str) -> Iterable[str]:
    host = evidence.snapshot.host.name if evidence.snapshot.host else ""
    yield f"Stack: {_text(stack) or 'not known'}" + (f" on {_text(host)}" if host else "")
    yield f"Priority: {words(incident.priority)}"
    if incident.declared_at is not None:
        yield f"Declared: {_time(incident.declared_at)} by {_text(incident.declared_by)}"
    if incident.closed_at is not None:
        yield f"Closed: {_time(incident.closed_at)} by {_text(incident.closed_by)}"
    else:
        yield "Not closed yet"
    yield f"Duration: {_duration(incident.age(evidence.now))}"
    if incident.resolution:
        yield f"Resolution: {_text(incident.resolution)}"
    declared = next((one for one in incident.entries if one.event == "declare"), None)
    if declared is not None and declared.symptoms:
        yield f"Red when it was declared: {_text('; '.join(declared.symptoms))}"
    for one in evidence.changes:
        if one.operation in incident.operations:
            yield f"Done about it: {_text(one.text)} after {_duration((one.end - one.at).total_seconds())}"
    if incident.closed_at is not None:
        red = next((one.symptoms for one in reversed(incident.entries) if one.event == "close"), ())
        yield f"Red when it was closed: {_text('; '.join(red)) or 'nothing'}"
    yield f"Written: {_time(evidence.now)}"


def _table(changes: Sequence[Change]) -> Iterable[str]:
    yield "| Time | | What |"
    yield "|---|---|---|"
    for one in changes:
        operation = f" (`{one.operation}`)" if one.operation else ""
        yield (
            f"| {_time(one.at)} | {'**' if one.bad else ''}{one.what}{'**' if one.bad else ''} | "
            f"{_text(one.text)}{operation} |"
        )


def _checklists(incident: Incident) -> Iterable[str]:
    for one in incident.items:
        tick = incident.ticks.get(one.key)
        by = f" ({_text(tick.who)}, {_time(tick.at)})" if tick else ""
        yield f"- [{'x' if tick else ' '}] {one.part}: {one.text}{by}"


def _matrix(evidence: Evidence) -> Iterable[str]:
    found = recommend(evidence)
    for one in found:
        yield f"- **{one.issue}** -> {one.answer}"
        yield from (f"  - for: {_text(line)}" for line in one.evidence)
        yield from (f"  - against: {_text(line)}" for line in one.against)
    if not found:
        yield "Nothing: nothing is red and no data is missing."


def _graphs(series: Mapping[str, Sequence[float]]) -> Iterable[str]:
    longest = max(map(len, series))
    for name, values in series.items():
        if values:
            own = values[-_WIDTH:]
            course = f"{min(own):.1f} to {max(own):.1f}, at the end {own[-1]:.1f}"
            yield f"{printable(name):<{longest}}  {bars(own)}  {course}"


def bars(values: Sequence[float]) -> str:
    """A curve in one line of text, from its lowest value to its highest."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[min(7, int((value - low) / span * 8))] for value in values)


def _open(incident: Incident, evidence: Evidence) -> Iterable[str]:
    if incident.is_open:
        yield "The incident is not closed."
    yield from (f"Still red: {one.text}" for one in evidence.symptoms)
    yield from (f"Not done: {one.part}: {one.text}" for one in incident.to_do)
    yield from (f"Not seen for this report: {one}" for one in evidence.known.problems)


def _text(text: str) -> str:
    """One line that Markdown does not read as its own."""
    shown = printable(text)
    for sign in ("\\", "|", "*", "_", "`", "<", "[", "#"):
        shown = shown.replace(sign, f"\\{sign}")
    return shown


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {int(seconds % 60)} s"
