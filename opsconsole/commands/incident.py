"""`opsconsole incident`: declare, show, note, tick, escalate, close, report, bundle, list. It changes nothing else.

Exit codes: 0 done, 1 `show`: something is red or data is missing, 2 nothing was done.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import NotConfirmed
from opsconsole.commands.chosen_stack import add_stack_options, looking_monitor, site_of
from opsconsole.model import AlertState, Snapshot, SourceError, to_json
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.incident.course import Incident
    from opsconsole.incident.evidence import Evidence
    from opsconsole.incident_room.room import Room
    from opsconsole.operations.site import Site

RED = 1
_SECONDS = 20.0
_SHOWN_CHANGES = 20
_PRIORITIES = ("P1", "P2", "P3", "P4")


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "incident",
        help="what is red, what changed, what the runbook answers; the record, the report and the bundle",
        description="What is red, what changed in the last hours and what the runbook's decision matrix answers; and "
        "the record of an incident: time line, notes, checklists, report. Nothing of the stack is changed by it.",
    )
    add_stack_options(parser)
    parts = parser.add_subparsers(title="what", metavar="WHAT", required=True)

    def part(name: str, words: str, run: Callable[[argparse.Namespace, Site], int]) -> argparse.ArgumentParser:
        made = parts.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        add_stack_options(made)
        made.set_defaults(run=lambda arguments: run(arguments, site_of(arguments)))
        return made

    one = part("declare", "open an incident; without a priority the one that fits what is red", _declare)
    one.add_argument(
        "words", nargs="*", metavar="[P1|P2|P3|P4] TITLE", help="priority and what is wrong, in a few words"
    )
    one.add_argument("--alert", metavar="SUBJECT", help="from the alert that fires about this: `backend`, `disk` ...")
    one = part("show", "show evidence, recommendations and the record; exit 1 when something is red", _show)
    _add_id(one)
    one.add_argument("--json", action="store_true", help="as one JSON object")
    one = part("note", "write a note into the record", _note)
    one.add_argument("words", nargs="+", metavar="TEXT")
    _add_option(one)
    one = part("tick", "tick an item of the checklists, with your name and the time", _tick)
    one.add_argument("item", metavar="ITEM", help="its key, as `show` lists them")
    one.add_argument("--undo", action="store_true", help="take the tick back")
    _add_option(one)
    one = part("escalate", "raise the priority by one, or to the one that --to names", _escalate)
    one.add_argument("--to", choices=_PRIORITIES, help="this priority; a lower one, too")
    one.add_argument("--why", default="", metavar="TEXT", help="kept in the record")
    _add_option(one)
    one = part("close", "close the incident", _close)
    one.add_argument("words", nargs="*", metavar="TEXT", help="what it was and what mended it")
    one.add_argument("-y", "--yes", action="store_true", help="also while something is red")
    _add_option(one)
    one = part("report", "write the report in Markdown", _report)
    _add_id(one)
    one.add_argument("--out", metavar="FILE", help="into this file, which must not be there; else printed")
    one = part("bundle", "collect logs, inspects, a Snapshot and the journals in one file, secrets masked", _bundle)
    _add_id(one)
    one.add_argument("--out", metavar="FILE", help="this file, which must not be there; else beside the record")
    one = part("list", "list the incidents, newest first", _list)
    one.add_argument("--json", action="store_true", help="as JSON, one object per line")


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", nargs="?", default="", metavar="ID", help="i1, i2 ...; else the one that is open")


def _add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--incident", default="", metavar="ID", help="i1, i2 ...; else the one that is open")


# --- the record ------------------------------------------------------------------------------------


def _declare(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident.priority import Priority, fitting, words
    from opsconsole.incident_room import records

    _may_write(arguments)
    said = list(arguments.words)
    if said and re.fullmatch(r"[Pp]\d+", said[0]) and said[0].upper() not in _PRIORITIES:
        raise SourceError(f"{said[0]} is no priority", f"There are {', '.join(_PRIORITIES)}.")
    priority = Priority(said.pop(0).upper()) if said and said[0].upper() in _PRIORITIES else None
    title, red = " ".join(said), tuple[str, ...]()
    if arguments.alert or not title or priority is None:
        evidence = _evidence(arguments, site)
        title = title or _title(evidence, arguments.alert)
        red = evidence.red
        priority = priority or fitting(evidence)
    made = records.declare(site.directory, title, priority, _who(), red)
    print(printable(f"{made.name} is open. {words(made.priority)}. {made.title}"))
    _tell(site, made, "incident-declared")
    return 0


def _tell(site: Site, incident: Incident, event: str) -> None:
    from opsconsole.incident_room import telling
    from opsconsole.notifying import Event

    said = telling.tell(site.directory, site.config(), site.project or site.directory.name, incident, Event(event))
    if said:
        print(printable(said))


def _title(evidence: Evidence, subject: str | None) -> str:
    """Of the alert that fires about a subject, or of the worst of all. Raises SourceError."""
    from opsconsole.incident.evidence import headline

    if subject:
        alerts = [one for one in evidence.snapshot.alerts if one.state is AlertState.FIRING]
        found = next((one.message for one in alerts if subject in (one.subject, one.rule)), "")
        if not found:
            known = ", ".join(dict.fromkeys(one.subject for one in alerts)) or "none"
            raise SourceError(f"no alert about {subject} fires", f"Those that do are about: {known}.")
        return headline(found)
    if not evidence.title:
        raise SourceError("nothing is red: an incident needs a title then", "Say in a few words what is wrong.")
    return evidence.title


def _note(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident_room import records

    one = _open(arguments, site)
    records.note(site.directory, one.name, " ".join(arguments.words), _who())
    print(f"noted in {one.name}")
    return 0


def _tick(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident_room import records

    one = _open(arguments, site)
    after = records.tick(site.directory, one.name, arguments.item, _who(), done=not arguments.undo)
    print(f"{one.name}: {len(after.to_do)} of {len(after.items)} are left to do")
    return 0


def _escalate(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident.priority import Priority, words
    from opsconsole.incident_room import records

    one = _open(arguments, site)
    if arguments.to:
        after = records.prioritise(site.directory, one.name, Priority(arguments.to), _who(), arguments.why)
    else:
        after = records.escalate(site.directory, one.name, _who(), arguments.why)
    print(f"{one.name} is {words(after.priority)}")
    if after.priority is not one.priority:
        _tell(site, after, "incident-priority")
    return 0


def _close(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident_room import records

    one = _open(arguments, site)
    red = _evidence(arguments, site).red
    if red and not arguments.yes:
        many = f"{len(red)} things are" if len(red) > 1 else "1 thing is"
        raise SourceError(f"{one.name} was not closed: {many} still red: {red[0]}", "--yes closes it.")
    closed = records.close(site.directory, one.name, _who(), " ".join(arguments.words), red)
    print(f"{one.name} is closed; `opsconsole incident report {one.name}` writes the report")
    _tell(site, closed, "incident-closed")
    return 0


def _list(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident_room import records

    found = records.all_incidents(site.directory)
    for one in found:
        if arguments.json:
            import msgspec

            print(msgspec.json.encode(one).decode())
            continue
        state = "OPEN" if one.is_open else f"closed {one.closed_at:%Y-%m-%d %H:%M}"
        print(printable(f"{one.name}  {one.priority}  {one.declared_at:%Y-%m-%d %H:%M}  {state}  {one.title}"))
    if not found and not arguments.json:
        print("no incident yet")
    return 0


# --- what is known ---------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident.matrix import recommend
    from opsconsole.incident_room import records

    named = records.find(site.directory, arguments.incident) if arguments.incident else None
    incident = named or records.open_incident(site.directory)
    evidence = _evidence(arguments, site)
    if arguments.json:
        print(to_json({
            "incident": incident,
            "symptoms": evidence.symptoms,
            "data": evidence.data,
            "changes": evidence.changes,
            "recommendations": recommend(evidence),
            "not_seen": evidence.known.problems,
        }), end="")  # fmt: skip
    else:
        print("\n".join(printable(line) for line in _page(incident, evidence)))
    return 0 if evidence.quiet else RED


def _page(incident: Incident | None, evidence: Evidence) -> Iterator[str]:
    from opsconsole.incident.blame import waiting
    from opsconsole.incident.matrix import recommend

    if incident is None:
        yield "No incident is open. `opsconsole incident declare [P2] TITLE` opens one."
    else:
        yield from _head(incident, evidence)
    yield ""
    yield "Red now" if evidence.symptoms or evidence.data else "Nothing is red now"
    yield from (f"  {'critical' if one.critical else 'warning':<9} {one.text}" for one in evidence.symptoms)
    yield from (f"  {'data':<9} {one.text}" for one in evidence.data)
    if found := waiting(evidence):
        yield ""
        yield found
    for one in recommend(evidence):
        yield ""
        yield f"{one.issue} -> {one.answer}"
        yield from (f"  + {line}" for line in one.evidence)
        yield from (f"  - {line}" for line in one.against)
        yield from (f"  do: {way.command}   ({way.label})" for way in one.ways)
    yield ""
    yield "What changed"
    for change in evidence.changes[:_SHOWN_CHANGES]:
        yield f"  {change.at.astimezone():%H:%M:%S}  {change.what:<8} {change.text}"
    if not evidence.changes:
        yield "  nothing in the last hours"
    yield from (f"  not seen: {one}" for one in evidence.known.problems)
    if incident is not None:
        yield ""
        yield "Checklists"
        for item in incident.items:
            tick = incident.ticks.get(item.key)
            by = f"  ({tick.who}, {tick.at.astimezone():%H:%M})" if tick else ""
            yield f"  [{'x' if tick else ' '}] {item.key:<13} {item.text}{by}"
        for note in incident.notes:
            yield f"  {note.at.astimezone():%H:%M}  {note.who}: {note.text}"


def _head(incident: Incident, evidence: Evidence) -> Iterator[str]:
    from opsconsole.incident.priority import words

    minutes = incident.age(evidence.now) / 60
    state = f"open for {minutes:.0f} min" if incident.is_open else f"closed after {minutes:.0f} min"
    yield f"{incident.name}: {incident.title}"
    yield f"{words(incident.priority)}; {state}, declared by {incident.declared_by}"
    left = incident.escalates_in(evidence.now)
    if left is not None and left <= 0:
        yield "It is a P2 for 30 minutes and not resolved: the runbook makes it a P1 (`opsconsole incident escalate`)."


def _report(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.durable import write_private
    from opsconsole.incident_room import records, reporting

    incident = records.find(site.directory, arguments.incident)
    with _looking(arguments, site) as (snapshot, room):
        text = reporting.markdown(room, incident, snapshot)
    if not arguments.out:
        print(text, end="")
        return 0
    try:
        write_private(Path(arguments.out), text.encode())
    except FileExistsError:
        raise SourceError(f"{arguments.out} is there already; it was left as it is") from None
    print(f"wrote {arguments.out}")
    return 0


def _bundle(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.incident_room import bundle, records, reporting

    _may_write(arguments)
    incident = records.find(site.directory, arguments.incident)
    with _looking(arguments, site) as (snapshot, room):
        text = reporting.markdown(room, incident, snapshot)
        to = Path(arguments.out).absolute() if arguments.out else None
        path, said = bundle.bundle(site, incident, snapshot, text, to)
    print(printable(f"{path}: {said}; secrets are masked"))
    return 0


# --- what they share -------------------------------------------------------------------------------


def _may_write(arguments: argparse.Namespace) -> None:
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that writes", "`show` and `list` only look.")


def _open(arguments: argparse.Namespace, site: Site) -> Incident:
    """The incident that is written to. Raises SourceError when it is closed."""
    from opsconsole.incident_room import records

    _may_write(arguments)
    found = records.find(site.directory, arguments.incident)
    if not found.is_open:
        raise SourceError(f"{found.name} is closed", "`opsconsole incident declare TITLE` opens another.")
    return found


def _who() -> str:
    from opsconsole.operations import who

    return who.current().words()


def _evidence(arguments: argparse.Namespace, site: Site) -> Evidence:
    with _looking(arguments, site) as (snapshot, room):
        return room.evidence(snapshot)


@contextlib.contextmanager
def _looking(arguments: argparse.Namespace, site: Site) -> Iterator[tuple[Snapshot, Room]]:
    """One look at the stack, with the alerts that are kept, and the room for it."""
    from opsconsole.incident_room.room import Room

    monitor, _, _ = looking_monitor(arguments)
    monitor.start()
    try:
        snapshot = monitor.wait_until_settled(_SECONDS)
        if snapshot.stack is None:
            print("opsconsole: the stack could not be looked at: this is not all there is", file=sys.stderr)
        yield snapshot, Room(site.directory, monitor.sources.backups.look_inside)
    finally:
        monitor.stop()
