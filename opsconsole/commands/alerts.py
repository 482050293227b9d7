"""`opsconsole alerts`: what fires, who sees to it, what is silent, what was; and deciding about it from a terminal.

Acknowledging and silencing change nothing of the stack: they take no lock and go on beside an operation. Exit codes of
`list`: 0 nothing fires, 1 something does that nobody silenced, 2 could not look.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import NotConfirmed
from opsconsole.commands.chosen_stack import add_stack_options, look_once, stack_of
from opsconsole.model import Acknowledgement, Alert, AlertState, Record, Severity, Silence, SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from opsconsole.alert_findings import Thresholds
    from opsconsole.alert_keeper import AlertKeeper
    from opsconsole.commands import Commands
    from opsconsole.config import Config

WELL, FIRING = 0, 1

_WHAT = {
    "list": "what fires or is about to, who sees to it, what is silent",
    "ack": "say that you see to an alert: ack RULE [SUBJECT] --note TEXT; --undo takes it back",
    "silence": 'nobody is told for a while: silence RULE|"*" [SUBJECT] --for 2h; --undo ends it',
    "history": "what changed and who decided what: --since 24h",
    "rules": "the rules that are judged, and what metric and event of a rule of your own can be",
}


class Listed(Record, frozen=True):
    """What `list --json` prints."""

    at: datetime
    judged_by: str  # who looks, "" when this command did
    unstored: bool = False  # a collector looks, and cannot store what it finds
    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "alerts",
        help="alerts: list, acknowledge, silence, history, rules",
        description="Alerts are judged by `opsconsole collect`, or by a console that is open. Whom [notify] names is "
        "told while collect runs. " + " ".join(f"{name}: {words}." for name, words in _WHAT.items()),
    )
    add_stack_options(parser)
    parser.add_argument("what", nargs="?", default="list", choices=list(_WHAT), metavar="WHAT", help=", ".join(_WHAT))
    parser.add_argument("rule", nargs="?", metavar="RULE", help="ack, silence: the rule of the alert, as list shows it")
    parser.add_argument("subject", nargs="?", metavar="SUBJECT", help="what it is about; left out: silence all of it")
    parser.add_argument("--note", default="", metavar="TEXT", help="ack, silence: for the others, in one line")
    parser.add_argument("--for", dest="duration", metavar="2h", help="silence: for so long (at most 7d)")
    parser.add_argument("--until", metavar="TIME", help="silence: until 2026-01-31T08:00, or 08:00 (local time)")
    parser.add_argument("--undo", action="store_true", help="ack: nobody sees to it; silence: end it")
    parser.add_argument("--since", metavar="WHEN", default="24h", help="history: 24h (default), 7d, or a time")
    parser.add_argument("--json", action="store_true", help="list, history, rules: as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    directory, _, config = stack_of(arguments)
    now = datetime.now(UTC)
    if arguments.what == "list":
        return run_list(arguments, directory, now)
    if arguments.what == "history":
        return run_history(arguments, directory, now)
    if arguments.what == "rules":
        return run_rules(arguments, config)
    if not arguments.rule:
        raise SourceError(f"{arguments.what} needs the rule of an alert", "See `opsconsole alerts list`.")
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} refuses everything that changes something")
    from opsconsole.applied import alert_keeper
    from opsconsole.operations import who

    if not arguments.undo:
        _know(arguments.rule, config)
    act = run_ack if arguments.what == "ack" else run_silence
    return act(arguments, alert_keeper(directory, config, writes=True), directory, who.current().words(), now)


# --- looking -----------------------------------------------------------------------------------------


def current(arguments: argparse.Namespace, directory: Path, now: datetime) -> Listed:
    """The alerts as a collector or a console found them a moment ago; where neither runs, of a look of our own."""
    from opsconsole import alert_marks, alert_telling, alerts
    from opsconsole.alert_keeping import MARKS, MEMORY, TELLING, Kept, judges
    from opsconsole.alert_marks import Marks
    from opsconsole.alert_telling import Telling
    from opsconsole.collecting import service
    from opsconsole.metrics import MetricsReader, metrics_file

    reader = MetricsReader(metrics_file(directory))
    marks = Marks()
    try:
        lease, kept = reader.lease(), reader.state(MEMORY, Kept) or Kept()
        marks = reader.state(MARKS, Marks) or Marks()
        telling = reader.state(TELLING, Telling) or Telling()
    except SourceError as error:
        if not error.absent:
            raise
        lease, kept, telling = None, Kept(), Telling()
    if lease is not None and judges(lease, kept, now) and kept.at is not None:
        untold = alert_telling.untold(telling)
        found = (*alerts.alerts_of(kept.memory), *((untold,) if untold else ()))
        at, judged_by, shown = kept.at, kept.by, alert_marks.marked(found, marks, now)
    else:
        snapshot, _ = look_once(arguments)
        at, judged_by, shown = snapshot.sampled_at, "", snapshot.alerts
    silences = tuple(one for one in marks.silences if now < one.until)
    unstored = not judged_by and service.runs(directory)
    return Listed(at=at, judged_by=judged_by, unstored=unstored, alerts=shown, silences=silences)


def run_list(arguments: argparse.Namespace, directory: Path, now: datetime) -> int:
    from opsconsole.model import to_json

    found = current(arguments, directory, now)
    if arguments.json:
        print(to_json(found), end="")
    else:
        for line in _list_lines(found, now):
            print(printable(line))
    unsilenced = (alert for alert in found.alerts if alert.state is AlertState.FIRING and alert.silenced is None)
    return FIRING if any(unsilenced) else WELL


def _list_lines(found: Listed, now: datetime) -> list[str]:
    lines = []
    for alert in found.alerts:
        word = alert.state.value if alert.state is not AlertState.FIRING else alert.severity.value
        word = word.upper() if word == Severity.CRITICAL.value else word
        lines.append(f"{word:<9} {alert.rule}  {alert.subject}  since {_local(alert.since, now)}")
        lines.append(f"          {alert.message}" + (f" -> {alert.action}" if alert.action else ""))
        if alert.acknowledged is not None:
            seen = alert.acknowledged
            lines.append(f"          {seen.who} sees to it since {_local(seen.at, now)}{_note(seen.note)}")
        if alert.silenced is not None:
            one = alert.silenced
            lines.append(f"          silenced until {_local(one.until, now)} by {one.who}{_note(one.note)}")
    if not lines:
        lines.append("no alert")
    idle = [one for one in found.silences if all(alert.silenced != one for alert in found.alerts)]
    for one in idle:
        lines.append(
            f"silenced  {one.rule}  {one.subject}  until {_local(one.until, now)} by {one.who}{_note(one.note)}"
        )
    if found.unstored:
        lines.append("A collector runs and tells, but has stored nothing of late: see `opsconsole collect status`. "
                     "This is a look of our own, of this moment.")  # fmt: skip
    elif not found.judged_by:
        lines.append("Nobody keeps what is found: alerts are judged while a console is open, and always by "
                     "`opsconsole collect`.")  # fmt: skip
    return lines


def run_history(arguments: argparse.Namespace, directory: Path, now: datetime) -> int:
    from opsconsole import alert_events
    from opsconsole.commands.logs import parse_since
    from opsconsole.metrics import MetricsReader, metrics_file
    from opsconsole.model import to_json

    try:
        found = MetricsReader(metrics_file(directory)).events(
            parse_since(arguments.since, now), now + timedelta(minutes=5), kinds=alert_events.ALERT_KINDS, most=10_000
        )
    except SourceError as error:
        if not error.absent:
            raise
        found = ()
    if arguments.json:
        print(to_json(found), end="")
        return 0
    for event in found:
        word, said = alert_events.words(event, lambda at: _local(at, now))
        print(printable(f"{_local(event.at, now)}  {word:<13}{event.subject}  {said}"))
    if not found:
        print("nothing changed in this time")
    return 0


def run_rules(arguments: argparse.Namespace, config: Config) -> int:
    import json

    from opsconsole import alert_settings, notifying
    from opsconsole.alert_settings import BUILT_IN, EVENTS
    from opsconsole.applied import thresholds

    off, own = frozenset(config.alerts.off), config.alerts.rule
    if arguments.json:
        import msgspec

        value = {
            "built_in": sorted(BUILT_IN - off),
            "off": sorted(off),
            "own": msgspec.to_builtins(own),
            "metrics": alert_settings.metrics(),
            "events": dict(EVENTS),
        }
        print(json.dumps(value, indent=2))
        return 0
    limits = thresholds(config)
    ways = ", ".join(notifying.ways(config.notify)) or "nobody: see [notify] in opsconsole.toml"
    lines = [f"told: {ways}; from {config.alerts.tell} on, cooldown {config.alerts.cooldown}"]
    lines += ["", "of the console (limits: [alerts] in opsconsole.toml)"]
    lines += [_built_in(name, limits, off=name in off) for name in sorted(BUILT_IN)]
    lines += ["", "of your own ([[alerts.rule]])", *(f"  {one.name}  {_said(one)}" for one in own)]
    lines += [] if own else ["  none"]
    lines += ["", "what metric can be", *(f"  {name:<42} {said}" for name, said in alert_settings.metrics().items())]
    lines += ["", "what event can be", *(f"  {name:<42} {said}" for name, said in EVENTS.items())]
    for line in lines:
        print(printable(line))
    return 0


def _built_in(name: str, limits: Thresholds, *, off: bool) -> str:
    from opsconsole import alert_words

    return f"  {name:<20} {'off' if off else alert_words.severity_of(name):<9} {alert_words.said_of(name, limits)}"


def _said(own: object) -> str:
    from opsconsole.alert_settings import RuleSettings

    assert isinstance(own, RuleSettings)
    about = f" of {', '.join(own.subjects)}" if own.subjects else ""
    if own.event:
        codes = f" with {', '.join(map(str, own.exit_codes))}" if own.exit_codes else ""
        return f"{own.event}{codes}{about} {own.compares} {own.threshold:g} within {own.within}, {own.severity}"
    what = own.metric or f'lines a minute that match "{own.log}"'
    return f"{what}{about} {own.compares} {own.threshold:g} for {own.hold}, {own.severity}"


# --- deciding ----------------------------------------------------------------------------------------


def run_ack(arguments: argparse.Namespace, keeper: AlertKeeper, directory: Path, who: str, now: datetime) -> int:
    alert = _chosen(current(arguments, directory, now).alerts, arguments.rule, arguments.subject)
    if arguments.undo:
        if alert.acknowledged is None:
            raise SourceError(f"nobody sees to {alert.rule} of {alert.subject}", "See `opsconsole alerts list`.")
        keeper.withdraw(alert, who, now)
        print(printable(f"nobody sees to {alert.rule} of {alert.subject} any more"))
        return 0
    if alert.state is not AlertState.FIRING:
        raise SourceError(f"{alert.rule} of {alert.subject} is {alert.state}: only what fires can be acknowledged")
    keeper.acknowledge(alert, Acknowledgement(who=who, at=now, note=_one_line(arguments.note)))
    print(printable(f"{who} sees to {alert.rule} of {alert.subject}"))
    return 0


def _chosen(found: Sequence[Alert], rule: str, subject: str | None) -> Alert:
    named = [alert for alert in found if alert.rule == rule and subject in (None, alert.subject)]
    firing = [alert for alert in named if alert.state is AlertState.FIRING] or named
    if len(firing) == 1:
        return firing[0]
    if firing:
        subjects = ", ".join(alert.subject for alert in firing)
        raise SourceError(f"{len(firing)} alerts of {rule}: say which one", f"SUBJECT is one of {subjects}.")
    about = f" of {subject}" if subject is not None else ""
    raise SourceError(f"no alert {rule}{about}", "See `opsconsole alerts list`.")


def run_silence(arguments: argparse.Namespace, keeper: AlertKeeper, directory: Path, who: str, now: datetime) -> int:
    from opsconsole.alert_keeping import MARKS
    from opsconsole.alert_marks import ANY, Marks
    from opsconsole.metrics import MetricsReader, metrics_file

    rule, subject = arguments.rule, arguments.subject or ANY
    if arguments.undo:
        kept = MetricsReader(metrics_file(directory)).state(MARKS, Marks) or Marks()
        there = [one for one in kept.silences if (one.rule, one.subject) == (rule, subject)]
        if not there:
            raise SourceError(f"{rule} of {subject} is not silenced", "See `opsconsole alerts list`.")
        keeper.end_silence(there[0], who, now)
        print(printable(f"{_covered(rule, subject)} is told again"))
        return 0
    until = _until(arguments, now)
    keeper.silence(Silence(rule=rule, subject=subject, until=until, who=who, at=now, note=_one_line(arguments.note)))
    print(printable(f"nobody is told of {_covered(rule, subject)} until {_local(until, now)}"))
    return 0


def _covered(rule: str, subject: str) -> str:
    """`disk of /srv`, `disk`, `every alert`."""
    named = "every alert" if rule == "*" else rule
    return named if subject == "*" else f"{named} of {subject}"


def _know(rule: str, config: Config) -> None:
    """A silence for a rule that does not exist would silence nothing, and nobody would notice."""
    import difflib
    from fnmatch import fnmatchcase

    from opsconsole.alert_settings import BUILT_IN, UNTOLD

    known = sorted({*BUILT_IN, UNTOLD, *(one.name for one in config.alerts.rule)})
    if not any(fnmatchcase(name, rule) for name in known):
        close = difflib.get_close_matches(rule, known, n=1)
        raise SourceError(
            f"no rule is called {rule}", f"Did you mean {close[0]}?" if close else "See `opsconsole alerts rules`."
        )


def _until(arguments: argparse.Namespace, now: datetime) -> datetime:
    from opsconsole.alert_marks import LONGEST_SILENCE
    from opsconsole.alert_settings import seconds

    if bool(arguments.duration) == bool(arguments.until):
        raise SourceError("say until when: one of --for and --until", "For example --for 2h, or --until 08:00.")
    if arguments.duration:
        length = seconds(arguments.duration)
        if not length:
            raise SourceError(f"--for {printable(arguments.duration)} is no duration", "Use 30m, 2h, 1d, at most 7d.")
        return now + timedelta(seconds=length)
    until = _moment(arguments.until, now)
    if not timedelta(0) < until - now <= LONGEST_SILENCE:
        raise SourceError(f"--until {printable(arguments.until)} is not within the next 30 days")
    return until


def _moment(text: str, now: datetime) -> datetime:
    """A date and time, or a time of day: the next one. By the clock of this host."""
    try:
        if len(text) <= 5:
            hour, minute = map(int, text.split(":"))
            local = now.astimezone().replace(hour=hour, minute=minute, second=0, microsecond=0)
            return (local if local > now else local + timedelta(days=1)).astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SourceError(f"--until {printable(text)} is no time", "Use 08:00 or 2026-01-31T08:00.") from None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _note(note: str) -> str:
    return f": {note}" if note else ""


def _local(moment: datetime, now: datetime) -> str:
    local = moment.astimezone()
    today = local.date() == now.astimezone().date()
    return f"{local:%H:%M:%S}" if today else f"{local:%Y-%m-%d %H:%M}"
